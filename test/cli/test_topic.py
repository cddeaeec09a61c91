"""topic: make, list, describe, delete."""
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
    assert table[0].split() == ["topic", "partitions", "records", "bytes"]
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
