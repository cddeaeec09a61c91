"""Places that come, go and move between two plans: each row is where its plan sent it, once, and audit says so.

Whatever is refused says the one way on, and that way works.
"""
import json
import os
import shutil
import sqlite3

import pytest

from checker.log import murmur2
from faults.lab import LOG, balanced, counts, folder, local, record, table


def records(first, end):
    return [record(number) for number in range(first, end)]


def ids(lab, path, name="rows"):
    return {int(text[1:]) for text, in lab.sql(f"SELECT id FROM {name}", path=path)}


def lines(lab, name):
    return sorted(lab.lines_in(name))


def no_snapshots(lab):
    for path in lab.path.glob("*.state/*"):
        path.unlink()


A, B, C = table("rows", path="a.db"), table("rows", path="b.db"), folder("lines")


# --- from one system to another, over a plan that has both ---

@pytest.mark.parametrize("second", [B, C], ids=["file", "folder"])
def test_a_system_that_takes_the_place_of_another(lab, second):
    """The one that stays is asked for the texts of plans of before its time."""
    lab.write(sinks={"a": A}, dlq=None).produce(records(0, 10))
    lab.run()
    lab.write(sinks={"a": A, "b": second}).produce(records(10, 20))
    lab.run()
    lab.audit()
    lab.write(sinks={"b": second}).produce(records(20, 30) + records(0, 5) + records(12, 17))
    no_snapshots(lab)
    assert balanced(lab.ledger()) == counts(valid=20, duplicate=10)
    assert ids(lab, "a.db") == set(range(20))
    if second is B:
        assert ids(lab, "b.db") == set(range(10, 30))
    else:
        assert lab.lines_in("lines") == records(10, 30)
    lab.audit()
    lab.write(sinks={"c": table("rows", path="c.db"), "b": second}).produce(records(30, 40))
    lab.run()
    lab.write(sinks={"c": table("rows", path="c.db")}).produce(records(40, 50) + records(5, 15))
    no_snapshots(lab)
    lab.run()
    assert ids(lab, "c.db") == set(range(30, 50))
    lab.audit()


# --- all places at once ---

MOVES = {
    "file": ({"out": local("out", path="new.db", partitions=1),
              "rows": table("rows", path="new.db")},
             {**local("dead", path="new.db", partitions=1), "include": ["invalid", "late"]}),
    "folders": ({"out": folder("out"), "rows": folder("rows")},
                {**folder("dead"), "include": ["invalid", "late"]}),
}


@pytest.mark.parametrize("source", [LOG, "in.db"])
@pytest.mark.parametrize("name", MOVES)
def test_all_places_moved_at_once(lab, name, source):
    """There is no R where the file looks, but the source's group says that this is no first start."""
    before = {"out": local("out", partitions=1), "rows": table("rows")}
    dlq = {**local("dead", partitions=1), "include": ["invalid", "late"]}
    lab.write(source=local("in", path=source), sinks=before, dlq=dlq).produce(records(0, 10), path=source)
    lab.run()
    sinks, new_dlq = MOVES[name]
    lab.write(sinks=sinks, dlq=new_dlq).produce(records(10, 20), path=source)
    for options in ((), ("--init",)):
        done = lab.run(*options, status=2)
        assert "start.group_exists:" in done.err and "one run" in done.err, done
    # The way on: both for one run, then the new ones alone.
    lab.write(sinks={**{f"old_{key}": place for key, place in before.items()}, **sinks})
    assert balanced(lab.ledger()) == counts(valid=20)
    lab.write(sinks=sinks).produce(records(20, 30) + records(0, 20), path=source)
    lab.run()
    assert ids(lab, LOG) == set(range(20))
    if name == "file":
        assert ids(lab, "new.db") == set(range(10, 30))
    else:
        assert lines(lab, "rows") == lines(lab, "out") == sorted(records(10, 30))
    lab.audit()


def test_all_places_moved_under_another_name(lab):
    """The other way on: everything is read again."""
    lab.write().produce(records(0, 10))
    lab.run()
    sinks, dlq = MOVES["file"]
    lab.write(sinks=sinks, dlq=dlq, name="p2")
    assert balanced(lab.ledger()) == counts(valid=10)
    assert ids(lab, "new.db") == set(range(10))
    lab.audit()


# --- one place by several names ---

