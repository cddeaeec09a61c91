"""Mistakes in a pipeline file: exit 2, file:line:column and the way out on stderr, nothing on disk."""
import re

import pytest

GOOD = """\
version: 1
name: p
source:
  file: {path: in.ndjson}
  format: json
schema: s.json
event_time: {field: at, lateness: 10m}
checks:
  - name: positive
    expect: n > 0
dedup: {key: id, window: 30m}
transform:
  set:
    twice: n * 2
sinks:
  rows:
    sqlite: {path: out.db, table: rows}
  lines:
    file: {path: out}
dlq:
  file: {path: dead}
  include: [invalid, late]
"""
SCHEMA = """\
{"type": "object",
 "properties": {
   "id": {"type": "string"},
   "at": {"type": "string", "format": "date-time"},
   "n":  {"type": "number"}},
 "required": ["id", "at"]}
"""
# What is replaced, by what, where it is then wrong, the code, and a word of what is said.
MISTAKES = {
    "tab": ("  format: json", "\tformat: json", "5:1", "doc.syntax", "tab"),
    "open list": ("[invalid, late]", "[invalid, late", "23:1", "doc.syntax", "closing bracket"),
    "key twice": ("  format: json", "  format: json\n  format: json", "6:3", "doc.", "format"),
    "not utf-8": ("name: p", "name: \udcff", "2:7", "doc.syntax", "UTF-8"),
    "two documents": ("dlq:", "---\ndlq:", "20:1", "doc.", "document"),
    "wrong type: integer": ("version: 1", "version: one", "1:10", "config.type", "integer"),
    "wrong type: map": ("source:\n  file: {path: in.ndjson}\n  format: json", "source: in.ndjson",
                        "3:9", "config.type", "map"),
    "wrong type: string": ("table: rows", "table: [rows]", "17:35", "config.type", "string"),
    "wrong type: list": ("checks:\n  - name: positive\n    expect: n > 0", "checks: {name: a}",
                         "8:9", "config.type", "list"),
    "duration without unit": ("window: 30m", "window: 30", "11:26", "config.", "30m"),
    "duration of nonsense": ("lateness: 10m", "lateness: soon", "7:35", "config.", "soon"),
    "other version": ("version: 1", "version: 2", "1:10", "config.version", "version 1"),
    "unknown top key": ("sinks:", "sinsk:", "15:1", "config.unknown_key", "did you mean 'sinks'"),
    "unknown inner key": ("lateness:", "latenes:", "7:25", "config.unknown_key",
                          "did you mean 'lateness'"),
    "unknown place": ("sqlite: {path: out.db", "sqllite: {path: out.db", "17:5",
                      "config.unknown_key", "did you mean 'sqlite'"),
    "misspelt place of a module": ("sqlite: {path: out.db, table: rows}", "kafak: {topic: t}",
                                   "17:5", "config.unknown_key", "did you mean 'kafka'"),
    "misspelt source of a module": ("file: {path: in.ndjson}", "event_hub: {topic: t}", "4:3",
                                    "config.unknown_key", "did you mean 'event_hubs'"),
    "misspelt connection": ("dlq:", "connections: {a: {postgress: {}}}\ndlq:", "20:19",
                            "config.unknown_key", "did you mean 'postgres'"),
    "variable within brackets": ("path: out.db", "path: ${WEIR_NOT_SET}", "17:21", "doc.syntax",
                                 "quotes around"),
    "unknown choice": ("format: json", "format: jsn", "5:11", "config.", "json"),
    "unknown include": ("[invalid, late]", "[invalid, lat]", "22:22", "config.value", "late"),
    "missing name": ("name: p\n", "", "1:1", "config.missing_key", "name"),
    "missing path": ("{path: out}", "{}", "19:11", "config.missing_key", "path"),
    "missing schema": ("schema: s.json\n", "", "1:1", "config.missing_key", "schema"),
    "missing schema file": ("s.json", "t.json", "6:9", "config.missing_file", "t.json"),
    "schema is a folder": ("s.json", "folder", "6:9", "file.unreadable", "folder"),
    "missing folder": ("path: out.db", "path: nowhere/out.db", "17:20", "config.missing_folder",
                       "nowhere"),
    "missing input": ("in.ndjson", "on.ndjson", "4:16", "source.missing", "on.ndjson"),
    "variable that is not set": ("name: p", "name: ${WEIR_NOT_SET}", "2:7", "doc.environment",
                                 "WEIR_NOT_SET"),
    "query": ("n > 0", "n > (SELECT 1)", "10:13", "sql.not_allowed", "query"),
    "aggregate": ("n > 0", "max(n) > 0 OR count(*) > 1", "10:13", "sql.not_allowed", "aggregate"),
    "window": ("n > 0", "row_number() OVER () > 1", "10:13", "sql.not_allowed", ""),
    "chance": ("n > 0", "n > random()", "10:13", "sql.not_allowed", "random"),
    "clock": ("n > 0", "at > datetime('now')", "10:13", "sql.", "now"),
    "two statements": ("n > 0", "n > 0; DROP TABLE rows", "10:13", "sql.", ""),
    "unlike types": ("n > 0", "id > 0", "10:13", "sql.", "id"),
    "broken expression": ("n > 0", "n >", "10:13", "sql.", ""),
    "unknown column": ("n > 0", "m > 0", "10:13", "sql.unknown_column", "did you mean n"),
    "unknown column in set": ("n * 2", "m * 2", "14:12", "sql.unknown_column", "did you mean n"),
    "unknown field of time": ("field: at", "field: att", "7:21", "config.unknown_field", "att"),
    "unknown field of dedup": ("key: id", "key: ids", "11:14", "config.unknown_field", "ids"),
    "upsert without a key": ("table: rows", "table: rows, mode: upsert", "17:13",
                             "config.missing_key", "key"),
    "kafka": ("sqlite: {path: out.db, table: rows}", "kafka: {topic: t}", "17:12",
              "config.missing_key", "brokers"),
    "kafka as source": ("file: {path: in.ndjson}", "kafka: {topic: t}", "4:10",
                        "config.missing_key", "brokers"),
    "postgres": ("sqlite: {path: out.db, table: rows}", "postgres: {table: t}", "17:15",
                 "config.missing_key", "dsn"),
    "mysql": ("sqlite: {path: out.db, table: rows}", "mysql: {table: t}", "17:12",
              "config.missing_key", "database"),
    "connections": ("dlq:", "connections: {a: {kafka: {}}}\ndlq:", "20:26", "config.missing_key",
                    "brokers"),
    "no such connection": ("sqlite: {path: out.db, table: rows}",
                           "kafka: {topic: t, connection: nowhere}", "17:35",
                           "config.connection", "connections: {nowhere"),
    "secret in the file": ("dlq:", "connections: {a: {kafka: {brokers: b, sasl: {mechanism: PLAIN, "
                                   "username: u, password: canary}}}}\ndlq:", "20:87",
                           "config.secret", "{file: PATH}"),
    "property that weir owns": ("sqlite: {path: out.db, table: rows}",
                                "kafka: {topic: t, brokers: b, properties: {acks: 1}}", "17:48",
                                "config.owned", "rows must not be lost"),
    "monitors": ("dlq:", "monitors: [{metric: silence}]\ndlq:", "20:1", "config.unsupported",
                 "leave it out"),
    "http": ("dlq:", "http: {listen: everywhere}\ndlq:", "20:16", "config.", "127.0.0.1"),
    "contract": ("dlq:", "contract: c.yaml\ndlq:", "20:1", "config.unsupported", "leave it out"),
    "no pace at all": ("{path: out}", "{path: out}\n    batch: {interval: 0s}", "20:23",
                       "config.value", "at least 1ms"),
    "pace of no rows": ("{path: out}", "{path: out}\n    batch: {max_records: 0}", "20:26",
                        "config.", "1"),
    "atomic": ("dlq:", "delivery: {atomic: [rows, lines]}\ndlq:", "20:27", "config.unsupported",
               "leave it out"),
    "max_behind": ("dlq:", "delivery: {max_behind: 1 second}\ndlq:", "20:24", "config.value",
                   "size with its unit"),
    "rejects to another system": (", late]", ", rejected]", "22:12", "config.unsupported",
                                  "weir_rejects"),
    "one place twice": ("{path: dead}", "{path: out}", "21:16", "config.", "out"),
    "table twice": ("file: {path: out}", "sqlite: {path: out.db, table: rows}", "19:35",
                    "config.value", "'rows'"),
    "sink named source": ("  lines:", "  source:", "18:3", "config.value", "'source'"),
    "source without a path": ("file: {path: in.ndjson}", "local: {path: '', topic: t}", "4:17",
                              "config.value", "path"),
    "source without a topic": ("file: {path: in.ndjson}", "local: {path: a.db, topic: ''}", "4:30",
                               "config.value", "topic"),
    "state without a path": ("dlq:", "state: {path: ''}\ndlq:", "20:15", "config.value", "path"),
    "a folder in a folder": ("{path: dead}", "{path: out/dead}", "21:16", "config.value",
                             "'lines'"),
    "a folder around a folder": ("{path: dead}", "{path: .}", "21:16", "config.value", "'lines'"),
    "a file in the place of a folder": ("{path: dead}", "{path: in.ndjson}", "21:16",
                                        "config.value", "is a file"),
    "dedup key twice": ("key: id", "key: [id, at, id]", "11:23", "config.value", "'id' twice"),
    "text as check": ("n > 0", "id", "10:13", "sql.types", "no condition"),
    "text in a condition": ("n > 0", "n > 0 and not (id or n)", "10:13", "sql.types", "no condition"),
    "function of text as check": ("n > 0", "lower(id)", "10:13", "sql.types", "no condition"),
    "text as where": ("  set:", "  where: at\n  set:", "13:10", "sql.types", "no condition"),
    "text as when": ("{path: out}", "{path: out}\n    when: \"'yes'\"", "20:11", "sql.types",
                     "no condition"),
    "dropped field mistyped": ("  set:", "  drop: [idd]\n  set:", "13:10", "config.unknown_field",
                               "did you mean 'id'"),
    "table of weir": ("table: rows", "table: weir_rows", "17:35", "config.value", "weir_"),
}
SCHEMA_MISTAKES = {
    "broken json": ('"n":  {"type": "number"}},', '"n":  {"type": "number"},', "s.json", "doc."),
    "unknown keyword": ('"number"', '"number", "maximun": 5', "s.json:5:29", "schema."),
    "reference to nothing": ('"number"', '"number", "$dynamicRef": "#x"', "s.json:5:44",
                             "schema."),
    "unknown keyword": ('"number"', '"number", "minimun": 1', "s.json:5:29", "schema."),
    "unknown format": ('"date-time"', '"date-tim"', "s.json:4:39", "schema."),
    "broken pattern": ('"string"},', '"string", "pattern": "("},', "s.json:3:40", "schema."),
    "wrong type of a keyword": ('"number"', '"number", "minimum": "1"', "s.json:5:40", "schema."),
    "another draft": ('{"type": "object",', '{"$schema": "http://json-schema.org/draft-07/schema#",',
                      "s.json:1:13", "schema.dialect"),
    "unknown type": ('"number"', '"float"', "s.json:5:19", "schema."),
}


