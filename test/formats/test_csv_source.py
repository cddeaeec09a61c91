"""Random CSV against Python's csv module, and compressed files through kill -9 and while they grow."""
import csv
import gzip
import io
import json
import random
import shutil
import sqlite3
import subprocess
import time

import pytest

PIPELINE = """
version: 1
name: p
source: {file: {path: IN}, format: csv, csv: {CSV}}
schema: {type: object, required: [a], properties: {a: {type: string}, b: {type: string}}}
sinks: {rows: {sqlite: {path: a.db, table: rows}}}
dlq: {file: {path: dlq}, include: [invalid]}
delivery: {commit_interval: 1ms}
"""


def select(database, statement):
    connection = sqlite3.connect(database)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def random_text(choose):
    """Rows of mostly two cells, some quoted, some broken; line breaks everywhere."""
    def cell():
        text = "".join(choose.choice(["a", "b", " ", "ü", ",", '""', "\n", "\r\n"])
                       for _ in range(choose.randrange(5)))
        plain = text.replace(",", "").replace('"', "").replace("\r", "").replace("\n", "")
        kind = choose.random()
        if kind < .45:
            return plain
        if kind < .9:
            return f'"{text}"'
        return choose.choice(['a"b', '"a"b', '"a"b"', "x"])
    rows = []
    for _ in range(choose.randrange(1, 400)):
        count = choose.choice([2, 2, 2, 2, 2, 2, 2, 1, 3])
        rows.append(",".join(cell() for _ in range(count)) + choose.choice(["\n", "\r\n"]))
    return "".join(rows)


