"""The four series of the Numenta Anomaly Benchmark, each through its pipeline of examples/nab: real
rows with repeated timestamps, an hour that was written twice, and gaps.

What must come out is counted here from the CSV files, and stands in the README of the data.
"""
import csv
import json
import shutil
import sqlite3
import subprocess
from collections import namedtuple
from datetime import datetime, timedelta

import pytest

MACHINE, TRAVEL = "machine_temperature_system_failure", "TravelTime_387"
DISK, AMBIENT = "ec2_disk_write_bytes_1ef3de", "ambient_temperature_system_failure"
ROWS = {MACHINE: 22_695, TRAVEL: 2_500, DISK: 4_730, AMBIENT: 7_267}
# Timestamps that were there before.
REPEATED = {MACHINE: 12, TRAVEL: 0, DISK: 11, AMBIENT: 0}
PLACES = {MACHINE: ("machine_temperature", "readings"), TRAVEL: ("travel_time", "trips"),
          DISK: ("disk_writes", "writes"), AMBIENT: ("ambient_temperature", "readings")}

Row = namedtuple("Row", "timestamp value at offset line")


def to_ndjson(root, name):
    """The line of awk that README.md shows, for one series."""
    lines = [line.strip() for line in (root / "README.md").read_text().splitlines()
             if line.lstrip().startswith("awk ")]
    assert len(lines) == 1 and lines[0].count(MACHINE) == 2, lines
    return lines[0].replace(MACHINE, name)


class Series:
    """A folder with the pipelines of examples/nab and one series as NDJSON."""

    def __init__(self, root, shared, weir, folder, name):
        self.name = name
        self.weir = weir
        self.folder = folder / "nab"
        self.database, self.table = PLACES[name]
        shutil.copytree(root / "examples/nab", self.folder)
        shutil.copy(shared / "data/NAB" / f"{name}.csv", self.folder)
        subprocess.run(to_ndjson(root, name), shell=True, check=True, cwd=self.folder)
        lines = (self.folder / f"{name}.ndjson").read_bytes().splitlines(keepends=True)
        with open(self.folder / f"{name}.csv", newline="") as file:
            rows = list(csv.reader(file))[1:]
        assert len(lines) == len(rows)
        self.rows, offset = [], 0
        for (timestamp, value), line in zip(rows, lines):
            self.rows.append(Row(timestamp, value, datetime.fromisoformat(timestamp), offset,
                                 line.rstrip(b"\n")))
            offset += len(line)

    def change(self, old, new):
        path = self.folder / f"{self.name}.yaml"
        text = path.read_text()
        assert text.count(old) == 1, f"{path.name} has '{old}' {text.count(old)} times"
        path.write_text(text.replace(old, new))

    def call(self, *arguments):
        done = subprocess.run([self.weir, *arguments], cwd=self.folder, capture_output=True,
                              text=True)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def run(self):
        """The ledger, after every row is accounted for and the audit has found nothing."""
        ledger = json.loads(self.call("run", f"{self.name}.yaml", "--until-end", "--json"))
        assert ledger["in"] == len(self.rows) == ROWS[self.name]
        assert sum(ledger["verdicts"].values()) == ledger["in"]
        audit = json.loads(self.call("audit", f"{self.name}.yaml", "--json"))
        assert audit["records"] == ledger["in"] and audit["unverifiable"] == 0 and not audit["findings"]
        self.check_letters(ledger["verdicts"])
        return ledger

    def check_letters(self, verdicts):
        """Every row that is not VALID is a dead letter, byte for byte."""
        letters = {letter["offset"]: letter for letter in map(json.loads,
                                                              self.lines(self.database + ".dlq"))}
        assert len(letters) == len(self.rows) - verdicts["valid"]
        rows = {row.offset: row for row in self.rows}
        for offset, letter in letters.items():
            assert letter["value"].encode() == rows[offset].line

    def lines(self, folder):
        parts = (self.folder / folder).glob("*.ndjson")
        return [line for part in sorted(parts, key=lambda part: int(part.stem.split("-")[-2]))
                for line in part.read_bytes().splitlines()]

    def letters(self):
        """(reason, timestamp) in the order of the file."""
        return [(letter["reason"], json.loads(letter["value"])["timestamp"])
                for letter in map(json.loads, self.lines(self.database + ".dlq"))]

    def select(self, columns, more=""):
        connection = sqlite3.connect(self.folder / f"{self.database}.db")
        try:
            return connection.execute(f"SELECT {columns} FROM {self.table} {more}").fetchall()
        finally:
            connection.close()

    def timestamps_in_table(self):
        return [text for text, in self.select("timestamp", "ORDER BY _weir_offset")]


@pytest.fixture
def series(root, shared, weir, tmp_path):
    return lambda name: Series(root, shared, weir, tmp_path, name)


def utc(row):
    """As the table has it."""
    return row.at.strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def first_of_each(rows):
    seen = set()
    return [row for row in rows if not (row.timestamp in seen or seen.add(row.timestamp))]


def step_back(rows):
    """Index of the only row that lies before the one above it."""
    steps = [index for index in range(1, len(rows)) if rows[index].at < rows[index - 1].at]
    assert len(steps) == 1
    return steps[0]


