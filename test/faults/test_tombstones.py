"""`tombstones: delete`: a record without a value deletes the row of its key, and passes through topics."""
import json
import random
import time

import pytest

from faults import batches
from faults.keyed import INTEGER_SCHEMA, PAIR_KEY, PAIR_SCHEMA, SCHEMA, Keyed, Pairs, fold, fold_pairs, pair_key, \
    partition_of, value_of
from faults.lab import LOG, balanced, folder, local, table

ROWS = table("rows", mode="upsert", key="id")
SOURCE = {**local("in"), "tombstones": "delete"}


@pytest.fixture
def keyed(lab):
    """The lab with a table of last rows that tombstones delete from."""
    return lab.write(source=SOURCE, schema=SCHEMA, event_time=None, dedup=None,
                     sinks={"out": local("out", partitions=2), "rows": ROWS})


def put(lab, log, partitions=1):
    lab.produce([], partitions=partitions)
    put_more(lab, log)


def put_more(lab, log):
    for partition, records in log.items():
        batches.append(lab, "in", records, partition=partition)


def rows(lab):
    return {key: (n, partition, offset) for key, n, partition, offset in
            lab.sql("SELECT id, n, _weir_partition, _weir_offset FROM rows")}


def check(lab, ledger=None, is_integer=False, refused=()):
    """Table and ledger against the fold, then weir's own audit."""
    expected, reasons = fold(lab.path / LOG, is_integer=is_integer, refused=refused)
    assert rows(lab) == expected
    if ledger is not None:
        verdicts = balanced(ledger)
        assert verdicts["valid"] == reasons[""] + reasons["tombstone"]
        assert ledger["reasons"] == {name: count for name, count in reasons.items() if name}
    lab.audit()
    return expected, reasons


def test_a_row_is_there_until_its_tombstone(keyed):
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"b", value_of("b", 2)), (b"a", None), (b"c", None),
                    (b"c", value_of("c", 3)), (b"b", value_of("b", 4)), (b"c", None),
                    (b"c", value_of("c", 5)), (b"d", value_of("d", 6)), (b"d", None)]})
    ledger = keyed.ledger()
    assert rows(keyed) == {"b": (4, 0, 5), "c": (5, 0, 7)}
    assert ledger["reasons"] == {"tombstone": 4} and ledger["verdicts"]["valid"] == 10
    assert ledger["sinks"]["rows"]["written"] == ledger["sinks"]["out"]["written"] == 10
    # A topic passes them on: the key without a value.
    assert sorted((key, value) for _, _, key, value, _ in keyed.records("out") if value is None) == \
        [(b"a", None), (b"c", None), (b"c", None), (b"d", None)]
    check(keyed, ledger)
    # Over a restart, out of an epoch of its own.
    batches.append(keyed, "in", [(b"b", None), (b"e", value_of("e", 7))])
    keyed.run()
    assert set(rows(keyed)) == {"c", "e"}
    check(keyed)


def test_without_the_option_they_are_invalid(keyed):
    keyed.write(source=local("in"))
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"a", None)]})
    assert keyed.ledger()["reasons"] == {"decode.null_value": 1}
    assert set(rows(keyed)) == {"a"}
    keyed.audit()


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("is_integer", [False, True], ids=["text", "integer"])
@pytest.mark.parametrize("seed", range(4))
def test_random_logs(keyed, seed, is_integer, partitions):
    """Few keys, in every order, with keys that are not the rows' and partitions that are not the keys'."""
    log = Keyed(random.Random(f"{seed} {is_integer} {partitions}"), partitions, is_integer=is_integer)
    keyed.write(schema=INTEGER_SCHEMA if is_integer else SCHEMA)
    put(keyed, log.batches(600), partitions)
    _, reasons = check(keyed, keyed.ledger(), is_integer)
    assert reasons["tombstone"] > 100 and reasons["key.missing"] and reasons["key.mismatch"]
    put_more(keyed, log.batches(300))
    check(keyed, keyed.ledger(), is_integer)


PAIRS = {"source": {**SOURCE, "key_format": "json"}, "schema": PAIR_SCHEMA,
         "sinks": {"out": local("out", partitions=2), "rows": table("rows", mode="upsert", key=PAIR_KEY)}}


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_random_logs_with_keys_of_several_columns(keyed, seed, partitions):
    """Keys are JSON objects; where there are partitions, in one spelling."""
    log = Pairs(random.Random(f"{seed} {partitions}"), partitions)
    keyed.write(**PAIRS)
    put(keyed, log.batches(600), partitions)
    for count in (300, 1, 0):
        ledger = keyed.ledger()
        expected, reasons = fold_pairs(keyed.path / LOG)
        there = keyed.sql("SELECT region, id, n, _weir_partition, _weir_offset FROM rows")
        assert {row[:2]: row[2:] for row in there} == expected and len(there) == len(expected)
        assert ledger["reasons"] == {name: count for name, count in reasons.items() if name}
        keyed.audit()
        put_more(keyed, log.batches(count))
    assert reasons["tombstone"] > 100 and reasons["key.missing"] and reasons["key.mismatch"]


