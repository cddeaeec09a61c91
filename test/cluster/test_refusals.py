"""Rows that a topic does not take are set aside, each a fact of that sink: without a key for a compacted
topic, with a timestamp beyond the topic's limits. And partitions that a sink's topic gets while it runs."""
import collections
import json
import time

import pytest

from checker.kafka_topic import client
from cluster.lab import Lab, records, until
from cluster.test_replay import read

DAY_MS = 86400 * 1000


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def send(lab, topic, rows):
    """(key, value, timestamp) each."""
    producer = client().KafkaProducer(bootstrap_servers=lab.broker.bootstrap, acks="all")
    try:
        for key, value, timestamp_ms in rows:
            producer.send(topic, json.dumps(value).encode(), key, partition=0, timestamp_ms=timestamp_ms)
        producer.flush()
    finally:
        producer.close()


def numbers(lab, topic):
    return sorted(json.loads(record.value)["n"] for record in read(lab, topic))


def test_rows_without_a_key_and_with_other_times_are_set_aside(lab):
    now_ms = int(time.time() * 1000)
    lab.topic("refusals-in", 1, **{"message.timestamp.after.max.ms": "9223372036854775807"})
    lab.topic("refusals-keyed", 2, **{"cleanup.policy": "compact"})
    lab.topic("refusals-recent", 1, **{"message.timestamp.before.max.ms": str(DAY_MS)})
    lab.topic("refusals-stamped", 1, **{"message.timestamp.type": "LogAppendTime"})
    rows = [{"id": f"m{n}", "n": n} for n in range(6)]
    send(lab, "refusals-in", [(b"k", rows[0], now_ms), (None, rows[1], now_ms),
                              (b"k", rows[2], now_ms + 2 * DAY_MS), (b"k", rows[3], now_ms - 2 * DAY_MS),
                              (None, rows[4], now_ms + 2 * DAY_MS), (b"k2", rows[5], now_ms + 600000)])
    file = lab.write("refusals", {"topic": "refusals-in"},
                     {"keyed": {"topic": "refusals-keyed"}, "recent": {"topic": "refusals-recent"},
                      "stamped": {"topic": "refusals-stamped"}},
                     dlq={"topic": "refusals-dlq"})
    lab.run(file)
    assert numbers(lab, "refusals-keyed") == [0, 3, 5]
    assert numbers(lab, "refusals-recent") == [0, 1, 5]
    assert numbers(lab, "refusals-stamped") == [0, 1, 2, 3, 4, 5]
    letters = collections.Counter()
    for record in read(lab, "refusals-dlq"):
        said = {name: value.decode() for name, value in record.headers}
        letters[said["weir.sink"], said["weir.reason"], int(said["weir.offset"])] += 1
        assert said["weir.timestamp"]
    assert letters == {("keyed", "sink.no_key", 1): 1, ("keyed", "sink.timestamp", 2): 1,
                       ("keyed", "sink.no_key", 4): 1, ("recent", "sink.timestamp", 2): 1,
                       ("recent", "sink.timestamp", 3): 1, ("recent", "sink.timestamp", 4): 1}
    lab("audit", file)
    assert lab("trace", file, "k").stdout.count("sink.timestamp") >= 3


def test_partitions_that_a_sink_gets_while_it_runs(lab):
    """Java's producers send to them once they have asked again; so does a run, and its audit knows."""
    lab.topic("grown-in", 2)
    lab.topic("grown-out", 1)
    file = lab.write("grown", {"topic": "grown-in"}, {"out": {"topic": "grown-out"}})
    pipeline = json.loads((lab.folder / file).read_text())
    pipeline["connections"]["k"]["kafka"]["properties"]["topic.metadata.refresh.interval.ms"] = 500
    (lab.folder / file).write_text(json.dumps(pipeline))
    process = lab.start(file)
    lab.send("grown-in", records(100))
    until(lambda: len(read(lab, "grown-out")) == 100)
    admin = client().KafkaAdminClient(bootstrap_servers=lab.broker.bootstrap)
    try:
        admin.create_partitions({"grown-out": client().admin.NewPartitions(4)})
    finally:
        admin.close()
    sent = 100
    end = time.monotonic() + 30
    while len({record.partition for record in read(lab, "grown-out")}) < 4:
        assert time.monotonic() < end and process.poll() is None, lab.said(file)
        lab.send("grown-in", records(100, sent))
        sent += 100
    process.terminate()
    assert process.wait(timeout=60) == 0, lab.said(file)
    lab.send("grown-in", records(100, sent))
    lab.run(file)
    assert sorted(json.loads(record.value)["n"] for record in read(lab, "grown-out")) == \
        list(range(sent + 100))
    lab("audit", file)
