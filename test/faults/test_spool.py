"""The spool of produce where no brokers are: what it keeps, what it refuses, and a disk that gets full."""
import sqlite3
import subprocess
import time

from faults.disk import disk, fat_record  # noqa: F401

PLACE = "kafka://127.0.0.1:9/t"  # the port "discard": nobody listens


def start(lab, *words, text="", path="spool.db"):
    process = subprocess.Popen([lab.program, "produce", PLACE, "--spool", path, *words], cwd=lab.path,
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write(text)
    return process


def left(lab, path="spool.db"):
    with sqlite3.connect(f"file:{lab.path}/{path}?mode=ro", uri=True) as log:
        return sum(count for (count,) in log.execute("SELECT count FROM weir_batch"))


def test_what_is_given_is_kept_once(lab):
    text = "".join(f"{n}\n" for n in range(500))
    for _ in range(2):
        process = start(lab, "--producer-id", "box", text=text)
        said = process.communicate(timeout=60)[1]
    assert "500 were in already" in said and "500 records wait in spool.db" in said, said
    # Nothing was given to it, and nothing could be handed on.
    assert process.returncode == 3 and "kafka.away" in said, said
    assert left(lab) == 500
    process = start(lab, text=text)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "500 records wait in spool.db" in said, said
    assert left(lab) == 1000


def test_one_process_at_a_time(lab):
    first = start(lab)
    end = time.monotonic() + 20
    while not (lab.path / "spool.db").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    second = start(lab)
    assert "produce.two_at_once" in second.communicate(timeout=60)[1]
    assert second.returncode == 2
    first.terminate()
    first.communicate(timeout=60)


def test_it_is_for_brokers(lab):
    done = lab.weir("produce", "local:log.db#t", "--spool", "spool.db")
    assert done.status == 2 and "use.option" in done.err


def test_a_full_disk_is_waited_for(lab, disk):
    text = "".join(fat_record(number).decode() + "\n" for number in range(3000))
    (lab.path / "lines").write_text(text)
    process = start(lab, "lines", path="disk/spool.db")
    said = ""
    while "log.full" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    assert process.poll() is None
    disk.grow()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "3,000 records wait in disk/spool.db" in said, said
    assert left(lab, "disk/spool.db") == 3000
