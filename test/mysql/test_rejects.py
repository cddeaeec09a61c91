"""Rows that a table refuses for their own fault: named, counted, and nothing else is lost with them."""
import json
import random
import sqlite3
import subprocess

import pytest

from checker.log import Topic
from cli import record_batch
from database.pipeline import UPSERT, Pipeline
from mysql.database import Database
from mysql.pipeline import Lines

COLUMNS = ("message_id varchar(64) COLLATE utf8mb4_bin NOT NULL, sensor_id varchar(64) NOT NULL,"
           " event_time datetime(6), temperature double, humidity double, pressure double,"
           " battery bigint, site varchar(64), temperature_f double,"
           " _weir_topic varchar(255), _weir_partition int, _weir_offset bigint")

# What is wrong with the table, and the reason and words that each refused row must have.
FAULTS = {
    "check": (["ALTER TABLE readings ADD CONSTRAINT cool CHECK (temperature < 30)"],
              "sink.constraint_check", "SQLSTATE 23000, constraint cool"),
    "too long": (["ALTER TABLE readings MODIFY sensor_id varchar(6) NOT NULL"], "sink.too_long",
                 "SQLSTATE 22001, column sensor_id"),
    "not null": (["ALTER TABLE readings MODIFY pressure double NOT NULL"],
                 "sink.constraint_notnull", "SQLSTATE 23000, column pressure"),
    "out of range": (["ALTER TABLE readings MODIFY battery tinyint",
                      "ALTER TABLE readings MODIFY temperature_f decimal(4,2)"], None, ""),
    "foreign key": (["CREATE TABLE sites (site varchar(64) PRIMARY KEY)",
                     "INSERT INTO sites VALUES ('north')",
                     "ALTER TABLE readings ADD CONSTRAINT known FOREIGN KEY (site)"
                     " REFERENCES sites (site)"],
                    "sink.constraint_foreignkey", "constraint known"),
    "trigger": (["CREATE TRIGGER refuse BEFORE INSERT ON readings FOR EACH ROW"
                 " IF NEW.temperature > 29 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT ="
                 " 'too hot'; END IF"], "sink.trigger", "SQLSTATE 45000: too hot"),
}


def counts(pipeline):
    out, _ = pipeline.run("audit", "iot.yaml", "--json")
    return json.loads(out)["ledger"]["sinks"]["readings"]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_refused_rows_are_named_and_counted(name, mode, database, weir, tmp_path):
    change, reason, words = FAULTS[name]
    database.ask(f"CREATE TABLE readings ({COLUMNS}"
                 f"{', PRIMARY KEY (message_id)' if mode == 'upsert' else ''})")
    for statement in change:
        database.ask(statement)
    pipeline = Pipeline(tmp_path, weir, database, keys=UPSERT if mode == "upsert" else "",
                        records=800)
    pipeline.finish()
    rejected = database.ask("SELECT code, message, topic, `partition`, `offset` FROM weir_rejects")
    ledger = counts(pipeline)
    assert ledger["routed"] == ledger["written"] + ledger["rejected"]
    assert ledger["rejected"] == len(rejected) > 0
    if reason is not None:
        assert {row[0] for row in rejected} == {reason}, rejected[:3]
        assert all(words in row[1] for row in rejected), rejected[:3]
    assert not any("at row" in row[1] for row in rejected), rejected[:3]
    assert len({row[2:] for row in rejected}) == len(rejected)
    if mode == "append":
        assert database.ask("SELECT count(*) FROM readings") == [(ledger["written"],)]
    else:
        # A row that was refused left nothing behind, and its key may have come with another row.
        there = {(int(p), o) for p, o in database.ask("SELECT _weir_partition, _weir_offset FROM"
                                                      " readings")}
        assert not there & {(int(row[3]), row[4]) for row in rejected}


@pytest.mark.parametrize("rows_known", [True, False])
@pytest.mark.parametrize("bad", [1, 100])
def test_few_bad_rows_cost_only_themselves(bad, rows_known, database, weir, tmp_path, seed):
    """A CHECK, of which the server says which row broke it, and a trigger, of which it does not."""
    rng = random.Random(seed)
    database.ask("CREATE TABLE `rows` (id bigint, value varchar(9)%s)"
                 % (", CHECK (value <> 'bad')" if rows_known else ""))
    if not rows_known:
        database.ask("CREATE TRIGGER refuse BEFORE INSERT ON `rows` FOR EACH ROW IF NEW.value = 'bad'"
                     " THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'bad'; END IF")
    chosen = set(rng.sample(range(20000), bad))
    lines = Lines(tmp_path, weir, database, "id: {type: integer}, value: {type: string}")
    lines.add(*({"id": i, "value": "bad" if i in chosen else "good"} for i in range(20000)))
    assert f"written {20000 - bad:,} + rejected {bad:,}" in lines.run()
    assert database.ask("SELECT count(*), count(DISTINCT id), sum(value = 'bad') FROM `rows`") == \
        [(20000 - bad, 20000 - bad, 0)]
    assert {row[0] for row in database.ask("SELECT `value` FROM weir_rejects")} == \
        {json.dumps({"id": i, "value": "bad"}).encode() for i in chosen}


