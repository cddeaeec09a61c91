"""Writes a topic's rows from outside: what `weir produce` cannot say (no value at all, headers, any
byte), in Kafka's RecordBatch v2."""
import struct

from checker.log import HEADER, crc32c


def zigzag(number):
    number = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def sized(data):
    return zigzag(-1) if data is None else zigzag(len(data)) + data


def encode_record(index, key, value, headers):
    body = b"\0" + zigzag(0) + zigzag(index) + sized(key) + sized(value) + zigzag(len(headers))
    body += b"".join(sized(name.encode()) + sized(text) for name, text in headers)
    return zigzag(len(body)) + body


def encode_batch(base, timestamp_ms, records):
    """records: (key, value, headers)."""
    body = b"".join(encode_record(index, *record) for index, record in enumerate(records))
    tail = struct.pack(">hiqqqhii", 8, len(records) - 1, timestamp_ms, timestamp_ms, -1, -1, -1,
                       len(records)) + body
    head = struct.pack(">qiibI", base, len(tail) + 9, -1, 2, crc32c(tail))
    assert len(head) + len(tail) - len(body) == HEADER.size
    return head + tail


def append(lab, topic, records, partition=0, timestamp_ms=1_900_000_000_000, path="log.db"):
    """As one row behind what is there. The topic must be there."""
    (number, first_position, base), = lab.sql(
        "SELECT p.topic, p.number << 40, p.next_offset FROM weir_partition p JOIN weir_topic t USING (topic)"
        " WHERE t.name = ? AND p.partition = ?", topic, partition, path=path)
    records = [(key, value, headers[0] if headers else ()) for key, value, *headers in records]
    lab.sql("INSERT INTO weir_batch VALUES (?, ?, ?, ?, ?, ?, ?)", first_position | base, number,
            partition, base, len(records), timestamp_ms, encode_batch(base, timestamp_ms, records),
            path=path)
    lab.sql("UPDATE weir_partition SET next_offset = next_offset + ?, max_timestamp_ms = ?"
            " WHERE topic = ? AND partition = ?", len(records), timestamp_ms, number, partition,
            path=path)
