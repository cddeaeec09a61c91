"""weir reconcile: any two places, compared by key; what differs is found, named, and nothing else."""
import json
import random
import os
import subprocess

import pytest

from faults import batches
from faults.lab import folder, local, record, table


def reconcile(lab, left, right, *options, status=None):
    done = lab.weir("reconcile", left, right, "--json", *options)
    assert done.status in (0, 1), done
    said = json.loads(done.out)
    differs = any(said[kind] for kind in ("missing", "extra", "doubled", "altered")) or \
        said["left"]["unreadable"] + said["right"]["unreadable"] > 0
    assert done.status == int(differs), said
    assert status in (None, done.status), said
    return said


def lines(*rows):
    return "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)


def counts(said):
    return tuple(said[kind] for kind in ("same", "missing", "extra", "doubled", "altered"))


def test_the_same_rows_in_every_kind_of_place_are_the_same(lab):
    lab.write(sinks={"topic": local("topic", partitions=3, key="id"), "rows": table("rows"),
                     "lines": folder("lines")})
    lab.produce([record(n, text="ü" * (n % 3)) for n in range(50)]).run()
    places = ["local:log.db#topic", "sqlite:log.db#rows", "file:lines", "p.yaml:rows", "p.yaml:source"]
    for left in places:
        for right in places:
            assert counts(reconcile(lab, left, right, "--key", "id", status=0)) == (50, 0, 0, 0, 0)


def test_values_count_and_not_their_spelling(lab):
    lab.file("a", lines('{"id":1,"n":1.50,"t":"2024-05-01T02:00:00+02:00","b":true,"o":{"x":1,"y":[1,{"b":2,"a":null}]},'
                        '"big":12345678901234567890,"z":null,"s":"\\u0061"}\n'))
    lab.file("b", lines('{"s":"a","big":12345678901234567890,"o":{"y":[1.0,{"b":2}],"x":1e0},"b":1,'
                        '"t":"2024-05-01T00:00:00.000Z","n":15e-1,"id":1.0}\n'))
    assert counts(reconcile(lab, "file:a", "file:b", "--key", "id")) == (1, 0, 0, 0, 0)
    lab.file("c", lines({"id": 1, "n": "1.5", "t": "2024-05-01T00:00:00.001Z", "b": False, "o": {"x": 1, "y": [{"b": 2}, 1]},
                         "big": 12345678901234567891, "s": "A", "more": 0}))
    said = reconcile(lab, "file:b", "file:c", "--key", "id")
    assert counts(said) == (0, 0, 0, 0, 1)
    assert {column["column"] for column in said["differences"][0]["columns"]} == {
        "n", "t", "b", "o_y", "big", "s", "more"}


def test_each_kind_of_difference_is_named(lab):
    lab.file("left", lines(*({"id": n, "v": n} for n in [1, 2, 3, 3, 4, 5, 6, 6])))
    lab.file("right", lines(*({"id": n, "v": v} for n, v in [(1, 1), (3, 3), (4, 4), (4, 4), (5, 50), (6, 6), (6, 60),
                                                             (7, 7)])))
    said = reconcile(lab, "file:left", "file:right", "--key", "id")
    assert counts(said) == (5 - 1, 2, 1, 1, 2)
    found = {(d["kind"], d["key"]["id"]): d for d in said["differences"]}
    assert set(found) == {("missing", 2), ("missing", 3), ("extra", 7), ("doubled", 4), ("altered", 5), ("altered", 6)}
    assert found["altered", 5]["columns"] == [{"column": "v", "left": 5, "right": 50}]
    assert (found["missing", 3]["left"], found["missing", 3]["right"]) == (2, 1)
    text = lab.weir("reconcile", "file:left", "file:right", "--key", "id")
    assert 'altered  {"id":5}  v: 5 → 50' in text.out and 'doubled  {"id":4}  1 left, 2 right' in text.out
    assert text.status == 1
    few = reconcile(lab, "file:left", "file:right", "--key", "id", "--limit", 2)
    assert counts(few) == counts(said) and len(few["differences"]) == 2
    for options in (["--columns", "id"], ["--ignore", "v"]):
        assert counts(reconcile(lab, "file:left", "file:right", "--key", "id", *options)) == (6, 2, 1, 1, 0)


def test_keys_of_several_columns_and_of_records_and_of_other_names(lab):
    lab.produce([b'{"id":"a","n":1}', b'{"id":"b","n":2}'], topic="t", key="id")
    lab.script("CREATE TABLE other (device TEXT, n INT); INSERT INTO other VALUES ('a', 1), ('b', 3)")
    said = reconcile(lab, "local:log.db#t", "sqlite:log.db#other", "--key", "$key=device", "--columns", "n")
    assert counts(said) == (1, 0, 0, 0, 1) and said["differences"][0]["key"] == {"$key": "b"}
    lab.file("x", lines({"a": 1, "b": {"c": 2}, "v": 1}, {"a": 1, "b": {"c": 3}, "v": 1}))
    lab.file("y", lines({"a": 1, "b": {"c": 3}, "v": 1}, {"a": 1, "b": {"c": 2}, "v": 2}))
    assert counts(reconcile(lab, "file:x", "file:y", "--key", "a,b.c")) == (1, 0, 0, 0, 1)
    assert counts(reconcile(lab, "file:x", "file:y", "--key", "a")) == (1, 0, 0, 0, 1)


