"""PostgreSQL, on a server that the bench starts: rows of weir beside the same rows by psql.

The reference of an append is psql's \\copy of the same rows from a file into the same table, emptied;
of an upsert, the statements that weir runs, by hand: \\copy into a temporary table, then INSERT …
SELECT … ON CONFLICT. Both parse no JSON and keep no ledger. Compared are rows a second, for much of
the work is the server's; CPU time and memory are those of the client alone. And what refused rows
cost: the same table with a CHECK that none, 1, 100 or 1,000 of 100,000 rows break.
"""
import json
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "script/services"))

from postgres_server import Postgres, Unavailable  # noqa: E402

PIPELINE = """
version: 1
name: bench
source:
  local: {{path: postgres.db, topic: raw_iot_data}}
  format: json
schema: sensor.schema.json
sinks:
  readings:
    postgres: {{dsn: "{dsn}", table: readings{more}}}
state: {{path: postgres.state}}
"""
REFUSED = """
version: 1
name: bench
source:
  file: {{path: refused.ndjson}}
  format: json
schema: {{type: object, properties: {{id: {{type: integer}}, value: {{type: string}}}}}}
sinks:
  rows:
    postgres: {{dsn: "{dsn}", table: rows}}
state: {{path: postgres.state}}
"""
UPSERT = ", mode: upsert, key: [message_id], newest_by: event_time"
REFUSED_ROWS = 100_000


class Server:
    """One database, emptied before each run."""

    def __init__(self, run, data, dsn):
        self.run, self.data, self.dsn = run, data, dsn

    def psql(self, *commands):
        words = [word for command in commands for word in ("-c", command)]
        return self.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.dsn, *words],
                        self.data)

    def empty(self):
        """Nothing is left of the run before, in the source neither."""
        for path in self.data.glob("postgres.db*"):
            path.unlink()
        shutil.copy(self.data / "input.db", self.data / "postgres.db")
        shutil.rmtree(self.data / "postgres.state", ignore_errors=True)
        self.psql("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "CHECKPOINT")


def run_weir(bench, server, name, text, records):
    (server.data / "postgres.yaml").write_text(text.format(dsn=server.dsn, more=""))
    run = server.run([bench.weir, "run", "postgres.yaml", "--until-end"], server.data)
    bench.add(name, records, run.cpu_s, run.wall_s, run.rss_bytes)


def count(server):
    return int(server.psql("SELECT count(*) FROM readings").output)


def measure_append(bench, server):
    server.empty()
    (server.data / "postgres.yaml").write_text(PIPELINE.format(dsn=server.dsn, more=""))
    run = server.run([bench.weir, "run", "postgres.yaml", "--until-end"], server.data)
    rows = count(server)
    bench.add("PostgreSQL, append", rows, run.cpu_s, run.wall_s, run.rss_bytes)
    server.psql("\\copy readings TO rows.tsv", "TRUNCATE readings", "CHECKPOINT")
    run = server.psql("\\copy readings FROM rows.tsv")
    assert count(server) == rows
    bench.add("psql's copy", rows, run.cpu_s, run.wall_s, run.rss_bytes)


def measure_upsert(bench, server):
    """Of the rows that measure_append() has left in rows.tsv, whose columns are the same."""
    server.empty()
    (server.data / "postgres.yaml").write_text(PIPELINE.format(dsn=server.dsn, more=UPSERT))
    run = server.run([bench.weir, "run", "postgres.yaml", "--until-end"], server.data)
    kept = count(server)
    with open(server.data / "rows.tsv", "rb") as file:
        rows = sum(1 for _ in file)
    bench.add("PostgreSQL, upsert", rows, run.cpu_s, run.wall_s, run.rss_bytes)
    columns = server.psql("SELECT string_agg(quote_ident(attname), ',' ORDER BY attnum) FROM"
                          " pg_attribute WHERE attrelid = 'readings'::regclass AND attnum > 0"
                          ).output.strip().split(",")
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
    server.psql("TRUNCATE readings", "CHECKPOINT")
    run = server.psql(
        "CREATE TEMP TABLE stage AS SELECT * FROM readings WITH NO DATA",
        "\\copy stage FROM rows.tsv",
        "INSERT INTO readings AS t SELECT DISTINCT ON (message_id) * FROM stage ORDER BY message_id,"
        " event_time DESC NULLS LAST, _weir_topic COLLATE \"C\" DESC, _weir_partition DESC,"
        f" _weir_offset DESC ON CONFLICT (message_id) DO UPDATE SET {changes} WHERE"
        " excluded.event_time >= t.event_time")
    assert count(server) == kept
    bench.add("upsert by hand", rows, run.cpu_s, run.wall_s, run.rss_bytes)


def measure_refused(bench, server, bad):
    server.empty()
    server.psql("CREATE TABLE rows (id bigint, value text, CHECK (value <> 'bad'))")
    chosen = set(random.Random(bad).sample(range(REFUSED_ROWS), bad))
    with open(server.data / "refused.ndjson", "w") as file:
        for i in range(REFUSED_ROWS):
            file.write(json.dumps({"id": i, "value": "bad" if i in chosen else "good"}) + "\n")
    run_weir(bench, server, f"PostgreSQL, {bad:,} refused", REFUSED, REFUSED_ROWS)
    assert int(server.psql("SELECT count(*) FROM weir_rejects").output) == bad


def measure(bench, run, data):
    """False where there is no server."""
    try:
        server = Postgres(data.parent / "postgres").start()
    except Unavailable as error:
        print(f"PostgreSQL is not measured: {error}", file=sys.stderr)
        return False
    try:
        database = Server(run, data, server.dsn)
        records = 100_000 if bench.quick else 500_000
        for path in data.glob("input.db*"):
            path.unlink()
        run([bench.weir, "gen", f"local:{data}/input.db#raw_iot_data", "--count", records])
        for _ in range(2 if bench.quick else 3):
            measure_append(bench, database)
            measure_upsert(bench, database)
            for bad in (0, 1, 100, 1000):
                measure_refused(bench, database, bad)
        bench.rate_references["PostgreSQL, append"] = ["psql's copy"]
        bench.rate_references["PostgreSQL, upsert"] = ["upsert by hand"]
        for bad in ("1", "100", "1,000"):
            bench.rate_references[f"PostgreSQL, {bad} refused"] = ["PostgreSQL, 0 refused"]
    finally:
        server.stop("immediate")
        for path in (*data.glob("postgres.db*"), *data.glob("input.db*"), data / "rows.tsv",
                     data / "refused.ndjson"):
            path.unlink(missing_ok=True)
        shutil.rmtree(data / "postgres.state", ignore_errors=True)
    return True
