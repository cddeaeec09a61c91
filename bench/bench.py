"""Measures weir and references by turns, prints a table, writes JSON; script/bench starts it.

A measurement is a process: bench/measure for parts in memory and for the log, weir itself for the
whole job and for its start. Its CPU time (user and system) is its own, so other work on the machine
disturbs less than with elapsed time; of several repetitions the median counts, and minimum and
maximum are shown. Every thing and its references take turns, so that what disturbs meets them alike.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import growth
import kafka_bench
import mysql_bench
import postgres_bench
import service_bench

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build/bench"
DATA = OUT / "data"
EXPECTED = ROOT / "bench/expected.json"
# How much more a ratio may be before --check calls it slower: a busy machine moves them so far.
NOISE = 1.35
NAMES = ["decode", "stages", "state", "log", "producers", "job", "start", "service",
         "kafka", "postgres", "mysql"]


class Run:
    """One process that has ended: what it printed, and what it took."""

    def __init__(self, command, folder=ROOT):
        begun = time.monotonic()
        process = subprocess.Popen([str(word) for word in command], cwd=folder, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        self.wall_s = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{self.output}")
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.rss_bytes = usage.ru_maxrss * 1024


class Bench:
    def __init__(self, quick, weir, measure):
        self.quick = quick
        self.weir = weir
        self.measure_program = measure
        self.kafka_program = measure.with_name("kafka")
        self.mysql_program = measure.with_name("mysql_insert")
        self.names = []  # what was asked for by name
        self.asked = False  # whether kafka was named, so that it may not be left out
        self.samples = defaultdict(list)
        self.references = {}  # name -> names of its references
        self.rate_references = {}  # likewise, where records a second of wall time count too
        self.facts = defaultdict(dict)  # name -> what else is known of it, the greatest counts

    def add(self, name, records, cpu_s, wall_s, rss_bytes, **facts):
        self.samples[name].append((records, cpu_s, wall_s, rss_bytes))
        for key, value in facts.items():
            self.facts[name][key] = max(value, self.facts[name].get(key, 0))

    def measure(self, name, thing, records, **options):
        """One run of bench/measure."""
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        run = Run([self.measure_program, thing, "--records", records, *words])
        result = json.loads(run.output)
        facts = {"longest_ms": result["longest_us"] / 1e3} if result["longest_us"] else {}
        if thing.startswith("state-") and result["bytes"]:
            facts["state_bytes"] = result["bytes"]
        self.add(name, result["records"], result["cpu_us"] / 1e6, result["wall_us"] / 1e6,
                 run.rss_bytes, **facts)

    def has(self, thing):
        """Whether bench/measure was built with it: references are optional."""
        known = subprocess.run([self.measure_program], stderr=subprocess.PIPE, text=True,
                               check=False)
        return thing in known.stderr.split()

    def results(self):
        return {name: {**summary(samples), **self.facts[name]}
                for name, samples in self.samples.items()}


def spread(values):
    return {"min": min(values), "median": median(values), "max": max(values)}


def summary(samples):
    """Of all repetitions of one thing. A start is no record: it has times only."""
    result = {"repetitions": len(samples), "records": samples[0][0],
              "cpu_seconds": spread([cpu for _, cpu, _, _ in samples]),
              "wall_seconds": spread([wall for _, _, wall, _ in samples]),
              "peak_rss_bytes": max(rss for _, _, _, rss in samples)}
    if result["records"] > 1:
        result["cpu_seconds_per_million"] = spread([cpu / n * 1e6 for n, cpu, _, _ in samples])
        result["records_per_second"] = spread([n / wall for n, _, wall, _ in samples])
        # What one core would do that had nothing else to do and never waited for a disk.
        result["records_per_core_second"] = spread([n / max(cpu, 1e-9) for n, cpu, _, _ in samples])
    return result


# --- pipelines: the example, and variants of it ---


def without_block(text, key, indent=""):
    """The YAML without `key` of that indentation and all that belongs to it."""
    pattern = rf"^{indent}{key}:.*\n(?:(?:{indent}[ \t]+.*)?\n)*"
    shorter, count = re.subn(pattern, "", text, count=1, flags=re.MULTILINE)
    if count != 1:
        raise SystemExit(f"examples/iot.yaml has no '{key}' any more")
    return shorter


# Checks that no record breaks: what the name of the pipeline says evaluates them.
EXPRESSIONS = {
    "unchecked": [],
    "native": [f"temperature * 1.8 + {32 + i} > -200 + humidity / 5" for i in range(10)],
    "sqlite": [f"sensor_id NOT LIKE 'x{i}%'" for i in range(2)],
}


def write_pipelines(folder):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "examples/sensor.schema.json", folder)
    whole = (ROOT / "examples/iot.yaml").read_text()
    plain = without_block(whole, "transform")
    topic_only = without_block(whole, "readings", "  ")
    (folder / "iot.yaml").write_text(whole)
    (folder / "plain.yaml").write_text(plain)
    (folder / "topic.yaml").write_text(topic_only)
    bare = without_block(without_block(without_block(plain, "checks"), "dedup"), "repair")
    for name, expressions in EXPRESSIONS.items():
        checks = "".join(f'  - {{name: c{i}, expect: "{text}"}}\n'
                         for i, text in enumerate(expressions))
        (folder / f"{name}.yaml").write_text(bare + ("checks:\n" + checks if checks else ""))


# --- what is measured ---


# Records whose shape changes, by the name of the thing in bench/measure.
SHAPES = {"three shapes by turns": "decode-three", "members in random order": "decode-random",
          "escapes, long, nested": "decode-rich"}


def bench_decode(bench):
    records = 200_000 if bench.quick else 1_000_000
    slow = 65_536 if bench.quick else 131_072
    pipeline = DATA / "iot.yaml"
    jansson, simdjson = bench.has("decode-jansson"), bench.has("decode-simdjson")
    for _ in range(2 if bench.quick else 5):
        bench.measure("decode + contract", "decode", records, pipeline=pipeline)
        for name, thing in SHAPES.items():
            bench.measure(name, thing, records, pipeline=pipeline)
        bench.measure("memcpy of the input", "decode-memcpy", records)
        if jansson:
            bench.measure("jansson", "decode-jansson", slow)
        if simdjson:
            bench.measure("simdjson On-Demand", "decode-simdjson", records)
    bench.references["decode + contract"] = (
        ["memcpy of the input"] + ["jansson"] * jansson + ["simdjson On-Demand"] * simdjson)
    for name in SHAPES:
        bench.references[name] = ["decode + contract"]


def bench_stages(bench):
    records = 100_000 if bench.quick else 500_000
    for _ in range(1 if bench.quick else 3):
        bench.measure("stages", "stages", records, pipeline=DATA / "iot.yaml")
        bench.measure("stages without transform", "stages", records, pipeline=DATA / "plain.yaml")
        for name in EXPRESSIONS:
            bench.measure(f"checks: {name}", "stages", records, pipeline=DATA / f"{name}.yaml")


def bench_state(bench):
    """Keys of dedup: in the cache, far beyond it, and as snapshots of three partitions."""
    keys = 1_000_000 if bench.quick else 10_000_000
    folder = DATA / "snapshots"
    for _ in range(1 if bench.quick else 3):
        bench.measure("keys found, in the cache", "state-cached", 20_000_000)
        bench.measure("keys inserted", "state-insert", keys)
        bench.measure("keys found", "state-find", keys)
        bench.measure("bare random access", "state-bare", keys)
        bench.measure("snapshots of the keys", "state-copy", keys, path=folder)
        bench.measure("recovery of the keys", "state-recovery", keys, path=folder)
    for name in ("keys inserted", "keys found"):
        bench.references[name] = ["bare random access"]
    shutil.rmtree(folder, ignore_errors=True)


def bench_log(bench):
    records = 200_000 if bench.quick else 1_000_000
    log, bare = DATA / "log.db", DATA / "bare.db"
    for _ in range(1 if bench.quick else 3):
        bench.measure("log write", "log-write", records, path=log)
        bench.measure("bare SQLite append", "log-write-bare", records, path=bare)
        bench.measure("log read", "log-read", records, path=log)
        bench.measure("bare SQLite read", "log-read-bare", records, path=bare)
    bench.references["log write"] = ["bare SQLite append"]
    bench.references["log read"] = ["bare SQLite read"]
    remove_database(log)
    remove_database(bare)


def bench_producers(bench):
    commits = 30 if bench.quick else 150
    log, bare = DATA / "log.db", DATA / "bare.log"
    for _ in range(1 if bench.quick else 3):
        bench.measure("p99 of a commit beside nine", "producers", commits, path=log)
        bench.measure("p99 of a bare fsynced append", "append-fsync", commits, path=bare)
    bench.references["p99 of a commit beside nine"] = ["p99 of a bare fsynced append"]
    remove_database(log)
    remove_database(bare)


def remove_database(path):
    for ending in ("", "-wal", "-shm", "-lock"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    shutil.rmtree(f"{path}.state", ignore_errors=True)


def run_job(bench, name, pipeline, records):
    """The whole job on a fresh copy of the input; leaves the filled file behind."""
    database = DATA / "iot.db"
    remove_database(database)
    shutil.copy(DATA / "input.db", database)
    run = Run([bench.weir, "run", pipeline, "--until-end"], DATA)
    state = re.search(r"^state: ([\d,]+) bytes", run.output, re.MULTILINE)
    if state is None:
        raise SystemExit(f"weir run does not say how large its state is:\n{run.output}")
    bench.add(name, records, run.cpu_s, run.wall_s, run.rss_bytes,
              state_bytes=int(state.group(1).replace(",", "")))


def make_input(bench, name, records):
    database = DATA / name
    remove_database(database)
    Run([bench.weir, "gen", f"local:{database}#raw_iot_data", "--count", records])


def bench_job(bench):
    records = 100_000 if bench.quick else 1_000_000
    make_input(bench, "input.db", records)
    for _ in range(1 if bench.quick else 3):
        run_job(bench, "whole job", "iot.yaml", records)
        bench.measure("bare SQLite upsert", "table-upsert-bare", records, path=DATA / "iot.db")
        run_job(bench, "job without transform", "plain.yaml", records)
        run_job(bench, "job with the topic only", "topic.yaml", records)
    bench.references["whole job"] = ["bare SQLite upsert"]
    remove_database(DATA / "iot.db")
    remove_database(DATA / "input.db")


def bench_start(bench):
    make_input(bench, "input.db", 1)
    for _ in range(5 if bench.quick else 15):
        run_job(bench, "run of one record", "iot.yaml", 1)
        run = Run([bench.weir, "lint", "iot.yaml"], DATA)
        bench.add("lint", 1, run.cpu_s, run.wall_s, run.rss_bytes)
        run = Run(["true"], DATA)
        bench.add("a process that does nothing", 1, run.cpu_s, run.wall_s, run.rss_bytes)
    bench.references["run of one record"] = ["a process that does nothing"]
    remove_database(DATA / "iot.db")
    remove_database(DATA / "input.db")


def bench_service(bench):
    service_bench.measure(bench, Run, DATA, lambda: remove_database(DATA / service_bench.LOG))


def bench_kafka(bench):
    if not kafka_bench.measure(bench, Run, DATA) and bench.asked:
        raise SystemExit(1)


def bench_postgres(bench):
    if not postgres_bench.measure(bench, Run, DATA) and bench.names == ["postgres"]:
        raise SystemExit(1)


def bench_mysql(bench):
    if not mysql_bench.measure(bench, Run, DATA) and bench.names == ["mysql"]:
        raise SystemExit(1)


# --- what is shown ---


def ratios(bench, results):
    """What the thing needs through what the reference needs, of CPU or of time: below 1, weir needs
    less."""
    found = []
    for name, references in bench.references.items():
        for reference in references:
            of = "wall_seconds" if results[name]["records"] == 1 else "cpu_seconds_per_million"
            value = results[name][of]["median"] / max(results[reference][of]["median"], 1e-9)
            found.append({"name": name, "reference": reference, "of": of, "ratio": value})
    of = "records_per_second"
    for name, references in bench.rate_references.items():
        for reference in references:
            value = results[reference][of]["median"] / results[name][of]["median"]
            found.append({"name": name, "reference": reference, "of": of, "ratio": value})
    return found


def number(value):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{2 if value < 10 * size else 1}f} {letter}"
    return f"{value:.0f} "


def change(results, last, name, key):
    """How a median compares with that of last time."""
    before = last.get("results", {}).get(name, {}).get(key, {}).get("median")
    if not before:
        return ""
    return f"{(results[name][key]['median'] / before - 1) * 100:+.0f} %"


def print_table(bench, results, last):
    print(f"\n{'':28}{'records/s':>10}{'a core':>10}  {'CPU s per million (min, max)':29}"
          f"{'RSS':>8}{'of it state':>13}  {'last time':>9}")
    for name, r in results.items():
        if r["records"] == 1:
            continue
        cpu = r["cpu_seconds_per_million"]
        print(f"{name:28}{number(r['records_per_second']['median']):>10}"
              f"{number(r['records_per_core_second']['median']):>10}  "
              f"{cpu['median']:8.3f} {'(' + format(cpu['min'], '.3f') + ', ' + format(cpu['max'], '.3f') + ')':20}"
              f"{r['peak_rss_bytes'] / 2**20:6.0f} M"
              f"{format(r['state_bytes'] / 2**20, '11.0f') + ' M' if 'state_bytes' in r else '':>13}  "
              f"{change(results, last, name, 'cpu_seconds_per_million'):>9}")
    starts = {name: r for name, r in results.items() if r["records"] == 1 and "idle_percent" not in r}
    if starts:
        print(f"\n{'':28}{'ms':>10}  (min, max)")
    for name, r in starts.items():
        wall = r["wall_seconds"]
        print(f"{name:28}{wall['median'] * 1e3:10.1f}  "
              f"{'(' + format(wall['min'] * 1e3, '.1f') + ', ' + format(wall['max'] * 1e3, '.1f') + ')':16}"
              f"{change(results, last, name, 'wall_seconds'):>9}")
    print()
    for name, r in results.items():
        if "longest_ms" in r:
            print(f"{name}: {r['longest_ms']:.1f} ms is the longest that the flow waited")
        if "idle_percent" in r:
            print(f"{name}: {r['idle_percent']:.2f} % of a core")
        if name.startswith("keys inserted"):
            print(f"{name}: {r['state_bytes'] / r['records']:.0f} bytes a key")
    for name, expressions in EXPRESSIONS.items():
        if expressions and f"checks: {name}" in results:
            cost = [results[f"checks: {n}"]["cpu_seconds_per_million"]["median"]
                    for n in (name, "unchecked")]
            rate = len(expressions) * 1e6 / max(cost[0] - cost[1], 1e-9)
            print(f"checks: {name}: {number(rate)} rows/s a core for one expression alone")
    for ratio in ratios(bench, results):
        what = "CPU time" if ratio["of"] == "cpu_seconds_per_million" else "time"
        print(f"{ratio['name']}: {ratio['ratio']:.3g} times the {what} of: {ratio['reference']}")
    for name, r in results.items():
        for line in kafka_bench.sentences(r):
            print(f"{name}: {line}")
    print()


def slower(found, expected):
    """Sentences about ratios that are worse than the committed ones beyond noise."""
    known = {(e["name"], e["reference"], e.get("of")): e["ratio"] for e in expected}

    def key(ratio):
        return (ratio["name"], ratio["reference"],
                "records_per_second" if ratio["of"] == "records_per_second" else None)
    compared = [(r, known[key(r)]) for r in found if key(r) in known]
    if not compared:
        return ["nothing that was measured has a committed ratio"]
    return [f"{r['name']}: {r['ratio']:.3g} times {r['reference']}, {before:.3g} is committed"
            for r, before in compared if r["ratio"] > before * NOISE]


def check(found, quick):
    """Exit status 1 where something became slower."""
    complaints = slower(found, read_last(EXPECTED).get("quick" if quick else "whole", []))
    for complaint in complaints:
        print(f"slower: {complaint}")
    if not complaints:
        print(f"nothing is slower than committed by more than {NOISE - 1:.0%}")
    return 1 if complaints else 0


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit():
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True,
                          check=False)
    return done.stdout.strip()


def read_last(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.replace(path)


# --- instructions ---


def count_instructions(command, folder):
    """Instructions by function, all threads, under callgrind."""
    out = DATA / "callgrind.out"
    Run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *command], folder)
    text = Run(["callgrind_annotate", "--threshold=100", out]).output
    counts = defaultdict(int)
    for line in text.splitlines():
        found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(\S+):(\S+)", line)
        if found:
            counts[found.group(3)] += int(found.group(1).replace(",", ""))
    out.unlink()
    return counts


def bench_instructions(bench):
    """The whole job, once on one record and once on many: what a record costs is the difference."""
    if shutil.which("valgrind") is None:
        raise SystemExit("--instructions needs valgrind")
    records = 20_000 if bench.quick else 100_000
    totals = []
    for count in (1, records):
        remove_database(DATA / "iot.db")
        make_input(bench, "iot.db", count)
        totals.append(count_instructions([bench.weir, "run", "iot.yaml", "--until-end"], DATA))
    remove_database(DATA / "iot.db")
    start, whole = totals
    per_record = {name: (n - start.get(name, 0)) / records for name, n in whole.items()}
    print(f"\na start: {number(sum(start.values()))}instructions; "
          f"a record: {sum(per_record.values()):,.0f}, of them in\n")
    for name, n in sorted(per_record.items(), key=lambda item: -item[1])[:40]:
        print(f"{n:10,.0f}  {name}")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES) + "; growth, alone")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--json", type=Path, help="also write the result there")
    parser.add_argument("--instructions", action="store_true",
                        help="the job's machine instructions, by function, instead of times")
    parser.add_argument("--check", action="store_true",
                        help="exit 1 if a ratio is worse than in bench/expected.json")
    parser.add_argument("--build", type=Path, help="measure this build folder, and build nothing")
    options = parser.parse_args()
    for name in options.names:
        if name not in [*NAMES, "growth"]:
            parser.error(f"nothing is called '{name}': {', '.join(NAMES)}, growth")
    if "growth" in options.names and len(options.names) > 1:
        parser.error("growth is measured alone")
    return options


def build(folder):
    if folder is None:
        folder = ROOT / "build/release"
        subprocess.run(["script/build", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        targets = subprocess.run(["ninja", "-C", folder, "-t", "targets", "all"], check=True,
                                 capture_output=True, text=True).stdout
        # Without its library there is no module of a connector, and nothing to measure of it.
        more = [name for name in ("bench/kafka", "bench/mysql_insert") if f"\n{name}:" in targets]
        subprocess.run(["ninja", "-C", folder, "--quiet", "bench/measure", *more], check=True,
                       stdout=sys.stderr)
    folder = folder.resolve()
    return folder / "src/cli/weir", folder / "bench/measure"


def main():
    options = parse_arguments()
    # Before the first thread or process: what is running is then what was measured.
    weir, measure = build(options.build)
    bench = Bench(options.quick, weir, measure)
    bench.asked = "kafka" in options.names
    bench.names = options.names
    write_pipelines(DATA)
    if options.instructions:
        bench_instructions(bench)
        return 0
    if options.names == ["growth"]:
        return 1 if growth.measure(bench, Run, DATA, ROOT) and options.check else 0
    for name in NAMES:
        if name in (options.names or NAMES):
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            globals()[f"bench_{name}"](bench)
    results = bench.results()
    # What less was measured of is compared with its like.
    latest = OUT / ("latest-quick.json" if options.quick else "latest.json")
    last = read_last(latest)
    print_table(bench, results, last)
    report = {"made": datetime.now(timezone.utc).isoformat(timespec="seconds"), "commit": commit(),
              "quick": options.quick, "processor": processor(), "cores": os.cpu_count(),
              "results": results, "ratios": ratios(bench, results)}
    # What was not measured this time is kept as it was.
    kept = {name: r for name, r in last.get("results", {}).items() if name not in results}
    write_json(latest, {**report, "results": {**kept, **results}})
    if options.json:
        write_json(options.json, report)
    return check(report["ratios"], options.quick) if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
