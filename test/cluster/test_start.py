"""Where the first start begins in a topic."""
import time
from datetime import datetime, timezone

from checker.kafka_topic import KafkaTopic
from cluster.lab import Lab, records


def values(lab, topic):
    found = KafkaTopic(lab.place, topic)
    return sorted(value for partition in range(found.partitions)
                  for _, [(_, value, _)] in found.batches(partition))


def numbers(lab, topic):
    return sorted(int(value.split(b'"n": ')[1].rstrip(b"}")) for value in values(lab, topic))


def test_a_start_at_a_time(broker, weir, tmp_path):
    lab = Lab(broker, weir, tmp_path)
    lab.topic("timed", 2)
    first_s = int(time.time()) - 3600
    lab.send("timed", records(10), first_ms=first_s * 1000, step_ms=1000)

    def written(second):
        return datetime.fromtimestamp(second, timezone.utc).isoformat().replace("+00:00", "Z")
    for name, start, expected in (
            ("at", written(first_s + 4), range(4, 10)),
            # Between two records; partition 0 has none from there on: it begins at its end.
            ("last", written(first_s + 8.5), range(9, 10))):
        file = lab.write(f"timed-{name}", {"topic": "timed", "start": start},
                         {"out": {"topic": f"timed-{name}-out"}})
        lab.run(file)
        assert numbers(lab, f"timed-{name}-out") == list(expected), name
    assert "audited 1 records" in lab("audit", file).stdout


def test_start_is_for_the_first_one_only(broker, weir, tmp_path):
    lab = Lab(broker, weir, tmp_path)
    lab.topic("timed-once", 1)
    lab.send("timed-once", records(4))
    place = {"out": {"topic": "timed-once-out"}}
    file = lab.write("once", {"topic": "timed-once", "start": "latest"}, place)
    assert lab.run(file).stdout.startswith("in 0 ")
    lab.send("timed-once", records(3, 4))
    said = lab.run(lab.write("once", {"topic": "timed-once", "start": "2020-01-01T00:00:00Z"}, place))
    assert said.stdout.startswith("in 3 ")
    assert numbers(lab, "timed-once-out") == [4, 5, 6]


def test_another_word_is_refused(broker, weir, tmp_path):
    lab = Lab(broker, weir, tmp_path)
    file = lab.write("wrong", {"topic": "timed", "start": "yesterday"}, {"out": {"topic": "wrong"}})
    said = lab("lint", file, status=2).stderr
    assert "config.value" in said and "2026-01-31T12:00:00Z" in said
