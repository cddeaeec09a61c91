"""Rows that a table refuses, with the dead letters in another system: each forwarded exactly once."""
import json
import random
import sqlite3
import time

import pytest

from faults import batches
from faults.lab import balanced, counts, folder, local, record, table

OTHER = "other.db"
COLUMNS = ("id TEXT, at TEXT, n REAL, text TEXT, _weir_topic TEXT, _weir_partition INTEGER,"
           " _weir_offset INTEGER")
CHECK = f"CREATE TABLE rows ({COLUMNS}, CHECK (n >= 0))"


def apart(lab, **changes):
    """The table in another file than the log and its dead letters."""
    lab.write(**{"sinks": {"out": local("out", partitions=1), "rows": table("rows", path=OTHER)},
                 "dedup": None, **changes})
    return lab


def value(number):
    return record(number, n=-number if number % 10 == 3 else number)


def letters(lab):
    """(partition, offset) -> (value, headers) of the dead letters, none of them twice."""
    found = {}
    for _, _, _, body, headers in lab.records("dead"):
        place = int(headers["weir.partition"]), int(headers["weir.offset"])
        assert place not in found, place
        found[place] = body, headers
    return found


def rejects(lab, path=OTHER):
    return set(lab.sql('SELECT CAST(partition AS INTEGER), "offset" FROM weir_rejects', path=path))


def test_dead_letters_of_refused_rows_go_to_another_system(lab):
    apart(lab).produce([])
    headers = [("trace", b"\0\xff"), ("none", None)]
    records = [(b"key", value(0)), (None, value(3), headers), (b"", value(1)), (b"\xff", value(13))]
    batches.append(lab, "in", records)
    lab.script(CHECK, path=OTHER)
    ledger = lab.ledger()
    assert balanced(ledger) == counts(valid=4)
    sums = {name: (sink["routed"], sink["written"], sink["rejected"])
            for name, sink in ledger["sinks"].items()}
    assert sums == {"out": (4, 4, 0), "rows": (4, 2, 2), "dlq": (0, 0, 0)}
    assert ledger["forwarded"] == {"rows": 2}
    assert "dlq: forwarded 2 of rows that rows refused\n" in lab.run().out
    found = lab.letters()
    assert sorted(found) == [1, 3]
    assert found[1][:2] == (None, value(3)) and found[3][:2] == (b"\xff", value(13))
    assert headers == [pair for pair in lab.raw_headers("dead")[0] if pair in headers]
    one = found[1][2]
    assert (one["weir.reason"], one["weir.sink"], one["weir.attempt"], one["weir.pipeline"],
            one["weir.topic"]) == ("sink.constraint_check", "rows", "1", "p", "in")
    (plan,), = lab.sql("SELECT hash FROM weir_plan")
    assert one["weir.plan"] == plan and "weir.timestamp" in one
    violation, = json.loads(one["weir.violations"])
    assert violation["reason"] == "sink.constraint_check"
    lab.audit()


def test_a_second_run_forwards_nothing_again(lab):
    apart(lab).produce([value(number) for number in range(100)], partitions=3)
    lab.script(CHECK, path=OTHER)
    lab.run()
    lab.run()
    assert set(letters(lab)) == rejects(lab) and len(letters(lab)) == 10
    lab.produce([value(number) for number in range(100, 200)], partitions=3)
    lab.run()
    assert set(letters(lab)) == rejects(lab) and len(letters(lab)) == 20
    lab.audit()


def test_forwarded_letters_are_held_against_the_ledger_when_their_input_is_gone(lab):
    apart(lab).produce([value(number) for number in range(20)])
    lab.script(CHECK, path=OTHER)
    lab.run()
    lab.produce([value(number) for number in range(20, 40)])
    lab.run()
    lab.sql("DELETE FROM weir_batch WHERE topic = 1 AND base_offset < 20")
    lab.sql("UPDATE weir_partition SET first_offset = 20 WHERE topic = 1")
    said = lab.audit()
    assert "dlq: 4 rows are what the ledger says was written" in said and "unverifiable 1" in said, said
    assert "rows: 36 rows are what the ledger says was written" in said, said


def test_more_than_one_chunk(lab):
    apart(lab).produce([record(number, n=-1, text="x" * 300) for number in range(6000)])
    lab.script(CHECK, path=OTHER)
    lab.run()
    assert len(letters(lab)) == 6000
    assert set(letters(lab)) == rejects(lab)
    lab.audit()


