"""Ten producers and a pipeline on one file, each killed again and again: order kept, nothing lost or doubled."""
import random
import time

import pytest

from crash.killer import Weir
from faults.lab import balanced, counts, local, record

PRODUCERS = 10


class Member:
    """A process that is started again until it has come to its end."""

    def __init__(self, lab, rng, *words):
        self.lab = lab
        self.rng = rng
        self.words = words
        self.kills = 0
        self.process = None

    def start(self, longest_s):
        self.process = Weir(self.lab.program, *self.words, cwd=self.lab.path)
        # The first time at once: even a fast one has not come to its end by then.
        self.die_at = time.monotonic() + (self.rng.uniform(0, longest_s) if self.kills else 0)

    def step(self, longest_s, kills_most):
        """Kills it when its time has come. True when it has ended by itself, well."""
        if self.process is None:
            self.start(longest_s)
        elif not self.process.is_running():
            assert self.process.wait() == 0, self.process.errors()
            return True
        elif time.monotonic() >= self.die_at and self.kills < kills_most:
            self.process.kill()
            self.kills += 1
            self.start(longest_s)
        return False


@pytest.fixture
def crowd(lab, seed, long_run):
    rng = random.Random(seed)
    lines = 100_000 if long_run else 50_000
    for index in range(PRODUCERS):
        lab.file(f"p{index}.ndjson", b"".join(
            record(number, id=f"p{index}-{number}", text=f"p{index}") + b"\n"
            for number in range(lines)))
    lab.write(sinks={"out": local("out", partitions=3, key="text")}, event_time={
        "field": "at", "lateness": "10d"}, dlq=None, delivery={"commit_interval": "10ms"})
    done = lab.weir("topic", "create", "local:log.db#in", "--partitions", "3")
    assert done.status == 0, done
    producers = [Member(lab, rng, "produce", "local:log.db#in", f"p{index}.ndjson", "--key=text",
                        f"--producer-id=p{index}", "--batch-interval=1ms")
                 for index in range(PRODUCERS)]
    return lab, lines, producers, Member(lab, rng, "run", "p.yaml")


def of_each_producer(lab, topic):
    """Producer → the numbers of its records, partition by partition in the order of the log."""
    found = {}
    for partition, _, key, value, _ in lab.records(topic):
        found.setdefault(key.decode(), []).append((partition, value))
    for key, entries in found.items():
        assert len({partition for partition, _ in entries}) == 1, key
        found[key] = [value for _, value in entries]
    return found


def test_a_crowd_that_is_killed(crowd, long_run):
    lab, lines, producers, pipeline = crowd
    kills_most = 40 if long_run else 6
    waiting = list(producers)
    end = time.monotonic() + (600 if long_run else 90)
    while waiting:
        assert time.monotonic() < end, f"{len(waiting)} producers have starved"
        waiting = [member for member in waiting if not member.step(0.05, kills_most)]
        assert not pipeline.step(0.15, 10 * kills_most)
        time.sleep(0.002)
    pipeline.process.kill()
    assert sum(member.kills for member in producers) >= PRODUCERS // 2, "they were too fast"
    assert pipeline.kills >= 1
    ledger = lab.ledger()
    assert balanced(ledger) == counts(valid=PRODUCERS * lines)
    expected = {f"p{index}": (lab.path / f"p{index}.ndjson").read_bytes().splitlines()
                for index in range(PRODUCERS)}
    assert of_each_producer(lab, "in") == expected
    assert of_each_producer(lab, "out") == expected
    lab.audit()
    done = lab.weir("topic", "verify", "local:log.db")
    assert done.status == 0, done
