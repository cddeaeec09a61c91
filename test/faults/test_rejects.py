"""Rows that a table refuses: counted, kept in weir_rejects, sent to the dead letters; the rest goes on."""
import json
import re

import pytest

from faults import batches
from faults.lab import SCHEMA, balanced, counts, folder, local, record, table

COLUMNS = "id TEXT, at TEXT, n REAL, text TEXT"
ORIGIN = "_weir_topic TEXT, _weir_partition INTEGER, _weir_offset INTEGER"
BEFORE = "CREATE TRIGGER t BEFORE INSERT ON rows WHEN NEW.n < 0 BEGIN SELECT RAISE(%s); END"
AFTER = "CREATE TRIGGER t AFTER INSERT ON rows WHEN NEW.n < 0 BEGIN SELECT RAISE(%s); END"
# What the table is made of, the code, and a word of the message. Rows with n < 0 are refused.
TABLES = {
    "check": (f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CHECK (n >= 0))", "sink.constraint_check",
              "n >= 0"),
    "named check": (f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CONSTRAINT positive CHECK (n >= 0)) STRICT",
                    "sink.constraint_check", "positive"),
    "without origin": (f"CREATE TABLE rows ({COLUMNS}, CHECK (n >= 0))", "sink.constraint_check",
                       "n >= 0"),
    "abort": (f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); " + BEFORE % "ABORT, 'not below zero'",
              "sink.trigger", "not below zero"),
    "rollback": (f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); " + BEFORE % "ROLLBACK, 'not below zero'",
                 "sink.trigger", "not below zero"),
    "rollback afterwards": (f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); " + AFTER % "ROLLBACK, 'not below zero'",
                            "sink.trigger", "not below zero"),
    "fail": (f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); " + AFTER % "FAIL, 'not below zero'",
             "sink.trigger", "not below zero"),
    "check on conflict rollback": (
        f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, low INTEGER GENERATED ALWAYS AS (nullif(n < 0, 1))"
        " NOT NULL ON CONFLICT ROLLBACK)", "sink.constraint_notnull", "low"),
    "foreign key": (f"CREATE TABLE known (n REAL PRIMARY KEY); INSERT INTO known VALUES (0), (1), (2), (3),"
                    " (4), (5), (6), (7), (8), (9), (20); CREATE TABLE rows ({0}, {1}, FOREIGN KEY (n) REFERENCES"
                    " known (n))".format(COLUMNS, ORIGIN), "sink.constraint_foreignkey",
                    "FOREIGN KEY"),
    "deferred key behind a trigger": (
        "CREATE TABLE known (n REAL PRIMARY KEY); INSERT INTO known VALUES (0), (1), (2), (3), (4), (5), (6), (7),"
        f" (8), (9), (20); CREATE TABLE rows ({COLUMNS}, {ORIGIN}); CREATE TABLE seen (n REAL REFERENCES known"
        " DEFERRABLE INITIALLY DEFERRED); CREATE TRIGGER t AFTER INSERT ON rows BEGIN INSERT INTO seen VALUES (NEW.n);"
        " END", "sink.constraint_foreignkey", "COMMIT"),
    "long message": (f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); " + BEFORE % f"ABORT, '{'é' * 500}'",
                     "sink.trigger", "ééé"),
}
BAD = {3: -1, 4: -2, 8: -3}


def values(bad=BAD):
    return [record(number, **({"n": bad[number]} if number in bad else {})) for number in range(10)]


def check_letters(letters, code, word, sink="rows"):
    """letters: offset → headers"""
    assert sorted(letters) == sorted(BAD)
    for headers in letters.values():
        assert headers["weir.reason"] == code and headers["weir.sink"] == sink
        assert word in headers["weir.detail"] and "\ufffd" not in headers["weir.detail"]
        violation, = json.loads(headers["weir.violations"])
        assert (violation["reason"], violation["detail"]) == (code, headers["weir.detail"])


