"""What delivery.atomic leaves prepared: shown, resolved by hand as it was decided, told by explain; and what
a changed pipeline file makes of it."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from postgres.conftest import started
from postgres.database import Database
from postgres.steps import Steps
from postgres.test_atomic import ATOMIC, atomic_pipeline, check_all, next_offsets, prepared

DECIDED, UNDECIDED = (b"COMMIT PREPARED", "before"), (b"PREPARE TRANSACTION", "after")


def leave(pipeline, server, words, when, sign=signal.SIGKILL):
    """One transaction prepared: weir was killed, or stopped, when it had asked to commit it, or when
    nobody had decided."""
    process = None
    steps = Steps(server.port, words, 2, when, lambda: os.kill(process.process.pid, sign),
                  holds=sign == signal.SIGSTOP)
    pipeline.edit(f"port={server.port}", f"port={steps.port}")
    process = pipeline.start()
    if sign == signal.SIGKILL:
        assert process.wait() == -sign, process.errors()
    else:
        assert steps.is_struck.wait(60), process.errors()
    pipeline.edit(f"port={steps.port}", f"port={server.port}")
    return process, steps


def listed(pipeline):
    return json.loads(pipeline.run("txn", "ls", "iot.yaml", "--json")[0])


@pytest.fixture
def pipeline(database, weir, tmp_path):
    return atomic_pipeline(tmp_path, weir, database, records=60000)


def refused(pipeline, verb, name, word):
    _, errors = pipeline.run("txn", verb, "iot.yaml", name, status=2)
    assert word in errors
    assert prepared_names(pipeline) == [name]
    return errors


def prepared_names(pipeline):
    return [one["id"] for one in listed(pipeline)]


def test_nothing_is_left(pipeline, database):
    # Nothing has run, and nothing is there to look at.
    _, errors = pipeline.run("txn", "ls", "iot.yaml", status=2)
    assert "progress.none" in errors
    pipeline.finish()
    assert listed(pipeline) == []
    out, errors = pipeline.run("txn", "ls", "iot.yaml")
    assert out == "" and "nothing is prepared" in errors
    for verb in ("commit", "abort"):
        _, errors = pipeline.run("txn", verb, "iot.yaml", "weir:iot:1:2", status=2)
        assert "atomic.none" in errors
        _, errors = pipeline.run("txn", verb, "iot.yaml", status=2)
        assert "usage: weir txn" in errors
    _, errors = pipeline.run("txn", "force", "iot.yaml", status=2)
    assert "ls, commit and abort" in errors


def test_what_is_decided_is_committed_only(pipeline, database, server):
    leave(pipeline, server, *DECIDED)
    one, = listed(pipeline)
    assert one["decision"] == "commit" and one["decided_by"] == "iot.db", one
    assert one["partitions"] and "postgres://" in one["system"]
    assert one["owner"] in one["id"]
    assert [(one["id"],)] == [tuple(row) for row in prepared(database)]
    out, _ = pipeline.run("txn", "ls", "iot.yaml")
    assert "commit, says iot.db" in out and one["id"] in out
    # Audit judges what is seen, and nothing of it is wrong: one of the systems is behind.
    pipeline.audit()
    refused(pipeline, "abort", one["id"], "'weir txn commit' is the way")
    out, _ = pipeline.run("txn", "commit", "iot.yaml", one["id"])
    assert "committed" in out and prepared(database) == []
    decision, table = next_offsets(pipeline, database)
    assert decision == table
    pipeline.audit()
    pipeline.finish()
    check_all(pipeline, database)


def test_what_is_not_decided_is_rolled_back_only(pipeline, database, server):
    leave(pipeline, server, *UNDECIDED)
    one, = listed(pipeline)
    assert one["decision"] == "none" and one["decided_by"] == "iot.db", one
    assert "none yet" in pipeline.run("txn", "ls", "iot.yaml")[0]
    pipeline.audit()
    refused(pipeline, "commit", one["id"], "'weir txn abort' rolls it back")
    out, _ = pipeline.run("txn", "abort", "iot.yaml", one["id"])
    assert "rolled back" in out and prepared(database) == []
    decision, table = next_offsets(pipeline, database)
    assert decision == table
    pipeline.finish()
    check_all(pipeline, database)


@pytest.mark.parametrize("moment", [UNDECIDED, DECIDED], ids=["undecided", "decided"])
def test_who_lives_keeps_the_pipeline(moment, pipeline, database, server):
    """A stopped process still owns the log: nobody takes over, or rolls back what it may decide for; and
    it goes on where it was."""
    process, steps = leave(pipeline, server, *moment, sign=signal.SIGSTOP)
    one, = listed(pipeline)
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "group.owned" in errors
    _, errors = pipeline.run("txn", "abort", "iot.yaml", one["id"], status=2)
    assert "group.owned" in errors
    assert prepared(database) == [(one["id"],)]
    if moment == DECIDED:  # that is right whoever runs, and does not confuse who does
        pipeline.run("txn", "commit", "iot.yaml", one["id"])
    os.kill(process.process.pid, signal.SIGCONT)
    steps.let_go.set()
    assert process.wait() == 0, process.errors()
    check_all(pipeline, database)


def test_explain_tells_what_is_left(pipeline, database, server):
    leave(pipeline, server, *DECIDED)
    time.sleep(10.5)  # younger ones may be anybody's commit
    lines = {one["about"]: one for one in json.loads(pipeline.run("explain", "iot.yaml", "--json")[0])}
    assert "1 transaction is left prepared" in lines["prepared"]["what"]
    assert "weir txn ls" in lines["prepared"]["do"]
    pipeline.finish()
    lines = {one["about"]: one for one in json.loads(pipeline.run("explain", "iot.yaml", "--json")[0])}
    assert "prepared" not in lines and lines["atomic"]["level"] == "fine"
    assert "become visible together" in lines["atomic"]["what"]


# --- changed files ---

@pytest.mark.parametrize("moment", [UNDECIDED, DECIDED], ids=["undecided", "decided"])
def test_atomic_is_taken_out(moment, pipeline, database, server):
    leave(pipeline, server, *moment)
    pipeline.edit(ATOMIC, "delivery: {commit_interval: 5ms}")
    _, errors = pipeline.finish()
    assert ("1 committed" if moment == DECIDED else "1 rolled back") in errors
    check_all(pipeline, database)


def test_atomic_comes_later(database, weir, tmp_path):
    pipeline = atomic_pipeline(tmp_path, weir, database, records=30000)
    pipeline.edit(ATOMIC, "delivery: {commit_interval: 5ms}")
    process = pipeline.start()
    for _ in range(2000):
        if database.ask("SELECT to_regclass('readings') IS NOT NULL")[0][0] and \
                database.ask("SELECT count(*) FROM readings")[0][0] > 0:
            break
        time.sleep(0.005)
    process.process.kill()
    process.wait()
    pipeline.edit("delivery: {commit_interval: 5ms}", ATOMIC)
    pipeline.finish()
    check_all(pipeline, database)


def test_the_decision_is_in_the_file_no_more(pipeline, database, server):
    """The validated topic, which decides, is taken out of the file while its decision counts."""
    leave(pipeline, server, *UNDECIDED)
    whole = (pipeline.folder / "iot.yaml").read_text()
    pipeline.edit(ATOMIC, "delivery: {commit_interval: 5ms}")
    text = (pipeline.folder / "iot.yaml").read_text()
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith("  validated:"))
    text = "".join(lines[:at] + lines[at + 2:])
    text = text.replace("dlq:\n  local: {path: iot.db", "dlq:\n  local: {path: dlq.db")
    (pipeline.folder / "iot.yaml").write_text(text)
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "atomic.undecided" in errors
    name = prepared(database)[0][0]
    for verb in ("commit", "abort"):
        _, errors = pipeline.run("txn", verb, "iot.yaml", name, status=2)
        assert "atomic.refused" in errors or "progress.none" in errors
    (pipeline.folder / "iot.yaml").write_text(whole)
    pipeline.finish()
    check_all(pipeline, database)


def test_a_restored_log(pipeline, database, server):
    """The log that decides comes back as it was before its last decisions: what was prepared for them is
    rolled back, and comes again."""
    pipeline.run("run", "iot.yaml", "--until-end")
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "15000", "--seed", "2",
                 "--truth", "more.ndjson")
    with sqlite3.connect(pipeline.folder / "iot.db") as log, \
            sqlite3.connect(tmp := pipeline.folder / "older.db") as copy:
        log.backup(copy)
    leave(pipeline, server, *DECIDED)
    for suffix in ("", "-wal", "-shm"):
        (pipeline.folder / f"iot.db{suffix}").unlink(missing_ok=True)
    os.rename(tmp, pipeline.folder / "iot.db")
    shutil.rmtree(pipeline.folder / "iot.db.state", ignore_errors=True)
    _, errors = pipeline.finish()
    assert "1 rolled back" in errors
    assert prepared(database) == []
    pipeline.audit()
    decision, table = next_offsets(pipeline, database)
    assert decision == table


# --- rows that the table refuses, pace ---

def test_rows_that_the_table_refuses(pipeline, database, server):
    """They are refused inside of an atomic epoch, with their dead letters in the log."""
    pipeline.edit("include: [invalid, late]", "include: [invalid, late, rejected]")
    pipeline.edit("newest_by: event_time}", "newest_by: event_time, evolve: add_columns}")
    database.ask("CREATE TABLE readings (message_id text PRIMARY KEY CHECK (right(message_id, 3)"
                 " NOT IN ('000', '001', '002', '003')), _weir_topic text, _weir_partition integer,"
                 " _weir_offset bigint)")
    for _ in range(2):  # once cut short, with what was refused on its way
        leave(pipeline, server, *DECIDED)
    pipeline.finish()
    rejected = database.ask("SELECT count(*) FROM weir_rejects")[0][0]
    assert rejected > 5
    letters = json.loads(pipeline.run("dlq", "list", "iot.yaml", "--json")[0])
    assert sum(one["records"] for one in letters if one["reason"].startswith("sink.")) == rejected
    assert prepared(database) == []
    pipeline.audit()
    decision, table = next_offsets(pipeline, database)
    assert decision == table


def test_pace_and_bounds(pipeline, database):
    """The two go by the quicker one's pace; a small bound on what waits stops nothing."""
    pipeline.edit(ATOMIC, ATOMIC.replace("5ms", "5ms, max_behind: 64KiB"))
    text = (pipeline.folder / "iot.yaml").read_text()
    at = text.index("newest_by: event_time}") + len("newest_by: event_time}")
    (pipeline.folder / "iot.yaml").write_text(
        text[:at] + "\n    batch: {interval: 10s, max_records: 100}" + text[at:])
    pipeline.finish()
    check_all(pipeline, database)


