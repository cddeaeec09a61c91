"""weir test: rows, and the verdicts and outputs that are expected of them."""
import json
import shutil

import pytest

FILE = """# What it should do.
pipeline: p.yaml
cases:
  # One of each.
  - name: first
    input:
      - {id: a, n: 1}
      - '{"id": broken'
      - {id: a, n: 1}
    expect:
      - {verdict: VALID, output: {n: 2, id: a}, sinks: out}
      - {verdict: INVALID, reason: decode.syntax, sinks: [dlq]}
      - {verdict: DUPLICATE, reason: duplicate, field: id, sinks: []}

  - name: second   # begins without any state
    input:
    - {id: a, n: 1}
    expect:
    - {verdict: VALID}
"""
PIPELINE = """
version: 1
name: p
source: {local: {path: log.db, topic: in}, format: json}
schema: {type: object, properties: {id: {type: string}, at: {type: string, format: date-time},
         n: {type: integer, maximum: 100}}, required: [id]}
event_time: {field: at, max_future: 1m, lateness: 1h}
dedup: {key: id, window: 1h}
checks: [{name: small, expect: n < 50, severity: warn}]
transform: {set: {n: n * 2}}
sinks: {out: {local: {path: log.db, topic: out}}}
dlq: {local: {path: log.db, topic: dead}}
"""
AT = '"2026-01-01T00:00:00Z"'


@pytest.fixture
def cases(weir_cli):
    def write(text, pipeline=PIPELINE):
        (weir_cli.folder / "p.yaml").write_text(pipeline)
        (weir_cli.folder / "p.test.yaml").write_text(text)
        return weir_cli
    return write


def without_time(pipeline):
    return pipeline.replace("event_time: {field: at, max_future: 1m, lateness: 1h}\n", "")


def test_what_is_expected_is_fine_and_nothing_is_made(cases):
    weir = cases(FILE, without_time(PIPELINE))
    result = weir("test", "p.test.yaml")
    assert result.out == b"ok    first\nok    second\n2 passed, 0 failed\n"
    assert sorted(path.name for path in weir.folder.iterdir()) == ["p.test.yaml", "p.yaml"]


@pytest.mark.parametrize("old, new, row, what, expected, actual", [
    ("verdict: VALID, output", "verdict: INVALID, output", 0, "verdict", "INVALID", "VALID"),
    ("decode.syntax", "decode.encoding", 1, "reason", "decode.encoding", "decode.syntax"),
    ("field: id", "field: n", 2, "field", "n", "id"),
    ("n: 2", "n: 3", 0, "output.n", "3", "2"),
    ("n: 2", "m: 2", 0, "output.m", "2", "nothing"),
    ("{n: 2, id: a}", "[1]", 0, "output", "[1]", '{"id":"a","n":2}'),
    ("sinks: out", "sinks: [out, dlq]", 0, "sinks", "[out, dlq]", "[out]"),
    ("sinks: out", "warnings: [small]", 0, "warnings", "[small]", "[]"),
    ("sinks: []", "output: {}", 2, "output", "{}", "nothing goes out"),
])
def test_each_difference_is_told(cases, old, new, row, what, expected, actual):
    weir = cases(FILE.replace(old, new, 1), without_time(PIPELINE))
    text = weir("test", "p.test.yaml", status=1).out.decode()
    assert "FAIL  first\n" in text and "ok    second\n" in text
    assert f"row {row + 1} (line {7 + row}) {what}\n    - {expected}\n    + {actual}\n" in text
    assert "- {verdict: INVALID, reason: decode.syntax, sinks: [dlq]}" in text
    found = json.loads(weir("test", "p.test.yaml", "--json", status=1).out)
    assert {"row": row, "what": what, "expected": expected, "actual": actual} in \
        found["cases"][0]["differences"]
    assert (found["passed"], found["failed"]) == (1, 1)


def test_a_row_too_many(cases):
    weir = cases(FILE.replace("      - {id: a, n: 1}\n      - '{", "      - '{", 1), without_time(PIPELINE))
    assert "rows: expected 3, there are 2" in weir("test", "p.test.yaml", status=1).out.decode()


def test_update_changes_nothing_but_the_expectations(cases):
    wrong = FILE.replace("VALID, output: {n: 2, id: a}", "LATE").replace(
        "    expect:\n    - {verdict: VALID}\n", "")
    weir = cases(wrong, without_time(PIPELINE))
    weir("test", "p.test.yaml", status=1)
    weir("test", "p.test.yaml", "--update")
    text = (weir.folder / "p.test.yaml").read_text()
    assert weir("test", "p.test.yaml").out.endswith(b"2 passed, 0 failed\n")
    assert text.startswith("# What it should do.\n") and "  # One of each.\n" in text
    assert "second   # begins without any state\n    input:\n    - {id: a, n: 1}\n    expect:\n" in text
    assert '- {verdict: VALID, output: {"id":"a","n":2}, sinks: [out]}\n' in text
    weir("test", "p.test.yaml", "--update")
    assert (weir.folder / "p.test.yaml").read_text() == text