@pytest.mark.parametrize("name", TABLES)
def test_refused_rows(lab, name):
    """In several epochs, so that a transaction that is gone takes others' rows with it."""
    statements, code, word = TABLES[name]
    lab.write().produce(values(), partitions=1)
    lab.script(statements)
    ledger = lab.ledger()
    assert balanced(ledger) == counts(valid=10)
    sums = {name: (sink["routed"], sink["written"], sink["rejected"])
            for name, sink in ledger["sinks"].items()}
    assert sums == {"out": (10, 10, 0), "rows": (10, 7, 3), "dlq": (3, 3, 0)}
    assert [n for n, in lab.sql("SELECT n FROM rows ORDER BY n")] == [0, 1, 2, 5, 6, 7, 9]
    assert lab.values() == values()
    rejects = lab.sql('SELECT number, pipeline, sink, topic, partition, "offset", code, key, value FROM weir_rejects'
                      " ORDER BY number")
    assert rejects == [(number, "p", "rows", "in", "0", offset, code, None, values()[offset])
                       for number, offset in enumerate(BAD, start=1)]
    letters = lab.letters()
    assert {offset: value for offset, (_, value, _) in letters.items()} == \
        {offset: values()[offset] for offset in BAD}
    check_letters({offset: headers for offset, (_, _, headers) in letters.items()}, code, word)
    lab.audit()
    lab.produce([record(20), record(21, n=-5)])
    ledger = lab.ledger()
    assert ledger["sinks"]["rows"]["rejected"] == 4 and len(lab.letters()) == 4
    lab.audit()


def test_what_others_do_in_the_same_transaction_stays(lab):
    """A trigger may write elsewhere; what it wrote for a refused row is gone, the rest is there once."""
    lab.write().produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); CREATE TABLE seen (id TEXT);"
               "CREATE TRIGGER a BEFORE INSERT ON rows BEGIN INSERT INTO seen VALUES (NEW.id); END;"
               + AFTER % "ROLLBACK, 'no'")
    lab.run()
    assert [text for text, in lab.sql("SELECT id FROM seen ORDER BY id")] == \
        [f"m{number}" for number in range(10) if number not in BAD]
    lab.audit()


def test_rows_that_are_silently_ignored_are_refused_too(lab):
    lab.write().produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); " + BEFORE % "IGNORE")
    sink = lab.ledger()["sinks"]["rows"]
    assert (sink["written"], sink["rejected"]) == (7, 3)
    assert sorted(lab.letters()) == sorted(BAD)
    lab.audit()


IGNORE = "CREATE TRIGGER t BEFORE %s ON rows WHEN NEW.n %% 10 = 3 BEGIN SELECT RAISE(IGNORE); END"
IGNORING_UPSERTS = {
    "before insert": (f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL, text TEXT, {ORIGIN}); "
                      + IGNORE % "INSERT", {"sink.ignored"}),
    "before update": (f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL, text TEXT, {ORIGIN}); "
                      + IGNORE % "UPDATE", {"sink.ignored"}),
    "another key": (f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL UNIQUE ON CONFLICT IGNORE, text TEXT,"
                    f" {ORIGIN})", {"sink.constraint_unique"}),
    "another key and a trigger": (
        f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL UNIQUE ON CONFLICT IGNORE, text TEXT, {ORIGIN});"
        " CREATE TRIGGER t AFTER DELETE ON rows BEGIN SELECT 1; END", {"sink.ignored", "sink.constraint_unique"}),
}


@pytest.mark.parametrize("more", [{}, {"newest_by": "at"}], ids=["last", "newest"])
@pytest.mark.parametrize("name", IGNORING_UPSERTS)
def test_upserts_that_are_silently_ignored_are_refused_too(lab, name, more):
    """Not so a row that is older than the one that stands there: that one changes nothing by right."""
    statements, codes = IGNORING_UPSERTS[name]
    lab.write(sinks={"rows": table("rows", mode="upsert", key="id", **more)}, dedup=None)
    lab.produce([record(number, id=f"m{number % 50}", n=number % 20, at=f"2024-05-01T00:00:{number * 7 % 60:02}Z")
                 for number in range(120)])
    lab.script(statements)
    sink = lab.ledger()["sinks"]["rows"]
    assert sink["rejected"] > 0 and sink["written"] + sink["rejected"] == 120
    assert {headers["weir.reason"] for _, _, headers in lab.letters().values()} == codes
    assert len(lab.letters()) == sink["rejected"]
    lab.audit()


