"""The verbs that look, on tables of PostgreSQL."""
import json

import pytest

from postgres.pipeline import Pipeline



@pytest.fixture
def pipeline(database, weir, tmp_path):
    """examples/iot.yaml with its table and its dead letters in PostgreSQL, run to the end."""
    made = Pipeline(tmp_path, weir, database.dsn, records=3000)
    text = (tmp_path / "iot.yaml").read_text()
    start = text.index("dlq:")
    local = text[start:text.index("include:", start)]
    text = text.replace(local, f'dlq:\n  postgres: {{dsn: "{database.dsn}", table: dead}}\n  ')
    (tmp_path / "iot.yaml").write_text(text)
    made.finish()
    return made


def read(pipeline, *words, status=0):
    return json.loads(pipeline.run(*words, "--json", status=status)[0])


def test_dead_letters_in_a_table_are_listed_and_shown(pipeline, database):
    groups = read(pipeline, "dlq", "list", "iot.yaml")
    counted = {(group["reason"], group["field"]): group["records"] for group in groups}
    assert counted == {(reason, field or ""): count for reason, field, count in database.ask(
        "SELECT reason, field, count(*) FROM dead GROUP BY 1, 2")}
    assert len(counted) > 5
    out, _ = pipeline.run("dlq", "show", "iot.yaml", "--reason", "schema.range", "--json")
    shown = [json.loads(line) for line in out.splitlines()]
    there = database.ask("SELECT topic, partition, \"offset\", violations, value FROM dead WHERE"
                         " reason = 'schema.range'")
    assert {(one["topic"], one["partition"], one["offset"]) for one in shown} == \
        {row[:3] for row in there}
    violations = {row[2]: json.loads(row[3]) for row in there if row[1] == shown[0]["partition"]}
    assert shown[0]["violations"] == violations[shown[0]["offset"]]


def test_dead_letters_in_a_table_are_replayed(pipeline, database):
    letters = database.ask("SELECT count(*) FROM dead WHERE reason = 'schema.range'")[0][0]
    assert letters > 0
    pipeline.run("dlq", "replay", "iot.yaml", "--reason", "schema.range")
    pipeline.run("dlq", "replay", "iot.yaml", "--reason", "schema.range")
    pipeline.finish()
    assert database.ask("SELECT count(*) FROM dead WHERE attempt = 2 AND reason = 'schema.range'") \
        == [(letters,)]
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
    database.ask("INSERT INTO copied SELECT * FROM copied WHERE message_id = %s", rows[2]["message_id"])
    found = read(pipeline, *words, status=1)
    assert [found[what] for what in ("missing", "altered", "doubled")] == [1, 1, 1]


def test_trace_names_row_and_dead_letter(pipeline, database):
    key = database.ask("SELECT message_id FROM readings LIMIT 1")[0][0]
    out, _ = pipeline.run("trace", "iot.yaml", key)
    assert "readings   readings (postgres://" in out
    offset, partition = database.ask("SELECT \"offset\", partition FROM dead LIMIT 1")[0]
    out, _ = pipeline.run("trace", "iot.yaml", f"raw_iot_data[{partition}]@{offset}")
    assert "dead (postgres://" in out


def test_explain_tells_version_rights_key_and_mode(pipeline, database):
    version = database.ask("SELECT current_setting('server_version')")[0][0]
    out, _ = pipeline.run("explain", "iot.yaml")
    assert f"PostgreSQL {version}" in out
    assert 'table "readings", upsert, key held unique by readings_pkey: rows go by COPY in binary' in out
    database.ask("DROP ROLE IF EXISTS clerk")
    database.ask("CREATE ROLE clerk LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk")
    text = (pipeline.folder / "iot.yaml").read_text()
    (pipeline.folder / "iot.yaml").write_text(text.replace("user=postgres", "user=clerk"))
    out, _ = pipeline.run("explain", "iot.yaml")
    assert 'clerk may not write to table "readings"' in out
    assert 'GRANT INSERT, SELECT, UPDATE ON "readings" TO "clerk"' in out
    database.ask("DROP OWNED BY clerk; DROP ROLE clerk")
