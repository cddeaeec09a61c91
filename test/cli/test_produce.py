"""produce and tail: what goes in comes out, whatever it is and whatever happens."""
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter

import pytest

TOPIC = "local:log.db#raw"


def murmur2(data):
    """Kafka's, written from its Java source."""
    mask = 0xFFFFFFFF
    size = len(data)
    h = (0x9747B28C ^ size) & mask
    for i in range(0, size - size % 4, 4):
        k = int.from_bytes(data[i:i + 4], "little") * 0x5BD1E995 & mask
        k = (k ^ k >> 24) * 0x5BD1E995 & mask
        h = (h * 0x5BD1E995 & mask) ^ k
    rest = data[size - size % 4:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * 0x5BD1E995 & mask
    h = (h ^ h >> 13) * 0x5BD1E995 & mask
    return h ^ h >> 15


def random_line(rng):
    size = rng.choice([0, 1, 2, 10, 200, 200, 200, 3000, 70000])
    kind = rng.randrange(3)
    if kind == 0:
        return rng.randbytes(size).replace(b"\n", b"\0")
    if kind == 1:
        return ("é€𝄞\r\t\"\\" * size)[:size].encode()
    return json.dumps({"id": rng.randrange(10), "pad": "x" * size}).encode()


def test_any_bytes_come_back_in_order(weir_cli, seed):
    rng = random.Random(seed)
    lines = [random_line(rng) for _ in range(3000)] + [b"\xff" * 10_000_000, b"", b"last"]
    rng.shuffle(lines)
    lines[-1] = b"no line break behind"
    (weir_cli.folder / "in").write_bytes(b"\n".join(lines))
    result = weir_cli("produce", TOPIC, "in", "--partitions", "1")
    assert result.err == f"{len(lines):,} records into raw (0: offsets 0–{len(lines) - 1})\n"
    assert weir_cli.values(TOPIC) == lines
    assert [record["offset"] for record in weir_cli.records(TOPIC)] == list(range(len(lines)))


def test_many_partitions_get_every_line_once(weir_cli, seed):
    rng = random.Random(seed)
    lines = [random_line(rng) for _ in range(2000)]
    weir_cli("produce", TOPIC, "--partitions", "7", data=b"\n".join(lines) + b"\n")
    assert Counter(weir_cli.values(TOPIC)) == Counter(lines)
    used = Counter(record["partition"] for record in weir_cli.records(TOPIC))
    assert len(used) == 7


def test_nothing_in_nothing_out(weir_cli):
    assert weir_cli("produce", TOPIC).err == "0 records into raw\n"
    assert weir_cli.values(TOPIC) == []
    assert weir_cli("produce", TOPIC, data=b"\n").err.startswith("1 record into raw (0: offset 0)")
    assert weir_cli.values(TOPIC) == [b""]


@pytest.mark.parametrize("line, key", [
    (b'{"k":"a","x":1}', "a"),
    (b'{"x":{"k":"no"},"k":"yes"}', "yes"),
    (b'{"k":"\\u00e9\\n\\"\\ud834\\udd1e"}', "é\n\"𝄞"),
    (b'{"k":12.50}', "12.50"),
    (b'{"k":true}', "true"),
    (b'{"k": [1, 2] }', "[1, 2]"),
    (b'{"k":""}', ""),
    (b'{"k":"1","k":"2"}', "2"),
    (b'{"k":null}', None),
    (b'{"x":1}', None),
    (b'{"k":"a"', None),
    (b'["k"]', None),
    (b"", None),
    (b'{"k":"' + b"x" * 3_000_000 + b'"}', "x" * 3_000_000),
])
def test_the_key_is_the_value_of_a_member(weir_cli, line, key):
    weir_cli("produce", TOPIC, "--key", "k", "--partitions", "16", data=line + b"\n")
    record, = weir_cli.records(TOPIC)
    assert record["key"] == key
    assert record["value"] == line.decode()
    if key is not None:
        assert record["partition"] == (murmur2(key.encode()) & 0x7FFFFFFF) % 16


def test_lines_of_one_key_keep_their_order(weir_cli, seed):
    rng = random.Random(seed)
    lines = [json.dumps({"k": f"key-{rng.randrange(50)}", "n": n}) for n in range(20000)]
    weir_cli("produce", TOPIC, "--key", "k", data="\n".join(lines).encode())
    per_key = {}
    for record in weir_cli.records(TOPIC):
        per_key.setdefault(record["key"], []).append(record["value"])
    expected = {}
    for line in lines:
        expected.setdefault(json.loads(line)["k"], []).append(line)
    assert per_key == expected


def test_one_input_under_one_id_is_in_once(weir_cli):
    def produce(text, status=0):
        (weir_cli.folder / "in").write_text(text)
        return weir_cli("produce", TOPIC, "in", "--producer-id", "me", status=status)

    produce("a\nb\n")
    assert "2 were in already" in produce("a\nb\n").err
    assert "2 were in already" in produce("a\nb\nc").err
    assert "3 were in already" in produce("a\nb\nc\n").err
    for other in ("a\nx\nc\n", "a\nb\ncc\n", "a\nb\n", "", "b\na\nc\nd\n"):
        err = produce(other, status=2).err
        assert "produce.other_input" in err and "3 lines are in raw" in err
    produce("a\nb\nc\nd\n")
    assert sorted(weir_cli.values(TOPIC)) == [b"a", b"b", b"c", b"d"]
    # Another id, another topic: another count.
    weir_cli("produce", TOPIC, "in", "--producer-id", "you")
    weir_cli("produce", "local:log.db#other", "in", "--producer-id", "me")
    assert len(weir_cli.values(TOPIC)) == 8
    assert len(weir_cli.values("local:log.db#other")) == 4
    # A topic that is made anew begins anew.
    weir_cli("topic", "delete", TOPIC, "--yes")
    produce("x\n")
    assert weir_cli.values(TOPIC) == [b"x"]


def test_killed_at_any_time_and_repeated_adds_nothing_twice(weir_fast, seed, long_run):
    rng = random.Random(seed)
    lines = [json.dumps({"k": f"key-{rng.randrange(97)}", "n": n, "pad": "x" * rng.randrange(400)})
             for n in range(150_000)]
    (weir_fast.folder / "in").write_text("\n".join(lines))
    words = ["produce", TOPIC, "in", "--key", "k", "--producer-id", "me",
             "--batch-interval", "5ms"]
    begun = time.monotonic()
    weir_fast("produce", "local:log.db#whole", "in", "--key", "k")
    whole_s = time.monotonic() - begun
    kills = 0
    counts = set()
    for _ in range(200 if long_run else 25):
        process = weir_fast.start(*words, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0, whole_s / 4))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        if (weir_fast.folder / "log.db").exists():
            with weir_fast.database("log.db") as database:
                row = database.execute("SELECT sum(sequence) FROM weir_producer").fetchone()
            counts.add(row[0])
            if row[0] == len(lines):
                break
    weir_fast(*words)
    assert kills >= 3
    assert len(counts) >= 3, f"the kills landed at {counts}"
    per_key = {}
    for record in weir_fast.records(TOPIC):
        per_key.setdefault(record["key"], []).append(record["value"])
    expected = {}
    for line in lines:
        expected.setdefault(json.loads(line)["k"], []).append(line)
    assert per_key == expected


