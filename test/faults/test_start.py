"""Starts: the first one, and those that are refused because what is there does not fit together.

Whatever is refused says the one way on, and changes nothing.
"""
import shutil

from faults import batches
from faults.lab import LOG, balanced, counts, folder, local, record, table


def two_files(lab):
    """The table in a file of its own: two systems."""
    return lab.write(sinks={"out": local("out", partitions=1),
                            "rows": table("rows", path="rows.db")},
                     dlq={**local("dead", partitions=1), "include": ["invalid", "late"]})


def records(first, count):
    return [record(number) for number in range(first, first + count)]


def copy_database(lab, old, new):
    """A backup, with what stands in the write-ahead log."""
    lab.sql("PRAGMA wal_checkpoint(TRUNCATE)", path=old)
    shutil.copy(lab.path / old, lab.path / new)


def no_snapshots(lab, place=LOG):
    shutil.rmtree(lab.path / f"{place}.state")


def content(lab):
    """What pipelines have left in the files: progress (but for who owns it), ledgers, rows."""
    found = {}
    for path in lab.path.glob("*.db"):
        tables = [name for name, in lab.sql("SELECT name FROM sqlite_schema WHERE type = 'table'"
                                            " AND name NOT LIKE 'sqlite_%'", path=path.name)]
        for name in set(tables) - {"weir_progress", "weir_plan", "weir_format"}:
            found[path.name, name] = lab.sql(f"SELECT * FROM {name}", path=path.name)
        if "weir_progress" in tables:
            found[path.name, "R"] = lab.sql("SELECT partition, epoch, record FROM weir_progress",
                                            path=path.name)
    return {place: rows for place, rows in found.items() if rows}


def refused(lab, code, *options):
    """The message; the places are as they were. Where R is not what it was, a system is in the way."""
    before = content(lab)
    done = lab.run(*options, status=3 if code in ("progress.lost", "progress.behind") else 2)
    assert f"{code}:" in done.err, done
    assert content(lab) == before
    return done.err


# --- the first start ---

def test_a_topic_that_is_not_empty_is_no_output(lab):
    lab.write().produce(records(0, 5)).produce([b"somebody's"], topic="out")
    assert "--init" in refused(lab, "start.not_empty")
    assert lab.values() == [b"somebody's"]
    assert balanced(lab.ledger("--init")) == counts(valid=5)
    assert lab.values() == [b"somebody's", *records(0, 5)]
    assert "foreign 1" in lab.audit(status=1)


def test_a_table_that_is_not_empty_is_no_output(lab):
    lab.write().produce(records(0, 5))
    lab.script("CREATE TABLE rows (id TEXT, at TEXT, n REAL, text TEXT); INSERT INTO rows (id) VALUES ('x')")
    assert "'rows'" in refused(lab, "start.not_empty")
    lab.sql("DELETE FROM rows")
    assert balanced(lab.ledger()) == counts(valid=5)
    lab.audit()


def test_a_folder_that_is_not_empty_is_no_output(lab):
    lab.write(sinks={"lines": folder("lines")}, dlq=None).produce(records(0, 5))
    (lab.path / "lines").mkdir()
    lab.file("lines/somebody.ndjson", "{}\n")
    refused(lab, "start.not_empty")
    assert [path.name for path in (lab.path / "lines").glob("*.ndjson")] == ["somebody.ndjson"]
    (lab.path / "lines/somebody.ndjson").unlink()
    assert balanced(lab.ledger()) == counts(valid=5)
    lab.audit()


def test_a_dead_letter_place_that_is_not_empty_is_no_output(lab):
    lab.write().produce(records(0, 5)).produce([b"somebody's"], topic="dead")
    assert "'dlq'" in refused(lab, "start.not_empty")


def test_a_first_start_that_was_cut_short_is_finished(lab):
    """R of epoch 0 in one system and nothing in the other."""
    two_files(lab).produce([])
    assert balanced(lab.ledger()) == counts()
    (lab.path / "rows.db").unlink()
    lab.produce(records(0, 5))
    assert balanced(lab.ledger()) == counts(valid=5)
    assert lab.sql("SELECT count(*) FROM rows", path="rows.db") == [(5,)]
    lab.audit()


