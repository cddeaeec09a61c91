"""What every test below test/ may ask for: the programs that were built, and data from outside.

script/test sets the variables; by hand `python3 -m pytest test/FOLDER` finds the same places.
"""
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))
# Tests that several folders take in: what they assert is shown as that of any other.
pytest.register_assert_rewrite("database")


def program(variable, kind):
    path = Path(os.environ.get(variable, ROOT / "build" / kind / "src/cli/weir"))
    if not os.access(path, os.X_OK):
        pytest.fail(f"no program {path}: run script/build {kind}")
    return path


@pytest.fixture(scope="session")
def root():
    """The root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def weir():
    """The release build."""
    return program("WEIR", "release")


@pytest.fixture(scope="session")
def weir_asan():
    """The build with AddressSanitizer and UndefinedBehaviorSanitizer."""
    return program("WEIR_ASAN", "asan")


@pytest.fixture(scope="session")
def weir_break():
    """The build that breaks the guarantee which the environment variable WEIR_BREAK names."""
    built = subprocess.run([ROOT / "script/build", "break"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return ROOT / built.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="session")
def build_dir():
    """Where builds of other kinds go (build/KIND)."""
    return Path(os.environ.get("WEIR_BUILD_DIR", ROOT / "build"))


@pytest.fixture(scope="session")
def shared():
    """Data and models that are kept beside the project; the test is skipped where they are not."""
    path = Path(os.environ.get("WEIR_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip("no shared data: set WEIR_SHARED")
    return path


@pytest.fixture(scope="session")
def long_run():
    """Whether more rounds are wanted (script/test --long)."""
    return os.environ.get("WEIR_LONG", "0") == "1"


@pytest.fixture
def seed():
    """For a test with randomness. Printed, so that the report of a failure shows it."""
    value = int(os.environ.get("WEIR_SEED", secrets.randbits(32)))
    print(f"WEIR_SEED={value}")
    return value


def pytest_addoption(parser):
    parser.addoption("--accept-instructions", action="store_true",
                     help="test/instructions: commit what is counted now")
    parser.addoption("--rounds", type=int,
                     help="test/cluster/test_kills.py: how often the input is gone through")
    parser.addoption("--records", type=int, help="test/cluster/test_kills.py: of the input")
