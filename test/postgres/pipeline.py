"""examples/iot.yaml with its table in PostgreSQL, over a workload of `weir gen`."""
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from checker import content, judge
from checker.log import Topic
from crash.killer import Weir

ROOT = Path(__file__).parents[2]
TABLE = "    sqlite: {path: iot.db, table: readings, mode: upsert, key: [message_id]," \
    " newest_by: event_time}"


class Pipeline:
    """A folder with iot.yaml, iot.db and truth.ndjson; the table `readings` is in a database."""

    def __init__(self, folder, weir, dsn, records=20000, seed=1, sink=None, more=""):
        self.folder, self.weir, self.dsn = Path(folder), weir, dsn
        shutil.copy(ROOT / "examples/sensor.schema.json", folder)
        text = (ROOT / "examples/iot.yaml").read_text()
        assert TABLE in text
        sink = sink or (f'    postgres: {{dsn: "{dsn}", table: readings, mode: upsert,'
                        " key: [message_id], newest_by: event_time}")
        text = text.replace(TABLE, sink)
        text = text.replace("include: [invalid, late, rejected]", "include: [invalid, late]")
        (self.folder / "iot.yaml").write_text(text + more)
        self.run("gen", "local:iot.db#raw_iot_data", "--count", str(records), "--seed", str(seed),
                 "--partitions", "3", "--truth", "truth.ndjson")

    def edit(self, old, new):
        text = (self.folder / "iot.yaml").read_text()
        assert old in text
        (self.folder / "iot.yaml").write_text(text.replace(old, new))

    def run(self, *arguments, status=0):
        """(stdout, stderr) of a verb that must end so."""
        done = subprocess.run([self.weir, *arguments], cwd=self.folder, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=300)
        assert done.returncode == status, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout, done.stderr

    def start(self, until_end=True):
        return Weir(self.weir, "run", "iot.yaml", *["--until-end"] * until_end, cwd=self.folder)

    def finish(self):
        return self.run("run", "iot.yaml", "--until-end")

    def audit(self, status=0):
        out, _ = self.run("audit", "iot.yaml", "--json", status=status)
        return json.loads(out)

    def expected(self):
        """message_id -> the row that must stand in the table, out of the validated topic: the topic
        is judged against the truth by itself."""
        rows = {}
        validated = Topic(self.folder / "iot.db", "validated_iot_data")
        for partition in range(validated.partitions):
            for _, records in validated.batches(partition):
                for _, value, _ in records:
                    row = content.read_plain(value)
                    key = content.fixed_time(row["event_time"])
                    rows.setdefault(row["message_id"], []).append((key, row))
        return rows

    def judge_topics(self):
        """The validated topic and the dead letters against the truth."""
        database = self.folder / "iot.db"
        result = judge.judge(judge.Places(database, database, database, None),
                             self.folder / "truth.ndjson")
        assert result.is_clean(), result.findings
        return result


def check_table(pipeline, database, missing=()):
    """Every key of the validated topic has one row, of its greatest event time, with the values of a
    record that was delivered."""
    there = {row[0]: row for row in database.ask(
        "SELECT message_id, temperature, humidity, battery, " + database.time_text("event_time") +
        " FROM readings")}
    expected = pipeline.expected()
    assert set(there) == set(expected) - set(missing)
    for message_id, row in there.items():
        newest = max(time for time, _ in expected[message_id])
        assert row[4] == newest, (message_id, row, expected[message_id])
        assert any(
            time == newest and one.get("temperature") == row[1] and
            one.get("humidity") == row[2] and one.get("battery") == row[3]
            for time, one in expected[message_id]), (row, expected[message_id])


def freeze(process, database, phase):
    """SIGSTOP, until its session is in that phase of a transaction."""
    def is_there():
        return phase == "anywhere" or database.ask(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'weir-%%' AND datname ="
            " current_database() AND (state = %s OR (state = 'active' AND query LIKE %s))",
            phase, phase + "%")
    for _ in range(2000):
        process.process.send_signal(signal.SIGSTOP)
        if is_there():
            return
        os.kill(process.process.pid, signal.SIGCONT)
        time.sleep(0.002)
        if not process.is_running():
            break
    pytest.skip(f"the run was never seen in {phase!r}")