def test_older_rows_are_no_rejects_where_a_trigger_stands(lab):
    lab.write(sinks={"rows": table("rows", mode="upsert", key="id", newest_by="at")}, dedup=None)
    lab.produce([record(number, id="x") for number in (5, 3, 4, 7, 1)])
    lab.script(f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL, text TEXT, {ORIGIN});"
               " CREATE TRIGGER t AFTER INSERT ON rows BEGIN SELECT 1; END")
    sink = lab.ledger()["sinks"]["rows"]
    assert (sink["written"], sink["rejected"]) == (5, 0)
    assert lab.sql("SELECT n FROM rows") == [(7,)]
    lab.audit()


@pytest.mark.parametrize("clause", ["REPLACE", "IGNORE", "FAIL", "ROLLBACK", "ABORT"])
@pytest.mark.parametrize("more", [{}, {"mode": "upsert", "key": "id"}], ids=["append", "upsert"])
def test_conflict_clauses_of_a_table_delete_and_hide_nothing(lab, clause, more):
    lab.write(sinks={"rows": table("rows", **more)}, dedup=None)
    lab.produce([record(number, n=number % 20) for number in range(60)])
    lab.script(f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL UNIQUE ON CONFLICT {clause}, text TEXT"
               f" NOT NULL ON CONFLICT {clause} DEFAULT 'none', {ORIGIN})")
    sink = lab.ledger()["sinks"]["rows"]
    assert (sink["written"], sink["rejected"]) == (0, 60)
    lab.audit()
    lab.produce([record(number, n=number % 20, text="x") for number in range(60, 120)])
    sink = lab.ledger()["sinks"]["rows"]
    assert (sink["written"], sink["rejected"]) == (20, 100)
    assert lab.sql("SELECT count(*) FROM rows") == [(20,)]
    assert {headers["weir.reason"] for _, _, headers in lab.letters().values()} == \
        {"sink.constraint_unique", "sink.constraint_notnull"}
    lab.audit()


def test_a_table_that_replaces_and_has_triggers_is_refused(lab):
    lab.write().produce(values())
    lab.script(f"CREATE TABLE rows (id TEXT PRIMARY KEY ON CONFLICT REPLACE, at TEXT, n REAL, text TEXT, {ORIGIN});"
               " CREATE TRIGGER t AFTER INSERT ON rows BEGIN SELECT 1; END")
    assert "ON CONFLICT REPLACE" in lab.refused("sink.replace").err


def test_what_triggers_say_of_conflicts_is_theirs(lab):
    """INSERT OR REPLACE in a trigger keeps its meaning."""
    lab.write().produce(values({}))
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); CREATE TABLE seen (one PRIMARY KEY, id);"
               " CREATE TRIGGER t AFTER INSERT ON rows BEGIN INSERT OR REPLACE INTO seen VALUES (1, NEW.id); END")
    assert lab.ledger()["sinks"]["rows"]["rejected"] == 0
    assert lab.sql("SELECT * FROM seen") == [(1, "m9")]
    lab.audit()


def test_unique_keys_in_an_append_table(lab):
    lab.write(dedup=None).produce([record(0), record(0), record(1)])
    lab.script(f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL, text TEXT, {ORIGIN})")
    assert lab.ledger()["sinks"]["rows"]["rejected"] == 1
    assert lab.letters()[1][2]["weir.reason"] == "sink.constraint_unique"
    lab.audit()


