"""The source tree keeps to its layers, and the checker that says so does find what is wrong."""
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import layers  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("check", layers.CHECKS, ids=lambda check: check.__name__)
def test_our_tree(check):
    complaints = check(ROOT)
    assert not complaints, "\n" + "\n".join(complaints)


def test_our_tree_is_seen():
    """An empty list of files would make every check above pass."""
    assert len(layers.source_files(ROOT)) > 10
    assert ROOT / "src/base/status.h" in layers.source_files(ROOT)
    assert ROOT / "meson.build" in layers.tracked_files(ROOT)


GOOD = {
    "src/layers.json": json.dumps({"folders": {"low": [], "middle": ["low"],
                                               "high": ["low", "middle"]}}),
    "meson.build": "foreach folder : ['low', 'middle', 'high']\n",
    "src/low/low.h": "#include <stdint.h>\nstatic inline uint8_t low(void) { return 1; }\n",
    "src/low/low.c": '#include "low/low.h"\n',
    "src/middle/middle.h": '#include "low/low.h"\n',
    "src/middle/middle.c": '#include "low/low.h"\n\n#include "middle/middle.h"\n',
    "src/high/high.c": '#include <stdio.h>\n#include "low/low.h"\n#include "middle/middle.h"\n',
    "src/high/high_test.c": '#include "middle/middle.h"\nint main(void) { return thread_start(); }\n',
    "src/high/meson.build": "unit_tests += {'high/high': {'sources': files('high_test.c'), "
                            "'deps': [high_dep], 'threads': true}}\n",
    "docs/guide.md": "Data lie in /var/lib/weir, see .." + "/" + "work/notes and ${HOME}" + "/" + "work/weir.\n",
}


def complaints_of(root, changes):
    """The complaints about a small made-up tree: GOOD with some files replaced or added."""
    for name, text in {**GOOD, **changes}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return sum((check(root) for check in layers.CHECKS), [])


def test_a_good_tree_has_no_complaints(tmp_path):
    assert complaints_of(tmp_path, {}) == []


WRONG = {
    "upwards": (
        {"src/low/low.c": '#include "low/low.h"\n#include "middle/middle.h"\n'},
        'src/low/low.c:2: low may not include middle ("middle/middle.h")'),
    "upwards from a test": (
        {"src/low/low_test.c": '\n  #  include "middle/middle.h"\n'},
        'src/low/low_test.c:2: low may not include middle ("middle/middle.h")'),
    "by a relative path": (
        {"src/high/high.c": '#include "../low/low.h"\n'},
        'src/high/high.c:1: "../low/low.h": our headers are named by their path below src/'),
    "without a folder": (
        {"src/low/low.c": '#include "low.h"\n'},
        'src/low/low.c:1: "low.h": our headers are named by their path below src/'),
    "in angle brackets": (
        {"src/low/low.c": "#include <middle/middle.h>\n"},
        "src/low/low.c:1: <middle/middle.h> is ours: include it with quotes"),
    "a source file": (
        {"src/high/high.c": '#include "low/low.c"\n'},
        'src/high/high.c:1: "low/low.c": a .c file is compiled, not included'),
    "a macro": (
        {"src/low/low.c": "#define H <stdio.h>\n#include H\n"},
        "src/low/low.c:2: include of a macro: the layers cannot be checked"),
    "an unknown folder": (
        {"src/extra/extra.c": "int extra;\n"},
        "src/extra/extra.c: folder extra is not in src/layers.json"),
    "no folder": (
        {"src/stray.c": "int stray;\n"},
        "src/stray.c: stands in no folder of src/"),
    "a header that needs another": (
        {"src/low/low.h": "static inline uint8_t low(void) { return 1; }\n"},
        "src/low/low.h: does not compile alone: "),
    "a path of one machine": (
        {"docs/guide.md": "Look\ninto " + "/" + "work/main.\n"},
        "docs/guide.md:2: /" + "work/: a path of one machine"),
    "a registry": (
        {"docs/guide.md": "From https://registry." + "npmjs" + ".org/x\n"},
        "docs/guide.md:1: npmjs" + ".org: the host of a package registry"),
    "threads unannounced": (
        {"src/high/meson.build": "unit_tests += {'high/high': {'sources': files('high_test.c')},\n"
                                 "'high/other': {'threads': true}}\n"},
        "src/high/high_test.c: starts threads: its entry in src/high/meson.build needs 'threads': true"),
    "a dangerous call": (
        {"src/low/low.c": "/* not rd_kafka_DeleteGroups() */\nvoid f(void) { rd_kafka_DeleteGroups (0); }\n"},
        "src/low/low.c:2: rd_kafka_DeleteGroups() ends the process"),
    "a call that waits for ever": (
        {"src/low/low.c": "int x = rd_kafka_send_offsets_to_transaction(0);\n"},
        "src/low/low.c:1: rd_kafka_send_offsets_to_transaction() waits for ever"),
    "a circle": (
        {"src/layers.json": json.dumps({"folders": {"low": ["middle"], "middle": ["low"],
                                                    "high": []}})},
        "src/layers.json: low may include itself by way of others"),
    "an unlisted folder in the list": (
        {"src/layers.json": json.dumps({"folders": {"low": ["lost"], "middle": ["low"],
                                                    "high": ["low", "middle"]}})},
        "src/layers.json: low may include lost, which is not listed"),
    "built too early": (
        {"meson.build": "foreach folder : ['middle', 'low', 'high']\n"},
        "meson.build: middle is built before low, which it may include"),
    "never built": (
        {"meson.build": "foreach folder : ['low', 'middle']\n"},
        "meson.build: high is in src/layers.json and never built"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_tree_is_found(tmp_path, name):
    changes, expected = WRONG[name]
    complaints = complaints_of(tmp_path, changes)
    assert any(complaint.startswith(expected) for complaint in complaints), complaints
