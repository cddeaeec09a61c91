"""A server in trouble: weir waits and goes on, or stops and says what to do; no row is blamed for it."""
import os
import pwd
import signal
import time

import pytest

from database.pipeline import Pipeline, check_all, check_table, has_come_to, is_under_way, wait_until
from faults.disk import Disk, complaints, wait_for_complaint
from postgres.conftest import started
from postgres.database import Database, place_of
from postgres.steps import COPY, freeze_at

WAITS = "retry: {initial: 50ms, max: 200ms}\n"


# SQLSTATEs that pass, raised where a row is written.
PASSING = {"40001": "serialization failure", "40P01": "deadlock", "53100": "disk full",
           "55P03": "lock not available", "57014": "statement cancelled"}


@pytest.mark.parametrize("sqlstate", PASSING, ids=[PASSING[key].replace(" ", "-") for key in PASSING])
def test_what_passes_is_waited_for(sqlstate, database, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database, records=2000, more=WAITS)
    pipeline.finish()
    database.ask("CREATE TABLE harm (sqlstate text)")
    database.ask("CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                 " IF EXISTS (SELECT 1 FROM harm) THEN RAISE EXCEPTION 'harm' USING ERRCODE ="
                 " (SELECT sqlstate FROM harm); END IF; RETURN NEW; END $$")
    database.ask("CREATE TRIGGER harm BEFORE INSERT ON readings FOR EACH ROW EXECUTE FUNCTION harm()")
    database.ask("INSERT INTO harm VALUES (%s)", sqlstate)
    rows = database.ask("SELECT count(*) FROM readings")
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "2000", "--seed", "9")
    process = pipeline.start()
    wait_for_complaint(process)
    assert sqlstate in complaints(process)[0], process.errors()
    assert database.ask("SELECT count(*) FROM readings") == rows
    database.ask("DELETE FROM harm")
    assert process.wait() == 0, process.errors()
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
    check_table(pipeline, database)
    pipeline.audit()


def test_a_deadlock_is_tried_again(database, weir, tmp_path):
    """A real one: weir waits for a row that a session holds, which then waits for one of weir's."""
    dsn = database.dsn + " options=-cdeadlock_timeout=2s"
    pipeline = Pipeline(tmp_path, weir, database, place=place_of(dsn), records=2000, more=WAITS)
    database.ask("CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                 " UPDATE pair SET n = n + 1 WHERE id = 1; UPDATE pair SET n = n + 1 WHERE id = 2;"
                 " RETURN NULL; END $$")
    database.ask("CREATE TABLE pair (id integer PRIMARY KEY, n integer)")
    database.ask("INSERT INTO pair VALUES (1, 0), (2, 0)")
    pipeline.finish()
    database.ask("CREATE TRIGGER touch AFTER INSERT ON readings FOR EACH STATEMENT"
                 " EXECUTE FUNCTION touch()")
    other = database.connect()
    cursor = other.cursor()
    cursor.execute("SET deadlock_timeout = '20s'")
    other.autocommit = False
    cursor.execute("UPDATE pair SET n = n + 1 WHERE id = 2")
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "2000", "--seed", "9")
    process = pipeline.start()
    wait_until(lambda: database.ask("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                    " AND application_name LIKE 'weir-%%'"
                                    " AND datname = current_database()"), process)
    cursor.execute("UPDATE pair SET n = n + 1 WHERE id = 1")  # weir is the victim, or this would wait
    other.commit()
    other.close()
    assert process.wait() == 0, process.errors()
    assert "40P01" in process.errors(), process.errors()
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
    check_table(pipeline, database)
    pipeline.audit()


def test_no_connection_is_left(build_dir, weir, tmp_path):
    server = started(build_dir / "services/postgres-connections", settings={
        "max_connections": 8, "superuser_reserved_connections": 4})
    try:
        database = Database(server, "iot")
        database.ask("CREATE ROLE loader LOGIN")
        database.ask("GRANT ALL ON SCHEMA public TO loader")
        pipeline = Pipeline(tmp_path, weir, database,
                            place=place_of(database.dsn.replace("user=postgres", "user=loader")),
                            records=2000, more="retry: {initial: 300ms, max: 300ms}\n")
        process = pipeline.start(until_end=False)
        wait_until(has_come_to(database, 2000), process)
        taken = []

        def take_all():
            """Whatever is free, weir's own too."""
            own = database.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename ="
                               " 'loader' AND application_name LIKE 'weir%%'")
            try:
                while True:
                    taken.append(database.connect(user="loader"))
            except Exception as error:  # noqa: BLE001
                assert "53300" in str(error), error
            return not own

        wait_until(take_all, process)
        pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "2000", "--seed", "9")
        log = server.folder / "server.log"

        def refused():
            return log.read_text().count("FATAL:  remaining connection slots")

        before = refused()
        wait_until(lambda: refused() >= before + 3, process)  # weir's tries: nobody else asks now
        for connection in taken:
            connection.close()
        wait_until(has_come_to(database, 4000), process)
        assert process.terminate() == 0, process.errors()
        assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
        check_table(pipeline, database)
        pipeline.audit()
    finally:
        server.stop("immediate")


def test_the_server_is_killed_during_copy(own_server, weir, tmp_path):
    database = Database(own_server, "iot")
    pipeline = Pipeline(tmp_path, weir, database, records=60000, more=WAITS)
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    process, steps = freeze_at(COPY, pipeline, own_server.port)
    own_server.kill()
    own_server.start()
    os.kill(process.process.pid, signal.SIGCONT)
    steps.let_go.set()
    check_all(pipeline, database, process)
    assert "works again" in process.errors(), process.errors()


def test_the_disk_of_the_table_is_full(own_server, build_dir, weir, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small file system cannot be mounted here: not root")
    folder = build_dir / "services" / f"small-{os.getpid()}"
    disk = Disk(folder)
    try:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        os.chmod(folder, 0o700)
        database = Database(own_server, "iot")
        database.ask(f"CREATE TABLESPACE small LOCATION '{folder}'")
        database.ask("ALTER DATABASE iot SET default_tablespace = small")
        pipeline = Pipeline(tmp_path, weir, database, records=40000, more=WAITS)
        process = pipeline.start()
        wait_for_complaint(process)
        assert "No space left" in complaints(process)[0] and "53100" in complaints(process)[0]
        time.sleep(0.5)
        assert process.is_running(), process.errors()
        disk.grow()
        check_all(pipeline, database, process)
        own_server.stop()
    finally:
        own_server.stop("immediate")
        disk.close()
        folder.rmdir()


def test_a_server_that_becomes_read_only(database, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database, records=120000)
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    process = pipeline.start()
    wait_until(is_under_way(database), process)
    database.ask(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = on')
    database.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE"
                 " 'weir-%%' AND datname = current_database()")
    assert process.wait() == 3, process.errors()
    assert "read-only" in process.errors() and "25006" in process.errors(), process.errors()
    database.ask(f'ALTER DATABASE "{database.name}" RESET default_transaction_read_only',
                 database="postgres")
    check_all(pipeline, database, pipeline.start())


def test_a_server_that_is_away_at_the_start(own_server, weir, tmp_path):
    """It is waited for, and said what is away."""
    database = Database(own_server, "iot")
    pipeline = Pipeline(tmp_path, weir, database, records=500)
    own_server.stop()
    process = pipeline.start()
    wait_until(lambda: "postgres.away" in process.errors(), process)
    assert str(own_server.port) in process.errors()
    own_server.start()
    check_all(pipeline, database, process)
