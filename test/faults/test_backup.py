"""weir backup and restore: copies made at any time go on to the same end as a run that nobody disturbed."""
import json
import os
import shutil
import subprocess
import threading
import time

import pytest

from faults.disk import disk  # noqa: F401
from faults.lab import LOG, Lab, balanced, counts, flip, folder, local, record, table

COUNT = 6000


def places(lab):
    """Three systems: the log with a topic, another SQLite file, a folder."""
    return lab.write(sinks={"out": local("out", partitions=1), "rows": table("rows", path="rows.db"),
                            "lines": folder("lines")},
                     dlq={**local("dead", partitions=1), "include": ["invalid", "late"]},
                     state={"path": "state", "snapshot_interval": "100ms"},
                     delivery={"commit_interval": "5ms"})


def values(count=COUNT):
    """Every tenth record comes again a little later, every hundredth is no JSON."""
    made = []
    for number in range(count):
        made.append(record(number) if number % 100 != 7 else b"{")
        if number % 10 == 5:
            made.append(record(number - 3))
    return made


def restored(lab, backup, name, weir):
    done = lab.weir("restore", backup, name)
    assert done.status == 0, done
    other = Lab(lab.path / name, weir)
    other.pipeline = lab.pipeline
    return other


def outputs(lab):
    return (lab.values(), sorted(lab.sql("SELECT id, at, n, _weir_offset FROM rows", path="rows.db")),
            sorted(lab.lines_in("lines")), sorted(lab.letters_of_all()))


def goes_on(lab, made):
    """The rest of the input comes, and all is as if nothing had been in between."""
    there = lab.sql("SELECT sum(next_offset) FROM weir_partition JOIN weir_topic USING (topic) WHERE name = 'in'")
    lab.produce(made[there[0][0]:])
    assert balanced(lab.ledger())["invalid"] == sum(value == b"{" for value in made)
    lab.audit()
    return outputs(lab)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, weir):
    lab = places(Lab(tmp_path_factory.mktemp("undisturbed"), weir))
    lab.produce(values()).run()
    return outputs(lab)


