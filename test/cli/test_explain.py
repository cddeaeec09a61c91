"""weir explain: what is promised, why, and what would mend it."""
import json

import pytest

IN_PLACE = """
version: 1
name: p
source: {file: {path: in.ndjson}, format: json}
schema: {type: object, properties: {id: {type: string}, at: {type: string, format: date-time}}}
sinks: {out: {file: {path: parts}}}
"""


def explained(weir_cli, pipeline="iot.yaml"):
    """About → line."""
    lines = json.loads(weir_cli("explain", pipeline, "--json").out)
    text = weir_cli("explain", pipeline).out.decode()
    for line in lines:
        assert f"{line['level']}  {line['about']}: {line['what']}\n" in text
        assert not line["do"] or f"      to do: {line['do']}\n" in text
    return {line["about"]: line for line in lines}


def levels(lines):
    return {about: line["level"] for about, line in lines.items()}


@pytest.fixture
def filled(iot):
    iot("gen", "local:iot.db#raw_iot_data", "--count", 1000, "--partitions", 2)
    return iot


def change(iot, old, new):
    path = iot.folder / "iot.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_before_and_after_the_first_start(filled):
    lines = explained(filled)
    assert "it has not run yet" in lines["plan"]["what"]
    assert set(levels(lines).values()) == {"fine", "note"}
    assert lines["in all"]["what"] == "exactly once from end to end"
    assert "sqlite, exactly once (upsert by key)" in lines["sink readings"]["what"]
    assert "up to 40m apart in event time (window + lateness)" in lines["dedup"]["what"]
    assert "all 1000 records" in lines["state"]["what"]
    assert "max_future: not more than 5m" in lines["event time"]["what"]
    filled("run", "iot.yaml", "--until-end")
    assert explained(filled)["plan"]["what"].endswith("the same as in the progress record")


def test_it_changes_nothing_and_needs_no_ownership(filled, wait_until):
    filled("run", "iot.yaml", "--until-end")
    before = (filled.folder / "iot.db").read_bytes()
    explained(filled)
    assert (filled.folder / "iot.db").read_bytes() == before
    process = filled.start("run", "iot.yaml")
    wait_until(lambda: json.loads(filled("lag", "iot.yaml", "--for", "0s", "--json").out)["running"])
    explained(filled)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_what_a_changed_file_would_do(filled):
    filled("run", "iot.yaml", "--until-end")
    change(filled, "window: 30m", "window: 2h")
    change(filled, "temperature * 1.8 + 32", "temperature * 1.8")
    plan = explained(filled)["plan"]
    assert plan["level"] == "note" and "changed since the last run (dedup, transform)" in plan["what"]
    assert "remembers longer" in plan["what"]
    schema = filled.folder / "sensor.schema.json"
    schema.write_text(schema.read_text().replace('"maximum": 85', '"maximum": 90'))
    change(filled, "window: 2h", "window: 30m")
    plan = explained(filled)["plan"]
    assert "(transform, schema)" in plan["what"] and "remembers longer" not in plan["what"]
    # Knobs are no change.
    change(filled, "temperature * 1.8", "temperature * 1.8 + 32")
    schema.write_text(schema.read_text().replace('"maximum": 90', '"maximum": 85'))
    change(filled, "commit_interval: 100ms", "commit_interval: 1s")
    assert explained(filled)["plan"]["level"] == "fine"


def test_retention_against_what_is_remembered(filled):
    # State of examples/iot.yaml reaches back 65 minutes.
    for keep, level in (("1h", "weak"), ("2h", "weak"), ("3h", "fine")):
        filled("topic", "alter", "local:iot.db#raw_iot_data", "--retention", keep)
        line = explained(filled)["retention"]
        assert line["level"] == level and f"keeps {keep}" in line["what"], line
    assert explained(filled)["retention"]["do"] == ""


def test_what_guards_times(filled):
    change(filled, ", max_future: 5m", "")
    line = explained(filled)["event time"]
    assert line["level"] == "weak" and line["do"] == "set event_time.max_future"


def test_a_source_that_cannot_be_read_again_is_the_weakest_hop(weir_cli):
    (weir_cli.folder / "p.yaml").write_text(
        IN_PLACE.replace("file: {path: in.ndjson}", "stdin: {}") +
        "event_time: {field: at}\ndelivery: {guarantee: at_least_once}\n")
    lines = explained(weir_cli, "p.yaml")
    assert lines["source"]["level"] == "weak" and "weir produce" in lines["source"]["do"]
    assert "the weakest hop is source" in lines["in all"]["what"]
    assert lines["sink out"]["level"] == "weak"
    assert "max_jump" in lines["event time"]["do"]
    assert lines["dlq"]["level"] == "weak" and "none" in lines["dlq"]["what"]
    assert not (weir_cli.folder / "parts").exists()


def test_systems_that_stand_apart(weir_cli):
    (weir_cli.folder / "in.ndjson").write_bytes(b'{"id":"a"}\n')
    (weir_cli.folder / "p.yaml").write_text(IN_PLACE)
    weir_cli("run", "p.yaml", "--until-end")
    lines = explained(weir_cli, "p.yaml")
    assert "systems" not in lines
    (weir_cli.folder / "p.yaml").write_text(IN_PLACE.replace(
        "{out:", "{log: {local: {path: out.db, topic: t}}, out:"))
    lines = explained(weir_cli, "p.yaml")
    assert lines["systems"]["what"].startswith("2, each with a progress record of its own")


def test_what_is_not_there(weir_cli):
    (weir_cli.folder / "p.yaml").write_text(IN_PLACE)
    assert "in.ndjson" in weir_cli("explain", "p.yaml", status=2).err
