"""What the verbs that look at a cluster and change its topics say: brokers, groups, topics that are deleted,
a progress record that is gone."""
import json

import pytest

from checker.kafka_topic import client
from cluster.lab import Lab, records, until
from cluster.test_lag import of_kafka as tool_lag


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def pipeline(lab, name, count=30):
    lab.topic(f"{name}-in", 2)
    lab.send(f"{name}-in", records(count))
    return lab.write(name, {"topic": f"{name}-in"}, {"out": {"topic": f"{name}-out"}})


def test_explain_names_the_brokers(lab):
    file = pipeline(lab, "named")
    lab.run(file)
    said = lab("explain", file).stdout
    assert "127.0.0.1:" in said and "takes the requests of Kafka 4.1 (Fetch up to version 18)" in said, said
    assert said.count("acknowledge a commit") == 2, said


def test_a_topic_is_listed_and_described_with_its_groups(lab):
    file = pipeline(lab, "described", 30)
    place = f"{lab.place}/described-in"
    assert "described-in" in lab("topic", "describe", place).stdout
    assert json.loads(lab("topic", "describe", place, "--json").stdout)["groups"] == []
    lab.run(file)
    lab.send("described-in", records(6, 30))
    groups = json.loads(lab("topic", "describe", place, "--json").stdout)["groups"]
    assert [(one["group"], one["partition"], one["lag"]) for one in groups] == \
        [("described", 0, 3), ("described", 1, 3)]
    assert {one["partition"]: (one["next_offset"], one["lag"]) for one in groups} == \
        {partition: (offset, lag) for partition, (offset, _, lag) in tool_lag(lab, "described").items()}
    listed = json.loads(lab("topic", "list", place, "--json").stdout)
    assert [one["topic"] for one in listed] == ["described-in"]
    assert "topic.missing" in lab("topic", "list", f"{lab.place}/nowhere", status=2).stderr


def test_a_topic_is_deleted(lab):
    file = pipeline(lab, "deleted")
    place = f"{lab.place}/deleted-in"
    said = lab("topic", "delete", place, status=2).stderr
    assert "topic.delete" in said and "up to 30 records" in said, said
    process = lab.start(file)
    until(lambda: "first start" in lab.said(file))
    said = lab("topic", "delete", place, "--yes", status=2).stderr
    assert "topic.in_use" in said and "group 'deleted'" in said, said
    process.terminate()
    assert process.wait(timeout=60) == 0, lab.said(file)
    assert "topic deleted-in with up to 30 records deleted" in lab("topic", "delete", place, "--yes").stderr
    consumer = client().KafkaConsumer(bootstrap_servers=lab.broker.bootstrap)
    try:
        assert "deleted-in" not in consumer.topics()
    finally:
        consumer.close()
    assert "topic.missing" in lab("topic", "delete", place, "--yes", status=2).stderr


def test_a_progress_record_that_is_gone(lab):
    """The group still says where it was: whoever looks says what a start says."""
    file = pipeline(lab, "forgotten")
    assert "has not run yet" in lab("lag", file).stdout + lab("explain", file).stdout
    lab.run(file)
    lab("topic", "delete", f"{lab.place}/weir.progress.forgotten", "--yes")
    for words in (["lag", file], ["explain", file], ["run", file, "--until-end"]):
        said = lab(*words, status=2).stderr
        assert "progress.reset" in said and "weir.progress.forgotten" in said, said
    said = lab("topic", "check", file, status=1).stdout
    assert "group 'forgotten' has an offset in 'forgotten-in'" in said, said