def put(lab, text, schema=SCHEMA):
    lab.file("p.yaml", text.encode("utf-8", "surrogateescape"))
    lab.file("s.json", schema)
    lab.file("in.ndjson", '{"id":"a","at":"2024-05-01T00:00:00Z","n":1}\n')
    (lab.path / "folder").mkdir()


def refused(lab, *arguments):
    before = lab.files()
    done = lab.weir(*arguments)
    assert done.status == 2, done
    assert done.out == "", done
    assert lab.files() == before, "something was made, or changed"
    assert len(done.err.splitlines()) == 1, done.err
    return done.err


def test_the_file_without_mistakes_runs(lab):
    put(lab, GOOD)
    assert lab.weir("run", "p.yaml", "--until-end").status == 0
    lab.audit()


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(lab, name):
    old, new, place, code, word = MISTAKES[name]
    assert GOOD.count(old) >= 1, old
    put(lab, GOOD.replace(old, new, 1))
    said = refused(lab, "run", "p.yaml", "--until-end")
    assert said.startswith(f"p.yaml:{place}: {code}"), said
    assert word in said, said


@pytest.mark.parametrize("name", SCHEMA_MISTAKES)
def test_mistake_in_the_schema(lab, name):
    old, new, place, code = SCHEMA_MISTAKES[name]
    assert SCHEMA.count(old) >= 1, old
    put(lab, GOOD, SCHEMA.replace(old, new, 1))
    said = refused(lab, "run", "p.yaml")
    assert re.match(rf"{re.escape(place)}(:\d+:\d+)?: {re.escape(code)}", said), said