def test_at_rest(lab, weir, undisturbed):
    made = values()
    places(lab).produce(made[:COUNT // 2]).run()
    done = lab.weir("backup", "p.yaml", "copy")
    assert done.status == 0 and "copied to copy" in done.out, done
    manifest = json.loads((lab.path / "copy/manifest.json").read_text())
    assert {unit["path"] for unit in manifest["units"]} == {"log.db", "rows.db", "lines", "state", "p.yaml"}
    other = restored(lab, "copy", "other", weir)
    assert goes_on(other, made) == undisturbed
    shutil.rmtree(lab.path / "other")
    # From the same backup again, with the snapshots lost.
    other = restored(lab, "copy", "other", weir)
    shutil.rmtree(other.path / "state")
    assert goes_on(other, made) == undisturbed


@pytest.mark.parametrize("kills", [False, True])
def test_while_a_producer_and_a_pipeline_run(lab, weir, undisturbed, kills):
    """Several copies on the way, each of another moment; a pipeline that is killed in between."""
    made = values()
    places(lab).produce(made[:200])
    process = lab.start()
    lab.wait_committed(process, 1)

    def feed():
        for begin in range(200, len(made), 300):
            lab.produce(made[begin:begin + 300])
            time.sleep(0.01)
    producer = threading.Thread(target=feed)
    producer.start()
    names = []
    while producer.is_alive():
        names.append(f"copy{len(names)}")
        done = lab.weir("backup", "p.yaml", names[-1])
        assert done.status == 0, done
        if kills and len(names) % 2 == 0:
            process.kill()
            if len(names) % 4 == 0:
                names.append(f"copy{len(names)}")
                assert lab.weir("backup", "p.yaml", names[-1]).status == 0
            process = lab.start()
    producer.join()
    assert process.catches_sigterm()
    assert process.terminate() == 0, process.errors()
    chosen = [names[0], names[len(names) // 2], names[-1]]
    for number, name in enumerate(chosen):
        assert goes_on(restored(lab, name, f"other{number}", weir), made) == undisturbed, name
    assert goes_on(lab, made) == undisturbed


def test_one_log(lab, weir):
    lab.write().produce([record(1), record(1)]).run()
    assert lab.weir("backup", f"local:{LOG}", "copy").status == 0
    other = restored(lab, "copy", "other", weir).write()
    assert other.ledger()["verdicts"] == counts(valid=1, duplicate=1)
    other.audit()
    assert lab.weir("backup", "local:none.db", "copy2").status == 2
    assert "use.place" in lab.weir("backup", f"local:{LOG}#in", "copy2").err
    assert not (lab.path / "copy2").exists()


def test_a_damaged_backup_is_refused_and_nothing_is_restored(lab):
    places(lab).produce(values(200)).run()
    assert lab.weir("backup", "p.yaml", "copy").status == 0
    files = [path for path in sorted((lab.path / "copy").rglob("*")) if path.is_file() and path.stat().st_size > 0]
    assert len(files) > 6
    for path in files:
        whole = path.read_bytes()
        for damage in ("flip", "cut", "gone"):
            if damage == "flip":
                flip(path, -len(whole) // 2)
            elif damage == "cut":
                path.write_bytes(whole[:-1])
            else:
                path.unlink()
            done = lab.weir("restore", "copy", "other")
            if path.name == "manifest.json" and damage in ("gone", "cut"):
                assert done.status in (0, 1, 2)  # A newline less is no damage.
            else:
                assert done.status == 1 and "backup.damaged" in done.err, (path, damage, done)
            assert done.status == 0 or not (lab.path / "other").exists()
            shutil.rmtree(lab.path / "other", ignore_errors=True)
            path.write_bytes(whole)
    assert "restore.no_backup" in lab.weir("restore", "lines", "other").err
    manifest = lab.path / "copy/manifest.json"
    manifest.write_text(manifest.read_text().replace('"path":"rows.db"', '"path":"../rows.db"'))
    assert "backup.damaged" in lab.weir("restore", "copy", "sub").err


def test_nothing_is_overwritten(lab):
    places(lab).produce(values(200)).run()
    assert lab.weir("backup", "p.yaml", "copy").status == 0
    assert "backup.exists" in lab.weir("backup", "p.yaml", "copy").err
    for name in ("log.db", "rows.db-wal", "rows.db-shm", "lines/x", "state/x", "p.yaml"):
        path = lab.path / "other" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        before = sorted(map(str, (lab.path / "other").rglob("*")))
        done = lab.weir("restore", "copy", "other")
        assert done.status == 2 and "restore.exists" in done.err, (name, done)
        assert sorted(map(str, (lab.path / "other").rglob("*"))) == before and path.read_text() == "mine"
        shutil.rmtree(lab.path / "other")


def test_a_log_that_is_behind_its_sinks_is_refused_with_the_way_on(lab):
    places(lab).produce(values(200)).run()
    assert lab.weir("backup", f"local:{LOG}", "old").status == 0
    lab.produce([record(5000 + number) for number in range(300)]).run()
    after = lab.weir("backup", "p.yaml", "new")
    assert after.status == 0, after
    (lab.path / LOG).unlink()
    for beside in lab.path.glob(f"{LOG}-*"):
        beside.unlink()
    assert lab.weir("restore", "old", ".").status == 0
    done = lab.refused("source.behind")
    assert "restore it to at least that offset" in done.err
    # The way on: all of it from one backup.
    for name in (LOG, "rows.db", "lines", "state", "p.yaml"):
        path = lab.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for beside in list(lab.path.glob("*.db-*")):
        beside.unlink()
    assert lab.weir("restore", "new", ".").status == 0
    assert balanced(lab.ledger())["valid"] >= 300
    lab.audit()


def test_parts_beyond_a_restored_folder_are_refused(lab, weir):
    places(lab).produce(values(200)).run()
    assert lab.weir("backup", "p.yaml", "copy").status == 0
    lab.produce([record(6000)]).run()
    newest = lab.parts("lines")[-1]
    other = restored(lab, "copy", "other", weir)
    shutil.copy(newest, other.path / "lines")
    assert "progress.behind" in other.weir("run", "p.yaml", "--until-end").err


def test_a_killed_backup_leaves_nothing_under_its_name(lab, weir):
    places(lab).produce(values()).run()
    begun = 0
    for number in range(12):
        process = subprocess.Popen([str(weir), "backup", "p.yaml", f"copy{number}"], cwd=lab.path,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.002 * number)
        process.kill()
        process.wait()
        if (lab.path / f"copy{number}").exists():
            assert lab.weir("restore", f"copy{number}", f"other{number}").status == 0
        else:
            begun += any(lab.path.glob(f"copy{number}.partial-*"))
            assert lab.weir("backup", "p.yaml", f"copy{number}").status == 0
    assert begun > 0
    process = subprocess.Popen([str(weir), "backup", "p.yaml", "stopped"], cwd=lab.path, stderr=subprocess.PIPE)
    process.terminate()
    process.communicate()
    assert process.returncode == 0 or not list(lab.path.glob("stopped*"))


def test_a_full_disk_is_said_and_nothing_is_left(lab, disk):
    text = "x" * 1000
    places(lab).produce([record(number, text=f"{text}{os.urandom(400).hex()}") for number in range(9000)]).run()
    for words in (["backup", "p.yaml", "disk/copy"], ["backup", f"local:{LOG}", "disk/copy"]):
        done = lab.weir(*words)
        assert done.status == 3 and "full" in done.err, done
        assert not [path for path in (lab.path / "disk").iterdir() if "copy" in path.name]
    assert lab.weir("backup", "p.yaml", "copy").status == 0
    done = lab.weir("restore", "copy", "disk/other")
    assert done.status == 3 and "full" in done.err, done
    assert not [path for path in (lab.path / "disk/other").rglob("*") if path.is_file()]