def test_a_key_of_json_in_another_spelling_is_named(keyed):
    """Of one value every spelling would lie in a partition of its own, so the one that counts is shown."""
    keyed.write(**PAIRS)
    key = b'{"id": 7, "region": "x"}'
    put(keyed, {partition_of(key, 4): [(key, b'{"region":"x","id":7,"n":1}'), (key, None)]}, 4)
    assert keyed.ledger()["reasons"] == {"key.mismatch": 2}
    for _, _, headers in keyed.letters().values():
        assert headers["weir.detail"] == 'is not spelled {"region":"x","id":7}'
    good = pair_key("x", 7)
    put_more(keyed, {partition_of(good, 4): [(good, b'{"region":"x","id":7,"n":1}')]})
    keyed.run()
    assert keyed.sql("SELECT count(*) FROM rows") == [(1,)]
    put_more(keyed, {partition_of(good, 4): [(good, None)]})
    keyed.run()
    assert keyed.sql("SELECT count(*) FROM rows") == [(0,)]
    assert "deleted" in keyed.weir("trace", "p.yaml", good.decode()).out
    keyed.audit()


@pytest.mark.parametrize("seed", range(3))
def test_through_kills(keyed, seed):
    """Few keys and kill -9 at any moment, with small epochs; then the fold, and each topic record once."""
    rng = random.Random(seed)
    log = Keyed(rng, 3, keys=30)
    keyed.write(delivery={"commit_interval": "1ms"}, sinks={
        "out": local("out", partitions=2), "rows": ROWS,
        "other": {**table("rows", path="other.db", mode="upsert", key="id"),
                  "batch": {"interval": "7ms"}}})
    put(keyed, log.batches(200), 3)
    for _ in range(8):
        process = keyed.start()
        for _ in range(rng.randrange(6)):
            put_more(keyed, log.batches(rng.randrange(1, 400)))
            time.sleep(rng.random() * 0.03)
        process.kill()
    ledger = keyed.ledger()
    expected, reasons = check(keyed, ledger)
    assert len(keyed.records("out")) == reasons[""] + reasons["tombstone"]
    there = {key: (n, partition, offset) for key, n, partition, offset in keyed.sql(
        "SELECT id, n, _weir_partition, _weir_offset FROM rows", path="other.db")}
    assert there == expected


def test_audit_names_what_a_tombstone_should_have_deleted(keyed):
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"b", value_of("b", 1)), (b"a", None), (b"c", None)]})
    keyed.run()
    keyed.audit()
    keyed.sql("INSERT INTO rows VALUES ('a', 1, 'in', 0, 0)")
    assert "not written by this pipeline" in keyed.audit(status=1)
    keyed.sql("DELETE FROM rows WHERE id = 'a'")
    keyed.audit()
    keyed.sql("DELETE FROM rows WHERE id = 'b'")
    assert "missing: the row of in [0] offset 1" in keyed.audit(status=1)


