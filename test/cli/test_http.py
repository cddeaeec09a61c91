"""`http:` in a pipeline file: metrics, health and the page of a run, as Prometheus and people see them."""
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest


class Run:
    """`weir run` in the background; its lines on stderr go to a file."""

    def __init__(self, program, pipeline="iot.yaml", *options):
        self.errors_path = program.folder / "errors"
        with open(self.errors_path, "wb") as errors:
            self.process = program.start("run", pipeline, *options, stderr=errors)
        end = time.monotonic() + 30
        while not (found := re.search(r"listening on (http://\S+)", self.errors())):
            assert self.process.poll() is None and time.monotonic() < end, self.errors()
            time.sleep(0.01)
        self.url = found[1]

    def errors(self):
        return self.errors_path.read_text()

    def ask(self, path):
        """Status and body."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def get(self, path, status=200):
        answer = self.ask(path)
        assert answer[0] == status, answer
        return answer[1]

    def metrics(self):
        """Name → {labels as a sorted tuple: value}."""
        found = {}
        for line in self.get("metrics").splitlines():
            if not line.startswith("#"):
                name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
                pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
                found.setdefault(name, {})[tuple(sorted(pairs))] = float(value)
        return found

    def ready(self):
        status, text = self.ask("ready")
        health = json.loads(text)
        assert status == (200 if health["ready"] else 503)
        return health

    def stop(self, status=0):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == status, (self.process.returncode, self.errors())
        return out


def total(metrics, name, **labels):
    return sum(value for key, value in metrics[name].items() if set(labels.items()) <= set(key))


def by(metrics, name, label):
    """Sums by one label, without those that are 0."""
    sums = {}
    for key, value in metrics[name].items():
        sums[dict(key)[label]] = sums.get(dict(key)[label], 0) + value
    return {key: value for key, value in sums.items() if value != 0}


@pytest.fixture
def observed(iot):
    """examples/iot.yaml with http and 3,000 records."""
    path = iot.folder / "iot.yaml"
    path.write_text(path.read_text() + "http: {listen: 127.0.0.1:0}\n")
    iot("gen", "local:iot.db#raw_iot_data", "--count", 3000, "--partitions", 2)
    return iot


def committed(run, count):
    """While it starts, there is no such metric yet."""
    metrics = run.metrics()
    return "weir_records_total" in metrics and total(metrics, "weir_records_total") >= count


def balanced(metrics):
    """The laws of the ledger, at whatever moment."""
    assert total(metrics, "weir_records_total") == total(metrics, "weir_verdicts_total")
    for sink, routed in by(metrics, "weir_sink_routed_rows_total", "sink").items():
        assert routed == total(metrics, "weir_sink_written_rows_total", sink=sink) + \
            total(metrics, "weir_sink_rejected_rows_total", sink=sink)
    not_valid = total(metrics, "weir_verdicts_total") - \
        total(metrics, "weir_verdicts_total", verdict="valid")
    assert total(metrics, "weir_violations_total") == not_valid


def test_the_metrics_are_the_ledger(observed, wait_until):
    run = Run(observed)
    wait_until(lambda: committed(run, 3000))
    # The state is looked at twice a second.
    wait_until(lambda: total(run.metrics(), "weir_state_bytes") > 0)
    metrics = run.metrics()
    balanced(metrics)
    run.stop()
    ledger = json.loads(observed("run", "iot.yaml", "--until-end", "--json").out)
    assert total(metrics, "weir_records_total") == ledger["in"] == 3000
    assert total(metrics, "weir_record_bytes_total") == ledger["in_bytes"]
    assert by(metrics, "weir_verdicts_total", "verdict") == ledger["verdicts"]
    assert by(metrics, "weir_violations_total", "reason") == ledger["reasons"]
    assert by(metrics, "weir_check_warnings_total", "check") == ledger["warnings"]
    assert by(metrics, "weir_repaired_cells_total", "kind") == ledger["repairs"]
    for kind in ("routed", "written", "rejected"):
        assert by(metrics, f"weir_sink_{kind}_rows_total", "sink") == \
            {name: sink[kind] for name, sink in ledger["sinks"].items() if sink[kind] != 0}
    assert total(metrics, "weir_lag_records") == total(metrics, "weir_lag_seconds") == 0
    assert total(metrics, "weir_end_offset") == total(metrics, "weir_committed_offset") == 3000
    assert total(metrics, "weir_read_records_total") == 3000
    assert 0 < total(metrics, "weir_state_bytes") < total(metrics, "weir_state_limit_bytes")
    assert total(metrics, "weir_state_keys") > 1000
    assert total(metrics, "weir_commit_duration_seconds_count") > 0
    assert total(metrics, "weir_watermark_timestamp_seconds") == pytest.approx(
        total(metrics, "weir_event_time_timestamp_seconds") - 2 * 600)
    assert total(metrics, "process_resident_memory_bytes") > 1e6
    assert abs(total(metrics, "process_start_time_seconds") - time.time()) < 60


def test_counts_go_on_over_a_restart(observed, wait_until):
    observed("run", "iot.yaml", "--until-end")
    run = Run(observed)
    wait_until(lambda: run.ready()["ready"])
    metrics = run.metrics()
    assert total(metrics, "weir_records_total") == 3000
    assert total(metrics, "weir_read_records_total") == 0
    balanced(metrics)
    observed("gen", "local:iot.db#raw_iot_data", "--count", 100, "--seed", 5)
    wait_until(lambda: committed(run, 3100))
    balanced(run.metrics())
    run.stop()


def test_every_scrape_balances_while_it_works(observed):
    observed("gen", "local:iot.db#raw_iot_data", "--count", 30000, "--seed", 7)
    run = Run(observed)
    seen = set()
    while not committed(run, 33000):
        metrics = run.metrics()
        if "weir_records_total" not in metrics:
            continue
        balanced(metrics)
        seen.add(total(metrics, "weir_records_total"))
    assert len(seen) > 1
    run.stop()


@pytest.fixture(scope="session")
def promtool(tmp_path_factory):
    """From PATH, or out of the distribution's package."""
    found = shutil.which("promtool")
    if found:
        return found
    folder = tmp_path_factory.mktemp("promtool")
    if not shutil.which("apt-get") or subprocess.run(
            ["apt-get", "download", "prometheus"], cwd=folder, capture_output=True,
            timeout=120).returncode != 0:
        pytest.skip("no promtool, and no package prometheus can be downloaded")
    package = next(folder.glob("prometheus_*.deb"))
    subprocess.run(f"dpkg-deb --fsys-tarfile {package} | tar -x ./usr/bin/promtool", cwd=folder,
                   shell=True, check=True)
    package.unlink()
    return folder / "usr/bin/promtool"


