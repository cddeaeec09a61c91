"""How the cost of a record grows with what there is more of: `script/bench growth`.

Each axis is measured at several points; a point is one process whose CPU time counts, less that of
a start that finds nothing. The table shows what a record (or a key) costs; "grows too fast" is said
where a step costs more than its axis allows, beyond noise.
"""
import base64
import json
import random
import shutil

import kafka_bench

# How much more than expected a step may cost: caches, and a busy machine.
NOISE = 1.35
SINKS = """
sinks:
  out:
    local: {path: growth.db, topic: out}
dlq:
  local: {path: growth.db, topic: letters}
"""
PIPELINE = """
version: 1
name: growth
source:
  local: {path: growth.db, topic: raw}
  format: json
""" + SINKS


def constant(_from, _to):
    """Not a part of the record: its cost must not depend on it."""
    return 1


def linear(x1, x2):
    """A part of the record, which may cost as much more as there is more of it."""
    return x2 / x1


def leaving_caches(_from, _to):
    """A table that no longer fits into one of the processor's caches: twice as much for each step."""
    return 2


class Axis:
    """What grows, and what a record costs at each point."""

    def __init__(self, title, unit, allowed):
        self.title, self.unit = title, unit
        self.allowed = allowed  # (from, to) -> how many times as much a record may cost
        self.points = []  # (value, records, µs of CPU a record, records a second of wall time)

    def add(self, value, records, cpu_s, wall_s):
        self.points.append((value, records, cpu_s / records * 1e6, records / wall_s))

    def complaints(self):
        for (x1, _, cost1, _), (x2, _, cost2, _) in zip(self.points, self.points[1:]):
            allowed = self.allowed(x1, x2)
            if cost2 / cost1 > allowed * NOISE:
                yield (f"{self.title}: from {x1:,} to {x2:,} a record costs {cost2 / cost1:.2f} times"
                       f" as much, {allowed:.2f} is allowed")


class Job:
    """A pipeline on a fresh copy of its input, less the time of a start."""

    def __init__(self, bench, run, data):
        self.bench, self.run, self.data = bench, run, data / "growth"
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)

    def remove(self):
        for path in self.data.glob("growth.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def produce(self, lines):
        self.remove()
        file = self.data / "input.ndjson"
        with file.open("w") as out:
            out.writelines(line + "\n" for line in lines)
        self.run([self.bench.weir, "produce", "local:growth.db#raw", file], self.data)
        file.unlink()

    def generate(self, records, partitions):
        self.remove()
        self.run([self.bench.weir, "gen", "local:growth.db#raw", "--count", records,
                  "--partitions", partitions, "--share", "all=0%"], self.data)

    def measure(self, text):
        """CPU and wall seconds of all records, less those of a second start, which finds nothing."""
        (self.data / "growth.yaml").write_text(text)
        command = [self.bench.weir, "run", "growth.yaml", "--until-end"]
        whole = self.run(command, self.data)
        start = self.run(command, self.data)
        return (max(whole.cpu_s - start.cpu_s, 1e-6), max(whole.wall_s - start.wall_s, 1e-6))


def schema(properties):
    required = list(properties)
    return f"schema: {json.dumps({'type': 'object', 'properties': properties, 'required': required})}\n"


def sensor_schema(root):
    return f"schema: {json.dumps(json.loads((root / 'examples/sensor.schema.json').read_text()))}\n"


def partitions(job, root, scale):
    axis = Axis("partitions", "", constant)
    records = 300_000 // scale
    for count in (1, 10, 100):
        job.generate(records, count)
        axis.add(count, records, *job.measure(PIPELINE + sensor_schema(root)))
    return axis


def field_value(rng, at):
    kind = at % 3
    if kind == 0:
        return round(rng.uniform(-1000, 1000), 2)
    return rng.randrange(1_000_000) if kind == 1 else base64.b64encode(rng.randbytes(9)).decode()


def fields(job, _root, scale):
    axis = Axis("fields", "", linear)
    rng = random.Random(5)
    types = ("number", "integer", "string")
    for count in (5, 50, 200):
        records = 1_500_000 // count // scale
        job.produce(json.dumps({f"f{i}": field_value(rng, i) for i in range(count)})
                    for _ in range(records))
        text = PIPELINE + schema({f"f{i}": {"type": types[i % 3]} for i in range(count)})
        axis.add(count, records, *job.measure(text))
    return axis


def checks(job, root, scale):
    axis = Axis("checks", "", linear)
    records = 300_000 // scale
    for count in (1, 10, 50):
        job.generate(records, 3)
        text = "checks:\n" + "".join(
            f"  - {{name: c{i}, expect: 'temperature > -{100 + i} + humidity / 5'}}\n"
            for i in range(count))
        axis.add(count, records, *job.measure(PIPELINE + sensor_schema(root) + text))
    return axis


def value_size(job, _root, scale):
    axis = Axis("bytes of a value", "B", linear)
    rng = random.Random(7)
    block = base64.b64encode(rng.randbytes(3 << 20)).decode()
    for size in (100, 1_000, 10_000, 100_000):
        records = min(300_000, 100_000_000 // size) // scale

        def line(size=size):
            at = rng.randrange(len(block) - size)
            return json.dumps({"id": rng.randrange(10**6), "text": block[at:at + size - 26]})
        job.produce(line() for _ in range(records))
        text = PIPELINE + schema({"id": {"type": "integer"}, "text": {"type": "string"}})
        axis.add(size, records, *job.measure(text))
    return axis


def processes(bench, run, data, scale):
    """Of one group on Kafka, beside their broker; None where there is none to be had."""
    axis = Axis("processes on Kafka", "", constant)

    def measure_group(kafka):
        kafka.fill(6_000_000 // scale, partitions=4)
        for count in (1, 2):
            axis.add(count, *kafka.of_a_group(count))
        return axis
    return kafka_bench.with_broker(bench, run, data, measure_group)


def keys(bench, run, thing, title, most):
    """Of the state alone, in memory."""
    axis = Axis(title, "", leaving_caches)
    for count in (100_000, 1_000_000, 10_000_000, 50_000_000):
        if count <= most:
            result = json.loads(run([bench.measure_program, thing, "--records", count]).output)
            axis.add(count, count, result["cpu_us"] / 1e6, result["wall_us"] / 1e6)
    return axis


def print_axis(axis):
    """A table and, beside it, what a record costs as a bar."""
    most = max(cost for _, _, cost, _ in axis.points)
    print(f"\n{axis.title:>20}  {'records':>12}  {'records/s':>12}  {'µs of CPU a record':>18}")
    for value, records, cost, rate in axis.points:
        bar = "█" * max(1, round(cost / most * 40))
        print(f"{value:>18,} {axis.unit:1}  {records:>12,}  {rate:>12,.0f}  {cost:>18.3f}  {bar}")


def measure(bench, run, data, root):
    """All axes, printed; returns the sentences about what grows too fast."""
    scale = 10 if bench.quick else 1
    job = Job(bench, run, data)
    axes = [make(job, root, scale) for make in (partitions, fields, checks, value_size)]
    most = 1_000_000 if bench.quick else 50_000_000
    axes += [keys(bench, run, "state-insert", "keys inserted", most),
             keys(bench, run, "state-find", "keys found", most)]
    shutil.rmtree(job.data, ignore_errors=True)
    axes += filter(None, [processes(bench, run, data, scale)])
    for axis in axes:
        print_axis(axis)
    worse = [complaint for axis in axes for complaint in axis.complaints()]
    print()
    print("\n".join(f"grows too fast: {w}" for w in worse) or "nothing grows worse than linear")
    return worse
