"""delivery.atomic: rows of the local log and of a table, visible together whatever is killed when."""
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from database.pipeline import Pipeline, check_table
from postgres.database import Database, place_of
from postgres.steps import Steps

ATOMIC = "delivery: {commit_interval: 5ms, atomic: [validated, readings]}"


def atomic_pipeline(tmp_path, weir, database, **options):
    pipeline = Pipeline(tmp_path, weir, database, **options)
    pipeline.edit("delivery: {guarantee: exactly_once, commit_interval: 100ms}", ATOMIC)
    return pipeline


def prepared(database):
    return database.ask("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
                        " AND gid LIKE 'weir:%%'")


def next_offsets(pipeline, database):
    with sqlite3.connect(pipeline.folder / "iot.db") as log:
        decision = dict(log.execute("SELECT partition, next_offset FROM weir_progress"))
    table = dict(tuple(row) for row in
                 database.ask("SELECT partition, next_offset FROM weir_progress"))
    return decision, table


def check_all(pipeline, database):
    assert prepared(database) == []
    pipeline.audit()
    pipeline.judge_topics()
    check_table(pipeline, database)
    decision, table = next_offsets(pipeline, database)
    assert decision == table


def test_both_are_at_one_place_always(database, weir, tmp_path):
    pipeline = atomic_pipeline(tmp_path, weir, database, records=20000)
    pipeline.finish()
    check_all(pipeline, database)


SLOW_TABLE = """
CREATE TABLE slow (message_id text, sensor_id text, event_time timestamptz,
  temperature double precision, humidity double precision, pressure double precision, battery bigint,
  site text, temperature_f double precision);
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_sleep(0.0004); RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION slowly();
"""


def test_a_slow_third_system_leaves_the_pair_together(database, server, weir, tmp_path):
    """What goes on while weir waits for another system goes on in pairs."""
    slow = Database(server, "slow_third")
    slow.ask(SLOW_TABLE)
    commits = Steps(server.port, b"COMMIT", 0, "never", None)
    prepares = Steps(commits.port, b"PREPARE TRANSACTION", 0, "never", None)
    dsn = database.dsn.replace(f"port={server.port}", f"port={prepares.port}")
    pipeline = Pipeline(tmp_path, weir, database, place=place_of(dsn), records=12000)
    pipeline.edit("dlq:\n", f'  slow:\n    postgres: {{dsn: "{slow.dsn}", table: slow}}\n'
                             "    batch: {max_records: 1500, interval: 10ms}\ndlq:\n")
    pipeline.edit("delivery: {guarantee: exactly_once, commit_interval: 100ms}",
                  "delivery: {commit_interval: 20ms, atomic: [validated, readings],"
                  " max_behind: 300KiB}")
    pipeline.finish()
    assert prepares.count > 2
    # Beside those that were prepared: the first start, and its tables.
    assert commits.count - prepares.count <= 2, (commits.count, prepares.count)
    pipeline.audit()


STEPS = [(words, when) for words in (b"BEGIN; SET", b"PREPARE TRANSACTION", b"COMMIT PREPARED")
         for when in ("before", "after")]


@pytest.mark.parametrize("words, when", STEPS, ids=[f"{w.decode()[:16]}-{x}" for w, x in STEPS])
def test_killed_at_every_step(words, when, database, server, weir, tmp_path):
    """Killed there, then once more at the next, and the next start brings the two together."""
    pipeline = atomic_pipeline(tmp_path, weir, database, records=60000)
    port = server.port
    for number in (2, 1):
        process = None
        steps = Steps(server.port, words, number, when,
                      lambda: os.kill(process.process.pid, signal.SIGKILL))
        pipeline.edit(f"port={port}", f"port={steps.port}")
        port = steps.port
        process = pipeline.start()
        assert process.wait() == -signal.SIGKILL, process.errors()
    left = prepared(database)
    is_prepared = (words, when) in ((b"PREPARE TRANSACTION", "after"), (b"COMMIT PREPARED", "before"))
    assert len(left) == (1 if is_prepared else 0)
    decision, table = next_offsets(pipeline, database)
    assert (decision == table) == ((words, when) != (b"COMMIT PREPARED", "before"))
    pipeline.edit(f"port={port}", f"port={server.port}")
    _, errors = pipeline.finish()
    if is_prepared:
        assert ("1 committed" if words == b"COMMIT PREPARED" else "1 rolled back") in errors
    check_all(pipeline, database)