@pytest.mark.parametrize("count", [10, 3000])
def test_no_row_is_refused_for_the_number_of_a_row_that_a_trigger_wrote(count, database, weir,
                                                                        tmp_path):
    """The trigger's statement has one row: the server says that row 1 is to blame."""
    bad = {5, 9} | set(range(700, count, 300))
    database.ask("CREATE TABLE tg_log (id bigint UNIQUE)")
    database.ask("INSERT INTO tg_log VALUES " + ", ".join(f"({i})" for i in bad))
    database.ask("CREATE TABLE `rows` (id bigint)")
    database.ask("CREATE TRIGGER note BEFORE INSERT ON `rows` FOR EACH ROW INSERT INTO tg_log"
                 " VALUES (NEW.id)")
    lines = Lines(tmp_path, weir, database, "id: {type: integer}")
    lines.add(*({"id": i} for i in range(1, count + 1))).run()
    assert database.ask("SELECT id FROM `rows` ORDER BY id") == \
        [(i,) for i in range(1, count + 1) if i not in bad]
    assert {json.loads(row[0])["id"] for row in database.ask("SELECT `value` FROM weir_rejects")} \
        == bad
    assert database.ask("SELECT count(*), min(code), max(code) FROM weir_rejects") == \
        [(len(bad), "sink.constraint_unique", "sink.constraint_unique")]


def test_of_rows_that_a_unique_index_takes_once_the_first_stays(database, weir, tmp_path):
    database.ask("CREATE TABLE `rows` (id bigint, n bigint, UNIQUE INDEX once (id))")
    lines = Lines(tmp_path, weir, database, "id: {type: integer}, n: {type: integer}")
    lines.add(*({"id": i % 700, "n": i} for i in range(2000))).run()
    assert database.ask("SELECT id, n FROM `rows` ORDER BY id") == [(i, i) for i in range(700)]
    assert database.ask("SELECT count(*), min(code), max(code) FROM weir_rejects") == \
        [(1300, "sink.constraint_unique", "sink.constraint_unique")]
    assert all("constraint once" in row[0] for row in
               database.ask("SELECT message FROM weir_rejects"))


def test_a_warning_is_an_error(database, weir, tmp_path):
    """The server cuts spaces off without an error: what it did is taken back, and the rows refused."""
    database.ask("CREATE TABLE `rows` (id bigint, word varchar(3))")
    words = ["abc", "abc   ", "ab ", "ab  "]
    lines = Lines(tmp_path, weir, database, "id: {type: integer}, word: {type: string}")
    lines.add(*({"id": i, "word": words[i % 4] if i % 100 < 4 else "ok"} for i in range(3000)))
    assert "written 2,940 + rejected 60" in lines.run()
    assert database.ask("SELECT count(*), count(DISTINCT id), sum(word = 'abc') FROM `rows`") == \
        [(2940, 2940, 30)]
    rejected = database.ask("SELECT code, message, `offset` FROM weir_rejects")
    assert {row[:2] for row in rejected} == {
        ("sink.datatype", "SQLSTATE 01000, column word: Data truncated for column 'word'")}
    lines.run("audit")


@pytest.mark.parametrize("setting", ["sql_notes = 0", "max_error_count = 0"])
def test_a_server_that_shows_no_warnings_hides_nothing(setting, own_server, weir, tmp_path):
    own_server.ask(f"SET GLOBAL {setting}")
    database = Database(own_server, "iot")
    database.ask("CREATE TABLE `rows` (word varchar(3))")
    lines = Lines(tmp_path, weir, database, "word: {type: string}")
    assert "written 1 + rejected 1" in lines.add({"word": "abc"}, {"word": "abc  "}).run()
    assert database.ask("SELECT word FROM `rows`") == [("abc",)]
    assert database.ask("SELECT code FROM weir_rejects") == [("sink.datatype",)]
    lines.run("audit")


def test_refused_rows_may_have_a_time_that_no_column_has(database, weir, tmp_path):
    """A producer chooses the timestamps of its records: year 33658 is none of datetime's."""
    database.ask("CREATE TABLE `rows` (id bigint, CHECK (id > 100))")
    (tmp_path / "seed.ndjson").write_text('{"id": 1}\n')
    lines = Lines(tmp_path, weir, database, "id: {type: integer}")
    subprocess.run([weir, "produce", "local:in.db#in", "seed.ndjson", "--partitions", "1"],
                   cwd=tmp_path, check=True, capture_output=True)
    log = sqlite3.connect(tmp_path / "in.db", isolation_level=None)
    for i, timestamp_ms in enumerate([-62167219200000, 1_790_000_000_000, 10 ** 15]):
        record_batch.append(log, "in", 0, [(None, b'{"id": %d}' % (i + 2), [])], timestamp_ms)
    log.close()
    (tmp_path / "p.yaml").write_text(lines.text.replace("file: {path: in.ndjson}",
                                                        "local: {path: in.db, topic: in}"))
    assert "written 0 + rejected 4" in lines.run()
    kept = database.ask("SELECT CAST(timestamp AS char) FROM weir_rejects ORDER BY `offset`")
    assert kept[1:] == [("0000-01-01 00:00:00.000000",), ("2026-09-21 14:13:20.000000",), (None,)]
    lines.run("audit")