def spelled(lab, name):
    (lab.path / "sub").mkdir(exist_ok=True)
    if name == "absolute":
        return str(lab.path / "a.db")
    if name == "link":
        os.symlink("a.db", lab.path / "link.db")
        return "link.db"
    if name == "linked folder":
        os.symlink(".", lab.path / "here")
        return "here/a.db"
    if name == "links in a row":
        os.symlink("../a.db", lab.path / "sub/one.db")
        os.symlink("sub/one.db", lab.path / "two.db")
        return "two.db"
    return {"dots": "./sub/../a.db", "slashes": ".//a.db"}[name]


@pytest.mark.parametrize("name",
                         ["absolute", "link", "linked folder", "links in a row", "dots", "slashes"])
def test_one_file_is_one_system_however_it_is_spelled(lab, name):
    """Also before it is there."""
    lab.write(sinks={"one": table("one", path="a.db"),
                     "two": table("two", path=spelled(lab, name))}, dlq=None)
    lab.produce(records(0, 10))
    assert balanced(lab.ledger()) == counts(valid=10)
    assert len(lab.sql("SELECT * FROM weir_progress", path="a.db")) == 1
    assert ids(lab, "a.db", "one") == ids(lab, "a.db", "two") == set(range(10))
    lab.produce(records(10, 20))
    lab.run()
    lab.audit()
    lab.write(sinks={"one": table("one", path=spelled_again(lab, name)),
                     "two": table("two", path="a.db")})
    lab.produce(records(20, 30)).run()
    assert len(lab.sql("SELECT * FROM weir_progress", path="a.db")) == 1
    lab.audit()


def spelled_again(lab, name):
    return lab.pipeline["sinks"]["two"]["sqlite"]["path"]


def test_a_file_with_two_names_on_the_disk_is_refused(lab):
    """SQLite would keep a write-ahead log per name."""
    lab.write(sinks={"one": table("one", path="a.db")}, dlq=None).produce(records(0, 10))
    lab.run()
    os.link(lab.path / "a.db", lab.path / "b.db")
    lab.write(sinks={"one": table("one", path="a.db"), "two": table("two", path="b.db")})
    assert "a.db" in lab.refused("config.value").err


KINDS = {"topic": local("x", path="place", partitions=1), "table": table("x", path="place"),
         "folder": folder("place")}


@pytest.mark.parametrize("first, second",
                         [("topic", "folder"), ("folder", "topic"), ("table", "folder"),
                                           ("folder", "table"), ("folder", "folder"),
                                           ("topic", "topic"),
                                           ("table", "table")])
def test_two_kinds_at_one_path(lab, first, second):
    lab.write(sinks={"one": KINDS[first], "two": KINDS[second]}, dlq=None).produce(records(0, 5))
    for done in (lab.weir("lint", "p.yaml"), lab.run(status=2)):
        assert done.status == 2 and "p.yaml:1:" in done.err and "config.value" in done.err, done
    assert not (lab.path / "place").exists()
    lab.write(sinks={"one": KINDS[first]}, dlq={**KINDS[second], "include": ["invalid"]})
    done = lab.weir("lint", "p.yaml")
    assert done.status == 2 and "config.value" in done.err, done


def test_a_topic_and_a_table_of_one_file(lab):
    lab.write(sinks={"one": KINDS["topic"], "two": KINDS["table"]}, dlq=None).produce(records(0, 5))
    assert balanced(lab.ledger()) == counts(valid=5)
    assert len(lab.sql("SELECT * FROM weir_progress", path="place")) == 1
    lab.audit()


# --- upserted tables that weir did not make ---

KEYED = "CREATE TABLE last (id TEXT PRIMARY KEY, at TEXT, n REAL, text TEXT{})"
ORIGIN = ", _weir_topic TEXT, _weir_partition INTEGER, _weir_offset INTEGER"


def upserts(lab, **more):
    return lab.write(sinks={"last": table("last", mode="upsert", key="id", **more)}, dlq=None,
                     dedup=None)


@pytest.mark.parametrize("more", [{}, {"newest_by": "at"}], ids=["last", "newest"])
def test_an_upserted_table_must_say_where_its_rows_come_from(lab, more):
    """Else, of two rows of two partitions that are equally new, chance would decide."""
    lab.script(KEYED.format(""))
    upserts(lab, **more).produce(records(0, 5))
    assert "ADD COLUMN _weir_topic TEXT" in lab.refused("sink.no_origin").err
    for column in ("_weir_topic TEXT", "_weir_partition INTEGER", "_weir_offset INTEGER"):
        lab.sql(f"ALTER TABLE last ADD COLUMN {column}")
    assert balanced(lab.ledger()) == counts(valid=5)
    lab.audit()


