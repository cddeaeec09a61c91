#include "os/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void put(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static int enter_folder(void **state)
{
    char *folder = strdup("/tmp/place-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    *state = folder;
    return 0;
}

static int leave_folder(void **state)
{
    static const char *const names[] = {"sub/up", "sub/file", "file", "hard",  "link",   "absent",
                                        "chain",  "round",    "trip", "here", "outside"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlink(names[i]);
    }
    rmdir("sub");
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(*state), 0);
    free(*state);
    return 0;
}

static void every_spelling_is_one_path(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1024);
    char *here = realpath(".", NULL);
    assert_int_equal(mkdir("sub", 0700), 0);
    put("file");
    assert_int_equal(symlink("file", "link"), 0);
    assert_int_equal(symlink(".", "here"), 0);
    assert_int_equal(symlink("sub/up", "chain"), 0);
    assert_int_equal(symlink("../new", "sub/up"), 0);
    assert_int_equal(symlink("round", "trip"), 0);
    assert_int_equal(symlink("trip", "round"), 0);
    assert_int_equal(symlink("/nowhere/new", "outside"), 0);
    static const struct {
        const char *path;
        const char *wanted; /* in the current folder; NULL: none */
    } cases[] = {
        {"file", "/file"},         {"./file", "/file"},    {".//sub/../file", "/file"},
        {"link", "/file"},         {"here/file", "/file"}, {"here/here/link", "/file"},
        {"new", "/new"},           {"chain", "/new"},      {"sub/up", "/new"},
        {"here/sub/up", "/new"},   {"sub/new", "/sub/new"}, {"sub", "/sub"},
        {"sub/", NULL},            {"gone/new", NULL},     {"trip", NULL},
        {"outside", NULL},         {"", NULL},             {"file/new", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *found = place_real(arena, cases[i].path);
        if (cases[i].wanted == NULL) {
            assert_null(found);
        } else {
            assert_non_null(found);
            assert_string_equal(found, arena_printf(arena, "%s%s", here, cases[i].wanted));
        }
    }
    assert_string_equal(place_real(arena, arena_printf(arena, "%s/link", here)),
                        arena_printf(arena, "%s/file", here));
    assert_string_equal(place_real(arena, "/absent-here"), "/absent-here");
    free(here);
    arena_free(arena);
}

static void hard_links_are_one_file(void **state)
{
    (void)state;
    put("file");
    assert_int_equal(link("file", "hard"), 0);
    assert_int_equal(mkdir("sub", 0700), 0);
    put("sub/file");
    assert_true(place_is_same("file", "hard"));
    assert_true(place_is_same("file", "./file"));
    assert_false(place_is_same("file", "sub/file"));
    assert_false(place_is_same("file", "absent"));
    assert_false(place_is_same("absent", "absent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_spelling_is_one_path, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(hard_links_are_one_file, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests_name("os/place", tests, NULL, NULL);
}
