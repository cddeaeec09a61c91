"""Brokers of a real cluster of three that die or go away, while records come in. What comes out is
judged against the truth of the workload, and whoever reads the output meanwhile sees each row once."""
import random
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from cluster.iot import Follower, Lab, name_of, run_weir, until_said
from cluster.lab import Lab as SmallLab
from cluster.lab import records, until

WARNING = re.compile(r"^warning: .*", re.M)
PIPELINE = """version: 1
name: away
source:
  kafka: {brokers: ['%s'], topic: raw}
  format: json
schema: {type: object, properties: {a: {type: integer}}}
sinks:
  out:
    file: {path: out}
retry: {initial: 100ms, attempts: 2, then: stop}
"""


@pytest.fixture
def lab(three_brokers, weir, root, tmp_path, request):
    def make(records, **options):
        return Lab(three_brokers, weir, root, tmp_path, name_of(request), records, **options)
    return make


def leader(it):
    """Of a partition of the input."""
    with it.admin() as asked:
        [topic] = asked.describe_topics([it.raw])
        return next(partition["leader_id"] for partition in topic["partitions"]
                    if partition["partition_index"] == 0)


def coordinator(it):
    """Of the transactions of the pipeline's only process."""
    name = f"weir.{it.name}.one"
    with it.admin() as asked:
        return asked.describe_transactions([name])[name].coordinator_id


def controller(it):
    with it.admin() as asked:
        [topic] = asked.describe_metadata_quorum()["topics"]
        return topic["partitions"][0]["leader_id"]


def test_brokers_are_killed(lab, three_brokers, seed, long_run):
    """One after the other, each while it is the leader, then coordinates transactions, then controls."""
    random.seed(seed)
    it = lab(20000)
    it.edit("-raw}", "-raw, instance_id: one}")
    it.run()
    rounds = 15 if long_run else 3
    feeding = it.feeding(6 * rounds)
    follower = Follower(it, f"{it.name}-validated")
    follower.start()
    process = it.start()
    for number in range(rounds):
        which = (leader, coordinator, controller)[number % 3]
        time.sleep(random.uniform(0.5, 2))
        victim = next(node for node in three_brokers.nodes if node.id == which(it))
        victim.kill()
        time.sleep(2)
        victim.start()
        three_brokers.wait_ready()
    feeding.join()
    end(it, process)
    follower.judge()
    it.judge()


def end(it, *processes):
    it.wait_until_read(processes[0])
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, it.said()
    it.run()


def test_all_brokers_are_away(lab, three_brokers, long_run):
    """A run waits, says so once, stays well, and goes on by itself; so does one that is started
    meanwhile. One that is stopped meanwhile ends."""
    it = lab(15000)
    it.edit("heartbeat.interval.ms: 500", "heartbeat.interval.ms: 500, transaction.timeout.ms: 4000")
    with open(it.folder / "p.yaml", "a") as file:
        file.write("\nhttp: {listen: '127.0.0.1:0'}\n")
    it.run()
    feeding = it.feeding(8)
    follower = Follower(it, f"{it.name}-validated")
    follower.start()
    process, stopped = it.start(), it.start("stopped.txt")
    time.sleep(2)
    for node in three_brokers.nodes:
        node.kill()
    stopped.send_signal(signal.SIGTERM)
    time.sleep(6)
    late = it.start()
    probe(it)
    time.sleep(60 if long_run else 0)
    deadline = time.monotonic() + 20
    while len(WARNING.findall(it.said())) < 2:
        assert time.monotonic() < deadline, it.said()
        time.sleep(0.1)
    said = it.said()
    has_stopped(it, stopped, "stopped.txt")
    for node in three_brokers.nodes:
        node.start()
    three_brokers.wait_ready()
    feeding.join()
    end(it, process, late)
    # Of the run: that rows are not delivered; of the late one: its start. Once each, though the run loses
    # its group meanwhile.
    assert all("kafka.away" in line for line in WARNING.findall(it.said())), it.said()
    assert len(WARNING.findall(it.said())) == 2, it.said()
    assert "goes on after" in it.said().removeprefix(said), it.said()
    follower.judge()
    it.judge()


