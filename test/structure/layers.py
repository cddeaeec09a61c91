"""Checks the structure of a source tree; every complaint is one line that names file and line.

`python3 test/structure/layers.py [ROOT]` prints the complaints and exits 1 when there are any.
"""
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]*)"|<([^>]*)>|(\S.*))', re.MULTILINE)
MESON_FOLDERS = re.compile(r"foreach folder : \[([^\]]*)\]")


def load_layers(root):
    """The allow-list: folder -> folders that it may include, in the order of the layers."""
    return json.loads((root / "src/layers.json").read_text())["folders"]


def source_files(root):
    return sorted(path for path in (root / "src").rglob("*") if path.suffix in (".c", ".h"))


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_allow_list(root):
    """The list itself: only folders that it knows, only downwards, in the order of meson.build."""
    complaints = []
    below = []
    for folder, allowed in load_layers(root).items():
        for other in allowed:
            if other not in load_layers(root):
                complaints.append(f"src/layers.json: {folder} may include {other}, which is not listed")
        below.append(folder)
    complaints += cycles(load_layers(root))
    build = MESON_FOLDERS.search((root / "meson.build").read_text())
    built = re.findall(r"'([^']*)'", build.group(1)) if build else []
    done = set()
    for folder in built:
        for other in load_layers(root).get(folder, []):
            if other not in done:
                complaints.append(f"meson.build: {folder} is built before {other}, which it may include")
        done.add(folder)
    for folder in below:
        if folder not in done:
            complaints.append(f"meson.build: {folder} is in src/layers.json and never built")
    return complaints


def cycles(layers):
    """A folder that may include itself by way of others."""
    complaints = []
    for start in layers:
        reached, waiting = set(), list(layers[start])
        while waiting:
            folder = waiting.pop()
            if folder not in reached:
                reached.add(folder)
                waiting += layers.get(folder, [])
        if start in reached:
            complaints.append(f"src/layers.json: {start} may include itself by way of others")
    return complaints


def check_folders(root):
    """Every folder of src/ that has files is on the list, and no source stands outside one."""
    layers = load_layers(root)
    complaints = []
    for path in source_files(root):
        parts = path.relative_to(root / "src").parts
        if len(parts) == 1:
            complaints.append(f"{path.relative_to(root)}: stands in no folder of src/")
        elif parts[0] not in layers:
            complaints.append(f"{path.relative_to(root)}: folder {parts[0]} is not in src/layers.json")
    return complaints


def check_includes(root):
    layers = load_layers(root)
    complaints = []
    for path in source_files(root):
        text = path.read_text(errors="replace")
        folder = path.relative_to(root / "src").parts[0]
        for match in INCLUDE.finditer(text):
            quoted, angled, computed = match.groups()
            place = f"{path.relative_to(root)}:{line_of(text, match.start())}"
            if computed is not None:
                complaints.append(f"{place}: include of a macro: the layers cannot be checked")
            elif angled is not None:
                if angled.split("/")[0] in layers and (root / "src" / angled).exists():
                    complaints.append(f"{place}: <{angled}> is ours: include it with quotes")
            else:
                complaints += include_complaints(root, layers, folder, quoted, place)
    return complaints


def include_complaints(root, layers, folder, included, place):
    parts = included.split("/")
    if len(parts) < 2 or ".." in parts or not (root / "src" / included).is_file():
        return [f'{place}: "{included}": our headers are named by their path below src/']
    if included.endswith(".c"):
        return [f'{place}: "{included}": a .c file is compiled, not included']
    if parts[0] != folder and parts[0] not in layers.get(folder, []):
        return [f'{place}: {folder} may not include {parts[0]} ("{included}")']
    return []


def check_headers_compile_alone(root):
    """Each header includes what it uses: it is compiled as if it were a source file."""
    command = shlex.split(os.environ.get("CC", "cc"))
    command += ["-std=c17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x",
                "c"]
    command += ["-I", str(root / "src")] + built_includes(root)

    def compile_header(path):
        # By way of a one-line source: some warnings differ when a header is the main file.
        line = f'#include "{path.relative_to(root / "src")}"\n'
        done = subprocess.run(command + ["-"], input=line, capture_output=True, text=True)
        if done.returncode == 0:
            return []
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        return [f"{path.relative_to(root)}: does not compile alone: {(errors or [done.stderr])[0]}"]

    headers = [path for path in source_files(root) if path.suffix == ".h"]
    with ThreadPoolExecutor() as pool:
        return sum(pool.map(compile_header, headers), [])


