"""A real MariaDB server for the tests of this folder; skipped where it cannot be had."""
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "script/services"))

from mariadb_server import MariaDB  # noqa: E402
from mysql.database import Database  # noqa: E402
from service import Unavailable  # noqa: E402


def started(folder, **options):
    shutil.rmtree(folder, ignore_errors=True)
    try:
        return MariaDB(folder, **options).start()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def server(build_dir):
    """One server, shared: every test has a database of its own."""
    running = started(build_dir / "services/mariadb-test")
    yield running
    running.kill()


@pytest.fixture
def database(server, request, tmp_path):
    return Database(server, f"t{abs(hash((request.node.nodeid, str(tmp_path))))}")


@pytest.fixture
def own_server(build_dir, request):
    """A server that the test may kill."""
    # Short: a socket's path may have 107 bytes.
    running = started(build_dir / "services" / f"maria-{abs(hash(request.node.name)) % 10 ** 8}")
    yield running
    running.kill()
