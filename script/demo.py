"""The steps of script/demo. Every figure is measured in this very run; the first one that is not as
it should be ends the demo with status 1."""
import argparse
import fcntl
import json
import random
import re
import secrets
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "test"))

from crash import killer, scenario as crash  # noqa: E402

MARKS = 20
# Kills that there must be, where few records come to their end before all marks.
MARKS_AT_LEAST = 4
IN_RECOVERY = 5
# Of event time: a million records are close to three hours, so that a lot is forgotten on the way.
EVENT_RATE = 100
# The broken build gets a smaller log: the first kill between its two commits gives it away.
BROKEN_SHARE = 5
REPAIRED = "check.dew_point"
REPAIR = "temperature=20"
CHECK = "script/check.py"


class Failed(Exception):
    """A step did not show what it should."""


def require(condition, message):
    if not condition:
        raise Failed(message)


class Screen:
    """Lines that stay, and on a terminal one that says what is going on."""

    def __init__(self):
        self.begun = time.monotonic()
        self.is_terminal = sys.stdout.isatty()

    def doing(self, text):
        if self.is_terminal:
            print(f"\r\033[K    … {text}", end="", flush=True)

    def line(self, text):
        print(("\r\033[K" if self.is_terminal else "") + text, flush=True)

    def step(self, number, *lines):
        for i, line in enumerate(lines):
            self.line(f"{number if i == 0 else '':>2}  {line}")

    def elapsed(self):
        return time.monotonic() - self.begun


