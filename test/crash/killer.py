"""Starts weir and kills it: at a committed count, at a time, while it recovers.

A killed process is stopped first (SIGSTOP), so that the system's list of file locks can be read
while nothing moves, and then gets SIGKILL. That says where the kill landed: the one who writes to a
SQLite file with a write-ahead log holds a lock on byte 120 of its -shm.
"""
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

PATIENCE_S = 120
WAL_WRITE_LOCK = "120"


class Unexpected(Exception):
    """weir did something that it should not."""


class Weir:
    """A running weir; its lines on stderr are collected with the moment they came."""

    def __init__(self, program, *arguments, cwd=None, environment=None):
        self.arguments = arguments
        self.begun = time.monotonic()
        self.process = subprocess.Popen([str(program), *map(str, arguments)], cwd=cwd,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        env={**os.environ, **(environment or {})})
        self.lines = []
        self.output = []
        self.usage = None
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._collect, args=arguments, daemon=True)
                         for arguments in ((self.process.stderr, self.lines),
                                           (self.process.stdout, self.output))]
        for reader in self._readers:
            reader.start()

    def _collect(self, stream, lines):
        for line in stream:
            with self._changed:
                lines.append((time.monotonic(), line.rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def is_running(self):
        """Does not reap, so that wait() gets what the process used."""
        if self.process.returncode is not None:
            return False
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def said(self, word):
        """The moment of the first line that begins with it, or None."""
        with self._changed:
            return next((at for at, line in self.lines if line.startswith(word)), None)

    def wait_for(self, word):
        """Waits until such a line comes; None when the process ended without it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            moment = self.said(word)
            if moment is not None:
                return moment
            if not self._readers[0].is_alive():
                return self.said(word)
            with self._changed:
                self._changed.wait(0.05)
        raise Unexpected(f"weir {self.arguments} did not say '{word}' in {PATIENCE_S} s")

    def errors(self):
        return "\n".join(line for _, line in self.lines)

    def out(self):
        return "\n".join(line for _, line in self.output)

    def wait(self):
        """The exit status, as subprocess has it."""
        if self.process.returncode is None:
            end = time.monotonic() + PATIENCE_S
            while self.is_running():
                if time.monotonic() > end:
                    self.process.kill()
                    raise Unexpected(f"weir {self.arguments} did not end in {PATIENCE_S} s, and said:\n"
                                     + self.errors())
                time.sleep(0.0005)
            _, status, self.usage = os.wait4(self.process.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.duration_s = time.monotonic() - self.begun
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode

    def catches_sigterm(self):
        """Waits until it does; a signal before that ends any program."""
        while self.is_running():
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            caught = int(re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE).group(1), 16)
            if caught >> (signal.SIGTERM - 1) & 1:
                return True
            time.sleep(0.0003)
        return False

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self, databases=()):
        """SIGKILL. True when a transaction on one of the files was open, False when none was; None
        when the process had ended before, or nobody can tell."""
        if not self.is_running():
            self.wait()
            return None
        self.process.send_signal(signal.SIGSTOP)
        inside = None
        if _wait_stopped(self.process.pid):
            inside = _holds_write_lock(self.process.pid, databases)
        self.process.kill()
        return inside if self.wait() == -signal.SIGKILL else None


def _wait_stopped(pid):
    """False when the process ended instead."""
    for _ in range(100000):
        try:
            states = {Path(task, "stat").read_text().rpartition(")")[2].split()[0]
                      for task in Path(f"/proc/{pid}/task").iterdir()}
        except OSError:
            continue  # A thread has ended meanwhile.
        if states == {"T"}:
            return True
        if states <= {"Z", "X"}:
            return False
    return False


def _holds_write_lock(pid, databases):
    files = set()
    for database in databases:
        try:
            status = os.stat(f"{database}-shm")
        except FileNotFoundError:
            continue
        files.add(str(status.st_ino))
    try:
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    for lock in locks.splitlines():
        # 4: POSIX  ADVISORY  WRITE 31659 fe:00:9978516 120 120
        words = lock.split()
        if words[1:5] == ["POSIX", "ADVISORY", "WRITE", str(pid)] and \
                words[6] == WAL_WRITE_LOCK and words[5].split(":")[-1] in files:
            return True
    return False


def build_killpoint(folder):
    """The library that ends its own process at a chosen write or sync."""
    library = Path(folder) / "killpoint.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library,
                    Path(__file__).parent / "killpoint.c", "-ldl"], check=True)
    return library


def at_killpoint(library, when, count):
    """The environment for a weir that ends "before" or "after" the n-th sync, or in the middle of
    the n-th write ("torn")."""
    return {"LD_PRELOAD": str(library), "WEIR_KILL_WHEN": when, "WEIR_KILL_AT": str(count)}


class Committed:
    """Reads how far a file's progress table has come, from outside, without writing."""

    def __init__(self, database):
        self.database = database
        self.connection = None

    def count(self):
        try:
            if self.connection is None:
                uri = f"{Path(self.database).absolute().as_uri()}?mode=ro"
                self.connection = sqlite3.connect(uri, uri=True, timeout=5)
            return self.connection.execute(
                "SELECT coalesce(sum(next_offset), 0) FROM weir_progress").fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # Not made yet.

    def partitions(self):
        self.count()
        try:
            return dict(self.connection.execute("SELECT partition, next_offset FROM weir_progress"))
        except (sqlite3.OperationalError, AttributeError):
            return {}

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def wait_committed(weir, committed, mark):
    """Until the committed count has come to the mark, or weir has ended (False)."""
    while committed.count() < mark:
        if not weir.is_running():
            return False
        time.sleep(0.0003)
    return True
