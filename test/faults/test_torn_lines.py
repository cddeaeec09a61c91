"""A file whose last line has no newline: still being written, or the end of a whole file."""
import json
import time

import pytest

from faults.lab import counts, folder, record, table

FIRST, LAST = record(1), record(2)
HALF = LAST[:len(LAST) // 2]


def put(lab, content, **more):
    lab.file("in.ndjson", content)
    return lab.write(source={"file": {"path": "in.ndjson"}, "format": "json"},
                     sinks={"rows": table("rows"), "parts": folder("parts")},
                     dlq={**folder("dead"), "include": ["invalid"]}, **more)


def append(lab, data):
    with open(lab.path / "in.ndjson", "ab") as file:
        file.write(data)


def committed(lab):
    return dict(lab.sql("SELECT topic, next_offset FROM weir_progress"))["in.ndjson"]


def same_everywhere(lab, *records):
    assert lab.lines_in("parts") == list(records)
    assert [number for number, in lab.sql("SELECT n FROM rows ORDER BY n")] == \
        [json.loads(value)["n"] for value in records]
    lab.audit()


def test_a_line_that_is_being_written_is_waited_for(lab):
    put(lab, FIRST + b"\n" + HALF)
    process = lab.start()
    lab.wait_committed(process, len(FIRST) + 1)
    for at in range(len(HALF), len(LAST)):
        append(lab, LAST[at:at + 1])
        time.sleep(0.002)
    assert committed(lab) == len(FIRST) + 1
    append(lab, b"\n")
    lab.wait_committed(process, len(FIRST) + len(LAST) + 2)
    assert process.terminate() == 0
    same_everywhere(lab, FIRST, LAST)


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_stop_in_the_midst_of_a_line_leaves_it(lab, how):
    put(lab, FIRST + b"\n" + HALF)
    process = lab.start()
    lab.wait_committed(process, len(FIRST) + 1)
    getattr(process, how)()
    append(lab, LAST[len(HALF):] + b"\n" + record(3))
    process = lab.start()
    lab.wait_committed(process, len(FIRST) + len(LAST) + 2)
    assert process.terminate() == 0
    assert lab.ledger()["verdicts"] == counts(valid=3)
    same_everywhere(lab, FIRST, LAST, record(3))


def test_a_last_line_at_the_end_is_a_record(lab):
    put(lab, FIRST + b"\n" + LAST)
    assert lab.ledger()["verdicts"] == counts(valid=2)
    same_everywhere(lab, FIRST, LAST)
    assert lab.ledger()["in"] == 2
    process = lab.start()  # It stays a record for a run that waits.
    append(lab, b"\n" + record(3))
    append(lab, b"\n")
    lab.wait_committed(process, len(FIRST) + len(LAST) + len(record(3)) + 3)
    assert process.terminate() == 0
    same_everywhere(lab, FIRST, LAST, record(3))


@pytest.mark.parametrize("until_end", [True, False])
def test_a_record_that_goes_on_is_refused(lab, until_end):
    put(lab, FIRST + b"\n" + HALF)
    assert lab.ledger()["verdicts"] == counts(valid=1, invalid=1)
    append(lab, LAST[len(HALF):] + b"\n")
    done = lab.weir("run", "p.yaml", *(["--until-end"] if until_end else []))
    assert done.status == 2 and "source." in done.err and "in.ndjson" in done.err, done
    assert lab.weir("audit", "p.yaml").status != 0


@pytest.mark.parametrize("more", [b"x\n", b"more", b" \n", b"}\n" + record(3) + b"\n"])
def test_rows_are_not_accused_when_a_line_that_was_taken_goes_on(lab, more):
    """What was written is right; the file is not what it was, and that is what is said."""
    put(lab, FIRST + b"\n" + LAST).run()
    append(lab, more)
    for verb in (["audit", "p.yaml"], ["trace", "p.yaml", "m1"]):
        done = lab.weir(*verb)
        assert done.status == 2 and "source.torn_line" in done.err and done.out == "", done


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n" + record(3)])
def test_a_last_line_is_read_again(lab, ending):
    """There is no snapshot, and one system is behind the other: the line comes once more."""
    put(lab, FIRST + b"\n")
    lab.run()
    before = {path: path.read_bytes() for path in lab.path.glob("log.db*") if path.is_file()}
    append(lab, LAST)
    lab.run()
    for path in [*lab.path.rglob("*.snapshot"), *lab.path.glob("log.db-*")]:
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    append(lab, ending)
    lab.run()
    same_everywhere(lab, FIRST, LAST, *([record(3)] if len(ending) > 1 else []))
