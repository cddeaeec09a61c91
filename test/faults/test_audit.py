"""Audit over every kind of place, and after one row or line of it was deleted, doubled or altered."""
import json
import re
import shutil

import pytest

from checker.log import decode_batch
from faults import batches
from faults.keyed import SCHEMA as KEYED, value_of
from faults.lab import LOG, Lab, folder, local, record, table

# Offsets: 0–9 good, but 4, which table `picky` refuses; 10 poison, 11 late, 12 a duplicate, 13 and 14
# the same key again, newer and older.
VALUES = [record(number) for number in range(1, 11)] + [
    b'{"id":', record(1, id="late", at="2024-04-30T00:00:00Z"), record(3), record(60, id="m7"),
    record(5, id="m8", n=55)]


def pipeline(lab):
    lab.write(
        dedup=None,
        event_time={"field": "at", "lateness": "10m"},
        sinks={
            "topic": local("topic", partitions=2, key="id"),
            "append": table("append"),
            "picky": table("picky"),
            "upsert": table("upsert", mode="upsert", key="id", newest_by="at"),
            "lines": folder("lines"),
        },
        dlq=local("dead", partitions=1))


@pytest.fixture(scope="module")
def done(tmp_path_factory, weir):
    """Pipelines that ran; one per kind of dead-letter place."""
    labs = {}
    for name, dlq in (("topic", local("dead", partitions=1)), ("table", table("dead")),
                      ("folder", {**folder("dead"), "include": ["invalid", "late"]})):
        lab = labs[name] = Lab(tmp_path_factory.mktemp(name), weir)
        pipeline(lab)
        lab.write(dlq=dlq).produce(VALUES)
        lab.script("CREATE TABLE picky (id TEXT, at TEXT, n REAL CHECK (n <> 5), text TEXT, _weir_topic TEXT,"
                   " _weir_partition INTEGER, _weir_offset INTEGER)")
        lab.run()
        lab.audit()
        lab.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return labs


@pytest.fixture
def copy(done, tmp_path, weir):
    """A copy of one of them, to be damaged."""
    def make(name="topic"):
        shutil.copytree(done[name].path, tmp_path / "copy")
        lab = Lab(tmp_path / "copy", weir)
        # What the plan says of places is relative to the folder.
        lab.pipeline = done[name].pipeline
        return lab
    return make


def found(lab, *lines):
    """Exit 1, and a line that fits each pattern; nothing else is found."""
    said = lab.audit(status=1)
    findings = [line for line in said.splitlines()
                if not re.match(r"in [\d,]+ =|\w+: routed |cells repaired|audited |  ", line)]
    for pattern in lines:
        assert any(re.search(pattern, line) for line in findings), (pattern, said)
    assert len(findings) == len(lines), said
    return said


def summary(said):
    return {name: int(count) for name, count in re.findall(r"(\w[\w ]*?) (\d+)(?: ·|$)",
                                                           said.splitlines()[-1])}


# --- topics ---

def change_topic(lab, name, change):
    """`change` gets and gives all records of a partition of a topic, which becomes one row."""
    rows = lab.sql("SELECT topic, position, partition, bytes FROM weir_batch JOIN weir_topic USING (topic)"
                   " WHERE name = ? ORDER BY position", name)
    topic, first_position, partition, _ = rows[0]
    old = [(key, value, list(headers)) for _, _, index, data in rows if index == partition
           for key, value, headers in decode_batch(data)[1]]
    new = change(old)
    lab.sql("DELETE FROM weir_batch WHERE topic = ? AND partition = ?", topic, partition)
    lab.sql("INSERT INTO weir_batch VALUES (?, ?, ?, 0, ?, 0, ?)", first_position, topic, partition,
            len(new),
            batches.encode_batch(0, 0, new))
    lab.sql("UPDATE weir_partition SET next_offset = ? WHERE topic = ? AND partition = ?", len(new),
            topic,
            partition)


def last(offset, change):
    """Puts the dead letter of that offset behind the others before it is changed."""
    def is_it(letter):
        return dict(letter[2])["weir.offset"] == offset
    return lambda letters: change([one for one in letters if not is_it(one)] +
                                  [one for one in letters if is_it(one)])


