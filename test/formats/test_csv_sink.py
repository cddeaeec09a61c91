"""A folder of CSV files as a sink: read back by Python's csv module and by weir, and proved by audit."""
import csv
import json
import random
import subprocess

import pytest

SCHEMA = """{type: object, required: [id], properties: {
    id: {type: integer}, x: {type: number}, ok: {type: [boolean, 'null']}, t: {type: string},
    o: {type: object, properties: {in: {type: string}}}, any: {type: [integer, string]},
    list: {type: array}}}"""
PIPELINE = f"""
version: 1
name: out
source: {{file: {{path: a.ndjson}}}}
schema: {SCHEMA}
transform: {{set: {{twice: id * 2}}, drop: [none]}}
sinks: {{rows: {{file: {{path: out, format: csv}}}}}}
"""
BACK = f"""
version: 1
name: back
source: {{file: {{path: out}}, format: csv}}
schema: {SCHEMA}
transform: {{drop: [twice]}}
sinks: {{rows: {{file: {{path: back}}}}}}
"""


def call(weir, folder, *arguments, status=0):
    done = subprocess.run([weir, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    return done.stdout


def make_rows(seed):
    choose = random.Random(seed)
    texts = ["", "a", "a,b", 'q"q', '"', "line\nbreak", "cr\rx", " space ", "ü", "\x00", "NA", "1,5"]
    rows = []
    for number in range(500):
        row = {"id": number}
        if choose.random() < .8:
            row["x"] = choose.choice([0, 1.5, -2e300, 1e-7, choose.random()])
        if choose.random() < .8:
            row["ok"] = choose.choice([True, False, None])
        if choose.random() < .8:
            row["t"] = choose.choice(texts)
        if choose.random() < .5:
            row["o"] = {"in": choose.choice(texts)}
        if choose.random() < .8:
            row["any"] = choose.choice([7, -1, "7", "x", "true"])
        if choose.random() < .3:
            row["list"] = choose.choice([[], [1, "a,\"b"], [None]])
        rows.append(row)
    return rows


@pytest.fixture
def written(weir, tmp_path, seed):
    rows = make_rows(seed)
    (tmp_path / "a.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.yaml").write_text(PIPELINE)
    call(weir, tmp_path, "run", "p.yaml", "--until-end")
    return tmp_path, rows


def test_python_reads_it(written):
    folder, rows = written
    parts = sorted((folder / "out").glob("*.csv"))
    assert parts and not list((folder / "out").glob("*.ndjson"))
    with open(parts[0], newline="") as file:
        found = list(csv.DictReader(file, strict=True))
    assert list(found[0]) == ["id", "x", "ok", "t", "o.in", "any", "list", "twice"]
    assert len(found) == len(rows)
    for row, cells in zip(rows, found):
        assert (int(cells["id"]), int(cells["twice"])) == (row["id"], row["id"] * 2)
        assert cells["t"] == row.get("t", "") and cells["o.in"] == row.get("o", {}).get("in", "")
        assert (float(cells["x"]) if cells["x"] else None) == row.get("x")
        assert cells["ok"] == {True: "true", False: "false", None: ""}[row.get("ok")]


def test_weir_reads_back_what_it_wrote(weir, written):
    folder, rows = written
    (folder / "back.yaml").write_text(BACK)
    call(weir, folder, "run", "back.yaml", "--until-end")
    found = [json.loads(line) for part in (folder / "back").glob("*.ndjson")
             for line in part.read_text().split("\n") if line]
    for row in rows:
        if row.get("ok", 0) is None:
            del row["ok"]
    assert sorted(found, key=lambda row: row["id"]) == rows


@pytest.mark.parametrize("old, new", [("a", "b"), ("id,x", "x,id"), ("\n7,", "\n8,")])
def test_audit_finds_what_was_altered(weir, written, old, new):
    folder, _ = written
    assert "altered 0" in call(weir, folder, "audit", "p.yaml")
    part = next((folder / "out").glob("*.csv"))
    text = part.read_bytes().decode()
    assert old in text
    part.write_bytes(text.replace(old, new, 1).encode())
    call(weir, folder, "audit", "p.yaml", status=1)


def test_a_folder_keeps_its_format(weir, written):
    folder, _ = written
    (folder / "p.yaml").write_text(PIPELINE.replace(", format: csv", ""))
    done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=folder, capture_output=True,
                          text=True)
    assert done.returncode == 2 and "sink.other_rule" in done.stderr, done.stderr


def test_dead_letters_are_no_csv(weir, tmp_path):
    (tmp_path / "a.ndjson").write_text("{}\n")
    (tmp_path / "p.yaml").write_text(PIPELINE + "dlq: {file: {path: dlq, format: csv}}\n")
    done = subprocess.run([weir, "lint", "p.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "dead letters are JSON" in done.stderr