def test_types_that_a_strict_table_refuses(lab):
    """A number that has a fraction, into a column for integers."""
    lab.write().produce([record(0), record(1, n=1.5), record(2)])
    lab.script(f"CREATE TABLE rows (id TEXT, at TEXT, n INTEGER, text TEXT, {ORIGIN}) STRICT")
    assert lab.ledger()["sinks"]["rows"]["rejected"] == 1
    assert lab.letters()[1][2]["weir.reason"] == "sink.datatype"
    lab.audit()


def test_refused_upserts(lab):
    lab.write(sinks={"rows": table("rows", mode="upsert", key="id", newest_by="at")}, dedup=None)
    lab.produce([record(0), record(1), record(0, at="2024-05-01T00:00:30Z", n=-1),
                 record(5, id="m1", n=7)])
    lab.script(f"CREATE TABLE rows (id TEXT PRIMARY KEY, at TEXT, n REAL CHECK (n >= 0), text TEXT, {ORIGIN})")
    sink = lab.ledger()["sinks"]["rows"]
    assert (sink["routed"], sink["written"], sink["rejected"]) == (4, 3, 1)
    assert lab.sql("SELECT id, n FROM rows ORDER BY id") == [("m0", 0.0), ("m1", 7.0)]
    lab.audit()


def test_each_table_refuses_for_itself(lab):
    lab.write(sinks={"rows": table("rows"), "others": table("others"),
                     "out": local("out", partitions=1)})
    lab.produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CHECK (n >= 0));"
               f"CREATE TABLE others ({COLUMNS}, {ORIGIN}, CHECK (n < 9 AND n <> -3))")
    sinks = lab.ledger()["sinks"]
    assert {name: sink["rejected"] for name, sink in sinks.items()} == \
        {"rows": 3, "others": 2, "out": 0, "dlq": 0}
    letters = [(int(headers["weir.offset"]), headers["weir.sink"])
               for _, _, _, _, headers in lab.records("dead")]
    assert sorted(letters) == [(3, "rows"), (4, "rows"), (8, "others"), (8, "rows"), (9, "others")]
    lab.audit()


def test_headers_of_a_refused_record(lab):
    headers = [("trace", b"\x00\xff"), ("none", None)]
    lab.write().produce([])
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CHECK (n >= 0))")
    batches.append(lab, "in", [(b"k", record(1, n=-1), headers), (None, record(2), ())])
    lab.run()
    (letter,), = [lab.raw_headers("dead")]
    assert [pair for pair in letter if not pair[0].startswith("weir.")] == headers
    (_, _, key, value, _), = lab.records("dead")
    assert (key, value) == (b"k", record(1, n=-1))
    lab.audit()


def test_dead_letters_of_refused_rows_in_a_table(lab):
    lab.write(dlq=table("dead")).produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CHECK (n >= 0))")
    lab.run()
    rows = lab.sql('SELECT "offset", value, reason, sink, attempt FROM dead ORDER BY "offset"')
    assert rows == [(offset, values()[offset].decode(), "sink.constraint_check", "rows",
                     1) for offset in BAD]
    lab.audit()


def test_refused_rows_that_no_dead_letter_is_wanted_of(lab):
    lab.write(dlq={**folder("dead"), "include": ["invalid"]}).produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CHECK (n >= 0))")
    assert lab.ledger()["sinks"]["rows"]["rejected"] == 3
    assert lab.lines_in("dead") == [] and lab.sql("SELECT count(*) FROM weir_rejects") == [(3,)]
    lab.audit()


def test_refused_rows_without_a_dead_letter_place(lab):
    lab.write(dlq=None).produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CHECK (n >= 0))")
    assert lab.ledger()["sinks"]["rows"]["rejected"] == 3
    assert lab.sql("SELECT count(*) FROM weir_rejects") == [(3,)]
    lab.audit()


