"""Names that JSON, SQLite and SQL each see in their own way: taken whole, or refused by lint."""
import json
import re

import pytest

from faults.lab import counts, table

NUMBER = {"type": "integer"}
# Each is one name in JSON.
NAMES = ("rowid", "oid", "_rowid_", "_weir_x", "", 'a"b', "a'b", "select", "SELECT", "order",
         "true", "null", "key",
         "t", "excluded", "a b", "é", "%s", "1", "*", "[a]", "`a`", "a;b", "--", "/*",
         "current_time", "unique",
         "primary key", "constraint", "x" * 3000)


def pipeline(properties, required=(), place=None, **more):
    return {"version": 1, "name": "p", "source": {"file": {"path": "in.ndjson"}, "format": "json"},
            "schema": {"type": "object", "properties": properties, "required": list(required)},
            "sinks": {"rows": place or table("rows")}, "event_time": None, "dedup": None,
            "dlq": None, **more}


def put(lab, row, *arguments, **options):
    lab.file("in.ndjson", json.dumps(row).encode() + b"\n")
    return lab.write(**pipeline(*arguments, **options))


def refused(lab, place, code, *words):
    """By lint and run alike, with the place, before anything is made."""
    before = lab.files()
    said = lab.weir("lint", "p.yaml")
    assert said.status == 2 and re.match(rf"p\.yaml:1:{place}: {re.escape(code)}: ", said.err), said
    assert all(word in said.err for word in words), said
    assert len(said.err.splitlines()) == 1, said
    assert lab.run(status=2).err == said.err
    assert lab.files() == before


def place_of(lab, text):
    """Column of the value, in the one line of the file."""
    content = (lab.path / "p.yaml").read_text()
    assert content.count(text) == 1, text
    return content.index(text) + 1


@pytest.mark.parametrize("properties, set_, first, second", [
    ({"a": {"type": "object", "properties": {"b": NUMBER}}, "a_b": NUMBER}, {}, "a.b", "a_b"),
    ({"Temp": NUMBER, "temp": NUMBER}, {}, "Temp", "temp"),
    ({"Temp": NUMBER}, {"temp": '"Temp" + 1'}, "Temp", "temp"),
    ({"a_b": NUMBER, "a": {"type": "object", "properties": {"c": NUMBER}}}, {"a.b": "a_b + 1"},
     "a_b", "a.b"),
])
def test_two_fields_that_would_be_one_column(lab, properties, set_, first, second):
    put(lab, {}, properties, transform={"set": set_})
    refused(lab, place_of(lab, '"rows"}'), "config.column_twice", f"'{first}' and '{second}'",
            "drop")


def test_two_such_fields_need_no_table(lab):
    row = {"a": {"b": 1}, "a_b": 2, "T": 3, "t": 4}
    put(lab, row,
        {"a": {"type": "object", "properties": {"b": NUMBER}}, "a_b": NUMBER, "T": NUMBER,
         "t": NUMBER},
        place={"file": {"path": "out"}},
        transform={"set": {"sum": 'a.b * 1000 + a_b * 100 + "T" * 10 + "t"'}})
    lab.run()
    assert [json.loads(line) for line in lab.lines_in("out")] == [{**row, "sum": 1234}]
    lab.audit()


def test_the_way_out_that_is_said(lab):
    put(lab, {"a": {"b": 1}, "a_b": 2},
        {"a": {"type": "object", "properties": {"b": NUMBER}}, "a_b": NUMBER},
        transform={"set": {"other": '"a.b"'}, "drop": ["a.b"]})
    lab.run()
    assert lab.sql("SELECT a_b, other FROM rows") == [(2, 1)]
    lab.audit()


