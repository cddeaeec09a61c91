"""Judges the outputs of examples/iot.yaml from the outside; shares no code with weir.

    python3 test/checker iot.db --truth truth.ndjson

Prints "lost N · doubled N · misjudged N" and the hash of all outputs; exit status 1 when one of
the three is not 0. Without --truth only what needs none is checked: one fate for every record.
"""
import argparse
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checker import judge  # noqa: E402
from checker.log import Broken  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="test/checker", description=__doc__.split("\n\n")[0])
    parser.add_argument("file", help="the local log with the input and, unless said, all else")
    parser.add_argument("--truth", help="the file that weir gen --truth wrote")
    parser.add_argument("--validated", help="the file with the validated topic")
    parser.add_argument("--dead", help="the file with the dead letters")
    parser.add_argument("--table", help="the file with the table readings")
    parser.add_argument("--hash", action="store_true", help="only print the hash of the outputs")
    options = parser.parse_args()
    places = judge.Places(options.file, *(getattr(options, name) or options.file
                                          for name in ("validated", "dead", "table")))
    if options.hash:
        print(judge.output_hash(places))
        return 0
    # What was written by anybody may hold what a terminal has no form for.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        result = judge.judge(places, options.truth) if options.truth \
            else judge.judge_conservation(places)
    except (Broken, sqlite3.Error) as error:
        print(f"the input cannot be read: {error}")
        return 1
    for finding in result.findings:
        print(finding)
    print(result.line())
    if result.hash:
        print(f"hash {result.hash}")
    return 0 if result.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())
