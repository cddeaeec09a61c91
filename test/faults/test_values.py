"""What `set` writes is the same value, of the same type, in every kind of place."""
import json

from faults.lab import folder, local, record, table

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "n": {"type": "number"},
        "i": {"type": "integer"},
        "b": {"type": "boolean"},
        "o": {"type": "object", "properties": {"k": {"type": "integer"}}},
        "m": {"type": ["integer", "string"]},
    },
    "required": ["id"],
}
SET = {
    "b": "not b",
    "same": "b",
    "warm": "n > 3",
    "copy": "o",
    "mixed": "m",
    "when": "at",
    "next": "i + 1",
    "huge": "n * 1e308",
}


def test_set_keeps_types(lab):
    values = [
        record(1, b=True, o={"k": 1, "z": [True]}, m="5", i=1),
        record(2, n=9, b=False, o={"k": 2}, m=5),
        record(3, n=0, i=9223372036854775806),
        record(4, n=0, i=9223372036854775807),
    ]
    places = {"out": local("out", partitions=1), "rows": table("rows"), "lines": folder("lines"),
              "last": table("last", mode="upsert", key="id", newest_by="when")}
    lab.write(schema=SCHEMA, sinks=places, dedup=None, transform={"set": SET}).produce(values)
    lab.run()
    out = [json.loads(value) for value in lab.values()]
    assert [(row["b"], row["same"], row["warm"]) for row in out] == [
        (False, True, False), (None, None, False)]
    assert [type(row["warm"]) for row in out] == [bool, bool]
    assert [(row["copy"], row["mixed"]) for row in out] == [
        ({"k": 1, "z": [True]}, "5"), (None, None)]
    assert [(row["next"], row["huge"]) for row in out] == [(2, 1e308), (9223372036854775807, 0)]
    assert lab.lines_in("lines") == lab.values()
    rows = lab.sql('SELECT b, same, warm, copy, mixed, "when", next, huge FROM rows'
                   " ORDER BY _weir_offset")
    assert rows == [
        (0, 1, 0, '{"k": 1, "z": [true]}', '"5"', "2024-05-01T00:00:01.000000Z", 2, 1e308),
        (None, None, 0, None, None, "2024-05-01T00:00:03.000000Z", 9223372036854775807, 0.0)]
    assert lab.sql("SELECT * FROM last ORDER BY id") == lab.sql("SELECT * FROM rows ORDER BY id")
    types = dict(lab.sql("SELECT name, type FROM pragma_table_info('rows')"))
    assert [types[name] for name in ("b", "same", "warm", "copy", "mixed", "when", "next")] == [
        "INTEGER", "INTEGER", "INTEGER", "ANY", "ANY", "TEXT", "ANY"]
    letters = lab.letters()
    assert {offset: headers["weir.reason"] for offset, (_, _, headers) in letters.items()} == {
        1: "transform.huge", 3: "transform.next"}
    assert letters[1][2]["weir.detail"] == "the result is not a finite number"
    assert letters[3][2]["weir.detail"] == "integer overflow"
    lab.audit()
