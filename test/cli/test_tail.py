"""tail: which records of a place, in which order, in which form."""
import signal
import subprocess
from datetime import datetime

TOPIC = "local:log.db#raw"


def fill(weir_cli):
    """Keys a, b, c in turn; partition and order follow."""
    lines = [f'{{"k":"{"abc"[n % 3]}","n":{n}}}' for n in range(30)]
    weir_cli("produce", TOPIC, "--key", "k", data="\n".join(lines).encode())
    return lines


def test_which_records(weir_cli):
    lines = fill(weir_cli)
    records = weir_cli.records(TOPIC)
    assert sorted(record["value"] for record in records) == sorted(lines)
    partition = records[0]["partition"]
    of_partition = [record for record in records if record["partition"] == partition]
    assert weir_cli.records(TOPIC, "--partition", partition) == of_partition
    assert weir_cli.records(TOPIC, "--partition", partition, "--from", 3) == of_partition[3:]
    assert weir_cli.records(TOPIC, "--partition", partition, "--from", 3, "--count", 2) == \
        of_partition[3:5]
    assert weir_cli.records(TOPIC, "--from", 1000) == []
    assert weir_cli.records(TOPIC, "--from", "latest") == []
    assert weir_cli.records(TOPIC, "--from", "earliest", "--count", 7) == records[:7]
    assert weir_cli.records(TOPIC, "--key", "b") == [r for r in records if r["key"] == "b"]
    assert weir_cli.records(TOPIC, "--where-value", '"n":12}') == \
        [r for r in records if r["value"] == lines[12]]
    assert "partitions 0 to 2" in weir_cli("tail", TOPIC, "--partition", 3, status=2).err


def test_partitions_are_joined_in_the_order_of_their_appends(weir_cli):
    for n in range(12):
        weir_cli("produce", TOPIC, data=b"%d\n" % n)
    records = weir_cli.records(TOPIC)
    assert len({record["partition"] for record in records}) == 3
    times = [datetime.fromisoformat(record["timestamp"]) for record in records]
    assert times == sorted(times)
    assert [int(r["value"]) for r in records] == list(range(12))


def test_follow_sees_what_comes(weir_cli):
    weir_cli("produce", TOPIC, data=b"before\n")
    process = weir_cli.start("tail", TOPIC, "--follow", "--from", "latest", "--count", "2")
    follower = weir_cli.start("tail", TOPIC, "--follow")
    assert follower.stdout.readline() == b"before\n"
    for line in (b"one\n", b"two\n"):
        weir_cli("produce", TOPIC, data=line)
        assert follower.stdout.readline() == line
    # This one may have begun before or after the first; the count ends it.
    weir_cli("produce", TOPIC, data=b"three\nfour\n")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 2
    follower.send_signal(signal.SIGTERM)
    rest, err = follower.communicate(timeout=60)
    assert follower.returncode == 0, err
    assert rest in (b"", b"three\n", b"three\nfour\n")


def test_files_and_folders_and_standard_input(weir_cli):
    lines = b"one\ntwo\n\xff\nlast"
    (weir_cli.folder / "in").write_bytes(lines)
    assert weir_cli("tail", "file:in").out == lines + b"\n"
    assert weir_cli("tail", "-", data=lines).out == lines + b"\n"
    assert weir_cli("tail", "file:in", "--from", 4).out == b"two\n\xff\nlast\n"
    records = weir_cli.records("file:in")
    assert [record["offset"] for record in records] == [0, 4, 8, 10]
    assert records[2]["value_base64"] == "/w==" and records[2]["timestamp"] is None

    folder = weir_cli.folder / "parts"
    folder.mkdir()
    (folder / ".weir").mkdir()
    (folder / "0-b.ndjson").write_bytes(b"3\n")
    (folder / "0-a.ndjson").write_bytes(b"1\n2\n")
    (folder / "0-c.ndjson.tmp").write_bytes(b"no\n")
    assert weir_cli("tail", "file:parts").out == b"1\n2\n3\n"

    follower = weir_cli.start("tail", "file:in", "--follow")
    assert [follower.stdout.readline() for _ in range(3)] == [b"one\n", b"two\n", b"\xff\n"]
    with open(weir_cli.folder / "in", "ab") as grown:
        grown.write(b" line\nnext\nhalf")
        grown.flush()
        assert follower.stdout.readline() == b"last line\n"
        assert follower.stdout.readline() == b"next\n"
        grown.write(b" done\n")
    assert follower.stdout.readline() == b"half done\n"
    follower.send_signal(signal.SIGTERM)
    _, err = follower.communicate(timeout=60)
    assert follower.returncode == 0, err


def test_headers_of_plain_records(weir_cli):
    weir_cli("produce", TOPIC, data=b"a\n")
    assert weir_cli("tail", TOPIC, "--headers").out == b"\ta\n"


def test_a_corrupted_row_is_named_and_not_skipped(weir_cli):
    weir_cli("produce", TOPIC, "--partitions", "1", data=b"a\n" * 5000)
    weir_cli("produce", TOPIC, data=b"b\n" * 5000)
    with weir_cli.database("log.db") as database:
        rows = database.execute("SELECT position, base_offset, bytes FROM weir_batch "
                                "ORDER BY position").fetchall()
        assert len(rows) > 2
        position, base_offset, data = rows[1]
        data = data[:70] + bytes([data[70] ^ 1]) + data[71:]
        database.execute("UPDATE weir_batch SET bytes = ? WHERE position = ?", (data, position))
    result = weir_cli("tail", TOPIC, status=3)
    assert "log.corrupt" in result.err and "raw" in result.err and str(base_offset) in result.err
    assert len(result.out.splitlines()) == base_offset


def test_a_reader_of_its_own_time(weir_cli):
    """tail ends at what was there when it began, also while others write on."""
    weir_cli("produce", TOPIC, data=b"x\n" * 1000)
    writer = weir_cli.start("produce", TOPIC, "--batch-interval", "1ms", stdin=subprocess.PIPE)
    writer.stdin.write(b"y\n" * 100)
    writer.stdin.flush()
    count = len(weir_cli.values(TOPIC))
    assert 1000 <= count <= 1100
    writer.communicate(timeout=60)
    assert len(weir_cli.values(TOPIC)) == 1100
