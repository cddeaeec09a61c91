"""Real brokers for the tests of this folder; skipped where they cannot be had, saying why."""
import sys
from pathlib import Path

import pytest

from checker import kafka_topic

sys.path.insert(0, str(Path(__file__).parents[2] / "script/services"))

from kafka_cluster import Cluster, Unavailable  # noqa: E402


def started(folder, **options):
    try:
        kafka_topic.client()
        return Cluster(folder, **options).start()
    except (ImportError, Unavailable) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def broker(build_dir, request):
    """One node, shared by all tests: every test has topics and pipeline names of its own. Where several
    pytest run parts of this folder, each has a node of its own."""
    first = request.session.items[0].path.stem
    cluster = started(build_dir / "services" / f"kafka-{first}")
    yield cluster
    cluster.stop()


@pytest.fixture
def own_broker(tmp_path):
    """One node that the test may kill."""
    cluster = started(tmp_path / "kafka")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def three_brokers(build_dir):
    """Three nodes, of which a test may kill and freeze some: it leaves all of them running."""
    cluster = started(build_dir / "services/kafka-three", nodes=3)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def sasl_broker(build_dir):
    """One node that asks who one is, and looks at what that one is allowed."""
    cluster = started(build_dir / "services/kafka-sasl", sasl=True)
    yield cluster
    cluster.stop()
