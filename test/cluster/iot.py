"""What the tests of faults on a real Kafka share: a pipeline with topics of its own, its workload and
the truth about it, and who reads its outputs meanwhile."""
import re
import shutil
import subprocess
import threading
import time
from contextlib import closing

from checker import judge
from checker.kafka_topic import KafkaTopic, client, make_topic
from checker.log import Topic

# The smallest times that tell a dead process from a slow one on a machine that has much to do.
PROPERTIES = "{session.timeout.ms: 2500, heartbeat.interval.ms: 500}"
CONNECTION = "connections: {kafka: {kafka: {brokers: ['%s'], properties: " + PROPERTIES + "}}}\n"
TABLE = re.compile(r"  readings:\n    sqlite: .*\n")


def run_weir(weir, folder, *arguments, status=0, timeout=600):
    done = subprocess.run([weir, *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=timeout)
    assert done.returncode == status, done
    return done


def name_of(request):
    """Of a test's pipeline: no other test has topics or a group of that name."""
    return re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-").replace("_", "-")


def until_said(it, text, times=1, seconds=40):
    deadline = time.monotonic() + seconds
    while it.said().count(text) < times:
        assert time.monotonic() < deadline, it.said()
        time.sleep(0.05)


class Lab:
    """A pipeline with topics of its own in the cluster, in a folder with the workload and its truth."""

    def __init__(self, broker, weir, root, folder, name, records, source=None, table=None):
        """source: in place of the topic in Kafka; table: a SQLite file, in place of outputs there."""
        self.weir, self.folder, self.name = weir, folder, name
        self.replication = min(3, len(broker.nodes))
        self.place = "kafka://" + broker.bootstrap
        self.raw = f"{name}-raw"
        self.truth = folder / "truth.ndjson"
        self.log = folder / "iot.db"
        shutil.copy(root / "examples/sensor.schema.json", folder)
        run_weir(weir, folder, "gen", "local:iot.db#raw_iot_data", "--count", str(records),
                 "--partitions", "3", "--truth", "truth.ndjson", "--seed", "7")
        text = (root / "examples/iot.yaml").read_text().replace("100ms", "20ms")
        text = text.replace("name: iot\n", f"name: {name}\n" + CONNECTION % broker.bootstrap)
        if source is None:
            text = text.replace("local: {path: iot.db, topic: raw_iot_data, start: earliest}",
                                f"kafka: {{connection: kafka, topic: {self.raw}}}")
            self.make_input()
        if table is None:
            text = TABLE.sub("", text)
            for topic, extra in (("validated", ", key: sensor_id"), ("dlq", "")):
                text = re.sub(rf"local: {{path: iot.db, topic: {topic}_iot_data.*}}",
                              f"kafka: {{connection: kafka, topic: {name}-{topic}{extra}}}", text)
        else:
            text = text.replace("path: iot.db, topic: validated", f"path: {table}, topic: validated")
            text = text.replace("path: iot.db, topic: dlq", f"path: {table}, topic: dlq")
            text = text.replace("path: iot.db, table", f"path: {table}, table")
        (folder / "p.yaml").write_text(text)
        outputs = self.place if table is None else folder / table
        self.written = [] if table else [f"{name}-validated", f"{name}-dlq"]
        self.places = judge.Places(
            self.log if source else self.place, outputs, outputs,
            None if table is None else outputs,
            "raw_iot_data" if source else self.raw,
            *((f"{name}-validated", f"{name}-dlq") if table is None else ()))

    def make_input(self):
        make_topic(self.place, self.raw, 3, self.replication,
                   **{"message.timestamp.type": "LogAppendTime"})

    def edit(self, old, new):
        text = (self.folder / "p.yaml").read_text()
        assert old in text
        (self.folder / "p.yaml").write_text(text.replace(old, new))

    def feed(self, seconds=0.0, parts=1):
        """The workload into the topic, over that time."""
        log = Topic(self.log, "raw_iot_data")
        pending = [[(partition, *record) for _, batch in log.batches(partition) for record in batch]
                   for partition in range(3)]
        producer = client().KafkaProducer(
            bootstrap_servers=self.place.removeprefix("kafka://"), acks="all", linger_ms=5,
            batch_size=1 << 16, enable_idempotence=True)
        try:
            start = time.monotonic()
            for part in range(parts):
                for records in pending:
                    size = len(records)
                    for partition, key, value, headers in records[size * part // parts:
                                                                  size * (part + 1) // parts]:
                        producer.send(self.raw, value=value, key=key, headers=list(headers),
                                      partition=partition)
                producer.flush()
                time.sleep(max(0, start + seconds * (part + 1) / parts - time.monotonic()))
        finally:
            producer.close()

    def feeding(self, seconds):
        thread = threading.Thread(target=self.feed, args=(seconds, int(seconds * 20)), daemon=True)
        thread.start()
        return thread

    def start(self, name="said.txt"):
        said = open(self.folder / name, "ab")
        with said:
            return subprocess.Popen([self.weir, "run", "p.yaml"], cwd=self.folder, stdout=said,
                                    stderr=said)

    def said(self, name="said.txt"):
        return (self.folder / name).read_text()

    def run(self, *arguments, status=0):
        return run_weir(self.weir, self.folder, "run", "p.yaml", "--until-end", *arguments,
                        status=status)

    def admin(self):
        return closing(client().KafkaAdminClient(
            bootstrap_servers=self.place.removeprefix("kafka://")))

    def committed(self):
        """How many records of the input the group has behind it, by its offsets."""
        with self.admin() as asked:
            offsets = asked.list_group_offsets([self.name])[self.name]
            return sum(entry.offset for entry in offsets.values())

    def wait_until_read(self, process, timeout=60):
        """Until that process has committed all that is in the input."""
        kafka = client()
        consumer = KafkaTopic(self.place, self.raw).consumer()
        where = [kafka.TopicPartition(self.raw, partition) for partition in range(3)]
        end = sum(consumer.end_offsets(where).values())
        consumer.close()
        deadline = time.monotonic() + timeout
        while self.committed() < end:
            assert process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def judge(self):
        """Against the truth, and by weir's own audit."""
        for topic in self.written:
            KafkaTopic(self.place, topic).settle()
        result = judge.judge(self.places, self.truth)
        assert result.is_clean(), (result.line(), result.findings, self.said()[-3000:])
        audited = run_weir(self.weir, self.folder, "audit", "p.yaml").stdout
        assert "unverifiable 0" in audited


class Follower(threading.Thread):
    """Reads a topic read_committed while it is written, as somebody does who uses the rows at once."""

    def __init__(self, lab, name):
        super().__init__(daemon=True)
        self.lab, self.name_of_topic = lab, name
        self.rows = {partition: [] for partition in range(KafkaTopic(lab.place, name).partitions)}
        self.is_over = threading.Event()

    def run(self):
        kafka = client()
        consumer = KafkaTopic(self.lab.place, self.name_of_topic).consumer()
        where = [kafka.TopicPartition(self.name_of_topic, partition) for partition in self.rows]
        consumer.assign(where)
        consumer.seek_to_beginning(*where)
        while not self.is_over.is_set():
            for found in consumer.poll(timeout_ms=200).values():
                for record in found:
                    self.rows[record.partition].append((record.offset, record.value))
        consumer.close()

    def judge(self):
        """It saw just what the topic holds in the end, each row once and in its place."""
        topic = KafkaTopic(self.lab.place, self.name_of_topic)
        there = {partition: [(record[0], record[2]) for record in topic.records(partition)]
                 for partition in self.rows}
        deadline = time.monotonic() + 20
        while (time.monotonic() < deadline and
               any(len(self.rows[partition]) < len(there[partition]) for partition in there)):
            time.sleep(0.1)
        self.is_over.set()
        self.join()
        assert self.rows == there
