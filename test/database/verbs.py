"""Tests of the verbs that look, on tables of any database: test_verbs.py of its folder takes them in."""
import json

import pytest

from database.pipeline import Pipeline, letters_into_the_database


@pytest.fixture
def pipeline(database, weir, tmp_path):
    """examples/iot.yaml with its table and its dead letters in the database, run to the end."""
    made = Pipeline(tmp_path, weir, database, records=3000)
    letters_into_the_database(made, database)
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
    partition, offset = (database.quote + name + database.quote for name in ("partition", "offset"))
    there = {row[:3]: json.loads(row[3]) for row in database.ask(
        f"SELECT topic, {partition}, {offset}, violations FROM dead WHERE reason = 'schema.range'")}
    assert there
    assert {(one["topic"], one["partition"], one["offset"]): one["violations"] for one in shown} == there


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
