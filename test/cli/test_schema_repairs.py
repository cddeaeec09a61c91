"""Keywords about whole records see a record as the repairs left it."""

import json
import subprocess

PIPELINE = """
version: 1
name: repairs
source: {file: {path: in.ndjson}}
schema: s.yaml
repair:
  null_values: ["N/A"]
  coerce: [temp]
  fill: {site: {value: home}}
sinks: {good: {file: {path: good}}}
dlq: {file: {path: bad}}
"""

SCHEMA = """
type: object
properties:
  kind: {enum: [a, b]}
  temp: {type: number}
  site: {type: string}
  note: {type: [string, "null"]}
  o: {type: object, properties: {x: {type: integer}}, minProperties: 1}
if: {properties: {kind: {const: a}}, required: [kind]}
then: {required: [temp], properties: {temp: {maximum: 50}}}
dependentRequired: {temp: [site]}
not: {required: [note], properties: {note: {type: string}}}
unevaluatedProperties: false
"""

# The record, and the reason with its field; None: it is valid.
CASES = [
    ('{"kind":"a","temp":"5"}', None),                                # coerced, and site is filled
    ('{"kind":"a","temp":"60"}', ("schema.range", "temp")),           # the repaired number is judged
    ('{"kind":"a","temp":"N/A"}', ("schema.required", "temp")),       # became absent
    ('{"kind":"a","temp":null}', ("schema.required", "temp")),        # counts as absent
    ('{"kind":"N/A","temp":60}', None),                               # so `if` does not hold
    ('{"note":null}', None),                                          # its type lists null
    ('{"note":"N/A"}', None),                                         # became null
    ('{"note":"x"}', ("schema.combination", "")),
    ('{"o":{"x":null}}', ("schema.length", "o")),                     # no member is left
    ('{"o":{"x":1}}', None),
    ('{"zz":1}', ("schema.unknown_field", "")),
    ('{"temp":true}', ("schema.type", "temp")),                       # said once, by the column
]


def test_records_are_judged_as_repaired(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE)
    (tmp_path / "s.yaml").write_text(SCHEMA)
    (tmp_path / "in.ndjson").write_text("".join(text + "\n" for text, _ in CASES))
    found = subprocess.run([weir, "run", "p.yaml", "--until-end"], capture_output=True, text=True,
                           cwd=tmp_path, timeout=60)
    assert found.returncode == 0, found.stderr
    letters = {}
    for part in (tmp_path / "bad").glob("*.ndjson"):
        for line in part.read_text().splitlines():
            letter = json.loads(line)
            letters[letter["value"]] = letter
    for text, expected in CASES:
        letter = letters.pop(text, None)
        reason = None if letter is None else (letter["reason"], letter["field"] or "")
        assert reason == expected, (text, letter)
        assert letter is None or len(letter["violations"]) == 1, letter
    assert not letters
    assert subprocess.run([weir, "audit", "p.yaml"], cwd=tmp_path, capture_output=True,
                          timeout=60).returncode == 0