@pytest.mark.parametrize("name", ROWS)
def test_repeated_timestamps_are_duplicates(series, name):
    nab = series(name)
    ledger = nab.run()
    once = first_of_each(nab.rows)
    assert len(nab.rows) - len(once) == REPEATED[name]
    assert ledger["verdicts"] == {"valid": len(once), "invalid": 0, "duplicate": REPEATED[name],
                                  "late": 0, "filtered": 0}
    assert nab.timestamps_in_table() == [utc(row) for row in once]


def test_the_hour_that_was_written_twice(series):
    """12 rows come again after one step back; those of the first time stay."""
    nab = series(MACHINE)
    step = step_back(nab.rows)
    nab.run()
    assert nab.letters() == [("duplicate", row.timestamp.replace(" ", "T") + "Z")
                             for row in nab.rows[step:step + 12]]
    assert nab.lines("machine_temperature") == [row.line for row in first_of_each(nab.rows)]
    assert nab.select("count(*), min(value), max(value)") == \
        [(22_683,
          *(pick(float(row.value) for row in first_of_each(nab.rows)) for pick in (min, max)))]


@pytest.mark.parametrize("lateness, late",
                         [("2h", 0), ("55m", 0), ("54m", 1), ("10m", 9), ("0s", 11)])
def test_the_step_back_is_valid_or_late(series, lateness, late):
    """What comes again has other values: with both in the key there is no duplicate, and the lateness
    alone decides. The clock went back by 55 minutes; every five minutes one row less is late."""
    nab = series(MACHINE)
    nab.change("lateness: 2h", f"lateness: {lateness}")
    nab.change("key: timestamp", "key: [timestamp, value]")
    step = step_back(nab.rows)
    assert nab.rows[step - 1].at - nab.rows[step].at == timedelta(minutes=55)
    ledger = nab.run()
    assert ledger["verdicts"] == {"valid": 22_695 - late, "invalid": 0, "duplicate": 0,
                                  "late": late,
                                  "filtered": 0}
    again = [row.timestamp.replace(" ", "T") + "Z" for row in nab.rows[step:step + late]]
    assert nab.letters() == [("late", timestamp) for timestamp in again]
    is_late = range(step, step + late)
    assert nab.timestamps_in_table() == [utc(row) for index, row in enumerate(nab.rows)
                                         if index not in is_late]


def test_a_late_row_whose_key_is_remembered_is_a_duplicate(series):
    """While the window lasts, that is: behind it the row is late."""
    nab = series(MACHINE)
    nab.change("lateness: 2h", "lateness: 10m")
    assert nab.run()["verdicts"]["duplicate"] == 12

    (nab.folder / "again").mkdir()
    nab.change("name: machine_temperature", "name: short")
    for old in ("{path: machine_temperature.db,", "{path: machine_temperature}",
                "{path: machine_temperature.dlq}"):
        nab.change(old, old.replace("path: ", "path: again/"))
    nab.change("window: 1d", "window: 10m")
    nab.database = "again/machine_temperature"
    # The watermark stands at 02:45 then: keys from 02:35 on are remembered.
    verdicts = nab.run()["verdicts"]
    assert (verdicts["late"], verdicts["duplicate"]) == (7, 5)


def test_travel_times(series):
    nab = series(TRAVEL)
    longer = [row for before, row in zip(nab.rows, nab.rows[1:])
              if row.at - before.at > timedelta(seconds=600)]
    assert len(longer) == 849
    nab.run()
    slow = [row for row in nab.rows if float(row.value) > 1200]
    assert [json.loads(line)["timestamp"] for line in nab.lines("travel_time_slow")] == \
        [row.timestamp.replace(" ", "T") + "Z" for row in slow]
    assert nab.select("count(*)",
                      "WHERE minutes <> value / 60.0 OR typeof(value) <> 'integer'") == [(0,)]


def test_disk_writes(series):
    nab = series(DISK)
    assert [b.at - a.at for a, b in zip(nab.rows, nab.rows[1:])].count(timedelta(0)) == 11
    ledger = nab.run()
    bursts = sum(float(row.value) >= 100e6 for row in first_of_each(nab.rows))
    assert ledger["warnings"] == {"burst": bursts} and bursts > 0
    assert {timestamp for _, timestamp in nab.letters()} == {"2014-03-09T03:00:00Z"}
    assert nab.select("sum(value)") == [(sum(float(row.value) for row in first_of_each(nab.rows)),)]


def test_ambient_temperature(series):
    nab = series(AMBIENT)
    gaps = [b.at - a.at for a, b in zip(nab.rows, nab.rows[1:]) if b.at - a.at > timedelta(hours=1)]
    assert len(gaps) == 10 and max(gaps) == timedelta(hours=174)
    nab.run()
    celsius = [value for value, in nab.select("celsius", "ORDER BY _weir_offset")]
    assert celsius == pytest.approx([(float(row.value) - 32) / 1.8 for row in nab.rows],
                                    abs=0.00501)
    assert all(set(json.loads(line)) == {"timestamp", "celsius"}
               for line in nab.lines("ambient_temperature"))


def test_once_more_adds_nothing(series):
    nab = series(DISK)
    nab.run()
    before = nab.select("*"), nab.lines("disk_writes"), nab.letters()
    assert "4,730 records" not in nab.call("run", f"{DISK}.yaml", "--until-end")
    nab.run()
    assert (nab.select("*"), nab.lines("disk_writes"), nab.letters()) == before
