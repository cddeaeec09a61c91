"""Files that were damaged: snapshots, rows of the log, records of progress."""
import random
import re
import shutil
import sqlite3

import pytest

from faults.lab import LOG, balanced, counts, flip, local, record


# --- snapshots ---

def begun(lab):
    """Two partitions, one snapshot each; what follows needs the state."""
    lab.write(repair={"fill": {"n": {"last_by": "text", "max_age": "5m"}}})
    lab.produce([record(number, text="k") for number in range(100)], partitions=2, key="id")
    lab.run()
    return sorted((lab.path / f"{LOG}.state").glob("*.snapshot"))


def go_on(lab):
    """Half of what comes is there already; the others lack `n`, which their predecessors have."""
    lab.produce([record(number, text="k", n=...) for number in range(50, 150)], partitions=2,
                key="id")
    done = lab.run("--json")
    assert f'"valid":150,"invalid":0,"duplicate":50' in done.out, done
    assert lab.sql("SELECT count(*) FROM rows WHERE n IS NULL") == [(0,)]
    lab.audit()
    return done.err


def test_a_snapshot_that_is_good_is_used(lab):
    assert len(begun(lab)) == 2
    said = go_on(lab)
    assert "warning" not in said and "recovered: 0 records" in said, said


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


DAMAGES = {
    "first bit": lambda path: flip(path, 0),
    "version": lambda path: flip(path, 8),
    "head": lambda path: flip(path, 40),
    "middle": lambda path: flip(path, path.stat().st_size // 2),
    "last bit": lambda path: flip(path, -1),
    "cut in half": lambda path: cut(path, path.stat().st_size // 2),
    "cut by one byte": lambda path: cut(path, path.stat().st_size - 1),
    "cut to its head": lambda path: cut(path, 12),
    "empty": lambda path: cut(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "other bytes": lambda path: path.write_bytes(b"not a snapshot" * 100),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_snapshot_is_ignored_with_a_warning(lab, name):
    snapshots = begun(lab)
    DAMAGES[name](snapshots[0])
    said = go_on(lab)
    warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and snapshots[0].name in warnings[0], said
    assert "rebuilt from the log" in warnings[0]


def test_snapshots_of_each_other_are_not_mixed_up(lab):
    """The file of one partition under the name of the other."""
    first, second = begun(lab)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert len(re.findall("^warning: ", go_on(lab), re.MULTILINE)) == 2


def test_snapshots_that_are_gone(lab):
    begun(lab)
    shutil.rmtree(lab.path / f"{LOG}.state")
    assert "recovered: 100 records" in go_on(lab)


def test_a_folder_of_snapshots_that_cannot_be_one(lab):
    lab.file("in_the_way", "")
    lab.write(state={"path": "in_the_way/state"}).produce([record(0)])
    assert "in_the_way/state" in lab.run(status=2).err
    assert lab.sql("SELECT sum(records) FROM weir_progress") == [(0,)]


# --- rows of the log ---

def set_column(lab, name, value):
    lab.sql(f"UPDATE weir_batch SET {name} = {value} WHERE topic = 1 AND base_offset = 10")


def set_bytes(lab, change):
    (data,), = lab.sql("SELECT bytes FROM weir_batch WHERE topic = 1 AND base_offset = 10")
    lab.sql("UPDATE weir_batch SET bytes = ? WHERE topic = 1 AND base_offset = 10",
            bytes(change(data)))


def flipped(position):
    def change(data):
        data = bytearray(data)
        data[position] ^= 1
        return data
    return lambda lab: set_bytes(lab, change)


ROW_DAMAGES = {
    **{f"byte {position}": flipped(position)
       for position in (0, 7, 8, 11, 16, 17, 20, 21, 22, 26, 34, 42, 60, 61, 100, -1)},
    "shorter": lambda lab: set_bytes(lab, lambda data: data[:-1]),
    "longer": lambda lab: set_bytes(lab, lambda data: data + b"\0"),
    "head only": lambda lab: set_bytes(lab, lambda data: data[:61]),
    "empty": lambda lab: set_bytes(lab, lambda data: b""),
    "zeros": lambda lab: set_bytes(lab, lambda data: bytes(len(data))),
    "of another place": lambda lab: lab.sql(
        "UPDATE weir_batch SET bytes = (SELECT bytes FROM weir_batch WHERE topic = 1 AND base_offset = 0)"
        " WHERE topic = 1 AND base_offset = 10"),
    "gone": lambda lab: lab.sql("DELETE FROM weir_batch WHERE topic = 1 AND base_offset = 10"),
    "count": lambda lab: set_column(lab, "count", 9),
    "more": lambda lab: set_column(lab, "count", 11),
    "offset": lambda lab: set_column(lab, "base_offset", 11),
    "partition": lambda lab: set_column(lab, "partition", 1),
    "end": lambda lab: lab.sql("DELETE FROM weir_batch WHERE topic = 1 AND base_offset = 20"),
}


@pytest.fixture
def rows(lab):
    """Three rows of ten records, of which the first was consumed."""
    lab.write(delivery={"commit_interval": "1ms"}).produce([record(number) for number in range(10)])
    lab.run()
    for first in (10, 20):
        lab.produce([record(number) for number in range(first, first + 10)])
    assert lab.sql("SELECT base_offset, count FROM weir_batch WHERE topic = 1") == [(0, 10), (10, 10), (20, 10)]
    lab.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(lab.path / LOG, lab.path / "sound")
    return lab


def restore(lab):
    shutil.copy(lab.path / "sound", lab.path / LOG)
    for rest in ("-wal", "-shm"):
        (lab.path / f"{LOG}{rest}").unlink(missing_ok=True)


def test_a_damaged_row_of_the_log_stops_it(rows):
    """Topic, partition and offset are named; nothing behind the row is taken, nothing is skipped."""
    for name, damage in ROW_DAMAGES.items():
        restore(rows)
        damage(rows)
        offset = 20 if name == "end" else 10
        for verb in ("run", "run"):
            done = rows.weir(verb, "p.yaml", "--until-end")
            assert done.status == 3, (name, done)
            assert re.search(rf"log\.corrupt: .*\bin\b.*\b0\b.*\b{offset}\b", done.err), (name, done.err)
            assert rows.committed()["0"] in (10, offset), name
    restore(rows)
    shutil.rmtree(rows.path / f"{LOG}.state")
    assert balanced(rows.ledger()) == counts(valid=30)
    rows.audit()


def test_audit_does_not_skip_a_damaged_row(rows):
    rows.run()
    flipped(61)(rows)
    done = rows.weir("audit", "p.yaml")
    assert done.status == 3 and "log.corrupt" in done.err, done


def test_a_damaged_row_of_an_output_topic_is_found_by_audit(rows):
    rows.run()
    (position, data), *_ = rows.sql("SELECT position, bytes FROM weir_batch WHERE topic ="
                                    " (SELECT topic FROM weir_topic WHERE name = 'out')")
    data = bytearray(data)
    data[-1] ^= 1
    rows.sql("UPDATE weir_batch SET bytes = ? WHERE position = ?", bytes(data), position)
    done = rows.weir("audit", "p.yaml")
    assert done.status == 3 and re.search(r"log\.corrupt: .*\bout\b", done.err), done


def test_a_damaged_page_of_the_file(rows):
    """SQLite itself says so."""
    (page_size,), = rows.sql("PRAGMA page_size")
    data = bytearray((rows.path / LOG).read_bytes())
    for page in range(1, len(data) // page_size):
        data[page * page_size:page * page_size + 8] = b"\xff" * 8
    (rows.path / LOG).write_bytes(data)
    done = rows.weir("run", "p.yaml", "--until-end")
    assert done.status in (2, 3) and LOG in done.err, done


# --- what weir keeps ---

@pytest.mark.parametrize("table, column", [("weir_progress", "record"), ("weir_ledger", "segment")])
def test_damaged_progress_and_ledgers(lab, table, column):
    lab.write().produce([record(number) for number in range(10)])
    lab.run()
    (data,), = lab.sql(f"SELECT {column} FROM {table}")
    lab.sql(f"UPDATE {table} SET {column} = ?", data[:40] + bytes([data[40] ^ 1]) + data[41:])
    lab.produce([record(10)])
    for verb in (("run", "--until-end"), ("audit",)):
        done = lab.weir(verb[0], "p.yaml", *verb[1:])
        assert done.status == 3 and ".corrupt: " in done.err, (verb, done)
    assert lab.sql("SELECT count(*) FROM rows") == [(10,)]


def test_a_damaged_text_of_a_plan(lab):
    """Needed where rows were judged under it."""
    lab.write().produce([record(number) for number in range(10)])
    lab.run()
    lab.sql("UPDATE weir_plan SET text = replace(text, '10m', '11m')")
    lab.write(dedup={"key": "id", "window": "20m"})
    lab.produce([record(10)])
    shutil.rmtree(lab.path / f"{LOG}.state")
    done = lab.weir("run", "p.yaml", "--until-end")
    assert done.status == 3 and "plan." in done.err, done


def test_a_write_ahead_log_that_was_cut(lab):
    """What was not synced whole never happened: SQLite's promise, seen here to the end."""
    lab.write().produce([record(number) for number in range(10)])
    lab.run()
    connection = sqlite3.connect(lab.path / LOG)
    connection.execute("SELECT count(*) FROM weir_topic").fetchall()  # Keeps the files there.
    lab.produce([record(number) for number in range(10, 20)])
    shutil.copy(lab.path / LOG, lab.path / "copy")
    wal = (lab.path / f"{LOG}-wal").read_bytes()
    connection.close()
    shutil.move(lab.path / "copy", lab.path / LOG)
    (lab.path / f"{LOG}-shm").unlink(missing_ok=True)
    lab.file(f"{LOG}-wal", wal[:-100])
    assert balanced(lab.ledger()) == counts(valid=10)
    lab.produce([record(number) for number in range(10, 20)])
    assert balanced(lab.ledger()) == counts(valid=20)
    lab.audit()


# --- any bit of a log ---

def test_any_flipped_bit_is_found_or_does_no_harm(lab, seed, long_run):
    """Where `topic verify` finds nothing, everything reads as it was: records, offsets, groups."""
    rng = random.Random(seed)
    for topic in ("a", "b"):
        lab.produce([record(number, text=rng.randbytes(300).hex()) for number in range(60)],
                    topic=topic, partitions=2, key="id")
    for number in range(20):
        lab.produce([record(number)], topic="b", partitions=2)
    lab.write(source={**local("a"), "format": "json"}).run()
    lab.script("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (lab.path / LOG).read_bytes()
    for name in (f"{LOG}-wal", f"{LOG}-shm"):
        (lab.path / name).unlink(missing_ok=True)

    def read(path):
        return [lab.weir(*words, f"local:{path}#{topic}") for topic in ("a", "b", "out")
                for words in (("tail", "--json"), ("topic", "describe"))]

    expected = [done.out for done in read(LOG)]
    found = harmless = 0
    for trial in range(1500 if long_run else 30):
        damaged = bytearray(whole)
        bit = rng.randrange(len(whole) * 8) if trial % 4 else rng.randrange(200 * 8)
        damaged[bit // 8] ^= 1 << bit % 8
        path = f"trial-{trial}.db"
        (lab.path / path).write_bytes(damaged)
        verified = lab.weir("topic", "verify", f"local:{path}")
        assert verified.status in (0, 2, 3), (bit, verified)
        if verified.status == 0:
            harmless += 1
            assert [done.out for done in read(path)] == expected, bit
        else:
            found += 1
            assert "log." in verified.err, (bit, verified)
            assert all(done.status in (0, 2, 3) for done in read(path)), bit
        for ending in ("", "-wal", "-shm", "-lock"):
            (lab.path / f"{path}{ending}").unlink(missing_ok=True)
    assert found > 0 and harmless > 0
