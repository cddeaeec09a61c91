"""Verbs that look at topics of brokers: what they print is what another client reads."""
import json
import time
from datetime import datetime, timezone

import pytest

from checker.kafka_topic import client
from cluster.lab import Lab, records


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def lines(said):
    return [json.loads(line) for line in said.stdout.splitlines()]


def send_aborted(lab, topic):
    """A transaction that is taken back: control records, and records nobody may see."""
    producer = client().KafkaProducer(bootstrap_servers=lab.broker.bootstrap,
                                      transactional_id="aborts", acks="all")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b'{"id":"never"}', partition=0)
    producer.flush()
    producer.abort_transaction()
    producer.close()


def test_tail_prints_what_is_committed(lab):
    lab.topic("tailed", 2)
    first_s = int(time.time()) - 600
    lab.send("tailed", records(10), first_ms=first_s * 1000, step_ms=1000)
    send_aborted(lab, "tailed")
    place = f"{lab.place}/tailed"
    file = lab.write("tailing", {"topic": "tailed"}, {"out": {"topic": "tailing-out"}})
    for named in (place, f"{file}:source"):
        assert [line["n"] for line in lines(lab("tail", named))] == list(range(10))
    at = datetime.fromtimestamp(first_s + 7, timezone.utc).isoformat().replace("+00:00", "Z")
    assert [line["n"] for line in lines(lab("tail", place, "--from", at))] == [7, 8, 9]
    assert [line["n"] for line in lines(lab("tail", place, "--partition", "1"))] == [1, 3, 5, 7, 9]
    assert [line["n"] for line in
            lines(lab("tail", place, "--partition", "1", "--from", "3"))] == [7, 9]
    assert lines(lab("tail", place, "--from", "latest")) == []
    [first] = lines(lab("tail", place, "--json", "--count", "1"))
    assert (first["key"], first["partition"], first["offset"]) == ("m0", 0, 0)
    assert "partitions 0 to 1" in lab("tail", place, "--partition", "2", status=2).stderr
    assert "topic.missing" in lab("tail", f"{lab.place}/nothing-here", status=2).stderr


def test_dead_letters_are_listed_and_shown(lab):
    lab.topic("lettered", 2)
    bad = [{"id": "x1", "n": "seven"}, {"id": "x2"}]
    lab.send("lettered", records(5) + bad)
    file = lab.write("lettering", {"topic": "lettered"}, {"out": {"topic": "lettering-out"}},
                     dlq={"topic": "lettering-dlq"})
    lab.run(file)
    listed = lab("dlq", "list", file).stdout
    assert "schema.type" in listed and "schema.required" in listed
    shown = lab("dlq", "show", file, "--reason", "schema.type", "--json")
    [letter] = lines(shown)
    assert json.loads(letter["value"]) == bad[0]
    assert letter["topic"] == "lettered" and letter["key"] == "x1"
    assert lab("dlq", "list", f"{lab.place}/lettering-dlq").stdout == listed


def test_reconcile_reads_topics(lab):
    lab.topic("reconciled", 2)
    lab.send("reconciled", records(50))
    file = lab.write("reconciling", {"topic": "reconciled"}, {
        "out": {"topic": "reconciling-out"},
        "rows": {"sqlite": {"path": "rows.db", "table": "rows", "mode": "upsert", "key": "id"}}})
    lab.run(file)
    source, out, table = (f"{file}:{name}" for name in ("source", "out", "rows"))
    lab("reconcile", source, out, "--key", "id")
    lab("reconcile", out, table, "--key", "id")
    lab.send("reconciled", records(1, 50))
    said = lab("reconcile", source, table, "--key", "id", status=1).stdout
    assert "m50" in said
