"""The brokers and the client that the tests of Kafka rest on do what they are there for."""
import subprocess

from checker.kafka_topic import KafkaTopic, copy_topic, make_topic
from checker.log import Topic


def test_a_workload_is_in_kafka_as_it_is_in_the_local_log(broker, weir, tmp_path):
    subprocess.run([weir, "gen", "local:iot.db#raw", "--count", "2000", "--partitions", "3"],
                   cwd=tmp_path, check=True, capture_output=True)
    local = Topic(tmp_path / "iot.db", "raw")
    place = "kafka://" + broker.bootstrap
    make_topic(place, "test-services-raw", 3)
    assert copy_topic(local, place, "test-services-raw") == 2000
    there = KafkaTopic(place, "test-services-raw")
    assert there.partitions == 3
    for partition in range(3):
        records = [record for base, batch in local.batches(partition)
                   for record in enumerate(batch, base)]
        assert [(offset, batch[0]) for offset, batch in there.batches(partition)] == records


def test_a_killed_broker_comes_back_with_what_it_had(own_broker):
    place = "kafka://" + own_broker.bootstrap
    make_topic(place, "kept", 1)
    node = own_broker.nodes[0]
    node.kill()
    assert not node.is_ready()
    node.start()
    own_broker.wait_ready()
    assert KafkaTopic(place, "kept").partitions == 1
