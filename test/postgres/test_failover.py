"""A primary is lost and its standby promoted: nothing is lost with a synchronous one, and what an
asynchronous one had not got is noticed."""
import pytest

from database.pipeline import Pipeline, check_table, has_come_to, is_under_way, wait_until
from postgres.conftest import started
from postgres.database import Database, place_of


@pytest.fixture
def pair(build_dir):
    """A primary and its standby; the test may kill and promote."""
    folder = build_dir / "services/pair"  # short: a socket's path may have 107 bytes
    primary = started(folder / "primary")
    standby = None
    try:
        standby = started(folder / "standby", standby_of=primary)
        yield primary, standby
    finally:
        for server in filter(None, (standby, primary)):
            server.stop("immediate")


def dsn_of(*servers, database="iot"):
    """libpq asks one after the other, and takes the one that may be written to."""
    return (f"host={','.join('127.0.0.1' for _ in servers)} port="
            f"{','.join(str(server.port) for server in servers)} dbname={database} user=postgres"
            " target_session_attrs=read-write")


def on(server):
    """The database of a server that got it by replication."""
    found = Database.__new__(Database)
    found.server, found.name = server, "iot"
    return found


def test_a_synchronous_standby_takes_over(pair, weir, tmp_path, seed):
    primary, standby = pair
    database = Database(primary, "iot")
    database.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    database.ask("SELECT pg_reload_conf()")
    wait_until(lambda: database.ask("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))
    pipeline = Pipeline(tmp_path, weir, database, place=place_of(dsn_of(primary, standby)), records=200000,
                        seed=seed % 1000, more="retry: {initial: 20ms, max: 200ms}\n")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 10ms")
    process = pipeline.start()
    assert process.wait_for("first start")
    wait_until(is_under_way(database, epoch=1), process)
    primary.kill()
    assert process.is_running(), process.errors()
    standby.promote()
    assert process.wait() == 0, process.errors()
    assert "works again" in process.errors(), process.errors()
    pipeline.judge_topics()
    check_table(pipeline, on(standby))
    pipeline.audit()


def test_an_asynchronous_standby_that_lost_commits_is_refused(pair, weir, tmp_path):
    primary, standby = pair
    database = Database(primary, "iot")
    pipeline = Pipeline(tmp_path, weir, database, place=place_of(dsn_of(primary, standby)), records=3000,
                        more="retry: {initial: 20ms, max: 200ms}\n")
    process = pipeline.start(until_end=False)
    wait_until(has_come_to(database, 3000), process)
    behind = database.ask("SELECT pg_current_wal_lsn()::text")[0][0]
    wait_until(lambda: on(standby).ask("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", behind)
               == [(True,)])
    standby.kill()
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "3000", "--seed", "9")
    wait_until(has_come_to(database, 6000), process)
    primary.kill()
    standby.start()
    standby.promote()
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "1000", "--seed", "10")
    assert process.wait() == 3, process.errors()
    assert "progress.behind" in process.errors(), process.errors()
    assert "start weir again" in process.errors()
    # What it says is true: rows and record went back together.
    assert on(standby).ask("SELECT sum(records) FROM weir_progress") == [(3000,)]
    pipeline.finish()
    assert on(standby).ask("SELECT sum(records) FROM weir_progress") == [(7000,)]
    check_table(pipeline, on(standby))
    pipeline.audit()


def test_a_standby_is_not_written_to(pair, weir, tmp_path):
    primary, standby = pair
    database = Database(primary, "iot")
    pipeline = Pipeline(tmp_path, weir, database, records=500)
    pipeline.finish()
    wait_until(lambda: on(standby).ask("SELECT 1 FROM pg_database WHERE datname = 'iot'"))
    rows = database.ask("SELECT count(*) FROM readings")
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "500", "--seed", "9")
    pipeline.edit(f"port={primary.port}", f"port={standby.port}")
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "name the primary" in errors, errors
    assert database.ask("SELECT count(*) FROM readings") == rows
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
    pipeline.edit(f"port={standby.port}", f"port={primary.port}")
    pipeline.finish()
    check_table(pipeline, database)