def test_start_latest(lab):
    lab.produce(records(0, 5))
    lab.write(source=local("in", start="latest"))
    assert balanced(lab.ledger()) == counts()
    lab.produce(records(5, 3))
    assert balanced(lab.ledger()) == counts(valid=3)
    assert lab.values() == records(5, 3)
    lab.audit()


# --- what was lost ---

def test_progress_that_was_lost(lab):
    """The outputs are there; and when they are gone too, the group's offsets still are."""
    lab.write().produce(records(0, 5))
    lab.run()
    lab.sql("DELETE FROM weir_progress")
    assert "backup" in refused(lab, "progress.lost")
    refused(lab, "progress.lost", "--init")
    lab.sql("DELETE FROM rows")
    for topic in ("out", "dead"):
        assert lab.weir("topic", "delete", f"local:{LOG}#{topic}", "--yes").status == 0
    lab.sql("DELETE FROM weir_ledger")
    refused(lab, "start.group_exists")
    refused(lab, "start.group_exists", "--init")


def test_a_whole_file_that_was_lost(lab):
    two_files(lab).produce(records(0, 5))
    lab.run()
    (lab.path / "rows.db").unlink()
    assert "rows.db" in refused(lab, "progress.lost")


def test_progress_of_one_partition_that_was_lost(lab):
    lab.write().produce(records(0, 40), partitions=3, key="id")
    lab.run()
    lab.sql("DELETE FROM weir_progress WHERE partition = '1'")
    refused(lab, "progress.lost")


def test_progress_of_one_partition_that_was_lost_where_the_source_is_not(lab):
    """Nothing else tells: it would begin at the first record again."""
    lab.produce(records(0, 40), path="in.db", partitions=3, key="id")
    lab.write(source=local("in", path="in.db"))
    lab.run()
    lab.sql("DELETE FROM weir_progress WHERE partition = '1'")
    refused(lab, "progress.lost")
    lab.sql("DELETE FROM weir_ledger WHERE partition = '1'")
    refused(lab, "progress.lost")


def test_a_file_that_is_added_to_the_source_begins_at_its_start(lab):
    for name, first in (("a.ndjson", 0), ("b.ndjson", 10)):
        lab.file(name, b"".join(value + b"\n" for value in records(first, 5)))
    lab.write(source={"file": {"path": ["a.ndjson"]}})
    assert balanced(lab.ledger()) == counts(valid=5)
    lab.write(source={"file": {"path": ["a.ndjson", "b.ndjson"]}})
    assert balanced(lab.ledger()) == counts(valid=10)
    assert sorted(lab.values()) == sorted(records(0, 5) + records(10, 5))
    lab.audit()


def test_progress_that_somebody_edited(lab):
    lab.write().produce(records(0, 5))
    lab.run()
    lab.sql("UPDATE weir_progress SET next_offset = 3")
    assert "[0]" in lab.refused("progress.corrupt", status=3).err
    lab.sql("UPDATE weir_progress SET next_offset = 5, record = CAST(record || x'00' AS BLOB)")
    assert "log.db" in lab.refused("progress.corrupt", status=3).err


def test_progress_of_somebody_else(lab, tmp_path):
    """Another pipeline of the same name, whose file was put in the place of ours."""
    two_files(lab).produce(records(0, 5))
    lab.run()
    other = type(lab)(tmp_path / "other", lab.program)
    other.path.mkdir()
    two_files(other).produce(records(0, 5))
    other.run()
    copy_database(other, "rows.db", "copy.db")
    shutil.move(other.path / "copy.db", lab.path / "rows.db")
    assert "another name" in refused(lab, "progress.foreign")


# --- a source that is not what it was ---

def test_a_topic_that_was_made_anew(lab):
    lab.write().produce(records(0, 5))
    lab.run()
    assert lab.weir("topic", "delete", f"local:{LOG}#in", "--yes").status == 0
    lab.produce(records(0, 9))
    assert "another name" in refused(lab, "source.recreated")


def test_a_topic_with_more_partitions_than_it_had(lab):
    lab.write().produce(records(0, 5))
    lab.run()
    lab.sql("UPDATE weir_topic SET partitions = 2 WHERE name = 'in'")
    lab.sql("INSERT INTO weir_partition (topic, partition) SELECT topic, 1 FROM weir_topic WHERE name = 'in'")
    said = refused(lab, "source.partitions")
    assert "1 partitions" in said and "2 now" in said, said


