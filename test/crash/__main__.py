"""Kills weir again and again and lets the judges look at what is there.

    python3 test/crash --rounds 1000
    python3 test/crash --rounds 30 --seed 4711 --weir build/asan/src/cli/weir

Exit status 1 when something was lost, doubled or misjudged; the folder that shows it is kept. The
same seed makes the same logs, plans and times; where a kill lands is up to the machine.
"""
import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "test"))

from crash import rounds  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="test/crash", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="how many kills")
    parser.add_argument("--records", type=int, default=rounds.RECORDS, help="of each log")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--weir", default=ROOT / "build/release/src/cli/weir", help="the program")
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="weir-crash-")
    begun = time.monotonic()
    try:
        tally = rounds.run(Path(options.weir).resolve(), folder, options.rounds, seed,
                           lambda line: print(line, flush=True), options.records)
    except AssertionError as error:
        print(error)
        return 1
    Path(folder).rmdir()
    print(f"{tally.line()}; {time.monotonic() - begun:.0f} s\nlost 0 · doubled 0 · misjudged 0")
    return 0


if __name__ == "__main__":
    sys.exit(main())
