"""Sources that are empty, grow, are edited, or lose what is remembered of them."""
import json
import sqlite3

import pytest

from faults.lab import folder, record, table


def lines(*numbers, **more):
    return b"".join(record(number, **more) + b"\n" for number in numbers)


def files(*names):
    return {"file": {"path": list(names)}, "format": "json"}


def audit(lab, status=0):
    done = lab.weir("audit", "p.yaml", "--json")
    assert done.status == status, done
    return json.loads(done.out)


def test_a_file_that_was_empty_at_the_first_start(lab):
    lab.file("in.ndjson", b"")
    lab.write(source=files("in.ndjson"), sinks={"rows": table("rows")}, dlq=None)
    lab.run()
    lab.file("in.ndjson", lines(1, 2))
    assert lab.ledger()["in"] == 2
    lab.file("in.ndjson", lines(1, 2, 3))
    assert lab.ledger()["in"] == 3
    audit(lab)
    lab.file("in.ndjson", lines(9, 8, 7, 6))
    lab.refused("source.recreated")


@pytest.mark.parametrize("newest_by", [True, False])
def test_upserts_of_several_files(lab, newest_by):
    lab.file("b.ndjson", lines(1, text="b"))
    lab.file("a.ndjson", lines(1, text="a"))
    more = {"newest_by": "at"} if newest_by else {}
    lab.write(source=files("b.ndjson", "a.ndjson"), dlq=None,
              sinks={"rows": table("rows", mode="upsert", key=["id"], **more)})
    lab.run()
    audit(lab)


@pytest.mark.parametrize("sink", [{"rows": table("rows")}, {"rows": folder("rows")}])
def test_files_come(lab, sink):
    lab.file("a.ndjson", lines(1, 2))
    lab.write(source=files("a.ndjson"), dlq=None, sinks=sink)
    lab.run()
    lab.file("b.ndjson", lines(3, 4, 4))
    lab.write(source=files("b.ndjson", "a.ndjson"))
    assert lab.ledger()["in"] == 5
    audit(lab)


@pytest.mark.parametrize("other", ["./a.ndjson", "symbolic.ndjson", "hard.ndjson"])
def test_one_file_by_two_names(lab, other):
    """Its records would come in twice."""
    lab.file("a.ndjson", lines(1, 2))
    (lab.path / "symbolic.ndjson").symlink_to("a.ndjson")
    (lab.path / "hard.ndjson").hardlink_to(lab.path / "a.ndjson")
    lab.write(source=files("a.ndjson", other), dlq=None, sinks={"rows": table("rows")})
    said = lab.refused("config.value").err
    assert "a.ndjson and " + other in said, said


def test_files_go(lab):
    lab.file("a.ndjson", lines(1, 2))
    lab.file("b.ndjson", lines(3, 4, 4))
    lab.write(source=files("b.ndjson", "a.ndjson"), dlq=None, sinks={"rows": table("rows")})
    lab.run()
    lab.write(source=files("a.ndjson"))
    lab.run()
    assert audit(lab)["unverifiable"] == 1


def test_an_edited_file_beside_a_snapshot(lab):
    """The first line is as it was, and so is the size."""
    lab.file("a.ndjson", lines(1, 2, 3))
    lab.write(source=files("a.ndjson"), dlq=None, sinks={"rows": table("rows")})
    lab.run()
    lab.file("a.ndjson", lines(1, 2, 4))
    lab.refused("source.changed")


def test_an_edited_file_before_the_last_line(lab):
    lab.file("a.ndjson", lines(1, 2, 3))
    lab.write(source=files("a.ndjson"), dlq=None, sinks={"rows": table("rows")})
    lab.run()
    lab.file("a.ndjson", lines(1, 9, 3))
    done = lab.weir("audit", "p.yaml")
    assert done.status == 1, done


def test_progress_of_one_partition_is_gone(lab):
    lab.write(dlq=None, sinks={"rows": table("rows", "rows.db")})
    assert lab.weir("produce", "local:log.db#in", "--key", "id",
                    data=lines(*range(50))).status == 0
    lab.run()
    with sqlite3.connect(lab.path / "rows.db") as database:
        database.execute("DELETE FROM weir_progress WHERE partition = '1'")
    lab.refused("progress.lost", status=3)


def test_progress_of_all_partitions_is_gone(lab):
    lab.write(dlq=None, sinks={"rows": table("rows", "rows.db")})
    assert lab.weir("produce", "local:log.db#in", "--key", "id",
                    data=lines(*range(50))).status == 0
    lab.run()
    with sqlite3.connect(lab.path / "rows.db") as database:
        database.execute("DELETE FROM weir_progress")
    lab.refused("progress.lost", status=3)
    lab.run("--init", status=3)


def test_triggers_that_drop_rows_silently(lab):
    lab.write(dlq=None, sinks={"rows": table("rows")})
    assert lab.weir("produce", "local:log.db#in", data=lines(1, 2)).status == 0
    lab.run()
    with sqlite3.connect(lab.path / "log.db") as database:
        database.execute("CREATE TRIGGER t BEFORE INSERT ON rows WHEN new.n = 3 BEGIN SELECT"
                         " RAISE(IGNORE); END")
        database.execute("CREATE TRIGGER f AFTER INSERT ON rows WHEN new.n = 4 BEGIN SELECT"
                         " RAISE(FAIL, 'no'); END")
    assert lab.weir("produce", "local:log.db#in", data=lines(3, 4, 5)).status == 0
    ledger = lab.ledger()
    sink = ledger["sinks"]["rows"] if isinstance(ledger["sinks"], dict) else ledger["sinks"][0]
    assert sink["written"] == 3 and sink["rejected"] == 2, ledger
    audit(lab)


def test_sixty_four_sinks(lab):
    lab.write(dlq=None, sinks={f"s{i}": {**table(f"t{i}"), "when": f"n = {i}"} if i else
                               table("t0") for i in range(64)})
    assert lab.weir("produce", "local:log.db#in", data=lines(*range(64))).status == 0
    lab.run()
    audit(lab)
    lab.write(dlq=None, sinks={f"s{i}": table(f"t{i}") for i in range(65)})
    lab.run(status=2)