def test_a_log_that_is_shorter_than_what_was_read(lab):
    lab.write().produce(records(0, 5)).produce(records(5, 5))
    lab.run()
    lab.sql("DELETE FROM weir_batch WHERE base_offset = 5 AND topic = 1")
    lab.sql("UPDATE weir_partition SET next_offset = 5 WHERE topic = 1")
    said = refused(lab, "source.behind")
    assert "offset 10" in said and "ends at 5" in said, said


def test_a_log_whose_records_are_others(lab):
    """Seen where the log is read again: without snapshots."""
    lab.write().produce(records(0, 5))
    lab.run()
    lab.sql("DELETE FROM weir_batch WHERE topic = 1")
    lab.sql("UPDATE weir_partition SET next_offset = 0 WHERE topic = 1")
    batches.append(lab, "in", [(None, value) for value in records(1, 5)])
    no_snapshots(lab)
    assert "'in' [0]" in refused(lab, "source.changed")


def test_a_log_whose_head_was_deleted(lab):
    """The state cannot be rebuilt without a snapshot; with one it can."""
    lab.write().produce(records(0, 5)).produce(records(5, 5))
    lab.run()
    lab.produce([record(3), record(10)])
    lab.sql("DELETE FROM weir_batch WHERE topic = 1 AND base_offset = 0")
    lab.sql("UPDATE weir_partition SET first_offset = 5 WHERE topic = 1")
    state = lab.path / f"{LOG}.state"
    state.rename(lab.path / "aside")
    assert "offset 0" in refused(lab, "source.offset_expired")
    (lab.path / "aside").rename(state)
    assert balanced(lab.ledger()) == counts(valid=11, duplicate=1)
    assert "unverifiable" in lab.audit()


def test_a_file_that_is_shorter_than_what_was_read(lab):
    lines = [value + b"\n" for value in records(0, 5)]
    lab.file("in.ndjson", b"".join(lines))
    lab.write(source={"file": {"path": "in.ndjson"}})
    assert balanced(lab.ledger()) == counts(valid=5)
    lab.file("in.ndjson", b"".join(lines[:3]))
    refused(lab, "source.behind")
    lab.file("in.ndjson", b"".join(lines[1:] + lines))
    refused(lab, "source.recreated")
    lab.file("in.ndjson", b"".join(lines) + record(9))
    assert balanced(lab.ledger()) == counts(valid=6)
    lab.audit()


# --- what is older than it was ---

def test_a_file_restored_from_an_older_copy(lab):
    """Log, outputs and R went back together; the snapshots tell."""
    lab.write().produce(records(0, 5))
    lab.run()
    copy_database(lab, LOG, "old")
    lab.produce(records(5, 5))
    lab.run()
    lab.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.move(lab.path / "old", lab.path / LOG)
    for rest in ("-wal", "-shm"):
        (lab.path / f"{LOG}{rest}").unlink(missing_ok=True)
    said = refused(lab, "progress.behind")
    assert "offset 5" in said and "offset 10" in said, said
    no_snapshots(lab)
    assert balanced(lab.ledger()) == counts(valid=5)
    lab.audit()


def test_one_of_two_systems_restored_from_an_older_copy_catches_up(lab):
    two_files(lab).produce(records(0, 5))
    lab.run()
    copy_database(lab, "rows.db", "old")
    lab.produce(records(5, 5))
    lab.run()
    shutil.move(lab.path / "old", lab.path / "rows.db")
    for rest in ("-wal", "-shm"):
        (lab.path / f"rows.db{rest}").unlink(missing_ok=True)
    assert lab.committed("rows.db") == {"0": 5}
    assert balanced(lab.ledger()) == counts(valid=10)
    assert lab.sql("SELECT count(*) FROM rows", path="rows.db") == [(10,)]
    lab.audit()


# --- sinks that come and go ---

