"""Runs all tests of weir and adds up their results; script/test starts it.

Steps: build release and asan (and tsan for the tests that start threads), run the tests in C of
each, then everything below test/ with pytest. A step that does not come to an end, a build that
fails, a test program that crashes or runs no test: each counts as failed. The results are read from
what the tools write for machines: Meson's test log, cmocka's own lines in it, pytest's JUnit file.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Lines of a failed unit test that are shown; the rest is in Meson's log.
SHOWN_LINES = 60
# The tests in C. Those of all suites but the first draw from a seed and say which, and how many rounds
# they made.
SUITES = ("unit", "property", "torture", "simulation", "fuzz")

# Folders whose tests share servers, which take a while to start, and in how many pieces they run.
SERVER_FOLDERS = {"cluster": 4, "mysql": 1, "postgres": 1}
# Tests of servers wait more than they work: so many pieces more than there are processors run at a time.
PIECES_MORE = 1

Counts = namedtuple("Counts", "passed failed skipped", defaults=(0, 0, 0))


def add(*all_counts):
    """The sum; of nothing it is zero."""
    return Counts(*map(sum, zip(*all_counts))) if all_counts else Counts()


def say(*words):
    print(*words, flush=True)


def is_set_up(kind):
    """Whether Meson has configured this kind; where it could not, building it has failed already."""
    return (ROOT / "build" / kind / "build.ninja").exists()


def build(kind, suite=None):
    """Builds weir and the tests in C of a kind, or of one suite alone. Each that fails counts as one
    failed test."""
    total = Counts()
    for what in ("weir", "the tests in C"):
        command = ["script/build", kind] if what == "weir" else \
            ["ninja", "-C", f"build/{kind}", "--quiet", "-k", "0", *programs_of(kind, suite)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace")
        if done.returncode != 0:
            say(done.stdout.rstrip())
            say(f"FAILED  building {what} ({kind})")
            total = add(total, Counts(failed=1))
            if not is_set_up(kind):
                break
    return total


def programs_of(kind, suite):
    """What Ninja builds for a suite; all tests without one."""
    if suite is None:
        return ["meson-test-prereq"]
    folder = ROOT / "build" / kind
    return sorted({os.path.relpath(test["cmd"][0], folder) for test in tests_of(kind)
                   if f"weir:{suite}" in test["suite"]})


def tests_of(kind):
    """Meson's list of the tests in C."""
    listed = subprocess.run(["meson", "introspect", "--tests", ROOT / "build" / kind], check=True,
                            capture_output=True, text=True).stdout
    return json.loads(listed)


def suite_of(test):
    """Meson's name is "weir:SUITE / NAME", or "weir:SUITE+SUITE / NAME"."""
    return re.match(r"\w+:(\w+)", test["name"]).group(1)


def count_cases(test):
    """One test program of Meson's log: how many of its cases passed, failed and were skipped."""
    output = test.get("stdout", "") + "\n" + test.get("stderr", "")
    begun = len(re.findall(r"\[ RUN {6}\] ", output))
    passed = len(re.findall(r"\[ {7}OK \] ", output))
    skipped = len(re.findall(r"^\[ {2}SKIPPED \] (?!\d+ test)", output, re.MULTILINE))
    # cmocka names the skipped ones again in its summary.
    listed = re.search(r"^\[ {2}SKIPPED \] (\d+) test\(s\), listed below", output, re.MULTILINE)
    skipped -= int(listed.group(1)) if listed else 0
    planned = sum(map(int, re.findall(r"Running (\d+) test\(s\)", output)))
    failed = max(begun, planned) - passed - skipped
    if failed < 0:
        raise ValueError(f"{test['name']}: more cases ended than began")
    if test["result"] == "SKIP" and planned == 0:
        skipped = 1
    elif failed == 0 and (test["result"] != "OK" or passed + skipped == 0):
        # It crashed before its lines were out, leaked at the end, ran too long, or holds no test.
        failed = 1
    return Counts(passed, failed, skipped)


