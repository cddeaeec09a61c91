"""`tombstones: delete` with Kafka: null values come in, delete from a table, and go on as null values."""
import json
import sqlite3

import pytest

from checker.kafka_topic import KafkaTopic, client
from cluster.lab import Lab


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def send(lab, topic, pairs, partition=None):
    """Into the partitions that Java's clients would take."""
    producer = client().KafkaProducer(bootstrap_servers=lab.broker.bootstrap, acks="all")
    try:
        for key, value in pairs:
            producer.send(topic, None if value is None else json.dumps(value).encode(), key.encode(),
                          partition=partition)
        producer.flush()
    finally:
        producer.close()


def rows(lab):
    database = sqlite3.connect(lab.folder / "rows.db")
    try:
        return dict(database.execute("SELECT id, n FROM items"))
    finally:
        database.close()


def pairs(first, count=300, keys=40):
    return [(f"k{number % keys}", None if number % 7 < 3 else {"id": f"k{number % keys}", "n": number})
            for number in range(first, first + count)]


def last(of):
    found = {}
    for key, value in of:
        found[key] = value
    return {key: value["n"] for key, value in found.items() if value is not None}


def test_from_topic_to_table_and_topic(lab):
    source, out = lab.topic("tomb-in", 3), lab.topic("tomb-out", 3)
    file = lab.write("tomb", {"topic": source, "tombstones": "delete"}, {
        "rows": {"sqlite": {"path": "rows.db", "table": "items", "mode": "upsert", "key": "id"}},
        "out": {"topic": out}}, dlq={"topic": "tomb-dead"})
    sent = pairs(0)
    send(lab, source, sent)
    lab.run(file)
    assert rows(lab) == last(sent)
    sent += pairs(300)
    send(lab, source, sent[300:])
    lab.run(file)
    assert rows(lab) == last(sent)
    # The topic has them in the order of each key, byte for byte.
    passed = {}
    place = KafkaTopic(lab.place, out)
    for partition in range(place.partitions):
        for _, records in place.batches(partition):
            for key, value, _ in records:
                passed.setdefault(key.decode(), []).append(value)
    wanted = {}
    for key, value in sent:
        wanted.setdefault(key, []).append(None if value is None else json.dumps(value).encode())
    assert passed == wanted
    assert "missing 0" in lab("audit", file).stdout


def test_a_key_in_another_partition_is_named(lab):
    """As of producers that partition by another rule."""
    source = lab.topic("tomb-stray", 3)
    file = lab.write("stray", {"topic": source, "tombstones": "delete"}, {
        "rows": {"sqlite": {"path": "rows.db", "table": "items", "mode": "upsert", "key": "id"}}},
        dlq={"topic": "stray-dead"})
    for partition in range(3):
        send(lab, source, [("a", {"id": "a", "n": partition}), ("a", None), ("a", {"id": "a", "n": 9})],
             partition=partition)
    done = lab.run(file, "--json")
    assert json.loads(done.stdout)["reasons"] == {"key.partition": 6, "tombstone": 1}
    assert rows(lab) == {"a": 9}
    lab("audit", file)
