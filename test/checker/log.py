"""Reads a local log: topics out of a SQLite file, records out of Kafka's RecordBatch v2.

Written from the formats' own descriptions, with Python's sqlite3 and the system's liblz4; nothing
of weir is used. Everything that does not fit is an error, not a guess.
"""
import ctypes
import sqlite3
import struct
from pathlib import Path


class Broken(Exception):
    """The file is not what its format says."""


# --- LZ4 frames, by the library that Linux distributions carry. ---

class Lz4:
    VERSION = 100

    def __init__(self):
        self.library = ctypes.CDLL("liblz4.so.1")
        self.library.LZ4F_decompress.restype = ctypes.c_size_t
        self.context = ctypes.c_void_p()
        if self.library.LZ4F_createDecompressionContext(ctypes.byref(self.context), self.VERSION):
            raise MemoryError("no LZ4 context")
        self.room = ctypes.create_string_buffer(1 << 20)

    def decompress(self, frame):
        """The content of exactly one frame."""
        source = ctypes.create_string_buffer(frame, len(frame))
        at, pieces, hint = 0, [], 1
        while hint:
            taken = ctypes.c_size_t(len(frame) - at)
            given = ctypes.c_size_t(len(self.room))
            hint = self.library.LZ4F_decompress(self.context, self.room, ctypes.byref(given),
                                                ctypes.byref(source, at), ctypes.byref(taken), None)
            if self.library.LZ4F_isError(ctypes.c_size_t(hint)) or not (taken.value or given.value):
                self.library.LZ4F_resetDecompressionContext(self.context)
                raise Broken("a broken LZ4 frame")
            at += taken.value
            pieces.append(ctypes.string_at(self.room, given.value))
        if at != len(frame):
            raise Broken("bytes after the LZ4 frame")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


# --- CRC-32C, as Kafka has it. ---

def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


# --- RecordBatch v2. ---

HEADER = struct.Struct(">qiibIhiqqqhii")
LZ4 = Lz4()


def varint(data, at):
    """A zigzag varint and where it ends."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def headers_of(data, at, count):
    headers = []
    for _ in range(count):
        size, at = varint(data, at)
        name = data[at:at + size].decode()
        at += size
        size, at = varint(data, at)
        headers.append((name, None if size < 0 else data[at:at + size]))
        at += max(size, 0)
    return headers, at


def decode_batch(data, check_crc=False):
    """(base offset, [(key, value, headers)]) of one batch; a null is None, no headers are ()."""
    if len(data) < HEADER.size:
        raise Broken("a batch shorter than its header")
    (base, length, _, magic, crc, attributes, last_delta, _, _, _, _, _,
     count) = HEADER.unpack_from(data)
    if magic != 2 or length + 12 != len(data) or last_delta + 1 != count or count < 1:
        raise Broken(f"a header that does not fit: magic {magic}, length {length}, {count} records")
    if check_crc and crc32c(data[21:]) != crc:
        raise Broken("a batch whose checksum does not fit")
    body = data[HEADER.size:]
    codec = attributes & 7
    if codec == 3:
        body = LZ4.decompress(body)
    elif codec != 0:
        raise Broken(f"codec {codec} is not known here")
    records, at = [], 0
    for index in range(count):
        size, at = varint(body, at)
        end = at + size
        _, at = varint(body, at + 1)
        delta, at = varint(body, at)
        if delta != index:
            raise Broken(f"record {index} has offset delta {delta}")
        size, at = varint(body, at)
        key = None
        if size >= 0:
            key = body[at:at + size]
            at += size
        size, at = varint(body, at)
        value = None
        if size >= 0:
            value = body[at:at + size]
            at += size
        count_headers, at = varint(body, at)
        headers = ()
        if count_headers:
            headers, at = headers_of(body, at, count_headers)
        if at != end:
            raise Broken(f"record {index} ends at byte {at}, not {end}")
        records.append((key, value, headers))
    if at != len(body):
        raise Broken("bytes after the last record")
    return base, records


# --- The file. ---

PARTITIONS_MAX = 10_000

def connect(path):
    """A connection that cannot write, nor check anything back into the file."""
    connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=60)
    # Bytes that are no text are no reason to stop.
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return connection


class Topic:
    def __init__(self, path, name):
        self.database = connect(path)
        self.name = name
        row = self.database.execute("SELECT topic, partitions FROM weir_topic WHERE name = ?",
                                    (name,)).fetchone()
        if row is None:
            raise Broken(f"{path} has no topic {name}")
        self.number, self.partitions = row
        if type(self.partitions) is not int or not 0 < self.partitions <= PARTITIONS_MAX:
            raise Broken(f"topic {name} has {self.partitions!r} partitions")

    def batches(self, partition, check_crc=False):
        """(base offset, records) in the order of the log; offsets must join on, from the first."""
        row = self.database.execute(
            "SELECT first_offset, next_offset FROM weir_partition"
            " WHERE topic = ? AND partition = ?", (self.number, partition)).fetchone()
        if row is None or any(type(offset) is not int for offset in row):
            raise Broken(f"{self.name} [{partition}] has the offsets {row}")
        following, end = row
        for base, count, data in self.database.execute(
                "SELECT base_offset, count, bytes FROM weir_batch WHERE topic = ? AND partition = ?"
                " ORDER BY position", (self.number, partition)):
            where = f"{self.name} [{partition}] offset {base}"
            try:
                inner, records = decode_batch(data, check_crc)
            except (Broken, IndexError, UnicodeDecodeError, TypeError, OverflowError) as error:
                raise Broken(f"{where}: {error}") from error
            if (base, count) != (inner, len(records)) or base != following:
                raise Broken(f"{where}: {count} records; the batch itself says {inner}, "
                             f"{len(records)}, and {following} was next")
            yield base, records
            following += count
        if following != end:
            raise Broken(f"{self.name} [{partition}] should end at {end}, but ends at {following}")


def murmur2(data):
    """As Kafka's Java client has it."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions
