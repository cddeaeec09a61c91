"""The checker checked: what a sound run leaves behind is damaged in one way at a time, and each
damage must be told by its name. Both checkers: this folder's, and the short one of the demo."""
import json
import random
import shutil
import sqlite3
import subprocess
import sys

import pytest

from checker import judge
from checker.log import HEADER, Broken, Topic, crc32c, decode_batch, murmur2
from crash.scenario import Scenario


@pytest.fixture(scope="module")
def sound(weir, tmp_path_factory):
    """A scenario that has run to its end."""
    scenario = Scenario(tmp_path_factory.mktemp("checker") / "log", weir, 3000, 1)
    scenario.finish()
    return scenario


@pytest.fixture
def damaged(sound, tmp_path):
    """A copy of its file, to be damaged."""
    path = tmp_path / "iot.db"
    shutil.copy(sound.database, path)
    return path


def write_varint(value):
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_sized(data):
    return write_varint(-1) if data is None else write_varint(len(data)) + data


def encode_batch(like, base, records):
    """A batch without compression; `like`: one whose other header fields are taken."""
    body = b""
    for index, (key, value, headers) in enumerate(records):
        record = b"\0" + write_varint(0) + write_varint(index)
        record += write_sized(key) + write_sized(value) + write_varint(len(headers))
        for name, text in headers:
            record += write_sized(name.encode()) + write_sized(text)
        body += write_sized(record)
    fields = list(HEADER.unpack_from(like))
    fields[0], fields[1] = base, HEADER.size - 12 + len(body)
    fields[5], fields[6], fields[12] = fields[5] & ~7, len(records) - 1, len(records)
    head = HEADER.pack(*fields)
    fields[4] = crc32c(head[21:] + body)
    return HEADER.pack(*fields) + body


def edit_topic(path, topic, change):
    """change(records) of the last batch of a partition, whose row is then written anew."""
    database = sqlite3.connect(path)
    number, position, partition, base, data = database.execute(
        "SELECT topic, position, partition, base_offset, bytes FROM weir_batch"
        " JOIN weir_topic USING (topic) WHERE name = ? ORDER BY position DESC LIMIT 1",
        (topic,)).fetchone()
    _, records = decode_batch(data)
    change(records)
    database.execute("UPDATE weir_batch SET count = ?, bytes = ? WHERE position = ?",
                     (len(records), encode_batch(data, base, records), position))
    database.execute("UPDATE weir_partition SET next_offset = ? WHERE topic = ? AND partition = ?",
                     (base + len(records), number, partition))
    database.commit()
    database.close()


def execute(path, *statements):
    database = sqlite3.connect(path)
    for statement in statements:
        assert database.execute(statement).rowcount == 1, statement
    database.commit()
    database.close()


def judged(sound, path):
    return judge.judge(judge.Places.all_in(path), sound.truth)


def judged_shortly(root, sound, path):
    done = subprocess.run([sys.executable, root / "script/check.py", path, sound.truth],
                          capture_output=True, text=True)
    assert not done.stderr
    return done.returncode, done.stdout.strip()


def test_sound_run_is_clean(root, sound):
    result = judged(sound, sound.database)
    assert result.is_clean(), result.findings
    assert result.verdicts["VALID"] > 2000 and result.verdicts["INVALID"] > 50
    assert result.hash == judge.output_hash(sound.places)
    assert judge.judge_conservation(sound.places).is_clean()
    assert judged_shortly(root, sound, sound.database) == (0, "lost 0 · doubled 0 · misjudged 0")


def remove(records):
    del records[3]


def double(records):
    records.append(records[3])


def alter_value(records):
    key, value, headers = records[3]
    records[3] = key, value.replace(b'"temperature_f":', b'"temperature_f":1'), headers


def alter_untouched_member(records):
    key, value, headers = records[3]
    records[3] = key, value.replace(b'"pressure":', b'"pressure":1', 1), headers


def alter_key(records):
    _, value, headers = records[3]
    records[3] = b"s-00000", value, headers


def swap_order_of_key(records):
    of_key = {}
    for index, (key, _, _) in enumerate(records):
        if key in of_key:
            first = of_key[key]
            records[first], records[index] = records[index], records[first]
            return
        of_key[key] = index
    raise AssertionError("no key is there twice")


def set_header(name, text):
    def change(records):
        key, value, headers = records[3]
        records[3] = key, value, [(n, text if n == name else t) for n, t in headers]
    return change


def alter_letter(records):
    key, value, headers = records[3]
    records[3] = key, (value or b"") + b" ", headers


