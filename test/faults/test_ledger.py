"""What a ledger says of its sinks, after somebody changed it and sealed it again: audit names system and sink."""
import ctypes
import struct

import pytest

from faults.lab import Lab, folder, local, record, table

VALUES = [record(number) for number in range(20)] + [b'{"id":', record(30, n=5)]


def seal(form):
    """docs/formats.md: the last 8 bytes are XXH3-64 of all before."""
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = ctypes.c_char_p, ctypes.c_size_t
    return form[:-8] + struct.pack("<Q", library.XXH3_64bits(form[:-8], len(form) - 8))


FIELDS = {"routed": 0, "written": 8, "rejected": 16, "sum": 24, "high half of the sum": 32}


def change_sink(form, sink, field, by=1):
    """One field of a sink in a sealed form."""
    name = struct.pack("<I", len(sink)) + sink.encode()
    assert form.count(name) == 1
    at = form.index(name) + len(name) + FIELDS[field]
    number, = struct.unpack_from("<Q", form, at)
    return seal(form[:at] + struct.pack("<Q", number + by) + form[at + 8:])


@pytest.fixture
def lab(tmp_path, weir):
    """Two systems; `picky` refuses two rows, whose dead letters go to the dlq."""
    lab = Lab(tmp_path, weir)
    lab.write(sinks={"out": local("out", partitions=2, key="id"), "rows": table("rows"),
                     "picky": table("picky"),
                     "lines": folder("lines")})
    lab.script("CREATE TABLE picky (id TEXT, at TEXT, n REAL CHECK (n <> 5), text TEXT)")
    lab.produce(VALUES).run()
    lab.audit()
    return lab


def change(lab, name, *changes):
    (form,), = lab.sql(f"SELECT {name[1]} FROM {name[0]}")
    assert form == seal(form)
    for one in changes:
        form = change_sink(form, *one)
    lab.sql(f"UPDATE {name[0]} SET {name[1]} = ?", form)


R, SEGMENT = ("weir_progress", "record"), ("weir_ledger", "segment")


@pytest.mark.parametrize("sink", ["out", "rows", "picky", "dlq"])
@pytest.mark.parametrize("field", FIELDS)
def test_one_field_of_r(lab, sink, field):
    change(lab, R, (sink, field))
    said = lab.audit(status=1)
    assert "ledger of log.db, in [0]" in said and sink in said.split("\nin ")[0], said


@pytest.mark.parametrize("sink", ["out", "rows", "picky", "dlq"])
@pytest.mark.parametrize("field", ["sum", "high half of the sum", "both counts"])
def test_r_and_its_segment_alike(lab, sink, field):
    """The two agree, and each adds up."""
    changes = [(sink, "routed"), (sink, "written")] if field == "both counts" else [(sink, field)]
    for place in (R, SEGMENT):
        change(lab, place, *changes)
    said = lab.audit(status=1)
    word = "rows routed to" if field == "both counts" else "the sum of rows written to"
    assert f"ledger of log.db, in [0]: offsets 0 to {len(VALUES) - 1}, recomputed from the input: {word} {sink} " in \
        said, said


def test_rows_that_were_written_and_are_called_rejected(lab):
    for place in (R, SEGMENT):
        change(lab, place, ("picky", "written", -1), ("picky", "rejected", 1))
    said = lab.audit(status=1)
    assert "rows written to picky is 18 on one side and 19 on the other" in said, said


def test_the_sums_of_sinks_of_older_plans(lab):
    """Another name, another column, a sink that is gone: their system still answers for them."""
    lab.sql("ALTER TABLE rows ADD COLUMN twice REAL")
    lab.write(sinks={"readings": table("rows"), "lines": folder("lines")},
              transform={"set": {"twice": "n * 2"}})
    lab.produce([record(number) for number in range(40, 50)]).run()
    lab.audit()
    rows = lab.sql("SELECT first_offset, segment FROM weir_ledger ORDER BY first_offset")
    first, form = rows[0]
    for sink in ("out", "rows", "picky", "dlq"):
        lab.sql("UPDATE weir_ledger SET segment = ? WHERE first_offset = ?",
                change_sink(form, sink, "sum"), first)
        said = lab.audit(status=1)
        assert f"recomputed from the input: the sum of rows written to {sink} is" in said, said
    lab.sql("UPDATE weir_ledger SET segment = ? WHERE first_offset = ?", form, first)
    lab.audit()


def test_the_greatest_event_time_of_r(lab):
    """It would make the next records late, or not."""
    (form,), = lab.sql("SELECT record FROM weir_progress")
    greatest = struct.pack("<q", int(1714521600 + 30) * 1_000_000)
    assert form.count(greatest) == 1
    lab.sql("UPDATE weir_progress SET record = ?",
            seal(form.replace(greatest, struct.pack("<q", 2**60))))
    assert "greatest event time" in lab.audit(status=1)


def test_the_output_offsets_of_r(lab):
    (form,), = lab.sql("SELECT record FROM weir_progress")
    name = b"\x03\x00\x00\x00out"
    at = form.index(name) + len(name) + 40
    count, partition, first, last = struct.unpack_from("<IIqq", form, at)
    assert (count, partition, first) == (2, 0, 0)
    for number in (last - 1, last + 1):
        lab.sql("UPDATE weir_progress SET record = ?",
                seal(form[:at + 16] + struct.pack("<q", number) + form[at + 24:]))
        assert "the output offsets of out" in lab.audit(status=1)


def test_the_record_of_a_folder(lab):
    """Its R is in a sidecar, sealed twice."""
    path, = (lab.path / "lines/.weir").glob("*-00000000000000000001.progress")
    form = path.read_bytes()
    at = form.index(b"WEIRPROG")
    size, = struct.unpack_from("<I", form, at - 4)
    record_form = form[at:at + size]
    changed = change_sink(record_form, "lines", "sum")
    assert len(changed) == size
    path.write_bytes(seal_sidecar(form.replace(record_form, changed)))
    said = lab.audit(status=1)
    assert "ledger of lines/, in [0]" in said and "lines" in said, said


def seal_sidecar(form):
    class Hash(ctypes.Structure):
        _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_128bits.restype = Hash
    library.XXH3_128bits.argtypes = ctypes.c_char_p, ctypes.c_size_t
    return form[:-8] + struct.pack("<Q", library.XXH3_128bits(form[:-8], len(form) - 8).low)
