"""weir lag: how far behind, and why; it looks only."""
import json
import sqlite3

import pytest

PIPELINE = """
version: 1
name: p
source: {local: {path: log.db, topic: in}, format: json}
schema: {type: object, properties: {id: {type: string}}}
sinks:
  out: {local: {path: log.db, topic: out}}
  rows: {sqlite: {path: rows.db, table: rows}}
delivery: {commit_interval: 5ms}
"""


@pytest.fixture
def piped(weir_cli):
    """100 records in two partitions, and a pipeline that has not run."""
    (weir_cli.folder / "p.yaml").write_text(PIPELINE)
    produce(weir_cli, 100)
    return weir_cli


def produce(weir_cli, count):
    lines = b"".join(b'{"id":"%d"}\n' % number for number in range(count))
    weir_cli("produce", "local:log.db#in", "--partitions", 2, "--key", "id", data=lines)


def lag(weir_cli, *options):
    return json.loads(weir_cli("lag", "p.yaml", "--json", *options).out)


def bounds(found):
    return {partition["bound_by"] for partition in found["partitions"]}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def test_before_the_first_start(piped):
    found = lag(piped, "--for", "0s")
    assert found["behind"] == 100 and found["running"] is False and found["seconds"] == 0
    assert bounds(found) == {"never_ran"}
    for partition in found["partitions"]:
        assert partition["committed_offset"] == 0
        assert partition["end_offset"] == partition["behind"] > 0
        assert 0 <= partition["behind_seconds"] < 60
        assert partition["catch_up_seconds"] is partition["arrived_per_second"] is None
    assert not (piped.folder / "rows.db").exists()


def test_while_it_is_stopped(piped):
    piped("run", "p.yaml", "--until-end")
    found = lag(piped, "--for", "10ms")
    assert found["behind"] == 0 and bounds(found) == {"caught_up"}
    assert all(partition["behind_seconds"] == partition["catch_up_seconds"] == 0
               for partition in found["partitions"])
    produce(piped, 7)
    before = contents(piped.folder)
    found = lag(piped, "--for", "10ms")
    assert found["behind"] == 7 and "not_running" in bounds(found)
    assert contents(piped.folder) == before
    text = piped("lag", "p.yaml", "--for", "0s").out.decode()
    assert "it does not run: weir run" in text and text.endswith("7 records behind in all\n")


def test_while_it_runs(piped, wait_until):
    process = piped.start("run", "p.yaml")
    wait_until(lambda: (piped.folder / "rows.db").exists() and
               lag(piped, "--for", "0s")["behind"] == 0)
    found = lag(piped, "--for", "10ms")
    assert found["running"] is True and bounds(found) == {"caught_up"}
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert lag(piped, "--for", "0s")["running"] is False


def test_a_system_that_is_behind_is_named(piped, wait_until):
    process = piped.start("run", "p.yaml")
    # What it commits first it has taken over.
    wait_until(lambda: (piped.folder / "rows.db").exists() and
               lag(piped, "--for", "0s")["behind"] == 0)
    holder = sqlite3.connect(piped.folder / "rows.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        produce(piped, 50)
        wait_until(lambda: "system" in bounds(lag(piped, "--for", "10ms")))
        found = lag(piped, "--for", "10ms")
        assert {partition["system"] for partition in found["partitions"]} <= {"rows.db", None}
        assert "rows.db, which is behind the others" in \
            piped("lag", "p.yaml", "--for", "10ms").out.decode()
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    wait_until(lambda: lag(piped, "--for", "0s")["behind"] == 0)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_pace_and_the_time_to_catch_up(piped, weir_fast, wait_until):
    """Fast arrivals while it runs: both rates are seen."""
    (weir_fast.folder / "p.yaml").write_text(PIPELINE.replace("5ms", "50ms"))
    process = weir_fast.start("run", "p.yaml")
    feed = weir_fast.start("gen", "local:log.db#in", "--rate", "20000", "--count", "60000")
    try:
        def moving():
            found = lag(weir_fast, "--for", "300ms")
            return found if any(partition["arrived_per_second"] > 0 and
                                partition["committed_per_second"] > 0
                                for partition in found["partitions"]) else None
        found = wait_until(moving)
        assert 0.3 <= found["seconds"] < 10
    finally:
        feed.kill()
        feed.communicate()
        process.terminate()
        process.communicate(timeout=60)


def test_expired_records_are_named(piped):
    piped("run", "p.yaml", "--until-end")
    produce(piped, 100)
    for statement in ("DELETE FROM weir_batch WHERE topic = 1", "UPDATE weir_partition SET "
                      "first_offset = next_offset - 1 WHERE topic = 1"):
        piped.database("log.db").execute(statement)
    found = lag(piped, "--for", "0s")
    assert "expired" in bounds(found)


def test_files_in_bytes(weir_cli):
    (weir_cli.folder / "in.ndjson").write_bytes(b'{"a":1}\n' * 10)
    (weir_cli.folder / "p.yaml").write_text(
        "{version: 1, name: p, source: {file: {path: in.ndjson}, format: json},"
        " schema: {type: object}, sinks: {rows: {file: {path: parts}}}}")
    assert lag(weir_cli, "--for", "0s")["behind"] == 80
    weir_cli("run", "p.yaml", "--until-end")
    with open(weir_cli.folder / "in.ndjson", "ab") as file:
        file.write(b'{"a":2}\n')
    found = lag(weir_cli, "--for", "10ms")
    assert found["unit"] == "bytes" and found["behind"] == 8
    assert found["partitions"][0]["behind_seconds"] is None
    assert weir_cli("lag", "p.yaml", "--for", "0s").out.endswith(b"8 bytes behind in all\n")


def test_wrong_use(piped):
    assert "--for takes a duration" in piped("lag", "p.yaml", "--for", "soon", status=2).err
    (piped.folder / "p.yaml").write_text(PIPELINE.replace("topic: in}", "topic: other}"))
    assert "source.no_topic" in piped("lag", "p.yaml", status=2).err
