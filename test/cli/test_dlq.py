"""dlq: dead letters counted, shown, and replayed exactly once."""
import importlib.util
import json
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("record_batch",
                                              Path(__file__).with_name("record_batch.py"))
record_batch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(record_batch)

PLACES = {
    "topic": "local: {path: iot.db, topic: dlq_iot_data}",
    "table": "sqlite: {path: iot.db, table: dead_letters}",
    "other_table": "sqlite: {path: dead.db, table: dead_letters}",
    "files": "file: {path: dead}",
}


def set_dlq(iot, kind):
    path = iot.folder / "iot.yaml"
    text = path.read_text()
    assert PLACES["topic"] in text
    if kind in ("other_table", "files"):
        # Refused rows can be kept in the file of the table that refuses them only.
        text = text.replace("include: [invalid, late, rejected]", "include: [invalid, late]")
    path.write_text(text.replace(PLACES["topic"], PLACES[kind]))


def fill(iot, count=3000, kind="topic"):
    """A workload that has run through; what the truth expects among the dead letters."""
    set_dlq(iot, kind)
    iot("gen", "iot.yaml:source", "--count", count, "--truth", "truth")
    iot("run", "iot.yaml", "--until-end")
    truth = [json.loads(line) for line in (iot.folder / "truth").read_text().splitlines()]
    return [line for line in truth if line["verdict"] in ("INVALID", "LATE")]


def by_origin(iot):
    """The source's records by partition and offset."""
    return {(record["partition"], record["offset"]): record
            for record in iot.records("iot.yaml:source")}


def replays(iot):
    """What was injected: (origin partition, origin offset, attempt, sink) of each, and the record."""
    found = []
    for record in iot.records("iot.yaml:source"):
        for header in record["headers"]:
            if header["name"] == "weir.replay":
                _, partition, offset, attempt, *sink = header["value"].split(" ")
                found.append(((int(partition), int(offset), int(attempt), *sink), record))
    return found


def raw(record, name):
    return record.get(name, record.get(name + "_base64"))


@pytest.mark.parametrize("kind", PLACES)
def test_list_and_show_what_the_truth_expects(iot, kind):
    expected = fill(iot, kind=kind)
    groups = json.loads(iot("dlq", "list", "iot.yaml", "--json").out)
    counts = Counter()
    for group in groups:
        counts[group["reason"]] += group["records"]
    assert counts == Counter(line["reason"] for line in expected)
    assert [g["records"] for g in groups] == sorted((g["records"] for g in groups), reverse=True)
    assert len({(g["reason"], g["field"]) for g in groups}) == len(groups)

    letters = iot("dlq", "show", "iot.yaml", "--json").objects()
    assert {f'{letter["partition"]}-{letter["offset"]}' for letter in letters} == \
        {line["id"] for line in expected}
    source = by_origin(iot)
    for letter in letters:
        record = source[int(letter["partition"]), letter["offset"]]
        assert raw(letter, "key") == raw(record, "key")
        assert raw(letter, "value") == raw(record, "value")
        assert letter["attempt"] == 1 and letter["sink"] == "" and letter["pipeline"] == "iot"
        assert letter["violations"][0]["reason"] == letter["reason"]
        assert letter["timestamp"] == record["timestamp"]

    table = iot("dlq", "list", "iot.yaml").out.decode().splitlines()
    assert table[0].split() == ["reason", "field", "records", "example"]
    assert len(table) == len(groups) + 1
    late = [letter for letter in letters if letter["reason"] == "late"]
    assert iot("dlq", "show", "iot.yaml:dlq", "--json", "--reason", "late").objects() == late
    shown = iot("dlq", "show", "iot.yaml", "--reason", "late", "--limit", "2").out.decode()
    assert shown.count("  value  ") == 2 and shown.count("late: ") == 2


