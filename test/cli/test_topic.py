"""topic: make, list, describe, change, delete, trim, verify."""
import json

LOG = "local:log.db"


def test_the_life_of_a_topic(weir_cli):
    assert "created" in weir_cli("topic", "create", f"{LOG}#raw", "--partitions", "4").err
    assert "was there already" in weir_cli("topic", "create", f"{LOG}#raw").err
    assert "was there already" in weir_cli("topic", "create", f"{LOG}#raw", "--partitions", "4").err
    assert "topic.exists" in weir_cli("topic", "create", f"{LOG}#raw", "--partitions", "5",
                                      status=2).err
    weir_cli("topic", "create", f"{LOG}#other")
    weir_cli("produce", f"{LOG}#raw", data=b"a\nb\nc\n")

    listed = json.loads(weir_cli("topic", "list", LOG, "--json").out)
    assert [(t["topic"], t["partitions"], t["records"]) for t in listed] == \
        [("other", 3, 0), ("raw", 4, 3)]
    table = weir_cli("topic", "list", LOG).out.decode().splitlines()
    assert table[0].split() == ["topic", "partitions", "records", "bytes", "keeps"]
    assert table[2].split()[:3] == ["raw", "4", "3"]

    described = json.loads(weir_cli("topic", "describe", f"{LOG}#raw", "--json").out)
    assert described["topic"] == "raw" and len(described["id"]) == 36
    assert [p["next_offset"] for p in described["partitions"]] == [3, 0, 0, 0]
    assert sum(p["bytes"] for p in described["partitions"]) > 0
    assert described["groups"] == []
    assert described["id"] in weir_cli("topic", "describe", f"{LOG}#raw").out.decode()

    assert "3 records" in weir_cli("topic", "delete", f"{LOG}#raw", status=2).err
    assert len(weir_cli.values(f"{LOG}#raw")) == 3
    assert "deleted" in weir_cli("topic", "delete", f"{LOG}#raw", "--yes").err
    assert "topic.missing" in weir_cli("topic", "describe", f"{LOG}#raw", status=2).err
    assert "topic.missing" in weir_cli("topic", "delete", f"{LOG}#raw", "--yes", status=2).err
    weir_cli("topic", "create", f"{LOG}#raw", "--partitions", "5")
    again = json.loads(weir_cli("topic", "describe", f"{LOG}#raw", "--json").out)
    assert again["id"] != described["id"] and len(again["partitions"]) == 5


def test_an_empty_log_has_no_topics(weir_cli):
    weir_cli("topic", "create", f"{LOG}#raw")
    weir_cli("topic", "delete", f"{LOG}#raw", "--yes")
    assert json.loads(weir_cli("topic", "list", LOG, "--json").out) == []
    assert "log.missing" in weir_cli("topic", "list", "local:none.db", status=2).err


def test_groups_and_their_lag(iot):
    iot("gen", "iot.yaml:source", "--count", "300")
    iot("run", "iot.yaml", "--until-end")
    iot("gen", "iot.yaml:source", "--count", "30", "--seed", "2")
    described = json.loads(iot("topic", "describe", "iot.yaml:source", "--json").out)
    assert sum(group["lag"] for group in described["groups"]) == 30
    assert {group["group"] for group in described["groups"]} == {"iot"}
    assert sum(group["next_offset"] for group in described["groups"]) == 300
    assert "lag" in iot("topic", "describe", "iot.yaml:source").out.decode()


def describe(program, place):
    return json.loads(program("topic", "describe", place, "--json").out)


