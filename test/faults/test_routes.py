"""Where rows go: conditions of sinks, what no sink wants, what dead letters include, keys of several
fields, and standard input, which cannot be read again."""
import json

import pytest

from faults.lab import SCHEMA, balanced, counts, folder, local, record, table


def records(first, end):
    return [record(number) for number in range(first, end)]


# --- conditions ---

def test_conditions_of_sinks(lab):
    lab.write(sinks={"low": {**local("low", partitions=1), "when": "n < 5"},
                     "high": {**table("high"), "when": "n >= 8 OR n < 2"},
                     "nine": {**folder("nine"), "when": "n = 9"}},
              dlq={**local("dead", partitions=1), "include": ["filtered"]})
    lab.produce(records(0, 10) + [record(10, n=...)])
    ledger = lab.ledger()
    # 5, 6 and 7 have no place; where n is absent no condition holds.
    assert balanced(ledger) == counts(valid=7, filtered=4)
    assert ledger["reasons"] == {"route.unmatched": 4}
    assert {name: sink["routed"] for name, sink in ledger["sinks"].items()} == \
        {"low": 5, "high": 4, "nine": 1, "dlq": 4}
    assert lab.values("low") == records(0, 5)
    assert sorted(lab.sql("SELECT n FROM high")) == [(0,), (1,), (8,), (9,)]
    assert lab.lines_in("nine") == [record(9)]
    assert sorted(lab.letters()) == [5, 6, 7, 10]
    assert {headers["weir.reason"] for _, _, headers in lab.letters().values()} == {"route.unmatched"}
    lab.audit()


def test_a_sink_without_a_condition_takes_all(lab):
    lab.write(sinks={"some": {**local("some", partitions=1), "when": "n < 5"},
                     "all": table("rows")})
    lab.produce(records(0, 10))
    assert balanced(lab.ledger()) == counts(valid=10)
    assert len(lab.values("some")) == 5 and lab.sql("SELECT count(*) FROM rows") == [(10,)]
    lab.audit()


def test_conditions_see_the_columns_before_set(lab):
    """With what repair filled in. A row that no sink wanted is not known when it comes again."""
    lab.write(sinks={"out": {**local("out", partitions=1), "when": "n > 10"}},
              transform={"set": {"n": "n * 2"}}, repair={"fill": {"n": {"value": 50}}})
    lab.produce([record(6), record(11), record(7, n=...), record(8, id="m6", n=20),
                 record(9, id="m6", n=20)])
    assert balanced(lab.ledger()) == counts(valid=3, filtered=1, duplicate=1)
    assert [json.loads(value)["n"] for value in lab.values()] == [22, 100, 40]
    lab.audit()


@pytest.mark.parametrize("include, offsets", [
    (None, [1, 4]),
    ([], []),
    (["invalid"], [1]),
    (["late", "duplicate"], [2, 4]),
    (["filtered"], [3]),
    (["invalid", "late", "duplicate", "filtered", "rejected"], [1, 2, 3, 4]),
])
def test_what_dead_letters_include(lab, include, offsets):
    letters = local("dead", partitions=1)
    lab.write(event_time={"field": "at", "lateness": "10s"}, transform={"where": "n <> 3"},
              dlq=letters if include is None else {**letters, "include": include})
    lab.produce([record(50), b"{", record(50), record(45, n=3), record(1)])
    assert balanced(lab.ledger()) == counts(valid=1, invalid=1, duplicate=1, filtered=1, late=1)
    assert sorted(lab.letters()) == offsets if offsets else lab.records("dead") == []
    lab.audit()


# --- keys ---

def test_several_fields_as_key(lab):
    """All of them must agree, types too; a key with a null in it is never a duplicate."""
    lab.write(dedup={"key": ["id", "n"], "window": "30m"})
    lab.produce([record(0, id="a", n=1), record(1, id="a", n=2), record(2, id="b", n=1),
                 record(3, id="a", n=1.0), record(4, id="a", n=...), record(5, id="a", n=...),
                 record(6, id="a1", n=1), record(7, id="a", n=11), record(8, id="b", n=1)])
    assert balanced(lab.ledger()) == counts(valid=7, duplicate=2)
    assert [n for n, in lab.sql("SELECT _weir_offset FROM rows ORDER BY 1")] == [0, 1, 2, 4, 5, 6, 7]
    lab.audit()


