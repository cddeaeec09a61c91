"""SIGTERM at any time, and two that want to run the same pipeline."""
import os
import signal
import subprocess
import time

import pytest

from faults.lab import LOG, balanced, counts, local, record, table

RECORDS = 20_000


def fill(lab, count=RECORDS):
    """Every tenth record comes twice."""
    values = [record(number) for number in range(count)]
    for number in range(0, count, 10):
        values.insert(number, values[number])
    return lab.produce(values, partitions=3, key="id")


def finish(lab, count=RECORDS):
    assert balanced(lab.ledger()) == counts(valid=count, duplicate=count // 10)
    assert len(lab.values()) == count
    lab.audit()


def two_files(lab):
    return lab.write(sinks={"out": local("out", partitions=1),
                            "rows": table("rows", path="rows.db")},
                     dlq={**local("dead", partitions=1), "include": ["invalid", "late"]},
                     delivery={"commit_interval": "5ms"})


def stop(process):
    began = time.monotonic()
    assert process.terminate() == 0, process.errors()
    assert time.monotonic() - began < 10


def test_sigterm_at_the_start(lab):
    fill(two_files(lab))
    process = lab.start()
    assert process.catches_sigterm()
    stop(process)
    finish(lab)


def test_sigterm_before_the_program_began(lab):
    """A parent that blocks the signals before exec leaves no moment in which one ends the process."""
    def leave_a_signal():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)

    fill(two_files(lab))
    done = subprocess.run([lab.program, "run", "p.yaml"], cwd=lab.path, capture_output=True,
                          preexec_fn=leave_a_signal, timeout=60, check=False)
    assert done.returncode == 0, done
    finish(lab)


def test_sigterm_while_recovering(lab):
    """Without snapshots, so that there is something to recover; the state must then not be saved."""
    two_files(lab).write(state={"snapshot_interval": "1h"})
    fill(lab)
    process = lab.start()
    lab.wait_committed(process, RECORDS // 2)
    process.kill()
    for _ in range(3):
        process = lab.start()
        assert process.wait_for("recovering"), process.errors()
        stop(process)
        assert lab.committed() == lab.committed("rows.db") or process.said("recovered") is None
    finish(lab)


def test_sigterm_at_work(lab):
    fill(two_files(lab))
    for mark in (1, RECORDS // 2):
        process = lab.start()
        assert process.catches_sigterm()
        lab.wait_committed(process, mark)
        stop(process)
        assert lab.committed() == lab.committed("rows.db")
    finish(lab)


def test_sigterm_while_waiting_for_records(lab):
    fill(lab.write(delivery={"commit_interval": "10s"}), count=100)
    process = lab.start()
    assert process.wait_for("first start")
    time.sleep(0.3)
    stop(process)
    finish(lab, count=100)


def test_sigint_is_as_good(lab):
    fill(lab.write(), count=100)
    process = lab.start()
    lab.wait_committed(process, 110)
    process.process.send_signal(signal.SIGINT)
    assert process.wait() == 0, process.errors()
    finish(lab, count=100)


def test_sigterm_with_an_empty_input(lab):
    lab.write().produce([])
    process = lab.start()
    assert process.wait_for("first start")
    stop(process)
    lab.audit()


def test_records_that_come_while_it_runs(lab):
    """No --until-end: what producers add is taken at once."""
    lab.write().produce([])
    process = lab.start()
    assert process.wait_for("first start")
    for number in range(5):
        lab.produce([record(number)])
        lab.wait_committed(process, number + 1, patience_s=5)
    stop(process)
    lab.audit()


@pytest.mark.parametrize("verb",
                         [("run", "p.yaml"), ("run", "p.yaml", "--init"), ("audit", "p.yaml")])
def test_a_second_one_is_refused_at_once(lab, verb):
    fill(lab.write(), count=100)
    first = lab.start()
    lab.wait_committed(first, 110)
    began = time.monotonic()
    second = lab.weir(*verb)
    assert time.monotonic() - began < 2
    assert second.status == 2 and "group.owned:" in second.err and LOG in second.err, second
    assert first.is_running()
    stop(first)
    finish(lab, count=100)


def test_another_pipeline_may_run_beside(lab, tmp_path):
    fill(lab.write(), count=1000)
    other = type(lab)(tmp_path, lab.program)
    first = lab.start()
    assert first.wait_for("first start")
    other.write(name="q", sinks={"out": local("out2")}, dlq=local("dead2"))
    assert balanced(other.ledger()) == counts(valid=1000, duplicate=100)
    stop(first)
    other.audit()
    lab.write(name="p", sinks={"out": local("out", partitions=1), "rows": table("rows")},
              dlq=local("dead", partitions=1))
    finish(lab, count=1000)


def test_two_pipelines_may_not_share_a_place(lab):
    """The second one's start finds the place full."""
    lab.write().produce([record(0)])
    lab.run()
    lab.write(name="q")
    lab.refused("start.not_empty")