def test_a_sink_that_is_added_later_begins_where_the_others_are(lab):
    lab.write(sinks={"out": local("out", partitions=1)}).produce(records(0, 5))
    lab.run()
    lab.write(sinks={"out": local("out", partitions=1), "rows": table("rows"),
                     "far": table("rows", path="far.db"), "lines": folder("lines")},
              dlq={**local("dead", partitions=1), "include": ["invalid", "late"]})
    lab.produce(records(5, 3))
    assert balanced(lab.ledger()) == counts(valid=8)
    assert lab.sql("SELECT id FROM rows") == lab.sql("SELECT id FROM rows", path="far.db") == \
        [("m5",), ("m6",), ("m7",)]
    assert lab.lines_in("lines") == records(5, 3)
    lab.audit()
    lab.write(sinks={"far": table("rows", path="far.db"), "out": local("out", partitions=1)})
    lab.produce(records(8, 2))
    assert balanced(lab.ledger()) == counts(valid=10)
    assert lab.sql("SELECT count(*) FROM rows") == [(3,)]
    assert lab.sql("SELECT count(*) FROM rows", path="far.db") == [(5,)]
    lab.audit()


def test_a_sink_whose_place_is_another_one_now(lab):
    """The rows of its old place stay there, and nobody misses them in the new one."""
    lab.write().produce(records(0, 5))
    lab.run()
    lab.write(sinks={"out": local("out", partitions=1), "rows": table("others")})
    lab.produce(records(5, 5))
    assert balanced(lab.ledger()) == counts(valid=10)
    assert lab.sql("SELECT count(*) FROM rows UNION ALL SELECT count(*) FROM others") == [(5,), (5,)]
    lab.audit()


def test_a_sink_that_has_another_name_now(lab):
    """The place is the same, so are its rows."""
    lab.write().produce(records(0, 5))
    lab.run()
    lab.write(sinks={"outputs": local("out", partitions=1), "readings": table("rows")})
    lab.produce(records(5, 5))
    assert balanced(lab.ledger()) == counts(valid=10)
    lab.audit()
    lab.sql("DELETE FROM rows WHERE id = 'm2'")
    assert "missing: the row of in [0] offset 2" in lab.audit(status=1)


def test_a_topic_of_the_sinks_that_was_deleted_is_missed(lab):
    lab.write().produce(records(0, 5))
    lab.run()
    assert lab.weir("topic", "delete", f"local:{LOG}#out", "--yes").status == 0
    lab.produce(records(5, 5))
    lab.refused("sink.missing_place", status=3)
    assert "missing 5" in lab.audit(status=1)


def test_a_name_that_was_used_by_a_pipeline_over_another_topic(lab):
    """Two pipelines of one name must not share a place."""
    lab.write().produce(records(0, 5)).produce(records(0, 5), topic="in2")
    lab.run()
    lab.write(source=local("in2"))
    refused(lab, "start.not_empty")


# --- audit refuses what a start would ---

def audit_refuses(lab, code):
    """In the words of `run`."""
    done = lab.weir("audit", "p.yaml")
    run = lab.weir("run", "p.yaml", "--until-end")
    assert f"{code}:" in done.err and (done.err, done.status) == (run.err, run.status), (done, run)


def test_audit_says_what_run_says_of_lost_progress(lab):
    lab.write().produce(records(0, 40), partitions=3, key="id")
    lab.run()
    lab.sql("DELETE FROM weir_progress WHERE partition = '1'")
    audit_refuses(lab, "progress.lost")
    lab.sql("DELETE FROM weir_progress")
    audit_refuses(lab, "progress.lost")


def test_audit_says_what_run_says_of_a_lost_file(lab):
    two_files(lab).produce(records(0, 5))
    lab.run()
    (lab.path / "rows.db").unlink()
    audit_refuses(lab, "progress.lost")


def test_audit_says_what_run_says_of_more_partitions(lab):
    lab.produce(records(0, 40), path="in.db", partitions=2, key="id")
    lab.write(source=local("in", path="in.db"))
    lab.run()
    lab.sql("UPDATE weir_topic SET partitions = 3", path="in.db")
    lab.sql("INSERT INTO weir_partition (topic, partition) SELECT topic, 2 FROM weir_topic", path="in.db")
    audit_refuses(lab, "source.partitions")


def test_audit_says_what_run_says_of_a_full_place(lab):
    lab.write().produce(records(0, 5)).produce([b"somebody's"], topic="out")
    audit_refuses(lab, "start.not_empty")


def test_a_file_in_the_place_of_snapshots(lab):
    lab.write(state={"path": "taken"}).produce(records(0, 5)).file("taken", "text")
    said = refused(lab, "config.value")
    assert "taken" in said and "state" in said, said
