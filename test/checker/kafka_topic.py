"""Reads and fills topics of a Kafka cluster with kafka-python, a client that shares no code with
weir's. script/python-packages brings it."""
import functools
import subprocess
import sys
import time
from pathlib import Path

from checker.log import Broken

PREFIX = "kafka://"
PATIENCE_S = 60


@functools.cache
def client():
    """The package kafka; ImportError where script/python-packages has not put it."""
    found = subprocess.run([Path(__file__).parents[2] / "script/python-packages", "path"],
                           capture_output=True, text=True)
    if found.returncode != 0:
        raise ImportError("kafka-python is missing: script/python-packages build")
    folder = found.stdout.strip()
    if folder not in sys.path:
        sys.path.append(folder)
    import kafka
    return kafka


class KafkaTopic:
    """A topic as a read_committed consumer sees it, up to the end at the time of the reading. Like
    checker.log.Topic, but offsets have gaps: every record is a batch of its own."""

    def __init__(self, place, name, isolation="read_committed"):
        """place: "kafka://host:port,host:port"."""
        self.kafka = client()
        self.name = name
        self.isolation = isolation
        self.brokers = place.removeprefix(PREFIX).split(",")
        found = self.consumer()
        try:
            partitions = found.partitions_for_topic(name)
        finally:
            found.close()
        if not partitions:
            raise Broken(f"{place} has no topic {name}")
        self.partitions = len(partitions)

    def settle(self, patience_s=PATIENCE_S):
        """Waits until all that is there now is committed or aborted: what a process that was killed
        had open hides what others wrote behind it, until the coordinator ends it by its age."""
        every, committed = self.consumer("read_uncommitted"), self.consumer("read_committed")
        try:
            where = [self.kafka.TopicPartition(self.name, p) for p in range(self.partitions)]
            ends = every.end_offsets(where)
            deadline = time.monotonic() + patience_s
            while any(end < ends[one] for one, end in committed.end_offsets(where).items()):
                if time.monotonic() > deadline:
                    raise Broken(f"{self.name}: a transaction stays open")
                time.sleep(0.1)
        finally:
            every.close()
            committed.close()
        return self

    def consumer(self, isolation=None):
        return self.kafka.KafkaConsumer(
            bootstrap_servers=self.brokers, isolation_level=isolation or self.isolation,
            group_id=None,
            enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=20000,
            fetch_max_bytes=64 << 20, max_partition_fetch_bytes=16 << 20)

    def records(self, partition):
        """(offset, key, value, headers, timestamp in ms) up to the end that is there now."""
        consumer = self.consumer()
        try:
            where = self.kafka.TopicPartition(self.name, partition)
            consumer.assign([where])
            end = consumer.end_offsets([where])[where]
            consumer.seek_to_beginning(where)
            deadline = time.monotonic() + PATIENCE_S
            while consumer.position(where) < end:
                found = consumer.poll(timeout_ms=500)
                for record in found.get(where, ()):
                    if record.offset >= end:
                        return
                    yield (record.offset, record.key, record.value,
                           tuple(map(tuple, record.headers)), record.timestamp)
                if found:
                    deadline = time.monotonic() + PATIENCE_S
                elif time.monotonic() > deadline:
                    raise Broken(f"{self.name} [{partition}] could not be read up to {end}")
        finally:
            consumer.close()

    def batches(self, partition, check_crc=False):
        """(offset, [(key, value, headers)])"""
        for offset, key, value, headers, _ in self.records(partition):
            yield offset, [(key, value, list(headers) if headers else ())]


def make_topic(place, name, partitions, replication=1, **config):
    kafka = client()
    admin = kafka.KafkaAdminClient(bootstrap_servers=place.removeprefix(PREFIX).split(","))
    try:
        admin.create_topics([kafka.admin.NewTopic(name, partitions, replication,
                                                  topic_configs=config)])
    finally:
        admin.close()


def copy_topic(source, place, name):
    """The records of a topic (checker.log.Topic), each into the same partition, in order; offsets
    stay the same in a new topic."""
    kafka = client()
    producer = kafka.KafkaProducer(
        bootstrap_servers=place.removeprefix(PREFIX).split(","), acks="all", linger_ms=20,
        batch_size=1 << 18, enable_idempotence=True)
    try:
        count = 0
        for partition in range(source.partitions):
            for _, records in source.batches(partition):
                for key, value, headers in records:
                    producer.send(name, value=value, key=key, headers=list(headers),
                                  partition=partition)
                    count += 1
        producer.flush()
        return count
    finally:
        producer.close()