def altered(records):
    (key, value, headers), *rest = records
    return [(key, value.replace(b"{", b"[", 1), headers), *rest]


def with_other_key(records):
    (key, value, headers), *rest = records
    return [(b"other", value, headers), *rest]


def with_header(records):
    (key, value, headers), *rest = records
    return [(key, value, headers + [("more", b"1")]), *rest]


TOPIC_DAMAGES = {
    "deleted": (lambda records: records[:-1], ["missing: the row of in"]),
    "doubled": (lambda records: records + records[:1], ["doubled: the row of in"]),
    "altered": (altered, ["missing: the row of in", "not written by this pipeline"]),
    "with another key": (with_other_key,
                         ["missing: the row of in", "not written by this pipeline"]),
    "with a header": (with_header, ["missing: the row of in", "not written by this pipeline"]),
    "added": (lambda records: records + [(None, b"x", [])], ["not written by this pipeline"]),
}


@pytest.mark.parametrize("name", TOPIC_DAMAGES)
def test_a_row_of_a_topic(copy, name):
    lab = copy()
    change, lines = TOPIC_DAMAGES[name]
    change_topic(lab, "topic", change)
    found(lab, *[f"^topic: .*{line}" for line in lines])


LETTER_DAMAGES = {
    "deleted": (lambda records: records[:-1], "missing"),
    "doubled": (lambda records: records + records[-1:], "doubled"),
    "altered": (lambda records: records[:-1] + altered(records[-1:]), "altered"),
    "with another reason": (
        lambda records: records[:-1] + [(*records[-1][:2],
                                         [("weir.reason", b"x") if name == "weir.reason"
                                                            else (name, text)
                                                            for name, text in records[-1][2]])],
                                                            "altered"),
}


@pytest.mark.parametrize("name", LETTER_DAMAGES)
@pytest.mark.parametrize("offset", [4, 10, 11])
def test_a_dead_letter_in_a_topic(copy, name, offset):
    """Of a refused row, a poisonous one and a late one."""
    lab = copy()
    change, word = LETTER_DAMAGES[name]
    change_topic(lab, "dead", last(str(offset).encode(), change))
    found(lab, rf"^dlq: {word}: the row of in \[0\] offset {offset}\b")


# --- tables ---

TABLE_DAMAGES = {
    "deleted": ("DELETE FROM {} WHERE _weir_offset = 6", r"missing: the row of in \[0\] offset 6"),
    "doubled": ("INSERT INTO {0} SELECT * FROM {0} WHERE _weir_offset = 6",
                r"doubled: the row of in \[0\] offset 6"),
    "altered": ("UPDATE {} SET n = n + 1 WHERE _weir_offset = 6",
                r"altered: the row of in \[0\] offset 6"),
    "nulled": ("UPDATE {} SET n = NULL WHERE _weir_offset = 6",
               r"altered: the row of in \[0\] offset 6"),
    "added": ("INSERT INTO {} (id, at) VALUES ('x', 'y')", "not written by this pipeline"),
}


@pytest.mark.parametrize("name", TABLE_DAMAGES)
@pytest.mark.parametrize("place", ["append", "picky"])
def test_a_row_of_a_table(copy, place, name):
    lab = copy()
    statement, line = TABLE_DAMAGES[name]
    lab.sql(statement.format(place))
    found(lab, f"^{place}: .*{line}")


UPSERT_DAMAGES = {
    "deleted": ("DELETE FROM upsert WHERE id = 'm7'", r"missing: the row of in \[0\] offset 13"),
    "altered": ("UPDATE upsert SET n = 0 WHERE id = 'm7'",
                r"altered: the row of in \[0\] offset 13"),
    "with an older row": (f"UPDATE upsert SET (at, n, _weir_offset) = (SELECT at, n, _weir_offset FROM append"
                          " WHERE _weir_offset = 6) WHERE id = 'm7'", "offset 13"),
    "with a later row that is older": (
        "UPDATE upsert SET (at, n, _weir_offset) = (SELECT at, n, _weir_offset FROM append"
        " WHERE _weir_offset = 14) WHERE id = 'm8'", "offset 7"),
    "added": ("INSERT INTO upsert (id, at) VALUES ('x', 'y')", "not written by this pipeline"),
}


