"""Some forty lines that share nothing with weir. check.py iot.db truth.ndjson: what became of each record?"""
import collections, ctypes, json, sqlite3, sys
lz4, context, room = ctypes.CDLL("liblz4.so.1"), ctypes.c_void_p(), ctypes.create_string_buffer(1 << 24)
lz4.LZ4F_createDecompressionContext(ctypes.byref(context), 100)

def number(data, at):  # a zigzag varint, and where it ends
    value, shift = data[at] & 127, 7
    while data[at] > 127:
        value, shift, at = value | (data[at + 1] & 127) << shift, shift + 7, at + 1
    return (value >> 1) ^ -(value & 1), at + 1

def piece(data, at):  # bytes behind their size, which is -1 for none
    size, at = number(data, at)
    return data[at:at + size] if size > 0 else b"", at + max(size, 0)

def records(topic):  # (value, headers) out of Kafka's record batches
    for data, in db.execute("SELECT bytes FROM weir_batch JOIN weir_topic USING (topic) WHERE name = ?", [topic]):
        count, codec, data, at = int.from_bytes(data[57:61], "big"), data[22] & 7, data[61:], 0
        if codec:
            given, taken = ctypes.c_size_t(len(room)), ctypes.c_size_t(len(data))
            assert lz4.LZ4F_decompress(context, room, ctypes.byref(given), data, ctypes.byref(taken), None) == 0
            data = ctypes.string_at(room, given.value)
        for _ in range(count):  # size, attributes, time, offset, key; value; headers
            value, at = piece(data, piece(data, number(data, number(data, number(data, at)[1] + 1)[1])[1])[1])
            (many, at), headers = number(data, at), {}
            for _ in range(many):
                name, at = piece(data, at)
                headers[name], at = piece(data, at)
            yield value, headers

db, truth = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True), map(json.loads, open(sys.argv[2]))
fates = ((t["message_id"] if t["verdict"] == "VALID" else (t["id"], t["reason"]), t["verdict"]) for t in truth)
should = collections.Counter(fate for fate, verdict in fates if verdict in ("VALID", "INVALID", "LATE"))
there = collections.Counter(json.loads(value)["message_id"] for value, _ in records("validated_iot_data"))
there.update(((b"%b-%b" % (h[b"weir.partition"], h[b"weir.offset"])).decode(), h[b"weir.reason"].decode())
             for _, h in records("dlq_iot_data"))
table = {row[0] for row in db.execute("SELECT message_id FROM readings")} ^ {k for k in there if type(k) is str}
lost, more, wrong = (should - there).total(), there - should, len(table)
wrong += sum(more.pop(fate) for fate in [*more] if fate not in should)
print(f"lost {lost:,} · doubled {more.total():,} · misjudged {wrong:,}")
sys.exit(lost + more.total() + wrong > 0)