REFUSALS = {
    "foreign key": ("CREATE TABLE child (id TEXT REFERENCES rows (id)); INSERT INTO child VALUES ('a')",
                    "sink.constraint_foreignkey"),
    "deferred foreign key": (
        "CREATE TABLE child (id TEXT REFERENCES rows (id) DEFERRABLE INITIALLY DEFERRED);"
        " INSERT INTO child VALUES ('a')", "sink.constraint_foreignkey"),
    "abort": ("CREATE TRIGGER t BEFORE DELETE ON rows WHEN OLD.id = 'a'"
              " BEGIN SELECT RAISE(ABORT, 'a stays'); END", "sink.trigger"),
    "rollback": ("CREATE TRIGGER t AFTER DELETE ON rows WHEN OLD.id = 'a'"
                 " BEGIN SELECT RAISE(ROLLBACK, 'a stays'); END", "sink.trigger"),
    "ignore": ("CREATE TRIGGER t BEFORE DELETE ON rows WHEN OLD.id = 'a'"
               " BEGIN SELECT RAISE(IGNORE); END", "sink.ignored"),
}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("dead", [LOG, "dead.db"])
def test_a_deletion_that_the_table_refuses_is_a_refused_row(keyed, kind, dead):
    """Booked, its dead letter in the same file or in another, and the row stays."""
    statement, code = REFUSALS[kind]
    keyed.write(dlq=local("dead", path=dead, partitions=1))
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"b", value_of("b", 1))]})
    keyed.run()
    keyed.script(statement)
    batches.append(keyed, "in", [(b"b", None), (b"a", None), (b"c", value_of("c", 2)), (b"a", None)])
    ledger = keyed.ledger()
    assert ledger["sinks"]["rows"]["rejected"] == 2
    letters = keyed.letters(path=dead)
    assert {offset: (key, value) for offset, (key, value, _) in letters.items()} == \
        {3: (b"a", None), 5: (b"a", None)}
    assert {headers["weir.reason"] for _, _, headers in letters.values()} == {code}
    check(keyed, ledger, refused={(0, 3), (0, 5)})
    assert set(rows(keyed)) == {"a", "c"}
    # Replayed behind what was mended: to that table alone.
    keyed.script("DROP TABLE IF EXISTS child; DROP TRIGGER IF EXISTS t")
    assert keyed.weir("dlq", "replay", "p.yaml").status == 0
    before = len(keyed.records("out"))
    keyed.run()
    assert set(rows(keyed)) == {"c"} and len(keyed.records("out")) == before
    keyed.audit()


@pytest.mark.parametrize("trigger", [False, True], ids=["plain", "trigger"])
@pytest.mark.parametrize("seed", range(3))
def test_refused_rows_and_refused_deletions(keyed, seed, trigger):
    """In any order in one epoch: the table is the fold of what was not refused."""
    rng = random.Random(f"refusals {seed}")
    log = Keyed(rng, 3, keys=12, stray=0.02)
    keyed.script("CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER CHECK (n % 5 <> 0), _weir_topic TEXT,"
                 " _weir_partition INTEGER, _weir_offset INTEGER);"
                 " CREATE TABLE child (id TEXT REFERENCES rows (id))")
    if trigger:
        keyed.script("CREATE TABLE seen (id TEXT); CREATE TRIGGER t AFTER DELETE ON rows"
                     " BEGIN INSERT INTO seen VALUES (OLD.id); END")
    for number in range(4):
        if number == 0:
            put(keyed, log.batches(100), partitions=3)
        else:
            put_more(keyed, log.batches(rng.choice([5, 60, 400])))
        ledger = keyed.ledger()
        refused = {(int(partition), offset) for partition, offset in
                   keyed.sql("SELECT partition, offset FROM weir_rejects")}
        assert ledger["sinks"]["rows"]["rejected"] == len(refused)
        check(keyed, ledger, refused=refused)
        for name in sorted(rows(keyed))[:3] if number == 1 else []:
            keyed.sql("INSERT INTO child VALUES (?)", name)
    assert refused


def test_a_deletion_cannot_be_mended(keyed):
    """A replay that sets a field leaves tombstones out: they have none."""
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"\xff", None), (b"b", b'{"id":"b","n":"x"}')]})
    keyed.run()
    done = keyed.weir("dlq", "replay", "p.yaml", "--set", "n=5")
    assert done.status in (0, 1), done
    keyed.run()
    assert {key: n for key, (n, _, _) in rows(keyed).items()} == {"a": 1, "b": 5}
    keyed.audit()


def test_conditions_and_checks_do_not_ask_tombstones(keyed):
    """They have no fields: they go to every sink, for any may hold the row."""
    keyed.write(checks=[{"name": "small", "expect": "n < 100"}],
                transform={"where": "n <> 7", "set": {"n": "n + 1"}},
                sinks={"odd": {**ROWS, "when": "n % 2 = 1"},
                       "even": {**table("even", mode="upsert", key="id"), "when": "n % 2 = 0"},
                       "out": {**local("out", partitions=1, key="id"), "when": "n = 3"}})
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"b", value_of("b", 2)), (b"c", value_of("c", 3)),
                    (b"a", None), (b"b", None), (b"d", value_of("d", 5))]})
    keyed.run()
    assert keyed.sql("SELECT id, n FROM rows ORDER BY id") == [("c", 4), ("d", 6)]
    assert keyed.sql("SELECT id FROM even") == []
    assert [(key, value and b'"n": 4' in value or value) for _, _, key, value, _ in keyed.records("out")] == \
        [(b"c", True), (b"a", None), (b"b", None)]
    keyed.audit()


