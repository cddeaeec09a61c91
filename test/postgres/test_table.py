"""The table of examples/iot.yaml in a real PostgreSQL: exactly what was delivered, through kill -9."""
import json
import random
import subprocess
import time

import pytest

from database.pipeline import UPSERT, Pipeline, check_table, is_under_way, wait_until
from database.table import (  # noqa: F401  the tests that any database has
    check_appended, test_append_has_every_row_once, test_audit_names_what_somebody_did_to_the_table,
    test_kill_9_at_random_times, test_rows_are_those_of_the_validated_topic)
from faults.lab import SCHEMA, Lab, record
from postgres.database import Database


def test_kill_9_while_rows_are_appended(database, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    pipeline = Pipeline(tmp_path, weir, database, records=60000, seed=seed % 1000,
                        keys="")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 10ms")
    for _ in range(30 if long_run else 5):
        process = pipeline.start()
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
    pipeline.finish()
    check_appended(pipeline, database, 45000)
    pipeline.audit()


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_the_server_is_killed(mode, own_server, weir, tmp_path, seed, long_run):
    """And weir too, half of the time."""
    rng = random.Random(seed)
    database = Database(own_server, "iot")
    pipeline = Pipeline(tmp_path, weir, database, records=400000 if long_run else 100000,
                        seed=seed % 1000, keys=UPSERT if mode == "upsert" else "")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 20ms")
    process = pipeline.start()
    wait_until(is_under_way(database, epoch=0), process)
    for _ in range(10 if long_run else 3):
        time.sleep(rng.uniform(0.05, 0.4))
        own_server.kill()
        if rng.random() < 0.5:
            process.kill()
        own_server.start()
        if not process.is_running():
            process.wait()
            process = pipeline.start()
    assert process.wait() == 0, process.errors()
    pipeline.judge_topics()
    if mode == "upsert":
        check_table(pipeline, database)
    else:
        check_appended(pipeline, database, 75000)
    pipeline.audit()


EVOLVING = """
version: 1
name: evolving
source:
  file: {{path: in.ndjson}}
  format: json
schema: {{type: object, properties: {{{fields}}}}}
sinks:
  rows:
    postgres: {{dsn: "{dsn}", table: rows, evolve: {evolve}}}
"""


def test_a_schema_that_grows_or_changes(database, weir, tmp_path):
    def run(fields, evolve, status=0, row=None):
        (tmp_path / "p.yaml").write_text(EVOLVING.format(fields=fields, evolve=evolve,
                                                         dsn=database.dsn))
        if row is not None:
            with open(tmp_path / "in.ndjson", "a") as file:
                file.write(json.dumps(row) + "\n")
        done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                              capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stderr

    run("id: {type: integer}", "refuse", row={"id": 1})
    grown = "id: {type: integer}, note: {type: string}"
    errors = run(grown, "refuse", status=2, row={"id": 2, "note": "x"})
    assert 'ALTER TABLE "rows" ADD COLUMN "note" text' in errors
    run(grown, "add_columns")
    assert database.ask("SELECT id, note FROM rows ORDER BY id") == [(1, None), (2, "x")]
    errors = run(grown.replace("integer", "string"), "add_columns", status=2)
    mend = 'ALTER TABLE "rows" ALTER COLUMN "id" TYPE text USING "id"::text'
    assert mend in errors
    database.ask(mend)
    run(grown.replace("integer", "string"), "add_columns", row={"id": "3", "note": "y"})
    assert database.ask("SELECT id, note FROM rows ORDER BY id")[-1] == ("3", "y")
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]


SLOW = """
CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); END $$;
CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION slow()
"""


def test_processes_that_start_at_one_time_make_tables_one_after_the_other(database, weir, tmp_path):
    """Of CREATE TABLE IF NOT EXISTS, twice at once, the server refuses one; so it does of ADD COLUMN."""
    for statement in SLOW.split(";\n", 1):
        database.ask(statement)
    place = {"postgres": {"dsn": database.dsn, "table": "items", "evolve": "add_columns"}}
    labs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        labs.append(Lab(tmp_path / name, weir).write(name=name, sinks={"rows": place}))
    for schema in (SCHEMA, {**SCHEMA, "properties": {**SCHEMA["properties"], "more": {"type": "string"}}}):
        number = len(schema["properties"])
        for lab in labs:
            lab.write(schema=schema).produce([record(number, **{"more": "x"} if number > 4 else {})])
        processes = [lab.start("--until-end", "--init") for lab in labs]
        for process in processes:
            assert process.wait() == 0, process.errors()
    assert database.ask("SELECT count(*), count(more) FROM items") == [(4, 2)]
