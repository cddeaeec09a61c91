"""produce into topics of brokers: keys go where other clients put them, and a producer with an id adds
nothing twice, whatever is killed. Judged by kafka-python, read_committed."""
import json
import random
import subprocess
import time

import pytest

from cluster.lab import Lab
from cluster.test_replay import read


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def write_lines(lab, count, name="lines.ndjson"):
    path = lab.folder / name
    path.write_text("".join(json.dumps({"id": f"gerät-{n % 997}", "n": n}, ensure_ascii=False) + "\n"
                            for n in range(count)))
    return path


def test_keys_go_where_other_clients_put_them(lab):
    from kafka.partitioner.default import murmur2
    write_lines(lab, 3000)
    said = lab("produce", f"{lab.place}/keyed", "lines.ndjson", "--key", "id", "--partitions", "7").stderr
    assert "3,000 records into keyed" in said
    found = read(lab, "keyed")
    assert sorted(json.loads(record.value)["n"] for record in found) == list(range(3000))
    for record in found:
        assert record.key.decode() == json.loads(record.value)["id"]
        assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % 7
    in_order = {}
    for record in sorted(found, key=lambda r: (r.partition, r.offset)):
        in_order.setdefault(record.key, []).append(json.loads(record.value)["n"])
    assert all(numbers == sorted(numbers) for numbers in in_order.values())


def test_lines_without_a_key_are_spread(lab):
    place = f"{lab.place}/unkeyed"
    lab("topic", "create", place, "--partitions", "3")
    for _ in range(12):
        subprocess.run([lab.weir, "produce", place], input=b"{}\nno JSON\n", check=True,
                       capture_output=True)
    found = read(lab, "unkeyed")
    assert len(found) == 24 and all(record.key is None for record in found)
    assert len({record.partition for record in found}) > 1


def test_a_producer_with_an_id_is_killed_again_and_again(lab, seed):
    count = 200000
    write_lines(lab, count)
    words = ["produce", f"{lab.place}/killed-produce", "lines.ndjson", "--key", "id", "--producer-id",
             "box-1", "--partitions", "3"]
    moments = random.Random(seed)
    killed = 0
    for _ in range(8):
        running = subprocess.Popen([lab.weir, *words], cwd=lab.folder, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.1, 0.6))
        running.kill()
        killed += running.wait() == -9
    lab(*words)
    assert killed > 0
    assert "0 records into killed-produce; 200,000 were in already" in lab(*words).stderr
    numbers = [json.loads(record.value)["n"] for record in read(lab, "killed-produce")]
    assert sorted(numbers) == list(range(count))
    write_lines(lab, 10)
    assert "produce.other_input" in lab(*words, status=2).stderr


def test_what_cannot_be_is_refused(lab):
    (lab.folder / "large").write_text("x" * 1200000 + "\n")
    assert "topic.too_large" in lab("produce", f"{lab.place}/large", "large", status=2).stderr
    assert not read(lab, "large")
    (lab.folder / "small").write_text("x\n")
    lab("produce", f"{lab.place}/counted", "small", "--partitions", "2")
    assert "topic.exists" in lab("produce", f"{lab.place}/counted", "small", "--partitions", "3",
                                 status=2).stderr


def test_brokers_that_are_away_at_the_start(own_broker, weir, tmp_path):
    """They are waited for, and that is said once."""
    lab = Lab(own_broker, weir, tmp_path)
    write_lines(lab, 500)
    own_broker.nodes[0].kill()
    running = subprocess.Popen([lab.weir, "produce", f"{lab.place}/early", "lines.ndjson", "--key", "id",
                                "--producer-id", "box-1"],
                               cwd=lab.folder, stderr=subprocess.PIPE, text=True)
    said = running.stderr.readline()
    assert "kafka.away" in said and "repeating until it works" in said, said
    own_broker.nodes[0].start()
    _, said = running.communicate(timeout=100)
    assert running.returncode == 0 and "it works again" in said, said
    assert "repeating" not in said, said
    assert len(read(lab, "early")) == 500
