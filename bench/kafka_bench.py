"""script/bench kafka: weir from Kafka to Kafka beside a bare transactional copy (bench/kafka_copy.c),
on one broker that it starts itself.

Records a second are those between the first and the last record that the broker appended to the
output, for weir and the copy alike; CPU and RSS are of the whole process, start and stop included.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "script/services"), str(ROOT / "test")]

COPY = "bare Kafka copy"
PLAIN = "Kafka, no stage"
JOB = "Kafka, IoT job"
PARTITIONS = 3
RATES = (1_000, 50_000)
# So that latency is measured of a run that stands, not of its start.
SETTLE_S = 3
JOIN_S = 30


def measure(bench, run, folder):
    """False, having said why, where there is no broker to be had."""
    return with_broker(bench, run, folder, KafkaBench.measure_all) is not None


def with_broker(bench, run, folder, use):
    """What `use` returns of a KafkaBench, whose broker lives as long; None, having said why, where
    there is none to be had."""
    from checker import kafka_topic
    from kafka_cluster import Cluster, Unavailable
    if not bench.kafka_program.exists():
        print("kafka is left out: this build has no librdkafka", file=sys.stderr)
        return None
    try:
        kafka_topic.client()
        cluster = Cluster(folder / "kafka").start()
    except (ImportError, Unavailable) as error:
        print(f"kafka is left out: {error}", file=sys.stderr)
        return None
    try:
        return use(KafkaBench(bench, run, folder, cluster.bootstrap, kafka_topic.make_topic))
    finally:
        cluster.stop()


def sentences(result):
    """What a table has no column for."""
    for rate in RATES:
        if f"latency_{rate}_p50_ms" in result:
            yield (f"{result[f'latency_{rate}_p50_ms']} ms from broker to read_committed at {rate:,} "
                   f"records/s, p99 {result[f'latency_{rate}_p99_ms']} ms")
    if "first_ms" in result:
        yield f"{result['first_ms']:.0f} ms from the joined group to the first record at the broker"
    if "stop_ms" in result:
        yield f"{result['stop_ms']:.0f} ms to stop"


class KafkaBench:
    def __init__(self, bench, run, folder, brokers, make_topic):
        self.bench = bench
        self.run = run
        self.folder = folder
        self.brokers = brokers
        self.make_topic = make_topic
        self.number = 0
        self.records = 0

    def topic(self, name, stamped_by="LogAppendTime", partitions=PARTITIONS):
        self.make_topic("kafka://" + self.brokers, name, partitions,
                        **{"message.timestamp.type": stamped_by})
        return name

    def program(self, *words):
        return self.run([self.bench.kafka_program, words[0], self.brokers, *words[1:]])

    def pipeline(self, name, kind, source, sink):
        """Writes one that reads and writes these topics."""
        if kind == JOB:
            text = (ROOT / "examples/kafka.yaml").read_text()
            for old, new in (("localhost:9092", self.brokers), ("raw_iot_data", source),
                             ("validated_iot_data", sink), ("dlq_iot_data", f"{sink}-dlq")):
                text = text.replace(old, new)
            text = re.sub(r"^name: .*", f"name: {name}", text, flags=re.MULTILINE)
        else:
            text = (f"version: 1\nname: {name}\n"
                    f"connections: {{kafka: {{kafka: {{brokers: ['{self.brokers}']}}}}}}\n"
                    f"source: {{kafka: {{connection: kafka, topic: {source}, start: earliest}}, format: json}}\n"
                    "schema: {type: object}\n"
                    f"sinks: {{out: {{kafka: {{connection: kafka, topic: {sink}}}}}}}\n"
                    "delivery: {guarantee: exactly_once, commit_interval: 100ms}\n")
        (self.folder / f"{name}.yaml").write_text(text)
        return f"{name}.yaml"

    def fill(self, records, partitions=PARTITIONS):
        """The workload, but for the records that are no JSON at all."""
        database = self.folder / "kafka-input.db"
        for ending in ("", "-wal", "-shm", "-lock"):
            Path(f"{database}{ending}").unlink(missing_ok=True)
        self.run([self.bench.weir, "gen", f"local:{database}#raw", "--count", records,
                  "--partitions", PARTITIONS])
        self.topic("raw", partitions=partitions)
        text = (self.folder / self.pipeline("fill", PLAIN, "raw", "raw")).read_text()
        text = re.sub(r"source: .*", f"source: {{local: {{path: {database.name}, topic: raw}}, format: json}}",
                      text)
        (self.folder / "fill.yaml").write_text(text)
        self.run([self.bench.weir, "run", "fill.yaml", "--until-end"], self.folder)
        self.records = json.loads(self.program("span", "raw").output)["records"]

    def copy(self, sink):
        return self.program("copy", "raw", sink, self.records)

    def once(self, kind):
        self.number += 1
        sink = self.topic(f"out-{self.number}")
        facts = {}
        if kind == COPY:
            done = self.copy(sink)
        else:
            file = self.pipeline(f"bench-{self.number}", kind, "raw", sink)
            done = self.run([self.bench.weir, "run", file, "--until-end"], self.folder)
            state = re.search(r"^state: ([\d,]+) bytes", done.output, re.MULTILINE)
            facts["state_bytes"] = int(state.group(1).replace(",", ""))
        span = json.loads(self.program("span", sink).output)
        self.bench.add(kind, self.records, done.cpu_s, span["milliseconds"] / 1e3, done.rss_bytes,
                       **facts)

    def stop(self, process):
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        if process.returncode != 0:
            raise SystemExit(f"weir run: exit {process.returncode}\n{said}")
        return (time.monotonic() - begun) * 1e3

    def start(self, file):
        """A run, when its group has given it the partitions."""
        process = subprocess.Popen([self.bench.weir, "run", file], cwd=self.folder, text=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for line in process.stderr:
            if "taken over" in line:
                return process, time.time() * 1e3
        raise SystemExit(f"weir run {file} has ended: {process.wait()}")

    def latency(self, kind, rate, seconds):
        """Of one record, and how long a stop takes when all is done."""
        self.number += 1
        source = self.topic(f"in-{self.number}")
        sink = self.topic(f"out-{self.number}", "CreateTime")
        process, _ = self.start(self.pipeline(f"bench-{self.number}", kind, source, sink))
        time.sleep(SETTLE_S)
        took = json.loads(self.program("pace", "raw", source, sink, rate, seconds).output)
        facts = self.bench.facts[kind]
        for name in ("p50_ms", "p99_ms"):
            facts[f"latency_{rate}_{name}"] = took[name]
        facts["stop_ms"] = max(facts.get("stop_ms", 0), self.stop(process))

    def first_record(self, kind):
        """Of a second start, as most are: the first one makes topics."""
        self.number += 1
        source, sink = self.topic(f"in-{self.number}"), self.topic(f"out-{self.number}")
        file = self.pipeline(f"bench-{self.number}", kind, source, sink)
        self.run([self.bench.weir, "run", file, "--until-end"], self.folder)
        feeder = self.pipeline(f"feed-{self.number}", PLAIN, "raw", source)
        self.run([self.bench.weir, "run", feeder, "--until-end"], self.folder)
        process, joined_ms = self.start(file)
        time.sleep(SETTLE_S)
        self.stop(process)
        first_ms = json.loads(self.program("span", sink).output)["first_ms"]
        facts = self.bench.facts[kind]
        facts["first_ms"] = max(facts.get("first_ms", 0), first_ms - joined_ms)

    def of_a_group(self, processes):
        """The job by so many processes of one group, counted since the last of them has its partitions:
        records of the input, CPU seconds of all, seconds that all records take at the rate seen."""
        self.number += 1
        sink = self.topic(f"out-{self.number}")
        file = self.pipeline(f"bench-{self.number}", JOB, "raw", sink)
        members = [subprocess.Popen([self.bench.weir, "run", file, "--until-end"], cwd=self.folder,
                                    stdout=subprocess.DEVNULL,
                                    stderr=(self.folder / f"member-{at}").open("w"))
                   for at in range(processes)]
        begun = time.monotonic()
        while not all("taken over" in (self.folder / f"member-{at}").read_text()
                      for at in range(processes)):
            if time.monotonic() - begun > JOIN_S:
                raise SystemExit(f"not all of {processes} processes have joined in {JOIN_S} s")
            time.sleep(0.02)
        since_ms = int(time.time() * 1e3)
        cpu_s = 0
        for member in members:
            _, status, usage = os.wait4(member.pid, 0)
            member.returncode = os.waitstatus_to_exitcode(status)
            if member.returncode != 0:
                raise SystemExit(f"weir run {file}: exit {member.returncode}")
            cpu_s += usage.ru_utime + usage.ru_stime
        span = json.loads(self.program("span", sink, since_ms).output)
        if span["records"] < self.records / 4:
            raise SystemExit(f"too little was left when {processes} processes had joined")
        wall_s = span["milliseconds"] / 1e3 * self.records / span["records"]
        return self.records, cpu_s, wall_s

    def measure_all(self):
        quick = self.bench.quick
        self.fill(200_000 if quick else 1_500_000)
        for _ in range(2 if quick else 5):
            for kind in (COPY, PLAIN, JOB):
                self.once(kind)
        for kind in (PLAIN, JOB):
            self.bench.references[kind] = [COPY]
            self.bench.rate_references[kind] = [COPY]
        for rate in RATES:
            self.latency(JOB, rate, 3 if quick else 12)
        self.first_record(JOB)
        return self