def test_a_dropped_field_that_nobody_has(lab):
    """Where others may come it may be one of them, unless it looks like one that is mistyped."""
    put(lab, GOOD.replace("  set:", "  drop: [internal_note]\n  set:"))
    assert lab.weir("lint", "p.yaml").status == 0
    lab.file("s.json", SCHEMA.replace("{", '{"additionalProperties": false,', 1))
    said = refused(lab, "lint", "p.yaml")
    assert said.startswith("p.yaml:13:10: config.unknown_field: the schema has no field 'internal_note'"), said
    lab.file("s.json", SCHEMA.replace('"id": {"type": "string"}', '"id": {"type": "string"}, '
                                      '"o": {"type": "object", "additionalProperties": false}'))
    lab.file("p.yaml", GOOD.replace("  set:", "  drop: [o.note]\n  set:"))
    assert "config.unknown_field" in refused(lab, "lint", "p.yaml")


def test_texts_that_stand_beside_conditions_are_fine(lab):
    put(lab, GOOD.replace("n > 0", "id = 'a' OR coalesce(id, at) LIKE 'a%' OR length(id)"))
    assert lab.weir("lint", "p.yaml").status == 0
    lab.file("p.yaml", GOOD.replace("n * 2", "id"))
    assert lab.weir("lint", "p.yaml").status == 0


