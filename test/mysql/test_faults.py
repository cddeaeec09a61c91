"""What breaks around the server: connections cut at COMMIT, zombies, locks, rights and tables taken
away; weir waits and goes on, or stops and says what to do; no row is blamed for it."""
import os
import signal

import pytest

from database.pipeline import Pipeline, check_all, check_table, is_under_way, wait_until
from database.proxy import Proxy, every_second
from faults.disk import complaints, wait_for_complaint
from mysql.conftest import started
from mysql.database import Database
from mysql.pipeline import freeze

WAITS = "retry: {initial: 50ms, max: 200ms}\n"


def is_commit(data):
    """COM_QUERY: length, number, 3, text."""
    return data == b"\x07\0\0\0\x03COMMIT"


def test_the_answer_to_a_commit_is_lost(database, server, weir, tmp_path, seed):
    proxy = Proxy(server.port, every_second(), is_commit)
    place = database.place.replace(str(server.port), str(proxy.port))
    pipeline = Pipeline(tmp_path, weir, database, place=place, records=160000, seed=seed % 1000,
                   more="retry: {initial: 10ms, attempts: 50}\n")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    process = pipeline.start()
    assert process.wait() == 0, process.errors()
    proxy.close()
    print(f"{proxy.commits} commits, cut {proxy.cuts}")
    assert proxy.cuts["before"] and proxy.cuts["after"]
    pipeline.judge_topics()
    check_table(pipeline, database)
    assert database.ask("SELECT sum(records) FROM weir_progress") == [(160000,)]


@pytest.mark.parametrize("phase", ["anywhere", "in transaction"])
def test_a_zombie_writes_nothing(phase, database, weir, tmp_path):
    """A run that is frozen, in an open transaction too, taken over by another, and thawed."""
    pipeline = Pipeline(tmp_path, weir, database, records=200000)
    pipeline.leave_alone()
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    zombie = pipeline.start()
    assert zombie.wait_for("first start")
    wait_until(is_under_way(database), zombie)
    freeze(zombie, database, phase)
    pipeline.finish()
    rows = database.ask("CHECKSUM TABLE readings, weir_progress, weir_ledger")
    os.kill(zombie.process.pid, signal.SIGCONT)
    assert zombie.wait() == 3
    assert "progress.fenced" in zombie.errors(), zombie.errors()
    assert database.ask("CHECKSUM TABLE readings, weir_progress, weir_ledger") == rows
    pipeline.audit()


def test_a_deadlock_is_tried_again(database, weir, tmp_path):
    """A real one: weir waits for a row that a session holds, which then waits for one of weir's."""
    pipeline = Pipeline(tmp_path, weir, database, records=2000, more=WAITS)
    database.ask("CREATE TABLE pair (id int PRIMARY KEY, n int)")
    database.ask("INSERT INTO pair VALUES (1, 0), (2, 0)")
    pipeline.finish()
    database.ask("CREATE TRIGGER touch AFTER INSERT ON readings FOR EACH ROW BEGIN"
                 " UPDATE pair SET n = n + 1 WHERE id = 1; UPDATE pair SET n = n + 1 WHERE id = 2;"
                 " END")
    other = database.connect()
    cursor = other.cursor()
    cursor.execute("BEGIN")
    # Of two, InnoDB ends the one that has changed fewer rows.
    cursor.execute("CREATE TEMPORARY TABLE heavy (n int) ENGINE = InnoDB")
    cursor.execute("INSERT INTO heavy SELECT seq FROM seq_1_to_5000")
    cursor.execute("UPDATE pair SET n = n + 1 WHERE id = 2")
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "2000", "--seed", "9")
    process = pipeline.start()
    wait_until(lambda: database.ask("SELECT 1 FROM information_schema.INNODB_TRX t JOIN"
                                    " information_schema.PROCESSLIST p ON p.ID ="
                                    " t.trx_mysql_thread_id WHERE p.DB = DATABASE()"
                                    " AND t.trx_state = 'LOCK WAIT'"), process)
    cursor.execute("UPDATE pair SET n = n + 1 WHERE id = 1")
    cursor.execute("COMMIT")
    other.close()
    assert process.wait() == 0, process.errors()
    assert "error 1213" in process.errors(), process.errors()
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
    check_table(pipeline, database)
    pipeline.audit()


# Error numbers that pass, raised where a row is written.
PASSING = {1213: "deadlock", 1205: "lock wait timeout", 1114: "table full", 1021: "disk full"}


@pytest.mark.parametrize("number", PASSING, ids=[PASSING[key].replace(" ", "-") for key in PASSING])
def test_what_passes_is_waited_for(number, database, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database, records=2000, more=WAITS)
    pipeline.finish()
    database.ask("CREATE TABLE harm (number int)")
    database.ask("CREATE TRIGGER harm BEFORE INSERT ON readings FOR EACH ROW IF EXISTS (SELECT 1 FROM"
                 f" harm) THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT ="
                 " 'harm'; END IF")
    database.ask("INSERT INTO harm VALUES (1)")
    rows = database.ask("SELECT count(*) FROM readings")
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "2000", "--seed", "9")
    process = pipeline.start()
    wait_for_complaint(process)
    assert f"error {number}" in complaints(process)[0], process.errors()
    assert database.ask("SELECT count(*) FROM readings") == rows
    database.ask("DELETE FROM harm")
    assert process.wait() == 0, process.errors()
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
    check_table(pipeline, database)
    pipeline.audit()


