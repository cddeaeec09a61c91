"""A server that answers slowly, or not at all for a while: the intake waits, the memory does not grow,
and the other system goes on as far as it may be ahead."""
import sqlite3
import time

from database.pipeline import Pipeline, check_table, is_under_way, wait_until
from postgres.database import Database

BEHIND = "delivery: {commit_interval: 20ms, max_behind: 2MiB}"
RSS_MOST = 64 << 20  # what is remembered of 200,000 keys included


def rss_bytes(process):
    """0 once it has ended."""
    with open(f"/proc/{process.process.pid}/status") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmRSS")), 0) * 1024


def offset_of_the_table(database):
    return database.ask("SELECT sum(next_offset)::bigint FROM weir_progress")[0][0]


def offset_of_the_log(pipeline):
    with sqlite3.connect(pipeline.folder / "iot.db") as log:
        return log.execute("SELECT sum(next_offset) FROM weir_progress").fetchone()[0]


def wait_until_it_stands(pipeline):
    """Until the log has not moved for a second."""
    deadline = time.monotonic() + 60
    last, since = None, time.monotonic()
    while time.monotonic() - since < 1:
        assert time.monotonic() < deadline
        now = offset_of_the_log(pipeline)
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)
    return last


def test_a_server_that_stands_still(own_server, weir, tmp_path):
    database = Database(own_server, "iot")
    records = 200000
    pipeline = Pipeline(tmp_path, weir, database, records=records)
    pipeline.edit("delivery: {guarantee: exactly_once, commit_interval: 100ms}", BEHIND)
    process = pipeline.start()
    wait_until(is_under_way(database, epoch=0), process)
    before = offset_of_the_table(database)
    own_server.freeze()
    try:
        stands = wait_until_it_stands(pipeline)
        full = rss_bytes(process)
        # Ahead by some 2 MiB that wait and what is being filled, of about 500 bytes a row; and by what was
        # committed before the server stood.
        assert 1000 < stands - before < 30000, (before, stands)
        assert process.is_running()
        time.sleep(2)
        assert offset_of_the_log(pipeline) == stands
        assert rss_bytes(process) < min(full + (4 << 20), RSS_MOST), (full, rss_bytes(process))
    finally:
        own_server.freeze(False)
    assert process.wait() == 0, process.errors()
    pipeline.judge_topics()
    check_table(pipeline, database)
    pipeline.audit()


def test_a_server_that_is_slow(database, weir, tmp_path):
    """Half a millisecond a row: what is behind stays within its bound, and so does the memory."""
    pipeline = Pipeline(tmp_path, weir, database, records=20000)
    pipeline.edit("delivery: {guarantee: exactly_once, commit_interval: 100ms}",
                  BEHIND.replace("2MiB", "1MiB"))
    pipeline.edit("newest_by: event_time}", "newest_by: event_time}\n    batch: {max_records: 500}")
    database.ask("CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS"
                 " $$ BEGIN PERFORM pg_sleep(0.0005); RETURN NEW; END $$")
    database.ask("CREATE TABLE readings (message_id text PRIMARY KEY, sensor_id text, event_time"
                 " timestamptz, temperature double precision, humidity double precision, pressure double"
                 " precision, battery bigint, site text, temperature_f double precision, _weir_topic text,"
                 " _weir_partition integer, _weir_offset bigint)")
    database.ask("CREATE TRIGGER slowly BEFORE INSERT ON readings FOR EACH ROW EXECUTE FUNCTION slowly()")
    process = pipeline.start()
    wait_until(is_under_way(database, epoch=0), process)
    most, furthest = 0, 0
    while process.is_running():
        behind = offset_of_the_table(database)
        furthest = max(furthest, offset_of_the_log(pipeline) - behind)
        most = max(most, rss_bytes(process))
        time.sleep(0.1)
    assert process.wait() == 0, process.errors()
    # 1 MiB of rows of about 500 bytes, one epoch that is committed and one that is filled.
    assert 500 < furthest < 8000, furthest
    assert most < RSS_MOST
    check_table(pipeline, database)
    pipeline.audit()