def test_two_tables_in_two_systems(lab):
    apart(lab, sinks={"out": local("out", partitions=1), "rows": table("rows", path=OTHER),
                      "more": table("rows", path="more.db")})
    lab.produce([value(number) for number in range(50)])
    lab.script(CHECK, path=OTHER)
    lab.script(CHECK.replace("n >= 0", "n >= 10 OR n < -20"), path="more.db")
    lab.run()
    found = sorted((headers["weir.sink"], int(headers["weir.offset"]))
                   for *_, headers in lab.records("dead"))
    bad = [number for number in range(50) if number % 10 == 3]
    low = [number for number in range(50)
           if number in bad and number <= 20 or number not in bad and number < 10]
    assert found == sorted([("rows", number) for number in bad] + [("more", n) for n in low])
    lab.audit()


def test_a_letter_that_is_gone_or_twice_is_named(lab):
    apart(lab, dlq=table("dead")).produce([value(number) for number in range(50)])
    lab.script(CHECK, path=OTHER)
    lab.run()
    lab.sql("DELETE FROM dead WHERE \"offset\" = 3")
    assert "dlq: missing: the row of in [0] offset 3" in lab.audit(status=1)
    lab.sql("INSERT INTO dead SELECT * FROM dead WHERE \"offset\" IN (13, 23)")
    assert "dlq: doubled: the row of in [0] offset 13" in lab.audit(status=1)


def test_refused_rows_that_somebody_deleted(lab):
    apart(lab).produce([value(number) for number in range(50)])
    lab.script(CHECK, path=OTHER)
    lab.run()
    lab.sql("DELETE FROM weir_rejects WHERE \"offset\" = 3", path=OTHER)
    out = lab.audit(status=1)
    assert "5 dead letters of rows that rows refused were forwarded, and 4 are kept" in out


@pytest.mark.parametrize("name, word", [("letters-unbooked", "counted for dead letters elsewhere"),
                                        ("letters-again", "dlq: ")])
def test_a_broken_forwarding_is_caught(lab, weir, weir_break, monkeypatch, name, word):
    """By the audit of the sound build: letters that are lost, letters that come twice."""
    apart(lab).produce([value(number) for number in range(50)])
    lab.script(CHECK, path=OTHER)
    monkeypatch.setenv("WEIR_BREAK", name)
    lab.program = weir_break
    lab.run()
    lab.run()
    monkeypatch.delenv("WEIR_BREAK")
    lab.program = weir
    assert len(lab.letters_of_all()) == {"letters-unbooked": 0, "letters-again": 10}[name]
    assert word in lab.audit(status=1)


@pytest.mark.parametrize("seed_step", range(3))
def test_kills_between_commit_and_forwarding(lab, seed, seed_step, long_run):
    """kill -9 at any moment: no dead letter is lost or doubled."""
    rng = random.Random(seed + seed_step)
    apart(lab, delivery={"commit_interval": "1ms"}).produce([], partitions=3)
    lab.script(CHECK, path=OTHER)
    count = 0
    for _ in range(40 if long_run else 8):
        lab.produce([value(number) for number in range(count, count + 3000)], partitions=3)
        count += 3000
        process = lab.start()
        time.sleep(rng.uniform(0.003, 0.06))  # any moment
        process.kill()
        process.wait()
    lab.run()
    assert set(letters(lab)) == rejects(lab)
    assert len(letters(lab)) == count // 10
    lab.audit()


def killed_between(lab):
    """The table has refused rows, and their dead letters could not be written before a kill -9."""
    apart(lab, dlq=local("dead", path="dead.db", partitions=1),
          delivery={"commit_interval": "5ms"}).produce([value(0)])
    lab.script(CHECK, path=OTHER)
    process = lab.start()
    lab.wait_committed(process, 1, path=OTHER)
    lab.wait_committed(process, 1, path="dead.db")
    holder = sqlite3.connect(lab.path / "dead.db", isolation_level=None, timeout=20)
    holder.execute("BEGIN IMMEDIATE")
    lab.produce([value(number) for number in range(1, 50)])
    lab.wait_committed(process, 50, path=OTHER)
    process.kill()
    process.wait()
    holder.execute("ROLLBACK")
    holder.close()
    assert len(rejects(lab)) == 5 and lab.letters(path="dead.db") == {}


