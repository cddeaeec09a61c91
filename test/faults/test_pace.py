"""The pace of systems: each its own, and how far one may stay behind the others."""
import sqlite3
import time

from checker.log import Broken
from faults.lab import balanced, counts, local, record, table

RECORDS = 60_000
MAX_BEHIND = 1 << 20


def wait_until(condition, process, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, process.errors()
        time.sleep(0.02)


def delivered(lab):
    try:
        return len(lab.values())
    except Broken:  # the topic is not made yet
        return 0


def stored(lab, path):
    if not lab.sql("SELECT 1 FROM sqlite_schema WHERE name = 'rows'", path=path):
        return 0
    return lab.sql("SELECT count(*) FROM rows", path=path)[0][0]


def test_a_sink_has_a_pace_of_its_own(lab):
    """Rows for the table wait for 1,000 of them, while the topic has its rows at once."""
    lab.write(sinks={"out": local("out", partitions=1),
                     "rows": {**table("rows", path="slow.db"),
                              "batch": {"interval": "1h", "max_records": 1000}}},
              dlq=None, delivery={"commit_interval": "5ms"})
    lab.produce([record(number) for number in range(300)])
    process = lab.start()
    wait_until(lambda: delivered(lab) == 300, process)
    assert stored(lab, "slow.db") == 0
    lab.produce([record(number) for number in range(300, 1100)])
    wait_until(lambda: stored(lab, "slow.db") == 1100, process)
    assert lab.sql("SELECT epoch FROM weir_progress", path="slow.db") == [(1,)]
    lab.produce([record(number) for number in range(1100, 1200)])
    wait_until(lambda: delivered(lab) == 1200, process)
    assert stored(lab, "slow.db") == 1100
    process.terminate()
    assert process.wait() == 0, process.errors()
    assert stored(lab, "slow.db") == 1200
    lab.audit()


def test_an_interval_of_its_own(lab):
    lab.write(sinks={"out": local("out", partitions=1),
                     "rows": {**table("rows", path="slow.db"), "batch": {"interval": "20ms"}}},
              dlq=None, delivery={"commit_interval": "1h"})
    lab.produce([record(number) for number in range(10)])
    process = lab.start()
    wait_until(lambda: (lab.path / "slow.db").exists() and stored(lab, "slow.db") == 10, process)
    assert delivered(lab) == 0
    process.terminate()
    assert process.wait() == 0, process.errors()
    assert delivered(lab) == 10
    lab.audit()


def test_a_pace_makes_no_other_plan(lab):
    lab.produce([record(0)]).write().run()
    lab.write(sinks={"out": {**local("out", partitions=1), "batch": {"max_records": 7}},
                     "rows": table("rows")})
    lab.produce([record(1)]).run()
    assert lab.sql("SELECT count(*) FROM weir_plan") == [(1,)]


def rss_bytes(process):
    for line in open(f"/proc/{process.process.pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_a_slow_system_stops_the_intake_at_max_behind(lab):
    """The topic goes on while somebody holds the table's file, up to the bound; memory stays flat,
    and the system is named."""
    lab.write(sinks={"out": local("out", partitions=1), "rows": table("rows", path="slow.db")},
              dlq=None, dedup=None,
              delivery={"commit_interval": "5ms", "max_behind": "1MiB"})
    lab.produce([record(0)])
    process = lab.start()
    wait_until(lambda: (lab.path / "slow.db").exists() and stored(lab, "slow.db") == 1, process)
    holder = sqlite3.connect(lab.path / "slow.db", isolation_level=None, timeout=20)
    holder.execute("BEGIN IMMEDIATE")
    lab.produce([record(number, text="x" * 200) for number in range(1, RECORDS)])
    wait_until(lambda: "delivery.max_behind is 1.0 MiB: the intake waits" in process.errors(),
               process)
    assert process.said("slow.db: is ") is not None, process.errors()
    there, memory = delivered(lab), rss_bytes(process)
    # One epoch of 4 MiB may be on its way alone, one open.
    assert 1000 < there < RECORDS, there
    time.sleep(1)
    assert delivered(lab) == there and rss_bytes(process) < memory + (4 << 20)
    assert stored(lab, "slow.db") == 1
    holder.execute("ROLLBACK")
    holder.close()
    wait_until(lambda: stored(lab, "slow.db") == RECORDS, process)
    process.terminate()
    assert process.wait() == 0, process.errors()
    assert balanced(lab.ledger()) == counts(valid=RECORDS)
    lab.audit()