@pytest.mark.parametrize("name", UPSERT_DAMAGES)
def test_a_row_of_an_upserted_table(copy, name):
    lab = copy()
    statement, line = UPSERT_DAMAGES[name]
    lab.sql(statement)
    said = lab.audit(status=1)
    assert re.search(f"^upsert: .*{line}", said, re.MULTILINE), said


def test_a_table_that_is_gone(copy):
    lab = copy()
    lab.sql("DROP TABLE append")
    said = lab.audit(status=1)
    assert "append: missing: the row of in [0] offset 6" in said, said


LETTER_ROWS = {
    "deleted": ('DELETE FROM dead WHERE "offset" = {}', "missing"),
    "doubled": ('INSERT INTO dead SELECT * FROM dead WHERE "offset" = {}', "doubled"),
    "altered": ("""UPDATE dead SET value = value || ' ' WHERE "offset" = {}""", "altered"),
    "with another reason": ("""UPDATE dead SET reason = 'late.' WHERE "offset" = {}""", "altered"),
}


@pytest.mark.parametrize("name", LETTER_ROWS)
@pytest.mark.parametrize("offset", [4, 10, 11])
def test_a_dead_letter_in_a_table(copy, name, offset):
    lab = copy("table")
    statement, word = LETTER_ROWS[name]
    lab.sql(statement.format(offset))
    found(lab, rf"^dlq: {word}: the row of in \[0\] offset {offset}\b")


# --- folders ---

def edit_part(lab, name, change):
    """`change` gets and gives the lines of the first part that has any."""
    part = lab.parts(name)[0]
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(change(lines)))


LINE_DAMAGES = {
    "deleted": (lambda lines: lines[1:], ["missing"]),
    "doubled": (lambda lines: lines + lines[:1], ["doubled"]),
    "altered": (lambda lines: [lines[0].replace(b"m", b"M", 1), *lines[1:]],
                ["missing", "not written|altered"]),
    "added": (lambda lines: lines + [b"{}\n"], ["not written"]),
    "cut": (lambda lines: [*lines[:-1], lines[-1][:-3]], ["missing", "not written|altered"]),
}


@pytest.mark.parametrize("name", LINE_DAMAGES)
def test_a_line_of_a_folder(copy, name):
    lab = copy()
    change, words = LINE_DAMAGES[name]
    edit_part(lab, "lines", change)
    said = lab.audit(status=1)
    for word in words:
        assert re.search(f"^lines: .*({word})", said, re.MULTILINE), said


@pytest.mark.parametrize("name", ["deleted", "doubled", "altered"])
def test_a_dead_letter_in_a_folder(copy, name):
    lab = copy("folder")
    change, words = LINE_DAMAGES[name]
    edit_part(lab, "dead", change)
    word = {"deleted": "missing", "doubled": "doubled", "altered": "altered|missing"}[name]
    found(lab, rf"^dlq: ({word}): the row of in \[0\] offset 1[01]\b")


def test_a_part_that_was_taken_away(copy):
    lab = copy()
    for part in lab.parts("lines"):
        part.unlink()
    done = lab.weir("audit", "p.yaml")
    assert done.status == 1 and re.search(r"lines/.* from offset \d+ to \d+:", done.err), done
    done = lab.weir("run", "p.yaml", "--until-end")
    assert done.status == 3 and "progress.part_missing" in done.err, done


# --- what weir keeps ---

def test_refused_rows_that_are_forgotten(copy):
    lab = copy()
    lab.sql("DELETE FROM weir_rejects")
    said = lab.audit(status=1)
    assert re.search(r"^picky: missing: the row of in \[0\] offset 4\b", said, re.MULTILINE), said


