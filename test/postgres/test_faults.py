"""What breaks around the server: connections cut at COMMIT, zombies, rights and tables taken away."""
import os
import signal

import pytest

from database.pipeline import Pipeline, check_table, is_under_way, wait_until
from database.proxy import Proxy, every_second
from postgres.database import place_of
from postgres.steps import COMMIT, COPY, freeze_at


def test_the_answer_to_a_commit_is_lost(database, server, weir, tmp_path, seed):
    proxy = Proxy(server.port, every_second())
    dsn = database.dsn.replace(f"port={server.port}", f"port={proxy.port}")
    pipeline = Pipeline(tmp_path, weir, database, place=place_of(dsn), records=60000, seed=seed % 1000,
                        more="retry: {initial: 10ms, attempts: 50}\n")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    process = pipeline.start()
    assert process.wait() == 0, process.errors()
    proxy.close()
    print(f"{proxy.commits} commits, cut {proxy.cuts}")
    assert proxy.cuts["before"] and proxy.cuts["after"]
    pipeline.judge_topics()
    check_table(pipeline, database)
    pipeline.edit(f"port={proxy.port}", f"port={server.port}")
    valid = database.ask("SELECT sum(valid)::bigint, sum(records)::bigint FROM weir_progress")[0]
    assert valid[1] == 60000


@pytest.mark.parametrize("moment", [None, COMMIT, COPY], ids=["anywhere", "COMMIT", "COPY"])
def test_a_zombie_writes_nothing(moment, database, server, weir, tmp_path):
    """A run that is frozen, in an open transaction too, taken over by another, and thawed."""
    pipeline = Pipeline(tmp_path, weir, database, records=80000)
    pipeline.leave_alone()
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    steps = None
    if moment is not None:
        zombie, steps = freeze_at(moment, pipeline, server.port)
    else:
        zombie = pipeline.start(until_end=False)
        wait_until(is_under_way(database, epoch=3), zombie)
        zombie.process.send_signal(signal.SIGSTOP)
    pipeline.finish()
    # That there is something for it to write, however far it had come.
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "500", "--seed", "9")
    rows = database.ask("SELECT count(*), sum(hashtext(readings::text)) FROM readings")
    os.kill(zombie.process.pid, signal.SIGCONT)
    if steps is not None:
        steps.let_go.set()
    assert zombie.wait() == 3
    assert "progress.fenced" in zombie.errors()
    assert database.ask("SELECT count(*), sum(hashtext(readings::text)) FROM readings") == rows
    pipeline.audit()


@pytest.mark.parametrize("harm, mend, words", [
    ("ALTER TABLE readings RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO readings",
     "bring the table back"),
    ("REVOKE INSERT ON readings FROM loader", "GRANT INSERT ON readings TO loader",
     "grant the right"),
], ids=["renamed", "revoked"])
def test_what_is_no_rows_fault_stops_the_run(harm, mend, words, database, weir, tmp_path):
    database.ask("CREATE TABLE IF NOT EXISTS dummy (x int)")
    if not database.ask("SELECT 1 FROM pg_roles WHERE rolname = 'loader'"):
        database.ask("CREATE ROLE loader LOGIN")
    database.ask("GRANT ALL ON SCHEMA public TO loader")
    dsn = database.dsn.replace("user=postgres", "user=loader")
    pipeline = Pipeline(tmp_path, weir, database, place=place_of(dsn), records=3000)
    pipeline.finish()
    before = database.ask("SELECT count(*) FROM readings")
    pipeline.run("gen", "local:iot.db#raw_iot_data", "--count", "3000", "--seed", "9")
    process = pipeline.start()
    process.terminate()
    if "REVOKE" in harm:
        database.ask("ALTER TABLE readings OWNER TO postgres")
        database.ask("GRANT ALL ON readings TO loader")
    database.ask(harm)
    process = pipeline.start()
    assert process.wait() in (2, 3)
    assert words in process.errors() or "missing" in process.errors(), process.errors()
    database.ask(mend)
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
    pipeline.finish()
    assert database.ask("SELECT count(*) FROM readings")[0][0] >= before[0][0]
    check_table(pipeline, database)


def test_a_wrong_password_or_host_says_what_to_do(database, weir, tmp_path):
    pipeline = Pipeline(tmp_path, weir, database,
                        place=place_of(database.dsn.replace("dbname=", "dbname=no-")), records=100)
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "does not exist" in errors
    _, errors = pipeline.run("lint", "iot.yaml")
    pipeline.edit("table: readings,", "table: readings, password: {env: NO_SUCH_SECRET},")
    _, errors = pipeline.run("run", "iot.yaml", "--until-end", status=2)
    assert "NO_SUCH_SECRET" in errors