def run(*command, cwd=None):
    """A command that must succeed; its output."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    require(done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n"
                                  f"{done.stdout}{done.stderr}")
    return done.stdout.strip()


def short(path):
    return str(Path(path).relative_to(ROOT))


# --- Folders and builds. ---

def make_folder():
    """An empty one below build/demo; those of earlier demos go away."""
    base = ROOT / "build/demo"
    base.mkdir(parents=True, exist_ok=True)
    lock = open(base / ".lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed("another demo is running in build/demo") from None
    old = [path for path in base.iterdir() if path.is_dir()]
    for path in old:
        shutil.rmtree(path)
    folder = base / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir()
    return folder, len(old), lock


def build(kind):
    """The program, and how many seconds it took."""
    begun = time.monotonic()
    program = ROOT / run(ROOT / "script/build", "--core", kind).splitlines()[-1]
    return program, time.monotonic() - begun


# --- Killing. ---

class Crashes:
    """A run with kill -9 at random marks of the committed count, a few more while it recovers, and
    then to the end."""

    def __init__(self, scenario, rng, say):
        self.scenario, self.say = scenario, say
        self.committed = killer.Committed(scenario.database)
        self.landed = []  # committed counts at which it died
        self.delays = []  # ms after "recovering"
        self.inside = self.between = self.unknown = 0
        self.begun = time.monotonic()
        for i in range(MARKS):
            # One mark in each of 20 equal parts, but for the very end.
            if not self.kill_at(int(scenario.records * (i + rng.random()) / MARKS * 0.97) + 1,
                                rng):
                break  # Few records: it had come to the end.
            if i % (MARKS // IN_RECOVERY) == MARKS // IN_RECOVERY - 1:
                self.kill_recovering(rng)
        self.say(f"{scenario.folder.name}: to the end")
        self.last = scenario.finish()
        self.committed.close()
        self.seconds = time.monotonic() - self.begun

    def kills(self):
        return len(self.landed) + len(self.delays)

    def kill_at(self, mark, rng):
        self.say(f"{self.scenario.folder.name}: kill -9 number {self.kills() + 1}, at {mark:,}")
        weir = self.scenario.start()
        # The kill before may have come after this mark: then as soon as it moves on.
        mark = max(mark, self.committed.count() + 1)
        if killer.wait_committed(weir, self.committed, mark):
            time.sleep(rng.uniform(0, 0.012))
        inside = weir.kill([self.scenario.database])
        status = weir.process.returncode
        if status == 0 and len(self.landed) >= MARKS_AT_LEAST:
            return False
        require(status == -9, f"weir ended with {status} near {mark:,}:\n{weir.errors()}")
        self.landed.append(self.committed.count())
        self.inside += inside is True
        self.between += inside is False
        self.unknown += inside is None
        return True

    def kill_recovering(self, rng):
        delay = crash.kill_recovering(self.scenario, rng, crash.Tally())
        require(delay is not None, "no kill hit a recovery")
        self.delays.append(delay * 1000)


# --- The steps. ---

class Demo:
    def __init__(self, screen, options):
        self.screen, self.records, self.seed = screen, options.records, options.seed
        self.rng = random.Random(self.seed)
        # A worker per core of the smallest machine that this is meant for.
        self.pool = ThreadPoolExecutor(2)

    def prepare(self):
        self.folder, removed, self.lock = make_folder()
        self.screen.line(f"weir demo, seed {self.seed}: everything is in {short(self.folder)}" +
                         (" (the last one was removed)" if removed else ""))
        self.screen.doing("building weir")
        self.weir, seconds = build("release")
        self.screen.step("", f"built {short(self.weir)} in {seconds:.0f} s")

    def generate(self):
        self.screen.doing("generating")
        begun = time.monotonic()
        self.main = crash.Scenario(self.folder / "killed", self.weir, self.records, self.seed,
                                   event_rate=EVENT_RATE)
        seconds = time.monotonic() - begun
        # Out of the folder that weir works in.
        self.truth = self.main.truth = self.main.truth.rename(self.folder / "truth.ndjson")
        self.quiet_folder = self.folder / "undisturbed"
        shutil.copytree(self.main.folder, self.quiet_folder)
        size_mb = self.main.database.stat().st_size / 1e6
        self.screen.step(
            1, f"gen: {self.records:,} dirty records in 3 partitions of iot.db, {size_mb:.0f} MB, "
               f"in {seconds:.1f} s;",
            "what must become of each is in truth.ndjson, which weir never opens")

    def run_undisturbed(self):
        """While nothing else does anything: its speed is shown later."""
        self.screen.doing("a run without kills, to compare with")
        self.quiet = killer.Weir(self.weir, "run", self.quiet_folder / "iot.yaml", "--until-end",
                                 cwd=self.quiet_folder)
        status = self.quiet.wait()
        require(status == 0, f"weir run ended with {status}: {self.quiet.errors()}")

    def start_first_work(self):
        self.broken_build = self.pool.submit(build, "break")
        self.quiet_hash = self.pool.submit(self.hash_of, self.quiet_folder)

    def crash(self):
        self.crashes = crashes = Crashes(self.main, self.rng, self.screen.doing)
        unknown = f", {crashes.unknown} nobody knows" if crashes.unknown else ""
        delays = ", ".join(f"{delay:.0f}" for delay in sorted(crashes.delays))
        self.screen.step(
            2, f"run: kill -9 {len(crashes.landed)} times, as the committed count passed random marks; "
               "it stood at",
            " ".join(f"{count / 1000:,.0f}k" for count in crashes.landed),
            f"{crashes.inside} landed inside a transaction, {crashes.between} between two{unknown}; "
            f"{len(crashes.delays)} more while it was recovering,",
            f"{delays} ms after it had begun to; then it ran to the end, in "
            f"{crashes.seconds:.0f} s with all that")

    def start_second_work(self):
        tampered = self.folder / "tampered"
        shutil.copytree(self.main.folder, tampered)
        self.audited = self.pool.submit(self.audit, self.main.folder)
        self.checked = self.pool.submit(self.check, self.main.database, self.truth)
        self.killed_hash = self.pool.submit(self.hash_of, self.main.folder)
        self.tampered = self.pool.submit(self.tamper, tampered)

    def hash_of(self, folder):
        return run(sys.executable, ROOT / "test/checker", folder / "iot.db", "--hash")

    def audit(self, folder):
        """(what weir audit --json says, seconds, exit status)"""
        begun = time.monotonic()
        done = subprocess.run([self.weir, "audit", folder / "iot.yaml", "--json"], cwd=folder,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        require(done.returncode in (0, 1), f"weir audit: exit {done.returncode}: {done.stderr}")
        return json.loads(done.stdout), time.monotonic() - begun, done.returncode

    def require_clean(self, result, status):
        flaws = ("missing", "doubled", "altered", "foreign", "differences", "unverifiable")
        found = {name: result[name] for name in flaws if result[name]}
        require(status == 0 and not found,
                f"weir audit: exit {status}: {found}: {result['findings'][:5]}")

    def check(self, database, truth):
        """(exit status, what script/check.py says)"""
        done = subprocess.run([sys.executable, ROOT / CHECK, database, truth],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        require(done.returncode in (0, 1) and not done.stderr, f"{CHECK}: {done.stderr}")
        return done.returncode, done.stdout.strip()

    def tamper(self, folder):
        """(the finding about a deleted row, the exit status)"""
        partition, offset = run(
            "sqlite3", "-separator", " ", folder / "iot.db",
            "CREATE TEMP TABLE victim AS SELECT * FROM readings ORDER BY random() LIMIT 1;"
            " DELETE FROM readings WHERE message_id = (SELECT message_id FROM victim);"
            " SELECT _weir_partition, _weir_offset FROM victim").split()
        row = f"the row of raw_iot_data [{partition}] offset {offset} "
        result, _, status = self.audit(folder)
        named = [line for line in result["findings"] if row in line]
        require(status == 1 and result["missing"] == 1 and len(named) == 1,
                f"{row} was deleted; weir audit: exit {status}: {result['findings'][:5]}")
        return named[0], status

    def ledger(self):
        self.screen.doing("weir audit")
        result, seconds, status = self.audited.result()
        self.require_clean(result, status)
        self.ledger_before = result["ledger"]
        self.screen.step(
            3, self.crashes.last.out().splitlines()[0],
            f"weir audit read {result['records']:,} records again and compared "
            f"{result['rows']:,} rows in {seconds:.1f} s:",
            f"lost {result['missing']} · doubled {result['doubled']}")

    def dead_letters(self):
        counts = {}
        for group in json.loads(run(self.weir, "dlq", "list", "iot.yaml", "--json",
                                    cwd=self.main.folder)):
            counts[group["reason"]] = counts.get(group["reason"], 0) + group["records"]
        booked = self.ledger_before["reasons"]
        wrong = {reason: (count, booked.get(reason)) for reason, count in counts.items()
                 if count != booked.get(reason)}
        require(not wrong, f"dead letters by reason are not as in the ledger: {wrong}")
        words = [f"{reason} {count:,}" for reason, count in
                 sorted(counts.items(), key=lambda item: -item[1])]
        a_line = (len(words) + 2) // 3
        self.screen.step(
            4, f"{sum(counts.values()):,} dead letters, as they came, each with its reason:",
            *(" · ".join(words[i:i + a_line]) for i in range(0, len(words), a_line)))

    def run_broken(self):
        """Kills a build that commits offsets first while others check what the sound one did."""
        self.broken, _ = self.broken_build.result()
        scenario = crash.Scenario(self.folder / "broken", self.broken, self.records // BROKEN_SHARE,
                                  self.seed, event_rate=EVENT_RATE, breaks="offsets-first")
        self.broken_crashes = Crashes(scenario, self.rng, self.screen.doing)
        self.broken_checked = self.pool.submit(self.check, scenario.database, scenario.truth)
        self.broken_audited = self.pool.submit(self.audit, scenario.folder)

    def count_by_sqlite(self):
        """in, VALID and dead by the progress table; in the topics; rows of the table"""
        in_topic = ("(SELECT sum(count) FROM weir_batch JOIN weir_topic USING (topic)"
                    " WHERE name = '{}')").format
        return map(int, run(
            "sqlite3", "-readonly", "-separator", " ", self.main.database,
            "SELECT sum(records), sum(valid), sum(invalid) + sum(late),"
            f" {in_topic('validated_iot_data')}, {in_topic('dlq_iot_data')},"
            " (SELECT count(*) FROM readings) FROM weir_progress").split())

    def outside_checks(self):
        records, valid, dead, in_topic, in_dlq, rows = self.count_by_sqlite()
        require((records, valid, dead) == (self.records, in_topic, in_dlq),
                f"sqlite3: {records} in, {valid} valid: {in_topic}, {dead} dead: {in_dlq}")
        self.screen.doing(f"{CHECK}, and hashes of all outputs")
        status, said = self.checked.result()
        require(status == 0, f"{CHECK}: {said}")
        killed, quiet = self.killed_hash.result(), self.quiet_hash.result()
        require(killed == quiet, f"hash of all outputs: {killed}; without kills: {quiet}")
        lines = sum(bool(line) for line in (ROOT / CHECK).read_text().splitlines())
        self.screen.step(
            5, f"don't take our word. sqlite3: {records:,} in; {valid:,} valid, {in_topic:,} in the "
               "topic,",
            f"{rows:,} rows by message_id in the table; {dead:,} dead, {in_dlq:,} dead letters",
            f"{CHECK}, {lines} lines of Python, each record against the truth: {said}",
            f"hash of all outputs {killed[:12]}…, of the run without kills {quiet[:12]}…: "
            "the same")

    def deleted_row(self):
        self.screen.doing("weir audit after one row was deleted")
        finding, status = self.tampered.result()
        self.screen.step(
            6, f"in a copy, sqlite3 deleted one row behind weir's back. weir audit, exit {status}:",
            finding)

    def broken_build_is_caught(self):
        self.screen.doing("what the broken build did")
        status, said = self.broken_checked.result()
        require(status == 1 and not said.startswith("lost 0 "),
                f"{CHECK} did not catch the broken build: {said}")
        result, _, audit_status = self.broken_audited.result()
        require(audit_status == 1 and result["missing"] > 0,
                f"weir audit did not catch the broken build: {result['findings'][:5]}")
        crashes = self.broken_crashes
        self.screen.step(
            7, f"a build that commits offsets before rows, {crashes.scenario.records:,} records, "
               f"{crashes.kills()} such kills: caught by both,",
            f"{CHECK}: {said}; weir audit, exit {audit_status}: missing {result['missing']:,}")

    def replay(self):
        self.screen.doing("replaying dead letters")
        command = (self.weir, "dlq", "replay", "iot.yaml", "--reason", REPAIRED, "--set", REPAIR)
        first = run(*command, cwd=self.main.folder)
        self.main.finish()
        self.screen.doing("weir audit")
        result, _, status = self.audit(self.main.folder)
        self.require_clean(result, status)
        again = re.search(r"([\d,]+) replayed,", run(*command, cwd=self.main.folder)).group(1)
        injected = result["ledger"]["replayed"]
        require(injected == self.ledger_before["reasons"][REPAIRED], f"{injected} came in; {first}")
        require(again == "0", f"the second replay was no empty one: {again}")
        valid = result["ledger"]["verdicts"]["valid"] - self.ledger_before["verdicts"]["valid"]
        require(0 < valid <= injected, f"{valid} of {injected} became VALID")
        self.screen.step(
            8, f"weir dlq replay iot.yaml --reason {REPAIRED} --set {REPAIR}: {injected:,} mended "
               "and",
            f"replayed, {valid:,} of them VALID now, audit exit {status}; "
            f"the same once more: {again} replayed")

    def speed(self):
        usage, seconds = self.quiet.usage, self.quiet.duration_s
        cpu = (usage.ru_utime + usage.ru_stime) / self.records * 1e6
        self.screen.step(
            9, f"without kills: {self.records / seconds:,.0f} records/s, {cpu:.1f} CPU s a million, "
               f"{usage.ru_maxrss / 1024:.0f} MiB at most, state included")

    def next(self):
        for folder in (self.quiet_folder, self.folder / "tampered", self.folder / "broken"):
            shutil.rmtree(folder)
        self.screen.step(
            10, f"next: PATH=$PATH:{self.weir.parent}; cd {short(self.main.folder)}",
            "weir dlq show iot.yaml --limit 3; weir tail iot.yaml:validated --count 3; "
            "weir topic list local:iot.db",
            f"and README.md. All of this took {self.screen.elapsed():.0f} s")

    def run(self):
        for step in (self.prepare, self.generate, self.run_undisturbed, self.start_first_work,
                     self.crash, self.start_second_work, self.ledger, self.dead_letters,
                     self.run_broken, self.outside_checks, self.deleted_row,
                     self.broken_build_is_caught, self.replay, self.speed, self.next):
            step()


def main():
    parser = argparse.ArgumentParser(prog="script/demo")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    screen = Screen()
    demo = Demo(screen, parser.parse_args())
    try:
        demo.run()
    except (Failed, killer.Unexpected, OSError, ValueError) as error:
        screen.line(f"demo FAILED after {screen.elapsed():.0f} s: {error}")
        demo.pool.shutdown(cancel_futures=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