def test_update_wants_blocks(cases):
    weir = cases("pipeline: p.yaml\ncases: [{name: x, input: [{id: a}]}]\n", without_time(PIPELINE))
    before = (weir.folder / "p.test.yaml").read_text()
    assert "test.layout" in weir("test", "p.test.yaml", "--update", status=2).err
    assert (weir.folder / "p.test.yaml").read_text() == before


def outcomes(weir, rows):
    text = "pipeline: p.yaml\ncases:\n  - name: x\n    input:\n" + \
        "".join(f"      - {row}\n" for row in rows)
    (weir.folder / "p.test.yaml").write_text(text)
    found = json.loads(weir("test", "p.test.yaml", "--json", status=1).out)
    return [(row["verdict"], row["reason"]) for row in found["cases"][0]["rows"]]


def test_timestamps_keys_and_partitions(cases):
    weir = cases("")
    # Without a timestamp a record comes when it happened; with one, max_future looks.
    assert outcomes(weir, [f"{{id: a, at: {AT}}}",
                           "{record: {id: b, at: '2026-01-01T00:05:00Z'}, timestamp: " + AT + "}",
                           "{id: c, at: '2026-01-01T03:00:00Z'}",
                           f"{{id: d, at: {AT}}}"]) == \
        [("VALID", ""), ("INVALID", "time.future"), ("VALID", ""), ("LATE", "late")]
    # Partitions have their own state, whatever stands between.
    assert outcomes(weir, ["{record: {id: a, at: %s}, partition: 0, key: k}" % AT,
                           "{record: {id: a, at: %s}, partition: 1}" % AT,
                           "{record: {id: a, at: %s}, partition: 0}" % AT]) == \
        [("VALID", ""), ("VALID", ""), ("DUPLICATE", "duplicate")]
    assert outcomes(weir, ["{record: null}", "null", "'null'"]) == \
        [("INVALID", "decode.null_value"), ("INVALID", "schema.type"), ("INVALID", "schema.type")]


@pytest.mark.parametrize("old, new, code", [
    ("pipeline: p.yaml", "pipeline: q.yaml", "config.missing_file"),
    ("reason: duplicate", "reason: duplicat", "did you mean 'duplicate'?"),
    ("sinks: out", "sinks: [oat]", "did you mean 'out'?"),
    ("verdict: DUPLICATE", "verdict: DOUBLE", "one of VALID"),
    ("expect:", "expcet:", "did you mean 'expect'?"),
    ("      - {id: a, n: 1}", "      - {record: {id: a}, timestamp: soon}", "timestamp must be like"),
])
def test_mistakes_are_found_with_their_place(cases, old, new, code):
    err = cases(FILE.replace(old, new, 1), without_time(PIPELINE))("test", "p.test.yaml", status=2).err
    assert code in err and err.startswith("p.test.yaml:")


def test_files_have_neither_timestamps_nor_keys(cases):
    pipeline = without_time(PIPELINE).replace("{local: {path: log.db, topic: in}", "{file: {path: in}", 1) \
        .replace("window: 1h", "window: unlimited")
    for more in ("timestamp: " + AT, "key: k"):
        text = f"pipeline: p.yaml\ncases:\n  - name: x\n    input:\n      - {{record: {{id: a}}, {more}}}\n"
        assert "of a file source have no" in cases(text, pipeline)("test", "p.test.yaml", status=2).err


def test_csv_is_written_as_text_under_its_header(cases):
    pipeline = without_time(PIPELINE).replace(
        "{local: {path: log.db, topic: in}, format: json}", "{file: {path: in.csv}, format: csv}") \
        .replace("window: 1h", "window: unlimited")
    text = """pipeline: p.yaml
header: id,n
cases:
  - name: rows
    input: ["a,1", "b,x", "a,2"]
    expect:
      - {verdict: VALID, output: {id: a, n: 2}}
      - {verdict: INVALID, reason: schema.type, field: n}
      - {verdict: DUPLICATE}
"""
    assert cases(text, pipeline)("test", "p.test.yaml").out == b"ok    rows\n1 passed, 0 failed\n"
    for old, new, code in (("header: id,n\n", "", "test.header"),
                           ('"b,x"', "{id: b}", "test.record")):
        assert code in cases(text.replace(old, new), pipeline)("test", "p.test.yaml", status=2).err
    assert "test.header" in cases("header: id\n" + FILE, without_time(PIPELINE))(
        "test", "p.test.yaml", status=2).err


def test_the_example_shows_every_verdict(iot, root):
    shutil.copy(root / "examples/iot.test.yaml", iot.folder)
    assert b" 0 failed" in iot("test", "iot.test.yaml").out
    found = json.loads(iot("test", "iot.test.yaml", "--json").out)
    assert {row["verdict"] for case in found["cases"] for row in case["rows"]} == \
        {"VALID", "INVALID", "DUPLICATE", "LATE", "FILTERED"}