@pytest.mark.parametrize("name", ["_weir_offset", "_WEIR_topic", "_weir_partition"])
def test_a_field_with_the_name_of_an_origin(lab, name):
    put(lab, {name: 1}, {name: NUMBER})
    refused(lab, place_of(lab, '"rows"}'), "config.column_twice", name, "drop")
    put(lab, {"z": 1}, {"z": NUMBER}, transform={"set": {name: "z"}})
    refused(lab, place_of(lab, '"rows"}'), "config.column_twice", name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_anywhere(lab, name):
    """As field, in an expression, as key of dedup and table, as what is set, and as table."""
    quoted = name.replace('"', '""')
    row = {name: 5, "z": 1}
    put(lab, row, {name: NUMBER, "z": NUMBER}, [name], dedup={"key": [name], "window": "unlimited"},
        place=table(name or "empty", mode="upsert", key=[name], newest_by="z"),
        transform={"where": f'"{quoted}" = 5',
                   "set": {"y": f'"{quoted}" + 1', f"{name}2": "z + 1"}})
    assert json.loads(lab.run("--json").out)["verdicts"] == counts(valid=1)
    found = lab.sql(f'SELECT "{quoted}", z, y, "{quoted}2" FROM "{quoted or "empty"}"')
    assert found == [(5, 1, 6, 2)]
    lab.audit()


def test_a_word_of_sql_in_two_capitals(lab):
    put(lab, {"Temp": 1, "temp": 5}, {"Temp": NUMBER, "temp": NUMBER},
        place={"file": {"path": "out"}},
        transform={"set": {"x": "Temp + 1"}})
    refused(lab, place_of(lab, '"Temp + 1"'), "sql.unknown_column", 'write "Temp"')
    lab.write(transform={"set": {"x": '"Temp" + 1', "y": '"temp" + 1'}}).run()
    assert [json.loads(line) for line in lab.lines_in("out")] == [{"Temp": 1, "temp": 5, "x": 2,
                                                                   "y": 6}]


@pytest.mark.parametrize("character", ["\n", "\0", "\x01", "\x1f"])
def test_a_control_character_in_a_name(lab, character):
    """In the schema it may stand, since JSON has it; a path has it escaped."""
    name, path = f"a{character}b", f"a\\u{ord(character):04x}b"
    row = {name: 5, "z": 1}
    put(lab, row, {name: NUMBER, "z": NUMBER}, transform={"set": {name: "z + 1"}})
    refused(lab, place_of(lab, json.dumps({name: "z + 1"})) + 1, "config.value", path[1:-1])
    put(lab, row, {name: NUMBER, "z": NUMBER}, transform={"drop": [name]})
    refused(lab, place_of(lab, json.dumps([name])) + 1, "config.value")
    put(lab, row, {name: NUMBER, "z": NUMBER}, transform={"set": {path: f'"{path}" + 1'}})
    lab.run()
    assert lab.sql(f'SELECT "{path}", z FROM rows') == [(6, 1)]
    lab.audit()


@pytest.mark.parametrize("name",
                         ["weir_rows", "WEIR_progress", "Weir_x", "sqlite_x", "SQLITE_stat1", ""])
def test_a_table_of_others(lab, name):
    put(lab, {}, {"z": NUMBER}, place=table(name))
    refused(lab, place_of(lab, json.dumps(name) + "}"), "config.value", "weir_", "sqlite_")


def test_a_key_that_is_no_column(lab):
    put(lab, {}, {"a.b": NUMBER}, ["a.b"], place=table("rows", mode="upsert", key=["a.b"]))
    refused(lab, place_of(lab, '"key": ["a.b"]') + 8, "config.unknown_field", "did you mean 'a_b'")


def test_more_columns_than_a_table_has(lab):
    put(lab, {}, {f"n{i}": NUMBER for i in range(1998)})
    refused(lab, place_of(lab, '"rows"}'), "config.too_many_columns", "2001")
    put(lab, {"n1996": 7}, {f"n{i}": NUMBER for i in range(1997)})
    lab.run()
    assert lab.sql("SELECT n0, n1996, _weir_offset FROM rows") == [(None, 7, 0)]
    lab.audit()
