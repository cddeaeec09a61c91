"""A disk that gets full when a test wants it, and records that fill it."""
import random
import subprocess
import time

import pytest

from faults.lab import record

SIZE = 3 << 20


def fat_record(number):
    """No compression makes it smaller."""
    return record(number, text=random.Random(number).randbytes(1000).hex())


class Disk:
    """A small file system of its own in the folder `disk` of the lab."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        done = self.call("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "weir-test", path)
        self.is_mounted = done.returncode == 0
        if not self.is_mounted:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")

    @staticmethod
    def call(*words):
        return subprocess.run([str(word) for word in words], capture_output=True, text=True)

    def grow(self):
        done = self.call("mount", "-o", f"remount,size={SIZE * 64}", self.path)
        assert done.returncode == 0, done.stderr

    def fill(self):
        """Whatever is left."""
        try:
            with open(self.path / "ballast", "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            pass

    def free(self):
        (self.path / "ballast").unlink()

    def close(self):
        if self.is_mounted:
            self.call("umount", "-l", self.path)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


def complaints(process):
    return [line for line in process.errors().splitlines() if line.startswith("warning: ")]


def wait_for_complaint(process):
    end = time.monotonic() + 30
    while not complaints(process):
        assert process.is_running() and time.monotonic() < end, process.errors()
        time.sleep(0.01)
