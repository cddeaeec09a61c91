"""A Kafka RecordBatch v2 by hand, uncompressed, for records that no verb can write: with headers."""
import struct

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = number << 1 ^ number >> 63
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def encode(base_offset, timestamp_ms, records):
    """`records`: (key, value, [(name, value), …])."""
    body = b""
    for index, (key, value, headers) in enumerate(records):
        record = b"\0" + varint(0) + varint(index) + sized(key) + sized(value)
        record += varint(len(headers))
        for name, header_value in headers:
            record += sized(name) + sized(header_value)
        body += varint(len(record)) + record
    rest = struct.pack(">hiqqqhii", 8, len(records) - 1, timestamp_ms, timestamp_ms, -1, -1, -1,
                       len(records)) + body
    head = struct.pack(">ibI", -1, 2, crc32c(rest))
    return struct.pack(">qi", base_offset, len(head) + len(rest)) + head + rest


def append(database, topic, partition, records, timestamp_ms):
    """Puts the records behind those of the partition, in the tables of the local log."""
    database.execute("BEGIN IMMEDIATE")
    number, topic_number, base_offset = database.execute(
        "SELECT p.number, topic, next_offset FROM weir_partition p JOIN weir_topic t USING (topic)"
        " WHERE t.name = ? AND partition = ?", (topic, partition)).fetchone()
    database.execute(
        "INSERT INTO weir_batch VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number << 40 | base_offset, topic_number, partition, base_offset, len(records),
         timestamp_ms, encode(base_offset, timestamp_ms, records)))
    database.execute("UPDATE weir_partition SET next_offset = next_offset + ?, "
                     "max_timestamp_ms = ? WHERE number = ?", (len(records), timestamp_ms, number))
    database.execute("COMMIT")
    return base_offset
