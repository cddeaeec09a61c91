"""Tests of the table of examples/iot.yaml in any database: exactly what was delivered, through kill -9.
test_table.py of its folder takes them in."""
import random
import time

from database.pipeline import Pipeline, check_table


def check_appended(pipeline, database, least):
    """Every valid row once."""
    valid = int(database.ask("SELECT sum(valid) FROM weir_progress")[0][0])
    assert valid > least
    assert database.ask("SELECT count(*), count(DISTINCT concat(_weir_partition, ' ', _weir_offset))"
                        " FROM readings") == [(valid, valid)]


def test_rows_are_those_of_the_validated_topic(database, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database)
    pipeline.finish()
    pipeline.judge_topics()
    check_table(pipeline, database)
    audit = pipeline.audit()
    assert audit["missing"] == audit["doubled"] == audit["altered"] == 0
    again, _ = pipeline.finish()
    assert "in 20,000" in again
    check_table(pipeline, database)


def test_append_has_every_row_once(database, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database, keys="")
    pipeline.finish()
    check_appended(pipeline, database, 15000)
    pipeline.audit()


def test_audit_names_what_somebody_did_to_the_table(database, weir, tmp_path, seed):
    pipeline = Pipeline(tmp_path, weir, database, records=3000)
    pipeline.finish()
    there = database.ask("SELECT message_id, _weir_partition, _weir_offset FROM readings ORDER BY 1")
    rows = random.Random(seed).sample(there, 2)
    database.ask("DELETE FROM readings WHERE message_id = %s", rows[0][0])
    database.ask("UPDATE readings SET temperature = 1.5 WHERE message_id = %s", rows[1][0])
    audit = pipeline.audit(status=1)
    assert audit["missing"] + audit["altered"] >= 2, audit
    for _, partition, offset in rows:
        assert any(f"[{partition}] offset {offset} " in line for line in audit["findings"]), audit


def test_kill_9_at_random_times(database, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    pipeline = Pipeline(tmp_path, weir, database, records=60000, seed=seed % 1000)
    pipeline.edit("commit_interval: 100ms", "commit_interval: 10ms")
    kills = 0
    for _ in range(100 if long_run else 12):
        process = pipeline.start()
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        kills += process.process.returncode == -9
    print(f"{kills} kills")
    pipeline.finish()
    pipeline.judge_topics()
    check_table(pipeline, database)
    pipeline.audit()
