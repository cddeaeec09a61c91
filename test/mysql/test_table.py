"""The table of examples/iot.yaml in a real MariaDB: exactly what was delivered, through kill -9."""
import json
import random
import time

import pytest

from database.pipeline import Pipeline, check_table, is_under_way, wait_until
from database.table import (  # noqa: F401  the tests that any database has
    test_append_has_every_row_once, test_audit_names_what_somebody_did_to_the_table,
    test_kill_9_at_random_times, test_rows_are_those_of_the_validated_topic)
from mysql.database import Database
from mysql.pipeline import Lines


def test_trace_and_explain_know_the_table(database, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database, records=500)
    pipeline.finish()
    message_id, partition, offset = database.ask(
        "SELECT message_id, _weir_partition, _weir_offset FROM readings LIMIT 1")[0]
    out, _ = pipeline.run("trace", "iot.yaml", f"raw_iot_data[{partition}]@{offset}")
    assert "readings" in out and message_id in out, out
    out, _ = pipeline.run("explain", "iot.yaml")
    assert "sink readings: mysql, exactly once (upsert by key)" in out
    assert "innodb_flush_log_at_trx_commit" not in out


def test_the_server_is_killed(own_server, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    database = Database(own_server, "iot")
    pipeline = Pipeline(tmp_path, weir, database, records=300000 if long_run else 80000,
                        seed=seed % 1000, more="retry: {initial: 20ms, max: 200ms}\n")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 20ms")
    process = pipeline.start()
    wait_until(is_under_way(database, epoch=0), process)  # what is away before that is no first start
    for _ in range(10 if long_run else 3):
        time.sleep(rng.uniform(0.05, 0.4))
        own_server.kill()
        own_server.start()
    assert process.wait() == 0, process.errors()
    pipeline.judge_topics()
    check_table(pipeline, database)
    pipeline.audit()


KEYED = ", mode: upsert, key: [id], newest_by: at"
KEYED_FIELDS = "id: {type: string}, at: {type: string, format: date-time}, n: {type: integer}"


@pytest.mark.parametrize("newest", ["text", "integer", "time", "none"])
def test_the_newest_row_stays_whatever_the_order(newest, database, weir, tmp_path, seed):
    """Rows of few keys in any order, in statements of any size, against a fold in Python."""
    rng = random.Random(seed)
    kinds = {"text": "{type: [string, 'null']}", "integer": "{type: [integer, 'null']}",
             "time": "{type: [string, 'null'], format: date-time}", "none": "{type: string}"}
    keys = ", mode: upsert, key: [id]" + ("" if newest == "none" else ", newest_by: at")
    lines = Lines(tmp_path, weir, database, "id: {type: string}, at: %s, n: {type: integer}"
                  % kinds[newest], keys, required=", required: [id]")
    texts = {"text": ["a", "B", "b ", "b", "é", None],
             "integer": [-5, 0, 7, 70, 8, None],
             "time": [f"2026-01-01T00:00:0{i}.5Z" for i in range(5)] + [None],
             "none": ["x"]}[newest]
    names = ["k", "K", "k ", "ключ", "kk", ""]
    expected = {}
    for part in range(3):  # three runs: a new row meets one of an earlier epoch too
        rows = []
        for _ in range(1500):
            row = {"id": rng.choice(names), "at": rng.choice(texts), "n": rng.randrange(10 ** 6)}
            rows.append(row)
            at = row["at"]
            order = ((at is not None, at.encode() if isinstance(at, str) else at)
                     if newest != "none" else 0)
            old = expected.get(row["id"])
            if old is None or not order < old[0]:
                expected[row["id"]] = (order, row["n"])
        lines.add(*rows).run()
    assert dict(database.ask("SELECT id, n FROM `rows`")) == \
        {key: n for key, (_, n) in expected.items()}
    lines.run("audit")


def test_values_come_back_as_they_went(database, weir, tmp_path):
    fields = ("i: {type: integer}, d: {type: number}, b: {type: boolean}, s: {type: string},"
              " t: {type: string, format: date-time}, o: {type: object}")
    lines = Lines(tmp_path, weir, database, fields)
    lines.add({"i": -2 ** 63, "d": 0.1, "b": True, "s": "nul\0 'quote' \\ \U0001F600 \n",
               "t": "2026-01-02T03:04:05.000006Z", "o": {"b": [1, {"x": None}], "a": 1.50}},
              {"i": 2 ** 63 - 1, "d": 5e-324, "b": False, "s": "", "t": "1970-01-01T01:00:00+02:00"},
              {"d": 1.7976931348623157e308}, {"d": 0.30000000000000004}, {"d": 3}, {})
    lines.run()
    rows = database.ask("SELECT i, d, b, s, " + database.time_text("t") + ", o FROM `rows`"
                        " ORDER BY _weir_offset")
    assert rows[0] == (-2 ** 63, 0.1, 1, "nul\0 'quote' \\ \U0001F600 \n",
                       "2026-01-02T03:04:05.000006Z", '{"b": [1, {"x": null}], "a": 1.5}')
    assert rows[1] == (2 ** 63 - 1, 5e-324, 0, "", "1969-12-31T23:00:00.000000Z", None)
    assert [row[1] for row in rows[2:]] == [1.7976931348623157e308, 0.30000000000000004, 3, None]
    lines.run("audit")


def test_large_numbers_in_a_decimal_are_not_called_altered(database, weir, tmp_path):
    """They are doubles, and the decimal has the digits that the double was sent as."""
    database.ask("CREATE TABLE `rows` (d decimal(30,0))")
    lines = Lines(tmp_path, weir, database, "d: {type: number}")
    for text in ("1234567890123456789.0", "1e18", "-9007199254740993.0", "9223372036854775807.0", "7"):
        with open(tmp_path / "in.ndjson", "a") as file:
            file.write('{"d": %s}\n' % text)
    assert "written 5 + rejected 0" in lines.run()
    lines.run("audit")


def test_a_schema_that_grows_or_changes(database, weir, tmp_path):
    def run(fields, evolve, status=0, row=None):
        lines = Lines(tmp_path, weir, database, fields, f", evolve: {evolve}")
        if row is not None:
            lines.add(row)
        return lines.run(status=status)

    run("id: {type: integer}", "refuse", row={"id": 1})
    grown = "id: {type: integer}, note: {type: string}"
    said = run(grown, "refuse", status=2, row={"id": 2, "note": "x"})
    mend = "ALTER TABLE `rows` ADD COLUMN `note` longtext"
    assert mend in said, said
    run(grown, "add_columns")
    assert database.ask("SELECT id, note FROM `rows` ORDER BY id") == [(1, None), (2, "x")]
    said = run(grown.replace("integer", "string"), "add_columns", status=2)
    mend = "ALTER TABLE `rows` MODIFY COLUMN `id` longtext"
    assert mend in said, said
    database.ask(mend)
    run(grown.replace("integer", "string"), "add_columns", row={"id": "3", "note": "y"})
    assert database.ask("SELECT id, note FROM `rows` ORDER BY id")[-1] == ("3", "y")
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]


