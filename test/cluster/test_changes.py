"""What others do to the topics of a pipeline, before it starts and while it runs; and what its own
file changes. Nothing is lost silently, and each refusal names the way on."""
import json
import re
import secrets
import shutil
import signal
import time
from contextlib import closing

import pytest

from checker.kafka_topic import KafkaTopic, client
from cluster.lab import Lab, records, until

REFUSED = 2


@pytest.fixture
def lab(broker, weir, tmp_path):
    return Lab(broker, weir, tmp_path)


def admin(lab):
    return closing(client().KafkaAdminClient(bootstrap_servers=lab.broker.bootstrap))


def delete(lab, topic):
    with admin(lab) as asked:
        asked.delete_topics([topic])
        until(lambda: topic not in asked.list_topics())


def delete_records(lab, topic, before, partition=0):
    with admin(lab) as asked:
        asked.delete_records({client().TopicPartition(topic, partition): before})


def configure(lab, topic, **settings):
    kafka = client()
    settings = {name.replace("_", "."): value for name, value in settings.items()}
    with admin(lab) as asked:
        asked.alter_configs([kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic,
                                                        settings)])


def numbers(lab, topic):
    """The numbers of the records of a topic, as a read_committed consumer sees them."""
    there = KafkaTopic(lab.place, topic)
    return sorted(json.loads(value)["n"] for partition in range(there.partitions)
                  for _, [(_, value, _)] in there.batches(partition))


def is_written(lab, topic, count):
    try:
        return len(numbers(lab, topic)) >= count
    except Exception:  # The topic is not there yet.
        return False


def stop(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=60)


# --- while it runs ---

def test_added_partitions_stop_every_process(lab):
    """Each stops by itself, behind all that it has read: with the next start keys could stand twice."""
    lab.topic("grown", 2)
    lab.send("grown", records(20))
    file = lab.write("growing", {"topic": "grown"}, {"out": {"topic": "growing-out"}})
    processes = [lab.start(file), lab.start(file)]
    until(lambda: is_written(lab, "growing-out", 20))
    with admin(lab) as asked:
        asked.create_partitions({"grown": client().admin.NewPartitions(3)})
    lab.send("grown", records(10, 20), partition=1)
    assert [process.wait(timeout=40) for process in processes] == [REFUSED, REFUSED], lab.said(file)
    assert lab.said(file).count("source.partitions") == 2
    written = numbers(lab, "growing-out")
    assert written == sorted(set(written)) and written[:20] == list(range(20))
    assert "source.partitions" in lab.run(file, status=REFUSED).stderr


def test_a_source_made_anew_stops_the_run(lab):
    """Within a second or so: a client reads on in what has the same name, and nothing tells it."""
    lab.topic("swapped", 1)
    lab.send("swapped", records(5))
    file = lab.write("swapping", {"topic": "swapped"}, {"out": {"topic": "swapping-out"}})
    process = lab.start(file)
    until(lambda: is_written(lab, "swapping-out", 5))
    delete(lab, "swapped")
    lab.topic("swapped", 1)
    lab.send("swapped", records(3, 100))
    assert process.wait(timeout=40) == REFUSED, lab.said(file)
    assert re.search(r"source\.recreated|kafka\.no_topic|source\.offset_expired",
                     lab.said(file)), lab.said(file)
    assert numbers(lab, "swapping-out") == list(range(5))
    assert "source.recreated" in lab.run(file, status=REFUSED).stderr


@pytest.mark.parametrize("victim", ["gone-out", "weir.progress.gone"])
def test_a_topic_deleted_under_the_run_stops_it(lab, victim):
    suffix = victim.replace(".", "-")
    name = f"gone-{suffix}"
    victim = victim.replace("gone", name)
    lab.topic(f"{name}-raw", 1)
    lab.send(f"{name}-raw", records(5))
    file = lab.write(name, {"topic": f"{name}-raw"}, {"out": {"topic": f"{name}-out"}})
    process = lab.start(file)
    until(lambda: is_written(lab, f"{name}-out", 5))
    delete(lab, victim)
    lab.send(f"{name}-raw", records(5, 5))
    assert process.wait(timeout=60) == REFUSED, lab.said(file)
    assert "kafka.no_topic" in lab.said(file) and victim in lab.said(file), lab.said(file)


