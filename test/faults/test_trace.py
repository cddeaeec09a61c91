"""weir trace: every kind of record, found by key and by position, with what came of it everywhere."""
import json
import os

from faults.lab import folder, local, record, table


def traced(lab, key, *options, status=0):
    done = lab.weir("trace", "p.yaml", key, "--json", *options)
    assert done.status == status, done
    return json.loads(done.out)


def arrivals(lab, key, *options):
    return traced(lab, key, *options)["arrivals"]


def rows(arrival):
    return {row["sink"]: row for row in arrival["rows"]}


def places(lab):
    """A sink of every kind, and a table that refuses n = 5."""
    lab.write(sinks={"topic": local("topic", partitions=2, key="id"), "append": table("append"),
                     "picky": table("picky"),
                     "upsert": table("upsert", mode="upsert", key="id", newest_by="at"),
                     "lines": folder("lines")})
    return lab


def test_a_record_is_told_from_arrival_to_every_sink(lab):
    places(lab)
    lab.pipeline["schema"] = {**lab.pipeline["schema"]}
    lab.write(repair={"coerce": ["n"], "fill": {"text": {"value": "none"}}})
    lab.produce([record(1), record(2, n="2.50"), record(3), record(2)]).run()
    first, resend = arrivals(lab, "m2")
    assert (first["topic"], first["partition"], first["offset"]) == ("in", "0", 1)
    assert first["verdict"] == "VALID" and first["committed"] and first["timestamp"]
    assert {(r["field"], r["kinds"], r.get("before"), r["after"]) for r in first["repairs"]} == {
        ("n", "coerce", "2.50", 2.5), ("text", "fill_value", None, "none")}
    for commit in first["commits"]:
        assert commit["committed"] and commit["next_offset"] == 4
    found = rows(first)
    assert all(row["state"] == "stands" and row["times"] == 1 for row in found.values()), found
    # Each place says the same when it is asked directly.
    partition, offset = int(found["topic"]["part"]), found["topic"]["position"]
    assert [json.loads(value)["id"] for p, o, _, value, _ in lab.records("topic")
            if (p, o) == (partition, offset)] == ["m2"]
    for name in ("append", "upsert"):
        assert lab.sql(f"SELECT id FROM {name} WHERE rowid = ?", found[name]["position"]) == [("m2",)]
    part = (lab.path / "lines" / found["lines"]["part"]).read_text().splitlines()
    assert json.loads(part[found["lines"]["position"] - 1])["id"] == "m2"
    assert resend["verdict"] == "DUPLICATE" and resend["rows"] == []
    assert resend["violations"][0]["detail"] == "of offset 1"
    # The same by position, and the text form says it too.
    assert [a["offset"] for a in arrivals(lab, "in[0]@3")] == [1, 3]
    said = lab.weir("trace", "p.yaml", "m2").out
    assert 'n: "2.50" → 2.5 (coerce)' in said and "DUPLICATE: duplicate id (of offset 1)" in said
    assert f"topic[{partition}]@{offset}" in said


def test_dead_letters_refused_rows_and_replays_are_followed_both_ways(lab):
    places(lab)
    lab.script("CREATE TABLE picky (id TEXT, at TEXT, n REAL CHECK (n <> 5), text TEXT, _weir_topic TEXT,"
               " _weir_partition INTEGER, _weir_offset INTEGER)")
    lab.produce([record(1, n="one"), b'{"id":"m2",', record(5), record(4)]).run()
    bad, = arrivals(lab, "m1")
    assert bad["verdict"] == "INVALID" and bad["violations"][0]["reason"] == "schema.type"
    assert rows(bad)["dlq"]["state"] == "stands" and len(rows(bad)) == 1
    # What nobody could decode is found by its bytes.
    poison, = arrivals(lab, "m2")
    assert poison["violations"][0]["reason"] == "decode.syntax"
    refused, = arrivals(lab, "m5")
    found = rows(refused)
    assert found["picky"]["state"] == "refused" and "sink.constraint_check" in found["picky"]["note"]
    assert found["dlq"]["state"] == "stands" and found["append"]["state"] == "stands"

    done = lab.weir("dlq", "replay", "p.yaml", "--reason", "schema.type", "--set", 'n="still"',
                    "--set", 'id="m77"')
    assert done.status == 0, done
    lab.run()
    assert lab.weir("dlq", "replay", "p.yaml", "--reason", "schema.type", "--set", "n=7").status == 0
    lab.run()
    for key in ("in[0]@0", "in[0]@4", "in[0]@5"):
        chain = arrivals(lab, key)
        # The first dead letter was replayed before; its replay's own is the one that is new.
        assert [(a["offset"], a["verdict"]) for a in chain] == [
            (0, "INVALID"), (4, "INVALID"), (5, "VALID")], chain
        assert chain[1]["replay_of"] == {"topic": "in", "partition": 0, "offset": 0, "attempt": 1, "sink": ""}
        assert (chain[2]["replay_of"]["offset"], chain[2]["replay_of"]["attempt"]) == (4, 2)
        assert len({row["position"] for a in chain for row in a["rows"] if row["sink"] == "dlq"}) == 2