@pytest.mark.parametrize("kind", PLACES)
def test_replay_injects_each_once(iot, kind):
    count = len(fill(iot, kind=kind))
    before = by_origin(iot)
    dry = iot("dlq", "replay", "iot.yaml", "--dry-run").out.decode().splitlines()
    assert len(dry) == count + 1 and all(line.startswith("would replay") for line in dry[:-1])
    assert len(by_origin(iot)) == len(before)

    first = iot("dlq", "replay", "iot.yaml", "--limit", "20").out.decode()
    assert first == "20 dead letters selected, 20 replayed, 0 replayed before\n"
    rest = iot("dlq", "replay", "iot.yaml").out.decode()
    assert rest == f"{count} dead letters selected, {count - 20} replayed, 20 replayed before\n"
    again = iot("dlq", "replay", "iot.yaml").out.decode()
    assert again == f"{count} dead letters selected, 0 replayed, {count} replayed before\n"
    assert iot("dlq", "replay", "iot.yaml", "--dry-run").out.decode() == \
        f"{count} dead letters selected, 0 would be replayed, {count} replayed before\n"

    injected = replays(iot)
    assert Counter(origin for origin, _ in injected).most_common(1)[0][1] == 1
    assert len(injected) == count
    for (partition, offset, attempt), record in injected:
        original = before[partition, offset]
        assert record["partition"] == partition and attempt == 1
        assert raw(record, "key") == raw(original, "key")
        assert raw(record, "value") == raw(original, "value")


def test_what_fails_again_is_the_next_attempt(iot):
    count = len(fill(iot))
    late = json.loads(iot("dlq", "list", "iot.yaml", "--json").out)
    late = sum(group["records"] for group in late if group["reason"] == "late")
    iot("dlq", "replay", "iot.yaml")
    iot("run", "iot.yaml", "--until-end")
    letters = iot("dlq", "show", "iot.yaml", "--json").objects()
    attempts = Counter(letter["attempt"] for letter in letters)
    # What was late is not late a second time.
    assert attempts[1] == count and count - late - 5 <= attempts[2] <= count - late
    again = iot("dlq", "replay", "iot.yaml").out.decode()
    assert again == f"{count + attempts[2]} dead letters selected, {attempts[2]} replayed, " \
                    f"{count} replayed before\n"
    assert Counter(origin for origin, _ in replays(iot)).most_common(1)[0][1] == 1


def test_set_mends_them(iot):
    fill(iot)
    groups = json.loads(iot("dlq", "list", "iot.yaml", "--json").out)
    ranges = sum(g["records"] for g in groups
                 if g["reason"] == "schema.range" and g["field"] == "temperature")
    other_ranges = sum(g["records"] for g in groups if g["reason"] == "schema.range") - ranges
    assert ranges > 5 and other_ranges > 0
    valid = len(iot.values("iot.yaml:validated"))
    out = iot("dlq", "replay", "iot.yaml", "--reason", "schema.range", "--set", "temperature=-1.50",
              "--set", 'site="test me"', "--set", 'site2={"a":[1]}').out.decode()
    assert f"{ranges + other_ranges} replayed" in out
    for _, record in replays(iot):
        value = json.loads(record["value"])
        assert value["temperature"] == -1.5 and value["site"] == "test me"
        assert value["site2"] == {"a": [1]}
        assert '"temperature":-1.50' in record["value"].replace(" ", "")
    iot("run", "iot.yaml", "--until-end")
    assert len(iot.values("iot.yaml:validated")) == valid  # that is no site
    letters = iot("dlq", "show", "iot.yaml", "--json").objects()
    assert Counter(l["reason"] for l in letters if l["attempt"] == 2).keys() == \
        {"schema.range", "schema.enum"}
    iot("dlq", "replay", "iot.yaml", "--reason", "schema.enum", "--set", 'site="north"')
    iot("run", "iot.yaml", "--until-end")
    assert len(iot.values("iot.yaml:validated")) > valid
    iot("audit", "iot.yaml")


def test_set_leaves_out_what_it_cannot_mend(iot):
    fill(iot)
    letters = iot("dlq", "show", "iot.yaml", "--json").objects()

    def refuse(constant):
        raise ValueError(constant)

    def mends(letter):
        # Python takes NaN and lone surrogates, which are no JSON.
        try:
            value = json.loads(letter["value"], parse_constant=refuse)
            json.dumps(value, ensure_ascii=False).encode()
            return isinstance(value, dict)
        except (KeyError, ValueError, TypeError):
            return False

    count = sum(mends(letter) for letter in letters)
    result = iot("dlq", "replay", "iot.yaml", "--set", "a=1")
    assert result.out.decode().startswith(f"{count} dead letters selected, {count} replayed")
    assert f"left out: {len(letters) - count} whose value is no JSON object" in result.err
    assert all(json.loads(record["value"])["a"] == 1 for _, record in replays(iot))