def test_refused_rows_that_never_were(copy):
    """A row is deleted, and a refusal made up for it."""
    lab = copy()
    lab.sql("INSERT INTO weir_rejects (pipeline, number, sink, topic, partition, \"offset\", code, message,"
            " key, value) SELECT pipeline, 2, sink, topic, partition, 6, code, message, key, value"
            " FROM weir_rejects")
    lab.sql("DELETE FROM picky WHERE _weir_offset = 6")
    found(lab, "^picky: the ledger counts 1 refused rows, and weir_rejects has 2",
          "^ledger of log.db.*rows written to picky is 12 on one side and 11",
          "^ledger of log.db.*rows routed to dlq is 3 on one side and 4",
          r"^dlq: missing: the row of in \[0\] offset 6")


def test_the_ledger_of_a_segment(copy):
    lab = copy()
    lab.sql("DELETE FROM weir_ledger")
    assert "is not the sum of its segments" in lab.audit(status=1)


def test_two_rows_that_changed_places(copy):
    """The same bytes, under each other's origin."""
    lab = copy()
    lab.sql("UPDATE append SET _weir_offset = 99 WHERE _weir_offset = 6")
    lab.sql("UPDATE append SET _weir_offset = 6 WHERE _weir_offset = 7")
    lab.sql("UPDATE append SET _weir_offset = 7 WHERE _weir_offset = 99")
    said = lab.audit(status=1)
    assert "missing 0 · doubled 0 · altered 2 · foreign 0" in said, said
    for offset in (6, 7):
        assert re.search(rf"^append: altered: the row of in \[0\] offset {offset} ", said, re.MULTILINE), said


ORIGIN_DAMAGES = {
    "offset": ("_weir_offset = _weir_offset + 1000", "altered"),
    "no offset": ("_weir_offset = NULL", "altered"),
    "topic": ("_weir_topic = 'other'", "missing"),
    "no topic": ("_weir_topic = NULL", "missing"),
    "no partition": ("_weir_partition = NULL", "missing"),
    "partition": ("_weir_partition = 7", "missing"),
}


@pytest.mark.parametrize("name", ORIGIN_DAMAGES)
@pytest.mark.parametrize("place, offset", [("append", 6), ("picky", 6), ("upsert", 13)])
def test_where_a_row_comes_from(copy, place, offset, name):
    """The columns that say it are what upserts are decided by, and what dead letters are traced by."""
    lab = copy()
    change, kind = ORIGIN_DAMAGES[name]
    lab.sql(f"UPDATE {place} SET {change} WHERE _weir_offset = {offset}")
    said = lab.audit(status=1)
    assert re.search(rf"^{place}: {kind}: the row of in \[0\] offset {offset} ", said, re.MULTILINE), said
    assert summary(said)["doubled"] == summary(said)["foreign"] == 0, said


def test_an_upserted_row_that_does_not_say_where_it_comes_from(copy):
    lab = copy()
    lab.sql("UPDATE upsert SET (_weir_topic, _weir_partition, _weir_offset) = (NULL, NULL, NULL) WHERE id = 'm7'")
    found(lab, r"^upsert: altered: the row of in \[0\] offset 13")


def test_equal_rows_of_several_origins(lab):
    """Which of them was damaged is told by its origin."""
    lab.write(sinks={"rows": table("rows")}, dedup=None).produce([record(1)] * 50)
    lab.run()
    lab.audit()
    lab.sql("UPDATE rows SET _weir_offset = 99 WHERE _weir_offset = 7")
    found(lab, r"^rows: altered: the row of in \[0\] offset 7 ")
    lab.sql("UPDATE rows SET _weir_offset = 8 WHERE _weir_offset = 99")
    found(lab, r"^rows: altered: the row of in \[0\] offset 7 ")
    lab.sql("INSERT INTO rows SELECT * FROM rows WHERE _weir_offset = 20")
    lab.sql("DELETE FROM rows WHERE _weir_offset = 30")
    lab.audit(status=1)