def test_promtool_has_nothing_to_say(observed, wait_until, promtool):
    run = Run(observed)
    wait_until(lambda: committed(run, 3000))
    text = run.get("metrics")
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True)
    assert done.returncode == 0 and done.stdout + done.stderr == b"", done
    run.stop()


def test_health_and_page(observed, wait_until):
    run = Run(observed)
    wait_until(lambda: committed(run, 3000))
    assert run.get("live") == "alive\n"
    assert run.ready() == {"ready": True, "phase": "running", "since": run.ready()["since"],
                           "causes": []}
    page = run.get("")
    assert "http-equiv=\"refresh\"" in page and ">ready<" in page
    assert "raw_iot_data" in page and "validated" in page and "commit duration seconds" in page
    run.get("nothing", status=404)
    run.get("resume", status=405)
    run.stop()


def test_a_port_that_is_taken(observed):
    with socket.create_server(("127.0.0.1", 0)) as other:
        path = observed.folder / "iot.yaml"
        path.write_text(path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{other.getsockname()[1]}"))
        result = observed("run", "iot.yaml", "--until-end", status=3)
    assert "socket.in_use" in result.err and "take another port" in result.err


@pytest.mark.parametrize("listen, hint", [
    ("nowhere:1", "IP address and a port"), ("127.0.0.1", "IP address and a port"),
    ("127.0.0.1:99999", "IP address and a port"), ("9600", "put quotes around it"),
])
def test_an_address_that_is_none(observed, listen, hint):
    path = observed.folder / "iot.yaml"
    path.write_text(path.read_text().replace("127.0.0.1:0", listen))
    assert hint in observed("lint", "iot.yaml", status=2).err


def test_everybody_s_address_is_warned_of(observed):
    path = observed.folder / "iot.yaml"
    path.write_text(path.read_text().replace("127.0.0.1:0", "0.0.0.0:0"))
    result = observed("run", "iot.yaml", "--until-end")
    assert "warning: http.listen is 0.0.0.0: whoever reaches that address" in result.err


def test_it_is_no_part_of_the_plan(observed):
    with_http = observed("lint", "iot.yaml").out
    path = observed.folder / "iot.yaml"
    path.write_text(path.read_text().replace("http:", "# http:"))
    assert observed("lint", "iot.yaml").out == with_http


def test_files_lag_in_bytes(weir_cli, wait_until):
    (weir_cli.folder / "in.ndjson").write_bytes(b'{"a":1}\n' * 10)
    (weir_cli.folder / "p.yaml").write_text(
        "{version: 1, name: p, source: {file: {path: in.ndjson}, format: json},"
        " schema: {type: object}, sinks: {rows: {file: {path: parts}}},"
        " http: {listen: '127.0.0.1:0'}}")
    run = Run(weir_cli, "p.yaml")
    wait_until(lambda: committed(run, 10))
    metrics = run.metrics()
    assert "weir_lag_records" not in metrics and "weir_watermark_timestamp_seconds" not in metrics
    assert total(metrics, "weir_end_offset") == 80 and total(metrics, "weir_lag_bytes") == 0
    run.stop()
