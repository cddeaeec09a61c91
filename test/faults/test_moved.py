"""A log that is deleted or replaced under its users: they stop and say so."""
import shutil
import subprocess
import time

import pytest

from crash.killer import Weir
from faults.lab import LOG, record


def feed(lab):
    """A producer that gets its lines one by one."""
    return subprocess.Popen([str(lab.program), "produce", f"local:{LOG}#in", "--partitions=1",
                             "--batch-interval=1ms"], cwd=lab.path, stdin=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def count_records(lab):
    done = lab.weir("tail", f"local:{LOG}#in")
    return len(done.out.splitlines()) if done.status == 0 else 0


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_log_that_is_gone_stops_its_users(lab, how):
    producer = feed(lab)
    producer.stdin.write(b"1\n")
    producer.stdin.flush()
    wait_for(lambda: count_records(lab) == 1)
    reader = Weir(lab.program, "tail", f"local:{LOG}#in", "--follow", cwd=lab.path)
    wait_for(lambda: reader.out() == "1")
    kept = lab.path / "kept.db"
    for ending in ("", "-wal"):
        shutil.copy(lab.path / f"{LOG}{ending}", f"{kept}{ending}")
    for ending in ("", "-wal", "-shm"):
        if how == "moved":
            (lab.path / f"{LOG}{ending}").rename(lab.path / f"aside.db{ending}")
        else:
            (lab.path / f"{LOG}{ending}").unlink()
    if how == "replaced":
        shutil.copy(kept, lab.path / LOG)
    producer.stdin.write(b"2\n")
    _, said = producer.communicate(timeout=30)
    assert producer.returncode == 3 and b"log.moved" in said, said
    assert reader.wait() == 3 and "log.moved" in reader.errors(), reader.errors()


def test_a_pipeline_whose_file_is_deleted(lab):
    lab.write(source={"local": {"path": "source.db", "topic": "in"}, "format": "json"})
    lab.produce([record(0)], path="source.db")
    process = lab.start()
    lab.wait_committed(process, 1)
    for ending in ("", "-wal", "-shm"):
        (lab.path / f"{LOG}{ending}").unlink()
    lab.produce([record(1)], path="source.db")
    wait_for(lambda: not process.is_running())
    assert process.wait() == 3 and "log.moved" in process.errors(), process.errors()


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_file_that_another_one_replaces(lab, goes_on):
    """Rotated by renaming, or saved by an editor."""
    first = record(0) + b"\n"
    lab.file("in.ndjson", first)
    lab.write(source={"file": {"path": "in.ndjson"}, "format": "json"})
    process = lab.start()
    lab.wait_committed(process, len(first))
    with open(lab.path / "in.ndjson", "ab") as file:
        file.write(record(1) + b"\n")
    lab.file("new", (first + record(1) + b"\n" if goes_on else b"") + record(2) + b"\n")
    (lab.path / "new").rename(lab.path / "in.ndjson")
    wait_for(lambda: not process.is_running())
    assert process.wait() == 2 and "source.replaced" in process.errors(), process.errors()
    if goes_on:
        assert lab.ledger()["in"] == 3
        lab.audit()
    else:
        lab.refused("source.recreated")