def test_tombstones_are_deletions(lab):
    """They are no rows, and no rubbish; by the key of their records they are compared."""
    for topic, records in {"x": [(b"a", b'{"id":"a"}'), (b"b", None), (b"c", None)], "y": [(b"a", b'{"id":"a"}'), (b"b", None), (b"c", b"{}")]}.items():
        lab.produce([], topic=topic)
        batches.append(lab, topic, records)
    lab.script("CREATE TABLE t (id TEXT); INSERT INTO t VALUES ('a')")
    for key in ("id", "$key=id"):
        said = reconcile(lab, "local:log.db#x", "sqlite:log.db#t", "--key", key, status=0)
        assert counts(said) == (1, 0, 0, 0, 0) and said["left"] == {
            "place": "local:log.db#x", "rows": 1, "unreadable": 0, "deletions": 2}
    said = reconcile(lab, "local:log.db#x", "local:log.db#y", "--key", "$key", status=1)
    assert counts(said) == (2, 0, 0, 0, 1) and said["left"]["rows"] == 3
    assert said["differences"][0]["key"] == {"$key": "c"}
    assert "x: 2 tombstones" in lab.weir("reconcile", "local:log.db#x", "local:log.db#y", "--key", "$key").out
    # Without a key it deletes nothing.
    batches.append(lab, "x", [(None, None)])
    assert reconcile(lab, "local:log.db#x", "sqlite:log.db#t", "--key", "id")["left"]["unreadable"] == 1


def test_what_is_no_row_is_counted_and_differs(lab):
    lab.file("x", '{"id":1}\n\n[1]\n{"id":\n')
    lab.file("y", '{"id":1}')
    said = reconcile(lab, "file:x", "file:y", "--key", "id", status=1)
    assert counts(said) == (1, 0, 0, 0, 0) and said["left"]["unreadable"] == 2
    # Rows without the key are compared with each other.
    lab.file("z", lines({"v": 1}, {"v": 2}))
    assert counts(reconcile(lab, "file:z", "file:z", "--key", "id")) == (2, 0, 0, 0, 0)


def test_random_places_are_compared_as_multisets(lab, seed):
    dice = random.Random(seed)
    for _ in range(5):
        sides = [[(dice.randrange(30), dice.randrange(3)) for _ in range(dice.randrange(80))] for _ in range(2)]
        for name, rows in zip("xy", sides):
            lab.file(name, lines(*({"k": k, "v": v} for k, v in rows)))
        expected = dict.fromkeys(["same", "missing", "extra", "doubled", "altered"], 0)
        for key in range(30):
            left, right = ([v for k, v in rows if k == key] for rows in sides)
            same = sum(min(left.count(v), right.count(v)) for v in set(left))
            a, b = len(left) - same, len(right) - same
            altered = min(a, b)
            expected["same"] += same
            expected["altered"] += altered
            expected["missing"] += a - altered
            expected["doubled" if left else "extra"] += b - altered
        assert counts(reconcile(lab, "file:x", "file:y", "--key", "k")) == tuple(expected.values())


@pytest.mark.parametrize("words, code", [
    (["file:a", "file:b"], "use.option"),
    (["file:a", "-", "--key", "id"], "use.place"),
    (["file:a", "sqlite:log.db", "--key", "id"], "use.place"),
    (["file:a", "file:none", "--key", "id"], "file.unreadable"),
    (["file:a", "sqlite:log.db#none", "--key", "id"], "table.missing"),
    (["file:a", "file:a", "--key", "=id"], "use.value"),
])
def test_what_cannot_be_compared_is_refused(lab, words, code):
    lab.file("a", '{"id":1}\n')
    lab.produce([record(1)])
    done = lab.weir("reconcile", *words)
    assert done.status == 2 and code in done.err, done


def test_memory_is_bounded_however_many_rows(lab, long_run):
    """Ten million rows in the long run; enough to spill in the short one."""
    count = 10_000_000 if long_run else 1_200_000
    with open(lab.path / "x", "w") as x, open(lab.path / "y", "w") as y:
        for number in range(count):
            x.write(f'{{"id":{number},"v":{number % 7}}}\n')
            y.write(f'{{"v":{number % 7 if number != 77 else 9},"id":{number}}}\n')
    process = subprocess.Popen([str(lab.program), "reconcile", "file:x", "file:y", "--key", "id", "--json"],
                               cwd=lab.path, stdout=subprocess.PIPE)
    said = json.loads(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1
    assert counts(said) == (count - 1, 0, 0, 0, 1)
    assert said["differences"][0]["key"] == {"id": 77}
    used_kib = used.ru_maxrss
    assert used_kib < 128 * 1024, used_kib