class LiveReader:
    """Looks at both sides all the time. The log decides: no row of the table can be seen whose record
    cannot be seen in the log; and where the log is ahead, what is missing is prepared."""

    def __init__(self, pipeline, database):
        self.pipeline, self.connection = pipeline, database.connect()
        self.looks, self.apart, self.faults = 0, 0, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _ask(self, sql):
        cursor = self.connection.cursor()
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]

    def _log(self):
        with sqlite3.connect(self.pipeline.folder / "iot.db") as log:
            return dict(log.execute("SELECT partition, next_offset FROM weir_progress"))

    def _look_once(self):
        table = dict(self._ask(
            "SELECT _weir_partition::text, max(_weir_offset) + 1 FROM readings GROUP BY 1"))
        log = self._log()
        self.faults += [("ahead", p, table[p], log.get(p)) for p in table if table[p] > log.get(p, 0)]
        is_prepared = self._ask("SELECT 1 FROM pg_prepared_xacts WHERE database = current_database()")
        progress = dict(self._ask("SELECT partition, next_offset FROM weir_progress"))
        behind = [p for p in log if progress.get(p, 0) < log[p]]
        self.apart += bool(behind)
        self.faults += [("lost", p, progress.get(p), log[p]) for p in behind if not is_prepared]
        self.looks += 1

    def _look(self):
        while not self.stopping.is_set():
            try:
                self._look_once()
            except Exception as error:  # noqa: BLE001  told by stop()
                self.faults.append(error)
                return

    def stop(self):
        self.stopping.set()
        self.thread.join()
        self.connection.close()
        assert self.faults == []
        assert self.looks > 5


def wait_for_tables(process, database):
    while process.is_running() and \
            not database.ask("SELECT to_regclass('readings') IS NOT NULL")[0][0]:
        time.sleep(0.01)


def test_a_reader_sees_no_side_alone(database, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    pipeline = atomic_pipeline(tmp_path, weir, database, records=60000)
    process = pipeline.start()
    wait_for_tables(process, database)
    reader = LiveReader(pipeline, database)
    for _ in range(30 if long_run else 5):
        time.sleep(rng.uniform(0.02, 0.3))
        process.process.send_signal(signal.SIGKILL)
        process.wait()
        process = pipeline.start()
    assert process.wait() == 0, process.errors()
    reader.stop()
    check_all(pipeline, database)


def test_a_restored_server_has_prepared_work(own_server, weir, tmp_path):
    """A cold copy of the server with a transaction prepared, restored when the log has gone on: it is
    not what R names now, so it is rolled back, and its rows come again from the source."""
    database = Database(own_server, "iot")
    pipeline = atomic_pipeline(tmp_path, weir, database, records=60000)
    process = None
    steps = Steps(own_server.port, b"COMMIT PREPARED", 2, "before",
                  lambda: os.kill(process.process.pid, signal.SIGKILL))
    pipeline.edit(f"port={own_server.port}", f"port={steps.port}")
    process = pipeline.start()
    assert process.wait() == -signal.SIGKILL, process.errors()
    assert len(prepared(database)) == 1
    own_server.stop()
    kept = own_server.data.with_name("kept")
    subprocess.run(["cp", "-a", own_server.data, kept], check=True)
    own_server.start()
    pipeline.edit(f"port={steps.port}", f"port={own_server.port}")
    pipeline.finish()
    check_all(pipeline, database)
    own_server.stop()
    shutil.rmtree(own_server.data)
    kept.rename(own_server.data)
    own_server.start()
    assert len(prepared(database)) == 1
    _, errors = pipeline.finish()
    assert "1 rolled back" in errors, errors
    check_all(pipeline, database)


def test_killed_at_random(database, weir, tmp_path, seed, long_run):
    rng = random.Random(seed)
    pipeline = atomic_pipeline(tmp_path, weir, database, records=60000)
    for _ in range(40 if long_run else 8):
        process = pipeline.start()
        time.sleep(rng.uniform(0.02, 0.25))
        process.process.send_signal(signal.SIGKILL)
        process.wait()
    pipeline.finish()
    check_all(pipeline, database)