@pytest.mark.parametrize("declared",
                         [ORIGIN, ORIGIN.replace("INTEGER", "TEXT"), ORIGIN.upper().replace(
    " TEXT", " TEXT COLLATE NOCASE")], ids=["as weir does", "as text", "in capitals"])
@pytest.mark.parametrize("more", [{}, {"newest_by": "at"}], ids=["last", "newest"])
def test_who_wins_in_an_upserted_table(lab, more, declared):
    """(newest_by, topic, partition, offset): the greatest partition, as a number, though it comes first."""
    lab.script(KEYED.format(declared))
    upserts(lab, **more).produce([record(1)], partitions=12)
    lab.run()
    # One record with the same key in each partition, each a run of its own, the greatest first.
    for partition in (11, 2, 10, 9):
        key = next(key for key in map(str, range(1000)) if partition_of(key) == partition)
        lab.produce([record(5, id="x", n=partition, text=key)], partitions=12, key="text")
        lab.run()
    assert lab.sql("SELECT n FROM last WHERE id = 'x'") == [(11,)]
    lab.audit()


def partition_of(key):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % 12


@pytest.mark.parametrize("more, kept", [({}, "new"), ({"newest_by": "at"}, "old")],
                         ids=["last", "newest"])
def test_rows_that_were_there_before(lab, more, kept):
    """They are older than any of the pipeline's, unless newest_by says that they are newer."""
    lab.script(KEYED.format(ORIGIN))
    lab.sql("INSERT INTO last (id, at, text) VALUES ('m1', '2024-04-30T00:00:00.000000Z', 'old'),"
            " ('m2', '2030-01-01T00:00:00.000000Z', 'old'), ('x', NULL, 'old')")
    upserts(lab, **more).produce([record(number, text="new") for number in range(5)])
    lab.run(status=2)
    assert balanced(lab.ledger("--init")) == counts(valid=5)
    assert dict(lab.sql("SELECT id, text FROM last")) == {
        **{f"m{number}": "new" for number in range(5)}, "m2": kept, "x": "old"}
    assert "foreign" in lab.audit(status=1)


# --- places that were moved with what they hold ---

def move(lab, old, new):
    """A SQLite file with its log, or a folder."""
    for rest in ("", "-wal", "-shm"):
        path = lab.path / f"{old}{rest}"
        if path.exists():
            path.rename(lab.path / f"{new}{rest}")


@pytest.mark.parametrize("second", [B, C], ids=["file", "folder"])
def test_a_system_whose_files_were_renamed(lab, second):
    """It is the same one: its own R and ledger say what it holds."""
    lab.write(sinks={"a": A, "b": second}, dlq=None).produce(records(0, 10))
    lab.run()
    move(lab, "b.db" if second is B else "lines", "moved")
    moved = table("rows", path="moved") if second is B else folder("moved")
    lab.write(sinks={"a": A, "b": moved}).produce(records(10, 20) + records(0, 5))
    assert balanced(lab.ledger()) == counts(valid=20, duplicate=5)
    if second is B:
        assert ids(lab, "moved") == set(range(20))
    else:
        assert lab.lines_in("moved") == records(0, 20)
    said = lab.audit()
    assert "cannot be verified" not in said, said
    if second is B:
        lab.sql("DELETE FROM rows WHERE id = 'm3'", path="moved")
        assert "b: missing: the row of in [0] offset 3" in lab.audit(status=1)


def test_the_file_of_everything_renamed(lab):
    lab.write().produce(records(0, 10) + [b"x"])
    lab.run()
    move(lab, LOG, "all.db")
    (lab.path / f"{LOG}.state").rename(lab.path / "all.db.state")
    lab.write(source=local("in", path="all.db"), sinks={"out": local("out", path="all.db"),
                                                        "rows": table("rows", path="all.db")},
              dlq=local("dead", path="all.db"))
    lab.produce(records(10, 20), path="all.db")
    assert balanced(lab.ledger()) == counts(valid=20, invalid=1)
    said = lab.audit()
    assert "cannot be verified" not in said and "35 rows" not in said, said


# --- places that are gone ---