@pytest.mark.parametrize("words, hint", [
    (["--set", "a"], "FIELD=JSON"),
    (["--set", "=1"], "FIELD=JSON"),
    (["--set", "a=north"], "a text needs its quotes"),
    (["--set", "a=1", "--set", "a=2"], "set twice"),
    (["--set", "a=1", "--set", "a.b=2"], "set twice"),
    (["--set", "a..b=1"], "is no field"),
    (["--limit", "0"], "--limit"),
])
def test_wrong_words(iot, words, hint):
    assert hint in iot("dlq", "replay", "iot.yaml", *words, status=2).err


def test_nested_fields_are_set_by_their_path(iot):
    lines = [{"a": {"b": {"c": 1}, "d": 2}}, {"a": {"b": {}}}, {"a": {"b": 1}}, {"a": []}, {},
             {"b": {"c": 1}}, {"a": {"b": {"b": {}}}}]
    iot("produce", "iot.yaml:source", "--partitions", "1",
        data="\n".join(map(json.dumps, lines)).encode())
    iot("run", "iot.yaml", "--until-end")
    result = iot("dlq", "replay", "iot.yaml", "--set", "a.b.c=[5]", "--set", "a.e=6")
    assert "left out: 4" in result.err
    assert [json.loads(record["value"]) for _, record in replays(iot)] == [
        {"a": {"b": {"c": [5]}, "d": 2, "e": 6}}, {"a": {"b": {"c": [5]}, "e": 6}},
        {"a": {"b": {"b": {}, "c": [5]}, "e": 6}}]


def test_headers_and_bytes_stay_as_they_were(iot):
    """Headers that look like weir's own, values that are no text, keys that are none."""
    iot("topic", "create", "iot.yaml:source", "--partitions", "2")
    headers = [(b"trace", b"1"), (b"weir.reason", b"mine"), (b"trace", b"\xff\x00"),
               (b"null", None), (b"weir.other", b"")]
    records = [(b"\xfe key", b"\xff\x00 no json", headers), (None, None, []), (b"", b"", headers)]
    with iot.database("iot.db") as database:
        record_batch.append(database, "raw_iot_data", 1, records, int(time.time() * 1000))
    for kind in ("topic", "table", "files"):
        (iot.folder / kind).mkdir()
        for name in ("iot.yaml", "sensor.schema.json"):
            (iot.folder / kind / name).write_text((iot.folder / name).read_text())
        pipeline = iot.folder / kind / "iot.yaml"
        pipeline.write_text(pipeline.read_text().replace(PLACES["topic"], PLACES[kind])
                            .replace("late, rejected]", "late]")
                            .replace("name: iot", f"name: iot_{kind}")
                            .replace("path: iot.db, topic: raw", "path: ../iot.db, topic: raw"))
    before = iot.records("iot.yaml:source")
    for kind in ("topic", "table", "files"):
        iot("run", f"{kind}/iot.yaml", "--until-end")
        letters = iot("dlq", "show", f"{kind}/iot.yaml", "--json").objects()
        letters.sort(key=lambda letter: letter["offset"])
        assert [letter["headers"] for letter in letters] == [r["headers"] for r in before]
        assert [raw(letter, "value") for letter in letters] == [raw(r, "value") for r in before]
    # The origin is one record: whoever replays it first does it for all.
    for kind, fresh in (("table", 3), ("topic", 0), ("files", 0)):
        out = iot("dlq", "replay", f"{kind}/iot.yaml").out.decode()
        assert out == f"3 dead letters selected, {fresh} replayed, {3 - fresh} replayed before\n"
    for (origin, after), record in zip(sorted(replays(iot), key=lambda item: item[0]), before):
        assert origin == (1, record["offset"], 1)
        assert after["headers"][:-1] == record["headers"]
        assert raw(after, "key") == raw(record, "key")
        assert raw(after, "value") == raw(record, "value")


def test_a_refused_row_goes_to_its_sink_only(iot):
    with iot.database("iot.db") as database:
        database.execute(
            "CREATE TABLE readings (message_id TEXT PRIMARY KEY, sensor_id TEXT, event_time TEXT, "
            "temperature REAL CHECK (temperature < 35), humidity REAL, pressure REAL, "
            "battery INTEGER, site TEXT, temperature_f REAL, _weir_topic TEXT, "
            "_weir_partition TEXT, _weir_offset INTEGER)")
    fill(iot)
    refused = [letter for letter in iot("dlq", "show", "iot.yaml", "--json").objects()
               if letter["reason"].startswith("sink.")]
    assert len(refused) > 10
    assert {letter["reason"] for letter in refused} == {"sink.constraint_check"}
    assert {letter["sink"] for letter in refused} == {"readings"}
    validated = len(iot.values("iot.yaml:validated"))
    rows = len(iot.values("iot.yaml:readings"))
    iot("dlq", "replay", "iot.yaml", "--reason", "sink.constraint_check", "--set", "temperature=34")
    assert {origin[3] for origin, _ in replays(iot)} == {"readings"}
    iot("run", "iot.yaml", "--until-end")
    assert len(iot.values("iot.yaml:validated")) == validated
    assert len(iot.values("iot.yaml:readings")) == rows + len(refused)