def show_failure(kind, test, counts):
    ended = {"returncode": test.get("returncode"), "result": test["result"]}
    if counts.passed + counts.failed + counts.skipped == 1 and test["result"] == "OK":
        ended["note"] = "it ran no test"
    say(f"FAILED  {suite_of(test)} {kind}: {test['name'].split(' / ')[-1]} {ended}")
    lines = (test.get("stdout", "") + "\n" + test.get("stderr", "")).splitlines()
    lines = [line for line in lines if line.strip() and not re.match(r"\[( RUN| {7}OK)", line)]
    for line in lines[:SHOWN_LINES]:
        say("    " + line)
    if len(lines) > SHOWN_LINES:
        say(f"    … {len(lines) - SHOWN_LINES} more lines in build/{kind}/meson-logs/testlog.txt")


def show_notes(test):
    """What a test with randomness says of itself: its seed, its rounds."""
    for line in test.get("stdout", "").splitlines():
        if line.strip() and not line.startswith("["):
            say(f"    {test['name'].split(' / ')[-1]}: {line}")


def show_skips(kind, test, counts):
    """A test that is skipped says why, in a line that begins with "skipped: "."""
    reasons = re.findall(r"^skipped: (.*)", test.get("stdout", ""), re.MULTILINE)
    say(f"SKIPPED  {suite_of(test)} {kind}: {test['name'].split(' / ')[-1]} ({counts.skipped}): "
        f"{'; '.join(reasons) or 'it does not say why'}")


def shared_environment():
    """Where the data is that is kept beside the project, for all tests."""
    values = dict(os.environ)
    if "WEIR_SHARED" not in values and (ROOT.parent / "shared").is_dir():
        values["WEIR_SHARED"] = str(ROOT.parent / "shared")
    return values