def test_two_of_one_id_at_once_do_not_double(weir_cli, wait_until):
    first = weir_cli.start("produce", TOPIC, "--producer-id", "me", "--batch-interval", "1ms",
                           stdin=subprocess.PIPE)
    first.stdin.write(b"a\n")
    first.stdin.flush()
    wait_until(lambda: (weir_cli.folder / "log.db").exists())
    wait_until(lambda: b"raw" in weir_cli("topic", "list", "local:log.db").out and
               weir_cli.values(TOPIC) == [b"a"])
    weir_cli("produce", TOPIC, "--producer-id", "me", data=b"a\nb\n")
    _, err = first.communicate(b"b\nc\n", timeout=60)
    assert first.returncode == 3
    assert b"produce.two_at_once" in err
    assert sorted(weir_cli.values(TOPIC)) == [b"a", b"b"]


def test_what_waits_is_committed_while_standard_input_is_silent(weir_cli, wait_until):
    process = weir_cli.start("produce", TOPIC, "--partitions", "1", stdin=subprocess.PIPE)
    process.stdin.write(b"one\ntwo\nhalf")
    process.stdin.flush()
    wait_until(lambda: (weir_cli.folder / "log.db").exists() and
               b"raw" in weir_cli("topic", "list", "local:log.db").out)
    wait_until(lambda: weir_cli.values(TOPIC) == [b"one", b"two"])
    process.stdin.write(b" a line\nthree\n")
    process.stdin.flush()
    wait_until(lambda: weir_cli.values(TOPIC) == [b"one", b"two", b"half a line", b"three"])
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"4 records into raw" in err


def test_a_file_that_was_not_read_to_its_end_is_not_done(weir_cli):
    (weir_cli.folder / "in").write_bytes(b"x" * 100 + b"\n" * 500_000)
    process = weir_cli.start("produce", TOPIC, "in", "--producer-id", "me")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    # Before the handler is there the signal ends the program; behind the end of the file it is done.
    assert process.returncode in (0, 3, -signal.SIGTERM)
    assert process.returncode != 3 or b"produce.stopped" in err
    weir_cli("produce", TOPIC, "in", "--producer-id", "me")
    assert len(weir_cli.values(TOPIC)) == 500_000


def test_several_producers_at_once(weir_cli):
    files = []
    for name in "abcd":
        lines = [f"{name}-{n}" for n in range(5000)]
        (weir_cli.folder / name).write_text("\n".join(lines))
        files += lines
    processes = [weir_cli.start("produce", TOPIC, name, "--batch-interval", "1ms")
                 for name in "abcd"]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert sorted(weir_cli.values(TOPIC)) == sorted(line.encode() for line in files)


def test_an_existing_topic_keeps_its_partitions(weir_cli):
    weir_cli("topic", "create", TOPIC, "--partitions", "5")
    weir_cli("produce", TOPIC, data=b"a\n")
    assert "topic.exists" in weir_cli("produce", TOPIC, "--partitions", "4", status=2).err
    weir_cli("produce", TOPIC, "--partitions", "5", data=b"b\n")
    assert sorted(weir_cli.values(TOPIC)) == [b"a", b"b"]


def test_a_pipe_as_file_is_refused_with_the_way_out(weir_cli):
    os.mkfifo(weir_cli.folder / "fifo")
    err = weir_cli("produce", TOPIC, "fifo", status=2).err
    assert "'-' and '< fifo'" in err


def test_tombstones_have_a_key_and_no_value(weir_cli):
    weir_cli("produce", TOPIC, "--key", "id", "--partitions", "1", data=b'{"id":"a","n":1}\n{"id":7}\n')
    weir_cli("produce", TOPIC, "--key", "id", "--tombstones", data=b'{"id":"a","n":2}\n{"id":7}\n')
    found = [(record["key"], record["value"]) for record in weir_cli.records(TOPIC)]
    assert found == [("a", '{"id":"a","n":1}'), ("7", '{"id":7}'), ("a", None), ("7", None)]
    assert "--key" in weir_cli("produce", TOPIC, "--tombstones", status=2).err