@pytest.mark.parametrize("trial", range(6))
def test_rows_are_those_of_python(weir_asan, tmp_path, seed, trial):
    choose = random.Random(f"{seed}-{trial}")
    text = "a,b\n" + random_text(choose) + choose.choice(["", 'last,"row', "x,y"])
    (tmp_path / "a.csv").write_bytes(text.encode())
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("IN", "a.csv").replace("CSV", "header: true"))
    done = subprocess.run([weir_asan, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = list(csv.reader(io.StringIO(text, newline="")))[1:]
    rows = {offset: (a, b) for a, b, offset in
            select(tmp_path / "a.db", "SELECT a, b, _weir_offset FROM rows")}
    letters = {letter["offset"]: letter for part in (tmp_path / "dlq").glob("*.ndjson")
               for letter in map(json.loads, part.read_text().splitlines())}
    offsets = sorted([*rows, *letters])
    assert len(offsets) == len(expected) and not rows.keys() & letters.keys()
    raw = text.encode()
    ends = offsets[1:] + [len(raw)]
    for offset, end, cells in zip(offsets, ends, expected):
        if offset in rows:
            assert ["" if cell is None else cell for cell in rows[offset]] == cells
            continue
        assert letters[offset]["value"].encode() == raw[offset:end].rstrip(b"\n").removesuffix(b"\r") \
            or end == len(raw)
        reason = letters[offset]["reason"]
        if reason == "schema.required":
            assert cells[0] == ""
        else:
            assert reason == "decode.syntax"
            assert len(cells) != 2 or '"' in letters[offset]["value"]


def write_packed(path, pack, count):
    """Ten frames or members."""
    step = count // 10
    with open(path, "wb") as file:
        for frame in range(10):
            rows = "".join(f'{n},"x\n{n}"\n' for n in range(frame * step, (frame + 1) * step))
            file.write(pack((("a,b\n" if frame == 0 else "") + rows).encode()))


def pack_zstd(data):
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


PACKERS = {"gzip": gzip.compress, "zstd": pack_zstd}


@pytest.mark.parametrize("name", PACKERS)
def test_killed_in_the_midst_of_a_packed_file(weir, tmp_path, seed, name):
    if name == "zstd" and shutil.which("zstd") is None:
        pytest.skip("no zstd program here")
    choose = random.Random(seed)
    write_packed(tmp_path / "a.packed", PACKERS[name], 60_000)
    (tmp_path / "p.yaml").write_text(
        PIPELINE.replace("IN", "a.packed").replace("CSV", "header: true"))
    kills = 0
    for _ in range(60):
        run = subprocess.Popen([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            errors = run.communicate(timeout=choose.uniform(.02, .15 + kills / 10))[1]
            assert run.returncode == 0, errors
            break
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            kills += 1
    else:
        pytest.fail("it never came to its end")
    assert select(tmp_path / "a.db", "SELECT count(*), count(DISTINCT a) FROM rows") == \
        [(60_000, 60_000)]
    done = subprocess.run([weir, "audit", "p.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "60,000 records" in done.stdout, done.stdout + done.stderr


def test_a_packed_file_grows_under_a_run(weir, tmp_path):
    """Half a frame, then the rest: nothing is taken of half a row, and nothing is lost."""
    whole = gzip.compress(b"a,b\n1,x\n") + gzip.compress(b'2,"y\nz"\n3,w\n')
    path = tmp_path / "a.gz"
    path.write_bytes(whole[:40])
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("IN", "a.gz").replace("CSV", "header: true"))
    run = subprocess.Popen([weir, "run", "p.yaml"], cwd=tmp_path, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    try:
        for at in range(40, len(whole)):
            with open(path, "ab") as file:
                file.write(whole[at:at + 1])
        deadline = time.monotonic() + 20
        found = []
        while len(found) < 3 and time.monotonic() < deadline and run.poll() is None:
            try:
                found = select(tmp_path / "a.db", "SELECT a, b FROM rows ORDER BY _weir_offset")
            except sqlite3.Error:
                pass
    finally:
        run.terminate()
        errors = run.communicate()[1]
    assert found == [("1", "x"), ("2", "y\nz"), ("3", "w")], errors


def test_a_cut_file_stops_the_run(weir, tmp_path):
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,x\n" % n for n in range(20_000)))
    (tmp_path / "a.gz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("IN", "a.gz").replace("CSV", "header: true"))
    done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode != 0 and "source.cut_stream" in done.stderr
    (tmp_path / "a.gz").write_bytes(whole)
    done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert select(tmp_path / "a.db", "SELECT count(*), count(DISTINCT a) FROM rows") == \
        [(20_000, 20_000)]


def test_topics_and_standard_input(weir, tmp_path):
    (tmp_path / "p.yaml").write_text(
        PIPELINE.replace("file: {path: IN}", "stdin: {}").replace("CSV", "header: true")
        .replace("delivery: {", "delivery: {guarantee: at_least_once, "))
    done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                          input="\ufeffb,a\r\nx,1\r\n\"y\nz\",2", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert select(tmp_path / "a.db", "SELECT a, b FROM rows ORDER BY a") == [("1", "x"),
                                                                              ("2", "y\nz")]
    (tmp_path / "t").mkdir()
    topic = PIPELINE.replace("file: {path: IN}", "local: {path: t.db, topic: raw}")
    (tmp_path / "t/p.yaml").write_text(topic.replace("CSV", "header: true"))
    done = subprocess.run([weir, "lint", "p.yaml"], cwd=tmp_path / "t", capture_output=True,
                          text=True)
    assert done.returncode == 2 and "have no header" in done.stderr
    (tmp_path / "t/p.yaml").write_text(topic.replace("CSV", "names: [a, b]"))
    for command in (["produce", "local:t.db#raw"], ["run", "p.yaml", "--until-end"]):
        done = subprocess.run([weir, *command], cwd=tmp_path / "t", input="1,x\n2,y\n",
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert select(tmp_path / "t/a.db", "SELECT a, b FROM rows ORDER BY a") == [("1", "x"),
                                                                                ("2", "y")]


def test_each_file_of_a_folder_has_its_snapshot(weir, tmp_path):
    """A start after a clean stop replays nothing, of however many files."""
    (tmp_path / "in").mkdir()
    for name in ("x", "y", "z"):
        rows = "".join(f"{name}{n},\n" for n in range(1_000))
        (tmp_path / f"in/{name}.csv").write_text("a,b\n" + rows)
    (tmp_path / "p.yaml").write_text(
        PIPELINE.replace("IN", "in").replace("CSV", "header: true") +
        "dedup: {key: a, window: unlimited}\n")
    for expected in (3_000, 3_001):
        done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                              capture_output=True, text=True)
        assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
        assert select(tmp_path / "a.db", "SELECT count(*) FROM rows") == [(expected,)]
        with open(tmp_path / "in/y.csv", "a") as file:
            file.write(f"new{expected},\n")
    assert "0 records replayed" in done.stderr


@pytest.mark.parametrize("name", ["plain", *PACKERS])
def test_a_last_row_that_is_open_behind_a_newline(weir, tmp_path, name):
    """Taken by --until-end, it stays one: runs and audits go on, and more bytes are refused."""
    if name == "zstd" and shutil.which("zstd") is None:
        pytest.skip("no zstd program here")
    pack = PACKERS.get(name, bytes)
    path = tmp_path / "a.csv"
    path.write_bytes(pack(b'a,b\n1,x\n"open,e\n'))
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("IN", "a.csv").replace("CSV", "header: true"))

    def weir_does(*words):
        return subprocess.run([weir, *words], cwd=tmp_path, capture_output=True, text=True)

    for words in (("run", "p.yaml", "--until-end"), ("audit", "p.yaml")) * 2:
        done = weir_does(*words)
        assert done.returncode == 0, done
    assert "audited 2 records against 2 rows: missing 0" in done.stdout
    said = weir_does("lag", "p.yaml", "--json")
    assert said.returncode == 0 and '"behind":0' in said.stdout.replace(" ", ""), said
    with open(path, "ab") as file:
        file.write(pack(b'",y\n2,z\n'))
    done = weir_does("run", "p.yaml", "--until-end")
    assert done.returncode == 2 and "source." in done.stderr, done
    assert select(tmp_path / "a.db", "SELECT a FROM rows") == [("1",)]


def test_a_header_that_is_open_behind_a_newline(weir, tmp_path):
    (tmp_path / "a.csv").write_bytes(b'"a,b\n1,x\n')
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("IN", "a.csv").replace("CSV", "header: true"))
    for _ in range(2):
        done = subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                              capture_output=True, text=True)
        assert done.returncode == 0 and "in 0 = VALID 0" in done.stdout, done


@pytest.mark.parametrize("words", [("tail", "p.yaml:source"),
                                   ("reconcile", "p.yaml:source", "p.yaml:rows", "--key", "a")])
def test_verbs_that_read_no_csv_say_so(weir, tmp_path, words):
    """And do not find the folder empty."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("a,b\n1,x\n")
    (tmp_path / "p.yaml").write_text(PIPELINE.replace("IN", "in").replace("CSV", "header: true"))
    assert subprocess.run([weir, "run", "p.yaml", "--until-end"], cwd=tmp_path,
                          capture_output=True).returncode == 0
    done = subprocess.run([weir, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "use.place" in done.stderr and "CSV" in done.stderr, done
