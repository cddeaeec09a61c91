"""Rounds of crashes: small logs, random times, and the judges after each log's last run."""
import random
import shutil
from pathlib import Path

from crash import scenario as crash
from crash.scenario import Scenario, Tally

RECORDS = 100_000
# Most runs of so many records take longer, so that few rounds come too late.
LONGEST_S = 0.35
ROUNDS_A_LOG = 6


def run(program, folder, rounds, seed, say=print, records=RECORDS):
    """So many kills; the tally. Raises AssertionError with all there is to say when a judge found
    something; the folder is then kept."""
    rng = random.Random(seed)
    total = Tally()
    log = 0
    while total.kills() < rounds:
        log += 1
        left = min(ROUNDS_A_LOG, rounds - total.kills())
        total.add(one_log(program, Path(folder) / f"{seed}-{log}", left, log, rng, say, records))
    return total


def one_log(program, folder, kills, number, rng, say, records):
    two_files, with_changes = number % 2 == 0, number % 3 == 0
    scenario = Scenario(folder, program, records, rng.randrange(1 << 32), two_files=two_files,
                        commit_interval=rng.choice(("5ms", "20ms", "100ms")),
                        snapshot_interval=rng.choice((None, "50ms", "200ms")),
                        event_rate=rng.choice((1000, 50, 20)))
    tally = Tally()
    while tally.kills() < kills:
        if with_changes and rng.random() < 0.5:
            scenario.change(rng)
            tally.changes += 1
        what = rng.random()
        if what < 0.2:
            crash.stop_at_random(scenario, rng, LONGEST_S / 4, tally)
        elif what < 0.45 and scenario.cursors()[0]:
            crash.kill_recovering(scenario, rng, tally)
        elif not crash.kill_at_random(scenario, rng, LONGEST_S, tally):
            break  # It had come to the end.
        tally.apart += two_files and scenario.is_apart()
    scenario.finish()
    wrong = crash.verify(scenario)
    say(f"log {number}: {'two files' if two_files else 'one file'}: {tally.line()}")
    assert not wrong, f"in {folder}:\n{wrong}"
    shutil.rmtree(folder)
    return tally