def test_columns_of_the_origin_that_came_later(lab):
    """Rows of before may be of any origin; those of afterwards are of theirs."""
    lab.write(sinks={"rows": table("rows")}, dedup=None).produce([record(number % 3) for number in range(9)])
    lab.script("CREATE TABLE rows (id TEXT, at TEXT, n REAL, text TEXT)")
    lab.run()
    lab.audit()
    for column in ("_weir_topic TEXT", "_weir_partition INTEGER", "_weir_offset INTEGER"):
        lab.sql(f"ALTER TABLE rows ADD COLUMN {column}")
    lab.produce([record(number % 3) for number in range(9)])
    lab.run()
    lab.audit()
    lab.sql("UPDATE rows SET _weir_offset = 99 WHERE _weir_offset = 12")
    found(lab, r"^rows: altered: the row of in \[0\] offset ")


def test_an_edited_input(copy):
    """What was judged is not there any more: refused by name, or every difference found."""
    lab = copy()
    (data,), = lab.sql("SELECT bytes FROM weir_batch JOIN weir_topic USING (topic) WHERE name = 'in'")
    base, old = decode_batch(data)
    new = [(key, value.replace(b'"n": 3', b'"n": 4'), ()) for key, value, _ in old]
    lab.sql("UPDATE weir_batch SET bytes = ? WHERE topic = 1",
            batches.encode_batch(base,
                                 lab.sql("SELECT max_timestamp_ms FROM weir_batch WHERE topic = 1")[0][0],
                                 new))
    said = lab.audit(status=1)
    assert "recomputed from the input" in said and re.search(r"offset 2\b", said), said


def test_many_at_once(lab):
    """Each is counted; 20 of a kind are named."""
    lab.write(sinks={"rows": table("rows")}).produce([record(number) for number in range(300)])
    lab.run()
    lab.sql("DELETE FROM rows WHERE _weir_offset < 50")
    lab.sql("UPDATE rows SET n = -1 WHERE _weir_offset BETWEEN 50 AND 79")
    lab.sql("INSERT INTO rows SELECT * FROM rows WHERE _weir_offset BETWEEN 100 AND 104")
    said = lab.audit(status=1)
    assert said.count("rows: missing: ") == 20 and "rows: and 30 more of that kind" in said
    assert "missing 50 · doubled 5 · altered 30 · foreign 0 · ledger differences 0" in said, said


def test_audit_as_json(copy):
    lab = copy()
    lab.sql("DELETE FROM append WHERE _weir_offset = 6")
    done = lab.weir("audit", "p.yaml", "--json")
    result = json.loads(done.out)
    assert done.status == 1 and result["missing"] == 1 and result["records"] == len(VALUES)
    assert len(result["findings"]) == 1 and "offset 6" in result["findings"][0]
    assert result["ledger"]["in"] == len(VALUES)


def test_audit_changes_nothing(copy):
    lab = copy()
    before = [lab.sql(f"SELECT * FROM {name}") for name in ("weir_progress", "weir_ledger",
                                                            "append", "upsert")]
    folder_before = lab.lines_in("lines")
    lab.audit()
    lab.audit()
    after = [lab.sql(f"SELECT * FROM {name}") for name in ("weir_progress", "weir_ledger", "append",
                                                           "upsert")]
    assert (after, lab.lines_in("lines")) == (before, folder_before)


def test_audit_before_the_first_run(lab):
    lab.write().produce([])
    done = lab.weir("audit", "p.yaml")
    assert done.status == 2 and "progress.none" in done.err, done
    assert (lab.path / LOG).exists()


def forget(lab, partition, before):
    """What retention does to the head of the source's partition."""
    lab.sql("DELETE FROM weir_batch WHERE topic = 1 AND partition = ? AND base_offset < ?", partition, before)
    lab.sql("UPDATE weir_partition SET first_offset = ? WHERE topic = 1 AND partition = ?", before, partition)


def keyed(lab, **more):
    lab.write(schema=KEYED, event_time=None, dedup=None,
              sinks={"rows": table("rows", mode="upsert", key="id", **more)})
    return lab.produce([], partitions=2)


def unverifiable(lab, rows):
    done = lab.weir("audit", "p.yaml", "--json")
    said = json.loads(done.out)
    assert done.status == 0 and said["unverifiable"] == 2, said
    assert any(f"rows: {rows} rows cannot be verified" in line for line in said["findings"]), said
    return said