def test_values_that_a_type_would_change_are_refused(database, weir, tmp_path):
    database.ask("CREATE TABLE `rows` (price decimal(6,2), id uuid, day date, word char(9),"
                 " note varchar(99))")
    lines = Lines(tmp_path, weir, database, "price: {type: number}, id: {type: string},"
                  " day: {type: string}, word: {type: string}, note: {type: string}")
    lines.add({"price": 1.25, "id": "6f1b1d5e-0c0a-4c7e-9d7b-0123456789ab", "day": "2026-01-02",
               "word": "w", "note": "tab\tline\nback\\slash "},
              {"price": 1.255}, {"price": 123456.5}, {"id": "6F1B1D5E-0C0A-4C7E-9D7B-0123456789AB"},
              {"id": "none"}, {"day": "2026-02-30"}, {"day": "0000-00-00"}, {"word": "w "},
              {"price": 7})
    assert "written 2 + rejected 7" in lines.run()
    assert database.ask("SELECT note FROM `rows` WHERE note IS NOT NULL") == \
        [("tab\tline\nback\\slash ",)]
    assert database.ask("SELECT price FROM `rows` WHERE note IS NULL")[0][0] == 7
    lines.run("audit")


def test_rows_larger_than_a_packet_stop_the_run_and_large_ones_go_alone(own_server, weir, tmp_path):
    own_server.ask("SET GLOBAL max_allowed_packet = 131072")
    database = Database(own_server, "iot")
    lines = Lines(tmp_path, weir, database, "id: {type: integer}, text: {type: string}")
    sizes = [10, 90_000, 60_000, 140_000, 50_000, 50_000, 50_000, 10]
    said = lines.add(*({"id": i, "text": "x" * size} for i, size in enumerate(sizes))).run(status=3)
    statement = said.partition("bytes; ")[2].partition(" (and")[0]
    assert statement.startswith("SET GLOBAL max_allowed_packet = "), said
    own_server.ask(statement)
    assert "written 8 + rejected 0" in lines.run()
    assert database.ask("SELECT id, length(text) FROM `rows` ORDER BY id") == list(enumerate(sizes))
    lines.run("audit")


def test_dead_letters_of_any_bytes(database, weir, tmp_path):
    """Refused rows and invalid ones, as rows of a table in the same transaction."""
    database.ask("CREATE TABLE `rows` (id bigint, text varchar(3))")
    lines = Lines(tmp_path, weir, database, "id: {type: integer}, text: {type: string}")
    (tmp_path / "p.yaml").write_text(lines.text + "dlq:\n  mysql: {%s, table: letters}\n"
                                     "  include: [invalid, rejected]\n" % database.place)
    (tmp_path / "in.ndjson").write_bytes(b'{"id": 1, "text": "abc"}\n{"id": 2, "text": "abcd"}\n'
                                         b'\xff\xfe\n{"id": "x"}\n{"id": 3, "text": "a\\u0000b"}\n')
    lines.run()
    rows = database.ask("SELECT reason, coalesce(value, from_base64(value_base64)), sink FROM letters"
                        " ORDER BY `offset`")
    assert [(row[0], row[2]) for row in rows] == [
        ("sink.too_long", "rows"), ("decode.encoding", None), ("schema.type", None)], rows
    assert rows[0][1] in ('{"id": 2, "text": "abcd"}', b'{"id": 2, "text": "abcd"}')
    assert database.ask("SELECT text FROM `rows` ORDER BY id") == [("abc",), ("a\0b",)]
    lines.run("audit")


def test_refused_rows_become_dead_letters_in_a_local_log(database, weir, tmp_path):
    database.ask(f"CREATE TABLE readings ({COLUMNS}, PRIMARY KEY (message_id),"
                 " CONSTRAINT some CHECK (_weir_offset % 200 <> 7))")
    pipeline = Pipeline(tmp_path, weir, database)
    pipeline.edit("include: [invalid, late]", "include: [invalid, late, rejected]")
    pipeline.edit("commit_interval: 100ms", "commit_interval: 5ms")
    for _ in range(3):
        process = pipeline.start()
        process.wait_for("first start")
        process.kill()
    pipeline.finish()
    found = []
    topic = Topic(pipeline.folder / "iot.db", "dlq_iot_data")
    for partition in range(topic.partitions):
        for _, records in topic.batches(partition):
            for _, _, headers in records:
                headers = dict(headers)
                if headers.get("weir.sink") == b"readings":
                    assert headers["weir.reason"] == b"sink.constraint_check"
                    assert b"SQLSTATE 23000, constraint some" in headers["weir.detail"]
                    found.append((int(headers["weir.partition"]), int(headers["weir.offset"])))
    kept = {(int(partition), offset) for partition, offset in
            database.ask("SELECT `partition`, `offset` FROM weir_rejects")}
    assert len(found) == len(set(found)) > 50 and set(found) == kept
    pipeline.audit()
