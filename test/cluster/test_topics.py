"""topic on brokers: made, listed, described, changed and checked; judged by Kafka's own tools."""
import json

import pytest

from checker.kafka_topic import client
from cluster.lab import Lab, records


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def settings(lab, topic):
    """What another client reads of a topic's settings."""
    kafka = client()
    admin = kafka.KafkaAdminClient(bootstrap_servers=lab.broker.bootstrap)
    try:
        from kafka.admin import ConfigResource, ConfigResourceType
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        if isinstance(found, dict):
            [entries] = [entry for by_name in found.values() for entry in
                         (by_name.values() if isinstance(by_name, dict) else [by_name])]
            return {name: entry["value"] if isinstance(entry, dict) else entry
                    for name, entry in entries.items()}
        [[_, _, _, _, entries]] = found[0].resources
        return {entry[0]: entry[1] for entry in entries}
    finally:
        admin.close()


def partitions(lab, topic):
    consumer = client().KafkaConsumer(bootstrap_servers=lab.broker.bootstrap)
    try:
        return len(consumer.partitions_for_topic(topic))
    finally:
        consumer.close()


def test_the_life_of_a_topic(lab):
    place = f"{lab.place}/life"
    said = lab("topic", "create", place, "--partitions", "4", "--retention", "3d", "--replication", "1",
               "--timestamps", "broker").stderr
    assert "4 partitions on 1 broker created, keeps 3d" in said
    found = settings(lab, "life")
    assert found["retention.ms"] == str(3 * 86400 * 1000)
    assert found["message.timestamp.type"] == "LogAppendTime"
    assert partitions(lab, "life") == 4
    assert "was there already" in lab("topic", "create", place).stderr
    assert "topic.exists" in lab("topic", "create", place, "--partitions", "5", status=2).stderr
    assert "topic.exists" in lab("topic", "create", place, "--retention", "1d", status=2).stderr
    assert "keeps 30d, 1GiB" in lab("topic", "alter", place, "--retention", "30d",
                                    "--retention-bytes", "1GiB").stderr
    found = settings(lab, "life")
    assert (found["retention.ms"], found["retention.bytes"]) == (str(30 * 86400 * 1000), str(1 << 30))
    lab("topic", "alter", place, "--retention", "unlimited")
    assert settings(lab, "life")["retention.ms"] == "-1"

    lab.send("life", records(40))
    described = json.loads(lab("topic", "describe", place, "--json").stdout)
    assert [(p["first_offset"], p["next_offset"], p["leader"], p["in_sync"])
            for p in described["partitions"]] == [(0, 10, 1, 1)] * 4
    listed = json.loads(lab("topic", "list", lab.place, "--json").stdout)
    [life] = [topic for topic in listed if topic["topic"] == "life"]
    assert (life["partitions"], life["offsets"], life["records"]) == (4, 40, None)
    assert not [topic for topic in listed if topic["topic"].startswith("__")]
    assert "life" in lab("topic", "list", lab.place).stdout
    assert "in sync" in lab("topic", "describe", place).stdout


def test_what_cannot_be_is_refused(lab):
    said = lab("topic", "create", f"{lab.place}/three-brokers", "--replication", "3", status=2).stderr
    assert "replication factor" in said.lower()
    assert "topic.missing" in lab("topic", "describe", f"{lab.place}/none", status=2).stderr
    assert "topic.missing" in lab("topic", "alter", f"{lab.place}/none", "--retention", "1d",
                                  status=2).stderr
    assert "use.place" in lab("topic", "trim", lab.place, status=2).stderr
    assert "use.value" in lab("topic", "create", f"{lab.place}/x", "--timestamps", "mine",
                              status=2).stderr


def wide(lab, name, **more):
    return lab.write(name, {"topic": f"{name}-in", "partitions": 6, "retention": "2d",
                            "timestamps": "broker"},
                     {"out": {"topic": f"{name}-out", "partitions": 2, "replication": 1}},
                     dlq={"topic": f"{name}-dlq", "retention": "unlimited"}, **more)


def levels(lab, file, status):
    said = lab("topic", "check", file, "--json", status=status)
    return {(line["about"], line["level"]): line for line in json.loads(said.stdout)}


def test_a_pipeline_names_its_topics(lab):
    file = wide(lab, "names")
    missing = levels(lab, file, 1)
    assert set(missing) == {(about, "mend") for about in ("source", "out", "dlq", "progress")}
    assert all(line["do"] == f"weir topic create {file}" for line in missing.values())
    lab("topic", "create", file)
    assert set(levels(lab, file, 0)) == {(about, "fine") for about in ("source", "out", "dlq",
                                                                       "progress")}
    assert (partitions(lab, "names-in"), partitions(lab, "names-out")) == (6, 2)
    assert settings(lab, "names-in")["retention.ms"] == str(2 * 86400 * 1000)
    assert settings(lab, "names-dlq")["retention.ms"] == "-1"
    assert settings(lab, "weir.progress.names")["cleanup.policy"] == "compact"
    assert lab("topic", "create", file).stderr.count("was there already") == 4
    # The topic of progress that was made beforehand is the one that a first start takes.
    lab.send("names-in", records(20))
    assert "in 20 = VALID 20" in lab.run(file).stderr + lab.run(file).stdout
    lab("audit", file)


def test_check_says_what_to_mend(lab):
    file = wide(lab, "mend", event_time={"field": "at", "lateness": "1h"},
                dedup={"key": "id", "window": "47h"})
    schema = json.loads((lab.folder / "schema.json").read_text())
    schema["properties"]["at"] = {"type": "string", "format": "date-time"}
    (lab.folder / "schema.json").write_text(json.dumps(schema))
    lab.topic("mend-in", 3)
    lab.topic("weir.progress.mend", 1)
    lab("topic", "create", file)
    found = lab("topic", "check", file, status=1)
    assert "mend  source: topic mend-in has 3 partitions, and must have 6" in found.stdout
    assert f"to do: weir topic alter {file}:source --retention 2d" in found.stdout
    assert "mend  progress: topic weir.progress.mend is not compacted" in found.stdout
    assert "timestamps from the producer" in found.stdout
    assert "things to mend" in found.stderr
    # State reaches back two lateness and the window, 49 h: more than the 2 d that are kept then.
    lab("topic", "alter", f"{file}:source", "--retention", "2d")
    horizon = [line for line in json.loads(lab("topic", "check", file, "--json", status=1).stdout)
               if "state reaches back" in line["what"]]
    assert [line["level"] for line in horizon] == ["mend"]
    assert "--retention" in horizon[0]["do"]


def test_a_first_run_makes_its_topics_as_the_file_says(lab):
    lab.topic("asked-in", 1)
    file = lab.write("asked", {"topic": "asked-in"},
                     {"out": {"topic": "asked-out", "partitions": 5, "retention": "1h",
                              "timestamps": "broker"}})
    lab.run(file)
    found = settings(lab, "asked-out")
    assert partitions(lab, "asked-out") == 5
    assert (found["retention.ms"], found["message.timestamp.type"]) == ("3600000", "LogAppendTime")
