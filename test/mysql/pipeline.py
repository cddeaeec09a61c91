"""Pipelines of lines of a file, and what is MariaDB's own in the tests of this folder."""
import json
import signal
import subprocess

from database.pipeline import wait_until

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


def freeze(process, database, phase):
    """SIGSTOP, "anywhere" or "in transaction": then all but COMMIT is done, and its locks are held."""
    if phase == "anywhere":
        process.process.send_signal(signal.SIGSTOP)
        return
    holder = database.connect()
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT epoch FROM weir_progress LIMIT 1 FOR UPDATE")
        wait_until(lambda: database.ask("SELECT 1 FROM information_schema.PROCESSLIST WHERE DB ="
                                        " DATABASE() AND INFO LIKE '%UPDATE weir_progress SET epoch%'"
                                        " AND ID <> CONNECTION_ID()"), process)
        process.process.send_signal(signal.SIGSTOP)
        cursor.execute("ROLLBACK")
    holder.close()