@pytest.mark.parametrize("origin", ["'in', 0, 0", "'in', 0, 3", "NULL, NULL, NULL"])
def test_a_deletion_undone_by_hand_behind_expired_input_is_not_fine(lab, origin):
    """Nobody can say any more whether the row should be there."""
    keyed(lab).write(source={**local("in"), "tombstones": "delete"})
    batches.append(lab, "in", [(b"a", value_of("a", 1)), (b"a", None)])
    lab.run()
    batches.append(lab, "in", [(b"c", value_of("c", 1)), (b"a", value_of("a", 2)), (b"a", None)])
    lab.run()
    forget(lab, 0, 2)
    unverifiable(lab, 1)
    lab.sql(f"INSERT INTO rows VALUES ('a', 1, {origin})")
    unverifiable(lab, 2)


def test_a_row_that_expired_input_may_have_replaced_is_not_called_missing(lab):
    """Keys stand in any partition: of one the input is gone, the other's rows are still expected."""
    keyed(lab, newest_by="n")
    batches.append(lab, "in", [(None, value_of(key, 1)) for key in ("k", "x", "y")])
    batches.append(lab, "in", [(None, value_of("k", 2))], partition=1)
    lab.run()
    batches.append(lab, "in", [(None, value_of("z", 2))], partition=1)
    lab.run()
    forget(lab, 1, 1)
    said = json.loads(lab.weir("audit", "p.yaml", "--json").out)
    assert said["missing"] == 0 and said["unverifiable"] == 3, said
    assert any("1 rows are not there, and may have been replaced" in line for line in said["findings"]), said
    # More than those can have replaced: something is missing.
    lab.sql("DELETE FROM rows WHERE id IN ('x', 'y')")
    found = lab.audit(status=1)
    assert "rows: missing: the row of in [0] offset 1 " in found and "missing 3" in found


def behind_expired_input(lab):
    """Of partition 0 a part of the input is gone, of partition 1 all is there."""
    lab.write(schema=KEYED, event_time=None, dedup=None,
              sinks={"topic": local("out", partitions=2), "rows": table("rows")},
              dlq=local("dead", partitions=1))
    lab.produce([], partitions=2)
    batches.append(lab, "in", [(None, value_of(key, 1)) for key in ("a", "b")])
    batches.append(lab, "in", [(None, value_of("c", 1)), (None, b"{")], partition=1)
    lab.run()
    batches.append(lab, "in", [(None, value_of("d", 2)), (None, b"[")])
    lab.run()
    forget(lab, 0, 2)


def findings(lab, status=0, **counts):
    done = lab.weir("audit", "p.yaml", "--json")
    said = json.loads(done.out)
    assert done.status == status and {name: said[name] for name in counts} == counts, said
    return "\n".join(said["findings"])


def test_what_expired_input_left_is_held_against_the_ledger(lab):
    behind_expired_input(lab)
    found = findings(lab, unverifiable=1, rows=10)
    assert "topic: 3 rows are what the ledger says was written" in found
    assert "rows: 3 rows are what the ledger says was written" in found
    assert "dlq: 1 rows are what the ledger says was written" in found


@pytest.mark.parametrize("harm", ["DELETE FROM rows WHERE id = 'a'", "UPDATE rows SET n = 7 WHERE id = 'd'",
                                  "INSERT INTO rows SELECT 'a', 1, 'in', 0, 0"])
def test_what_differs_behind_expired_input_is_not_fine(lab, harm):
    behind_expired_input(lab)
    lab.sql(harm)
    found = findings(lab, unverifiable=2)
    assert re.search(r"rows: [234] rows cannot be verified: .*, and they are not all that the ledger says", found)
    assert "topic: 3 rows are what the ledger says was written" in found


def test_a_row_whose_input_is_there_is_missing_also_beside_expired_input(lab):
    behind_expired_input(lab)
    lab.sql("DELETE FROM rows WHERE id = 'c'")
    assert "rows: missing: the row of in [1] offset 0" in findings(lab, status=1, missing=1)