@pytest.mark.parametrize("clause", [
    "DEFERRABLE   INITIALLY\n DEFERRED", "DEFERRABLE\n INITIALLY/**/DEFERRED",
    "deferrable--\n\tInitially /* ' */deferred",
])
def test_constraints_that_are_checked_at_commit_only_are_refused(lab, clause):
    lab.write().produce(values())
    lab.script(f"CREATE TABLE known (n REAL PRIMARY KEY); CREATE TABLE rows ({COLUMNS}, {ORIGIN},"
               f" FOREIGN KEY (n) REFERENCES known (n) {clause})")
    assert "IMMEDIATE" in lab.refused("sink.deferred").err


def test_the_word_alone_is_not_refused(lab):
    lab.write().produce(values())
    lab.script("CREATE TABLE known (n REAL PRIMARY KEY); INSERT INTO known VALUES (0);"
               f" CREATE TABLE rows ({COLUMNS}, {ORIGIN}, \"DEFERRABLE INITIALLY DEFERRED\" INTEGER DEFAULT 0"
               " REFERENCES known /* DEFERRABLE INITIALLY DEFERRED */ NOT DEFERRABLE INITIALLY DEFERRED,"
               " said TEXT DEFAULT 'it''s DEFERRABLE INITIALLY DEFERRED')")
    assert balanced(lab.ledger()) == counts(valid=10)
    lab.audit()


def test_a_table_that_lacks_a_column(lab):
    lab.write().produce(values())
    lab.script("CREATE TABLE rows (id TEXT, at TEXT)")
    assert 'ADD COLUMN "n"' in lab.refused("sink.missing_column").err


@pytest.mark.parametrize("strict", ["", "STRICT"])
def test_the_way_on_from_a_table_that_lacks_columns(lab, strict):
    """What the message says is done until nothing is said any more."""
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "many": {"type": "array"}, "yes": {"type": "boolean"}}}
    lab.write(schema=schema, transform={"set": {"twice": "n * 2"}})
    lab.produce([record(number, many=[number], yes=True, text="7") for number in range(10)])
    lab.script(f"CREATE TABLE rows (id TEXT, at TEXT, {ORIGIN}) {strict}")
    for column in ("n", "text", "many", "yes", "twice"):
        said = lab.refused("sink.missing_column").err
        lab.sql(re.search(f'ALTER TABLE "rows" ADD COLUMN "{column}" [A-Z]+', said)[0])
    assert balanced(lab.ledger()) == counts(valid=10)
    assert lab.sql("SELECT n, text, many, yes, twice FROM rows WHERE id = 'm2'") == [(2, "7", "[2]", 1, 4)]
    lab.audit()


# --- types of columns ---

@pytest.mark.parametrize("declared", ["id TEXT, at TEXT, n TEXT, text TEXT", "id TEXT, at TEXT, n REAL, text NUMERIC",
                                      "id TEXT, at TEXT, n VARCHAR(9), text STRING",
                                      "id UUID, at TEXT, n REAL, text TEXT"])
def test_a_column_whose_type_changes_what_is_written(lab, declared):
    lab.write().produce([record(number, id=f"{number}", text="007") for number in range(10)])
    lab.script(f"CREATE TABLE rows ({declared}, {ORIGIN})")
    for _ in range(declared.count("n VAR") + 1):
        for statement in re.search("must be [A-Z]+: (.*)$", lab.refused("sink.column_type").err, re.MULTILINE)[1].split(";"):
            lab.sql(statement)
    lab.run()
    assert lab.sql("SELECT id, n, text FROM rows WHERE id = '3'") == [("3", 3, "007")]
    lab.audit()


def test_a_key_whose_type_changes_what_is_written(lab):
    lab.write(sinks={"rows": table("rows", mode="upsert", key="id")}).produce(values())
    lab.script(f"CREATE TABLE rows (id INTEGER PRIMARY KEY, at TEXT, n REAL, text TEXT, {ORIGIN})")
    assert "table anew" in lab.refused("sink.column_type").err


