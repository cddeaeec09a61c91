"""weir list: what the program knows, out of its own tables; and the JSON Schema for editors."""
import copy
import json
import re
import subprocess

import pytest

try:
    import yaml
except ImportError:
    yaml = None

LISTS = ["connectors", "stages", "reasons", "formats", "functions", "keys", "metrics"]


def listed(weir_cli, name):
    return json.loads(weir_cli("list", name, "--json").out)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_is_a_table_and_json(weir_cli, name):
    rows = listed(weir_cli, name)
    lines = weir_cli("list", name).out.decode().splitlines()
    assert len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:]):
        # Cells stand in their order; a table cuts nothing.
        at = 0
        for cell in row.values():
            assert cell in line[at:], (cell, line)
            at = line.index(cell, at) + len(cell)


def test_the_lists_hold_what_is_there(weir_cli, root):
    kinds = {(row["kind"], row["as"]) for row in listed(weir_cli, "connectors")}
    assert {("local", "source"), ("local", "sink, dlq"), ("sqlite", "sink, dlq"), ("file", "source"),
            ("stdin", "source")} <= kinds
    keys = {row["key"]: row for row in listed(weir_cli, "keys")}
    assert keys["dedup.window"] == {"key": "dedup.window", "type": "duration or unlimited",
                                    "required": "required",
                                    "what": "how long a key is remembered, in event time"}
    assert "sinks.NAME.sqlite.newest_by" in keys and "checks[].severity" in keys
    assert all(row["key"] in keys for row in listed(weir_cli, "stages"))
    assert "json" in {row["format"] for row in listed(weir_cli, "formats")}
    assert "coalesce" in {row["function"] for row in listed(weir_cli, "functions")}
    assert "random" not in {row["function"] for row in listed(weir_cli, "functions")}
    metrics = {row["metric"]: row for row in listed(weir_cli, "metrics")}
    assert metrics["weir_verdicts_total"]["labels"] == "pipeline, topic, partition, verdict"
    # The reference has every reason.
    reference = (root / "docs/pipeline.md").read_text()
    for row in listed(weir_cli, "reasons"):
        if not row["reason"].startswith("sink."):
            assert f"`{row['reason']}`" in reference, row
            assert row["verdict"] in reference


def test_metrics_are_named_as_the_field_does(weir_cli):
    for row in listed(weir_cli, "metrics"):
        assert re.fullmatch(r"(weir|process)_[a-z_]+", row["metric"])
        assert row["metric"].endswith("_total") == (row["kind"] == "counter")


def test_unknown_lists(weir_cli):
    assert "did you mean 'reasons'?" in weir_cli("list", "reason", status=2).err
    assert "jsonschema" in weir_cli("list", "--format", "yaml", status=2).err


def test_all_lists_at_once_and_the_schema_by_its_option(weir_cli):
    everything = json.loads(weir_cli("list", "--format", "json").out)
    assert everything["reasons"] == listed(weir_cli, "reasons")
    assert set(everything) == {"connectors", "stages", "reasons", "formats", "functions", "keys",
                               "metrics"}
    assert b"decode.syntax" in weir_cli("list").out
    assert weir_cli("list", "--format", "jsonschema").out == weir_cli("list", "jsonschema").out


# --- the JSON Schema ---

@pytest.fixture(scope="module")
def validator(weir):
    """Somebody else's judgement."""
    if yaml is None:
        pytest.skip("no Python package yaml")
    jsonschema = pytest.importorskip("jsonschema", reason="no Python package jsonschema")
    schema = json.loads(subprocess.run([weir, "list", "jsonschema"], capture_output=True,
                                       check=True).stdout)
    kind = getattr(jsonschema, "Draft202012Validator", None)
    if kind is None:
        pytest.skip("this jsonschema does not know draft 2020-12")
    kind.check_schema(schema)
    return kind(schema)


def complaints(validator, pipeline):
    return [error.message for error in validator.iter_errors(pipeline)]


def test_every_example_is_valid(validator, root):
    examples = [path for path in (root / "examples").rglob("*.yaml")
                if "version" in (yaml.safe_load(path.read_text()) or {})]
    assert len(examples) >= 5
    for path in examples:
        assert complaints(validator, yaml.safe_load(path.read_text())) == [], path


def change(pipeline, path, value):
    """The pipeline with one thing changed; `...` takes it out."""
    changed = copy.deepcopy(pipeline)
    at = changed
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed


WRONG = [
    (["nmae"], "iot"),
    (["version"], ...),
    (["version"], "one"),
    (["name"], "a b"),
    (["sinks"], ...),
    (["sinks", "validated", "local", "tpoic"], "x"),
    (["sinks", "readings", "sqlite", "mode"], "merge"),
    (["source", "local", "path"], 7),
    (["event_time", "lateness"], "ten minutes"),
    (["event_time", "lateness"], 10),
    (["checks", 0, "name"], ...),
    (["dedup"], []),
    (["dedup", "window"], "for ever"),
    (["checks", 0, "expect"], ...),
    (["checks"], {}),
    (["delivery", "guarantee"], "most_once"),
    (["state"], {"memory": "lots"}),
    (["retry"], {"jitter": 20}),
    (["retry"], {"attempts": 0}),
    (["http"], {}),
    (["monitors"], {"a": 1}),
]


@pytest.mark.parametrize("path, value", WRONG)
def test_what_is_wrong_for_lint_is_wrong_for_editors(validator, iot, path, value):
    pipeline = yaml.safe_load((iot.folder / "iot.yaml").read_text())
    wrong = change(pipeline, path, value)
    assert complaints(validator, pipeline) == []
    assert complaints(validator, wrong), wrong
    (iot.folder / "wrong.yaml").write_text(json.dumps(wrong))
    assert "wrong.yaml:" in iot("lint", "wrong.yaml", status=2).err


RIGHT = [
    (["name"], "${NAME}"),
    (["delivery", "commit_interval"], "1m30s"),
    (["delivery", "commit_interval"], 0),
    (["dedup", "window"], "unlimited"),
    (["dedup", "key"], ["message_id", "sensor_id"]),
    (["state"], {"memory": "1.5GiB", "snapshot_interval": "250ms"}),
    (["retry"], {"initial": "1s", "factor": 1.5, "jitter": "20%", "attempts": 5, "then": "stop"}),
    (["http"], {"listen": "127.0.0.1:0"}),
]


@pytest.mark.parametrize("path, value", RIGHT)
def test_what_is_fine_for_lint_is_fine_for_editors(validator, iot, path, value, monkeypatch):
    monkeypatch.setenv("NAME", "iot")
    right = change(yaml.safe_load((iot.folder / "iot.yaml").read_text()), path, value)
    assert complaints(validator, right) == []
    (iot.folder / "right.yaml").write_text(json.dumps(right))
    iot("lint", "right.yaml")
