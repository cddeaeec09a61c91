"""examples/iot.yaml with its table in MariaDB, and pipelines of lines of a file."""
import json
import os
import signal
import subprocess
import time

import pytest

from postgres.pipeline import Pipeline

UPSERT = ", mode: upsert, key: [message_id], newest_by: event_time"


def iot(folder, weir, database, more_keys=UPSERT, place=None, **options):
    """The pipeline of test/postgres with its table here."""
    sink = f"    mysql: {{{place or database.place}, table: readings{more_keys}}}"
    return Pipeline(folder, weir, None, sink=sink, **options)


LINES = """
version: 1
name: p
source:
  file: {{path: in.ndjson}}
  format: json
schema: {{type: object, properties: {{{fields}}}{required}}}
sinks:
  rows:
    mysql: {{{place}, table: {table}{keys}}}
"""


class Lines:
    """A pipeline from in.ndjson into the table `rows`."""

    def __init__(self, folder, weir, database, fields, keys="", table="`rows`", required=""):
        self.folder, self.weir = folder, weir
        self.text = LINES.format(fields=fields, place=database.place, table=table.strip("`"),
                                 keys=keys, required=required)
        (folder / "p.yaml").write_text(self.text)

    def add(self, *rows):
        with open(self.folder / "in.ndjson", "a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        return self

    def run(self, verb="run", *options, status=0):
        """stdout + stderr."""
        options = options or (("--until-end",) if verb == "run" else ())
        done = subprocess.run([self.weir, verb, *([] if verb == "tail" else ["p.yaml"]), *options], cwd=self.folder,
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def wait_until(question, process=None, patience_s=60):
    end = time.monotonic() + patience_s
    while not question():
        assert time.monotonic() < end, process and process.errors()
        assert process is None or process.is_running(), process.errors()
        time.sleep(0.01)


def is_under_way(database, epoch=2):
    return lambda: database.ask("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA ="
                                " DATABASE() AND TABLE_NAME = 'weir_progress'") and \
        database.ask("SELECT 1 FROM weir_progress WHERE epoch > %s", epoch)


def freeze(process, database, phase):
    """SIGSTOP, until its session is in that phase: "anywhere", or "in transaction"."""
    for _ in range(3000):
        process.process.send_signal(signal.SIGSTOP)
        if phase == "anywhere" or database.ask(
                "SELECT 1 FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p"
                " ON p.ID = t.trx_mysql_thread_id WHERE p.DB = DATABASE() AND t.trx_rows_modified > 0"):
            return
        os.kill(process.process.pid, signal.SIGCONT)
        time.sleep(0.002)
        if not process.is_running():
            break
    pytest.skip(f"the run was never seen {phase}")
