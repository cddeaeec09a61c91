"""weir lag and explain on a topic of brokers, beside what Kafka's own tool says."""
import json
import re

import pytest

from checker.kafka_topic import client
from cluster.lab import Lab, records, until


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def lag(lab, file, *options):
    return json.loads(lab("lag", file, "--json", "--for", "0s", *options).stdout)


def of_kafka(lab, group):
    """Partition → (committed, end, lag), by kafka-consumer-groups."""
    _, text = lab.tool("consumer.group.ConsumerGroupCommand", "--bootstrap-server",
                       lab.broker.bootstrap, "--describe", "--group", group)
    found = re.findall(rf"^{group}\s+\S+\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", text, re.MULTILINE)
    return {int(partition): tuple(map(int, rest)) for partition, *rest in found}


def open_transaction(lab, topic, count):
    producer = client().KafkaProducer(bootstrap_servers=lab.broker.bootstrap,
                                      transactional_id=f"open-{topic}", acks="all")
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(count):
        producer.send(topic, b'{"id":"held","n":1}', partition=0)
    producer.flush()
    return producer


def test_lag_agrees_with_the_tool_of_kafka(lab):
    lab.topic("lagging", 2)
    lab.send("lagging", records(20))
    file = lab.write("lags", {"topic": "lagging"}, {"out": {"topic": "lags-out"}})
    found = lag(lab, file)
    assert found["behind"] == 20 and found["running"] is False
    lab.run(file)
    lab.send("lagging", records(8, 20))
    found = lag(lab, file)
    tool = until(lambda: of_kafka(lab, "lags"))
    for number, partition in enumerate(found["partitions"]):
        assert (partition["committed_offset"], partition["end_offset"],
                partition["behind"]) == tool[number]
        assert partition["behind"] == 4 and 0 <= partition["behind_seconds"] < 60
        assert partition["bound_by"] == "not_running"
    process = lab.start(file)
    until(lambda: lag(lab, file)["behind"] == 0)
    found = lag(lab, file)
    assert found["running"] is True and found["partitions"][0]["bound_by"] == "caught_up"
    assert "1 process, 2 partitions to share" in lab("lag", file, "--for", "0s").stdout
    process.terminate()
    assert process.wait(60) == 0


def test_what_an_open_transaction_hides_is_told_apart(lab):
    lab.topic("hiding", 1)
    lab.send("hiding", records(5))
    file = lab.write("hides", {"topic": "hiding"}, {"out": {"topic": "hides-out"}})
    lab.run(file)
    producer = open_transaction(lab, "hiding", 3)
    lab.send("hiding", records(2, 5))
    [partition] = lag(lab, file)["partitions"]
    assert (partition["behind"], partition["hidden"], partition["bound_by"]) == (0, 5, "caught_up")
    assert "5 more may not be read yet" in lab("lag", file, "--for", "0s").stdout
    producer.abort_transaction()
    producer.close()
    [partition] = lag(lab, file)["partitions"]
    assert partition["hidden"] == 0 and partition["behind"] == 6  # with the mark of the abort
    lab.run(file)


def test_marks_of_transactions_are_no_records(lab):
    """Kafka's tool shows one behind for ever where a transaction's mark is the last offset."""
    lab.topic("marked", 1)
    lab.send("marked", records(3))
    producer = open_transaction(lab, "marked", 1)
    producer.commit_transaction()
    producer.close()
    file = lab.write("marks", {"topic": "marked"}, {"out": {"topic": "marks-out"}})
    lab.run(file)
    [partition] = lag(lab, file)["partitions"]
    assert partition["bound_by"] == "caught_up"
    assert partition["behind"] == 0 and partition["behind_seconds"] == 0


@pytest.mark.parametrize("keeps,said", [({"retention.ms": "604800000"}, "the source keeps 7d"),
                                        ({"retention.ms": "-1"}, "the source keeps everything")])
def test_explain_tells_what_the_topic_keeps(lab, keeps, said):
    name = "kept" + keeps["retention.ms"].strip("-")
    lab.topic(name, 1, **keeps)
    file = lab.write(f"explains-{name}", {"topic": name}, {"out": {"topic": f"{name}-out"}},
                     dedup={"key": "id", "window": "10m"})
    assert said in lab("explain", file).stdout


def test_explain_examines_the_cluster(lab):
    lab.topic("examined", 1)
    lab.topic("examined-out", 1, **{"cleanup.policy": "compact",
                                    "message.timestamp.type": "LogAppendTime"})
    file = lab.write("examines", {"topic": "examined"}, {"out": {"topic": "examined-out"}},
                     dlq={"topic": "examined-dlq"})
    assert "transactions" not in lab("explain", file).stdout  # Nothing is there before the first start.
    lab.run(file)
    said = lab("explain", file).stdout
    assert "transactions work: one was begun" in said
    for line in ("weak  progress: topic weir.progress.examines: 1 replica",
                 "note  sink out: topic examined-out has cleanup.policy=compact",
                 "note  sink out: topic examined-out stamps rows anew",
                 "weak  dlq: topic examined-dlq: 1 replica"):
        assert line in said, said
    # The trial leaves no group, and nothing that a start would wait for.
    _, groups = lab.tool("consumer.group.ConsumerGroupCommand", "--bootstrap-server",
                         lab.broker.bootstrap, "--list")
    assert "weir.explain" not in groups
    lab.run(file)


def test_a_compacted_source_cannot_have_state(lab):
    """Of records with one key only the last one is sure to stay, so state could not be rebuilt."""
    lab.topic("compacted", 1, **{"cleanup.policy": "compact"})
    lab.send("compacted", [{"id": "a", "n": 1}])
    window = {"key": "id", "window": "10m"}
    stateful = lab.write("stateful", {"topic": "compacted"}, {"out": {"topic": "stateful-out"}},
                         dedup=window)
    refused = lab("run", stateful, "--until-end", status=2).stderr
    assert "source.compacted" in refused and "cleanup.policy=delete" in refused, refused
    assert "weak  retention: the source is compacted" in lab("explain", stateful).stdout
    lab.run(lab.write("weaker", {"topic": "compacted"}, {"out": {"topic": "weaker-out"}},
                      dedup=window, delivery={"guarantee": "at_least_once"}))
    lab.run(lab.write("stateless", {"topic": "compacted"}, {"out": {"topic": "stateless-out"}}))
    assert lab("tail", f"{lab.place}/stateless-out").stdout == lab("tail", f"{lab.place}/compacted").stdout


def test_offsets_of_the_group_follow_a_run_into_a_table(lab):
    """R stands in the table's database; what Kafka's tools see is told while the run goes on."""
    lab.topic("mirrored", 2)
    lab.send("mirrored", records(20))
    file = lab.write("mirrors", {"topic": "mirrored"}, {"rows": {"sqlite": {"path": "t.db", "table": "rows"}}})
    process = lab.start(file)
    try:
        until(lambda: of_kafka(lab, "mirrors") == {0: (10, 10, 0), 1: (10, 10, 0)})
        lab.send("mirrored", records(6, 20))
        until(lambda: of_kafka(lab, "mirrors") == {0: (13, 13, 0), 1: (13, 13, 0)})
        assert process.poll() is None
    finally:
        process.terminate()
    assert process.wait(60) == 0