def test_dedup_and_event_time_leave_tombstones_alone(keyed):
    """No field, so no key to be seen again by, and no time: none is a duplicate, late, or moves a
    watermark."""
    keyed.write(schema={**SCHEMA, "properties": {**SCHEMA["properties"],
                                                 "at": {"type": "string", "format": "date-time"}}},
                event_time={"field": "at", "lateness": "1m"}, dedup={"key": "n", "window": "1h"},
                transform={"set": {"n": "n * 10"}})

    def value(key, number, minute):
        return f'{{"id":"{key}","n":{number},"at":"2024-05-01T00:{minute:02}:00Z"}}'.encode()

    put(keyed, {0: [(b"a", value("a", 1, 10)), (b"a", None), (b"a", None), (b"a", value("a", 1, 10)),
                    (b"b", value("b", 2, 9)), (b"c", value("c", 3, 2)), (b"c", None)]})
    ledger = keyed.ledger()
    assert ledger["reasons"] == {"tombstone": 3, "duplicate": 1, "late": 1}
    assert keyed.sql("SELECT id, n FROM rows") == [("b", 20)]
    keyed.audit()


def lint(lab, **changes):
    done = lab.write(**changes).weir("lint", "p.yaml")
    return done.status, done.err


def test_what_could_not_be_kept_is_refused(keyed):
    many = {**SCHEMA, "required": ["id", "n"]}
    refused = [
        ({"sinks": {"rows": table("rows")}}, "mode: upsert"),
        ({"sinks": {"rows": ROWS, "files": folder("parts")}}, "pipeline of its own"),
        ({"sinks": {"rows": table("rows", mode="upsert", key=["id", "n"])}}, "key_format: json"),
        ({"source": {**SOURCE, "key_format": "json"}, "sinks": {"rows": ROWS, "out": local("out", key="id")}},
         "leave 'key' out"),
        ({"source": {**local("in"), "key_format": "json"}, "sinks": {"rows": ROWS}}, "tombstones: delete"),
        ({"source": SOURCE, "sinks": {"rows": table("rows", mode="upsert", key="id", newest_by="n")}}, "newest_by"),
        ({"sinks": {"rows": ROWS, "other": table("other", mode="upsert", key="n")}}, "the same fields"),
        ({"sinks": {"rows": ROWS, "out": local("out", key="n")}}, "the same fields"),
        ({"sinks": {"rows": ROWS}, "transform": {"set": {"id": "'x'"}}}, ""),
        ({"sinks": {"rows": ROWS}, "transform": None,
          "schema": {**many, "properties": {**many["properties"],
                                            "id": {"type": "string", "format": "date-time"}}}},
         "a record's key is bytes"),
        ({"schema": {**many, "properties": {**many["properties"], "id": {"type": "number"}}}},
         "a record's key is bytes"),
        ({"sinks": {"out": local("out", key="id")}, "schema": {**many, "required": ["n"]}}, "make it required"),
        ({"sinks": {"out": local("out", key="id")},
          "schema": {**many, "properties": {**many["properties"], "id": {"type": ["string", "null"]}}}},
         "make it required"),
        ({"schema": SCHEMA, "source": {"file": {"path": "in.ndjson"}, "tombstones": "delete"}},
         "no keys"),
    ]
    for changes, word in refused:
        status, err = lint(keyed, **changes)
        assert status == 2 and "config." in err and word in err, (changes, err)
    assert lint(keyed, source=SOURCE, sinks={"rows": ROWS, "out": local("out", key="id")})[0] == 0


def test_lint_and_explain_say_what_a_tombstone_does(keyed):
    put(keyed, {}, 2)
    for verb in ("lint", "explain"):
        said = keyed.weir(verb, "p.yaml").out
        assert "deletes the row of its key" in said and "passes on, as a key without a value" in said, said
        assert all(word in said for word in ("the key of each record must be id", "murmur2", "newest_by")), said
    assert "murmur2_random" in keyed.weir("explain", "p.yaml").out
    keyed.write(**PAIRS)
    assert 'must be {"region":…,"id":…}' in keyed.weir("lint", "p.yaml").out
    keyed.write(sinks={"out": local("out")})
    said = keyed.weir("lint", "p.yaml").out
    assert "needs a key" in said and "murmur2" not in said
    keyed.write(source=local("in"), sinks={"rows": ROWS}, schema=SCHEMA)
    assert "source.tombstones: delete" in keyed.weir("explain", "p.yaml").out
    assert "ombstone" not in keyed.weir("lint", "p.yaml").out


