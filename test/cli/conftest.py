"""Fixtures of the tests of the command line: they start the program and look at what it leaves."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

TIMEOUT_S = 120


class Result:
    """What a run of the program came to."""

    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr.decode("utf-8", "replace")

    def objects(self):
        """The lines of standard output as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class Program:
    """The weir program, started in a folder of the test's own."""

    def __init__(self, path, folder):
        self.path = path
        self.folder = folder

    def __call__(self, *words, status=0, data=b""):
        """Runs a verb to its end and checks its exit status."""
        done = subprocess.run([self.path, *map(str, words)], cwd=self.folder, input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                              check=False)
        result = Result(done)
        assert result.status == status, (words, result.status, result.err, result.out[:500])
        return result

    def start(self, *words, **options):
        """Starts a verb and leaves it running."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([self.path, *map(str, words)], cwd=self.folder, **options)

    def values(self, place, *words):
        """The values of a topic, as lines."""
        return self("tail", place, *words).out.split(b"\n")[:-1]

    def records(self, place, *words):
        """The records of a topic, as JSON objects."""
        return self("tail", place, "--json", *words).objects()

    def database(self, name):
        """A connection of our own to a file, for a look behind its back."""
        return sqlite3.connect(self.folder / name, isolation_level=None)


@pytest.fixture
def weir_cli(weir_asan, tmp_path):
    """The sanitized program: most of these tests are small, and its memory is looked at too."""
    return Program(weir_asan, tmp_path)


@pytest.fixture
def weir_fast(weir, tmp_path):
    """The release program, for tests that are about time."""
    return Program(weir, tmp_path)


@pytest.fixture
def iot(root, weir_cli):
    """The pipeline of examples/iot.yaml in the test's folder."""
    for name in ("iot.yaml", "sensor.schema.json"):
        shutil.copy(root / "examples" / name, weir_cli.folder)
    return weir_cli


@pytest.fixture(autouse=True)
def patience():
    """A program that never answers fails its test instead of holding up all others."""
    def give_up(*_):
        raise TimeoutError("the test takes too long")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(4 * TIMEOUT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def wait_until(condition, seconds=30):
    """Polls until it holds; what it gave is returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)


@pytest.fixture(name="wait_until")
def wait_until_fixture():
    return wait_until


@pytest.fixture(autouse=True)
def sanitizers(monkeypatch):
    """A leak or an overflow ends the program with a status that no test expects."""
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=1:exitcode=99:" +
                       os.environ.get("ASAN_OPTIONS", ""))
    monkeypatch.setenv("UBSAN_OPTIONS", "halt_on_error=1:exitcode=99")
