"""Rows that a table refuses for their own fault: named, counted, and nothing else is lost with them."""
import json
import random

import pytest

from database.pipeline import UPSERT, Pipeline
from faults import batches
from faults.lab import Lab, record

COLUMNS = ("message_id text PRIMARY KEY, sensor_id text NOT NULL, event_time timestamptz,"
           " temperature double precision, humidity double precision, pressure double precision,"
           " battery bigint, site text, temperature_f double precision,"
           " _weir_topic text, _weir_partition integer, _weir_offset bigint")

# What is wrong with the table, and the reason and words that each refused row must have.
FAULTS = {
    "check": ("ALTER TABLE readings ADD CONSTRAINT cool CHECK (temperature < 30)",
              "sink.constraint_check", "constraint cool"),
    "too long": ("ALTER TABLE readings ALTER sensor_id TYPE varchar(6)", "sink.too_long",
                 "SQLSTATE 22001"),
    "not null": ("ALTER TABLE readings ALTER pressure SET NOT NULL", "sink.constraint_notnull",
                 "column pressure"),
    "numeric overflow": ("ALTER TABLE readings ALTER temperature_f TYPE numeric(3,1)", None, ""),
    "integer overflow": ("ALTER TABLE readings ALTER battery TYPE smallint", None, ""),
    "foreign key": ("CREATE TABLE sites (site text PRIMARY KEY); INSERT INTO sites VALUES ('north');"
                    " ALTER TABLE readings ADD CONSTRAINT known FOREIGN KEY (site)"
                    " REFERENCES sites", "sink.constraint_foreignkey", "constraint known"),
    "deferred": ("CREATE TABLE sites (site text PRIMARY KEY); INSERT INTO sites VALUES ('north');"
                 " ALTER TABLE readings ADD CONSTRAINT known FOREIGN KEY (site) REFERENCES sites"
                 " DEFERRABLE INITIALLY DEFERRED", "sink.constraint_foreignkey",
                 "constraint known"),
    "trigger": ("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF NEW.temperature > 29 THEN RAISE EXCEPTION 'too hot'; END IF; RETURN NEW;"
                " END $$; CREATE TRIGGER refuse BEFORE INSERT ON readings FOR EACH ROW"
                " EXECUTE FUNCTION refuse()", "sink.trigger", "too hot"),
}


def counts(pipeline):
    out, _ = pipeline.run("audit", "iot.yaml", "--json")
    return json.loads(out)["ledger"]["sinks"]["readings"]


def test_dead_letters_of_any_bytes(database, weir, tmp_path):
    """No record stops a pipeline: what PostgreSQL takes as no text stands in base64."""
    lab = Lab(tmp_path, weir)
    place = {"postgres": {"dsn": database.dsn, "table": "letters"}}
    lab.write(dedup=None, dlq={**place, "include": ["invalid"]}).produce([])
    headers = [("trace", b"\0\xff"), ("none", None)]
    records = [(b"plain", b"{"), (b"\xff\0key", b"{\0"), (b"a\0b", b"\xff", headers), (None, None),
               (b"", b"[]")]
    batches.append(lab, "in", records)
    assert lab.ledger()["verdicts"]["invalid"] == len(records)
    decoded = "coalesce(convert_to({0}, 'UTF8'), decode({0}_base64, 'base64'))"
    rows = database.ask(f"SELECT {decoded.format('key')}, {decoded.format('value')} FROM letters"
                        ' ORDER BY "offset"')
    assert [tuple(row) for row in rows] == [record[:2] for record in records]
    lab.audit()


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_refused_rows_are_named_and_counted(name, mode, database, weir, tmp_path):
    change, reason, words = FAULTS[name]
    database.ask(f"CREATE TABLE readings ({COLUMNS})")
    if mode == "append":
        database.ask("ALTER TABLE readings DROP CONSTRAINT readings_pkey")
    for statement in change.split("; ") if "FUNCTION" not in change else [change]:
        database.ask(statement)
    pipeline = Pipeline(tmp_path, weir, database, keys=UPSERT if mode == "upsert" else "", records=800)
    pipeline.finish()
    rejected = database.ask("SELECT code, message, topic, partition, \"offset\" FROM weir_rejects")
    ledger = counts(pipeline)
    assert ledger["routed"] == ledger["written"] + ledger["rejected"]
    assert ledger["rejected"] == len(rejected)
    if reason is not None:
        assert rejected and {row[0] for row in rejected} == {reason}, rejected[:3]
        assert all(words in row[1] for row in rejected), rejected[:3]
    assert len({row[2:] for row in rejected}) == len(rejected)
    if mode == "append":
        assert database.ask("SELECT count(*) FROM readings") == [(ledger["written"],)]


