"""What is felt of a run that goes on and on: idle CPU, the latency of single records, the stop.

examples/iot.yaml on the embedded log. Latency is from the log's timestamp of the input, which has
milliseconds, until `weir tail --follow` has printed the record as it went out, so the tool's own
time is in it.
"""
import json
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import quantiles

LOG = "iot.db"
INPUT = f"local:{LOG}#raw_iot_data"
OUTPUT = f"local:{LOG}#validated_iot_data"
RATE = 100


@contextmanager
def started(command, folder, **options):
    process = subprocess.Popen([str(word) for word in command], cwd=folder, text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def cpu_s(process):
    """Of all its threads; /proc/PID/stat counts in hundredths of a second, which is too coarse."""
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def generate(bench, run, folder, records, *options):
    """Clean records, which are all delivered."""
    run([bench.weir, "gen", INPUT, "--count", records, "--share", "all=0%", *options], folder)


def latency_s(line):
    sent = datetime.fromisoformat(json.loads(line)["timestamp"].replace("Z", "+00:00"))
    return max(time.time() - sent.timestamp(), 0)


def next_latencies(tail, count):
    """The latencies of the next records that come out."""
    return [latency_s(tail.stdout.readline()) for _ in range(count)]


def stop(process):
    """Seconds from SIGTERM until the process is gone."""
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    if process.wait(60) != 0:
        raise SystemExit("weir run did not stop cleanly")
    return time.monotonic() - begun


def measure_flow(bench, run, folder):
    """Latency, then idleness, then a stop with nothing to do."""
    records = RATE * (5 if bench.quick else 30)
    generate(bench, run, folder, 1)
    run([bench.weir, "run", "iot.yaml", "--until-end"], folder)  # makes the topic to look at
    with started([bench.weir, "run", "iot.yaml"], folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as weir, \
            started([bench.weir, "tail", OUTPUT, "--follow", "--json"], folder,
                    stdout=subprocess.PIPE) as tail:
        next_latencies(tail, 1)
        with started([bench.weir, "gen", INPUT, "--count", records, "--share", "all=0%", "--seed", "2",
                      "--start", "2026-01-02T00:00:00Z", "--rate", RATE], folder,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            latencies = sorted(next_latencies(tail, records))
        tail.kill()
        cuts = quantiles(latencies, n=100)
        for name, value in (("p50", cuts[49]), ("p99", cuts[98])):
            bench.add(f"{name} of latency, {RATE}/s", 1, 0, value, 0)
        idle_s = 3 if bench.quick else 20
        time.sleep(1)  # what the last records left to do: a checkpoint, a merge
        before = cpu_s(weir)
        time.sleep(idle_s)
        bench.add("idle", 1, 0, idle_s, 0, idle_percent=(cpu_s(weir) - before) / idle_s * 100)
        bench.add("stop of an idle run", 1, 0, stop(weir), 0)


def measure_stop(bench, run, folder, remove):
    """A stop in the middle of as much work as there can be."""
    remove()
    generate(bench, run, folder, 300_000)
    with started([bench.weir, "run", "iot.yaml"], folder, stderr=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL) as weir:
        time.sleep(0.3)
        bench.add("stop of a busy run", 1, 0, stop(weir), 0)


def measure(bench, run, folder, remove):
    """`remove` takes the log of the measurement before away."""
    for _ in range(1 if bench.quick else 3):
        remove()
        measure_flow(bench, run, folder)
    for _ in range(3 if bench.quick else 9):
        measure_stop(bench, run, folder, remove)
    remove()
