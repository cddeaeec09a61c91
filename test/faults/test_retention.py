"""Records that retention deleted before they were read: refused, or given up and booked; never passed over."""
import shutil
import sqlite3
import time

import pytest

from faults.lab import balanced, counts, folder, local, record, table

SOURCE = {**local("in", path="source.db"), "format": "json"}


def make(lab, **changes):
    lab.write(source=SOURCE, state={"path": "state"}, **changes)
    assert lab.weir("topic", "create", "local:source.db#in", "--partitions", "1").status == 0
    return lab


def produce(lab, first, end):
    for number in range(first, end):
        lab.produce([record(number)], path="source.db")
    return lab


def trim_all(lab):
    """Whatever the source holds now."""
    for words in (("alter", "local:source.db#in", "--retention", "1us"),
                  ("trim", "local:source.db"),
                  ("alter", "local:source.db#in", "--retention", "unlimited")):
        done = lab.weir("topic", *words)
        assert done.status == 0, done


def expect_refusal(lab, *words):
    done = lab.refused("source.offset_expired")
    for word in words:
        assert word in done.err, (word, done.err)


@pytest.mark.parametrize("kind", ["log", "folder"])
def test_a_gap_is_refused_or_booked(lab, kind):
    if kind == "log":
        make(lab)
    else:
        make(lab, sinks={"out": folder("out")}, dlq=None)
    produce(lab, 0, 10).run()
    produce(lab, 10, 20)
    trim_all(lab)
    expect_refusal(lab, "offsets 10 to 19", "--accept-loss")
    produce(lab, 20, 25)
    expect_refusal(lab, "offsets 10 to 19", "--accept-loss")
    done = lab.run("--accept-loss")
    assert "offsets 10 to 19 of 'in' [0] are booked as lost" in done.err, done
    assert "lost 10, deleted by the source" in done.out
    ledger = lab.ledger()
    assert balanced(ledger) == counts(valid=15) and ledger["lost"] == 10
    # What came before the gap is no longer known as seen: the gap says so.
    produce(lab, 5, 6)
    produce(lab, 22, 23)
    ledger = lab.ledger("--accept-loss")
    assert balanced(ledger) == counts(valid=16, duplicate=1) and ledger["lost"] == 10
    # And audit never says that it is fine.
    said = lab.audit(status=1)
    assert "what the ledger says was written" in said and "lost 10 · unver" in said, said
    assert "offsets 10 to 19 of in [0] were deleted before they were read" in said, said
    # State after the gap is a function of the log that is there.
    shutil.rmtree(lab.path / "state")
    produce(lab, 24, 25)
    assert balanced(lab.ledger()) == counts(valid=16, duplicate=2)


def test_gaps_that_follow_each_other(lab):
    make(lab)
    for first in (0, 20, 40):
        produce(lab, first, first + 10).run("--accept-loss")
        produce(lab, first + 10, first + 20)
        trim_all(lab)
    ledger = lab.ledger("--accept-loss")
    assert balanced(ledger) == counts(valid=30) and ledger["lost"] == 30
    assert lab.committed() == {"0": 60}


def test_what_several_systems_lost_counts_once(lab):
    make(lab, sinks={"out": local("out", partitions=1), "rows": table("rows", path="other.db"),
                     "parts": folder("parts")}, dlq=None)
    for first in (0, 20):
        produce(lab, first, first + 10).run("--accept-loss")
        produce(lab, first + 10, first + 20)
        trim_all(lab)
    assert lab.ledger("--accept-loss")["lost"] == 20
    said = lab.audit(status=1)
    assert "lost 20 · unver" in said, said
    for system in ("log.db", "other.db", "parts/"):
        assert f"{system}: offsets 10 to 19 of in [0] were deleted" in said, said


def test_a_system_behind_the_others_joins_them(lab):
    """One place could not be written to for a while; what it missed is lost there, not everywhere."""
    make(lab, sinks={"out": local("out", partitions=1), "rows": table("rows", path="other.db")},
         dlq=None, delivery={"commit_interval": "5ms"})
    process = lab.start()
    produce(lab, 0, 10).wait_committed(process, 10)
    lab.wait_committed(process, 10, "other.db")
    blocker = sqlite3.connect(lab.path / "other.db", isolation_level=None, timeout=20)
    blocker.execute("BEGIN IMMEDIATE")
    produce(lab, 10, 20).wait_committed(process, 20)
    process.kill()
    blocker.execute("ROLLBACK")
    blocker.close()
    trim_all(lab)
    produce(lab, 20, 25)
    expect_refusal(lab, "other.db has come only to 10", "offsets 10 to 19")
    done = lab.run("--accept-loss", "--accept-incomplete-state")
    assert "other.db: offsets 10 to 19" in done.err and "given up" not in done.err, done
    assert [len(lab.values("out")), lab.sql("SELECT count(*) FROM rows", path="other.db")[0][0]] == \
        [25, 15]
    assert lab.committed() == {"0": 25} == lab.committed("other.db")
    lab.audit(status=1)


def test_state_that_cannot_be_rebuilt(lab):
    make(lab)
    produce(lab, 0, 10).run()
    trim_all(lab)
    produce(lab, 10, 12).run()  # a snapshot is there
    shutil.rmtree(lab.path / "state")
    trim_all(lab)
    expect_refusal(lab, "no snapshot", "--accept-incomplete-state", "goes on at 12")
    expect_refusal(lab, "no snapshot", "--accept-incomplete-state", "goes on at 12")
    produce(lab, 12, 13)
    produce(lab, 5, 6)
    done = lab.run("--accept-incomplete-state")
    assert "nothing is remembered of what stood before offset 12" in done.err, done
    assert balanced(lab.ledger()) == counts(valid=14)
    # From now on it can be rebuilt.
    shutil.rmtree(lab.path / "state")
    produce(lab, 12, 13)
    assert balanced(lab.ledger()) == counts(valid=14, duplicate=1)
    assert "cannot be judged again" in lab.audit()


def test_retention_overtakes_a_run(lab):
    """It stops and says why; the next start says what is lost."""
    values = [record(number, text="x" * 4000) for number in range(6000)]
    make(lab, sinks={"out": local("out", partitions=1)}, dlq=None, dedup=None,
         delivery={"commit_interval": "5ms"})
    process = lab.start()
    lab.produce(values[:10], path="source.db").wait_committed(process, 10)
    blocker = sqlite3.connect(lab.path / "log.db", isolation_level=None, timeout=20)
    blocker.execute("BEGIN IMMEDIATE")
    lab.produce(values[10:], path="source.db")
    end = time.monotonic() + 30
    while "log.busy" not in process.errors():
        assert process.is_running() and time.monotonic() < end, process.errors()
        time.sleep(0.01)
    trim_all(lab)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert process.wait() == 2, process.errors()
    assert "source.offset_expired" in process.errors() and "alter" in process.errors()
    taken = lab.committed()["0"]
    assert 10 < taken < 6000
    expect_refusal(lab, f"offsets {taken} to 5999")
    ledger = lab.ledger("--accept-loss")
    assert balanced(ledger) == counts(valid=taken) and ledger["lost"] == 6000 - taken
    assert lab.values() == values[:taken]
