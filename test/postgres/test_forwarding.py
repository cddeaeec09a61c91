"""Rows that PostgreSQL refuses, with the dead letters in a local log: each forwarded exactly once."""
import random
import time

from checker.log import Topic
from crash.killer import Weir
from database.pipeline import Pipeline
from postgres.test_rejects import COLUMNS


def prepared(tmp_path, weir, database, records=20000, seed=1, rule="_weir_offset % 200 <> 7"):
    database.ask(f"CREATE TABLE readings ({COLUMNS}, CHECK ({rule}))")
    pipeline = Pipeline(tmp_path, weir, database, records=records, seed=seed)
    pipeline.edit("include: [invalid, late]", "include: [invalid, late, rejected]")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    return pipeline


def letters(pipeline):
    """(partition, offset) of each dead letter of a refused row, none of them twice."""
    found = set()
    topic = Topic(pipeline.folder / "iot.db", "dlq_iot_data")
    for partition in range(topic.partitions):
        for _, records in topic.batches(partition):
            for _, _, headers in records:
                headers = dict(headers)
                if headers.get("weir.sink") == b"readings":
                    place = int(headers["weir.partition"]), int(headers["weir.offset"])
                    assert place not in found, place
                    assert headers["weir.reason"] == b"sink.constraint_check"
                    assert b"SQLSTATE 23514" in headers["weir.detail"]
                    found.add(place)
    return found


def rejects(database):
    return {(int(partition), offset) for partition, offset in
            database.ask('SELECT partition, "offset" FROM weir_rejects')}


def test_refused_rows_become_dead_letters_in_a_local_log(database, weir, tmp_path):
    pipeline = prepared(tmp_path, weir, database)
    pipeline.finish()
    assert letters(pipeline) == rejects(database) and len(letters(pipeline)) > 50
    pipeline.audit()


def test_kills_between_commit_and_forwarding(database, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    pipeline = prepared(tmp_path, weir, database, records=30000, seed=seed)
    for _ in range(30 if long_run else 6):
        process = Weir(weir, "run", "iot.yaml", cwd=pipeline.folder)
        time.sleep(rng.uniform(0.05, 0.4))  # any moment
        process.kill()
        process.wait()
    pipeline.finish()
    assert letters(pipeline) == rejects(database)
    pipeline.audit()


def delivered(pipeline):
    topic = Topic(pipeline.folder / "iot.db", "validated_iot_data")
    return sum(len(records) for partition in range(topic.partitions)
               for _, records in topic.batches(partition))


def wait_for(condition, process):
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end, process.errors()
        time.sleep(0.05)


def test_a_slow_table_stops_the_intake_at_max_behind(database, weir, tmp_path):
    """Somebody holds a lock on the table: the topic goes on up to the bound, and weir says so."""
    pipeline = prepared(tmp_path, weir, database, records=1000, rule="true")
    pipeline.edit("commit_interval: 5ms", "commit_interval: 5ms, max_behind: 1MiB")
    process = Weir(weir, "run", "iot.yaml", cwd=pipeline.folder)
    wait_for(lambda: database.ask("SELECT count(*) FROM readings")[0][0] > 900, process)
    holder = database.connect()
    holder.autocommit = False
    try:
        holder.cursor().execute("LOCK TABLE readings IN SHARE MODE")
        pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "30000", "--seed", "2")
        wait_for(lambda: "the intake waits for it" in process.errors(), process)
        there = delivered(pipeline)
        assert 1500 < there < 27000, there
        time.sleep(0.5)
        assert delivered(pipeline) == there
    finally:
        holder.close()  # and its lock with it
    wait_for(lambda: delivered(pipeline) > 27000, process)
    assert process.terminate() == 0, process.errors()
    assert letters(pipeline) == rejects(database)
    pipeline.audit()
