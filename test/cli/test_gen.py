"""gen: the same bytes from the same seed, and a truth for every record."""
import json
import shutil
import time
from collections import Counter
from datetime import datetime, timezone

import pytest

TOPIC = "local:log.db#raw"


def truth_of(weir_cli, name):
    return [json.loads(line) for line in (weir_cli.folder / name).read_text().splitlines()]


def test_the_same_seed_gives_the_same_bytes(weir_cli):
    first = weir_cli("gen", "--count", "5000", "--seed", "7").out
    assert first == weir_cli("gen", "-", "--count", "5000", "--seed", "7").out
    assert first != weir_cli("gen", "--count", "5000", "--seed", "8").out
    weir_cli("gen", "file:out", "--count", "5000", "--seed", "7")
    assert (weir_cli.folder / "out").read_bytes() == first
    weir_cli("gen", TOPIC, "--count", "5000", "--seed", "7")
    assert Counter(weir_cli.values(TOPIC)) == Counter(first.split(b"\n")[:-1])


def test_every_record_has_its_truth(weir_cli):
    result = weir_cli("gen", TOPIC, "--count", "4000", "--truth", "truth", "--json")
    truth = truth_of(weir_cli, "truth")
    records = weir_cli.records(TOPIC)
    assert len(truth) == len(records) == 4000
    assert {line["id"] for line in truth} == \
        {f'{record["partition"]}-{record["offset"]}' for record in records}
    summary = json.loads(result.out)
    verdicts = Counter(line["verdict"] for line in truth)
    assert summary["in"] == 4000
    assert {name: count for name, count in summary["verdicts"].items() if count} == verdicts
    assert set(verdicts) == {"VALID", "INVALID", "DUPLICATE", "LATE", "FILTERED"}
    assert summary["reasons"] == Counter(line["reason"] for line in truth if line["reason"])


def test_the_truth_counts_what_the_ledger_counts(weir_cli, root):
    for name in ("iot.yaml", "sensor.schema.json"):
        shutil.copy(root / "examples" / name, weir_cli.folder)
    made = weir_cli("gen", "local:iot.db#raw_iot_data", "--count", "30000", "--truth", "truth",
                    "--json")
    truth = json.loads(made.out)
    ledger = json.loads(weir_cli("run", "iot.yaml", "--until-end", "--json").out)
    assert ledger["in"] == truth["in"]
    assert ledger["verdicts"] == {name.lower(): count for name, count in truth["verdicts"].items()}
    assert ledger["reasons"] == truth["reasons"]
    assert ledger["repairs"] == truth["repaired"] and all(truth["repaired"].values())
    assert {f"check.{name}": count for name, count in ledger["warnings"].items()} == truth["warned"]
    assert truth["warned"]["check.battery_low"] > 0


def test_a_second_workload_goes_on_behind_the_first(weir_cli):
    weir_cli("gen", TOPIC, "--count", "1000", "--truth", "first")
    result = weir_cli("gen", TOPIC, "--count", "500", "--seed", "2", "--truth", "second")
    assert "held records before" in result.err
    ids = [line["id"] for line in truth_of(weir_cli, "first") + truth_of(weir_cli, "second")]
    assert len(set(ids)) == 1500
    assert set(ids) == {f'{r["partition"]}-{r["offset"]}' for r in weir_cli.records(TOPIC)}


def test_the_topic_decides_on_partitions(weir_cli):
    weir_cli("topic", "create", TOPIC, "--partitions", "5")
    weir_cli("gen", TOPIC, "--count", "1000", "--truth", "truth")
    assert {line["id"].split("-")[0] for line in truth_of(weir_cli, "truth")} == set("01234")
    assert "topic.exists" in weir_cli("gen", TOPIC, "--partitions", "3", status=2).err


@pytest.mark.parametrize("start", ["now", "2020-05-05T00:00:00Z"])
def test_events_lie_before_their_records(weir_cli, start):
    weir_cli("gen", TOPIC, "--count", "2000", "--start", start, "--share", "future=0%")
    now = datetime.now(timezone.utc)
    times = []
    for record in weir_cli.records(TOPIC):
        try:
            times.append(datetime.fromisoformat(
                json.loads(record["value"])["event_time"].replace("Z", "+00:00")))
        except (KeyError, ValueError, TypeError, AttributeError):
            pass
    assert len(times) > 1800
    assert max(times) < now
    if start == "now":
        assert (now - max(times)).total_seconds() < 2 * 3600


def test_shares(weir_cli):
    weir_cli("gen", "local:a.db#raw", "--count", "500", "--share", "all=0%", "--truth", "clean")
    assert {line["verdict"] for line in truth_of(weir_cli, "clean")} == {"VALID"}
    weir_cli("gen", "local:b.db#raw", "--count", "500", "--share", "all=0%", "--share",
             "test_site=50%", "--truth", "half")
    half = Counter(line["verdict"] for line in truth_of(weir_cli, "half"))
    assert set(half) == {"VALID", "FILTERED"} and 150 < half["FILTERED"] < 350
    assert "gen.option" in weir_cli("gen", "--share", "all=10%", status=2).err


def test_nothing_is_a_workload_too(weir_cli):
    assert weir_cli("gen", "--count", "0").out == b""
    weir_cli("gen", TOPIC, "--count", "0", "--truth", "truth")
    assert (weir_cli.folder / "truth").read_bytes() == b""


def test_rate_keeps_the_pace(weir_cli):
    begun = time.monotonic()
    weir_cli("gen", TOPIC, "--count", "300", "--rate", "500")
    assert 0.59 <= time.monotonic() - begun < 30
    assert len(weir_cli.values(TOPIC)) == 300


def test_a_disturbed_truth_is_told(weir_cli, wait_until):
    process = weir_cli.start("gen", TOPIC, "--partitions", "1", "--count", "600", "--rate", "300",
                             "--truth", "truth")
    wait_until(lambda: (weir_cli.folder / "log.db").exists() and
               b"raw" in weir_cli("topic", "list", "local:log.db").out)
    wait_until(lambda: weir_cli.values(TOPIC))
    weir_cli("produce", TOPIC, data=b"in between\n")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert b"gen.disturbed" in err


def test_a_million_in_good_time(weir_fast):
    """No bench, only a guard against something silly: the target on a quiet machine is 3 s."""
    result = weir_fast("gen", TOPIC, "--truth", "truth")
    assert "1,000,000 records" in result.err
    with open(weir_fast.folder / "truth", "rb") as truth:
        assert sum(block.count(b"\n") for block in iter(lambda: truth.read(1 << 20), b"")) == 10**6
    assert float(result.err.split(" in ")[1].split(" s")[0]) < 30
