"""The series in shared data as they come: CSV with and without CRLF, words for null, times without a
zone and in four columns."""
import csv
import json
import shutil
import sqlite3
import subprocess
from datetime import datetime, timedelta

import pytest


def call(weir, folder, *arguments):
    done = subprocess.run([weir, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def run(weir, folder, pipeline):
    ledger = json.loads(call(weir, folder, "run", pipeline, "--until-end", "--json"))
    audit = json.loads(call(weir, folder, "audit", pipeline, "--json"))
    assert not audit["findings"] and audit["unverifiable"] == 0
    return ledger


def select(database, statement):
    connection = sqlite3.connect(database)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def test_beijing(root, shared, weir, tmp_path):
    shutil.copytree(root / "examples/prsa", tmp_path / "prsa")
    shutil.copy(shared / "data/PRSA/PRSA_uci_form.csv", tmp_path / "prsa")
    ledger = run(weir, tmp_path / "prsa", "beijing.yaml")
    with open(tmp_path / "prsa/PRSA_uci_form.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ledger["in"] == len(rows) == 43_824
    assert ledger["verdicts"]["valid"] == len(rows)
    found = select(tmp_path / "prsa/beijing.db",
                   'SELECT at, "pm2_5", TEMP, cbwd FROM hours ORDER BY _weir_offset')
    assert len(found) == len(rows)
    for row, (at, dust, temperature, wind) in zip(rows, found):
        local = datetime(*(int(row[name]) for name in ("year", "month", "day", "hour")))
        assert at == (local - timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        assert dust == (None if row["pm2.5"] == "NA" else float(row["pm2.5"]))
        assert (temperature, wind) == (float(row["TEMP"]), row["cbwd"])
    assert sum(dust is None for _, dust, _, _ in found) == 2_067


def test_machine_temperature_as_csv(root, shared, weir, tmp_path):
    """The CSV file gives what its NDJSON form gives."""
    name = "machine_temperature_system_failure.csv"
    shutil.copytree(root / "examples/nab", tmp_path / "nab")
    shutil.copy(shared / "data/NAB" / name, tmp_path / "nab")
    ledger = run(weir, tmp_path / "nab", "machine_temperature_csv.yaml")
    assert ledger["verdicts"] == {"valid": 22_683, "invalid": 0, "duplicate": 12, "late": 0,
                                  "filtered": 0}
    with open(tmp_path / "nab" / name, newline="") as file:
        rows = list(csv.reader(file))[1:]
    once = {}
    for timestamp, value in rows:
        once.setdefault(timestamp, value)
    found = select(tmp_path / "nab/machine_temperature_csv.db",
                   "SELECT timestamp, value FROM readings ORDER BY _weir_offset")
    assert found == [(timestamp.replace(" ", "T") + ".000000Z", float(value))
                     for timestamp, value in once.items()]
    letters = [json.loads(line)
               for part in (tmp_path / "nab/machine_temperature_csv.dlq").glob("*.ndjson")
               for line in part.read_text().splitlines()]
    assert len(letters) == 12
    assert all(tuple(letter["value"].split(",")) in map(tuple, rows) for letter in letters)


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tehran", "Asia/Kolkata",
         "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia", "Europe/Dublin", "UTC"]


@pytest.mark.parametrize("name", ZONES)
def test_local_times_are_those_of_the_zone(weir, tmp_path, name):
    """Against Python's zoneinfo, also where clocks went back (the first of two moments) and forward
    (as if they had not)."""
    zoneinfo = pytest.importorskip("zoneinfo")
    try:
        zone = zoneinfo.ZoneInfo(name)
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone database here")
    start = datetime(1971, 1, 1)
    times = [start + timedelta(minutes=31 * 60 * step + step % 60) for step in range(60_000)]
    (tmp_path / "a.csv").write_text(
        "t\n" + "".join(time.strftime("%d.%m.%Y %H:%M\n") for time in times))
    (tmp_path / "p.yaml").write_text(f"""
version: 1
name: zones
source: {{file: {{path: a.csv}}, format: csv}}
schema: {{type: object, properties: {{t: {{type: string}}}}}}
event_time: {{field: t, format: [rfc3339, '%d.%m.%Y %H:%M'], zone: {name}, lateness: 1d, as: at}}
sinks: {{t: {{sqlite: {{path: a.db, table: t}}}}}}
""")
    run(weir, tmp_path, "p.yaml")
    found = [at for at, in select(tmp_path / "a.db", "SELECT at FROM t ORDER BY _weir_offset")]
    expected = []
    for time in times:
        utc = time - time.replace(tzinfo=zone, fold=0).utcoffset()
        expected.append(utc.strftime("%Y-%m-%dT%H:%M:%S.000000Z"))
    assert found == expected
