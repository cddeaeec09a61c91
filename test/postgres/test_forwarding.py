"""Rows that PostgreSQL refuses, with the dead letters in a local log: each forwarded exactly once."""
import random
import time

from checker.log import Topic
from postgres.pipeline import Pipeline
from postgres.test_rejects import COLUMNS


def prepared(tmp_path, weir, database, records=20000, seed=1):
    database.ask(f"CREATE TABLE readings ({COLUMNS}, CHECK (temperature < 30))")
    pipeline = Pipeline(tmp_path, weir, database.dsn, records=records, seed=seed)
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
    assert letters(pipeline) == rejects(database) and len(letters(pipeline)) > 1000
    pipeline.audit()


def test_kills_between_commit_and_forwarding(database, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    pipeline = prepared(tmp_path, weir, database, records=30000, seed=seed)
    kills = 0
    for _ in range(30 if long_run else 6):
        process = pipeline.start()
        time.sleep(rng.uniform(0.05, 0.4))  # any moment
        kills += process.is_running()
        process.kill()
        process.wait()
    pipeline.finish()
    assert kills > 0 and letters(pipeline) == rejects(database)
    pipeline.audit()
