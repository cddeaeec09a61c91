"""weir diff: what it says would differ is what differs when both files run."""
import json
import random
import subprocess

from faults.lab import Lab, counts, local, record, table


CSV_PIPELINE = """
version: 1
name: p
source: {file: {path: in}, format: csv}
schema: {type: object, required: [id, v],
         properties: {id: {type: string}, v: {type: integer, minimum: LEAST}}}
sinks: {rows: {sqlite: {path: a.db, table: rows}}}
"""


def two(lab, **changes):
    """p.yaml is the old file; new.yaml has the changes."""
    lab.write()
    new = {key: value for key, value in {**lab.pipeline, **changes}.items() if value is not None}
    lab.file("new.yaml", json.dumps(new))
    return lab


def diff(lab, *options, status=1):
    done = lab.weir("diff", "p.yaml", "new.yaml", "--json", *options)
    assert done.status == status, done
    return json.loads(done.out)


def kinds(said):
    return {(kind["from"], kind["to"], kind["what"]): kind["records"] for kind in said["kinds"]}


def test_the_same_file_differs_in_nothing(lab):
    two(lab).produce([record(1), record(1), b"{", record(2, n="x")])
    said = diff(lab, status=0)
    assert said["records"] == 4 and said["kinds"] == [] and said["old"] == said["new"]
    assert "0 of 4 records differ" in lab.weir("diff", "p.yaml", "new.yaml").out


def test_each_kind_of_difference_is_named_with_an_example(lab):
    lab.write(checks=[{"name": "a", "expect": "n < 5"}, {"name": "b", "expect": "n < 6"}])
    two(lab, checks=[{"name": "a", "expect": "n < 7"}, {"name": "b", "expect": "n < 6"}],
        transform={"where": "n <> 1", "set": {"n": "n + 1"}}, repair={"coerce": ["n"]},
        sinks={"out": {**local("out"), "when": "n <> 3"}, "rows": table("rows"), "more": local("more")})
    lab.produce([record(1), record(2), record(3), record(5), record(6), record(7), record(2),
                 record(8, n="4"), record(9, n=[])])
    said = diff(lab)
    found = kinds(said)
    assert found[("VALID", "FILTERED filter.where", "verdict")] == 1
    assert found[("INVALID check.a", "VALID", "verdict")] == 1
    assert found[("INVALID check.a", "INVALID check.b", "reason")] == 1
    assert found[("INVALID schema.type n", "VALID", "verdict")] == 1
    assert found[("VALID", "VALID", "other row for rows")] == 2
    assert found[("VALID", "VALID", "no longer to out")] == 1
    assert found[("VALID", "VALID", "new to more")] == 2
    # Reasons of one verdict that stand behind the first count as well: 7 breaks a and b, and then b and a.
    example = next(kind for kind in said["kinds"] if kind["to"] == "FILTERED filter.where")["examples"][0]
    assert (example["offset"], example["key"], example["old"]) == (0, "m1", "VALID")
    assert diff(lab, "--limit", 0)["kinds"][0]["examples"] == []
    text = lab.weir("diff", "p.yaml", "new.yaml").out
    assert "in[0]@0  m1" in text and "INVALID schema.type n" in text


def fill(seed, count=3000):
    """Keys that come again, out of order and in pieces, an hour of event time long."""
    dice = random.Random(seed)
    values = []
    for number in range(count):
        key = dice.randrange(max(1, number - 400), number + 2)
        at = number - dice.choice([0, 0, 0, 5, 300, 900])
        values.append(record(max(0, at), id=f"m{key}", n=dice.choice([number, ..., "x", None])))
    return values


