"""The pipeline of the tour on a real Apache Kafka: the same results as on a local log, through kills
and rebalances."""
import random
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import closing

import pytest

from checker.kafka_topic import KafkaTopic, client, copy_topic, make_topic
from checker.log import Topic
from cluster.lab import until

RECORDS = 20000
CONNECTION = "connections: {kafka: {kafka: {brokers: ['%s'], properties: {session.timeout.ms: 6000}}}}\n"
TABLE = re.compile(r"  readings:\n    sqlite: .*\n")


def weir_run(weir, folder, *arguments, status=0):
    done = subprocess.run([weir, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done
    return done


@pytest.fixture(scope="module")
def workload(broker, weir, root, tmp_path_factory):
    """A folder with the input in a local log, the same in a topic, and what the local run says."""
    folder = tmp_path_factory.mktemp("workload")
    for name in ("iot.yaml", "sensor.schema.json"):
        (folder / name).write_text((root / "examples" / name).read_text())
    text = TABLE.sub("", (folder / "iot.yaml").read_text())
    (folder / "iot.yaml").write_text(text)
    weir_run(weir, folder, "gen", "local:iot.db#raw_iot_data", "--count", str(RECORDS))
    place = "kafka://" + broker.bootstrap
    make_topic(place, "test-raw", 3, **{"message.timestamp.type": "LogAppendTime"})
    copy_topic(Topic(folder / "iot.db", "raw_iot_data"), place, "test-raw")
    said = weir_run(weir, folder, "run", "iot.yaml", "--until-end").stdout
    return folder, text, said


def pipeline(workload, broker, name, source=None, sink=None, extra=""):
    """Writes NAME.yaml: the tour's, with topics of its own in Kafka."""
    folder, text, _ = workload
    kafka = "kafka: {connection: kafka, topic: %s}"
    text = text.replace("name: iot\n", f"name: {name}\n" + CONNECTION % broker.bootstrap)
    text = text.replace("local: {path: iot.db, topic: raw_iot_data, start: earliest}",
                        source or f"kafka: {{connection: kafka, topic: test-raw{extra}}}")
    text = text.replace("local: {path: iot.db, topic: validated_iot_data, key: sensor_id}", sink or
                        f"kafka: {{connection: kafka, topic: {name}-valid, key: sensor_id}}")
    text = text.replace("local: {path: iot.db, topic: dlq_iot_data}", kafka % f"{name}-dlq")
    text = text.replace("100ms", "20ms")
    if sink:
        text = text.replace("rejected]", "duplicate]")
    (folder / f"{name}.yaml").write_text(text)
    return folder, f"{name}.yaml"


def verdicts(said):
    return next(line for line in said.splitlines() if line.startswith("in "))


def test_kafka_gives_what_the_local_log_gives(workload, broker, weir):
    folder, file = pipeline(workload, broker, "same")
    assert weir_run(weir, folder, "run", file, "--until-end").stdout == workload[2]
    audited = weir_run(weir, folder, "audit", file).stdout
    assert f"audited {RECORDS:,} records" in audited and "unverifiable 0" in audited
    # A second run has nothing to do.
    assert weir_run(weir, folder, "run", file, "--until-end").stdout == workload[2]


def test_records_leave_as_they_came(workload, broker, weir):
    """Untransformed ones: key, value and headers byte for byte, into the partition of Java's clients."""
    place = "kafka://" + broker.bootstrap
    folder = workload[0]
    make_topic(place, "test-copy", 3)
    (folder / "copy.yaml").write_text(
        "version: 1\nname: copy\n" + CONNECTION % broker.bootstrap +
        "source: {kafka: {connection: kafka, topic: test-raw}, format: json}\n"
        "schema: {type: object}\nsinks: {out: {kafka: {connection: kafka, topic: test-copy}}}\n")
    weir_run(weir, folder, "run", "copy.yaml", "--until-end")

    def content(topic):
        return Counter(repr((partition, record)) for partition in range(3)
                       for _, batch in KafkaTopic(place, topic).batches(partition)
                       for record in batch)
    copied = content("test-copy")
    assert copied and not copied - content("test-raw")


@pytest.mark.parametrize("ends", ["local to Kafka", "Kafka to local"])
def test_each_system_has_its_own_progress(workload, broker, weir, ends):
    local = "local: {path: %s.db, topic: %s}"
    if ends == "local to Kafka":
        folder, file = pipeline(workload, broker, "outward",
                                source="local: {path: iot.db, topic: raw_iot_data}")
    else:
        folder, file = pipeline(workload, broker, "inward", sink=local % ("inward", "valid"))
    said = weir_run(weir, folder, "run", file, "--until-end").stdout
    assert verdicts(said) == verdicts(workload[2])
    weir_run(weir, folder, "audit", file)


def test_kill_9(workload, broker, weir, seed, long_run):
    random.seed(seed)
    folder, file = pipeline(workload, broker, "killed", extra=", instance_id: one")
    for _ in range(20 if long_run else 4):
        process = subprocess.Popen([weir, "run", file], cwd=folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.3, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert weir_run(weir, folder, "run", file, "--until-end").stdout == workload[2]
    weir_run(weir, folder, "audit", file)


def test_processes_share_partitions(workload, broker, weir):
    folder, file = pipeline(workload, broker, "shared")
    said = folder / "shared.said"
    with open(said, "wb") as output:
        processes = [subprocess.Popen([weir, "run", file], cwd=folder, stdout=subprocess.DEVNULL,
                                      stderr=output) for _ in range(3)]
    until(lambda: "taken over" in said.read_text(), 60)
    time.sleep(1)
    processes[0].send_signal(signal.SIGKILL)
    time.sleep(1)
    for process in processes[1:]:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(timeout=60)
    assert [process.returncode for process in processes[1:]] == [0, 0], said.read_text()
    weir_run(weir, folder, "run", file, "--until-end")
    audited = weir_run(weir, folder, "audit", file).stdout
    assert verdicts(audited) == verdicts(workload[2])


def test_who_was_taken_for_dead_commits_nothing(workload, broker, weir):
    """A process that stands still until the group has given its partitions away, then goes on."""
    folder, file = pipeline(workload, broker, "undead")
    start = lambda: subprocess.Popen([weir, "run", file], cwd=folder, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
    frozen = start()
    while "taken over" not in frozen.stderr.readline():
        assert frozen.poll() is None
    time.sleep(0.3)
    frozen.send_signal(signal.SIGSTOP)
    other = start()
    time.sleep(11)
    frozen.send_signal(signal.SIGCONT)
    time.sleep(4)
    said = []
    for process in (frozen, other):
        process.send_signal(signal.SIGTERM)
        said.append(process.communicate(timeout=60)[1])
        assert process.returncode == 0, said
    assert "lost to others" in said[0]
    weir_run(weir, folder, "run", file, "--until-end")
    assert verdicts(weir_run(weir, folder, "audit", file).stdout) == verdicts(workload[2])


def test_a_row_that_is_too_large_is_refused(workload, broker, weir):
    """It is the row's own fault: its dead letter says so, and goes by reference where it is too large
    itself."""
    place = "kafka://" + broker.bootstrap
    folder = workload[0]
    for topic, limit in (("wide", 1048588), ("narrow", 2000), ("narrow-dlq", 2000)):
        make_topic(place, topic, 1, **{"max.message.bytes": str(limit)})
    lines = [b'{"n": 1}', b'{"n": 2, "text": "' + b"x" * 5000 + b'"}', b'{"n": 3}']
    (folder / "lines.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    feed = ("version: 1\nname: %s\n" + CONNECTION % broker.bootstrap + "source: {%s, format: json}\n"
            "schema: {type: object}\nsinks: {out: {kafka: {connection: kafka, topic: %s}}}\n")
    (folder / "feed.yaml").write_text(feed % ("feed", "file: {path: lines.ndjson}", "wide"))
    weir_run(weir, folder, "run", "feed.yaml", "--until-end")
    (folder / "narrow.yaml").write_text(
        feed % ("narrow", "kafka: {connection: kafka, topic: wide}", "narrow") +
        "dlq: {kafka: {connection: kafka, topic: narrow-dlq}}\n")
    said = weir_run(weir, folder, "run", "narrow.yaml", "--until-end").stdout
    assert "out: routed 3 = written 2 + rejected 1" in said
    weir_run(weir, folder, "audit", "narrow.yaml")
    [(_, [(_, value, headers)])] = KafkaTopic(place, "narrow-dlq").batches(0)
    headers = dict(headers)
    assert value is None and headers["weir.reason"] == b"sink.too_large"
    assert headers["weir.value"] == b"reference" and headers["weir.offset"] == b"1"


def test_secrets_stay_secret(workload, broker, weir):
    folder, _, _ = workload
    secret = folder / "password"
    secret.write_text("canary-7f3a\n")
    for mode, code in ((0o644, "secret.exposed"), (0o600, "kafka.")):
        secret.chmod(mode)
        (folder / "login.yaml").write_text(
            "version: 1\nname: login\nconnections: {k: {kafka: {brokers: '" + broker.bootstrap +
            "', sasl: {mechanism: PLAIN, username: u, password: {file: password}}}}}\n"
            "source: {kafka: {connection: k, topic: test-raw}, format: json}\n"
            "schema: {type: object}\nsinks: {out: {file: {path: out}}}\n")
        done = subprocess.run([weir, "run", "login.yaml", "--until-end"], cwd=folder,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode in (2, 3) and code in done.stderr, done
        assert "canary" not in done.stdout + done.stderr


def test_what_is_not_there_is_said(workload, broker, weir):
    folder, file = pipeline(workload, broker, "nowhere",
                            source="kafka: {connection: kafka, topic: test-no-such}")
    done = weir_run(weir, folder, "run", file, "--until-end", status=2)
    assert "source.no_topic" in done.stderr


def test_a_broker_that_is_away_is_waited_for(workload, own_broker, weir):
    """Said once; the run goes on by itself, and nothing is lost or doubled."""
    folder = workload[0]
    place = "kafka://" + own_broker.bootstrap
    make_topic(place, "test-raw", 3, **{"message.timestamp.type": "LogAppendTime"})
    copy_topic(Topic(folder / "iot.db", "raw_iot_data"), place, "test-raw")
    _, file = pipeline(workload, own_broker, "patient")
    process = subprocess.Popen([weir, "run", file], cwd=folder, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    node = own_broker.nodes[0]
    node.kill()
    time.sleep(2)
    node.start()
    own_broker.wait_ready()
    copy_topic(Topic(folder / "iot.db", "raw_iot_data"), place, "test-raw")
    with closing(client().KafkaAdminClient(bootstrap_servers=own_broker.bootstrap)) as admin:
        until(lambda: sum(entry.offset for entry in admin.list_group_offsets(["patient"])["patient"]
                          .values()) == 2 * RECORDS, 90)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    taken = int(re.match(r"in ([\d,]+)", verdicts(out))[1].replace(",", ""))
    assert taken > RECORDS, said
    weir_run(weir, folder, "run", file, "--until-end")
    assert f"in {2 * RECORDS:,} " in weir_run(weir, folder, "audit", file).stdout


def test_another_topic_under_the_same_name_is_refused(workload, broker, weir):
    folder, place = workload[0], "kafka://" + broker.bootstrap
    lines = "".join(f'{{"n": {n}}}\n' for n in range(10))
    (folder / "ten.ndjson").write_text(lines)
    feed = ("version: 1\nname: %s\n" + CONNECTION % broker.bootstrap + "source: {%s, format: json}\n"
            "schema: {type: object}\nsinks: {out: {kafka: {connection: kafka, topic: %s}}}\n")
    make_topic(place, "changing", 1)
    (folder / "fill.yaml").write_text(feed % ("fill", "file: {path: ten.ndjson}", "changing"))
    (folder / "read.yaml").write_text(feed % ("read", "kafka: {connection: kafka, topic: changing}",
                                              "changed"))
    weir_run(weir, folder, "run", "fill.yaml", "--until-end")
    weir_run(weir, folder, "run", "read.yaml", "--until-end")
    admin = client().KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_partitions({"changing": client().admin.NewPartitions(2)})
        done = weir_run(weir, folder, "run", "read.yaml", "--until-end", status=2)
        assert "source.partitions" in done.stderr
        admin.delete_topics(["changing"])
        until(lambda: "changing" not in admin.list_topics())
        make_topic(place, "changing", 1)
        done = weir_run(weir, folder, "run", "read.yaml", "--until-end", status=2)
        assert "source.recreated" in done.stderr
    finally:
        admin.close()
