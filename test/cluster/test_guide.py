"""docs/kafka_to_postgres.md, typed as it stands: every command of it, with servers of the test."""
import re
import subprocess
from pathlib import Path

import pytest

from postgres.conftest import started
from postgres.database import Database

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/kafka_to_postgres.md"


def commands():
    """The indented lines, without those that begin and end servers or say where they are."""
    lines = re.findall(r"^    (\S.*)$", GUIDE.read_text(), re.MULTILINE)
    return [line for line in lines
            if not line.startswith("export ") and not re.match(r"script/services/\w+ (up|down)", line)]


@pytest.fixture
def database(build_dir):
    server = started(build_dir / "services/postgres-guide")
    yield Database(server, "guide")
    server.stop("immediate")


def test_the_commands_do_what_the_guide_says(broker, database, weir, tmp_path):
    environment = {"IOT_BROKERS": broker.bootstrap, "IOT_DSN": database.dsn,
                   "PATH": f"{Path(weir).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    (tmp_path / "script").symlink_to(ROOT / "script")
    (tmp_path / "examples").mkdir()
    for name in ("kafka_postgres.yaml", "sensor.schema.json"):
        (tmp_path / "examples" / name).write_text((ROOT / "examples" / name).read_text())
    said = {}
    for line in commands():
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said.setdefault(line.split("#")[0].strip(), []).append(done.stdout)
    rows = database.ask("SELECT count(*), count(DISTINCT message_id) FROM readings")[0]
    assert 10000 < rows[0] == rows[1]
    audit = said["weir audit examples/kafka_postgres.yaml"][0]
    assert "missing 0 · doubled 0 · altered 0" in audit
    refused = database.ask("SELECT count(*) FROM weir_rejects")[0][0]
    assert refused > 0
    first, last = said["weir dlq list examples/kafka_postgres.yaml"]
    assert "sink.constraint_check" not in first
    assert re.search(rf"sink\.constraint_check +{refused}\b", last), last
