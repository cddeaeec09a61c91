"""Pipeline files that change between two runs: each row keeps the verdict of the plan that judged it."""
import sqlite3

import pytest

from faults.lab import LOG, balanced, counts, folder, local, record, table

N_POSITIVE = [{"name": "limit", "expect": "n >= 0"}]
N_SMALL = [{"name": "limit", "expect": "n < 50"}]


def two_files(lab, **more):
    return lab.write(**{"sinks": {"out": local("out", partitions=1),
                                  "rows": table("rows", path="rows.db")},
                        "dlq": {**local("dead", partitions=1), "include": ["invalid", "late"]},
                        "delivery": {"commit_interval": "1ms"}, **more})


def records(first, end):
    return [record(number) for number in range(first, end)]


def ids(lab, path=LOG):
    return {int(text[1:]) for text, in lab.sql("SELECT id FROM rows", path=path)}


def test_equal_cursors(lab):
    lab.write(checks=N_POSITIVE).produce(records(0, 100))
    assert balanced(lab.ledger()) == counts(valid=100)
    lab.write(checks=N_SMALL).produce(records(0, 10) + records(100, 200) + [record(200, n=1)])
    assert balanced(lab.ledger()) == counts(valid=101, duplicate=10, invalid=100)
    lab.write(checks=N_POSITIVE).produce(records(200, 210))
    assert balanced(lab.ledger()) == counts(valid=110, duplicate=11, invalid=100)
    assert ids(lab) == set(range(100)) | set(range(200, 210))
    lab.audit()


def test_a_longer_window_and_a_shorter_one(lab):
    """What was forgotten under the old plan stays forgotten, and it says from where on it is whole."""
    lab.write(event_time={"field": "at", "lateness": "0s"}, dedup={"key": "id", "window": "10s"})
    lab.produce(records(0, 100))
    lab.run()
    lab.write(dedup={"key": "id", "window": "1h"}).produce(
        [record(100, id="m5"), record(101, id="m95"), record(102, id="m100")])
    done = lab.run()
    assert "remembers longer" in done.err and "offset 100" in done.err, done
    # m5 was forgotten; m95 was not; m100 never was.
    assert sorted(lab.sql("SELECT id FROM rows WHERE n >= 100")) == [("m100",), ("m5",)]
    lab.audit()
    lab.write(dedup={"key": "id", "window": "1s"}).produce([record(110, id="m100"),
                                                            record(110, id="m5")])
    assert balanced(lab.ledger()) == counts(valid=104, duplicate=1)
    lab.audit()


@pytest.mark.parametrize("change", [
    {"dedup": {"key": ["id", "n"], "window": "1h"}},
    {"repair": {"fill": {"text": {"last_by": "n", "max_age": "5m"}}}},
])
def test_another_key_forgets_and_says_so(lab, change):
    fill = {"fill": {"text": {"last_by": "id", "max_age": "5m"}}}
    lab.write(dedup={"key": "id", "window": "1h"}, repair=fill).produce(records(0, 100))
    lab.run()
    lab.write(checks=N_POSITIVE)
    assert "complete only after" not in lab.run().err
    lab.write(**change).produce(records(100, 110))
    done = lab.run()
    assert "remembers by other fields" in done.err and "offset 100" in done.err, done
    assert "complete only after" not in lab.run().err
    lab.audit()


def come_apart(lab, first, end):
    """rows.db is held by somebody else, so that log.db alone gets on; then kill -9."""
    process = lab.start()
    assert process.wait_for("recovered"), process.errors()
    blocker = sqlite3.connect(lab.path / "rows.db", isolation_level=None, timeout=20)
    blocker.execute("BEGIN IMMEDIATE")
    lab.produce(records(first, end))
    lab.wait_committed(process, end)
    process.kill()
    blocker.execute("ROLLBACK")
    blocker.close()
    assert lab.committed() == {"0": end} and lab.committed("rows.db") == {"0": first}


def test_unequal_cursors(lab):
    """What one system has under the old plan, the other one gets under the old plan."""
    two_files(lab, checks=N_POSITIVE).produce(records(0, 10))
    lab.run()
    come_apart(lab, 10, 60)
    two_files(lab, checks=N_SMALL).produce(records(60, 70) + [record(70, n=7)])
    done = lab.run()
    assert "open epochs are finished under the old one" in done.err, done
    assert lab.committed() == lab.committed("rows.db") == {"0": 71}
    assert ids(lab, "rows.db") == set(range(60)) | {70}
    assert lab.values() == [record(number) for number in range(60)] + [record(70, n=7)]
    assert sorted(lab.letters()) == list(range(60, 70))
    lab.audit()


@pytest.mark.parametrize("stays", ["out", "rows"])
def test_unequal_cursors_and_a_place_that_is_taken_out(lab, stays):
    """The one that goes may be behind or ahead: the old plan finishes it, the new one begins there."""
    two_files(lab, checks=N_POSITIVE).produce(records(0, 10))
    lab.run()
    come_apart(lab, 10, 60)
    sinks = {stays: lab.pipeline["sinks"][stays], "new": table("new", path="new.db")}
    two_files(lab, checks=N_SMALL).write(sinks=sinks, dlq=None).produce([record(60, n=7)])
    done = lab.run()
    assert "does not name any more" in done.err and "finished under the old one" in done.err, done
    assert lab.values()[:60] == [record(number) for number in range(60)]
    assert ids(lab, "rows.db") >= set(range(60))
    assert lab.sql("SELECT id FROM new", path="new.db") == [("m60",)]
    lab.audit()