def test_topics_that_not_all_brokers_know_yet(three_brokers, weir, tmp_path):
    """A first start makes the topics of its sinks, then asks about them: whichever broker it comes to, it
    learns their partitions and limits."""
    it = SmallLab(three_brokers, weir, tmp_path)
    it.topic("early-in", 3)
    it.send("early-in", records(300))
    files = [it.write(f"early-{number}", {"topic": "early-in"},
                      {name: {"topic": f"early-{number}-{name}"} for name in ("a", "b", "c")})
             for number in range(8)]
    running = [subprocess.Popen([weir, "run", file, "--until-end"], cwd=tmp_path, text=True,
                                stderr=subprocess.PIPE) for file in files]
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * len(files), said


def has_stopped(it, process, name="said.txt"):
    """Within the time that docs/verbs.md says; what it had open then is in doubt, or not its own any more."""
    status = process.wait(timeout=20)
    said = it.said(name)
    assert status == 0 or (status == 3 and "the next start finds out" in said), (status, said)


def test_a_stop_does_not_wait_for_frozen_brokers(lab, three_brokers):
    """Whatever call of a commit waits for them. The next run settles what was not answered."""
    it = lab(15000)
    it.run()
    feeding = it.feeding(4)
    process = it.start()
    before = it.committed()
    until(lambda: it.committed() > before + 1000)
    for node in three_brokers.nodes:
        node.signal(signal.SIGSTOP)
    try:
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        has_stopped(it, process)
    finally:
        for node in three_brokers.nodes:
            node.signal(signal.SIGCONT)
    feeding.join()
    it.run()
    it.judge()


def probe(it):
    """Who asks how the runs are is answered at once, also while they wait for brokers."""
    addresses = re.findall(r"http: listening on (http://\S+)", it.said())
    assert addresses, it.said()
    for address in addresses:
        for path in ("live", "ready", "metrics"):
            begin = time.monotonic()
            try:
                urllib.request.urlopen(address + path, timeout=5).read()
            except urllib.error.HTTPError as error:
                assert error.code == 503, error
            assert time.monotonic() - begin < 2


def test_a_start_whose_brokers_are_away_does_as_retry_says(root, weir, tmp_path):
    """There are none at all: it says so soon, and stops after the tries that it was given."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % unused.getsockname()[1]
        (tmp_path / "p.yaml").write_text(PIPELINE % address)
        begin = time.monotonic()
        done = run_weir(weir, tmp_path, "run", "p.yaml", status=3)
    assert time.monotonic() - begin < 15
    assert done.stderr.count("kafka.away") == 2, done.stderr  # once when it begins, once at the end
    assert "trying 2 times in all, then weir stops" in done.stderr


def test_a_run_with_nothing_to_do_says_that_its_brokers_are_away(own_broker, root, weir, tmp_path,
                                                                 request):
    """And that they are back; what comes then is taken, without a new start."""
    it = Lab(own_broker, weir, root, tmp_path, name_of(request), 3000, table="out.db")
    process = it.start()
    until_said(it, "0 records, ")
    [node] = own_broker.nodes
    node.kill()
    until_said(it, "kafka.away")
    node.start()
    own_broker.wait_ready()
    until_said(it, "the source answers again")
    it.feed()
    until_said(it, "3,000 records")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0, it.said()
    assert len(WARNING.findall(it.said())) == 1, it.said()
    assert it.said().count("first start") == 1, it.said()
    it.judge()


def test_a_start_that_waits_is_stopped(root, weir, tmp_path):
    """Nothing is open: that is a clean end."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % unused.getsockname()[1]
        (tmp_path / "p.yaml").write_text((PIPELINE % address).replace(", attempts: 2, then: stop", ""))
        for word in ("kafka.away", ""):  # while it pauses; while it asks for the first time
            process = subprocess.Popen([weir, "run", "p.yaml"], cwd=tmp_path, text=True,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            said = ""
            while word not in said and (line := process.stderr.readline()):
                said += line
            time.sleep(0 if word else 0.5)
            process.send_signal(signal.SIGTERM)
            said += process.communicate(timeout=60)[1]
            assert process.returncode == 0, said
            assert "stopped before it could begin" in said, said
