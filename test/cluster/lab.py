"""A folder with pipelines whose places are topics of a real broker, and weir to work on them."""
import json
import subprocess
import time

from kafka_cluster import tool

from checker.kafka_topic import client, make_topic

SCHEMA = {"type": "object",
          "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}, "required": ["id", "n"]}


class Lab:
    def __init__(self, broker, weir, folder):
        self.broker, self.weir, self.folder = broker, weir, folder
        self.place = "kafka://" + broker.bootstrap
        (folder / "schema.json").write_text(json.dumps(SCHEMA))

    def write(self, name, source, sinks, **more):
        """NAME.yaml; places are those of weir, {"topic": …} is one of the broker."""
        def there(place):
            return {"kafka": {"connection": "k", **place}} if "topic" in place else place
        source = dict(source)
        options = {key: source.pop(key) for key in ("format", "tombstones") if key in source}
        if "dlq" in more:
            more["dlq"] = {**there(more["dlq"])}
        properties = {"session.timeout.ms": 2500, "heartbeat.interval.ms": 500}
        pipeline = {
            "version": 1, "name": name,
            "connections": {"k": {"kafka": {"brokers": [self.broker.bootstrap],
                                            "properties": properties}}},
            "source": {**there(source), "format": "json", **options}, "schema": "schema.json",
            "sinks": {sink: there(place) for sink, place in sinks.items()}, **more}
        (self.folder / f"{name}.yaml").write_text(json.dumps(pipeline, indent=1))
        return f"{name}.yaml"

    def topic(self, name, partitions=1, **config):
        make_topic(self.place, name, partitions, **config)
        return name

    def send(self, topic, records, partition=None, first_ms=None, step_ms=1):
        """Dicts as JSON, keyed by their id; partition: of all of them, else by turns."""
        producer = client().KafkaProducer(bootstrap_servers=self.broker.bootstrap, acks="all",
                                          linger_ms=20)
        try:
            count = len(producer.partitions_for(topic))
            first_ms = first_ms or int(time.time() * 1000)
            for number, record in enumerate(records):
                producer.send(topic, json.dumps(record).encode(), record["id"].encode(),
                              partition=number % count if partition is None else partition,
                              timestamp_ms=first_ms + number * step_ms)
            producer.flush()
        finally:
            producer.close()

    def __call__(self, *arguments, status=0):
        done = subprocess.run([self.weir, *arguments], cwd=self.folder, capture_output=True, text=True,
                              timeout=120)
        assert done.returncode == status, done
        return done

    def run(self, file, *arguments, status=0):
        return self("run", file, "--until-end", *arguments, status=status)

    def start(self, file):
        with open(self.folder / f"{file}.said", "ab") as said:
            return subprocess.Popen([self.weir, "run", file], cwd=self.folder, stdout=said, stderr=said)

    def said(self, file):
        return (self.folder / f"{file}.said").read_text()

    def tool(self, *arguments):
        return tool(*arguments)


def records(count, first=0):
    return [{"id": f"m{number}", "n": number} for number in range(first, first + count)]


def until(what, seconds=60):
    """Waits for a condition; its last value."""
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.1)
    assert found
    return found
