"""The main pipeline: Kafka in, Kafka and a PostgreSQL table out, and the dead letters of both in Kafka. Each dead letter of a row that the table refuses is there once, through kills."""
import json
import random
import subprocess
import time
from collections import Counter

import pytest

from checker.kafka_topic import KafkaTopic, copy_topic, make_topic
from checker.log import Topic
from crash.killer import Weir
from postgres.conftest import started
from postgres.database import Database

RECORDS = 3000
PIPELINE = """version: 1
name: forward
connections: {{kafka: {{kafka: {{brokers: ['{bootstrap}'], properties: {{session.timeout.ms: 6000}}}}}}}}
source: {{kafka: {{connection: kafka, topic: forward-raw}}, format: json}}
schema: {{type: object, properties: {{id: {{type: integer}}, n: {{type: number}}}}, required: [id]}}
sinks:
  valid: {{kafka: {{connection: kafka, topic: forward-valid}}}}
  rows: {{postgres: {{dsn: "{dsn}", table: rows}}}}
dlq: {{kafka: {{connection: kafka, topic: forward-dead}}}}
delivery: {{commit_interval: 20ms}}
"""


@pytest.fixture
def database(build_dir):
    server = started(build_dir / "services/postgres-forwarding")
    yield Database(server, "forwarding")
    server.stop("immediate")


def test_dead_letters_of_a_table_go_to_kafka(broker, database, weir, tmp_path, seed):
    rng = random.Random(seed)
    place = "kafka://" + broker.bootstrap
    make_topic(place, "forward-raw", 3)
    (tmp_path / "p.yaml").write_text(PIPELINE.format(bootstrap=broker.bootstrap, dsn=database.dsn))
    database.ask("CREATE TABLE rows (id bigint, n double precision, _weir_topic text,"
                 " _weir_partition integer, _weir_offset bigint, CHECK (n >= 0))")
    lines = [json.dumps({"id": i, "n": -1 if i % 50 == 7 else i}) if i % 100 else "{"
             for i in range(RECORDS)]
    done = subprocess.run([weir, "produce", "local:raw.db#raw", "--partitions=3"],
                          input="\n".join(lines) + "\n", text=True, capture_output=True,
                          cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done
    copy_topic(Topic(tmp_path / "raw.db", "raw"), place, "forward-raw")
    for _ in range(2):
        process = Weir(weir, "run", "p.yaml", cwd=tmp_path)
        time.sleep(rng.uniform(0.2, 1.5))  # any moment
        process.kill()
        process.wait()
    done = subprocess.run([weir, "run", "p.yaml", "--until-end"], text=True, capture_output=True,
                          cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done
    letters = Counter()
    topic = KafkaTopic(place, "forward-dead").settle()
    for partition in range(topic.partitions):
        for _, records in topic.batches(partition):
            for _, value, headers in records:
                letters[value.decode(), dict(headers)["weir.reason"].decode()] += 1
    assert letters.pop(("{", "decode.syntax")) == RECORDS // 100
    assert letters == Counter((line, "sink.constraint_check") for line in lines
                              if '"n": -1' in line)
    done = subprocess.run([weir, "audit", "p.yaml"], text=True, capture_output=True, cwd=tmp_path,
                          timeout=60)
    assert done.returncode == 0, done