def loader(database):
    """The place, as a user who may do what is needed and nothing else."""
    name = f"u{abs(hash(database.name)) % 10 ** 12}"
    database.ask(f"DROP USER IF EXISTS {name}")
    database.ask(f"CREATE USER {name}")
    database.ask("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON"
                 f" `{database.name}`.* TO {name}")
    return name, database.place.replace("user: root", f"user: {name}")


@pytest.mark.parametrize("harm, mend, words", [
    ("RENAME TABLE readings TO elsewhere", "RENAME TABLE elsewhere TO readings",
     "bring the table back"),
    ("REVOKE INSERT ON `{database}`.* FROM {user}", "GRANT INSERT ON `{database}`.* TO {user}",
     "grant the right"),
    ("ALTER TABLE readings ADD COLUMN must int NOT NULL", "ALTER TABLE readings DROP COLUMN must",
     "give it one"),
    ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0", "name the primary"),
], ids=["renamed", "revoked", "column", "read-only"])
def test_what_is_no_rows_fault_stops_the_run(harm, mend, words, database, weir, tmp_path):
    user, place = loader(database)
    pipeline = Pipeline(tmp_path, weir, database, place=place, records=150000)
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    process = pipeline.start(until_end=False)
    wait_until(is_under_way(database), process)
    try:
        database.ask(harm.format(database=database.name, user=user))
        if "REVOKE" in harm:  # a session keeps the rights that it began with
            database.ask(f"KILL USER {user}")
        assert process.wait() == 3, process.errors()
        assert words in process.errors(), process.errors()
    finally:
        database.ask(mend.format(database=database.name, user=user))
    check_all(pipeline, database, pipeline.start())


def test_no_connection_is_left(build_dir, weir, tmp_path):
    server = started(build_dir / "services/maria-few", settings={"max-connections": 10})
    try:
        database = Database(server, "iot")
        _, place = loader(database)
        pipeline = Pipeline(tmp_path, weir, database, place=place, records=80000,
                       more="retry: {initial: 300ms, max: 300ms}\n")
        pipeline.edit("commit_interval: 100ms", "commit_interval: 10ms")
        process = pipeline.start()
        wait_until(is_under_way(database, epoch=0), process)
        administrator = database.connect()
        name = place.rpartition("user: ")[2].partition(",")[0]
        taken = []

        def own():
            with administrator.cursor() as cursor:
                cursor.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", (name,))
                return [row[0] for row in cursor.fetchall()]

        def take():
            """Whether there was one left."""
            try:
                taken.append(database.connect())
                return True
            except Exception as error:  # noqa: BLE001
                assert "1040" in str(error), error
                return False

        process.process.send_signal(signal.SIGSTOP)
        for number in own():
            administrator.cursor().execute(f"KILL {number}")
        while take() or own():
            pass

        def refused():
            with administrator.cursor() as status:
                status.execute("SHOW GLOBAL STATUS LIKE 'Connection_errors_max_connections'")
                return int(status.fetchall()[0][1])

        before = refused()
        os.kill(process.process.pid, signal.SIGCONT)
        wait_until(lambda: refused() >= before + 3, process)  # weir's tries: nobody else asks now
        for connection in taken:
            connection.close()
        administrator.close()
        check_all(pipeline, database, process)
        assert "works again" in process.errors(), process.errors()
    finally:
        server.kill()


def test_what_cannot_be_reached_says_what_to_do(database, own_server, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database, place=database.place.replace("database: ", "database: no"),
                   records=100)
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "make the database" in errors, errors
    pipeline.run("lint", "iot.yaml")
    pipeline.edit("user: root", "user: nobody_knows")
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "check user and password" in errors, errors
    pipeline.edit("user: nobody_knows", "user: root, password: {env: NO_SUCH_SECRET}")
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "NO_SUCH_SECRET" in errors
    pipeline.edit(", password: {env: NO_SUCH_SECRET}", ", tls: {}")
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "check 'tls'" in errors, errors


def test_a_table_of_two_pipelines_tells_their_rows_apart(database, weir, tmp_path):
    """A lock of one pipeline's sessions is no other's."""
    folders = [tmp_path / name for name in ("one", "two")]
    pipelines = []
    for folder in folders:
        folder.mkdir()
        pipeline = Pipeline(folder, weir, database, records=3000, keys="")
        pipeline.edit("name: iot", f"name: {folder.name}")
        pipeline.edit("table: readings", f"table: readings_{folder.name}")
        pipelines.append(pipeline)
    processes = [pipeline.start() for pipeline in pipelines]
    for process in processes:
        assert process.wait() == 0, process.errors()
    for pipeline in pipelines:
        pipeline.audit()
