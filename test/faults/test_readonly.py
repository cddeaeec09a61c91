"""Verbs that only read need no right to write: on a log at rest, beside a writer, and after one was killed."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from faults.lab import LOG, Lab, Result, is_root, record

NOBODY = 65534
READERS = [
    ("tail", "local:log.db#out"),
    ("topic", "list", "local:log.db"),
    ("dlq", "list", "p.yaml"),
    ("trace", "p.yaml", "m1"),
    ("diff", "p.yaml", "p.yaml"),
    ("reconcile", "p.yaml:out", "p.yaml:rows", "--key", "id"),
]


@pytest.fixture
def shut(weir):
    """A lab in a folder that others may look into; reader() runs weir as one who may not write there."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        # Where the tests run as root, another user must be able to start the program.
        program = shutil.copy(weir, path / "weir")
        lab = Lab(path, program)
        lab.write().produce([record(1), record(2), b"{"]).run()

        def reader(*words):
            prefix = []
            if is_root():
                prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            else:
                path.chmod(0o555)
                (path / LOG).chmod(0o444)
            done = subprocess.run([*prefix, str(program), *words], cwd=path, capture_output=True, timeout=60)
            if not is_root():
                path.chmod(0o755)
                (path / LOG).chmod(0o644)
            return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        lab.reader = reader
        if is_root() and shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and there is no setpriv to become somebody else")
        yield lab


def readable(lab, *names):
    for name in names:
        os.chmod(lab.path / name, 0o644)


@pytest.mark.parametrize("words", READERS, ids=lambda words: words[0])
def test_a_log_at_rest_is_read_and_nothing_is_left_beside_it(shut, words):
    before = sorted(os.listdir(shut.path))
    done = shut.reader(*words)
    assert done.status == 0, done
    assert done.out == shut.weir(*words).out
    assert sorted(os.listdir(shut.path)) == before


def test_a_log_that_somebody_writes_is_read(shut):
    shut.produce([record(3)])
    process = shut.start()
    shut.wait_committed(process, 4)
    readable(shut, LOG, f"{LOG}-wal", f"{LOG}-shm")
    for words in READERS:
        assert shut.reader(*words).status == 0, words
    assert process.terminate() == 0


def test_what_a_killed_writer_left_needs_a_right_that_is_named(shut):
    shut.produce([record(3)])
    process = shut.start()
    shut.wait_committed(process, 4)
    process.kill()
    (shut.path / f"{LOG}-shm").unlink()
    assert (shut.path / f"{LOG}-wal").exists()
    done = shut.reader("tail", "local:log.db#out")
    assert done.status == 2 and "log.readonly" in done.err and "right to write" in done.err, done
    assert shut.weir("topic", "list", "local:log.db").status == 0
    assert shut.reader("tail", "local:log.db#out").status == 0


def test_writing_is_refused_and_says_which_right_is_missing(shut):
    for words in (["run", "p.yaml", "--until-end"], ["produce", "local:log.db#in"]):
        done = shut.reader(*words)
        assert done.status in (2, 3) and "writ" in done.err, done
