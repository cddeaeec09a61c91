"""A folder with one pipeline, its places, and weir to work on them."""
import json
import os
import sqlite3
import subprocess
import time
from collections import namedtuple
from pathlib import Path

from checker.log import Topic
from crash.killer import Weir

Result = namedtuple("Result", "status out err")

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "n": {"type": "number"},
        "text": {"type": "string"},
    },
    "required": ["id", "at"],
}
LOG = "log.db"


def local(topic, path=LOG, **more):
    return {"local": {"path": path, "topic": topic, **more}}


def table(name, path=LOG, **more):
    return {"sqlite": {"path": path, "table": name, **more}}


def folder(path):
    return {"file": {"path": path}}


def time_of(second):
    """RFC 3339, so many seconds after the beginning of the tests' time."""
    return f"2024-05-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def record(number, **more):
    """A good record as bytes: its time is its number in seconds."""
    members = {"id": f"m{number}", "at": time_of(number), "n": number, **more}
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode()


class Lab:
    """`pipeline` is the file as a dict; write() puts it down (JSON is YAML)."""

    def __init__(self, path, program):
        self.path = Path(path)
        self.program = program
        self.pipeline = {
            "version": 1,
            "name": "p",
            "source": {**local("in"), "format": "json"},
            "schema": SCHEMA,
            "event_time": {"field": "at", "lateness": "10m"},
            "dedup": {"key": "id", "window": "30m"},
            "sinks": {"out": local("out", partitions=1), "rows": table("rows")},
            "dlq": local("dead", partitions=1),
        }

    # --- files ---

    def write(self, **changes):
        """Top keys of the pipeline file that change; None takes one out."""
        self.pipeline = {key: value for key, value in {**self.pipeline, **changes}.items()
                         if value is not None}
        (self.path / "p.yaml").write_text(json.dumps(self.pipeline))
        return self

    def file(self, name, content):
        path = self.path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def files(self):
        """Everything below the folder: name → what it holds."""
        return {str(path.relative_to(self.path)): path.read_bytes() if path.is_file() else None
                for path in sorted(self.path.rglob("*"))}

    def letters_in(self, name):
        """The lines of a folder of dead letters, in the order of partitions and offsets."""
        return [json.loads(line) for line in self.lines_in(name)]

    def lines_in(self, name):
        return [line for part in self.parts(name) for line in part.read_bytes().splitlines()]

    def parts(self, name):
        def place(part):
            label, first, after = part.stem.rsplit("-", 2)
            return label, int(first), int(after)
        return sorted((self.path / name).glob("*.ndjson"), key=place)

    # --- weir ---

    def weir(self, *arguments, data=b"", timeout=60):
        done = subprocess.run([str(self.program), *map(str, arguments)], cwd=self.path, input=data,
                              capture_output=True, timeout=timeout)
        return Result(done.returncode, done.stdout.decode(errors="replace"),
                      done.stderr.decode(errors="replace"))

    def start(self, *options, env=None):
        """`weir run` in the background."""
        return Weir(self.program, "run", "p.yaml", *options, cwd=self.path)

    def run(self, *options, status=0, data=b""):
        done = self.weir("run", "p.yaml", "--until-end", *options, data=data)
        assert done.status == status, done
        return done

    def ledger(self, *options, data=b""):
        """Runs to the end; the ledger as it is then."""
        return json.loads(self.run("--json", *options, data=data).out)

    def refused(self, code, status=2):
        """A run that must not do anything."""
        done = self.run(status=status)
        assert f"{code}:" in done.err, done
        return done

    def audit(self, status=0):
        done = self.weir("audit", "p.yaml")
        assert done.status == status, done
        return done.out

    def produce(self, values, topic="in", path=LOG, partitions=1, key=None):
        """Values without newlines, through `weir produce`."""
        options = [f"--partitions={partitions}"] + ([f"--key={key}"] if key else [])
        done = self.weir("produce", f"local:{path}#{topic}", *options,
                         data=b"".join(value + b"\n" for value in values))
        assert done.status == 0, done
        return self

    # --- what is there ---

    def sql(self, statement, *parameters, path=LOG):
        """Changes or asks a SQLite file from outside."""
        connection = sqlite3.connect(self.path / path, timeout=20)
        try:
            with connection:
                return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def script(self, statements, path=LOG):
        connection = sqlite3.connect(self.path / path, timeout=20)
        try:
            connection.executescript(statements)
        finally:
            connection.close()

    def records(self, topic, path=LOG):
        """All records of a topic: (partition, offset, key, value, headers as dict)."""
        found = []
        place = Topic(self.path / path, topic)
        for partition in range(place.partitions):
            for base, batch in place.batches(partition):
                for index, (key, value, headers) in enumerate(batch):
                    found.append((partition, base + index, key, value,
                                  {name: (text or b"").decode(errors="replace") for name, text in headers}))
        place.database.close()
        return found

    def raw_headers(self, topic, path=LOG):
        """The headers of each record, in order, as (name, bytes)."""
        place = Topic(self.path / path, topic)
        found = [headers for partition in range(place.partitions)
                 for _, batch in place.batches(partition) for _, _, headers in batch]
        place.database.close()
        return found

    def values(self, topic="out", path=LOG):
        return [value for _, _, _, value, _ in self.records(topic, path)]

    def letters(self, topic="dead", path=LOG):
        """Dead letters of a topic by the offset of their origin: (key, value, headers)."""
        return {int(headers["weir.offset"]): (key, value, headers)
                for _, _, key, value, headers in self.records(topic, path)}

    def letters_of_all(self, topic="dead", path=LOG):
        """Offsets of all dead letters, as often as they are there."""
        return [int(headers["weir.offset"]) for _, _, _, _, headers in self.records(topic, path)]

    def committed(self, path=LOG):
        """Partition → next offset."""
        return dict(self.sql("SELECT partition, next_offset FROM weir_progress", path=path))

    def wait_committed(self, process, count, path=LOG, patience_s=30):
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            try:
                if sum(self.committed(path).values()) >= count:
                    return
            except sqlite3.OperationalError:
                pass  # Not made yet.
            assert process.is_running(), process.errors()
            time.sleep(0.005)
        raise AssertionError(f"not {count} records in {patience_s} s: {process.errors()}")


def balanced(ledger):
    """The ledger's own laws, and every verdict's count."""
    verdicts = ledger["verdicts"]
    assert ledger["in"] == sum(verdicts.values()), ledger
    for name, sink in ledger["sinks"].items():
        assert sink["routed"] == sink["written"] + sink["rejected"], (name, ledger)
    return verdicts


def counts(valid=0, invalid=0, duplicate=0, late=0, filtered=0):
    return {"valid": valid, "invalid": invalid, "duplicate": duplicate, "late": late,
            "filtered": filtered}


def flip(path, position):
    """One bit of a file, from its end when the position is negative."""
    data = bytearray(Path(path).read_bytes())
    data[position] ^= 0x10
    Path(path).write_bytes(data)


def is_root():
    return os.geteuid() == 0
