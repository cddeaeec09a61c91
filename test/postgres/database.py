"""A database as a client sees it that shares nothing with libpq."""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def driver():
    """pg8000: a client in Python alone, which shares nothing with libpq."""
    found = subprocess.run([ROOT / "script/python-packages", "path"], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip("pg8000 is missing: script/python-packages build")
    if found.stdout.strip() not in sys.path:
        sys.path.append(found.stdout.strip())
    import pg8000.dbapi
    return pg8000.dbapi


def place_of(dsn):
    return f'dsn: "{dsn}"'


class Database:
    """A database of its own on a server."""

    kind = "postgres"
    quote = '"'

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.ask(f'CREATE DATABASE "{name}"', database="postgres")

    @property
    def dsn(self):
        return self.server.dsn.replace("dbname=postgres", f"dbname={self.name}")

    @property
    def place(self):
        """The connection, as a pipeline file has it in place."""
        return place_of(self.dsn)

    def has_table(self, name):
        return bool(self.ask("SELECT 1 FROM pg_tables WHERE tablename = %s", name))

    def connect(self, database=None, user="postgres"):
        connection = driver().connect(user=user, host="127.0.0.1", port=self.server.port,
                                      database=database or self.name)
        connection.autocommit = True
        return connection

    @staticmethod
    def time_text(column):
        """The time as weir's own texts have it."""
        return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

    def ask(self, sql, *values, database=None):
        """The rows; [] where the statement gives none."""
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(sql, values)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()