@pytest.mark.parametrize("topic, change, lost, doubled, misjudged", [
    ("validated_iot_data", remove, 1, 0, 0),
    ("validated_iot_data", double, 0, 1, 0),
    ("validated_iot_data", alter_value, 0, 0, 1),
    ("validated_iot_data", alter_untouched_member, 0, 0, 1),
    ("validated_iot_data", alter_key, 0, 0, 1),
    ("validated_iot_data", swap_order_of_key, 0, 0, 1),
    ("dlq_iot_data", remove, 1, 0, 0),
    ("dlq_iot_data", double, 0, 1, 0),
    ("dlq_iot_data", alter_letter, 0, 0, 1),
    ("dlq_iot_data", set_header("weir.reason", b"schema.unheard_of"), 0, 0, 1),
    ("dlq_iot_data", set_header("weir.offset", b"999999"), 1, 0, 1),
])
def test_damage_to_a_topic_is_named(sound, damaged, topic, change, lost, doubled, misjudged):
    edit_topic(damaged, topic, change)
    result = judged(sound, damaged)
    assert (result.lost, result.doubled, result.misjudged) == (lost, doubled, misjudged), \
        result.findings
    assert result.hash != judged(sound, sound.database).hash or change is swap_order_of_key


ONE = "WHERE rowid = (SELECT min(rowid) FROM readings)"
PROGRESS = "UPDATE weir_progress SET"


@pytest.mark.parametrize("statement, lost, misjudged", [
    (f"DELETE FROM readings {ONE}", 1, 0),
    (f"UPDATE readings SET temperature = temperature + 0.01 {ONE}", 0, 1),
    (f"UPDATE readings SET event_time = '2030-01-01T00:00:00.000000Z' {ONE}", 0, 1),
    (f"UPDATE readings SET _weir_offset = 0, _weir_partition = 7 {ONE}", 1, 1),
    (f"{PROGRESS} valid = valid + 1, invalid = invalid - 1 WHERE partition = '0'", 0, 1),
    (f"{PROGRESS} next_offset = next_offset - 1 WHERE partition = '1'", 0, 1),
])
def test_damage_to_a_table_is_named(sound, damaged, statement, lost, misjudged):
    execute(damaged, statement)
    result = judged(sound, damaged)
    assert (result.lost, result.doubled, result.misjudged) == (lost, 0, misjudged), result.findings


@pytest.mark.parametrize("topic, change, said", [
    ("validated_iot_data", remove, "lost 1 · doubled 0 · misjudged 1"),  # the table still has it
    ("validated_iot_data", double, "lost 0 · doubled 1 · misjudged 0"),
    ("dlq_iot_data", remove, "lost 1 · doubled 0 · misjudged 0"),
    ("dlq_iot_data", double, "lost 0 · doubled 1 · misjudged 0"),
    ("dlq_iot_data", set_header("weir.reason", b"late?"), "lost 1 · doubled 0 · misjudged 1"),
])
def test_short_check_names_it_too(root, sound, damaged, topic, change, said):
    edit_topic(damaged, topic, change)
    assert judged_shortly(root, sound, damaged) == (1, said)


@pytest.mark.parametrize("statement", [
    "DELETE FROM weir_batch",
    "UPDATE weir_batch SET base_offset = base_offset + 1",
])
def test_offsets_must_join_on(sound, damaged, statement):
    execute(damaged, f"{statement} WHERE position = (SELECT max(position) FROM weir_batch"
                     " JOIN weir_topic USING (topic) WHERE name = 'validated_iot_data')")
    result = judged(sound, damaged)
    assert any("validated topic cannot be read" in finding for finding in result.findings)
    assert result.lost > 0 and not judge.judge_conservation(judge.Places.all_in(damaged)).is_clean()


# --- What nobody expects: each must end in a verdict, and never in "all is well". ---

HOSTILE_VALUES = (None, "", " ", "x", -1, 2**70, 0.5, -1e308, True, [], {}, [[1]], {"a": None},
                  "2024-13-01T00:00:00Z",
                  "Z", "2024-01-01T00:00:60Z", "0001-01-01T00:00:00+14:00", "\ud800", "9" * 5000)
HOSTILE_BYTES = (None, b"", b"{", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000,
                 b'"' + b"x" * 100_000, b"1" * 5000,
                 b'{"message_id":[]}', b'{"message_id":NaN}', b'{"message_id":"m"}', b"\0")
HOSTILE_CELLS = ("NULL", "''", "'Z'", "-1", "9223372036854775807", "1e300", "0.5", "x'ff'",
                 "CAST(x'ff' AS TEXT)",
                 "'x'", "'99999999999999999999'")


def mutate_value(rng, value):
    kind = rng.randrange(3)
    if kind == 0 or not value:
        return rng.choice(HOSTILE_BYTES)
    if kind == 1:
        at = rng.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1:]
    try:
        members = json.loads(value)
        members[rng.choice(list(members))] = rng.choice(HOSTILE_VALUES)
        return json.dumps(members).encode()
    except (ValueError, TypeError, IndexError, RecursionError):  # No JSON, or nested without end.
        return value + b"x"


