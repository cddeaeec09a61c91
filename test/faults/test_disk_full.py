"""A disk that is full: said once, waited for, and nothing is lost."""
import random
import subprocess
import time

import pytest

from faults.lab import balanced, counts, folder, local, record, table

SIZE = 3 << 20
# More than fits, and no compression helps.
RECORDS = 3000


def fat_record(number):
    return record(number, text=random.Random(number).randbytes(1000).hex())


class Disk:
    """A small file system of its own in the folder `disk` of the lab."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        done = self.call("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "weir-test", path)
        self.is_mounted = done.returncode == 0
        if not self.is_mounted:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")

    @staticmethod
    def call(*words):
        return subprocess.run([str(word) for word in words], capture_output=True, text=True)

    def grow(self):
        done = self.call("mount", "-o", f"remount,size={SIZE * 64}", self.path)
        assert done.returncode == 0, done.stderr

    def fill(self):
        """Whatever is left."""
        try:
            with open(self.path / "ballast", "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            pass

    def free(self):
        (self.path / "ballast").unlink()

    def close(self):
        if self.is_mounted:
            self.call("umount", "-l", self.path)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


def complaints(process):
    return [line for line in process.errors().splitlines() if line.startswith("warning: ")]


def wait_for_complaint(process):
    end = time.monotonic() + 30
    while not complaints(process):
        assert process.is_running() and time.monotonic() < end, process.errors()
        time.sleep(0.01)


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


def test_produce_on_a_full_disk(lab, disk):
    """Exit 3; the same command once more adds what is missing, and nothing twice."""
    values = [fat_record(number) for number in range(RECORDS)]
    lab.file("in.ndjson", b"".join(value + b"\n" for value in values))
    command = ("produce", "local:disk/log.db#in", "in.ndjson", "--partitions=1", "--producer-id=me",
               "--batch-interval=1ms")
    done = lab.weir(*command)
    assert done.status == 3 and "full" in done.err, done
    disk.grow()
    assert lab.weir(*command).status == 0
    assert lab.values("in", path="disk/log.db") == values
