"""The whole program against the executable model of the design, models/stages.py beside it: random logs as
files, each a partition, judged in two runs, the second of which finds longer files and rebuilds its
state from a snapshot or by replay."""
import datetime
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import types

import pytest

EPOCH = datetime.datetime(2026, 1, 1)
ROWS = 300
LOGS_A_RULE = 40


@pytest.fixture(scope="session")
def model(shared):
    """models/stages.py as a module; its last line, which runs it as a program, is left out."""
    path = shared / "models/stages.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    text = path.read_text()
    assert text.rstrip().endswith("sys.exit(main())")
    module = types.ModuleType("stages")
    sys.modules["stages"] = module
    exec(compile(text[:text.rindex("sys.exit(main())")], path, "exec"), module.__dict__)
    return module


def pipeline(rule, paths):
    return {
        "version": 1,
        "name": "model",
        "source": {"file": {"path": paths}, "format": "json"},
        "schema": {
            "type": "object",
            "required": ["value"],
            "properties": {
                "log": {"type": "integer"},
                "row": {"type": "integer"},
                "at": {"type": "string", "format": "date-time"},
                "key": {"type": "string"},
                "sensor": {"type": "integer"},
                "value": {"type": "integer"},
                "least": {"type": "integer"},
            },
        },
        "repair": {"fill": {"value": {"last_by": "sensor", "max_age": f"{rule.max_age}s"}}},
        "event_time": {"field": "at", "lateness": f"{rule.lateness}s"},
        "checks": [{"name": "least", "expect": "value >= least"}],
        "dedup": {"key": "key", "window": f"{rule.window}s"},
        "sinks": {"out": {"sqlite": {"path": "out.db", "table": "valid"}}},
        "dlq": {"sqlite": {"path": "out.db", "table": "dead"},
                "include": ["invalid", "late", "duplicate", "filtered"]},
        "state": {"path": "state"},
    }


def line_of(log, number, row):
    """A row of the model as a line of JSON; members in the order that comes."""
    event_time, key, sensor, value, least = row
    members = {"log": log, "row": number, "sensor": sensor, "least": least}
    if event_time is not None:
        members["at"] = (EPOCH + datetime.timedelta(seconds=event_time)).isoformat() + "Z"
    members.update({name: member for name, member in (("key", key), ("value", value))
                    if member is not None})
    return json.dumps(members) + "\n"


def expected_of(model, log, rule):
    """(verdict, what distinguishes it) of each row; `log` holds the model's rows."""
    state = model.State()
    verdicts = []
    for number, row in enumerate(log):
        verdict, detail = model.step(state, number, row, rule)
        if verdict == "INVALID" and detail.startswith("check"):
            detail = "check.least"
        verdicts.append((verdict, None if verdict == "LATE" else detail))
    return verdicts


def found_in(folder, starts):
    """The same from the tables: log → row → (verdict, …); `starts`: log → byte offset → row."""
    names = {f"log{log}.ndjson": log for log in starts}
    found = {log: {} for log in starts}
    database = sqlite3.connect(folder / "out.db")
    for log, row, value in database.execute("SELECT log, row, value FROM valid"):
        assert row not in found[log]
        found[log][row] = ("VALID", value)
    for topic, offset, reason, detail in database.execute(
            'SELECT topic, "offset", reason, detail FROM dead'):
        log = names[topic]
        row = starts[log][offset]
        assert row not in found[log]
        if reason == "duplicate":
            witness = int(detail.removeprefix("of offset "))
            found[log][row] = ("DUPLICATE", starts[log][witness])
        else:
            found[log][row] = ("LATE", None) if reason == "late" else ("INVALID", reason)
    database.close()
    return found


def run(weir, folder):
    done = subprocess.run([weir, "run", "pipeline.yaml", "--until-end"], cwd=folder, text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr


def write_logs(folder, logs, cuts, part):
    """The lines of all logs before their cut (part 0), or behind it (part 1)."""
    for number, lines in enumerate(logs):
        with open(folder / f"log{number}.ndjson", "a", encoding="ascii") as file:
            file.writelines(lines[:cuts[number]] if part == 0 else lines[cuts[number]:])


def offsets_of(lines):
    starts, at = {}, 0
    for number, line in enumerate(lines):
        starts[at] = number
        at += len(line)
    return starts


@pytest.mark.parametrize("rebuild", ["snapshot", "replay"])
def test_the_program_follows_the_model(weir, model, seed, long_run, tmp_path, rebuild):
    rng = random.Random(seed)
    for number in range(20 if long_run else 4):
        rule = model.Rule(rng.choice([0, 5, 20, 60]), rng.choice([5, 40, 100]),
                          rng.choice([5, 20, 100, 200]))
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = [model.random_log(rng, ROWS, rule) for _ in range(LOGS_A_RULE)]
        logs = [[line_of(log, *row) for row in enumerate(rows[log])] for log in range(len(rows))]
        cuts = [rng.randrange(1, ROWS) for _ in logs]
        paths = [f"log{log}.ndjson" for log in range(len(logs))]
        (folder / "pipeline.yaml").write_text(json.dumps(pipeline(rule, paths)))
        write_logs(folder, logs, cuts, 0)
        run(weir, folder)
        assert (folder / "state").is_dir()
        if rebuild == "replay":
            shutil.rmtree(folder / "state")
        write_logs(folder, logs, cuts, 1)
        run(weir, folder)
        found = found_in(folder, {log: offsets_of(lines) for log, lines in enumerate(logs)})
        for log in range(len(logs)):
            for row, expected in enumerate(expected_of(model, rows[log], rule)):
                assert found[log].get(row) == expected, \
                    f"{rule}: log {log} (cut at {cuts[log]}), row {row}: {rows[log][row]}"


def test_a_neighbour_of_the_rule_is_told_apart(weir, model, seed, tmp_path):
    """The same comparison with a wrong model fails, so it can."""
    rng = random.Random(seed)
    rule = model.Rule(20, 40, 100)
    rows = [model.random_log(rng, ROWS, rule) for _ in range(LOGS_A_RULE)]
    logs = [[line_of(log, *row) for row in enumerate(rows[log])] for log in range(len(rows))]
    paths = [f"log{log}.ndjson" for log in range(len(logs))]
    (tmp_path / "pipeline.yaml").write_text(json.dumps(pipeline(rule, paths)))
    write_logs(tmp_path, logs, [ROWS] * len(logs), 0)
    run(weir, tmp_path)
    found = found_in(tmp_path, {log: offsets_of(lines) for log, lines in enumerate(logs)})

    def differs(**change):
        wrong = model.Rule(20, 40, 100, **change)
        return any([found[log].get(row) for row in range(ROWS)] != expected_of(model, rows[log], wrong)
                   for log in range(len(logs)))

    assert not differs()
    for change in ({"refresh": False}, {"late_registers": True},
                   {"fill_expires_by_watermark": False}):
        assert differs(**change), change
