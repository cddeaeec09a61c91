"""One log and one pipeline, run through crashes, and what must be true afterwards."""
import shutil
import subprocess
import time
from pathlib import Path

from checker import judge
from crash.killer import Committed, Unexpected, Weir, at_killpoint

ROOT = Path(__file__).parents[2]
TOPIC = "raw_iot_data"

# What a changed pipeline file may say instead; the truth is of no use then.
CHANGES = (
    ("window: 30m", ("window: 10m", "window: 45m", "window: 30m")),
    ("-45 + humidity / 5", ("-45 + humidity / 5", "-40 + humidity / 5", "-44.5 + humidity / 5")),
    ("lateness: 10m", ("lateness: 5m", "lateness: 10m", "lateness: 12m")),
    ("max_age: 5m", ("max_age: 5m", "max_age: 2m")),
    ("expect: battery >= 10", ("expect: battery >= 10", "expect: battery >= 20")),
)


def replace(text, old, new):
    if old not in text:
        raise ValueError(f"examples/iot.yaml has no '{old}' any more")
    return text.replace(old, new)


class Scenario:
    """A folder with iot.yaml, sensor.schema.json, iot.db and, kept away from weir, truth.ndjson."""

    def __init__(self, folder, program, records, seed, two_files=False, commit_interval="100ms",
                 snapshot_interval=None, event_rate=1000, breaks=None):
        """event_rate: events a second of event time; the lower, the more state is forgotten.
        breaks: the guarantee that a program of `script/build break` gives up."""
        self.folder = Path(folder)
        self.program = program
        self.records = records
        self.environment = {"WEIR_BREAK": breaks} if breaks else {}
        self.pipeline = self.folder / "iot.yaml"
        self.truth = self.folder / "truth.ndjson"
        self.database = self.folder / "iot.db"
        self.folder.mkdir(parents=True)
        shutil.copy(ROOT / "examples/sensor.schema.json", self.folder)
        text = (ROOT / "examples/iot.yaml").read_text()
        text = replace(text, "commit_interval: 100ms", f"commit_interval: {commit_interval}")
        validated = self.database
        if two_files:
            text = replace(text, "path: iot.db, topic: validated_iot_data",
                           "path: validated.db, topic: validated_iot_data")
            validated = self.folder / "validated.db"
        if snapshot_interval is not None:
            text += f"state: {{snapshot_interval: {snapshot_interval}}}\n"
        self.text = text
        self.pipeline.write_text(text)
        self.places = judge.Places(self.database, validated, self.database, self.database)
        self.databases = self.places.systems()
        self.is_changed = False
        self.generate(seed, event_rate)

    def generate(self, seed, event_rate):
        done = subprocess.run([self.program, "gen", f"local:{self.database}#{TOPIC}",
                               "--count", str(self.records), "--seed", str(seed),
                               "--partitions", "3", "--event-rate", str(event_rate),
                               "--truth", str(self.truth)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Unexpected(f"weir gen ended with {done.returncode}: {done.stderr}")

    def change(self, rng):
        """Edits the pipeline file, as somebody would who repairs it between two crashes."""
        text = self.text
        for old, news in CHANGES:
            text = replace(text, old, rng.choice(news))
        self.is_changed |= text != self.pipeline.read_text()
        self.pipeline.write_text(text)

    def start(self, environment=None):
        return Weir(self.program, "run", self.pipeline, "--until-end", cwd=self.folder,
                    environment={**self.environment, **(environment or {})})

    def cursors(self):
        """Of each file: partition -> next offset."""
        found = []
        for database in self.databases:
            committed = Committed(database)
            found.append(committed.partitions())
            committed.close()
        return found

    def is_apart(self):
        """Whether the files stand at different offsets; one that is not begun yet stands at 0."""
        begun = [{partition: offset for partition, offset in cursors.items() if offset > 0}
                 for cursors in self.cursors()]
        return any(cursors != begun[0] for cursors in begun)

    def finish(self):
        """Runs to the end of the log; returns the process."""
        weir = self.start()
        if weir.wait() != 0:
            raise Unexpected(f"weir run ended with {weir.process.returncode}:\n{weir.errors()}")
        return weir

    def audit(self, program=None):
        """(exit status, what it printed)"""
        done = subprocess.run([program or self.program, "audit", self.pipeline], cwd=self.folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
        return done.returncode, done.stdout

    def judge(self):
        """The Python checker's result: against the truth while that applies."""
        return judge.judge_conservation(self.places) if self.is_changed \
            else judge.judge(self.places, self.truth)


class Tally:
    """What happened in the rounds of a scenario."""

    def __init__(self):
        self.inside = self.between = self.recovering = self.before = 0
        self.terms = self.apart = self.changes = self.too_late = 0

    def kills(self):
        return self.inside + self.between + self.recovering + self.before

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def line(self):
        return (f"{self.kills()} kills: {self.inside} inside a transaction, {self.between} between "
                f"two, {self.recovering} while recovering, {self.before} before that; "
                f"{self.terms} SIGTERM, {self.apart} times two files stood apart, "
                f"{self.changes} changed plans")


def kill_at_random(scenario, rng, longest_s, tally):
    """One kill -9 at a random time. False when the run had come to its end before."""
    weir = scenario.start()
    time.sleep(rng.uniform(0, longest_s))
    inside = weir.kill(scenario.databases)
    if weir.process.returncode != -9:
        if weir.process.returncode != 0:
            raise Unexpected(f"weir run ended with {weir.process.returncode}:\n{weir.errors()}")
        return False
    is_at_work = weir.said("recovered") or weir.said("first start")
    if weir.said("recovering") and not weir.said("recovered"):
        tally.recovering += 1
    elif inside:
        tally.inside += 1
    elif is_at_work:
        tally.between += 1
    else:
        tally.before += 1
    return True


def kill_at_point(scenario, library, when, count):
    """One kill -9 at a write or a sync (killpoint.c). False when the run came to its end before."""
    weir = scenario.start(environment=at_killpoint(library, when, count))
    status = weir.wait()
    if status not in (0, -9):
        raise Unexpected(f"weir run ended with {status}:\n{weir.errors()}")
    return status == -9


def kill_recovering(scenario, rng, tally, longest_s=0.020, attempts=20):
    """One kill -9 up to 20 ms after `recovering` appears; counted only if `recovered` had not. How
    long after, in seconds, or None when no attempt landed."""
    for _ in range(attempts):
        weir = scenario.start()
        delay = rng.uniform(0, longest_s)
        if weir.wait_for("recovering") is None:
            weir.wait()
            return None
        time.sleep(delay)
        inside = weir.kill(scenario.databases)
        if weir.process.returncode == 0:
            return None
        if weir.process.returncode != -9:
            raise Unexpected(f"weir run ended with {weir.process.returncode}:\n{weir.errors()}")
        if weir.said("recovered") is None:
            tally.recovering += 1
            return delay
        tally.too_late += 1
        tally.inside += bool(inside)
        tally.between += not inside
    return None


def stop_at_random(scenario, rng, longest_s, tally):
    """One SIGTERM at a random time: exit 0, and all files at one position if it was at work."""
    weir = scenario.start()
    weir.catches_sigterm()
    time.sleep(rng.uniform(0, longest_s))
    if weir.is_running():
        tally.terms += 1
    status = weir.terminate()
    if status != 0:
        raise Unexpected(f"weir run ended with {status} at SIGTERM:\n{weir.errors()}")
    # A stop that cuts a recovery short leaves everything as it was.
    if scenario.is_apart() and (weir.said("recovered") or weir.said("first start")):
        raise Unexpected(f"after a clean stop the files stand at {scenario.cursors()}")


def verify(scenario):
    """Text of what is wrong after the last run, "" when nothing is."""
    wrong = []
    result = scenario.judge()
    if not result.is_clean():
        wrong += ["checker: " + result.line(), *result.findings]
    status, text = scenario.audit()
    if status != 0:
        wrong.append(f"weir audit ended with {status}:\n{text}")
    if scenario.is_apart():
        wrong.append(f"the files stand at {scenario.cursors()}")
    return "\n".join(wrong)
