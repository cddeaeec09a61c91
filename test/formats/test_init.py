"""`weir init` on real and on dirty samples: what it writes runs at once, and nothing but what is plainly
broken is INVALID."""
import gzip
import json
import shutil
import sqlite3
import subprocess

import pytest

NAB = ["machine_temperature_system_failure", "TravelTime_387", "ec2_disk_write_bytes_1ef3de",
       "ambient_temperature_system_failure"]


def call(weir, folder, *arguments, status=0):
    done = subprocess.run([weir, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def run(weir, folder, pipeline):
    done = subprocess.run([weir, "run", pipeline, "--until-end", "--json"], cwd=folder,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def schema_of(folder, name):
    return json.loads((folder / f"{name}.schema.json").read_text())["properties"]


@pytest.mark.parametrize("name", NAB + ["PRSA_uci_form"])
def test_real_series(shared, weir, tmp_path, name):
    place = "PRSA" if name.startswith("PRSA") else "NAB"
    shutil.copy(shared / f"data/{place}/{name}.csv", tmp_path)
    call(weir, tmp_path, "init", "--from", f"{name}.csv")
    ledger = run(weir, tmp_path, f"{name}.yaml")
    assert ledger["verdicts"]["valid"] == ledger["in"] > 2_000
    text = (tmp_path / f"{name}.yaml").read_text()
    if place == "PRSA":
        assert 'fields: ["year", "month", "day", "hour"]' in text and 'nulls: ["NA"]' in text
        assert schema_of(tmp_path, name)["pm2.5"]["type"] == ["integer", "null"]
    else:
        assert 'format: "%Y-%m-%d %H:%M:%S"' in text and "as: \"timestamp\"" in text
        assert schema_of(tmp_path, name)["value"]["type"] in ("number", "integer")
        connection = sqlite3.connect(tmp_path / f"{name}.db")
        assert connection.execute("SELECT count(*) FROM rows WHERE timestamp LIKE '____-__-__T%Z'"
                                  ).fetchone() == (ledger["in"],)
        connection.close()


def test_dirty_readings(weir, tmp_path):
    call(weir, tmp_path, "gen", "file:gen.ndjson", "--count", "20000", "--seed", "7")
    call(weir, tmp_path, "init", "--from", "gen.ndjson")
    ledger = run(weir, tmp_path, "gen.yaml")
    assert ledger["in"] == 20_000
    assert ledger["verdicts"]["late"] == 0 and ledger["verdicts"]["valid"] > 18_500
    # What is INVALID is broken by itself: no range, no missing field.
    listed = call(weir, tmp_path, "dlq", "list", "gen.yaml")
    assert "schema.required" not in listed and "time." not in listed, listed
    fields = schema_of(tmp_path, "gen")
    assert fields["event_time"]["format"] == "date-time"
    assert fields["temperature"]["type"] == ["number", "null"]
    assert "message_id" in (tmp_path / "gen.yaml").read_text()


def test_csv_of_another_country(weir, tmp_path):
    rows = "".join(f"{n};{n / 8:.3f};{n % 28 + 1:02d}.03.2026 12:{n % 60:02d}:00;x{n % 3}\n"
                   .replace(".", ",", 1) for n in range(200))
    with gzip.open(tmp_path / "werte.csv.gz", "wt") as file:
        file.write("nr;wert;zeit;ort\n" + rows)
    call(weir, tmp_path, "init", "--from", "werte.csv.gz")
    text = (tmp_path / "werte.yaml").read_text()
    assert 'delimiter: ";"' in text and "decimal: ','" in text
    assert 'format: "%d.%m.%Y %H:%M:%S"' in text and 'key: "nr"' in text
    assert run(weir, tmp_path, "werte.yaml")["verdicts"]["invalid"] == 0
    connection = sqlite3.connect(tmp_path / "werte.db")
    assert connection.execute("SELECT sum(wert) FROM rows").fetchone() == \
        (sum(n / 8 for n in range(200)),)
    connection.close()


def test_rows_without_a_header(weir, tmp_path):
    (tmp_path / "a.csv").write_text("".join(f"{n},{n * n}\n" for n in range(5)))
    call(weir, tmp_path, "init", "--from", "a.csv")
    assert 'names: ["column_1", "column_2"]' in (tmp_path / "a.yaml").read_text()
    assert run(weir, tmp_path, "a.yaml")["verdicts"]["valid"] == 5


def test_nested_members(weir, tmp_path):
    (tmp_path / "n.ndjson").write_text("".join(
        json.dumps({"id": n, "at": {"lat": n / 2, "tags": [n]}, "on": n % 2 == 0}) + "\n"
        for n in range(10)))
    call(weir, tmp_path, "init", "--from", "n.ndjson", "--to", "made/here", "--name", "other")
    fields = schema_of(tmp_path / "made/here", "other")
    assert fields["at"]["properties"]["lat"]["type"] == "number"
    assert fields["at"]["required"] == ["lat", "tags"] and fields["on"]["type"] == "boolean"
    assert run(weir, tmp_path, "made/here/other.yaml")["verdicts"]["valid"] == 10


def test_nothing_is_overwritten(weir, tmp_path):
    (tmp_path / "a.ndjson").write_text('{"a":1}\n')
    (tmp_path / "a.schema.json").write_text("mine")
    assert "init.exists" in call(weir, tmp_path, "init", "--from", "a.ndjson", status=2)
    assert (tmp_path / "a.schema.json").read_text() == "mine"
    assert not (tmp_path / "a.yaml").exists()
    call(weir, tmp_path, "init", "--from", "a.ndjson", "--force")
    assert run(weir, tmp_path, "a.yaml")["verdicts"]["valid"] == 1


@pytest.mark.parametrize("content, code", [(b"", "init.empty"), (b"\n\n", "init.empty"),
                                           (b"{broken\n", "init.empty"), (b"a,a\n1,2\n", "init.header")])
def test_what_is_no_sample(weir, tmp_path, content, code):
    (tmp_path / "a").write_bytes(content)
    assert code in call(weir, tmp_path, "init", "--from", "a", status=2)
    assert not (tmp_path / "a.yaml").exists()