@pytest.mark.parametrize("frozen_s", [0, 4])
def test_retention_overtakes_a_run(lab, frozen_s):
    """It stands still, and meanwhile what it would have read next is deleted; so long that the group goes on
    without it, and it has to rebuild its state."""
    source, name, out = f"overtaken-{frozen_s}", f"overtaking-{frozen_s}", f"overtaking-{frozen_s}-out"
    lab.topic(source, 1)
    lab.send(source, records(10))
    file = lab.write(name, {"topic": source}, {"out": {"topic": out}},
                     dedup={"key": "id", "window": "unlimited"})
    process = lab.start(file)
    until(lambda: is_written(lab, out, 10))
    process.send_signal(signal.SIGSTOP)
    lab.send(source, records(10, 10))
    delete_records(lab, source, 16)
    time.sleep(frozen_s)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=60) == REFUSED, lab.said(file)
    assert "source.offset_expired" in lab.said(file) and "--accept-loss" in lab.said(file), lab.said(file)
    refused = lab.run(file, status=REFUSED).stderr
    assert "offsets 10 to 15 as lost" in refused
    said = lab.run(file, "--accept-loss").stdout
    assert "lost 6" in said.replace("LOST", "lost"), said
    assert numbers(lab, out) == [*range(10), *range(16, 20)]
    audited = lab("audit", file, status=1).stdout
    assert "missing 0 · doubled 0 · altered 0" in audited and "lost 6 " in audited, audited


def test_retention_passes_what_state_is_rebuilt_from(lab):
    lab.topic("forgotten", 1)
    lab.send("forgotten", records(10))
    file = lab.write("forgetting", {"topic": "forgotten"}, {"out": {"topic": "forgetting-out"}},
                     dedup={"key": "id", "window": "unlimited"})
    lab.run(file)
    lab.send("forgotten", records(5, 10))
    delete_records(lab, "forgotten", 10)
    lab.run(file)  # The snapshot has it all.
    shutil.rmtree(lab.folder / "forgetting.state")
    refused = lab.run(file, status=REFUSED).stderr
    assert "source.offset_expired" in refused and "--accept-incomplete-state" in refused
    lab.send("forgotten", records(1, 14) + records(5, 15))
    lab.run(file, "--accept-incomplete-state")
    # Number 14 comes again: what knew it was given up.
    assert numbers(lab, "forgetting-out") == sorted([*range(20), 14])


def test_a_limit_that_is_lowered_under_the_run(lab):
    """The brokers refuse what was within the limit when it was read. It is judged again by the new one, with
    all that was open, and set aside; the run goes on."""
    lab.topic("heavy", 1)
    for topic in ("heavy-out", "heavy-dlq"):
        lab.topic(topic, 1)
    lab.send("heavy", records(3))
    file = lab.write("lifting", {"topic": "heavy"}, {"out": {"topic": "heavy-out"}},
                     dlq={"topic": "heavy-dlq"}, dedup={"key": "id", "window": "unlimited"})
    process = lab.start(file)
    until(lambda: is_written(lab, "heavy-out", 3))
    for topic in ("heavy-out", "heavy-dlq"):
        configure(lab, topic, max_message_bytes=2000)
    large = {"id": secrets.token_hex(5000), "n": 3}
    lab.send("heavy", [large, {"id": "m4", "n": 4}, large, *records(1)])
    until(lambda: is_written(lab, "heavy-out", 4))
    assert stop(process) == 0, lab.said(file)
    assert lab.said(file).count("warning: ") == 1 and "kafka.too_large" in lab.said(file), lab.said(file)
    assert numbers(lab, "heavy-out") == [0, 1, 2, 4]
    ran = lab.run(file).stdout
    assert "out: routed 5 = written 4 + rejected 1" in ran and "DUPLICATE 2" in ran, ran
    letters = KafkaTopic(lab.place, "heavy-dlq").batches(0)
    reasons = [dict(headers)["weir.reason"] for _, found in letters for _, _, headers in found]
    assert reasons == [b"sink.too_large"], reasons
    lab("audit", file)


