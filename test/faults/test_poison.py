"""Records that no decoder likes: each becomes a dead letter, byte for byte, and the rest goes on."""
import base64

import pytest

from faults import batches
from faults.lab import SCHEMA, balanced, counts, folder, record, table

MEGABYTE = 1 << 20
TIME = b'"at":"2024-05-01T00:00:10Z"'
POISON = {
    "empty": (b"", "decode.syntax"),
    "blank": (b"  ", "decode.syntax"),
    "nul": (b"\0", "decode.syntax"),
    "nul in a text": (b'{"id":"a\0b",' + TIME + b"}", "decode.syntax"),
    "nul behind": (record(1) + b"\0", "decode.syntax"),
    "escaped nul is fine": (b'{"id":"a\\u0000b",' + TIME + b"}", None),
    "invalid utf-8": (b'{"id":"\xff\xfe",' + TIME + b"}", "decode.encoding"),
    "overlong utf-8": (b'{"id":"\xc0\x80",' + TIME + b"}", "decode.encoding"),
    "surrogate in utf-8": (b'{"id":"\xed\xa0\x80",' + TIME + b"}", "decode.encoding"),
    "utf-8 cut off": (b'{"id":"\xe2\x82",' + TIME + b"}", "decode.encoding"),
    "utf-8 cut off at the end": (b'{"id":"a"}\xe2\x82', "decode."),
    "half a surrogate": (b'{"id":"\\ud800",' + TIME + b"}", "decode.encoding"),
    "utf-16": ('{"id":"a"}'.encode("utf-16"), "decode."),
    "byte order mark": (b"\xef\xbb\xbf" + record(1), "decode.syntax"),
    "binary": (bytes(byte for byte in range(256) if byte != 10), "decode."),
    "nested lists": (b"[" * 100_000, "decode.syntax"),
    "nested lists, closed": (b"[" * 100_000 + b"]" * 100_000, "decode.syntax"),
    "nested maps": (b'{"id":' * 100_000 + b"1" + b"}" * 100_000, "decode.syntax"),
    "nested where nobody looks": (b'{"id":"d",' + TIME + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
                                  "decode.syntax"),
    "1e400": (b'{"id":"e","n":1e400,' + TIME + b"}", "schema.range"),
    "-1e400": (b'{"id":"e","n":-1e400,' + TIME + b"}", "schema.range"),
    "digits": (b'{"id":"f","n":' + b"9" * 5000 + b"," + TIME + b"}", "schema.range"),
    "1e-400 is 0": (b'{"id":"g","n":1e-400,' + TIME + b"}", None),
    "not a number": (b'{"id":"h","n":NaN,' + TIME + b"}", "decode.syntax"),
    "infinity": (b'{"id":"h","n":Infinity,' + TIME + b"}", "decode.syntax"),
    "leading zero": (b'{"id":"h","n":01,' + TIME + b"}", "decode.syntax"),
    "cut off": (b'{"id":"h","n":1', "decode.syntax"),
    "two values": (record(1) + record(1), "decode.syntax"),
    "key twice": (b'{"id":"h","id":"i",' + TIME + b"}", "decode.syntax"),
    "key twice where nobody looks": (b'{"id":"h","x":{"y":1,"y":2},' + TIME + b"}",
                                     "decode.syntax"),
    "key twice by an escape": (b'{"id":"h","i\\u0064":"i",' + TIME + b"}", "decode.syntax"),
    "no map": (b"17", "schema.type"),
    "null": (b"null", "schema.type"),
    "10 MB of text": (b'{"id":"' + b"x" * 10 * MEGABYTE + b'",' + TIME + b"}", "decode.too_large"),
    "10 MB of nothing": (b" " * 10 * MEGABYTE, "decode.too_large"),
    "10 MB of bytes": (b"\xfe\x00" * 5 * MEGABYTE, "decode.too_large"),
}


def put_between(poison):
    """Good records around each bad one."""
    values = [record(0)]
    for number, value in enumerate(poison, start=1):
        values += [value, record(number * 2, id=f"good{number}")]
    return values


def check_ledger(lab, ledger, poison):
    bad = [reason for _, reason in poison if reason]
    verdicts = balanced(ledger)
    assert verdicts == counts(valid=2 * len(poison) + 1 - len(bad), invalid=len(bad)), ledger
    for reason in set(bad):
        if not reason.endswith("."):
            assert ledger["reasons"][reason] >= bad.count(reason), ledger["reasons"]
    lab.audit()


def check_letters(poison, letters):
    """letters: offset → (value, reason)"""
    expected = {2 * index + 1: pair for index, pair in enumerate(poison) if pair[1]}
    assert letters.keys() == expected.keys()
    for offset, (value, reason) in expected.items():
        got, why = letters[offset]
        assert got == value, f"{value[:80]!r} has become {got[:80]!r}"
        assert why.startswith(reason), (value[:80], reason, why)


