"""examples/iot.yaml with its table in a database, over a workload of `weir gen`.

A database is that of postgres/database.py or of mysql/database.py: `kind`, `place`, `ask`, `quote`,
`time_text`.
"""
import json
import shutil
import subprocess
import time
from pathlib import Path

from checker import content, judge
from checker.log import Topic
from crash.killer import Weir

ROOT = Path(__file__).parents[2]
TABLE = "    sqlite: {path: iot.db, table: readings, mode: upsert, key: [message_id]," \
    " newest_by: event_time}"

UPSERT = ", mode: upsert, key: [message_id], newest_by: event_time"


def sink(database, table, keys="", place=None):
    """A sink of a pipeline file, in a line; `place`: another way to the database than its own."""
    return f"{database.kind}: {{{place or database.place}, table: {table}{keys}}}"


class Pipeline:
    """A folder with iot.yaml, iot.db and truth.ndjson; the table `readings` is in a database. `keys`: more
    of that sink; `more`: of the file."""

    def __init__(self, folder, weir, database, keys=UPSERT, place=None, records=20000, seed=1, more=""):
        self.folder, self.weir = Path(folder), weir
        shutil.copy(ROOT / "examples/sensor.schema.json", folder)
        text = (ROOT / "examples/iot.yaml").read_text()
        assert TABLE in text
        text = text.replace(TABLE, "    " + sink(database, "readings", keys, place))
        text = text.replace("include: [invalid, late, rejected]", "include: [invalid, late]")
        (self.folder / "iot.yaml").write_text(text + more)
        self.run("gen", "local:iot.db#raw_iot_data", "--count", str(records), "--seed", str(seed),
                 "--partitions", "3", "--truth", "truth.ndjson")

    def edit(self, old, new):
        text = (self.folder / "iot.yaml").read_text()
        assert old in text
        (self.folder / "iot.yaml").write_text(text.replace(old, new))

    def leave_alone(self):
        """Only the database is a system then: nothing else tells two runs apart."""
        self.edit("  validated:\n    local: {path: iot.db, topic: validated_iot_data, key: sensor_id}\n", "")
        self.edit("dlq:\n  local: {path: iot.db, topic: dlq_iot_data}\n  include: [invalid, late]\n", "")

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


def check_all(pipeline, database, process):
    """The run ended well, and nothing was refused."""
    assert process.wait() == 0, process.errors()
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(0,)]
    pipeline.judge_topics()
    check_table(pipeline, database)
    pipeline.audit()


def letters_into_the_database(pipeline, database, table="dead"):
    """The dead letters too, in another table."""
    text = (pipeline.folder / "iot.yaml").read_text()
    start = text.index("dlq:")
    local = text[start:text.index("include:", start)]
    pipeline.edit(local, f"dlq:\n  {sink(database, table)}\n  ")


def wait_until(question, process=None, patience_s=60):
    """`process`, if there is one, must go on meanwhile."""
    end = time.monotonic() + patience_s
    while not question():
        assert time.monotonic() < end, process and process.errors()
        assert process is None or process.is_running(), process.errors()
        time.sleep(0.01)


def has_come_to(database, count):
    """A question: whether so many records are committed, in whatever partitions."""
    return lambda: database.has_table("weir_progress") and \
        database.ask("SELECT sum(records) FROM weir_progress")[0][0] == count


def is_under_way(database, epoch=2):
    """A question: whether some partition is beyond that epoch."""
    return lambda: database.has_table("weir_progress") and \
        database.ask("SELECT 1 FROM weir_progress WHERE epoch > %s", epoch)