ORIGIN = "_weir_topic varchar(255), _weir_partition int, _weir_offset bigint"
# A table that weir must not write to, the code, and whether what the message proposes mends it.
UNFIT = {
    "engine": (f"id varchar(9) COLLATE utf8mb4_bin PRIMARY KEY, n bigint, {ORIGIN}) ENGINE = MyISAM",
               "sink.engine"),
    "another unique index": (f"id varchar(9) COLLATE utf8mb4_bin PRIMARY KEY, n bigint, {ORIGIN},"
                             " UNIQUE INDEX other (n))", "sink.other_unique"),
    "no unique index": (f"id varchar(9) COLLATE utf8mb4_bin NOT NULL, n bigint, {ORIGIN})",
                        "sink.no_key"),
    "collation": (f"id varchar(9) COLLATE utf8mb4_general_ci PRIMARY KEY, n bigint, {ORIGIN})",
                  "sink.column_type"),
    "type": (f"id varchar(9) COLLATE utf8mb4_bin PRIMARY KEY, n float, {ORIGIN})",
             "sink.column_type"),
    "generated": ("id varchar(9) COLLATE utf8mb4_bin PRIMARY KEY, n bigint AS (1) STORED,"
                  f" {ORIGIN})", "sink.column_type"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_table_that_would_not_keep_rows_is_refused_with_what_mends_it(name, database, weir,
                                                                       tmp_path):
    definition, code = UNFIT[name]
    database.ask(f"CREATE TABLE `rows` ({definition}")
    lines = Lines(tmp_path, weir, database, "id: {type: string}, n: {type: integer}",
                  ", mode: upsert, key: [id]", required=", required: [id]")
    said = lines.add({"id": "a", "n": 1}, {"id": "A", "n": 2}).run(status=2)
    assert code in said, said
    statement = said.partition("mend it: ")[2].splitlines()[0]
    assert statement.startswith("ALTER TABLE `rows`"), said
    database.ask(statement)
    lines.run()
    assert database.ask("SELECT id, n FROM `rows` ORDER BY n") == [("a", 1), ("A", 2)]


def test_a_timestamp_that_the_server_may_fill_in_is_refused(own_server, weir, tmp_path):
    """With that setting null becomes the time of now."""
    own_server.ask("SET GLOBAL explicit_defaults_for_timestamp = 0")
    database = Database(own_server, "iot")
    database.ask("CREATE TABLE `rows` (at timestamp(6) NOT NULL DEFAULT '2001-01-01 00:00:00')")
    lines = Lines(tmp_path, weir, database, "at: {type: string, format: date-time}")
    said = lines.add({}, {"at": "2026-01-02T03:04:05Z"}).run(status=2)
    assert "sink.column_type" in said, said
    database.ask(said.partition("mend it: ")[2].splitlines()[0])
    lines.run()
    assert database.ask("SELECT CAST(at AS char) FROM `rows` ORDER BY at") == \
        [(None,), ("2026-01-02 03:04:05.000000",)]
    lines.run("audit")


def test_names_that_differ_in_a_space_at_the_end_are_two(database, weir, tmp_path):
    """Of weir's own tables too."""
    Lines(tmp_path, weir, database, "id: {type: integer}").add({"id": 1}).run()
    collations = database.ask("SELECT TABLE_NAME, COLLATION_NAME FROM information_schema.COLUMNS WHERE"
                              " TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'weir%%'"
                              " AND DATA_TYPE = 'varchar'")
    assert len(collations) > 10 and {row[1] for row in collations} == {"utf8mb4_nopad_bin"}
    assert database.ask("SELECT count(*) FROM weir_progress WHERE pipeline = 'p'") == [(1,)]
    assert database.ask("SELECT count(*) FROM weir_progress WHERE pipeline = 'p '") == [(0,)]


def test_names_of_all_kinds_are_quoted(database, weir, tmp_path):
    name = "we`ird; DROP TABLE x -- \""
    lines = Lines(tmp_path, weir, database, json.dumps(name) + ": {type: integer}, select: {type:"
                  " string}", table="'sel`ect'")
    lines.add({name: 1, "select": "from"}).run()
    assert database.ask("SELECT * FROM `sel``ect`")[0][:2] == (1, "from")
    lines.run("audit")


def test_a_partition_that_comes_later(database, weir, tmp_path):
    """Its progress record is made at the start that finds it, which then takes over all of them."""
    lines = Lines(tmp_path, weir, database, "id: {type: integer}").add({"id": 1})
    lines.run()
    (tmp_path / "b.ndjson").write_text('{"id": 2}\n')
    (tmp_path / "p.yaml").write_text(lines.text.replace("path: in.ndjson", "path: [in.ndjson, b.ndjson]"))
    lines.add({"id": 3}).run()
    assert sorted(database.ask("SELECT id FROM `rows`")) == [(1,), (2,), (3,)]
    lines.run("audit")


def test_a_view_is_not_written_to(database, weir, tmp_path):
    database.ask("CREATE VIEW `rows` AS SELECT 1 AS id FROM dual WHERE 1 = 0")
    said = Lines(tmp_path, weir, database, "id: {type: integer}").add({"id": 1}).run(status=2)
    assert "sink.view" in said and "the table behind it" in said, said