def test_types_that_keep_what_is_written(lab):
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "i": {"type": "integer"}, "yes": {"type": "boolean"}}}
    lab.write(schema=schema).produce([record(number, n=number / 2, i=number, yes=True) for number in range(10)])
    lab.script(f"CREATE TABLE rows (id VARCHAR(20), at DATETIME, n DECIMAL(10,2), text, i BIGINT, yes BOOLEAN, {ORIGIN})")
    assert balanced(lab.ledger()) == counts(valid=10)
    lab.audit()


def test_single_cells_that_a_column_would_change(lab):
    """What an expression gives is known row by row only; so is which integer is no double."""
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "i": {"type": "integer"}}}
    lab.write(schema=schema, transform={"set": {"some": "CASE WHEN n = 3 THEN '7' WHEN n = 4 THEN 'x' ELSE n END"}})
    lab.produce([record(number, i=2**53 + 1 if number == 5 else number) for number in range(1000)])
    lab.script(f"CREATE TABLE rows (id TEXT, at TEXT, n REAL, text TEXT, i REAL, some NUMERIC, {ORIGIN})")
    assert lab.ledger()["sinks"]["rows"]["rejected"] == 2
    assert {offset: headers["weir.reason"] for offset, (_, _, headers) in lab.letters().items()} == \
        {3: "sink.datatype", 5: "sink.datatype"}
    lab.audit()


# --- places that are no tables to write to ---

@pytest.mark.parametrize("statement, word", [
    ("CREATE VIEW rows AS SELECT 'a' AS id, 'b' AS at, 1 AS n, 'c' AS text WHERE false", "is a view"),
    ("CREATE TABLE other (id); CREATE INDEX rows ON other (id)", "already"),
], ids=["view", "index"])
@pytest.mark.parametrize("more", [{}, {"mode": "upsert", "key": "id"}], ids=["append", "upsert"])
def test_a_place_that_cannot_be_written_to(lab, statement, word, more):
    if "VIEW" in statement and more:
        statement = statement.replace("AS text", "AS text, 0 AS _weir_topic, 0 AS _weir_partition, 0 AS _weir_offset")
        word = "view"
    lab.write(sinks={"mine": table("rows", **more)}).produce(values())
    lab.script(statement)
    said = lab.refused("sink.not_writable").err
    assert word in said and "'mine'" in said, said


@pytest.mark.parametrize("options", [(), ("--init",)])
def test_a_virtual_table_of_a_module_that_is_not_there(lab, options):
    lab.write(sinks={"mine": table("rows")}).produce(values())
    lab.script("PRAGMA writable_schema = 1; INSERT INTO sqlite_schema VALUES ('table', 'rows', 'rows', 0,"
               " 'CREATE VIRTUAL TABLE rows USING no_such(id, at, n, text)')")
    said = lab.run(*options, status=2).err
    assert "sink.not_writable" in said and "'mine'" in said and "no_such" in said, said


def test_a_schema_without_columns(lab):
    lab.write(schema={"type": "object"}, sinks={"rows": table("rows")}, event_time=None, dedup=None)
    done = lab.weir("lint", "p.yaml")
    assert done.status == 2 and "config.no_columns" in done.err and "p.yaml:1:" in done.err, done


def test_an_upsert_into_a_table_without_a_key(lab):
    lab.write(sinks={"rows": table("rows", mode="upsert", key="id")}).produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN})")
    assert "UNIQUE" in lab.refused("sink.no_unique_key").err


def test_all_rows_refused(lab):
    lab.write().produce([record(number) for number in range(3000)], partitions=3, key="id")
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); CREATE TRIGGER t BEFORE INSERT ON rows"
               " BEGIN SELECT RAISE(ABORT, 'closed'); END")
    sink = lab.ledger()["sinks"]["rows"]
    assert (sink["routed"], sink["written"], sink["rejected"]) == (3000, 0, 3000)
    assert len(lab.letters_of_all("dead")) == 3000
    lab.audit()