def test_unequal_cursors_and_a_place_that_was_given_up(lab):
    """It was moved away, as the message says."""
    two_files(lab, checks=N_POSITIVE).produce(records(0, 10))
    lab.run()
    come_apart(lab, 10, 60)
    for name in ("rows.db", "rows.db-wal", "rows.db-shm"):
        (lab.path / name).unlink(missing_ok=True)
    lab.write(sinks={"out": lab.pipeline["sinks"]["out"]}, checks=N_SMALL).produce([record(60, n=7)])
    assert "finished under the old one" not in lab.run().err
    assert lab.values() == [record(number) for number in range(60)] + [record(60, n=7)]


def test_unequal_cursors_and_a_sigterm_meanwhile(lab):
    """At the latest the next start brings them together."""
    two_files(lab, checks=N_POSITIVE).produce(records(0, 10))
    lab.run()
    for first, last in ((10, 2000), (2000, 4000), (4000, 6000)):
        come_apart(lab, first, last)
        two_files(lab, checks=N_SMALL)
        process = lab.start("--until-end")
        assert process.wait_for("the plan has changed"), process.errors()
        assert process.terminate() == 0, process.errors()
        lab.run()
        assert lab.committed() == lab.committed("rows.db") == {"0": last}
        lab.write(checks=N_POSITIVE)
        lab.run()
    assert ids(lab, "rows.db") == set(range(6000))
    lab.audit()


def test_unequal_cursors_and_a_kill_meanwhile(lab):
    two_files(lab, checks=N_POSITIVE).produce(records(0, 10))
    lab.run()
    come_apart(lab, 10, 3000)
    two_files(lab, checks=N_SMALL)
    for _ in range(3):
        process = lab.start("--until-end")
        process.wait_for("the plan has changed")
        process.kill()
    lab.run()
    assert ids(lab, "rows.db") == set(range(3000))
    lab.audit()


def test_a_system_that_is_away_while_the_plan_changes(lab):
    """The one that is ahead does not take rows twice, the one behind none under the wrong plan."""
    two_files(lab, dedup={"key": "n", "window": "30m"}).produce(records(0, 10))
    lab.run()
    come_apart(lab, 10, 20)
    # Under the new plan nothing is a duplicate.
    two_files(lab, dedup=None).produce([record(20, n=15)])
    assert balanced(lab.ledger()) == counts(valid=21)
    assert ids(lab, "rows.db") == set(range(21))
    lab.audit()


def test_columns_that_come_and_go(lab):
    """Rows of the old plan lack the new column, and keep what the new plan does not write."""
    lab.write(sinks={"out": local("out", partitions=1), "rows": table("rows"),
                     "last": table("last", mode="upsert", key="id", newest_by="at"),
                     "lines": folder("lines")},
              dlq={**local("dead", partitions=1), "include": ["invalid", "late"]})
    lab.produce([record(number, text="old") for number in range(10)])
    lab.run()
    lab.write(transform={"set": {"twice": "n * 2"}, "drop": ["text"]}).produce(records(10, 20))
    assert 'ALTER TABLE "rows" ADD COLUMN "twice"' in lab.refused("sink.missing_column").err
    for name in ("rows", "last"):
        lab.sql(f"ALTER TABLE {name} ADD COLUMN twice REAL")
    assert balanced(lab.ledger()) == counts(valid=20)
    assert lab.sql("SELECT count(*), count(twice) FROM rows") == [(20, 10)]
    lab.audit()
    lab.sql("UPDATE rows SET twice = 4 WHERE id = 'm2'")
    assert "altered: the row of in [0] offset 2" in lab.audit(status=1)
    lab.sql("UPDATE rows SET twice = NULL WHERE id = 'm2'")
    lab.sql("UPDATE last SET n = 4 WHERE id = 'm3'")
    assert "altered: the row of in [0] offset 3" in lab.audit(status=1)
    lab.sql("UPDATE last SET n = 3 WHERE id = 'm3'")
    lab.sql("UPDATE rows SET twice = 4 WHERE id = 'm12'")
    assert "altered: the row of in [0] offset 12" in lab.audit(status=1)


def test_knobs_are_no_change_of_the_plan(lab):
    lab.write(delivery={"commit_interval": "100ms"}).produce(records(0, 10))
    lab.run()
    before = lab.sql("SELECT hash FROM weir_plan")
    lab.write(delivery={"commit_interval": "1ms"},
              state={"memory": "64MiB"}).produce(records(10, 20))
    assert balanced(lab.ledger()) == counts(valid=20)
    assert lab.sql("SELECT hash FROM weir_plan") == before
    assert lab.sql("SELECT count(*) FROM weir_ledger") == [(1,)]


def test_a_change_of_the_schema_file_is_a_change_of_the_plan(lab):
    lab.file("s.json",
             '{"type": "object", "properties": {"id": {"type": "string"}, "at": {"type": "string",'
             ' "format": "date-time"}, "n": {"type": "number"}, "text": {"type": "string"}}}')
    lab.write(schema="s.json").produce(records(0, 10))
    lab.run()
    schema = (lab.path / "s.json").read_text()
    lab.file("s.json", schema.replace('"number"', '"number", "maximum": 14'))
    lab.produce(records(10, 20))
    assert balanced(lab.ledger()) == counts(valid=15, invalid=5)
    assert len(lab.sql("SELECT hash FROM weir_plan")) == 2
    (lab.path / "s.json").unlink()
    lab.write(schema={"type": "object", "properties": {"id": {"type": "string"}}}, event_time=None,
              dedup={"key": "id", "window": "unlimited"}, sinks={"out": local("out", partitions=1)})
    lab.audit()