# --- what the file may ask for ---

PLACES = {
    "table": 'postgres: {dsn: "host=127.0.0.1 dbname=a", table: t}',
    "other table": 'postgres: {dsn: "host=127.0.0.1 dbname=b", table: t}',
    "topic": "local: {path: a.db, topic: t}",
    "rows": "sqlite: {path: a.db, table: t}",
    "other topic": "local: {path: b.db, topic: t}",
    "folder": "file: {path: parts}",
}


@pytest.mark.parametrize("atomic, code, word", [
    (["table", "topic"], None, "atomic: postgres://127.0.0.1:5432/a prepares, a.db decides"),
    (["rows", "table", "topic"], None, "max_prepared_transactions"),
    (["table", "topics"], "config.value", "there is no sink 'topics'"),
    (["table"], "config.value", "needs two systems"),
    (["topic", "rows"], "config.value", "sinks of one system become visible together anyway"),
    (["table", "other table", "topic"], "config.unsupported", "one PostgreSQL database, not two"),
    (["table", "topic", "other topic"], "config.unsupported", "one Kafka cluster or SQLite file"),
    (["topic", "other topic"], "config.unsupported", "neither can prepare"),
    (["table", "folder"], "config.unsupported", "leave it out of delivery.atomic"),
], ids=lambda value: "+".join(value) if isinstance(value, list) else "")
def test_configuration(atomic, code, word, weir, tmp_path):
    sinks = {name: PLACES.get(name, PLACES["topic"]) for name in [*atomic, "topic"]}
    sinks.pop("topics", None)
    (tmp_path / "p.yaml").write_text(
        "version: 1\nname: p\nsource: {local: {path: in.db, topic: raw}, format: json}\n"
        "schema: {type: object, properties: {a: {type: integer}}, additionalProperties: false}\n"
        "sinks:\n" + "".join(f"  {name.replace(' ', '_')}: {{{place}}}\n"
                             for name, place in sinks.items()) +
        f"delivery: {{atomic: [{', '.join(name.replace(' ', '_') for name in atomic)}]}}\n")
    done = subprocess.run([weir, "lint", "p.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert word in (done.stderr if code else done.stdout), done
    assert done.returncode == (2 if code else 0) and (code or "") in done.stderr, done


def test_a_server_that_prepares_nothing(build_dir, weir, tmp_path):
    server = started(build_dir / "services/postgres-unprepared",
                     settings={"max_prepared_transactions": 0})
    try:
        database = Database(server, "unprepared")
        pipeline = atomic_pipeline(tmp_path, weir, database, records=1000)
        lines = {one["about"]: one for one in
                 json.loads(pipeline.run("explain", "iot.yaml", "--json")[0])}
        assert lines["atomic"]["level"] == "weak"
        assert "ALTER SYSTEM SET max_prepared_transactions" in lines["atomic"]["what"]
        assert "the weakest hop is delivery.atomic" in lines["in all"]["what"]
        _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
        assert "postgres.prepares_nothing" in errors and "ALTER SYSTEM" in errors
        pipeline.edit(ATOMIC, "delivery: {commit_interval: 5ms}")
        pipeline.finish()
    finally:
        server.stop("immediate")


def test_the_example(database, weir, root, tmp_path):
    for name in ("atomic.yaml", "sensor.schema.json"):
        shutil.copy(root / "examples" / name, tmp_path)

    def run(*arguments):
        return subprocess.run([weir, *arguments], cwd=tmp_path, capture_output=True, text=True,
                              env={**os.environ, "IOT_DSN": database.dsn}, check=True).stdout
    run("gen", "local:iot.db#raw_iot_data", "--count", "5000", "--partitions", "3")
    said = run("run", "atomic.yaml", "--until-end")
    rows = database.ask("SELECT count(*) FROM atomic_readings")[0][0]
    refused = database.ask("SELECT count(*) FROM weir_rejects")[0][0]
    assert rows > 4000
    assert f"readings: routed {rows + refused:,} = written {rows:,} + rejected {refused}" in said
    assert f"validated: routed {rows + refused:,} = written {rows + refused:,}" in said
    run("audit", "atomic.yaml")