GONE = {
    "table": ("rows", lambda lab: lab.sql("DROP TABLE rows"), {"out": local("out", partitions=1), "rows": table("new")}),
    "topic": ("out", lambda lab: lab.weir("topic", "delete", f"local:{LOG}#out", "--yes"),
              {"out": local("new", partitions=1), "rows": table("rows")}),
}


@pytest.mark.parametrize("more", [[], [record(30)]], ids=["nothing new", "more"])
@pytest.mark.parametrize("name", GONE)
def test_a_place_that_is_gone(lab, name, more):
    """It is not made anew as if nothing had been lost. The ways on: a backup, or another place."""
    sink, lose, sinks = GONE[name]
    lab.write().produce(records(0, 10))
    lab.run()
    lab.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = (lab.path / LOG).read_bytes()
    lose(lab)
    if more:
        lab.produce(more)
    for _ in range(2):
        said = lab.refused("sink.missing_place", status=3).err
        assert f"'{sink}'" in said and "10 rows" in said and "backup" in said, said
    assert f"{sink}: missing: " in lab.audit(status=1)
    lab.write(sinks=sinks)
    lab.produce(records(10, 20))
    assert balanced(lab.ledger()) == counts(valid=20 + len(more))
    new = lab.sql("SELECT count(*) FROM new")[0][0] if name == "table" else len(lab.values("new"))
    assert new == 10 + len(more)
    said = lab.audit()
    assert "missing 0 · doubled 0 · altered 0 · foreign 0" in said and "cannot be verified" in said, said
    # The other way on.
    for rest in ("-wal", "-shm"):
        (lab.path / f"{LOG}{rest}").unlink(missing_ok=True)
    (lab.path / LOG).write_bytes(backup)
    no_snapshots(lab)
    lab.write(sinks={"out": local("out", partitions=1), "rows": table("rows")}).produce(records(10, 15))
    assert balanced(lab.ledger()) == counts(valid=15)
    lab.audit()


def test_dead_letters_that_are_gone(lab):
    lab.write().produce([b"{"])
    lab.run()
    lab.weir("topic", "delete", f"local:{LOG}#dead", "--yes")
    assert "'dlq'" in lab.refused("sink.missing_place", status=3).err
    lab.write(dlq=local("dead2", partitions=1)).produce([b"{"])
    lab.run()
    assert len(lab.letters("dead2")) == 1


def test_a_place_that_was_never_written_to_may_go(lab):
    lab.write().produce(records(0, 10))
    lab.run()
    lab.weir("topic", "delete", f"local:{LOG}#dead", "--yes")
    lab.produce(records(10, 20))
    assert balanced(lab.ledger()) == counts(valid=20)
    lab.audit()