def test_another_number_of_partitions_than_the_topic_has(lab):
    lab.produce([]).produce([], topic="out", partitions=2)
    lab.write(sinks={"out": {"local": {"path": "log.db", "topic": "out", "partitions": 7}}}, dlq=None)
    before = lab.sql("SELECT * FROM weir_partition")
    said = lab.refused("sink.partitions").err
    assert "7 partitions" in said and "made with 2" in said, said
    assert lab.sql("SELECT * FROM weir_partition") == before
    lab.write(sinks={"out": {"local": {"path": "log.db", "topic": "out", "partitions": 2}}})
    lab.run()
    lab.audit()


def test_lint_says_the_same_and_opens_nothing(lab):
    put(lab, GOOD.replace("n > 0", "n > (SELECT 1)"))
    assert refused(lab, "lint", "p.yaml") == refused(lab, "run", "p.yaml")
    put_again = lab.file("p.yaml", GOOD)
    (lab.path / "in.ndjson").unlink()
    before = lab.files()
    assert lab.weir("lint", put_again).status == 0
    assert lab.files() == before


def test_a_pipeline_file_that_cannot_be_read(lab):
    put(lab, GOOD)
    assert "no.yaml" in refused(lab, "run", "no.yaml")
    assert "folder" in refused(lab, "run", "folder")
    (lab.path / "empty.yaml").write_text("")
    assert refused(lab, "run", "empty.yaml").startswith("empty.yaml:1:1: config.")
    lab.file("bytes.yaml", bytes(range(256)) * 40)
    assert refused(lab, "run", "bytes.yaml").startswith("bytes.yaml:1:")
    lab.file("deep.yaml", "[" * 100_000)
    assert refused(lab, "run", "deep.yaml").startswith("deep.yaml:1:")


def test_a_log_or_topic_that_is_not_there(lab):
    lab.write()
    said = refused(lab, "run", "p.yaml")
    assert re.match(r"p\.yaml:1:\d+: log\.missing: .*log\.db", said), said
    lab.produce([], topic="other")
    lab.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    said = refused(lab, "run", "p.yaml")
    assert "source.no_topic" in said and "weir topic create" in said, said


def test_a_file_that_is_no_database(lab):
    lab.write().file("log.db", b"something else " * 1000)
    said = refused(lab, "run", "p.yaml")
    assert re.match(r"p\.yaml:1:\d+: log\..*log\.db", said), said


@pytest.mark.parametrize("arguments, word", [
    ((), "usage"),
    (("rnu",), "did you mean 'run'"),
    (("run",), "usage"),
    (("run", "p.yaml", "q.yaml"), "one word too many"),
    (("run", "p.yaml", "--untilend"), "did you mean '--until-end'"),
    (("run", "p.yaml", "--init=1"), "takes no value"),
])
def test_wrong_words_on_the_command_line(lab, arguments, word):
    done = lab.weir(*arguments)
    assert (done.status, done.out) == (2, "") and word in done.err, done