def test_the_witness_of_a_duplicate(lab):
    """Its detail names the latest sighting."""
    lab.write(dlq={**local("dead", partitions=1), "include": ["duplicate"]})
    lab.produce([record(0), record(1), record(0), record(2), record(0)])
    lab.run()
    details = {offset: headers["weir.detail"] for offset, (_, _, headers) in lab.letters().items()}
    assert details.keys() == {2, 4} and "0" in details[2] and "2" in details[4], details


# --- standard input ---

def stdin(lab, **more):
    return lab.write(**{"source": {"stdin": {}}, "delivery": {"guarantee": "at_least_once"},
                        **more})


def lines(values):
    return b"".join(value + b"\n" for value in values)


def test_standard_input_twice_in_a_row(lab):
    """The second input goes on behind the first; what is remembered is not: at least once."""
    stdin(lab)
    assert balanced(lab.ledger(data=lines(records(0, 10)))) == counts(valid=10)
    assert balanced(lab.ledger(data=lines(records(10, 20) + [b"{"]))) == counts(valid=20, invalid=1)
    assert lab.values() == records(0, 20)
    offsets = [offset for offset, in lab.sql("SELECT _weir_offset FROM rows ORDER BY 1")]
    assert len(set(offsets)) == 20
    assert lab.letters().keys().isdisjoint(offsets)
    assert balanced(lab.ledger(data=b"")) == counts(valid=20, invalid=1)


def test_standard_input_ends_without_a_newline(lab):
    stdin(lab)
    assert balanced(lab.ledger(data=record(0) + b"\n" + record(1))) == counts(valid=2)
    assert lab.values() == records(0, 2)


def test_standard_input_without_until_end_ends_with_it(lab):
    stdin(lab)
    done = lab.weir("run", "p.yaml", data=lines(records(0, 5)))
    assert done.status == 0 and "VALID 5" in done.out, done


def test_standard_input_into_a_folder(lab):
    stdin(lab, sinks={"out": folder("out")}, dlq=folder("dead"))
    assert balanced(lab.ledger(data=lines(records(0, 5) + [b"x"]))) == counts(valid=5, invalid=1)
    assert balanced(lab.ledger(data=lines(records(5, 9)))) == counts(valid=9, invalid=1)
    assert lab.lines_in("out") == records(0, 9)
    assert [letter["value"] for letter in lab.letters_in("dead")] == ["x"]


@pytest.mark.parametrize("delivery",
                         [None, {"guarantee": "exactly_once"}, {"commit_interval": "1s"}])
def test_standard_input_cannot_be_exactly_once(lab, delivery):
    stdin(lab, delivery=delivery)
    before = lab.files()
    said = lab.refused("config.guarantee").err
    assert said.startswith("p.yaml:1:") and "at_least_once" in said and "weir produce" in said, said
    assert lab.files() == before


def test_audit_cannot_read_standard_input_again(lab):
    stdin(lab)
    lab.run(data=lines(records(0, 5)))
    done = lab.weir("audit", "p.yaml")
    assert done.status == 2 and "audit.source" in done.err, done


# --- without event time ---

def test_times_of_the_log_where_there_is_no_event_time(lab):
    schema = {**SCHEMA, "required": ["id"]}
    lab.write(event_time=None, schema=schema).produce([b'{"id":"a"}', b'{"id":"a"}', b'{"id":"b"}'])
    assert balanced(lab.ledger()) == counts(valid=2, duplicate=1)
    lab.audit()


def test_files_have_no_times(lab):
    lab.file("in.ndjson", b'{"id":"a"}\n{"id":"a"}\n')
    lab.write(source={"file": {"path": "in.ndjson"}}, event_time=None,
              schema={**SCHEMA, "required": ["id"]})
    assert "unlimited" in lab.run(status=2).err
    lab.write(dedup={"key": "id", "window": "unlimited"})
    assert balanced(lab.ledger()) == counts(valid=1, duplicate=1)
    lab.audit()
