"""How the program answers to words: help, mistakes, exit status."""
import subprocess

import pytest

VERBS = ["run", "lint", "lag", "explain", "test", "list", "help", "produce", "tail", "topic", "gen",
         "dlq", "audit", "version"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(weir_cli, verb):
    result = weir_cli(verb, "--help")
    assert result.out.startswith(f"weir {verb}: ".encode())
    assert b"usage: weir " + verb.encode() in result.out


def test_no_verb_is_wrong_use(weir_cli):
    result = weir_cli(status=2)
    assert all(verb in result.err for verb in VERBS)


@pytest.mark.parametrize("words, code, hint", [
    (["prodce", "x"], "use.verb", "did you mean 'produce'?"),
    (["gen", "--cuont", "3"], "use.option", "did you mean '--count'?"),
    (["gen", "--count"], "use.option", "--count takes N"),
    (["gen", "--count", "many"], "use.value", "--count takes a whole number"),
    (["gen", "--count", "3", "--count=4"], "use.option", "given twice"),
    (["gen", "--json=yes"], "use.option", "--json takes no value"),
    (["gen", "-", "-"], "use.arguments", "one word too many"),
    (["gen", "--share", "lte=2%"], "use.value", "did you mean 'late'?"),
    (["gen", "--share", "late=2"], "use.value", "KIND=PERCENT"),
    (["gen", "--rate", "0"], "use.value", "--rate takes a number above 0"),
    (["gen", "--event-rate", "fast"], "use.value", "--event-rate takes a number above 0"),
    (["gen", "--start", "tomorrow"], "use.value", "--start takes a time"),
    (["gen", "--start", "2999-01-01T00:00:00Z"], "gen.start", "--start now"),
    (["gen", "--truth", "t"], "gen.truth", "needs a topic"),
    (["gen", "kafka://host/topic"], "use.place", "a pipeline brings them to"),
    (["produce"], "use.arguments", "usage: weir produce"),
    (["produce", "nowhere"], "use.place", "local:PATH#topic"),
    (["produce", "file:x"], "use.place", "'file:x' is a file"),
    (["produce", "local:a.db"], "use.place", "lacks its topic"),
    (["produce", "local:#t"], "use.place", "lacks its path"),
    (["produce", "local:a.db#t", "missing"], "file.unreadable", "missing"),
    (["produce", "local:a.db#t", "--batch-interval", "soon"], "use.value", "duration"),
    (["produce", "local:a.db#t", "--partitions", "0"], "use.value", "1 to 1024"),
    (["produce", "local:a.db#t", "--producer-id", ""], "use.value", "--producer-id"),
    (["produce", "local:a.db#bad name"], "topic.name", "bad name"),
    (["tail", "local:missing.db#t"], "log.missing", "missing.db"),
    (["tail", "missing.yaml:source"], "file.unreadable", "missing.yaml"),
    (["tail", "-", "--from", "yesterday"], "use.value", "--from takes"),
    (["tail", "-", "--partition", "1"], "use.option", "--partition is for topics"),
    (["tail", "-", "--count", "0"], "use.value", "--count"),
    (["topic", "crate", "local:a.db#t"], "use.arguments", "did you mean 'create'?"),
    (["topic", "list", "file:x"], "use.place", "needs topics, written local:PATH#topic"),
    (["topic", "trim", "file:x"], "use.place", "needs a local log"),
    (["dlq", "repaly", "x.yaml"], "use.arguments", "did you mean 'replay'?"),
    (["dlq", "list", "x.yaml"], "file.unreadable", "x.yaml"),
    (["dlq", "list", "x.yaml", "--set", "a=1"], "use.option", "weir dlq list has no option"),
])
def test_wrong_use_says_what_to_do(weir_cli, words, code, hint):
    result = weir_cli(*words, status=2)
    assert f"{code}: " in result.err
    assert hint in result.err
    assert result.out == b""
    assert not list(weir_cli.folder.iterdir()) or code == "topic.name"


def test_a_closed_pipe_is_no_failure(weir_cli):
    weir_cli("produce", "local:a.db#t", data=b"line\n" * 100000)
    for words in (["gen", "--count", "100000"], ["tail", "local:a.db#t"],
                  ["tail", "local:a.db#t", "--json"]):
        process = weir_cli.start(*words)
        assert len(process.stdout.readline()) > 4
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(60) == 0, err
        assert err == ""


def test_output_that_cannot_be_written_is_a_failure(weir_cli):
    weir_cli("produce", "local:a.db#t", data=b"line\n" * 1000)
    with open("/dev/full", "wb") as full:
        process = weir_cli.start("tail", "local:a.db#t", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert b"output.failed" in err


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["version"]])
def test_help_that_cannot_be_written_is_a_failure(weir_cli, words):
    with open("/dev/full", "wb") as full:
        process = weir_cli.start(*words, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3 and b"output.failed" in err


def closed(weir_cli, which, *words):
    """Runs weir with standard descriptors that are not open at all."""
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {which}', weir_cli.path, *words],
                          cwd=weir_cli.folder, capture_output=True, timeout=60)


def test_what_is_said_never_lands_in_a_file(weir_cli):
    """Each standard descriptor in turn, and all: no file that is opened gets its number."""
    (weir_cli.folder / "in").write_bytes(b'{"a":1}\n' * 3)
    (weir_cli.folder / "p.yaml").write_text(
        "{version: 1, name: p, source: {local: {path: a.db, topic: t}, format: json},"
        " schema: {type: object}, sinks: {rows: {file: {path: parts}}}}")
    for which in ("2>&-", ">&-", "<&-", "<&- >&- 2>&-"):
        for words in (["produce", "local:a.db#t", "in"], ["run", "p.yaml", "--until-end"],
                      ["run", "p.yaml", "--until-end", "--json"], ["audit", "p.yaml"]):
            # What was to be printed, and could not be, is a failure.
            wanted = 3 if ">&-" in which.split() and words[0] != "produce" else 0
            assert closed(weir_cli, which, *words).returncode == wanted, (which, words)
    assert (weir_cli.folder / "a.db-lock").read_bytes() == b""
    parts = [part.read_bytes() for part in (weir_cli.folder / "parts").glob("*.ndjson")]
    assert b"".join(parts) == b'{"a":1}\n' * 12
    weir_cli("audit", "p.yaml")


def test_a_closed_input_is_no_empty_input(weir_cli):
    done = closed(weir_cli, "<&-", "produce", "local:a.db#t")
    assert done.returncode != 0 and b"read" in done.stderr


def test_a_sink_of_a_pipeline_is_a_place(iot):
    result = iot("tail", "iot.yaml:reading", status=2)
    assert "did you mean 'readings'?" in result.err
    assert "iot.yaml:29:3: use.place" in result.err
    assert iot("tail", "iot.yaml:readings", status=2).err.count("log.missing") == 1
    (iot.folder / "none.yaml").write_text(
        (iot.folder / "iot.yaml").read_text().replace("dlq:", "xdlq:"))
    assert "unknown_key" in iot("dlq", "list", "none.yaml", status=2).err


def test_the_program_needs_no_terminal(weir_cli):
    process = subprocess.run([weir_cli.path, "version"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, check=True, timeout=60)
    assert process.stdout.startswith(b"weir ")
