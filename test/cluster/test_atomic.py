"""delivery.atomic with Kafka's transaction as the decision: killed, frozen and taken over, with what the
process had prepared; servers and brokers that are killed. Two judges beside audit: what was delivered
against the truth, and both sides record by record."""
import json
import os
import random
import signal
import socket
import time
from collections import Counter

import pytest

from checker import judge
from checker.kafka_topic import KafkaTopic, copy_topic, make_topic
from checker.log import Topic
from cluster.iot import CONNECTION
from cluster.lab import until
from database.pipeline import Pipeline
from postgres.conftest import started
from postgres.database import Database
from postgres.steps import Steps
from postgres.test_atomic import ATOMIC, prepared

DECIDED, UNDECIDED = (b"COMMIT PREPARED", "before"), (b"PREPARE TRANSACTION", "after")


@pytest.fixture(scope="module")
def server(build_dir):
    running = started(build_dir / "services/postgres-atomic")
    yield running
    running.stop("immediate")


class Both:
    """examples/iot.yaml with its valid rows in Kafka and, row by row, in a table; the input in a local log
    ('local': a transactional id fences) or in Kafka ('kafka': the group's generation does)."""

    def __init__(self, broker, server, weir, folder, name, source, records=8000):
        self.database = Database(server, name)
        self.name, self.place, self.server = name, "kafka://" + broker.bootstrap, server
        self.source = source
        self.pipeline = p = Pipeline(folder, weir, self.database, keys="", records=records)
        p.edit("delivery: {guarantee: exactly_once, commit_interval: 100ms}", ATOMIC)
        p.edit("name: iot\n", f"name: {name}\n" + CONNECTION % broker.bootstrap)
        p.edit("local: {path: iot.db, topic: validated_iot_data, key: sensor_id}",
               f"kafka: {{connection: kafka, topic: {name}-valid, key: sensor_id}}")
        p.edit("local: {path: iot.db, topic: dlq_iot_data}",
               f"kafka: {{connection: kafka, topic: {name}-dlq}}")
        if source == "kafka":
            p.edit("local: {path: iot.db, topic: raw_iot_data, start: earliest}",
                   f"kafka: {{connection: kafka, topic: {name}-raw}}")
            make_topic(self.place, f"{name}-raw", 3, **{"message.timestamp.type": "LogAppendTime"})
            copy_topic(Topic(p.folder / "iot.db", "raw_iot_data"), self.place, f"{name}-raw")
        self.steps = None

    def leave(self, words, when, sign, number=2, until_end=True):
        """A process that was killed or frozen at that query."""
        process = None
        steps = Steps(self.server.port, words, number, when,
                      lambda: os.kill(process.process.pid, sign), holds=sign == signal.SIGSTOP)
        self.pipeline.edit(f"port={self.server.port}", f"port={steps.port}")
        process = self.pipeline.start(until_end)
        while not steps.is_struck.wait(0.2):
            assert process.is_running(), process.errors()
        if sign == signal.SIGKILL:
            assert process.wait() == -sign, process.errors()
        self.pipeline.edit(f"port={steps.port}", f"port={self.server.port}")
        return process, steps

    def delivered(self):
        """What each side holds, by message: (Kafka, table)."""
        topic = KafkaTopic(self.place, f"{self.name}-valid").settle()
        kafka = Counter(json.loads(value)["message_id"] for partition in range(topic.partitions)
                        for _, records in topic.batches(partition) for _, value, _ in records)
        return kafka, Counter(row[0] for row in self.database.ask("SELECT message_id FROM readings"))

    def check(self):
        assert prepared(self.database) == []
        kafka, table = self.delivered()
        assert kafka == table and kafka
        folder = self.pipeline.folder
        log = folder / "iot.db"
        is_local = self.source == "local"
        result = judge.judge(
            judge.Places(log if is_local else self.place, self.place, self.place, None,
                         "raw_iot_data" if is_local else f"{self.name}-raw",
                         f"{self.name}-valid", f"{self.name}-dlq"), folder / "truth.ndjson")
        assert result.is_clean(), result.findings
        self.pipeline.audit()


SOURCES = pytest.mark.parametrize("source", ["local", "kafka"])
STEPS = [(words, when) for words in (b"BEGIN; SET", b"PREPARE TRANSACTION", b"COMMIT PREPARED")
         for when in ("before", "after")]


@SOURCES
def test_killed_at_every_step(source, broker, server, weir, tmp_path):
    """One kill after the other, each at another step, and then to the end."""
    both = Both(broker, server, weir, tmp_path, f"atomic-steps-{source}", source, records=30000)
    said = []
    # The last of STEPS is met by the start that ends what the one before has left, so one more is left.
    for words, when in [*STEPS, DECIDED]:
        process, _ = both.leave(words, when, signal.SIGKILL, number=1)
        said.append(process.errors())
        is_left = (words, when) in (DECIDED, UNDECIDED)
        assert len(prepared(both.database)) == (1 if is_left else 0)
    said.append(both.pipeline.finish()[1])
    ended = "".join(said)
    assert "0 committed, as it was decided, 1 rolled back" in ended
    assert "1 committed, as it was decided, 0 rolled back" in ended
    both.check()