def test_a_table_keeps_its_rule(keyed):
    """On or off: rows of before may stand where no tombstone reaches them, so the table must be new."""
    put(keyed, {0: [(b"a", value_of("a", 1))]})
    keyed.run()
    keyed.write(source=local("in")).refused("sink.other_rule")
    keyed.write(sinks={"rows": table("rows2", mode="upsert", key="id")}).run()
    batches.append(keyed, "in", [(b"a", value_of("a", 2))])
    keyed.run()
    keyed.write(source=SOURCE).refused("sink.other_rule")
    batches.append(keyed, "in", [(b"a", None)])
    keyed.write(sinks={"rows": table("rows3", mode="upsert", key="id")}).run()
    assert keyed.sql("SELECT * FROM rows3") == []


def test_a_change_of_plan_beside_it(keyed):
    """Each row is judged under its own plan, tombstones too, and audit over both."""
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"b", value_of("b", 1)), (b"a", None)]})
    keyed.run()
    keyed.write(schema={**SCHEMA, "properties": {**SCHEMA["properties"], "more": {"type": "string"}}},
                checks=[{"name": "small", "expect": "n < 100"}])
    keyed.sql("ALTER TABLE rows ADD COLUMN more TEXT")
    batches.append(keyed, "in", [(b"b", None), (b"a", value_of("a", 2)), (b"c", value_of("c", 200)),
                                 (b"c", None)])
    keyed.run()
    assert set(rows(keyed)) == {"a"}
    keyed.audit()


def test_the_verbs_that_look(keyed):
    put(keyed, {0: [(b"a", value_of("a", 1)), (b"a", None), (b"b", None), (b"b", value_of("b", 1)),
                    (b"c", None)]})
    keyed.run()
    traced = keyed.weir("trace", "p.yaml", "a")
    assert traced.status == 0 and "deleted" in traced.out and "missing" not in traced.out, traced
    traced = keyed.weir("trace", "p.yaml", "b")
    assert traced.status == 0 and "missing" not in traced.out, traced
    assert keyed.weir("tail", "p.yaml:out").status == 0
    assert keyed.weir("explain", "p.yaml").status == 0
    other = {**keyed.pipeline, "checks": [{"name": "small", "expect": "n < 100"}]}
    keyed.file("q.yaml", json.dumps(other))
    done = keyed.weir("diff", "p.yaml", "q.yaml")
    assert done.status == 0, done
    keyed.file("r.yaml", json.dumps({**keyed.pipeline, "source": local("in")}))
    done = keyed.weir("diff", "p.yaml", "r.yaml")
    assert done.status == 1 and "decode.null_value" in done.out, done


def test_cases(keyed):
    keyed.file("t.yaml", """
pipeline: p.yaml
cases:
  - name: tombstones
    input:
      - {record: {id: a, n: 1}, key: a}
      - {record: null, key: a}
      - {record: null}
      - {record: {id: a, n: 1}, key: b}
    expect:
      - {verdict: VALID}
      - {verdict: VALID, output: null, sinks: [out, rows]}
      - {verdict: INVALID, reason: key.missing}
      - {verdict: INVALID, reason: key.mismatch, field: id}
""")
    done = keyed.weir("test", "t.yaml")
    assert done.status == 0, done


def test_keys_stand_where_they_belong(keyed):
    """A key in another partition would be outrun by its tombstone, or outrun it."""
    wrong = 1 - partition_of(b"a", 2)
    put(keyed, {wrong: [(b"a", value_of("a", 1)), (b"a", None)],
                1 - wrong: [(b"a", value_of("a", 2))]}, partitions=2)
    ledger = keyed.ledger()
    assert ledger["reasons"] == {"key.partition": 2}
    assert set(rows(keyed)) == {"a"}
    # Topics alone do not ask.
    keyed.write(name="q", sinks={"out": local("out2")}, dlq=local("dead2"))
    assert keyed.ledger()["reasons"] == {"tombstone": 1}


def test_a_topic_that_names_the_key_holds_records_to_it(keyed):
    """Or the key that a row leaves with is not that of its tombstone."""
    keyed.write(sinks={"out": local("out", key="id")})
    put(keyed, {0: [(b"b", value_of("a", 1)), (None, value_of("a", 1)), (b"a", value_of("a", 1)), (b"a", None)]})
    assert keyed.ledger()["reasons"] == {"key.mismatch": 1, "key.missing": 1, "tombstone": 1}
    assert [(key, value is None) for _, _, key, value, _ in keyed.records("out")] == [(b"a", False), (b"a", True)]
    keyed.audit()