def test_each_is_a_dead_letter_in_a_topic(lab):
    poison = list(POISON.values())
    lab.write(dedup=None).produce(put_between(value for value, _ in poison))
    check_ledger(lab, lab.ledger(), poison)
    check_letters(poison, {offset: (value, headers["weir.reason"])
                           for offset, (_, value, headers) in lab.letters().items()})
    lines = put_between(value for value, _ in poison)
    good = [line for index, line in enumerate(lines)
            if index % 2 == 0 or poison[index // 2][1] is None]
    assert lab.values() == good


def test_each_is_a_dead_letter_in_a_table(lab):
    poison = list(POISON.values())
    lab.write(dedup=None, dlq=table("dead")).produce(put_between(value for value, _ in poison))
    check_ledger(lab, lab.ledger(), poison)
    rows = lab.sql('SELECT "offset", value, value_base64, reason FROM dead')
    check_letters(poison,
                  {offset: (value.encode() if value is not None else base64.b64decode(coded),
                                    reason) for offset, value, coded, reason in rows})


def test_keys_of_any_bytes_are_in_a_table_and_come_back(lab):
    """As text, or in base64 where not every database takes them; a replay has them again."""
    keys = [b"plain", None, b"", b"\xff\x00key", b"a\0b"]
    lab.write(dedup=None, dlq=table("dead")).produce([])
    batches.append(lab, "in", [(key, b"{") for key in keys])
    assert balanced(lab.ledger()) == counts(invalid=len(keys))
    rows = lab.sql('SELECT key, key_base64 FROM dead ORDER BY "offset"')
    assert rows == [("plain", None), (None, None), ("", None), (None, "/wBrZXk="), (None, "YQBi")]
    lab.weir("dlq", "replay", "p.yaml")
    assert [key for _, _, key, _, _ in lab.records("in")] == keys * 2
    lab.audit()


def test_each_is_a_dead_letter_in_a_folder(lab):
    poison = list(POISON.values())
    lab.write(dedup=None, dlq={**folder("dead"), "include": ["invalid"]})
    lab.produce(put_between(value for value, _ in poison))
    check_ledger(lab, lab.ledger(), poison)
    check_letters(poison, {letter["offset"]: (letter["value"].encode() if "value" in letter
                                              else base64.b64decode(letter["value_base64"]),
                                              letter["reason"])
                           for letter in lab.letters_in("dead")})


def test_the_same_out_of_a_file_of_lines(lab):
    poison = [pair for pair in POISON.values()]
    lines = put_between(value for value, _ in poison)
    lab.file("in.ndjson", b"".join(line + b"\n" for line in lines))
    lab.write(source={"file": {"path": "in.ndjson"}}, dedup=None)
    ledger = lab.ledger()
    balanced(ledger)
    starts, at = {}, 0
    for line in lines:
        starts[at] = line
        at += len(line) + 1
    letters = lab.letters()
    # An empty line is no record: a file has no other way to be read by people.
    bad = {value for value, reason in poison if reason}
    assert {value for _, value, _ in letters.values()} >= bad - {b"", b"  "}
    assert all(starts[offset] == value for offset, (_, value, _) in letters.items())
    assert ledger["verdicts"]["invalid"] == len(letters)
    lab.audit()


def test_tombstones_keys_and_headers_stay_as_they_are(lab):
    """What has no value is `decode.null_value`; key and headers of a dead letter are the record's."""
    headers = [("trace", b"\x00\xff"), ("empty", b""), ("none", None), ("trace", b"again")]
    records = [(b"k", None, headers), (None, None), (b"", b"", headers),
               (b"\xff\x00key", b"{", headers),
               (b"k", record(1), headers), (None, record(2))]
    lab.write().produce([])
    batches.append(lab, "in", records)
    assert balanced(lab.ledger()) == counts(valid=2, invalid=4)
    found = {}
    for _, _, key, value, _ in lab.records("dead"):
        found[len(found)] = (key, value)
    assert list(found.values()) == [(record[0], record[1]) for record in records[:4]]
    raw = lab.raw_headers("dead")
    assert [[pair for pair in list(record) if not pair[0].startswith("weir.")] for record in raw] == \
        [headers, [], headers, headers]
    reasons = [dict(record)["weir.reason"] for record in raw]
    assert reasons == [b"decode.null_value"] * 2 + [b"decode.syntax"] * 2
    assert [list(record) for record in lab.raw_headers("out")] == [headers, []]
    lab.audit()


def test_a_record_that_is_larger_than_an_epoch(lab):
    """Allowed by the pipeline, it goes out whole."""
    large = record(1, text="x" * 10 * MEGABYTE)
    lab.write(source={**lab.pipeline["source"], "json": {"max_record": "32MiB"}})
    lab.produce([record(0), large, record(2)])
    assert balanced(lab.ledger()) == counts(valid=3)
    assert lab.values() == [record(0), large, record(2)]
    assert lab.sql("SELECT length(text) FROM rows WHERE id = 'm1'") == [(10 * MEGABYTE,)]
    lab.audit()


@pytest.mark.parametrize("repeated_key, verdicts, outputs", [
    ("error", counts(valid=1, invalid=1), []),
    ("last", counts(valid=2), ["second"]),
])
def test_a_repeated_key(lab, repeated_key, verdicts, outputs):
    value = b'{"id":"first","n":"no number",' + TIME + b',"id":"second","n":5}'
    lab.write(source={**lab.pipeline["source"], "json": {"repeated_key": repeated_key}})
    lab.produce([record(1), value])
    assert balanced(lab.ledger()) == verdicts
    assert lab.sql("SELECT id FROM rows WHERE id <> 'm1'") == [(text,) for text in outputs]
    lab.audit()


def test_a_schema_that_forbids_what_was_poison_to_a_field(lab):
    """All violations of a row are in its letter, the first one is its reason."""
    schema = {**SCHEMA, "additionalProperties": False}
    lab.write(schema=schema).produce([b'{"id":5,"n":"x","at":"yesterday","more":1}'])
    assert balanced(lab.ledger()) == counts(invalid=1)
    (_, _, headers), = lab.letters().values()
    assert headers["weir.reason"] == "time.unparsable" and headers["weir.field"] == "at"
    for word in ("time.unparsable", "schema.type", "schema.unknown_field"):
        assert word in headers["weir.violations"]