@SOURCES
@pytest.mark.parametrize("step", [(b"PREPARE TRANSACTION", "before"), UNDECIDED, DECIDED],
                         ids=["prepares late", "prepared", "decided"])
def test_a_zombie(step, source, broker, server, weir, tmp_path):
    """Frozen there, taken over, and thawed: it prepares nothing any more, decides for nothing, and commits
    nothing that its successor has rolled back."""
    name = f"atomic-zombie-{source}-{STEPS.index(step)}"
    both = Both(broker, server, weir, tmp_path, name, source)
    zombie, steps = both.leave(*step, signal.SIGSTOP)
    assert len(prepared(both.database)) == (0 if step[1] == "before" and step != DECIDED else 1)
    _, errors = both.pipeline.finish()
    if step == DECIDED:
        assert "1 committed" in errors
    elif step == UNDECIDED:
        assert "1 rolled back" in errors
    assert prepared(both.database) == []
    kafka, table = both.delivered()
    assert kafka == table and kafka
    os.kill(zombie.process.pid, signal.SIGCONT)
    steps.let_go.set()
    status = zombie.wait()
    # A member of a group may come back to it; who was fenced, or whose session was ended, says so.
    said = zombie.errors()
    assert status == 0 if "taken over" in said and "weir: " not in said else \
        "progress.fenced" in said or "postgres.away" in said, said
    both.check()


def test_a_zombie_that_reaches_no_database(broker, server, weir, tmp_path):
    """It has lost its session and its partitions, and gets these back before the database."""
    both = Both(broker, server, weir, tmp_path, "atomic-zombie-away", "kafka")
    zombie, steps = both.leave(b"PREPARE TRANSACTION", "before", signal.SIGSTOP, until_end=False)
    both.pipeline.finish()
    steps.listener.shutdown(socket.SHUT_RDWR)
    steps.listener.close()
    os.kill(zombie.process.pid, signal.SIGCONT)
    steps.let_go.set()
    assert zombie.wait_for("'atomic-zombie-away-raw': 3 of 3 partitions lost"), zombie.errors()
    until(lambda: zombie.errors().count("partitions taken over") == 2, seconds=90)
    steps.listen()
    until(lambda: zombie.errors().count("recovered:") == 2, seconds=90)
    assert zombie.terminate() == 0, zombie.errors()
    both.check()


@SOURCES
def test_txn_where_kafka_decides(source, broker, server, weir, tmp_path):
    both = Both(broker, server, weir, tmp_path, f"atomic-txn-{source}", source, records=20000)
    both.leave(*UNDECIDED, signal.SIGKILL)
    p = both.pipeline
    one, = json.loads(p.run("txn", "ls", "iot.yaml", "--json")[0])
    assert one["decision"] == "none"
    _, errors = p.run("txn", "commit", "iot.yaml", one["id"], status=2)
    assert "atomic.refused" in errors
    for _ in range(100):  # until the killed member is known to be dead
        lag = json.loads(p.run("lag", "iot.yaml", "--for", "0s", "--json")[0])
        if not lag["running"]:
            break
        time.sleep(0.2)
    p.run("txn", "abort", "iot.yaml", one["id"])
    assert prepared(both.database) == []
    both.leave(*DECIDED, signal.SIGKILL)
    one, = json.loads(p.run("txn", "ls", "iot.yaml", "--json")[0])
    assert one["decision"] == "commit"
    _, errors = p.run("txn", "abort", "iot.yaml", one["id"], status=2)
    assert "atomic.refused" in errors or "group.owned" in errors
    p.run("txn", "commit", "iot.yaml", one["id"])
    kafka, table = both.delivered()
    assert kafka == table
    p.finish()
    both.check()


def test_everything_is_killed_at_random(own_broker, build_dir, weir, tmp_path, seed, long_run):
    """weir, the database and the broker, at any moment; in the end both sides hold the same rows."""
    rng = random.Random(seed)
    server = started(build_dir / "services/postgres-atomic-kills")
    try:
        both = Both(own_broker, server, weir, tmp_path, "atomic-kills", "kafka", records=40000)
        for round_number in range(24 if long_run else 4):
            process = both.pipeline.start()
            time.sleep(rng.uniform(0.2, 1.5))
            victim = rng.choice(["weir", "database", "broker"]) if round_number > 2 else \
                ["weir", "database", "broker"][round_number]
            if victim == "database":
                server.kill()
                server.start()
            elif victim == "broker":
                own_broker.nodes[0].kill()
                own_broker.nodes[0].start()
                own_broker.wait_ready()
            time.sleep(rng.uniform(0.2, 1.5))
            process.process.kill()
            process.wait()
        both.pipeline.finish()
        both.check()
    finally:
        server.stop("immediate")