def test_limits_of_a_topic(weir_cli):
    place = f"{LOG}#raw"
    assert "keeps 7d, 10GiB" in weir_cli("topic", "create", place, "--retention", "7d",
                                         "--retention-bytes", "10GiB").err
    assert "keeps 7d, 10GiB" in weir_cli("topic", "create", place).err
    assert "alter" in weir_cli("topic", "create", place, "--retention", "8d", status=2).err
    assert "keeps 7d, 10GiB" in weir_cli("topic", "describe", place).out.decode()
    assert "keeps 12h, 10GiB" in weir_cli("topic", "alter", place, "--retention=12h").err
    found = describe(weir_cli, place)
    assert (found["retention_seconds"], found["retention_bytes"]) == (12 * 3600, 10 << 30)
    weir_cli("topic", "alter", place, "--retention", "unlimited", "--retention-bytes", "unlimited")
    assert "keeps all" in weir_cli("topic", "describe", place).out.decode()
    listed = json.loads(weir_cli("topic", "list", LOG, "--json").out)
    assert listed[0]["retention_seconds"] is None and listed[0]["retention_bytes"] is None
    weir_cli("topic", "alter", place, status=2)
    weir_cli("topic", "alter", place, "--retention", "0s", status=2)
    weir_cli("topic", "alter", place, "--retention-bytes", "10", status=2)
    weir_cli("topic", "alter", f"{LOG}#none", "--retention", "1s", status=2)
    weir_cli("topic", "create", "local:other.db#raw", "--retention", "soon", status=2)
    assert not (weir_cli.folder / "other.db").exists()


def test_sizes_and_times(weir_cli):
    place = f"{LOG}#raw"
    weir_cli("topic", "create", place, "--partitions", "1")
    weir_cli("produce", place, data=b"".join(b"a line that says the same\n" for _ in range(1000)))
    weir_cli("produce", place, data=b"one more\n")
    partition, = describe(weir_cli, place)["partitions"]
    assert (partition["records"], partition["batches"]) == (1001, 2)
    assert partition["uncompressed_bytes"] > 25000 > 8000 > partition["bytes"] > 100
    times = [record["timestamp"] for record in weir_cli.records(place)]
    assert (partition["oldest"], partition["newest"]) == (times[0], times[-1])
    assert "uncompressed" in weir_cli("topic", "describe", place).out.decode()


def test_trim_deletes_what_no_topic_keeps(weir_cli):
    place = f"{LOG}#raw"
    weir_cli("topic", "create", place, "--partitions", "1")
    for number in range(6):
        weir_cli("produce", place, data=b"%d\n" % number)
    before = weir_cli.records(place)
    assert "6 small batches merged into 1" in weir_cli("topic", "trim", LOG).err
    assert weir_cli.records(place) == before
    weir_cli("topic", "alter", place, "--retention", "1us")
    assert "6 old records in 1 batches deleted" in weir_cli("topic", "trim", LOG).err
    assert weir_cli.records(place) == []
    weir_cli("produce", place, data=b"6\n")
    assert [record["offset"] for record in weir_cli.records(place)] == [6]
    assert "log.missing" in weir_cli("topic", "trim", "local:none.db", status=2).err


def test_verify_names_what_is_damaged(weir_cli):
    place = f"{LOG}#raw"
    weir_cli("topic", "create", place, "--partitions", "2")
    for number in range(3):
        weir_cli("produce", place, "--key", "k", data=b'{"k":"a","n":%d}\n' % number)
    assert "3 records in 3 batches are sound" in weir_cli("topic", "verify", LOG).err
    database = weir_cli.database("log.db")
    (position, partition), = database.execute(
        "SELECT position, partition FROM weir_batch WHERE base_offset = 1")
    blob, = database.execute("SELECT bytes FROM weir_batch WHERE position = ?",
                             (position,)).fetchone()
    for byte in range(len(blob)):
        damaged = bytearray(blob)
        damaged[byte] ^= 4
        database.execute("UPDATE weir_batch SET bytes = ? WHERE position = ?", (damaged, position))
        if byte % 7 == 0:
            found = weir_cli("topic", "verify", LOG, status=3)
            assert found.out.decode().startswith(f"topic raw, partition {partition}, offset 1: ")
            assert "log.corrupt" in weir_cli("tail", place, status=3).err
    database.execute("DELETE FROM weir_batch WHERE position = ?", (position,))
    assert "offset 1: its row is missing" in weir_cli("topic", "verify", LOG, status=3).out.decode()
    database.execute("UPDATE weir_batch SET bytes = x'00' WHERE base_offset = 0")
    found = weir_cli("topic", "verify", LOG, status=3)
    assert "2 places" in found.err and "offset 0: " in found.out.decode()