def test_a_folder_that_is_gone(lab):
    """R was in it: others know that there was one."""
    lab.write(sinks={"lines": folder("lines")}).produce(records(0, 10))
    lab.run()
    for path in sorted((lab.path / "lines").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (lab.path / "lines").rmdir()
    lab.refused("progress.lost", status=3)
    lab.write(sinks={"new": folder("new")}).produce(records(10, 20))
    lab.run()
    assert lines(lab, "new") == sorted(records(10, 20))


# --- places whose rows are of another kind than they were ---

def test_a_place_that_is_kept_by_another_rule(lab):
    """Append or upsert, its key, who wins, dead letters: what stands there already was made by the old rule."""
    lab.script(KEYED.format(ORIGIN) + "; CREATE UNIQUE INDEX last_at ON last (id, at)")
    append, upsert = table("last"), table("last", mode="upsert", key="id", newest_by="at")
    more = local("more", partitions=1)
    rules = {"append": append, "upsert": upsert,
             "by n": table("last", mode="upsert", key="id", newest_by="n"),
             "by two": table("last", mode="upsert", key=["id", "at"])}
    for first, second in (("append", "upsert"), ("upsert", "append"), ("upsert", "by n"),
                          ("by two", "upsert")):
        name = f"{first} {second}"
        lab.write(name=name.replace(" ", "-"), sinks={"last": rules[first], "out": more}, dlq=None)
        lab.sql("DELETE FROM last")
        lab.produce(records(0, 5)).run("--init")
        lab.write(sinks={"last": rules[second], "out": more})
        assert "'last'" in lab.refused("sink.other_rule").err
        lab.write(sinks={"out": more}).run()
    assert ids(lab, LOG, "last") == set(range(5))


def test_a_topic_that_was_of_dead_letters(lab):
    lab.write().produce(records(0, 5) + [b"x"])
    lab.run()
    lab.write(sinks={"out": local("dead"), "rows": table("rows")}, dlq=local("out"))
    lab.refused("sink.other_rule")


def test_a_table_in_capitals_is_the_same_table(lab):
    lab.write(sinks={"rows": table("rows")}).produce(records(0, 5))
    lab.run()
    lab.write(sinks={"rows": table("ROWS")}).produce(records(5, 10)).run()
    assert ids(lab, LOG) == set(range(10))
    assert "cannot be verified" not in lab.audit()


# --- a source whose files come and go ---

def test_a_file_that_is_taken_out_of_the_source(lab):
    """Its rows stay, and nobody asks for them."""
    for name, first in (("a.ndjson", 0), ("b.ndjson", 10)):
        lab.file(name, b"".join(value + b"\n" for value in records(first, first + 5)))
    places = {"out": local("out", partitions=1), "rows": table("rows"), "lines": folder("lines")}
    lab.write(source={"file": {"path": ["a.ndjson", "b.ndjson"]}}, sinks=places)
    lab.run()
    lab.audit()
    lab.write(source={"file": {"path": ["b.ndjson"]}})
    lab.file("b.ndjson", b"".join(value + b"\n" for value in records(10, 20)))
    lab.run()
    assert ids(lab, LOG) == {*range(5), *range(10, 20)}
    assert "cannot be verified" in lab.audit()
    lab.sql("DELETE FROM rows WHERE id = 'm12'")
    assert "missing 1" in lab.audit(status=1)


def test_a_source_that_somebody_else_holds(lab):
    """That the group cannot be noted there is a warning; it is noted the next time."""
    lab.write(source=local("in", path="in.db")).produce(records(0, 10), path="in.db")
    holder = sqlite3.connect(lab.path / "in.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = lab.run()
    assert "warning: the source was not told" in done.err and "10 records" in done.err, done
    holder.execute("ROLLBACK")
    assert lab.sql("SELECT * FROM weir_group", path="in.db") == []
    holder.close()
    lab.run()
    assert lab.sql('SELECT "group", partition, next_offset FROM weir_group',
                   path="in.db") == [("p", 0, 10)]


def test_the_folder_of_an_old_place_is_gone(lab):
    """What a plan of before named is not needed to judge its rows again."""
    (lab.path / "old").mkdir()
    lab.write(sinks={"rows": table("rows"), "old": table("rows", path="old/a.db")}, dlq=None)
    lab.produce(records(0, 10)).run()
    lab.write(sinks={"rows": table("rows")}).run()
    shutil.rmtree(lab.path / "old")
    lab.produce(records(10, 20) + records(0, 5))
    no_snapshots(lab)
    assert balanced(lab.ledger()) == counts(valid=20, duplicate=5)
    lab.audit()
    lab.write(sinks={"rows": table("rows"),
                     "new": table("rows", path="new.db")}).produce(records(20, 30)).run()
    assert ids(lab, "new.db") == set(range(20, 30))
    lab.audit()


@pytest.mark.parametrize("column", ["id", "at"])
def test_an_upserted_table_that_does_not_tell_capitals(lab, column):
    """Rows a and A would be one row there, and two in the source."""
    lab.script(KEYED.format(ORIGIN).replace(f"{column} TEXT", f"{column} TEXT COLLATE NOCASE"))
    upserts(lab, newest_by="at").produce([record(1, id="a"), record(2, id="A")])
    assert column in lab.refused("sink.collation").err


def test_limits_of_topics_that_are_made(lab):
    lab.write(sinks={"out": local("out", partitions=1, retention="1us"),
                     "rows": table("rows")},
              dlq=local("dead", partitions=1, retention="7d", retention_bytes="1GiB"))
    lab.produce([record(number) for number in range(5)]).run()
    kept = {topic["topic"]: (topic["retention_seconds"], topic["retention_bytes"])
            for topic in json.loads(lab.weir("topic", "list", "local:log.db", "--json").out)}
    assert kept == {"in": (None, None), "out": (1e-06, None), "dead": (604800, 1 << 30)}
    assert lab.weir("topic", "trim", "local:log.db").status == 0
    assert lab.values() == [] and lab.weir("lint", "p.yaml").status == 0
