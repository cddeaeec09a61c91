"""The verbs that look, on tables of MariaDB."""
import json

import pytest

from mysql.pipeline import Lines, iot


@pytest.fixture
def pipeline(database, weir, tmp_path):
    """examples/iot.yaml with its table and its dead letters in MariaDB, run to the end."""
    made = iot(tmp_path, weir, database, records=3000)
    text = (tmp_path / "iot.yaml").read_text()
    start = text.index("dlq:")
    local = text[start:text.index("include:", start)]
    text = text.replace(local, f"dlq:\n  mysql: {{{database.place}, table: dead}}\n  ")
    (tmp_path / "iot.yaml").write_text(text)
    made.finish()
    return made


def read(pipeline, *words, status=0):
    return json.loads(pipeline.run(*words, "--json", status=status)[0])


def test_dead_letters_in_a_table_are_listed_shown_and_replayed(pipeline, database):
    groups = read(pipeline, "dlq", "list", "iot.yaml")
    counted = {(group["reason"], group["field"]): group["records"] for group in groups}
    assert counted == {(reason, field or ""): count for reason, field, count in database.ask(
        "SELECT reason, field, count(*) FROM dead GROUP BY 1, 2")}
    assert len(counted) > 5
    out, _ = pipeline.run("dlq", "show", "iot.yaml", "--reason", "schema.range", "--json")
    shown = [json.loads(line) for line in out.splitlines()]
    letters = database.ask("SELECT topic, `partition`, `offset` FROM dead WHERE reason ="
                           " 'schema.range'")
    assert letters and {(one["topic"], one["partition"], one["offset"]) for one in shown} == \
        set(letters)
    pipeline.run("dlq", "replay", "iot.yaml", "--reason", "schema.range")
    pipeline.run("dlq", "replay", "iot.yaml", "--reason", "schema.range")
    pipeline.finish()
    assert database.ask("SELECT count(*) FROM dead WHERE attempt = 2 AND reason = 'schema.range'") \
        == [(len(letters),)]
    assert pipeline.audit()["missing"] == 0


def test_tail_and_reconcile_read_tables(pipeline, database):
    rows = [json.loads(line) for line in pipeline.run("tail", "iot.yaml:readings")[0].splitlines()]
    assert len(rows) == database.ask("SELECT count(*) FROM readings")[0][0]
    assert {row["message_id"] for row in rows} == {
        row[0] for row in database.ask("SELECT message_id FROM readings")}
    words = ("reconcile", "iot.yaml:readings", "copy.yaml:readings", "--key", "message_id")
    copy = (pipeline.folder / "iot.yaml").read_text().replace("table: readings", "table: copied")
    (pipeline.folder / "copy.yaml").write_text(copy)
    _, errors = pipeline.run(*words, status=2)
    assert "copied" in errors
    database.ask("CREATE TABLE copied AS SELECT * FROM readings")
    found = read(pipeline, *words)
    assert found["same"] == len(rows)
    gone, changed = [row["message_id"] for row in rows[:2]]
    database.ask("DELETE FROM copied WHERE message_id = %s", gone)
    database.ask("UPDATE copied SET temperature = 1.5 WHERE message_id = %s", changed)
    database.ask("INSERT INTO copied SELECT * FROM copied WHERE message_id = %s",
                 rows[2]["message_id"])
    found = read(pipeline, *words, status=1)
    assert [found[what] for what in ("missing", "altered", "doubled")] == [1, 1, 1]


def test_rows_are_read_as_they_were_written(database, weir, tmp_path):
    lines = Lines(tmp_path, weir, database, "n: {type: number}, t: {type: string, format: date-time},"
                  " o: {type: object}, s: {type: string}")
    row = {"n": 0.1, "t": "2026-01-02T03:04:05.000006Z", "o": {"a": [1, None]}, "s": "\"\u00e9\0"}
    lines.add(row, {}).run()
    first, second = map(json.loads, lines.run("tail", "p.yaml:rows").splitlines())
    assert {name: first[name] for name in row} == row
    assert {name: second[name] for name in row} == dict.fromkeys(row)


def test_zeros_in_front_are_no_json(database, weir, tmp_path):
    database.ask("CREATE TABLE `rows` (a int(6) zerofill, b decimal(8,2) zerofill, c double zerofill,"
                 " d year, e int(6) zerofill)")
    database.ask("INSERT INTO `rows` VALUES (42, 0.5, 1.5, 0, 0)")
    lines = Lines(tmp_path, weir, database, "a: {type: integer}")
    assert json.loads(lines.run("tail", "p.yaml:rows")) == \
        {"a": 42, "b": 0.5, "c": 1.5, "d": 0, "e": 0}


def test_tables_of_an_older_weir_do_not_tell_spaces_apart(database, weir, tmp_path):
    """Their names are padded: two files whose names differ in a space at the end would share a progress record."""
    lines = Lines(tmp_path, weir, database, "id: {type: integer}")
    lines.add({"id": 1}).run()
    tables = ("weir_progress", "weir_start", "weir_ledger", "weir_plan", "weir_rejects")
    assert "names" not in lines.run("explain", "--json")
    for table in tables:
        database.ask(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    lines.add({"id": 2}).run()
    assert "nopad_bin" in lines.run("explain", "--json")
    (tmp_path / "in.ndjson ").write_text('{"id": 3}\n')
    (tmp_path / "p.yaml").write_text(lines.text.replace("path: in.ndjson", "path: [in.ndjson, 'in.ndjson ']"))
    said = lines.run(status=2)
    assert "mysql.padded_names" in said and "utf8mb4_nopad_bin" in said, said
    for table in tables:
        database.ask(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    lines.run()
    assert sorted(database.ask("SELECT id FROM `rows`")) == [(1,), (2,), (3,)]
    lines.run("audit")