def test_a_kill_while_rows_are_refused(lab):
    """Neither twice in weir_rejects nor twice among the dead letters."""
    lab.write(delivery={"commit_interval": "1ms"})
    lab.produce([record(number, n=number % 3 - 1) for number in range(6000)])
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}); " + BEFORE % "ROLLBACK, 'no'")
    for mark in (1, 2500, 4500):
        process = lab.start()
        lab.wait_committed(process, mark)
        process.kill()
    lab.run()
    rejects = lab.sql('SELECT "offset", number FROM weir_rejects ORDER BY number')
    assert [offset for offset, _ in rejects] == list(range(0, 6000, 3))
    assert [number for _, number in rejects] == list(range(1, 2001))
    assert sorted(lab.letters_of_all("dead")) == list(range(0, 6000, 3))
    assert lab.sql("SELECT count(*), count(DISTINCT id) FROM rows") == [(4000, 4000)]
    lab.audit()


def test_a_table_that_is_full_of_strangers_at_init(lab):
    """Rows of before are told, and not mixed up with what was refused."""
    lab.write().produce(values())
    lab.script(f"CREATE TABLE rows ({COLUMNS}, {ORIGIN}, CHECK (n >= 0)); INSERT INTO rows (id) VALUES ('x')")
    lab.run("--init")
    said = lab.audit(status=1)
    assert "missing 0 · doubled 0 · altered 0 · foreign 1" in said, said


def test_a_value_that_the_schema_lets_through_and_sqlite_does_not(lab):
    """An integer beyond 64 bits never comes so far; text with NUL does, and stays whole."""
    lab.write(schema={**SCHEMA, "properties": {**SCHEMA["properties"], "n": {"type": "integer"}}})
    lab.produce([record(0), record(1, n=2**63 - 1, text="a\0b"), record(2, n=2**63)])
    assert balanced(lab.ledger()) == counts(valid=2, invalid=1)
    assert lab.sql("SELECT n, CAST(text AS BLOB) FROM rows WHERE id = 'm1'") == [(2**63 - 1, b"a\0b")]
    lab.audit()


@pytest.mark.parametrize("column", ["n REAL CHECK (n >= 0)", "n INTEGER"])
def test_a_row_refused_among_hundreds(lab, column):
    """What one statement wrote of them before the bad row is not there twice."""
    lab.write().produce([record(number,
                                n=-1.5 if number == 1400 else number) for number in range(2000)])
    lab.script(f"CREATE TABLE rows (id TEXT, at TEXT, {column}, text TEXT, {ORIGIN}) STRICT")
    sink = lab.ledger()["sinks"]["rows"]
    assert (sink["routed"], sink["written"], sink["rejected"]) == (2000, 1999, 1)
    assert lab.sql("SELECT count(*), count(DISTINCT id) FROM rows") == [(1999, 1999)]
    lab.audit()


def test_a_table_that_is_changed_while_rows_are_written(lab):
    """A trigger and a unique index that were not there at the start."""
    sinks = {"rows": table("rows", mode="upsert", key="id", newest_by="at")}
    lab.write(sinks=sinks,
              delivery={"commit_interval": "1ms"}).produce([record(number) for number in range(1000)])
    process = lab.start()
    lab.wait_committed(process, 1000)
    lab.script(BEFORE % "ROLLBACK, 'not below zero'")
    lab.produce([record(number, n=-1 if number == 1500 else number) for number in range(1000, 2000)])
    lab.wait_committed(process, 2000)
    lab.script("DROP TRIGGER t; CREATE UNIQUE INDEX u ON rows (n)")
    lab.produce([record(number, n=7 if number == 2500 else number) for number in range(2000, 3000)])
    lab.wait_committed(process, 3000)
    lab.script("DROP TABLE rows")
    lab.produce([record(3000)])
    assert process.wait() == 3 and "sink.missing_table" in process.errors()
    rejects = lab.sql('SELECT "offset", code FROM weir_rejects ORDER BY number')
    assert rejects == [(1500, "sink.trigger"), (2500, "sink.constraint_unique")]