def test_what_is_gone_altered_or_newer_is_told_apart(lab):
    places(lab)
    lab.write(dedup=None)
    lab.produce([record(1), record(2), record(3), record(9, id="m1")]).run()
    lab.sql("DELETE FROM append WHERE id = 'm2'")
    lab.sql("UPDATE append SET n = 33 WHERE id = 'm3'")
    gone, = arrivals(lab, "m2", "--by", "id")
    assert rows(gone)["append"]["state"] == "missing"
    changed, = arrivals(lab, "m3", "--by", "id")
    assert rows(changed)["append"]["state"] == "altered"
    old, new = arrivals(lab, "m1", "--by", "id")
    assert rows(old)["upsert"]["state"] == "replaced" and "offset 3" in rows(old)["upsert"]["note"]
    assert rows(new)["upsert"]["state"] == "stands"


def test_a_trace_works_beside_a_run_and_writes_nothing(lab):
    lab.write().produce([record(1)])
    process = lab.start()
    lab.wait_committed(process, 1)
    found, = arrivals(lab, "m1")
    assert rows(found)["out"]["state"] == "stands"
    lab.produce([record(2)])
    lab.wait_committed(process, 2)
    assert rows(arrivals(lab, "m2")[0])["rows"]["state"] == "stands"
    assert process.terminate() == 0
    lab.produce([record(3)])
    before = lab.files()
    waiting, = arrivals(lab, "m3")
    assert waiting["verdict"] == "VALID" and not waiting["committed"]
    assert [commit["next_offset"] for commit in waiting["commits"]] == [2]
    assert {row["state"] for row in waiting["rows"]} == {"waiting"}
    after = lab.files()
    for name in set(before) | set(after):
        if not name.endswith(("-shm", "-wal")):
            assert before.get(name) == after.get(name), name


def test_each_record_is_judged_under_the_plan_of_its_time(lab):
    lab.write().produce([record(1)]).run()
    lab.write(checks=[{"name": "small", "expect": "n < 2"}]).produce([record(2)]).run()
    lab.produce([record(3)])
    lab.write(checks=[{"name": "tiny", "expect": "n < 1"}])
    assert arrivals(lab, "m1")[0]["verdict"] == "VALID"
    assert arrivals(lab, "m2")[0]["violations"][0]["reason"] == "check.small"
    ahead, = arrivals(lab, "m3")
    assert ahead["violations"][0]["reason"] == "check.tiny" and not ahead["committed"]


def test_what_cannot_be_found_or_asked_is_said(lab):
    lab.produce([record(1)])
    done = lab.weir("trace", "p.yaml", "m1")
    assert done.status == 2 and "file.unreadable" in done.err
    lab.write()
    assert "progress.none" in lab.weir("trace", "p.yaml", "m1").err
    lab.run()
    done = lab.weir("trace", "p.yaml", "nobody")
    assert done.status == 1 and "no record 'nobody'" in done.err
    assert "trace.field" in lab.weir("trace", "p.yaml", "m1", "--by", "nothing").err
    assert "trace.position" in lab.weir("trace", "p.yaml", "in[7]@0").err
    assert traced(lab, "in[0]@99", status=1)["arrivals"] == []


def test_what_was_asked_for_is_told_though_there_are_many(lab):
    lab.write().produce([record(1)] * 30 + [record(2)]).run()
    found = traced(lab, "in[0]@25", "--limit", 3)
    assert [a["offset"] for a in found["arrivals"]] == [0, 1, 25] and found["left_out"] == 27


def test_files_are_traced_by_byte_position(lab):
    lines = [record(1), record(2), record(2)]
    lab.file("in.ndjson", b"\n".join(lines) + b"\n")
    lab.write(source={"file": {"path": "in.ndjson"}, "format": "json"}, event_time=None,
              dedup={"key": "id", "window": "unlimited"}).run()
    first, second = arrivals(lab, "m2")
    assert first["offset"] == len(lines[0]) + 1 and first["timestamp"] is None
    assert second["verdict"] == "DUPLICATE"
    topic = first["topic"]
    assert arrivals(lab, f"{topic}[0]@{second['offset']}")[1]["offset"] == second["offset"]
    assert os.path.basename(topic) == "in.ndjson"


def test_what_has_expired_is_said_and_what_is_left_is_told(lab):
    lab.write()
    for begin in range(0, 3000, 300):
        lab.produce([record(n, text=f"{n * 7919:x}" * 9) for n in range(begin, begin + 300)]).run()
    assert lab.weir("topic", "alter", "local:log.db#in", "--retention-bytes", "60KiB").status == 0
    assert lab.weir("topic", "trim", "local:log.db").status == 0
    first = lab.sql("SELECT first_offset FROM weir_partition JOIN weir_topic USING (topic) WHERE name = 'in'")[0][0]
    assert 0 < first < 2900
    gone = traced(lab, "m5", status=1)
    assert any(f"begins at offset {first} now" in note for note in gone["notes"])
    left, = arrivals(lab, f"m{first + 5}")
    assert not left["judged"] and left["commits"][0]["committed"] and "verdict" not in left
    assert rows(left)["rows"]["state"] == "stands"
    assert lab.sql("SELECT id FROM rows WHERE rowid = ?", rows(left)["rows"]["position"]) == [(f"m{first + 5}",)]
    assert "not known" in lab.weir("trace", "p.yaml", f"m{first + 5}").out
