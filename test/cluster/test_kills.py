"""kill -9, again and again, over one large input: what comes out is what an undisturbed run gives, which
is judged against the truth of the workload.

    python3 -m pytest test/cluster/test_kills.py -s --rounds 10 --records 1000000
"""
import random
import signal
import subprocess
import time

import pytest
from cluster.iot import Lab, name_of, run_weir

from checker import judge
from checker.kafka_topic import KafkaTopic

# Headers of dead letters that say which pipeline they are of.
OWN_HEADERS = ("weir.pipeline", "weir.plan")


@pytest.fixture
def rounds(request, long_run):
    return request.config.getoption("--rounds") or (10 if long_run else 1)


@pytest.fixture
def count(request, long_run):
    return request.config.getoption("--records") or (1_000_000 if long_run else 60_000)


def write_pipeline(it, number):
    """The pipeline of the lab once more: a group and outputs of its own, the same input."""
    text = (it.folder / "p.yaml").read_text()
    for old, new in ((f"name: {it.name}\n", f"name: {it.name}-{number}\n"),
                     (f"{it.name}-validated", f"{it.name}-{number}-validated"),
                     (f"{it.name}-dlq", f"{it.name}-{number}-dlq"),
                     ("-raw}", "-raw, instance_id: one}")):
        assert old in text
        text = text.replace(old, new)
    (it.folder / f"{number}.yaml").write_text(text)
    return f"{number}.yaml"


def outputs(it, name):
    """How many rows and dead letters there are, and their hash, in whatever order."""
    total, found = judge.Sum(), {}
    for kind in ("validated", "dlq"):
        topic = KafkaTopic(it.place, f"{name}-{kind}")
        topic.settle()
        found[kind] = 0
        for partition in range(topic.partitions):
            for _, batch in topic.batches(partition):
                for key, value, headers in batch:
                    found[kind] += 1
                    headers = tuple(one for one in headers if one[0] not in OWN_HEADERS)
                    total.add(judge.record_bytes(kind, key, value, headers))
    return {**found, "hash": total.text()}


def run_through_kills(it, file, longest):
    """Starts it until it comes to the end; how often it was killed on the way."""
    kills = 0
    patience = random.uniform(0.3, 0.5)  # Nobody has come to the end by then.
    while True:
        with open(it.folder / f"{file}.said", "ab") as said:
            process = subprocess.Popen([it.weir, "run", file, "--until-end"], cwd=it.folder,
                                       stdout=said, stderr=said)
        try:
            status = process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            # Longer each time: the end is reached also where each life gets a little on.
            patience = random.uniform(0.3, longest * (1 + kills / 10))
            continue
        assert status == 0, (it.folder / f"{file}.said").read_text()[-3000:]
        return kills


def test_kill_9_over_a_large_input(broker, weir, root, tmp_path, request, seed, rounds, count):
    random.seed(seed)
    it = Lab(broker, weir, root, tmp_path, name_of(request), count)
    it.feed()
    start = time.monotonic()
    undisturbed = it.run().stdout
    seconds = time.monotonic() - start
    it.judge()
    expected = outputs(it, it.name)
    for number in range(1, rounds + 1):
        file = write_pipeline(it, number)
        kills = run_through_kills(it, file, min(2.5, max(1.0, seconds / 2)))
        assert kills > 0
        audited = run_weir(weir, it.folder, "audit", file).stdout
        assert "missing 0 · doubled 0 · altered 0" in audited and "unverifiable 0" in audited
        assert outputs(it, f"{it.name}-{number}") == expected
        assert run_weir(weir, it.folder, "run", file, "--until-end").stdout == undisturbed
        print(f"round {number}: {count:,} records, {kills} kills, {expected}", flush=True)
