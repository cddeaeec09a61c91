"""dlq replay into a topic of brokers: every dead letter once, whatever is killed, and however often
it runs. Judged by kafka-python, read_committed."""
import collections
import json
import random
import subprocess
import time

import pytest

from checker.kafka_topic import client
from cluster.lab import Lab, records, until


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def read(lab, topic):
    """Every record that is committed."""
    kafka = client()
    consumer = kafka.KafkaConsumer(bootstrap_servers=lab.broker.bootstrap, enable_auto_commit=False,
                                   auto_offset_reset="earliest", isolation_level="read_committed",
                                   consumer_timeout_ms=3000)
    try:
        where = [kafka.TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
        consumer.assign(where)
        ends = consumer.end_offsets(where)
        found = []
        while any(consumer.position(one) < end for one, end in ends.items()):
            for some in consumer.poll(timeout_ms=500).values():
                found += some
        return found
    finally:
        consumer.close()


def replayed(lab, topic):
    """How often each dead letter came back, by its origin."""
    return collections.Counter(dict(record.headers)["weir.replay"].decode()
                               for record in read(lab, topic)
                               if "weir.replay" in dict(record.headers))


def lettered(lab, name, bad, partitions=3):
    lab.topic(f"{name}-in", partitions)
    lab.send(f"{name}-in", records(5) + bad)
    file = lab.write(name, {"topic": f"{name}-in"}, {"out": {"topic": f"{name}-out"}},
                     dlq={"topic": f"{name}-dlq"})
    lab.run(file)
    return file


def test_a_letter_is_replayed_once(lab):
    bad = [{"id": f"x{number}", "n": "seven"} for number in range(20)] + [{"id": "y"}]
    file = lettered(lab, "again", bad)
    would = lab("dlq", "replay", file, "--reason", "schema.type", "--dry-run").stdout
    assert would.count("would replay again-in") == 20 and "20 would be replayed" in would
    assert not replayed(lab, "again-in")
    said = lab("dlq", "replay", file, "--reason", "schema.type", "--set", "n=7", "--limit", "5").stdout
    assert "5 replayed, 0 replayed before" in said
    said = lab("dlq", "replay", file, "--reason", "schema.type", "--set", "n=7").stdout
    assert "15 replayed, 5 replayed before" in said
    said = lab("dlq", "replay", file, "--reason", "schema.type", "--set", "n=7").stdout
    assert "0 replayed, 20 replayed before" in said
    assert "0 would be replayed, 20 replayed before" in lab(
        "dlq", "replay", file, "--reason", "schema.type", "--dry-run").stdout

    back = [record for record in read(lab, "again-in") if "weir.replay" in dict(record.headers)]
    assert sorted(json.loads(record.value)["id"] for record in back) == \
        sorted(f"x{number}" for number in range(20))
    for record in back:
        topic, partition, _, attempt = dict(record.headers)["weir.replay"].decode().split()
        assert (topic, int(partition), attempt) == ("again-in", record.partition, "1")
        assert record.key.decode() == json.loads(record.value)["id"]
    lab.run(file)
    assert len(read(lab, "again-out")) == 25
    lab("audit", file)

    # What fails again is a letter of another attempt, and may come back again.
    said = lab("dlq", "replay", file, "--reason", "schema.required").stdout
    assert "1 replayed" in said
    lab.run(file)
    assert "1 replayed, 1 replayed before" in lab("dlq", "replay", file, "--reason",
                                                  "schema.required", "--set", "n=1").stdout
    lab.run(file)
    assert len(read(lab, "again-out")) == 26
    lab("audit", file)


@pytest.mark.parametrize("rounds", [4])
def test_replay_is_killed_again_and_again(lab, seed, rounds):
    count = 8000
    bad = [{"id": f"x{number}", "n": "seven"} for number in range(count)]
    file = lettered(lab, "replay-killed", bad)
    moments = random.Random(seed)
    killed = 0
    for _ in range(rounds):
        running = subprocess.Popen([lab.weir, "dlq", "replay", file, "--set", "n=7"], cwd=lab.folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.2, 1.0))
        running.kill()
        killed += running.wait() == -9
    said = lab("dlq", "replay", file, "--set", "n=7").stdout
    assert f"{count:,} dead letters selected" in said
    counts = replayed(lab, "replay-killed-in")
    assert len(counts) == count and set(counts.values()) == {1}
    assert killed > 0
    assert f"0 replayed, {count:,} replayed before" in lab("dlq", "replay", file).stdout
    lab.run(file)
    assert len(read(lab, "replay-killed-out")) == count + 5
    lab("audit", file)


def test_of_two_at_once_one_wins(lab):
    count = 8000
    file = lettered(lab, "two", [{"id": f"x{number}", "n": "seven"} for number in range(count)])
    words = [lab.weir, "dlq", "replay", file, "--set", "n=7"]
    both = [subprocess.Popen(words, cwd=lab.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert {process.returncode for process in both} <= {0, 3}, said
    assert all("writer.two_at_once" in err for process, (_, err) in zip(both, said)
               if process.returncode == 3), said
    lab("dlq", "replay", file, "--set", "n=7")
    counts = replayed(lab, "two-in")
    assert len(counts) == count and set(counts.values()) == {1}


def test_brokers_that_are_away(own_broker, weir, tmp_path):
    lab = Lab(own_broker, weir, tmp_path)
    count = 8000
    file = lettered(lab, "away", [{"id": f"x{number}", "n": "seven"} for number in range(count)])
    running = subprocess.Popen([lab.weir, "dlq", "replay", file, "--set", "n=7"], cwd=lab.folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: replayed(lab, "away-in") or running.poll() is not None)
    own_broker.nodes[0].kill()
    time.sleep(2)
    own_broker.nodes[0].start()
    own_broker.wait_ready()
    running.communicate(timeout=100)
    lab("dlq", "replay", file, "--set", "n=7")
    counts = replayed(lab, "away-in")
    assert len(counts) == count and set(counts.values()) == {1}


def test_a_letter_that_the_source_does_not_take_is_left_out(lab):
    """It came compressed; without its fellows it would never be in, and they would not be either."""
    lab.topic("large-in", 1)
    lab.topic("large-dlq", 1, **{"max.message.bytes": "8000000"})
    producer = client().KafkaProducer(bootstrap_servers=lab.broker.bootstrap, acks="all",
                                      compression_type="gzip", max_request_size=4000000)
    for number in range(6):
        text = "x" * 1500000 if number == 3 else "x"
        producer.send("large-in", json.dumps({"id": f"l{number}", "n": "no number", "text": text}).encode())
    producer.flush()
    producer.close()
    file = lab.write("large", {"topic": "large-in"}, {"out": {"topic": "large-out"}},
                     dlq={"topic": "large-dlq"})
    lab.run(file)
    done = lab("dlq", "replay", file, "--set", "n=7")
    assert "5 dead letters selected, 5 replayed" in done.stdout, done
    assert "left out: 1 that are larger" in done.stderr, done
    assert len(read(lab, "large-in")) == 11
