"""A schema of several files is one plan: what any of them says is stored with it."""

import subprocess

import pytest

PIPELINE = """
version: 1
name: files
source: {file: {path: in.ndjson}}
schema: schemas/s.yaml
sinks: {good: {file: {path: good}}}
dlq: {file: {path: bad}}
"""
SCHEMA = "{properties: {a: {$ref: 'parts/number.yaml#/$defs/n'}, b: {$ref: s.yaml#/$defs/b}}, " \
         "$defs: {b: {type: string}}}"
NUMBER = "$defs: {n: {type: integer, maximum: %d}}"


@pytest.fixture
def run(weir, tmp_path):
    (tmp_path / "schemas/parts").mkdir(parents=True)
    (tmp_path / "p.yaml").write_text(PIPELINE)
    (tmp_path / "schemas/s.yaml").write_text(SCHEMA)
    (tmp_path / "schemas/parts/number.yaml").write_text(NUMBER % 5)
    (tmp_path / "in.ndjson").write_text('{"a":5,"b":"x"}\n{"a":6}\n{"b":1}\n')

    def weir_in_folder(*arguments):
        return subprocess.run([weir, *arguments], capture_output=True, text=True, cwd=tmp_path,
                              timeout=60)

    return weir_in_folder


def plan_of(run):
    found = run("lint", "p.yaml")
    assert found.returncode == 0, found.stderr
    return next(line for line in found.stdout.splitlines() if line.startswith("plan: "))


def rows(tmp_path, place):
    return [line for part in sorted((tmp_path / place).glob("*.ndjson"))
            for line in part.read_text().splitlines()]


def test_each_row_is_judged_by_the_files_of_its_time(run, tmp_path):
    before = plan_of(run)
    assert run("run", "p.yaml", "--until-end").returncode == 0
    assert rows(tmp_path, "good") == ['{"a":5,"b":"x"}']
    (tmp_path / "schemas/parts/number.yaml").write_text(NUMBER % 7)
    assert plan_of(run) != before
    with (tmp_path / "in.ndjson").open("a") as lines:
        lines.write('{"a":7}\n{"a":8}\n')
    found = run("run", "p.yaml", "--until-end")
    assert found.returncode == 0, found.stderr
    assert rows(tmp_path, "good") == ['{"a":5,"b":"x"}', '{"a":7}']
    # The audit judges the first rows by the old files, which only the stored plan has now.
    found = run("audit", "p.yaml")
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_file_that_is_missing_is_named_at_the_reference(run, tmp_path):
    (tmp_path / "schemas/parts/number.yaml").unlink()
    found = run("lint", "p.yaml")
    assert found.returncode == 2
    assert "schemas/s.yaml:1:25: config.missing_file" in found.stderr
    assert "parts/number.yaml" in found.stderr
