"""kill -9 at random times, and builds that give up one guarantee each, which must be caught."""
import random

import pytest

from crash import rounds
from crash import scenario as crash
from crash.killer import Committed, build_killpoint, wait_committed
from crash.scenario import Scenario, Tally


@pytest.fixture(scope="module")
def killpoint(tmp_path_factory):
    return build_killpoint(tmp_path_factory.mktemp("killpoint"))


def test_kill_at_random_times(weir, tmp_path, seed, long_run):
    tally = rounds.run(weir, tmp_path, 200 if long_run else 30, seed)
    print(tally.line())
    assert tally.inside > 0 and tally.recovering > 0


def killed_apart(weir, folder, rng, seed):
    """A scenario whose two files stand at different offsets after a kill -9."""
    for attempt in range(40):
        scenario = Scenario(folder / f"log-{attempt}", weir, 100_000, seed, two_files=True,
                            commit_interval="5ms")
        # A log may come to its end before a kill lands between the commits of the two files.
        while crash.kill_at_random(scenario, rng, 0.25, Tally()):
            if scenario.is_apart():
                return scenario
    raise AssertionError("no kill left the files apart")


def test_files_stand_apart_after_a_kill_and_are_both_complete_in_the_end(weir, tmp_path, seed):
    rng = random.Random(seed)
    scenario = killed_apart(weir, tmp_path, rng, seed)
    apart = 1
    while apart < 3 and crash.kill_at_random(scenario, rng, 0.25, Tally()):
        apart += scenario.is_apart()
    scenario.finish()
    assert not crash.verify(scenario)


def test_clean_stop_brings_files_together(weir, tmp_path, seed):
    """SIGTERM right after a recovery from a state in which they stood apart."""
    scenario = killed_apart(weir, tmp_path, random.Random(seed), seed)
    process = scenario.start()
    assert process.wait_for("recovered")
    assert process.terminate() == 0, process.errors()
    assert not scenario.is_apart(), scenario.cursors()
    scenario.finish()
    assert not crash.verify(scenario)


def test_plan_change_while_files_stand_apart(weir, tmp_path, seed):
    """What the old plan began is finished under it before the new one judges."""
    rng = random.Random(seed)
    scenario = killed_apart(weir, tmp_path, rng, seed)
    while not scenario.is_changed:
        scenario.change(rng)
    process = scenario.finish()
    assert process.said("the plan has changed: open epochs are finished under the old one")
    assert not crash.verify(scenario)


def test_second_run_is_refused_at_once(weir, tmp_path, seed):
    scenario = Scenario(tmp_path / "log", weir, 1_000, seed)
    first = crash.Weir(weir, "run", scenario.pipeline)
    committed = Committed(scenario.database)
    try:
        assert wait_committed(first, committed, 1_000), first.errors()
        second = scenario.start()
        assert second.wait() == 2, second.errors()
        assert "group.owned" in second.errors()
        assert second.duration_s < 1
        assert first.is_running()
    finally:
        committed.close()
        assert first.terminate() == 0, first.errors()
    assert not crash.verify(scenario)


def test_sigterm_of_a_waiting_run_leaves_everything_committed(weir, tmp_path, seed):
    """At the end of the log, within less than a commit interval."""
    scenario = Scenario(tmp_path / "log", weir, 20_000, seed, commit_interval="10s")
    process = crash.Weir(weir, "run", scenario.pipeline)
    assert process.wait_for("first start"), process.errors()
    assert process.terminate() == 0, process.errors()
    scenario.finish()
    assert not crash.verify(scenario)


def kill_at_one_sync_after_the_other(scenario, library, when):
    """The first start ends at its first sync, the second at its second, until the log is done."""
    kills = 0
    while crash.kill_at_point(scenario, library, when, kills + 1):
        kills += 1
    return kills


@pytest.mark.parametrize("when, two_files", [("before", False), ("after", False), ("after", True)])
def test_kill_at_every_sync(weir, killpoint, tmp_path, seed, when, two_files):
    scenario = Scenario(tmp_path / "log", weir, 40_000, seed, two_files=two_files,
                        commit_interval="5ms", snapshot_interval="20ms")
    kills = kill_at_one_sync_after_the_other(scenario, killpoint, when)
    print(f"{kills} kills")
    assert kills >= 4
    assert not crash.verify(scenario)


def test_kill_in_the_middle_of_a_write(weir, killpoint, tmp_path, seed):
    rng = random.Random(seed)
    scenario = Scenario(tmp_path / "log", weir, 40_000, seed, commit_interval="5ms",
                        snapshot_interval="20ms")
    kills = 0
    while crash.kill_at_point(scenario, killpoint, "torn", rng.randint(1, 100 * (kills + 1))):
        kills += 1
    print(f"{kills} kills")
    assert kills >= 4
    assert not crash.verify(scenario)


@pytest.mark.parametrize("name", ["offsets-first", "rows-first", "no-replay"])
def test_broken_guarantee_is_caught(name, weir, weir_break, killpoint, tmp_path, seed):
    """By the checker and by weir's own audit, of the sound build."""
    scenario = Scenario(tmp_path / "log", weir_break, 60_000, seed, commit_interval="5ms",
                        breaks=name)
    kills = kill_at_one_sync_after_the_other(scenario, killpoint, "after")
    scenario.finish()
    result = scenario.judge()
    status, text = scenario.audit(weir)
    print(f"{name}: {kills} kills: {result.line()}; audit: exit {status}: {text.splitlines()[-1]}")
    assert not result.is_clean()
    assert (result.lost if name == "offsets-first" else result.doubled) > 0, result.findings
    assert status == 1, text