def test_what_it_says_is_what_two_runs_say(lab, tmp_path, weir, seed):
    """Verdict by verdict, over all records and over the last ones after a warm-up."""
    changes = {"dedup": {"key": "id", "window": "2m"},
               "event_time": {"field": "at", "lateness": "1m"},
               "checks": [{"name": "even", "expect": "n % 2 = 0"}]}
    values = fill(seed)
    lab.write(dedup={"key": "id", "window": "3m"}, event_time={"field": "at", "lateness": "2m"})
    two(lab, **changes).produce(values[:2500])
    half = {name: Lab(tmp_path / name, weir) for name in ("old", "new")}
    for name, other in half.items():
        other.path.mkdir()
        other.pipeline = lab.pipeline if name == "old" else {**lab.pipeline, **changes}
        other.write().produce(values[:2500])
    before = {name: other.ledger()["verdicts"] for name, other in half.items()}
    said = diff(lab, "--last", 10**6)
    for name in half:
        assert {key.lower(): count for key, count in said[name].items()} == before[name], name
    for other in [lab, *half.values()]:
        other.produce(values[2500:])
    after = {name: other.ledger()["verdicts"] for name, other in half.items()}
    said = diff(lab, "--last", 500)
    assert said["records"] == 500 and 500 < said["warm_up"] < 2500
    for name in half:
        grown = {key: after[name][key] - before[name][key] for key in after[name]}
        assert {key.lower(): count for key, count in said[name].items()} == grown, name


def test_it_opens_nothing_but_the_source_and_disturbs_nobody(lab):
    two(lab, checks=[{"name": "no", "expect": "n > 5"}]).produce([record(1), record(9)])
    before = lab.files()
    assert diff(lab)["differing"] == 1
    assert {n: b for n, b in lab.files().items() if not n.endswith(("-shm", "-wal"))} == \
        {n: b for n, b in before.items() if not n.endswith(("-shm", "-wal"))}
    process = lab.start()
    lab.wait_committed(process, 2)
    assert diff(lab)["differing"] == 1
    assert process.terminate() == 0
    assert lab.ledger()["verdicts"] == counts(valid=2)


def test_files_are_counted_in_lines(lab):
    lab.file("in.ndjson", b"".join(record(n) + b"\n" for n in range(10)))
    lab.write(source={"file": {"path": "in.ndjson"}, "format": "json"}, event_time=None, dedup=None)
    two(lab, checks=[{"name": "no", "expect": "n % 2 = 0"}])
    said = diff(lab, "--last", 4)
    assert (said["records"], said["differing"]) == (4, 2)
    done = lab.weir("diff", "p.yaml", "new.yaml", "--since", "2026-01-01T00:00:00Z")
    assert done.status == 2 and "diff.since" in done.err


def test_what_cannot_be_compared_is_refused(lab):
    two(lab, source={**local("other"), "format": "json"}).produce([record(1)])
    lab.produce([record(1)], topic="other")
    done = lab.weir("diff", "p.yaml", "new.yaml")
    assert done.status == 2 and "diff.source" in done.err
    done = lab.weir("diff", "p.yaml", "p.yaml", "--last", 3, "--since", "2026-01-01T00:00:00Z")
    assert done.status == 2 and "exclude each other" in done.err


def test_rows_of_csv_have_their_header_under_both_files(tmp_path, weir):
    """Also where something is remembered, so that it reads from before the first record."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("v,id\n1,a\n3,b\n4,b\n")
    (tmp_path / "in/b.csv").write_text("id,v\nc,1\n")
    (tmp_path / "in/c.csv").write_text("id,v\n")
    for memory in ("", "dedup: {key: id, window: unlimited}\n"):
        for name, least in (("p.yaml", 0), ("new.yaml", 2)):
            (tmp_path / name).write_text(CSV_PIPELINE.replace("LEAST", str(least)) + memory)
        for options, records, differing in (((), 4, 2), (("--last", "1"), 2, 1)):
            done = subprocess.run([weir, "diff", "p.yaml", "new.yaml", "--json", *options],
                                  cwd=tmp_path, capture_output=True, text=True, timeout=60)
            said = json.loads(done.stdout)
            assert done.returncode == 1 and said["records"] == records, (memory, options, done)
            assert kinds(said) == {("VALID", "INVALID schema.range v", "verdict"): differing}, said
