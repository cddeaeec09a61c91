"""MariaDB, on a server that the bench starts: rows of weir beside the same INSERTs by hand.

The reference is bench/mysql_insert.c: the same rows out of a file into the same table, emptied, by
prepared INSERTs of 512 rows through libmariadb; of an upsert with ON DUPLICATE KEY UPDATE, where the
newer event time wins. It parses no JSON and keeps no ledger. Compared are rows a second, for much of the
work is the server's; CPU time and memory are those of the client alone. And what refused rows cost: the
same table with a CHECK that none, 1, 100 or 1,000 of 100,000 rows break.
"""
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "script/services"))

from mariadb_server import MariaDB, Unavailable  # noqa: E402

PIPELINE = """
version: 1
name: bench
source:
  local: {{path: mysql.db, topic: raw_iot_data}}
  format: json
schema: sensor.schema.json
sinks:
  readings:
    mysql: {{host: 127.0.0.1, port: {port}, user: root, database: bench, table: readings{more}}}
state: {{path: mysql.state}}
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
    mysql: {{host: 127.0.0.1, port: {port}, user: root, database: bench, table: rows}}
state: {{path: mysql.state}}
"""
UPSERT = ", mode: upsert, key: [message_id], newest_by: event_time"
REFUSED_ROWS = 100_000


class Server:
    """One database, emptied before each run."""

    def __init__(self, run, data, server):
        self.run, self.data, self.server = run, data, server

    def ask(self, sql):
        return self.server.ask("USE bench; " + sql)

    def export(self):
        """All rows into rows.tsv, past this process: its size would be counted as that of its children."""
        with open(self.data / "rows.tsv", "wb") as file:
            subprocess.run(["mariadb", "--no-defaults", "-uroot", "-S", self.server.folder / "socket",
                            "-BN", "--quick", "-e", "SELECT * FROM bench.readings"], check=True,
                           stdout=file)

    def empty(self):
        """Nothing is left of the run before, in the source neither."""
        for path in self.data.glob("mysql.db*"):
            path.unlink()
        shutil.copy(self.data / "input.db", self.data / "mysql.db")
        shutil.rmtree(self.data / "mysql.state", ignore_errors=True)
        self.server.ask("DROP DATABASE IF EXISTS bench; CREATE DATABASE bench CHARACTER SET utf8mb4")

    def weir(self, bench, name, text, rows, more=""):
        (self.data / "mysql.yaml").write_text(text.format(port=self.server.port, more=more))
        run = self.run([bench.weir, "run", "mysql.yaml", "--until-end"], self.data)
        bench.add(name, rows, run.cpu_s, run.wall_s, run.rss_bytes)

    def hand(self, bench, name, rows, update):
        """Of rows.tsv, into the table as weir made it."""
        columns = self.ask("SELECT group_concat(COLUMN_NAME ORDER BY ORDINAL_POSITION) FROM"
                           " information_schema.COLUMNS WHERE TABLE_SCHEMA = 'bench' AND TABLE_NAME ="
                           " 'readings'").strip().split(",")
        changes = ", ".join(
            f"{column} = IF(VALUES(event_time) >= event_time, VALUES({column}), {column})"
            for column in sorted(columns, key=lambda column: column == "event_time")
            if column != "message_id")
        kept = self.ask("SELECT count(*) FROM readings")
        self.ask("TRUNCATE readings")
        run = self.run([bench.mysql_program, self.server.port, "bench", "rows.tsv",
                        len(columns), f"INSERT INTO readings ({','.join(columns)}) VALUES ",
                        f" ON DUPLICATE KEY UPDATE {changes}" if update else ""], self.data)
        assert int(run.output) == rows and self.ask("SELECT count(*) FROM readings") == kept
        bench.add(name, rows, run.cpu_s, run.wall_s, run.rss_bytes)


def measure_tables(bench, server, rows):
    server.empty()
    server.weir(bench, "MariaDB, append", PIPELINE, rows)
    server.export()
    server.hand(bench, "INSERTs by hand", rows, update=False)
    server.empty()
    server.weir(bench, "MariaDB, upsert", PIPELINE, rows, UPSERT)
    server.hand(bench, "upserts by hand", rows, update=True)


def measure_refused(bench, server, bad):
    server.empty()
    server.ask("CREATE TABLE `rows` (id bigint, value varchar(9), CHECK (value <> 'bad'))")
    chosen = set(random.Random(bad).sample(range(REFUSED_ROWS), bad))
    with open(server.data / "refused.ndjson", "w") as file:
        for i in range(REFUSED_ROWS):
            file.write(json.dumps({"id": i, "value": "bad" if i in chosen else "good"}) + "\n")
    server.weir(bench, f"MariaDB, {bad:,} refused", REFUSED, REFUSED_ROWS)
    assert int(server.ask("SELECT count(*) FROM weir_rejects")) == bad


def valid_rows(bench, server):
    """How many rows the input makes, and a first run that is not measured."""
    server.empty()
    (server.data / "mysql.yaml").write_text(PIPELINE.format(port=server.server.port, more=""))
    server.run([bench.weir, "run", "mysql.yaml", "--until-end"], server.data)
    return int(server.ask("SELECT count(*) FROM readings"))


def measure(bench, run, data):
    """False where there is no server, or no module."""
    if not bench.mysql_program.exists():
        print("MariaDB is not measured: no libmariadb (script/bootstrap)", file=sys.stderr)
        return False
    try:
        maria = MariaDB(data.parent / "mariadb").start()
    except Unavailable as error:
        print(f"MariaDB is not measured: {error}", file=sys.stderr)
        return False
    try:
        server = Server(run, data, maria)
        for path in data.glob("input.db*"):
            path.unlink()
        run([bench.weir, "gen", f"local:{data}/input.db#raw_iot_data", "--count",
             50_000 if bench.quick else 300_000])
        rows = valid_rows(bench, server)
        for _ in range(2 if bench.quick else 3):
            measure_tables(bench, server, rows)
            for bad in (0, 1, 100, 1000):
                measure_refused(bench, server, bad)
        bench.rate_references["MariaDB, append"] = ["INSERTs by hand"]
        bench.rate_references["MariaDB, upsert"] = ["upserts by hand"]
        for bad in ("1", "100", "1,000"):
            bench.rate_references[f"MariaDB, {bad} refused"] = ["MariaDB, 0 refused"]
    finally:
        maria.kill()
        for path in (*data.glob("mysql.db*"), *data.glob("input.db*"), data / "rows.tsv",
                     data / "refused.ndjson"):
            path.unlink(missing_ok=True)
        shutil.rmtree(data / "mysql.state", ignore_errors=True)
    return True