def test_a_kill_between_commit_and_forwarding(lab):
    killed_between(lab)
    lab.run()
    assert sorted(lab.letters_of_all(path="dead.db")) == [3, 13, 23, 33, 43]
    lab.audit()


def test_audit_says_what_is_due(lab):
    """Before the next run the letters are not missing, but owed."""
    killed_between(lab)
    assert "other.db: some refused rows of in [0] have no dead letters yet" in lab.audit()


@pytest.mark.parametrize("dlq", [None, local("dead", path="moved.db", partitions=1),
                                 local("other", path="dead.db", partitions=1)])
def test_the_plan_of_before_forwards_what_it_owes(lab, dlq):
    """A dlq that moves or ends after a crash: what was refused before goes to the old place."""
    killed_between(lab)
    lab.write(dlq=dlq).produce([value(number) for number in range(50, 60)])
    lab.run()
    assert sorted(lab.letters_of_all(path="dead.db")) == [3, 13, 23, 33, 43]
    if dlq is not None:
        place = dlq["local"]
        assert lab.letters_of_all(place["topic"], path=place["path"]) == [53]
    lab.audit()


def test_audit_after_the_dlq_got_another_name(lab):
    apart(lab, dlq=local("dead", path="dead.db", partitions=1))
    lab.produce([value(number) for number in range(50)])
    lab.script(CHECK, path=OTHER)
    lab.run()
    lab.audit()
    lab.write(dlq=local("dead2", path="dead.db", partitions=1))
    lab.produce([value(number) for number in range(50, 60)])
    lab.run()
    lab.audit()
    lab.sql("UPDATE weir_rejects SET message = 'another'", path=OTHER)
    assert "forwarded" in lab.audit(status=1)


def test_owed_letters_where_all_systems_stand_at_one_offset(lab):
    """Only what is due says that the plan of before has not finished."""
    dead = {**local("dead", path="dead.db", partitions=1),
            "batch": {"interval": "1h", "max_records": 2}}
    apart(lab, dlq=dead, delivery={"commit_interval": "5ms"}).produce([value(3), b"{", b"["])
    lab.script(CHECK, path=OTHER)
    process = lab.start()
    for path in (OTHER, "dead.db", "log.db"):
        lab.wait_committed(process, 3, path=path)
    time.sleep(0.5)  # what is read back waits for a second letter
    process.kill()
    process.wait()
    assert sorted(lab.letters_of_all(path="dead.db")) == [1, 2]
    lab.write(dlq=local("other", path="dead.db", partitions=1)).produce([value(13)]).run()
    assert sorted(lab.letters_of_all(path="dead.db")) == [0, 1, 2]
    assert lab.letters_of_all("other", path="dead.db") == [3]


def test_letters_of_before_are_not_forwarded_later(lab):
    """Refused rows whose dead letters nobody wanted, or that have them in the table's own file."""
    lab.write(dedup=None, sinks={"out": local("out", partitions=1), "rows": table("rows", path=OTHER)},
              dlq=local("dead", path=OTHER, partitions=1))
    lab.produce([value(number) for number in range(20)])
    lab.script(CHECK, path=OTHER)
    lab.run()
    lab.write(dlq=None).produce([value(number) for number in range(20, 40)]).run()
    lab.write(dlq=local("dead", path="dead.db", partitions=1))
    lab.produce([value(number) for number in range(40, 60)]).run()
    assert sorted(lab.letters_of_all(path=OTHER)) == [3, 13]
    assert sorted(lab.letters_of_all(path="dead.db")) == [43, 53]


def test_a_folder_takes_no_letters_of_other_systems(lab):
    apart(lab, dlq=folder("dead")).produce([value(0)])
    said = lab.refused("config.unsupported").err
    assert "rows that sink 'rows' (sqlite) refuses come later" in said and "name a topic or a table as dlq" in said


def test_what_a_cluster_refuses_stays_in_it(lab):
    """A topic's refused rows are not kept, so no dlq elsewhere can have their dead letters."""
    lab.write(sinks={"out": {"kafka": {"brokers": ["127.0.0.1:1"], "topic": "out"}}}, dlq=local("dead"))
    done = lab.weir("lint", "p.yaml")
    assert done.status == 2 and "sink 'out' (kafka) refuses only the reason is kept" in done.err, done
    assert "a topic of the same cluster" in done.err
    lab.write(dlq={**local("dead"), "include": ["invalid", "late"]})
    assert lab.weir("lint", "p.yaml").status == 0
