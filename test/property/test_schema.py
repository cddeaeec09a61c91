"""Random schemas and values: weir validate answers as the Python package jsonschema does, and so does
a pipeline, by columns and by what is left for the judge, where no null is about."""

import json
import random
import subprocess

import pytest

jsonschema = pytest.importorskip("jsonschema",
                                 reason="no jsonschema to compare with: pip install jsonschema")

NAMES = ["a", "b", "c", "ab"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
DEFS = ["x", "y", "z"]
PATTERNS = ["a", "^b", "c$", "^..$"]


class Maker:
    def __init__(self, seed, nulls=True):
        self.random = random.Random(seed)
        self.nulls = nulls

    def value(self, depth=0):
        kinds = [lambda: None if self.nulls else True, lambda: self.random.random() < 0.5,
                 lambda: self.random.randint(-3, 5), lambda: self.random.randint(-4, 9) / 2,
                 lambda: "".join(self.random.choices("abcé", k=self.random.randint(0, 4)))]
        if depth < 3:
            kinds += 2 * [lambda: [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]]
            kinds += 4 * [lambda: {n: self.value(depth + 1)
                                   for n in self.random.sample(NAMES, self.random.randint(0, 4))}]
        return self.random.choice(kinds)()

    def schemas(self, depth, count=3):
        return [self.schema(depth + 1) for _ in range(self.random.randint(1, count))]

    def named(self, depth, names=NAMES):
        return {n: self.schema(depth + 1)
                for n in self.random.sample(names, self.random.randint(1, len(names)))}

    def names(self):
        return self.random.sample(NAMES, self.random.randint(0, 2))

    def leaf(self):
        r = self.random
        return r.choice([
            lambda: {"type": r.choice(TYPES)}, lambda: {"type": r.sample(TYPES, 2)},
            lambda: {"minimum": r.randint(-2, 4)}, lambda: {"exclusiveMaximum": r.randint(-2, 4)},
            lambda: {"multipleOf": r.choice([1, 2, 0.5, 1.5])},
            lambda: {"minLength": r.randint(0, 3)}, lambda: {"maxLength": r.randint(0, 3)},
            lambda: {"pattern": r.choice(PATTERNS)}, lambda: {"const": self.value(1)},
            lambda: {"enum": [self.value(1), self.value(2)]}, lambda: {"required": self.names()},
            lambda: {"minProperties": r.randint(0, 2)}, lambda: {"maxProperties": r.randint(0, 3)},
            lambda: {"minItems": r.randint(0, 2)}, lambda: {"maxItems": r.randint(0, 3)},
            lambda: {"uniqueItems": r.random() < 0.8},
            lambda: {"dependentRequired": {r.choice(NAMES): self.names()}},
        ])()

    def applicator(self, depth):
        r = self.random
        return r.choice([
            lambda: {"properties": self.named(depth)}, lambda: {"properties": self.named(depth)},
            lambda: {"patternProperties": self.named(depth, PATTERNS[:2])},
            lambda: {"additionalProperties": self.schema(depth + 1)},
            lambda: {"propertyNames": self.schema(depth + 1)},
            lambda: {"dependentSchemas": self.named(depth, NAMES[:2])},
            lambda: {"unevaluatedProperties": r.choice([False, self.schema(depth + 1)])},
            lambda: {"prefixItems": self.schemas(depth)}, lambda: {"items": self.schema(depth + 1)},
            lambda: {"contains": self.schema(depth + 1), "minContains": r.randint(0, 2)},
            lambda: {"contains": self.schema(depth + 1), "maxContains": r.randint(0, 2)},
            lambda: {"unevaluatedItems": r.choice([False, self.schema(depth + 1)])},
            lambda: {"allOf": self.schemas(depth)}, lambda: {"anyOf": self.schemas(depth)},
            lambda: {"oneOf": self.schemas(depth)}, lambda: {"not": self.schema(depth + 1)},
            lambda: {"if": self.schema(depth + 1), "then": self.schema(depth + 1),
                     "else": self.schema(depth + 1)},
        ])()

    def schema(self, depth=0):
        r = self.random
        if r.random() < 0.08:
            return r.random() < 0.6
        schema = {}
        for _ in range(r.randint(1, 3)):
            deeper = depth < 3 and r.random() < 0.65
            schema.update(self.applicator(depth) if deeper else self.leaf())
        # Only into definitions that come later: so no reference leads back to itself.
        if depth > 0 and r.random() < 0.15 and self.open_defs:
            schema["$ref"] = "#/$defs/" + r.choice(self.open_defs)
        return schema

    def document(self):
        defs = {}
        self.open_defs = []
        for name in DEFS:
            defs[name] = self.schema(1)
            self.open_defs.append(name)
        document = self.schema()
        document = document if isinstance(document, dict) else {"not": not document}
        return {**document, "$defs": defs}


def test_random_schemas(weir, tmp_path, seed, long_run):
    maker = Maker(seed)
    asked = valid = 0
    for number in range(2000 if long_run else 200):
        document = maker.document()
        values = [maker.value() for _ in range(25)]
        (tmp_path / "s.json").write_text(json.dumps(document))
        text = "".join(json.dumps(v) + "\n" for v in values)
        found = subprocess.run([weir, "validate", "--schema", "s.json", "--rejects", "bad"],
                               input=text.encode(), capture_output=True, cwd=tmp_path, timeout=60)
        assert found.returncode in (0, 1), (seed, document, found.stderr.decode())
        rejects = {}
        for line in (tmp_path / "bad").read_text().splitlines():
            reject = json.loads(line)
            rejects[reject["line"]] = reject
        judge = jsonschema.Draft202012Validator(document)
        for at, value in enumerate(values, 1):
            expected = judge.is_valid(value)
            assert (at not in rejects) == expected, (seed, number, document, value, rejects.get(at))
            asked += 1
            valid += expected
    # Neither answer is rare, or the test would say little.
    assert 0.1 < valid / asked < 0.9


PIPELINE = """
version: 1
name: s
source: {file: {path: in.ndjson}}
schema: s.json
sinks: {good: {file: {path: good}}}
dlq: {file: {path: bad}}
"""


def records_of(maker, count):
    """Objects, without nulls: in a pipeline a null may count as absent."""
    records = []
    while len(records) < count:
        value = maker.value()
        if isinstance(value, dict):
            records.append(value)
    return records


def test_random_schemas_of_pipelines(weir, tmp_path, seed, long_run):
    maker = Maker(seed, nulls=False)
    asked = valid = refused = 0
    for number in range(400 if long_run else 40):
        folder = tmp_path / str(number)
        folder.mkdir()
        document = maker.document()
        # An object whose fields are known in part, so that there are columns as well.
        document["properties"] = {**document.get("properties", {}), "a": maker.schema(2),
                                  "b": {"type": "object", **maker.applicator(1)}}
        lines = [json.dumps(record) for record in records_of(maker, 40)]
        (folder / "s.json").write_text(json.dumps(document))
        (folder / "p.yaml").write_text(PIPELINE)
        (folder / "in.ndjson").write_text("".join(line + "\n" for line in lines))
        found = subprocess.run([weir, "run", "p.yaml", "--until-end"], capture_output=True,
                               cwd=folder, timeout=60)
        if found.returncode == 2:
            # Nothing would fit some column: said before anything runs.
            assert b"schema.contradiction" in found.stderr or b"schema.root_type" in found.stderr, \
                (seed, document, found.stderr.decode())
            refused += 1
            continue
        assert found.returncode == 0, (seed, document, found.stderr.decode())
        judge = jsonschema.Draft202012Validator(document)
        expected = [line for line in lines if judge.is_valid(json.loads(line))]
        good = [line for part in sorted((folder / "good").glob("*.ndjson"))
                for line in part.read_text().splitlines()]
        assert good == expected, (seed, number, document, set(good) ^ set(expected))
        asked += len(lines)
        valid += len(expected)
    assert 0.02 < valid / asked < 0.98 and asked > 400, (valid, asked, refused)
