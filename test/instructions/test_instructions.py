"""What a record costs in the hot stages, in machine instructions: the same on a busy machine.

Callgrind counts bench/measure on a number of records and on twice as many; the difference is what
the records cost, without the start. After a change that is meant to cost what it costs:

    python3 -m pytest test/instructions --accept-instructions
"""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

EXPECTED = Path(__file__).parent / "expected.json"
# What bench/measure goes over at once; fewer are rounded up to it.
RECORDS = 65_536
THINGS = ("decode", "stages", "state-insert", "state-find", "state-cached")
# The same compiler makes the same instructions; libraries may differ a little.
NOISE = 1.03
NOISE_OTHER_COMPILER = 1.20


def compiler():
    words = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout
    return words.splitlines()[0]


@pytest.fixture(scope="module")
def measure(root, weir):
    if shutil.which("valgrind") is None:
        pytest.skip("no valgrind")
    subprocess.run(["ninja", "-C", root / "build/release", "--quiet", "bench/measure"], check=True)
    return root / "build/release/bench/measure"


def count(measure, root, thing, records, folder):
    """All instructions of one run of bench/measure."""
    out = folder / "callgrind.out"
    subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", measure, thing,
                    "--records", str(records), "--pipeline", root / "examples/iot.yaml"],
                   check=True, capture_output=True)
    return int(re.search(r"^totals: (\d+)", out.read_text(errors="replace"), re.MULTILINE).group(1))


def accept(thing, cost):
    expected = json.loads(EXPECTED.read_text())
    expected["compiler"] = compiler()
    expected["instructions"][thing] = round(cost, 1)
    EXPECTED.write_text(json.dumps(expected, indent=2) + "\n")


@pytest.mark.parametrize("thing", THINGS)
def test_no_more_instructions_than_committed(thing, measure, root, tmp_path, request):
    once, twice = (count(measure, root, thing, RECORDS * times, tmp_path) for times in (1, 2))
    cost = (twice - once) / RECORDS
    if request.config.getoption("--accept-instructions"):
        accept(thing, cost)
        return
    expected = json.loads(EXPECTED.read_text())
    committed = expected["instructions"][thing]
    noise = NOISE if expected["compiler"] == compiler() else NOISE_OTHER_COMPILER
    print(f"{thing}: {cost:,.1f} instructions, {committed:,.1f} are committed")
    assert cost <= committed * noise, (
        f"{thing} costs {cost:,.1f} instructions where {committed:,.1f} are committed. If that is "
        f"meant: python3 -m pytest test/instructions --accept-instructions")
