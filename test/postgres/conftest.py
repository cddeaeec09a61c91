"""A real PostgreSQL server for the tests of this folder; skipped where it cannot be had."""
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "script/services"))

from postgres.database import Database  # noqa: E402
from postgres_server import Postgres, Unavailable  # noqa: E402


def started(folder, **options):
    shutil.rmtree(folder, ignore_errors=True)
    try:
        return Postgres(folder, **options).start()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def server(build_dir):
    """One server, shared: every test has a database of its own."""
    running = started(build_dir / "services/postgres-test")
    yield running
    running.stop("immediate")


@pytest.fixture
def database(server, request, tmp_path):
    return Database(server, f"t{abs(hash((request.node.nodeid, str(tmp_path))))}")


@pytest.fixture
def own_server(build_dir, request):
    """A server that the test may kill."""
    folder = build_dir / "services" / f"postgres-{request.node.name[:40]}"
    running = started(folder)
    yield running
    running.stop("immediate")
