"""Brokers of a real cluster of three that die or go away, while records come in. What comes out is
judged against the truth of the workload, and whoever reads the output meanwhile sees each row once."""
import random
import re
import signal
import time

import pytest
from cluster.iot import Follower, Lab, name_of

WARNING = re.compile(r"^warning: .*", re.M)


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


@pytest.mark.parametrize("which", [leader, coordinator, controller])
def test_a_broker_is_killed(lab, three_brokers, seed, long_run, which):
    random.seed(seed)
    it = lab(30000)
    it.edit("-raw}", "-raw, instance_id: one}")
    it.run()
    rounds = 5 if long_run else 1
    feeding = it.feeding(6 * rounds)
    follower = Follower(it, f"{it.name}-validated")
    follower.start()
    process = it.start()
    for _ in range(rounds):
        time.sleep(random.uniform(0.5, 2))
        victim = next(node for node in three_brokers.nodes
                      if node.id == which(it))
        victim.kill()
        time.sleep(3)
        victim.start()
        three_brokers.wait_ready()
    feeding.join()
    it.wait_until_read(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0, it.said()
    it.run()
    follower.judge()
    it.judge()
    print(it.said())


def test_all_brokers_are_away(lab, three_brokers, long_run):
    """The run waits, says so once, and goes on by itself; so does one that is started meanwhile."""
    it = lab(20000)
    it.run()
    feeding = it.feeding(8)
    follower = Follower(it, f"{it.name}-validated")
    follower.start()
    process = it.start()
    time.sleep(2)
    for node in three_brokers.nodes:
        node.kill()
    time.sleep(60 if long_run else 15)
    for node in three_brokers.nodes:
        node.start()
    three_brokers.wait_ready()
    back = time.monotonic()
    feeding.join()
    print("fed", time.monotonic() - back)
    it.wait_until_read(process)
    print("caught up", time.monotonic() - back)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0, it.said()
    it.run()
    follower.judge()
    it.judge()
    print(it.said())
