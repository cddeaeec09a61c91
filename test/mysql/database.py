"""A database of a MariaDB server as a client sees it that shares nothing with libmariadb."""
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def driver():
    """PyMySQL: a client in Python alone."""
    found = subprocess.run([ROOT / "script/python-packages", "path"], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip("PyMySQL is missing: script/python-packages build")
    if found.stdout.strip() not in sys.path:
        sys.path.append(found.stdout.strip())
    import pymysql
    return pymysql


class Database:
    """A database of its own on a server."""

    kind = "mysql"
    quote = "`"

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.ask(f"DROP DATABASE IF EXISTS `{name}`", database="weir")
        self.ask(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4", database="weir")

    @property
    def place(self):
        """The connection, as a pipeline file has it in place."""
        return f"host: 127.0.0.1, port: {self.server.port}, user: root, database: {self.name}"

    def has_table(self, name):
        return bool(self.ask("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA ="
                             " DATABASE() AND TABLE_NAME = %s", name))

    def connect(self, database=None, user="root"):
        return driver().connect(host="127.0.0.1", port=self.server.port, user=user,
                                database=database or self.name, autocommit=True,
                                init_command="SET sql_mode = 'STRICT_ALL_TABLES'")

    @staticmethod
    def time_text(column):
        """The time as weir's own texts have it."""
        return f"DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s.%fZ')"

    def ask(self, sql, *values, database=None):
        """The rows; [] where the statement gives none."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()
