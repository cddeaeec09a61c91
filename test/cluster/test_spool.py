"""produce with a spool: lines are taken while the brokers are away, and reach the topic in order and once,
whatever is killed. Judged by kafka-python, read_committed."""
import json
import random
import sqlite3
import subprocess
import time

import pytest

from cluster.lab import Lab, until
from cluster.test_replay import read

PROPERTIES = ("--key", "id", "--spool", "spool.db")


@pytest.fixture(scope="module")
def away_broker(build_dir):
    """One node that the tests of this file kill and start."""
    from cluster.conftest import started
    cluster = started(build_dir / "services/kafka-spool")
    yield cluster
    cluster.stop()


def bring_back(broker):
    if not broker.nodes[0].is_alive():
        broker.nodes[0].start()
    until(broker.nodes[0].is_ready, 60)


@pytest.fixture
def lab(away_broker, weir, tmp_path):
    bring_back(away_broker)
    return Lab(away_broker, weir, tmp_path)


def lines(first, count, large=()):
    """`large`: those of 3,000 bytes more."""
    return "".join(json.dumps({"id": f"gerät-{n % 97}", "n": n, **({"pad": "x" * 3000} if n in large else {})},
                              ensure_ascii=False) + "\n"
                   for n in range(first, first + count))


def produce(lab, topic, text, *more, status=0):
    done = subprocess.run([lab.weir, "produce", f"{lab.place}/{topic}", *PROPERTIES, *more], input=text,
                          cwd=lab.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done
    return done.stderr


def left(lab):
    """Records in the spool, as it says itself and as its rows do."""
    with sqlite3.connect(f"file:{lab.folder}/spool.db?mode=ro", uri=True) as log:
        return sum(count for (count,) in log.execute(
            "SELECT count FROM weir_batch JOIN weir_topic USING (topic) WHERE name NOT LIKE '%.refused'"))


def set_aside(lab, topic):
    """What the topic does not take: the place in the input, and why."""
    with sqlite3.connect(f"file:{lab.folder}/spool.db?mode=ro", uri=True) as log:
        [name] = log.execute("SELECT name FROM weir_topic WHERE name LIKE ?", [topic + "%.refused"]).fetchone()
    found = []
    for line in lab("tail", f"local:spool.db#{name}", "--json").stdout.splitlines():
        headers = {it["name"]: it["value"] for it in json.loads(line)["headers"]}
        assert headers["weir.topic"] == topic
        found.append((int(headers["weir.offset"]), headers["weir.reason"]))
        if headers["weir.reason"] == "topic.too_large":
            assert json.loads(json.loads(line)["value"])["n"] == found[-1][0]
    return found


def is_in_once(lab, topic, count, without=()):
    found = read(lab, topic)
    assert sorted(json.loads(record.value)["n"] for record in found) == sorted({*range(count)} - {*without})
    in_order = {}
    for record in sorted(found, key=lambda r: (r.partition, r.offset)):
        assert record.key.decode() == json.loads(record.value)["id"]
        in_order.setdefault(record.key, []).append(json.loads(record.value)["n"])
    assert all(numbers == sorted(numbers) for numbers in in_order.values())


def test_lines_wait_while_the_brokers_are_away(lab):
    assert "100 records into spooled" in produce(lab, "spooled", lines(0, 100), "--partitions", "3")
    assert left(lab) == 0
    lab.broker.nodes[0].kill()
    begin = time.monotonic()
    said = produce(lab, "spooled", lines(100, 200))
    assert "200 records wait in spool.db" in said and said.count("kafka.away") == 1, said
    assert time.monotonic() - begin < 15
    assert left(lab) == 200
    sent_ms = time.time() * 1000
    assert "kafka.away" in produce(lab, "spooled", "", status=3)
    bring_back(lab.broker)
    assert "0 records into spooled\n200 more" in produce(lab, "spooled", "")
    assert left(lab) == 0
    assert "50 records into spooled" in produce(lab, "spooled", lines(300, 50))
    is_in_once(lab, "spooled", 350)
    # They keep the time when they came.
    assert all(record.timestamp <= sent_ms for record in read(lab, "spooled")
               if json.loads(record.value)["n"] < 300)


def test_a_running_one_goes_on_through_an_outage(lab):
    running = subprocess.Popen([lab.weir, "produce", f"{lab.place}/through", *PROPERTIES],
                               cwd=lab.folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def feed(first):
        running.stdin.write(lines(first, 100))
        running.stdin.flush()
    feed(0)
    until(lambda: len(read(lab, "through")) == 100)
    lab.broker.nodes[0].kill()
    for first in range(100, 500, 100):
        feed(first)
        until(lambda: left(lab) >= first)  # while nobody is there
    said = running.stderr.readline()
    assert "lines are kept in" in said, said
    bring_back(lab.broker)
    feed(500)
    until(lambda: left(lab) == 0, 60)
    running.terminate()
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 0 and "600 records into through" in said, said
    assert "kept" not in said and "it works again" in said, said
    is_in_once(lab, "through", 600)


@pytest.mark.parametrize("has_id", [True, False])
def test_what_the_topic_does_not_take_is_set_aside(lab, has_id):
    """The lines behind it go on, in order; it is kept with the reason, once, and counted."""
    topic = lab.topic(f"strict-{has_id}", 3, **{"max.message.bytes": "2000", "cleanup.policy": "compact"})
    more = ["--producer-id", "box"] if has_id else []
    first = lines(0, 60, {0, 10, 11, 40}) + '{"n": 60}\n' + lines(61, 3, {63})
    said = produce(lab, topic, first, *more)
    refused = [(n, "topic.no_key" if n == 60 else "topic.too_large") for n in (0, 10, 11, 40, 60, 63)]
    assert said.count("topic.too_large") == 1 and "6 records of these are set aside in spool.db" in said, said
    assert set_aside(lab, topic) == refused and left(lab) == 0
    # The end of the input was set aside: nothing is taken for another topic.
    assert produce(lab, topic, first if has_id else "", *more).startswith(f"0 records into {topic}")
    whole = first + lines(64, 10)
    said = produce(lab, topic, whole if has_id else lines(64, 10), *more)
    assert said.startswith(f"10 records into {topic}") and "set aside" not in said, said
    assert set_aside(lab, topic) == refused and left(lab) == 0
    is_in_once(lab, topic, 74, {n for n, _ in refused})


@pytest.mark.parametrize("has_id", [True, False])
def test_killed_again_and_again(lab, seed, has_id):
    """With an id the same input is given again and again; without one it is in the spool, and the brokers
    were away."""
    topic, count = f"killed-{has_id}", 100000
    large = range(5000, count, 10000)  # which the topic does not take
    lab.topic(topic, 3, **{"max.message.bytes": "2000"})
    moments = random.Random(seed)
    words = [lab.weir, "produce", f"{lab.place}/{topic}", *PROPERTIES, "--partitions", "3"]
    if has_id:
        (lab.folder / "lines").write_text(lines(0, count, large))
        words += ["--producer-id", "box", ]
        words.insert(3, "lines")
    else:
        lab.broker.nodes[0].kill()
        assert "100,000 records wait" in produce(lab, topic, lines(0, count, large))
        bring_back(lab.broker)
    killed = 0
    for round_number in range(6):
        if round_number == 2:
            lab.broker.nodes[0].kill()
        if round_number == 4:
            lab.broker.nodes[0].start()
        running = subprocess.Popen(words, cwd=lab.folder, stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.05, 0.7))
        running.kill()
        killed += running.wait() == -9
    assert killed > 2
    bring_back(lab.broker)
    # A broker whose port is open may not coordinate transactions yet: then it says that lines wait.
    until(lambda: subprocess.run(words, cwd=lab.folder, stdin=subprocess.DEVNULL,
                                 timeout=60).returncode == 0, 60)
    assert left(lab) == 0
    assert set_aside(lab, topic) == [(n, "topic.too_large") for n in large]
    is_in_once(lab, topic, count, large)
