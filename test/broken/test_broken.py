"""Builds that give up one guarantee each: every one is caught by a test that passes otherwise.

Those that need a crash between two commits are in test/crash, those of forwarded dead letters in
test/faults.
"""
import os
import re
import subprocess
import sys

import pytest

# Which program catches it, of the build that breaks it.
CAUGHT_BY = {
    "purge-early": "property/property-model",
    "fill-feeds": "property/property-model",
    "future-moves": "property/property-model",
    "dedup-null": "property/property-model",
    "late-registers": "property/property-model",
    "batch-check": "property/property-cut",
    "no-cas": "torture/torture-fence",
    "no-owner": "torture/torture-fence",
    "no-lock": "torture/torture-fence",
    "no-fsync": "torture/torture-power",
    "no-part-fsync": "torture/torture-power",
    "ready-first": "torture/torture-power",
    "snapshot-early": "simulation/simulation",
    "lost-kept": "simulation/simulation",
    "no-replay": "simulation/simulation",
    "effect-first": "run-two_phase",
    "undecided-kept": "run-two_phase",
    "decided-anew": "run-two_phase",
    "reject-dropped": "torture/torture-power",
    "crc-ignored": "codec-record_batch",
    "seal-ignored": "state-snapshot",
}
PROGRAMS = sorted(set(CAUGHT_BY.values()))
# Tests elsewhere that name what they break.
CATCH_THEIR_OWN = ("test/crash/test_crash.py", "test/faults/test_forwarding.py")
# Unbroken builds pass so many trials. A broken one has many more until one fails, and ends there:
# where the power fails depends on threads, so one seed catches it in one run and not in the next.
TRIALS = {"torture/torture-power": 50}
TRIALS_UNTIL_CAUGHT = 2000
PATIENCE_S = 300


@pytest.fixture(scope="module")
def programs(root, weir_break):
    """The folder with the test programs of that build."""
    folder = root / "build/break"
    subprocess.run(["ninja", "-C", folder, "--quiet", *(f"test/{name}" for name in PROGRAMS)],
                   check=True)
    return folder / "test"


def run(programs, name, breaks=None):
    trials = TRIALS_UNTIL_CAUGHT if breaks else TRIALS.get(name, 100)
    environment = {**os.environ, "WEIR_SEED": "5", "WEIR_TRIALS": str(trials),
                   "CMOCKA_MESSAGE_OUTPUT": "STDOUT", "WEIR_LONG": "0"}
    if breaks:
        environment["WEIR_BREAK"] = breaks
    return subprocess.run([programs / name], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=PATIENCE_S)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_caught_where_nothing_is_broken(programs, name):
    done = run(programs, name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_broken_guarantee_is_caught(programs, name):
    done = run(programs, CAUGHT_BY[name], name)
    assert done.returncode > 0, done.stdout
    # A test said no; the program did not merely crash.
    assert "[  FAILED  ]" in done.stdout, done.stdout


def test_dead_letters_replayed_again_are_caught(root, weir_break):
    """replay-again, by the tests of `dlq replay`."""
    def outcome(breaks):
        environment = {**os.environ, "WEIR": str(weir_break), "WEIR_ASAN": str(weir_break),
                       "WEIR_BREAK": breaks}
        return subprocess.run([sys.executable, "-m", "pytest", "-q", "test/cli/test_dlq.py", "-k",
                               "test_replay_injects_each_once and topic"], cwd=root,
                              env=environment, capture_output=True, text=True)
    assert outcome("").returncode == 0
    caught = outcome("replay-again")
    assert caught.returncode == 1, caught.stdout


def test_a_name_that_breaks_nothing_is_refused(weir_break):
    done = subprocess.run([weir_break, "version"], env={**os.environ, "WEIR_BREAK": "nonsense"},
                          capture_output=True, text=True)
    assert done.returncode == 2
    assert "nonsense" in done.stderr


def test_every_name_is_used_and_caught(root):
    """The list, the sources and the tests name the same guarantees."""
    listed = set(re.findall(r'^    "([a-z-]+)",', (root / "src/base/broken.c").read_text(),
                            re.MULTILINE))
    used = set()
    for path in (root / "src").rglob("*.[ch]"):
        if path.name not in ("broken.c", "broken.h"):
            used |= set(re.findall(r'\bBROKEN\("([a-z-]+)"\)', path.read_text()))
    others = "".join((root / path).read_text() for path in CATCH_THEIR_OWN)
    caught = set(CAUGHT_BY) | {"replay-again"} | {name for name in listed if f'"{name}"' in others}
    assert len(listed) >= 14
    assert listed == used == caught
