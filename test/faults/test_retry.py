"""A system that is away, and the retry policy: what is tried, said, and given up."""
import json
import re
import time
import urllib.error
import urllib.request

from faults.disk import complaints, disk, fat_record, wait_for_complaint  # noqa: F401
from faults.lab import balanced, counts, local

RECORDS = 3000
SINKS = {"out": local("out", path="disk/out.db", partitions=1)}


def prepare(lab, **retry):
    """More than the disk holds."""
    lab.write(sinks=SINKS, dlq=None, dedup=None, state={"path": "state"}, retry=retry or None,
              delivery={"commit_interval": "5ms"})
    return lab.produce([fat_record(number) for number in range(RECORDS)])


def finish(lab):
    assert balanced(lab.ledger()) == counts(valid=RECORDS)
    assert len(lab.values(path="disk/out.db")) == RECORDS
    lab.audit()


def test_it_is_said_once_and_once_more_when_it_works(lab, disk):
    prepare(lab)
    process = lab.start("--until-end")
    wait_for_complaint(process)
    disk.grow()
    assert process.wait() == 0, process.errors()
    assert len(complaints(process)) == 1
    again = re.findall(r"^out\.db: works again after [0-9.]+ s$", process.errors(), re.M)
    assert len(again) == 1, process.errors()
    finish(lab)


def test_attempts_and_then_stop(lab, disk):
    prepare(lab, initial="20ms", factor=2, jitter="0%", attempts=4, then="stop")
    began = time.monotonic()
    done = lab.weir("run", "p.yaml", "--until-end")
    assert done.status == 3, done
    assert time.monotonic() - began > 0.14  # 20 + 40 + 80 ms
    assert "trying 4 times in all, then weir stops" in done.err
    assert done.err.count("log.full") == 2  # the warning, and the end
    disk.grow()
    finish(lab)


def test_attempts_and_then_pause(lab, disk):
    """It stays alive, is silent, and a SIGTERM ends it; nothing is lost."""
    prepare(lab, initial="10ms", attempts=3, then="pause")
    process = lab.start()
    process.wait_for("warning: out.db: cannot commit")
    assert "trying 3 times in all, then weir pauses" in process.errors()
    end = time.monotonic() + 10
    while "paused after 3 tries" not in process.errors():
        assert time.monotonic() < end, process.errors()
        time.sleep(0.01)
    time.sleep(1)
    assert process.is_running()
    assert len(complaints(process)) == 2
    began = time.monotonic()
    assert process.terminate() == 3
    assert time.monotonic() - began < 3
    disk.grow()
    finish(lab)


def test_a_stop_while_it_is_paused_tries_once_more(lab, disk):
    prepare(lab, initial="10ms", attempts=1)
    process = lab.start()
    wait_for_complaint(process)
    disk.grow()
    assert process.terminate() == 0, process.errors()
    assert "works again" in process.errors()
    finish(lab)


def test_long_pauses_end_at_once_with_a_stop(lab, disk):
    prepare(lab, initial="1h")
    process = lab.start()
    wait_for_complaint(process)
    began = time.monotonic()
    assert process.terminate() == 3
    assert time.monotonic() - began < 3
    disk.grow()
    finish(lab)


def test_a_policy_is_no_part_of_the_plan(lab, disk):
    prepare(lab)
    before = lab.weir("lint", "p.yaml").out
    assert lab.write(retry={"attempts": 5, "then": "stop"}).weir("lint", "p.yaml").out == before


def test_what_cannot_be_meant_is_refused(lab):
    for retry, hint in (({"initial": "1us"}, "at least 1ms"), ({"factor": 0.5}, "from 1 to 100"),
                        ({"initial": "5s", "max": "1s"}, "shorter"), ({"attempts": 0}, "from 1 to"),
                        ({"then": "stop"}, "set attempts"), ({"then": "wait"}, "one of pause, stop")):
        done = lab.write(retry=retry).weir("lint", "p.yaml")
        assert done.status == 2 and "config.value" in done.err and hint in done.err, (retry, done)


def ask(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for_cause(url, cause):
    end = time.monotonic() + 20
    while True:
        status, text = ask(url + "ready")
        causes = json.loads(text)["causes"]
        if [each["cause"] for each in causes] == [cause]:
            assert status == 503
            return causes[0]
        assert time.monotonic() < end, text
        time.sleep(0.01)


def lag(url):
    return sum(float(line.split()[-1]) for line in ask(url + "metrics")[1].splitlines()
               if line.startswith("weir_lag_records{"))


def test_what_is_in_the_way_is_seen_and_resumed(lab, disk):
    """/ready says who is away, and who is paused and why; the lag grows; POST /resume goes on."""
    prepare(lab, initial="200ms", attempts=3, factor=1)
    lab.write(http={"listen": "127.0.0.1:0"})
    process = lab.start()
    wait_for_complaint(process)
    url = re.search(r"listening on (\S+)", process.errors())[1]
    assert wait_for_cause(url, "away")["system"] == "out.db"
    cause = wait_for_cause(url, "paused")
    assert cause["code"] == "log.full" and cause["attempts"] == 3 and "POST /resume" in cause["do"]
    before = lag(url)
    lab.produce([fat_record(RECORDS + number) for number in range(10)])
    end = time.monotonic() + 10
    while lag(url) < before + 10:
        assert time.monotonic() < end
        time.sleep(0.05)
    text = ask(url + "metrics")[1]
    assert 'weir_system_up{pipeline="p",system="out.db"} 0' in text
    assert 'weir_system_paused{pipeline="p",system="out.db"} 1' in text
    assert 'weir_commit_failures_total{pipeline="p",system="out.db"} 3' in text
    assert "log.full" in ask(url)[1]
    assert ask(url + "live") == (200, "alive\n")
    disk.grow()
    assert ask(url + "resume", "POST")[0] == 202
    lab.wait_committed(process, RECORDS + 10, path="disk/out.db")
    assert ask(url + "ready")[0] == 200
    assert process.terminate() == 0, process.errors()
    assert "works again" in process.errors()
    assert balanced(lab.ledger()) == counts(valid=RECORDS + 10)
