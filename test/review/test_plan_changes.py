"""A pipeline file that changes while systems stand apart, and whose sinks come, go and move."""
import json
import shutil

import pytest

from faults.lab import folder, local, record, table

OTHER = "other.db"


def produce(lab, *numbers, **more):
    lines = b"\n".join(record(number, **more) for number in numbers) + b"\n"
    done = lab.weir("produce", "local:log.db#in", "--partitions", "1", data=lines)
    assert done.status == 0, done


def audit(lab, status=0):
    done = lab.weir("audit", "p.yaml", "--json")
    assert done.status == status, done
    return json.loads(done.out)


def copy_of(lab, name):
    """A system's files as they are now."""
    return {path.name: path.read_bytes() for path in lab.path.glob(name + "*") if path.is_file()}


def restore(lab, name, copies):
    for path in lab.path.glob(name + "*"):
        path.unlink() if path.is_file() else None
    for file, content in copies.items():
        lab.file(file, content)


def forget_snapshots(lab):
    for path in lab.path.glob("*.state"):
        shutil.rmtree(path)


def two_systems(lab, **more):
    """`out` in the log's own file, `rows` in another one."""
    return lab.write(sinks={"out": local("out", partitions=1), "rows": table("rows", OTHER)},
                     dlq=None, **more)


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("later", [None, {"key": "text", "window": "1h"}])
def test_a_system_that_stands_where_the_plan_changed(lab, snapshots, later):
    """One system committed the first epoch of the new plan, the other had not when it was killed."""
    two_systems(lab)
    produce(lab, 1, 2, 3, text="a")
    lab.run()
    behind = copy_of(lab, OTHER)
    lab.write(dedup=later, repair={"fill": {"n": {"last_by": "text", "max_age": "5m"}}})
    produce(lab, 4, 5, 6, text="b")
    produce(lab, 7, text="b", n=...)
    lab.run()
    restore(lab, OTHER, behind)
    if not snapshots:
        forget_snapshots(lab)
    produce(lab, 3, 5, 8, text="c")
    lab.run()
    audit(lab)


def test_history_reaches_back_to_the_slower_system(lab):
    """The faster system needs the old plan no more, the slower one does."""
    two_systems(lab, event_time={"field": "at", "lateness": "0s"},
                dedup={"key": "id", "window": "10s"},
                repair={"fill": {"n": {"value": 1}}})
    produce(lab, 1, 2, 3)
    lab.run()
    behind = copy_of(lab, OTHER)
    # Under this plan, rows 1 to 3 would be FILTERED, and not register; yet this is a duplicate.
    lab.write(transform={"where": "n > 1000"})
    produce(lab, 3, n=5000)
    produce(lab, *range(1000, 1100))
    produce(lab, 1200, n=5000)
    lab.run()
    restore(lab, OTHER, behind)
    forget_snapshots(lab)
    lab.run()
    audit(lab)


@pytest.mark.parametrize("first", [True, False])
def test_a_new_system_takes_the_history_over(lab, first):
    """What was remembered before the sink came is remembered after."""
    lab.write(sinks={"out": local("out", partitions=1)}, dlq=None)
    produce(lab, 1, 2, 3)
    lab.run()
    sinks = {"out": local("out", partitions=1)}
    more = {"rows": table("rows", OTHER)}
    lab.write(sinks={**more, **sinks} if first else {**sinks, **more})
    produce(lab, 2, 3, 4)
    ledger = lab.ledger()
    assert ledger["in"] == 6, ledger
    assert ledger["verdicts"]["duplicate"] == 2, ledger
    forget_snapshots(lab)
    produce(lab, 1, 4, 5)
    ledger = lab.ledger()
    assert ledger["verdicts"]["duplicate"] == 4, ledger
    audit(lab)


def test_a_system_that_was_left_out_for_a_while(lab):
    two_systems(lab)
    before = lab.pipeline["sinks"]
    produce(lab, 1, 2, 3)
    lab.run()
    lab.write(sinks={"out": local("out", partitions=1)})
    produce(lab, 4)
    lab.run()
    lab.write(sinks=before)
    done = lab.run(status=2)
    assert "progress.left_out:" in done.err, done


@pytest.mark.parametrize("now", [table("rows2"), local("out2", partitions=1), folder("rows"),
                                 table("rows", OTHER)])
def test_audit_of_a_sink_that_moved(lab, now):
    lab.write(sinks={"keep": local("keep"), "out": table("rows")}, dlq=None)
    produce(lab, 1, 2, 3)
    lab.run()
    lab.write(sinks={"keep": local("keep"), "out": now})
    produce(lab, 4)
    lab.run()
    assert audit(lab)["unverifiable"] == 1


def test_audit_of_a_sink_with_another_name(lab):
    lab.write(sinks={"out": local("out", partitions=1), "rows": table("rows")})
    produce(lab, 1, 2, 3)
    lab.run()
    lab.write(sinks={"good": local("out", partitions=1), "table": table("rows")})
    produce(lab, 4)
    lab.run()
    audit(lab)


def test_audit_of_dead_letters_that_moved(lab):
    produce(lab, 1, 2, 3)
    produce(lab, 4, n="x")
    lab.write(dlq=local("dead", partitions=1)).run()
    produce(lab, 5, n="x")
    lab.write(dlq=table("dead")).run()
    assert audit(lab)["unverifiable"] == 1


def test_back_to_the_first_plan(lab):
    """A, B, A; and changes without rows between them."""
    first = {"key": "id", "window": "30m"}
    lab.write(dedup=first)
    produce(lab, 1, 2, 3)
    lab.run()
    lab.write(dedup={"key": "id", "window": "1m"}).run()
    lab.write(dedup={"key": "text", "window": "1m"}).run()
    produce(lab, 3, 4, 5)
    ledger = lab.ledger()
    assert ledger["verdicts"]["duplicate"] == 0, ledger
    lab.write(dedup=first).run()
    produce(lab, 4, 6)
    lab.run()
    forget_snapshots(lab)
    produce(lab, 5, 6)
    ledger = lab.ledger()
    assert ledger["verdicts"]["duplicate"] == 1, ledger
    audit(lab)