def mutate_record(rng):
    def change(records):
        index = rng.randrange(len(records))
        key, value, headers = records[index]
        kind = rng.randrange(4)
        if kind == 0:
            key = rng.choice([None, b"", b"\xff", b"x" * 1000])
        elif kind == 1 and headers:
            at = rng.randrange(len(headers))
            text = rng.choice([None, b"", b"-1", b"x", b"\xff", b"9" * 5000, b"0"])
            headers = [pair for i, pair in enumerate(headers) if i != at] + \
                ([(headers[at][0], text)] if rng.randrange(2) else [])
        else:
            value = mutate_value(rng, value)
        records[index] = key, value, headers
    return change


def mutate_cell(rng, path, table):
    database = sqlite3.connect(path)
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    rowids = [row[0] for row in database.execute(f"SELECT rowid FROM {table}")]
    try:
        database.execute(f"UPDATE {table} SET {rng.choice(columns)} = {rng.choice(HOSTILE_CELLS)}"
                         f" WHERE rowid = {rng.choice(rowids)}")
    except sqlite3.IntegrityError:
        pass  # The table's own types say no.
    database.commit()
    database.close()


def mutate_bytes(rng, path):
    database = sqlite3.connect(path)
    position, data = rng.choice(database.execute(
        "SELECT position, bytes FROM weir_batch JOIN weir_topic USING (topic) WHERE name <> 'raw_iot_data'").fetchall())
    at = rng.randrange(len(data))
    database.execute("UPDATE weir_batch SET bytes = ? WHERE position = ?",
                     (data[:at] + bytes([rng.randrange(256)]) + data[at + 1:], position))
    database.commit()
    database.close()


def mutate(rng, path, kind):
    if kind < 3:
        edit_topic(path, rng.choice(["validated_iot_data", "dlq_iot_data"]), mutate_record(rng))
    elif kind == 3:
        mutate_bytes(rng, path)
    else:
        mutate_cell(rng, path,
                    rng.choice(["readings", "weir_progress", "weir_partition", "weir_topic"]))


def all_of(path):
    """Everything that the checker is to have an eye on."""
    database = sqlite3.connect(path)
    database.text_factory = bytes
    found = [database.execute(f"SELECT {columns} FROM {table}").fetchall() for columns, table in (
        ("*", "readings"), ("*", "weir_batch"), ("topic, name, partitions", "weir_topic"),
        ("topic, partition, first_offset, next_offset", "weir_partition"),
        ("partition, next_offset, records, valid, invalid, duplicate, late, filtered",
         "weir_progress"))]
    database.close()
    return found


def test_nothing_that_stands_there_stops_it(weir, tmp_path, seed, long_run):
    scenario = Scenario(tmp_path / "log", weir, 300, 1)
    scenario.finish()
    before = all_of(scenario.database)
    rng = random.Random(seed)
    changed = clean = 0
    for number in range(5000 if long_run else 300):
        path = tmp_path / f"{number}.db"
        shutil.copy(scenario.database, path)
        # Records first: their batches can still be read then.
        for kind in sorted(rng.randrange(6) for _ in range(rng.choice([1, 1, 1, 5]))):
            mutate(rng, path, kind)
        try:
            results = judged(scenario, path), judge.judge_conservation(judge.Places.all_in(path))
        except (Broken, sqlite3.OperationalError) as error:
            assert "raw_iot_data" in str(error), error  # Without an input there is nothing to judge.
            continue
        if all_of(path) != before:
            changed += 1
            clean += results[0].is_clean()
    assert changed > 100
    # White space, headers that say nothing about the origin, bytes of a batch that records do not need.
    assert clean <= changed // 5, f"{clean} of {changed} are called clean"


def test_batches_of_weir_have_the_right_checksum(sound):
    for name in ("raw_iot_data", "validated_iot_data", "dlq_iot_data"):
        topic = Topic(sound.database, name)
        assert sum(len(records) for p in range(topic.partitions)
                   for _, records in topic.batches(p, check_crc=True)) > 0


def test_flipped_bit_breaks_the_checksum(sound, damaged):
    database = sqlite3.connect(damaged)
    position, data = database.execute("SELECT max(position), bytes FROM weir_batch").fetchone()
    middle = len(data) // 2
    data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]
    database.execute("UPDATE weir_batch SET bytes = ? WHERE position = ?", (data, position))
    database.commit()
    database.close()
    with pytest.raises(Broken):
        for name in ("raw_iot_data", "validated_iot_data", "dlq_iot_data"):
            topic = Topic(damaged, name)
            for partition in range(topic.partitions):
                list(topic.batches(partition, check_crc=True))


def test_known_answers():
    assert crc32c(b"123456789") == 0xE3069283
    # Of Kafka's own test of its murmur2.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: murmur2(key) - (murmur2(key) >> 31 << 32) for key in known} == known