def test_an_open_transaction_hides_what_is_behind_it(lab):
    """It is read when the transaction is over, in the order of the log; before that a run ends there."""
    lab.topic("hidden", 1)
    lab.send("hidden", records(3))
    file = lab.write("hiding", {"topic": "hidden"}, {"out": {"topic": "hiding-out"}})
    with closing(client().KafkaProducer(bootstrap_servers=lab.broker.bootstrap, acks="all",
                                        transactional_id="hides")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send("hidden", json.dumps(records(1, 3)[0]).encode(), partition=0)
        producer.flush()
        lab.send("hidden", records(3, 4))
        assert lab.run(file).stdout.startswith("in 3 ")
        process = lab.start(file)
        time.sleep(1)
        assert numbers(lab, "hiding-out") == [0, 1, 2]
        producer.commit_transaction()
    until(lambda: is_written(lab, "hiding-out", 7))
    assert stop(process) == 0
    assert numbers(lab, "hiding-out") == list(range(7))
    lab("audit", file)


# --- between two runs ---

def test_a_sink_made_anew_is_refused(lab):
    """Its rows are gone with the topic that it was; another topic goes on."""
    lab.topic("lasting", 1)
    lab.send("lasting", records(5))
    places = {"out": {"topic": "lasting-out"}}
    file = lab.write("lasting", {"topic": "lasting"}, places)
    lab.run(file)
    lab.run(file)
    delete(lab, "lasting-out")
    missing = lab.run(file, status=3).stderr
    assert "sink.missing_place" in missing
    lab.topic("lasting-out", 1)
    assert "sink.recreated" in lab.run(file, status=3).stderr
    lab.send("lasting", records(5, 5))
    lab.run(lab.write("lasting", {"topic": "lasting"}, {"out": {"topic": "lasting-out2"}}))
    assert numbers(lab, "lasting-out2") == list(range(5, 10))


def test_a_compacted_topic_takes_no_dead_letters(lab):
    lab.topic("lettered-once", 1)
    lab.topic("letters-compacted", 1, **{"cleanup.policy": "compact"})
    file = lab.write("letters-compacted", {"topic": "lettered-once"}, {"out": {"topic": "l-c-out"}},
                     dlq={"topic": "letters-compacted"})
    assert "sink.compacted" in lab.run(file, status=REFUSED).stderr


# --- processes ---

def test_processes_share_by_ranges(lab):
    """`assignment: range` is the older protocol: at every change all give all partitions away."""
    lab.topic("ranged", 4)
    file = lab.write("ranging", {"topic": "ranged", "assignment": "range"},
                     {"out": {"topic": "ranging-out"}}, dedup={"key": "id", "window": "unlimited"})
    processes = [lab.start(file)]
    for step in range(6):
        lab.send("ranged", records(100, 100 * step))
        if step in (1, 3):
            processes.append(lab.start(file))
        elif step == 4:
            processes.pop(0).kill()
        time.sleep(0.7)
    until(lambda: is_written(lab, "ranging-out", 600))
    assert [stop(process) for process in processes] == [0, 0], lab.said(file)
    assert "given to others" in lab.said(file) and "taken over" in lab.said(file)
    lab.run(file)
    assert numbers(lab, "ranging-out") == list(range(600))
    lab("audit", file)


# --- another plan ---

def test_plans_change_as_on_the_local_log(lab):
    """A sink comes, the schema becomes narrower, a sink goes: the same counts as on the local log, and
    audit judges each record under the plan that it came under."""
    few = {"type": "object", "required": ["id", "n"],
           "properties": {"id": {"type": "string"}, "n": {"type": "integer", "maximum": 24}}}
    plans = [({}, ["out"]), ({}, ["out", "more"]), ({"schema": few}, ["out", "more"]),
             ({"schema": few}, ["more"])]
    lab.topic("planned", 2)
    said = {}
    for where in ("kafka", "local"):
        def place(topic):
            return ({"topic": f"planned-{topic}"} if where == "kafka"
                    else {"local": {"path": "planned.db", "topic": f"planned-{topic}"}})
        source = {"topic": "planned"} if where == "kafka" else place("raw")
        said[where] = []
        for step, (more, sinks) in enumerate(plans):
            batch = records(10, 10 * step)
            if where == "kafka":
                lab.send("planned", batch)
            else:
                (lab.folder / "lines.ndjson").write_text(
                    "".join(json.dumps(record) + "\n" for record in batch))
                if step == 0:
                    lab("topic", "create", "local:planned.db#planned-raw", "--partitions", "2")
                lab("produce", "local:planned.db#planned-raw", "lines.ndjson", "--key", "id")
            file = lab.write(f"planned-{where}", source, {sink: place(sink) for sink in sinks},
                             dlq=place("dlq"), dedup={"key": "id", "window": "unlimited"}, **more)
            said[where].append(lab.run(file).stdout)
            lab("audit", file)
    assert said["kafka"] == said["local"]
    assert numbers(lab, "planned-more") == list(range(10, 25))
    assert numbers(lab, "planned-out") == list(range(25))
