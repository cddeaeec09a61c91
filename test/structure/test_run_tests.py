"""The adding-up of test results: a test that fails, crashes or does nothing is never lost."""
import os
import subprocess

import pytest

import run_tests
from run_tests import Counts

PROGRAM = r"""
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
static const char *how;
static void good(void **state) { (void)state; }
static void other(void **state)
{
    (void)state;
    if (!strcmp(how, "fail")) { fail_msg("on purpose"); }
    if (!strcmp(how, "skip")) { skip(); }
    if (!strcmp(how, "crash")) { abort(); }
    if (!strcmp(how, "exit")) { exit(0); }
}
static int broken_setup(void **state) { (void)state; return -1; }
int main(int count, char **arguments)
{
    how = count > 1 ? arguments[1] : "";
    const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(other),
                                       cmocka_unit_test(good)};
    if (!strcmp(how, "nothing")) { return 0; }
    int failed = cmocka_run_group_tests(tests, !strcmp(how, "setup") ? broken_setup : NULL, NULL);
    return !strcmp(how, "late") ? 1 : failed;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cmocka")
    (folder / "sample.c").write_text(PROGRAM)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "cmocka"], check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run(["cc", "-o", folder / "sample", folder / "sample.c", *flags], check=True)
    return folder / "sample"


@pytest.mark.parametrize("how, expected", [
    ("pass", Counts(3, 0, 0)),
    ("fail", Counts(2, 1, 0)),
    ("skip", Counts(2, 0, 1)),
    ("nothing", Counts(0, 1, 0)),
    ("late", Counts(3, 1, 0)),
])
def test_each_end_of_a_program_is_counted(program, how, expected):
    assert count(program, how) == expected


# How many cases are known when it ends like this depends on what was flushed: it must be a failure.
@pytest.mark.parametrize("how", ["crash", "exit", "setup"])
def test_a_program_that_stops_early_has_failed(program, how):
    assert count(program, how).failed >= 1


@pytest.mark.parametrize("said, expected", [
    ("[ RUN      ] a\nskipped: no data\n[  SKIPPED ] a\n",
     "SKIPPED  unit asan: codec/a (1): no data\n"),
    ("   3 skipped: cases\n", "SKIPPED  unit asan: codec/a (1): it does not say why\n"),
])
def test_a_skip_says_why(capsys, said, expected):
    run_tests.show_skips("asan", {"name": "weir:unit / codec/a", "stdout": said}, Counts(1, 0, 1))
    assert capsys.readouterr().out == expected


def count(program, how):
    done = subprocess.run([program, how], capture_output=True, text=True,
                          env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "STDOUT"})
    return run_tests.count_cases({"name": how, "result": "OK" if done.returncode == 0 else "FAIL",
                                  "stdout": done.stdout, "stderr": done.stderr})


def test_pytest_results_are_counted(tmp_path):
    results = tmp_path / "results.xml"
    results.write_text("""<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
        <testcase name="a"/><testcase name="b"><failure message="no">text</failure></testcase>
        <testcase name="c"><skipped/></testcase><testcase name="d"><error/></testcase>
        </testsuite></testsuites>""")
    assert run_tests.count_junit(results) == Counts(1, 2, 1)
    assert run_tests.count_junit(tmp_path / "absent.xml") == Counts()


def test_nothing_adds_up_to_nothing():
    assert run_tests.add() == Counts(0, 0, 0)
    assert run_tests.add(Counts(1, 2, 3), Counts(10, 20, 30)) == Counts(11, 22, 33)