def run_c_tests(kind, suites):
    """Runs suites of a build's own tests, all at once; each has tests, so running none is a failure."""
    folder = ROOT / "build" / kind
    log = folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    # Standard output is what count_cases() reads, whatever the caller's shell prefers.
    environment = {**shared_environment(), "CMOCKA_MESSAGE_OUTPUT": "STDOUT"}
    done = subprocess.run(["meson", "test", "-C", folder, "--no-rebuild", "--quiet",
                           *(f"--suite={suite}" for suite in suites)],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    totals = dict.fromkeys(suites, Counts())
    for test in sorted(tests, key=lambda test: list(SUITES).index(suite_of(test))):
        counts = count_cases(test)
        # A test of two suites counts where it was asked for.
        suite = suite_of(test) if suite_of(test) in totals else suites[0]
        totals[suite] = add(totals[suite], counts)
        if counts.failed:
            show_failure(kind, test, counts)
        elif suite in SUITES[1:]:
            show_notes(test)
        elif counts.skipped:
            show_skips(kind, test, counts)
    total = add(*totals.values())
    for suite, counts in totals.items():
        say(f"    {suite} {kind}: {counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
        if sum(counts) == 0:
            say(f"FAILED  {suite} {kind}: no test ran")
            total = add(total, Counts(failed=1))
    if (done.returncode != 0) != (total.failed > 0):
        say(done.stdout.rstrip())
        say(f"FAILED  {kind}: meson test ended with {done.returncode} after {len(tests)} tests")
        total = add(total, Counts(failed=1))
    return total


def has_threaded_tests():
    """Whether a unit test is marked as one that starts threads."""
    return is_set_up("release") and any("weir:threads" in test["suite"] for test in tests_of("release"))


def pytest_environment(long_run):
    """What the tests below test/ know about the build: see test/conftest.py."""
    values = {
        "WEIR": ROOT / "build/release/src/cli/weir",
        "WEIR_ASAN": ROOT / "build/asan/src/cli/weir",
        "WEIR_BUILD_DIR": ROOT / "build",
        "WEIR_LONG": "1" if long_run else "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {**shared_environment(), **{name: str(value) for name, value in values.items()}}


def deal(files, count):
    """The files in so many lists of about the same size."""
    hands = [[] for _ in range(count)]
    for file in sorted(files, key=lambda file: -file.stat().st_size):
        min(hands, key=size_of).append(file)
    return hands


def size_of(files):
    return sum(file.stat().st_size for file in files)


def pytest_pieces():
    """What one pytest each runs, as (name, files): a file of tests, or some that share a server."""
    files = sorted((ROOT / "test").rglob("test_*.py"))
    pieces = []
    for name, count in SERVER_FOLDERS.items():
        hands = deal([file for file in files if file.parent.name == name], count)
        pieces += [(f"test/{name}" + (f" {number + 1}/{count}" if count > 1 else ""), hand)
                   for number, hand in enumerate(hands)]
    # The large ones first, so that the last to end is a small one.
    alone = [file for file in files if file.parent.name not in SERVER_FOLDERS]
    return pieces + [(str(file.relative_to(ROOT)), [file])
                     for file in sorted(alone, key=lambda file: -file.stat().st_size)]


def run_pytest_piece(files, long_run):
    """(counts, what pytest printed)"""
    with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
        results = Path(folder) / "results.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=short", "-rfEs", "--no-header",
             f"--junitxml={results}", *files], cwd=ROOT, env=pytest_environment(long_run),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        total = count_junit(results)
    # 0 = all passed, 1 = some failed; the rest means that pytest itself did not get through.
    if (done.returncode != 0) != (total.failed > 0) or done.returncode not in (0, 1):
        total = add(total, Counts(failed=1))
        return total, f"{done.stdout}FAILED  pytest ended with {done.returncode}"
    return total, done.stdout


def run_pytest(long_run):
    """All pieces, some at a time."""
    total = Counts()

    def run_one(name, files):
        begun = time.monotonic()
        counts, text = run_pytest_piece(files, long_run)
        return name, counts, text, time.monotonic() - begun

    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + PIECES_MORE) as pool:
        for done in as_completed([pool.submit(run_one, *piece) for piece in pytest_pieces()]):
            name, counts, text, seconds = done.result()
            total = add(total, counts)
            if counts.failed:
                say(text.rstrip())
            say(f"    {name}: {counts.passed} passed, {counts.failed} failed, "
                f"{counts.skipped} skipped, {seconds:.0f} s")
            for line in text.splitlines():
                if line.startswith("SKIPPED"):
                    say(f"        {line}")
    return total


def count_junit(results):
    if not results.exists():
        return Counts()
    total = Counts()
    for case in xml.etree.ElementTree.parse(results).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            total = add(total, Counts(failed=1))
        elif "skipped" in kinds:
            total = add(total, Counts(skipped=1))
        else:
            total = add(total, Counts(passed=1))
    return total


def run_step(results, title, step, *arguments):
    """Runs one step, adds what came of it to `results` and prints it. One that breaks has failed."""
    begun = time.monotonic()
    say(f"--- {title}")
    try:
        counts = step(*arguments)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        counts = Counts(failed=1)
    results.append(counts)
    say(f"    {title}: {counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped, "
        f"{time.monotonic() - begun:.0f} s")


def run_everything(results, long_run):
    def build_and_run(kind, *suites):
        run_step(results, f"build {kind}", build, kind, suites[0] if len(suites) == 1 else None)
        if is_set_up(kind):
            run_step(results, f"tests in C, {kind}", run_c_tests, kind, suites)

    if long_run:
        os.environ["WEIR_LONG"] = "1"
    build_and_run("release", *SUITES)
    build_and_run("asan", *SUITES)
    if long_run or has_threaded_tests():
        build_and_run("tsan", "unit" if long_run else "threads")
    run_step(results, "pytest", run_pytest, long_run)


def main():
    parser = argparse.ArgumentParser(prog="script/test", description=__doc__.split("\n\n")[0])
    parser.add_argument("--long", action="store_true", help="more rounds, more under TSan")
    options = parser.parse_args()
    # A request to stop becomes an exception, so that the last line is printed all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    results = []
    try:
        run_everything(results, options.long)
    except BaseException as stop:
        say(f"FAILED  stopped by {type(stop).__name__}: {stop}")
        results.append(Counts(failed=1))
    total = add(*results)
    if total.passed + total.failed == 0:
        say("FAILED  no test ran")
        total = Counts(failed=1)
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    say(f"{total.passed} passed, {total.failed} failed{skipped}")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
