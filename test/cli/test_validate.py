"""weir validate: lines of JSON against a JSON Schema, without a pipeline."""

import json
import subprocess

import pytest

SCHEMA = """
type: object
required: [id]
properties:
  id: {type: integer, minimum: 1}
  tags: {type: array, items: {type: string, maxLength: 3}, uniqueItems: true}
  note: {anyOf: [{type: string}, {type: "null"}]}
if: {properties: {kind: {const: a}}, required: [kind]}
then: {required: [temp]}
patternProperties: {"^x-": {type: integer}}
unevaluatedProperties: {$ref: "common.yaml#/$defs/number"}
"""

COMMON = """
$defs:
  number: {type: number}
  tree: {type: object, properties: {next: {$ref: "#/$defs/tree"}}, additionalProperties: false}
"""


@pytest.fixture
def validate(weir, tmp_path):
    (tmp_path / "s.yaml").write_text(SCHEMA)
    (tmp_path / "common.yaml").write_text(COMMON)

    def run(text, *options, schema="s.yaml"):
        text = text if isinstance(text, bytes) else text.encode()
        return subprocess.run([weir, "validate", "--schema", schema, *options], input=text,
                              capture_output=True, cwd=tmp_path, timeout=60)

    return run


def rejects(tmp_path):
    return [json.loads(line) for line in (tmp_path / "bad").read_text().splitlines()]


def test_rows_go_out_as_they_are_and_rejects_say_why(validate, tmp_path):
    fine = ['{"id": 1}', '{ "id":12345678901234567890123, "note":null }', '{"id":1.0,"x-a":5,"z":1.5}']
    bad = [('{"id":0}', "schema.range", "id"), ('{"id":"1"}', "schema.type", "id"),
           ("{}", "schema.required", "id"), ('{"id":1,"kind":"a"}', "schema.required", "temp"),
           ('{"id":1,"tags":["a","bcde"]}', "schema.length", "tags[1]"),
           ('{"id":1,"tags":["a","a"]}', "schema.items", "tags"),
           ('{"id":1,"z":"q"}', "schema.type", "z"), ("[]", "schema.type", None),
           ('{"id":1,"id":2}', "decode.syntax", None), ("", "decode.syntax", None),
           ('{"id":null}', "schema.type", "id")]
    lines = [fine[0]] + [text for text, _, _ in bad] + fine[1:]
    found = validate("\n".join(lines) + "\n", "--rejects", "bad", "--json")
    assert found.returncode == 1
    assert found.stdout.decode() == "\n".join(fine) + "\n"
    kept = rejects(tmp_path)
    assert [(r["value"], r["reason"], r["field"]) for r in kept] == bad
    assert [r["line"] for r in kept] == list(range(2, len(bad) + 2))
    assert all(r["detail"] and r["violations"][0]["reason"] == r["reason"] for r in kept)
    counts = json.loads(found.stderr)
    assert (counts["lines"], counts["valid"], counts["invalid"]) == (14, 3, 11)
    assert counts["reasons"]["schema.type"] == 4


def test_a_line_that_is_not_utf8_is_kept_as_it_is(validate, tmp_path):
    found = validate(b'{"id":"\xff"}\n', "--rejects", "bad")
    assert found.returncode == 1
    assert rejects(tmp_path)[0]["reason"] == "decode.encoding"
    assert rejects(tmp_path)[0]["value_base64"] == "eyJpZCI6Iv8ifQ=="


def test_all_right_is_exit_status_0(validate):
    found = validate('{"id":1}\n{"id":2}')
    assert found.returncode == 0
    assert found.stdout == b'{"id":1}\n{"id":2}\n'
    assert b"valid" in found.stderr


@pytest.mark.parametrize("text, code", [
    ("minimun: 1", "schema.unknown_keyword"), ("$ref: other.yaml", "config.missing_file"),
    ("$ref: \"#\"", "schema.endless_reference"), ("type: [", "doc.syntax"),
    ("$ref: \"https://example.com/s\"", "schema.unknown_reference"),
    ("properties: {a: {pattern: \"(\"}}", "schema.bad_pattern")])
def test_a_wrong_schema_is_exit_status_2(validate, tmp_path, text, code):
    (tmp_path / "w.yaml").write_text(text)
    found = validate("{}", schema="w.yaml")
    assert found.returncode == 2
    assert code in found.stderr.decode()
    assert found.stdout == b""


def test_bombs_end_with_a_verdict(validate, tmp_path):
    """Depth, recursion through $ref, alternatives that multiply, and patterns that backtrack."""
    (tmp_path / "bomb.yaml").write_text("""
properties:
  tree: {$ref: "common.yaml#/$defs/tree"}
  text: {not: {pattern: "^(a+)+$"}}
  wide: {$ref: "#/$defs/wide"}
$defs:
  wide:
    anyOf:
      - {allOf: [{properties: {w: {$ref: "#/$defs/wide"}}}], required: [x]}
      - {allOf: [{properties: {w: {$ref: "#/$defs/wide"}}}], required: [y]}
      - {allOf: [{properties: {w: {$ref: "#/$defs/wide"}}}], required: [z]}
""")
    deep = '{"next":' * 100 + "{}" + "}" * 100
    wide = '{"w":' * 60 + "{}" + "}" * 60
    lines = [f'{{"tree":{deep}}}', f'{{"tree":{"[" * 500}}}', f'{{"wide":{wide}}}',
             json.dumps({"text": "a" * 5000 + "!"})]
    found = validate("\n".join(lines), "--rejects", "bad", schema="bomb.yaml")
    assert found.stdout.decode() == lines[0] + "\n"
    assert [r["reason"] for r in rejects(tmp_path)] == ["decode.syntax", "schema.too_complex",
                                                        "schema.pattern"]