def test_two_replays_at_once_inject_each_once(iot):
    count = len(fill(iot))
    processes = [iot.start("dlq", "replay", "iot.yaml") for _ in range(3)]
    replayed = 0
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        replayed += int(out.split(b" replayed,")[0].split(b" ")[-1].replace(b",", b""))
    assert replayed == count
    assert len({origin for origin, _ in replays(iot)}) == len(replays(iot)) == count


def test_replay_killed_and_repeated_injects_each_once(root, weir_fast, iot, seed):
    rng = random.Random(seed)
    fast = weir_fast
    fast("gen", "iot.yaml:source", "--count", "300000", "--share", "late=15%")
    fast("run", "iot.yaml", "--until-end")
    kills = 0
    for _ in range(30):
        process = fast.start("dlq", "replay", "iot.yaml", stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0, 0.05))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += process.wait() == -signal.SIGKILL
    out = fast("dlq", "replay", "iot.yaml").out.decode()
    count = int(out.split(" ")[0].replace(",", ""))
    assert kills > 0 and count > 40000
    with fast.database("iot.db") as database:
        ids = database.execute("SELECT count(*) FROM weir_replayed").fetchone()[0]
    found = Counter(origin for origin, _ in replays(fast))
    assert ids == count == len(found) == sum(found.values())


def test_replay_while_the_pipeline_runs(iot, wait_until):
    count = len(fill(iot))
    process = iot.start("run", "iot.yaml")
    iot("dlq", "replay", "iot.yaml", "--reason", "late")
    late = len(replays(iot))
    assert 0 < late < count
    wait_until(lambda: sum(g["lag"] for g in json.loads(
        iot("topic", "describe", "iot.yaml:source", "--json").out)["groups"]) == 0)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    iot("audit", "iot.yaml")


def test_dead_letters_of_others_are_left_out(iot):
    count = len(fill(iot))
    iot("produce", "iot.yaml:dlq", data=b"no dead letter\n")
    assert "1 record there is no dead letter" in iot("dlq", "list", "iot.yaml").err
    path = iot.folder / "other.yaml"
    path.write_text((iot.folder / "iot.yaml").read_text().replace("name: iot", "name: other"))
    result = iot("dlq", "replay", "other.yaml")
    assert result.out.decode().startswith("0 dead letters selected, 0 replayed")
    assert f"left out: {count} of another pipeline" in result.err
    # A topic that was made anew has other records at the same offsets.
    iot("topic", "delete", "iot.yaml:source", "--yes")
    iot("topic", "create", "iot.yaml:source", "--partitions", "3")
    result = iot("dlq", "replay", "iot.yaml")
    assert result.out.decode().startswith("0 dead letters selected, 0 replayed")
    assert f"left out: {count} of an earlier topic" in result.err


def test_a_source_that_cannot_be_written_to_refuses(iot):
    path = iot.folder / "iot.yaml"
    path.write_text(path.read_text().replace("local: {path: iot.db, topic: raw_iot_data, "
                                             "start: earliest}", "file: {path: in.ndjson}"))
    err = iot("dlq", "replay", "iot.yaml", status=2).err
    assert "dlq.source" in err and "a file, into which dead letters cannot be replayed" in err


def test_a_pipeline_that_never_ran_has_none(iot):
    assert "log.missing" in iot("dlq", "list", "iot.yaml", status=2).err
    iot("gen", "iot.yaml:source", "--count", "10")
    assert "topic.missing" in iot("dlq", "list", "iot.yaml", status=2).err
    path = iot.folder / "iot.yaml"
    lines = path.read_text().splitlines()
    at = lines.index("dlq:")
    path.write_text("\n".join(lines[:at] + lines[at + 3:]))
    assert "has no dlq" in iot("dlq", "replay", "iot.yaml", status=2).err
