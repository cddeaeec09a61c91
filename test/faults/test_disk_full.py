"""A disk that is full: said once, waited for, and nothing is lost."""
import time

import pytest

from faults.disk import complaints, disk, fat_record, wait_for_complaint  # noqa: F401
from crash.killer import Weir
from faults.lab import balanced, counts, folder, local, record, table

# More than fits.
RECORDS = 3000

SINKS = {
    "local": {"out": local("out", path="disk/out.db", partitions=1)},
    "table": {"out": table("rows", path="disk/out.db")},
    "folder": {"out": folder("disk/out")},
}


@pytest.mark.parametrize("kind", SINKS)
def test_it_says_so_waits_and_goes_on(lab, disk, kind):
    values = [fat_record(number) for number in range(RECORDS)]
    lab.write(sinks=SINKS[kind], dlq=None, dedup=None, state={"path": "state"},
              delivery={"commit_interval": "5ms"}).produce(values)
    process = lab.start("--until-end")
    wait_for_complaint(process)
    time.sleep(1.5)
    assert process.is_running(), process.errors()
    said = complaints(process)
    assert len(said) == 1 and "full" in said[0], said
    disk.grow()
    assert process.wait() == 0, process.errors()
    assert complaints(process) == said
    lab.audit()
    assert balanced(lab.ledger()) == counts(valid=RECORDS)
    if kind == "local":
        assert lab.values(path="disk/out.db") == values
    elif kind == "table":
        assert lab.sql("SELECT count(DISTINCT id), count(*) FROM rows", path="disk/out.db") == \
            [(RECORDS, RECORDS)]
    else:
        assert lab.lines_in("disk/out") == values


def test_killed_on_a_full_disk(lab, disk):
    """What was committed is there, the rest comes when there is room."""
    values = [fat_record(number) for number in range(RECORDS)]
    lab.write(sinks=SINKS["local"], dlq=None, delivery={"commit_interval": "5ms"}).produce(values)
    process = lab.start("--until-end")
    wait_for_complaint(process)
    process.kill()
    disk.grow()
    assert balanced(lab.ledger()) == counts(valid=RECORDS)
    assert lab.values(path="disk/out.db") == values
    lab.audit()


def test_sigterm_on_a_full_disk(lab, disk):
    """It does not wait for ever; what could not be committed comes with the next start."""
    values = [fat_record(number) for number in range(RECORDS)]
    lab.write(sinks=SINKS["local"], dlq=None, delivery={"commit_interval": "5ms"}).produce(values)
    process = lab.start("--until-end")
    wait_for_complaint(process)
    began = time.monotonic()
    status = process.terminate()
    assert time.monotonic() - began < 5
    said = process.errors().splitlines()[-1]
    assert status == 3 and "full" in said and "repeat" not in said, (status, process.errors())
    disk.grow()
    assert balanced(lab.ledger()) == counts(valid=RECORDS)
    assert lab.values(path="disk/out.db") == values
    lab.audit()


def test_a_disk_that_was_full_from_the_start(lab, disk):
    lab.write(sinks=SINKS["table"], dlq=None).produce([record(number) for number in range(10)])
    disk.fill()
    done = lab.weir("run", "p.yaml", "--until-end")
    assert done.status == 3 and "full" in done.err, done
    disk.free()
    assert balanced(lab.ledger()) == counts(valid=10)
    lab.audit()


@pytest.mark.parametrize("kind", SINKS)
def test_a_disk_that_takes_no_writes(lab, disk, kind):
    """Nothing is wrong with the pipeline: a system is in the way."""
    lab.write(sinks=SINKS[kind], dlq=None, state={"path": "state"}).produce([record(0)])
    disk.call("mount", "-o", "remount,ro", disk.path)
    done = lab.weir("run", "p.yaml", "--until-end")
    assert done.status == 3 and "disk/out" in done.err, done


def test_snapshots_on_a_full_disk(lab, disk):
    """They cost time at the next start, nothing else."""
    lab.write(state={"path": "disk/state"}).produce([record(number) for number in range(10)])
    disk.fill()
    done = lab.run()
    assert "warning: no snapshot" in done.err, done
    lab.produce([record(number) for number in range(5, 15)])
    assert balanced(lab.ledger()) == counts(valid=15, duplicate=5)
    lab.audit()


def start_produce(lab, *options):
    values = [fat_record(number) for number in range(RECORDS)]
    lab.file("in.ndjson", b"".join(value + b"\n" for value in values))
    return values, Weir(lab.program, "produce", "local:disk/log.db#in", "in.ndjson",
                        "--partitions=1", "--batch-interval=1ms", *options, cwd=lab.path)


def test_produce_waits_for_space(lab, disk):
    values, process = start_produce(lab)
    wait_for_complaint(process)
    time.sleep(1)
    assert process.is_running()
    said = complaints(process)
    assert len(said) == 1 and "the disk is full. Free space" in said[0], said
    disk.grow()
    assert process.wait() == 0, process.errors()
    assert complaints(process) == said and "it works again" in process.errors()
    assert lab.values("in", path="disk/log.db") == values


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_produce_ended_on_a_full_disk(lab, disk, how):
    """The same command once more adds what is missing, and nothing twice."""
    values, process = start_produce(lab, "--producer-id=me")
    wait_for_complaint(process)
    if how == "kill":
        process.kill()
    else:
        began = time.monotonic()
        assert process.terminate() == 3 and time.monotonic() - began < 5
    disk.grow()
    _, again = start_produce(lab, "--producer-id=me")
    assert again.wait() == 0, again.errors()
    assert lab.values("in", path="disk/log.db") == values


def test_full_while_the_log_is_trimmed(lab, disk):
    """Deleting needs a little space itself; what retention frees is used again by who waits."""
    values, process = start_produce(lab)
    wait_for_complaint(process)
    assert lab.weir("topic", "alter", "local:disk/log.db#in", "--retention-bytes=1MiB").status in \
        (0, 3)
    process.kill()
    disk.grow()
    assert lab.weir("topic", "alter", "local:disk/log.db#in", "--retention-bytes=1MiB").status == 0
    assert lab.weir("topic", "trim", "local:disk/log.db").status == 0
    assert lab.weir("topic", "verify", "local:disk/log.db").status == 0
    assert 0 < len(lab.weir("tail", "local:disk/log.db#in").out.splitlines()) < len(values)
    assert (disk.path / "log.db").stat().st_size < 2 << 20


def test_first_start_of_a_log_on_a_full_disk(lab, disk):
    disk.fill()
    lab.file("in.ndjson", b"1\n2\n")
    command = ("produce", "local:disk/log.db#in", "in.ndjson", "--partitions=1")
    done = lab.weir(*command)
    assert done.status == 3 and "full" in done.err, done
    disk.free()
    assert lab.weir(*command).status == 0
    assert lab.values("in", path="disk/log.db") == [b"1", b"2"]
