"""weir help: manual pages and completion, out of the same table as --help."""
import os
import shutil
import subprocess

import pytest

from cli.test_use import VERBS


def verbs(weir_cli):
    return weir_cli("help", "--verbs").out.decode().split()


def tool(name):
    found = shutil.which(name)
    if not found:
        pytest.skip(f"no {name} here")
    return found


def test_help_is_the_help_of_the_verb(weir_cli):
    assert set(VERBS) <= set(verbs(weir_cli))
    assert weir_cli("help").out == weir_cli("--help").out == weir_cli("-h").out
    for verb in verbs(weir_cli):
        assert weir_cli("help", verb).out == weir_cli(verb, "--help").out
    assert "did you mean 'run'?" in weir_cli("help", "rum", status=2).err
    assert "did you mean 'run'?" in weir_cli("help", "--man", "rum", status=2).err
    assert "exclude each other" in weir_cli("help", "run", "--verbs", status=2).err
    assert "bash, zsh or fish" in weir_cli("help", "--completion", "csh", status=2).err


def test_manual_pages_say_all_and_are_clean(weir_cli):
    groff = tool("groff")
    for verb in ["weir", *verbs(weir_cli)]:
        page = weir_cli("help", "--man", verb).out
        done = subprocess.run([groff, "-K", "utf8", "-man", "-ww", "-Tutf8", "-P-cbou"], input=page,
                              capture_output=True, check=True)
        assert done.stderr == b"", (verb, done.stderr.decode())
        text = done.stdout.decode().replace("\u2010", "-").replace("\u2212", "-")
        words = " ".join(text.split())
        if verb == "weir":
            assert all(f"weir-{other}(1)" in words for other in verbs(weir_cli))
            continue
        assert words.startswith(f"WEIR-{verb.upper()}(1)"), words[:80]
        for line in weir_cli(verb, "--help").out.decode().split("options:")[1].splitlines():
            if line.startswith("  --"):
                assert line.split()[0] in words, (verb, line)


def complete(weir_cli, *words):
    """What bash offers for the last word."""
    script = weir_cli.folder / "weir.bash"
    script.write_bytes(weir_cli("help", "--completion", "bash").out)
    done = subprocess.run(
        [tool("bash"), "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
         'compopt() { :; }; _weir; printf "%s\\n" "${COMPREPLY[@]}"', "bash", script, "weir", *words],
        capture_output=True, check=True)
    assert done.stderr == b"", done
    return done.stdout.decode().split()


def test_bash_completes_verbs_options_and_words(weir_cli):
    assert set(VERBS) <= set(complete(weir_cli, ""))
    assert complete(weir_cli, "prod") == ["produce"]
    assert complete(weir_cli, "run", "--until") == ["--until-end"]
    assert {"--json", "--help"} <= set(complete(weir_cli, "lag", "P.yaml", "--"))
    assert complete(weir_cli, "tail", "--from", "") == ["earliest", "latest"]
    assert complete(weir_cli, "help", "--completion", "") == ["bash", "zsh", "fish"]
    assert complete(weir_cli, "help", "--man", "trac") == ["trace"]
    assert complete(weir_cli, "dlq", "") == ["list", "show", "replay"]
    assert complete(weir_cli, "list", "re") == ["reasons"]
    # Names of files are bash's own: nothing of ours stands before them.
    assert complete(weir_cli, "run", "") == complete(weir_cli, "gen", "--truth", "") == []
    # Nobody can guess a number.
    assert complete(weir_cli, "gen", "--count", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_can_read_its_completion(weir_cli, shell):
    script = weir_cli.folder / "completion"
    script.write_bytes(weir_cli("help", "--completion", shell).out)
    assert all(verb in script.read_text() for verb in verbs(weir_cli))
    done = subprocess.run([tool(shell), "-n", script], capture_output=True)
    assert done.returncode == 0 and done.stderr == b"", done


def test_fish_completes(weir_cli):
    fish = tool("fish")
    script = weir_cli.folder / "weir.fish"
    script.write_bytes(weir_cli("help", "--completion", "fish").out)
    def offered(line):
        done = subprocess.run([fish, "-c", f"source {script}; complete -C '{line}'"],
                              capture_output=True, check=True, cwd=weir_cli.folder,
                              env={**os.environ, "HOME": str(weir_cli.folder)})
        return [one.split("\t")[0] for one in done.stdout.decode().splitlines()]
    assert offered("weir prod") == ["produce"]
    assert offered("weir tail --from ") == ["earliest", "latest"]


def test_install_puts_everything_in_its_place(weir, tmp_path):
    """The script that `meson install` calls, with the program that was built."""
    build = weir.parents[2]
    if not shutil.which("meson") or not (build / "build.ninja").exists():
        pytest.skip("no meson, or not built by it")
    done = subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", tmp_path],
                          capture_output=True, text=True)
    assert done.returncode == 0, done
    there = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    names = subprocess.run([weir, "help", "--verbs"], capture_output=True, check=True,
                           text=True).stdout.split()
    assert {"weir", "weir.1", "_weir", "weir.fish", *(f"weir-{verb}.1" for verb in names)} <= there
    program = next(tmp_path.rglob("bin/weir"))
    assert subprocess.run([program, "version"], capture_output=True).returncode == 0