@pytest.mark.parametrize("bad", [1, 100])
def test_few_bad_rows_cost_only_themselves(bad, database, weir, tmp_path, seed):
    rng = random.Random(seed)
    database.ask("CREATE TABLE rows (id bigint, value text, CHECK (value <> 'bad'))")
    (tmp_path / "in.ndjson").write_text("".join(
        json.dumps({"id": i, "value": "good"}) + "\n" for i in range(20000)))
    lines = (tmp_path / "in.ndjson").read_text().splitlines()
    chosen = set(rng.sample(range(20000), bad))
    (tmp_path / "in.ndjson").write_text("".join(
        (line.replace("good", "bad") if i in chosen else line) + "\n"
        for i, line in enumerate(lines)))
    (tmp_path / "p.yaml").write_text(f"""
version: 1
name: p
source:
  file: {{path: in.ndjson}}
  format: json
schema: {{type: object, properties: {{id: {{type: integer}}, value: {{type: string}}}}}}
sinks:
  rows:
    postgres: {{dsn: "{database.dsn}", table: rows}}
""")
    import subprocess
    done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert database.ask("SELECT count(*), count(*) FILTER (WHERE value = 'bad') FROM rows") == \
        [(20000 - bad, 0)]
    assert database.ask("SELECT count(*) FROM weir_rejects") == [(bad,)]
    assert f"written {20000 - bad:,} + rejected {bad:,}" in done.stdout


def test_values_that_a_type_would_change_are_refused(database, weir, tmp_path):
    database.ask("CREATE TABLE rows (price numeric(6,2), id uuid, day date, note text)")
    rows = [{"price": 1.25, "id": "6f1b1d5e-0c0a-4c7e-9d7b-0123456789ab", "day": "2026-01-02",
             "note": "tab\tline\nback\\slash"},
            {"price": 1.255}, {"price": 123456.5}, {"id": "6F1B1D5E-0C0A-4C7E-9D7B-0123456789AB"},
            {"id": "none"}, {"day": "2026-02-30"}, {"note": "nul\0"}, {"price": 7}]
    (tmp_path / "in.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.yaml").write_text(f"""
version: 1
name: p
source:
  file: {{path: in.ndjson}}
  format: json
schema: {{type: object, properties: {{price: {{type: number}}, id: {{type: string}},
  day: {{type: string}}, note: {{type: string}}}}}}
sinks:
  rows:
    postgres: {{dsn: "{database.dsn}", table: rows}}
""")
    import subprocess
    done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "written 2 + rejected 6" in done.stdout, done.stdout
    assert sorted(row[0] for row in database.ask("SELECT note FROM rows WHERE note IS NOT NULL")) \
        == ["tab\tline\nback\\slash"]
    done = subprocess.run([weir, "audit", "p.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


OLD_REJECTS = """CREATE TABLE weir_rejects (
 pipeline text NOT NULL, topic text NOT NULL, partition text NOT NULL,
 number bigint NOT NULL, sink text NOT NULL, "offset" bigint NOT NULL,
 "timestamp" timestamptz, code text NOT NULL, message text NOT NULL,
 attempt bigint NOT NULL, key bytea, value bytea, headers bytea,
 PRIMARY KEY (pipeline, topic, partition, number))"""


def test_a_table_of_refused_rows_without_the_later_columns_is_widened(database, weir, tmp_path):
    """As a weir that could not forward yet has left it: its rows stay, and are not forwarded."""
    database.ask(OLD_REJECTS)
    database.ask("INSERT INTO weir_rejects VALUES ('other', 'raw', '0', 1, 'rows', 5, now(), 'sink.trigger',"
                 " 'old', 1, NULL, 'x', NULL)")
    database.ask(f"CREATE TABLE readings ({COLUMNS}, CHECK (temperature < 30))")
    pipeline = Pipeline(tmp_path, weir, database, records=800)
    pipeline.edit("include: [invalid, late]", "include: [invalid, late, rejected]")
    pipeline.finish()
    ledger = counts(pipeline)
    assert ledger["rejected"] > 0
    assert database.ask("SELECT message, plan, timestamp_us, forward FROM weir_rejects WHERE pipeline = 'other'") \
        == [("old", None, None, 0)]
    assert database.ask("SELECT count(*), count(plan), min(forward) FROM weir_rejects WHERE pipeline <> 'other'") \
        == [(ledger["rejected"], ledger["rejected"], 1)]
    letters, _ = pipeline.run("dlq", "list", "iot.yaml", "--json")
    assert sum(group["records"] for group in json.loads(letters)
               if group["reason"].startswith("sink.")) == ledger["rejected"]


def test_a_refused_row_of_any_year(database, weir, tmp_path):
    """A producer chooses its records' timestamps: what timestamptz is not written as is null, and the
    microseconds have it."""
    lab = Lab(tmp_path, weir)
    database.ask("CREATE TABLE rows (id text CHECK (id = 'good'), at timestamptz, n double precision, text text)")
    lab.write(dedup=None, event_time=None, sinks={"rows": {"postgres": {"dsn": database.dsn, "table": "rows"}}})
    lab.produce([])
    years = {-62_167_219_200_001: None, -62_167_219_200_000: None, -62_135_596_800_000: "0001-01-01T00:00:00.000000Z",
             -2: "1969-12-31T23:59:59.998000Z", 253_402_300_799_999: "9999-12-31T23:59:59.999000Z",
             253_402_300_800_000: None, 10 ** 15: None}
    for timestamp_ms in years:
        batches.append(lab, "in", [(None, record(1))], timestamp_ms=timestamp_ms)
    assert lab.ledger()["sinks"]["rows"]["rejected"] == len(years)
    kept = database.ask(f'SELECT timestamp_us / 1000, {database.time_text("timestamp")} FROM weir_rejects ORDER BY "offset"')
    assert [tuple(row) for row in kept] == list(years.items())
    lab.audit()
