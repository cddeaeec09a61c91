"""What became of each record? Some forty lines that share nothing with weir: check.py DATABASE TRUTH"""
import collections, json, sqlite3, sys
from ctypes import CDLL, byref, c_size_t, c_void_p, create_string_buffer, string_at

lz4, context, room = CDLL("liblz4.so.1"), c_void_p(), create_string_buffer(1 << 24)
lz4.LZ4F_createDecompressionContext(byref(context), 100)

def number(data, at):  # a zigzag varint, and where it ends
    value, shift = data[at] & 127, 7
    while data[at] > 127:
        value, shift, at = value | (data[at + 1] & 127) << shift, shift + 7, at + 1
    return (value >> 1) ^ -(value & 1), at + 1

def piece(data, at):  # bytes behind their size, which is -1 for none
    size, at = number(data, at)
    return data[at:at + size] if size > 0 else b"", at + max(size, 0)

def records(topic):  # (value, headers) out of Kafka's record batches
    topic, = db.execute("SELECT topic FROM weir_topic WHERE name = ?", [topic]).fetchone()
    for data, in db.execute("SELECT bytes FROM weir_batch WHERE topic = ?", [topic]):
        count, codec, data, at = int.from_bytes(data[57:61], "big"), data[22] & 7, data[61:], 0
        if codec:
            given, taken = c_size_t(len(room)), c_size_t(len(data))
            assert not lz4.LZ4F_decompress(context, room, byref(given), data, byref(taken), None)
            data = string_at(room, given.value)
        for _ in range(count):
            at = number(data, number(data, number(data, at)[1] + 1)[1])[1]  # size, time, offset
            value, at = piece(data, piece(data, at)[1])                     # key, value
            (many, at), headers = number(data, at), {}
            for _ in range(many):
                name, at = piece(data, at)
                text, at = piece(data, at)
                headers[name.decode()] = text.decode("utf-8", "replace")
            yield value, headers

db, should = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True), collections.Counter()
for t in map(json.loads, open(sys.argv[2], encoding="utf-8")):
    if t["verdict"] in ("VALID", "INVALID", "LATE"):
        should[t["message_id"] if t["verdict"] == "VALID" else (t["id"], t["reason"])] += 1
there = collections.Counter(json.loads(v)["message_id"] for v, _ in records("validated_iot_data"))
for _, tag in records("dlq_iot_data"):
    there[f"{tag['weir.partition']}-{tag['weir.offset']}", tag["weir.reason"]] += 1
ids = {row[0] for row in db.execute("SELECT message_id FROM readings")}
ids ^= {fate for fate in there if type(fate) is str}
lost, more, wrong = (should - there).total(), there - should, len(ids)
wrong += sum(more.pop(fate) for fate in [*more] if fate not in should)
print(f"lost {lost:,} · doubled {more.total():,} · misjudged {wrong:,}")
sys.exit(lost + more.total() + wrong > 0)