def built_includes(root):
    """Where the headers of libraries are that stand in no folder that compilers know."""
    flags = []
    for library, folder in (("sqlite", ""), ("librdkafka", "include")):
        script = root / "script" / library
        if not script.exists():
            continue
        found = subprocess.run([script, "path"], capture_output=True, text=True,
                               check=True).stdout.strip()
        flags += [] if found == "system" else ["-isystem", str(Path(found) / folder)]
    # Debian keeps them in folders of their own.
    for library in ("libpq", "libmariadb"):
        found = subprocess.run(["pkg-config", "--cflags", library], capture_output=True, text=True)
        flags += shlex.split(found.stdout)
    return flags


# Put together from pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS = [
    ".".join(pieces)
    for pieces in (
        ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"), ("pypi", "org"),
        ("pythonhosted", "org"), ("crates", "io"), ("proxy", "golang", "org"), ("rubygems", "org"),
        ("repo1", "maven", "org"), ("repo", "maven", "apache", "org"), ("deb", "debian", "org"),
        ("security", "debian", "org"), ("archive", "ubuntu", "com"),
    )
]
MACHINE_FOLDERS = ["/" + "work/", "/" + "root/", "/" + "tmp/w/"]
# A path begins where no name, dot or slash stands before it: `./work/` is a relative path.
FORBIDDEN = re.compile(
    "|".join(re.escape(host) for host in REGISTRY_HOSTS)
    + "|(?:(?<![A-Za-z0-9_.$})/-])(?:" + "|".join(re.escape(f) for f in MACHINE_FOLDERS) + "))"
)


def tracked_files(root):
    """What git tracks; where there is no git, everything but the build."""
    done = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode == 0 and (root / ".git").exists():
        names = [name for name in done.stdout.split("\0") if name]
        return [root / name for name in names if (root / name).is_file()]
    inside = (path for path in root.rglob("*") if path.is_file())
    return sorted(p for p in inside if p.relative_to(root).parts[0] not in ("build", ".git"))


def check_foreign_places(root):
    """No path of a developer's machine, no host name of a package registry."""
    complaints = []
    for path in tracked_files(root):
        text = path.read_text(errors="replace")
        for match in FORBIDDEN.finditer(text):
            place = f"{path.relative_to(root)}:{line_of(text, match.start())}"
            what = "a path of one machine" if "/" in match.group() else "the host of a package registry"
            complaints.append(f"{place}: {match.group()}: {what}")
    return complaints


def check_threaded_tests(root):
    """A unit test that starts threads says so in its meson.build, so that ThreadSanitizer runs it."""
    complaints = []
    for path in source_files(root):
        if not path.name.endswith("_test.c") or not re.search(
                r"\b(thread_start|pthread_create)\s*\(", path.read_text(errors="replace")):
            continue
        build = path.parent / "meson.build"
        text = build.read_text() if build.exists() else ""
        entry = re.search(r"\{[^{}]*" + re.escape(f"'{path.name}'") + r"[^{}]*\}", text)
        if not entry or not re.search(r"'threads'\s*:\s*true", entry.group()):
            complaints.append(f"{path.relative_to(root)}: starts threads: its entry in "
                              f"{build.relative_to(root)} needs 'threads': true")
    return complaints


# Calls of librdkafka that are made nowhere, or in one file only, with the reason.
ABORTS = "ends the process when a coordinator's connection breaks just then"
CALLS = {
    "rd_kafka_ListConsumerGroupOffsets": (None, ABORTS + ": rd_kafka_committed() does not"),
    "rd_kafka_AlterConsumerGroupOffsets": (None, ABORTS + ": rd_kafka_commit() does not"),
    "rd_kafka_DeleteConsumerGroupOffsets": (None, ABORTS),
    "rd_kafka_DeleteGroups": (None, ABORTS),
    "rd_kafka_DescribeConsumerGroups": ("src/connector/kafka/groups.c", ABORTS + ": for verbs alone"),
    "rd_kafka_send_offsets_to_transaction": (
        "src/connector/kafka/answer.c", "waits for ever when the coordinator does not come back"),
}
CALL = re.compile(r"\b(" + "|".join(CALLS) + r")\s*\(")


def check_calls(root):
    """What is dangerous to call is not called, or where that is known only."""
    complaints = []
    for path in source_files(root):
        text = path.read_text(errors="replace")
        for match in CALL.finditer(re.sub(r"/\*.*?\*/", lambda it: re.sub(r"[^\n]", " ", it.group()),
                                          text, flags=re.S)):
            allowed, why = CALLS[match.group(1)]
            if str(path.relative_to(root)) != allowed:
                complaints.append(f"{path.relative_to(root)}:{line_of(text, match.start())}: "
                                  f"{match.group(1)}() {why}")
    return complaints


CHECKS = [
    check_allow_list,
    check_folders,
    check_includes,
    check_headers_compile_alone,
    check_foreign_places,
    check_threaded_tests,
    check_calls,
]


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    complaints = sum((check(root) for check in CHECKS), [])
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
