"""Verbs that prove and explain, from Kafka to Kafka: audit, trace, diff, reconcile, explain."""
import json
import re
import time
from datetime import datetime, timezone

import pytest

from checker.kafka_topic import KafkaTopic
from cluster.lab import Lab, records

FIRST_S = int(time.time()) - 3600  # of the records, one a second


def at(second):
    return datetime.fromtimestamp(FIRST_S + second, timezone.utc).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def it(broker, weir, tmp_path_factory):
    """Ten records, one of them twice, and two bad ones; all is doubled on its way."""
    lab = Lab(broker, weir, tmp_path_factory.mktemp("inspect"))
    lab.topic("seen", 2)
    lab.send("seen", records(10), first_ms=FIRST_S * 1000, step_ms=1000)
    lab.send("seen", records(1, 4), partition=0, first_ms=(FIRST_S + 10) * 1000)
    lab.send("seen", [{"id": "bad", "n": "x"}, {"id": "none"}], partition=1,
             first_ms=(FIRST_S + 11) * 1000)
    lab.write("seeing", {"topic": "seen"}, {"out": {"topic": "seeing-out"}},
              dlq={"topic": "seeing-dlq"}, dedup={"key": "id", "window": "unlimited"},
              transform={"set": {"n": "n * 2"}})
    assert lab.run("seeing.yaml").stdout.startswith(
        "in 13 = VALID 10 + INVALID 2 + DUPLICATE 1 + LATE 0 + FILTERED 0")
    return lab


def place_of(lab, topic, record_id):
    """Where another client finds the row of that record."""
    there = KafkaTopic(lab.place, topic)
    return [f"{topic}[{partition}]@{base}" for partition in range(there.partitions)
            for base, [(key, _, _)] in there.batches(partition) if key == record_id.encode()]


def test_trace_finds_each_place(it):
    said = it("trace", "seeing.yaml", "m4").stdout
    [place] = place_of(it, "seeing-out", "m4")
    assert place in said and "VALID" in said
    assert "DUPLICATE" in said and re.search(r"seen\[0\]@5\b", said), said
    said = it("trace", "seeing.yaml", "bad").stdout
    [place] = place_of(it, "seeing-dlq", "bad")
    assert place in said and 'schema.type n ("x" is not an integer)' in said
    assert "m5" in it("trace", "seeing.yaml", "seen[1]@2").stdout
    assert "no record" in it("trace", "seeing.yaml", "m99", status=1).stderr


def test_audit_proves_and_names(it):
    said = it("audit", "seeing.yaml").stdout
    assert "audited 13 records against 12 rows: missing 0 · doubled 0 · altered 0 · foreign 0" in said
    it.topic("copied", 1)
    it.send("copied", records(5))
    file = it.write("copying", {"topic": "copied"}, {"out": {"topic": "copying-out"}})
    it.run(file)
    it.send("copying-out", records(1, 3))
    said = it("audit", file, status=1).stdout
    assert "missing 0 · doubled 1 · altered 0 · foreign 0" in said and "copied [0] offset 3" in said, said


def test_diff_judges_the_log_again(it):
    text = json.loads((it.folder / "seeing.yaml").read_text())
    text["transform"]["where"] = "n < 6"
    (it.folder / "newer.yaml").write_text(json.dumps(text))
    said = it("diff", "seeing.yaml", "newer.yaml", status=1).stdout
    assert re.search(r"VALID\s+FILTERED filter.where\s+verdict\s+4\b", said), said
    assert "4 of 13 records differ" in said
    since = it("diff", "seeing.yaml", "newer.yaml", "--since", at(8), status=1).stdout
    assert re.search(r"^2 of 5 records differ", since, re.M), since
    assert "0 of 13 records differ" in it("diff", "seeing.yaml", "seeing.yaml").stdout


def test_reconcile_compares_topics(it):
    said = it("reconcile", "seeing.yaml:source", "seeing.yaml:out", "--key", "id", status=1).stdout
    assert 'altered  {"id":"m3"}  n: 3 → 6' in said and 'missing  {"id":"none"}' in said, said


def test_explain_says_how_far_state_reaches(it):
    assert "the source keeps 7d and state reaches back to the beginning" in \
        it("explain", "seeing.yaml").stdout
