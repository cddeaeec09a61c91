#include "observe/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *json(struct health *health, struct buffer *out)
{
    buffer_clear(out);
    health_write_json(health, out);
    return buffer_string(out);
}

static void it_is_ready_when_it_runs(void **state)
{
    (void)state;
    struct health *health = health_new();
    struct buffer out = {0};
    assert_false(health_is_ready(health));
    assert_non_null(strstr(json(health, &out), "\"ready\":false,\"phase\":\"starting\""));
    assert_non_null(strstr(json(health, &out), "\"cause\":\"starting\""));
    health_set_phase(health, HEALTH_RECOVERING);
    assert_false(health_is_ready(health));
    assert_non_null(strstr(json(health, &out), "\"what\":\"state is being rebuilt from the log\""));
    health_set_phase(health, HEALTH_RUNNING);
    assert_true(health_is_ready(health));
    assert_non_null(strstr(json(health, &out), "\"ready\":true,\"phase\":\"running\""));
    assert_non_null(strstr(json(health, &out), "\"causes\":[]}\n"));
    health_set_phase(health, HEALTH_STOPPING);
    assert_false(health_is_ready(health));
    buffer_fini(&out);
    health_free(health);
}

static void a_system_in_the_way_is_named(void **state)
{
    (void)state;
    struct health *health = health_new();
    struct buffer out = {0};
    struct error err = {0};
    health_set_phase(health, HEALTH_RUNNING);
    health_set_system(health, "a", HEALTH_SYSTEM_WORKS, 0, NULL);
    assert_true(health_is_ready(health));
    error_set(&err, STATUS_RETRY, "log.full", "the \"disk\" is full\n");
    health_set_system(health, "a", HEALTH_SYSTEM_AWAY, 2, &err);
    health_set_system(health, "b", HEALTH_SYSTEM_PAUSED, 5, &err);
    assert_false(health_is_ready(health));
    const char *text = json(health, &out);
    assert_non_null(strstr(text, "{\"cause\":\"away\",\"system\":\"a\",\"attempts\":2,"
                                 "\"code\":\"log.full\",\"since\":\""));
    assert_non_null(strstr(text, "\"what\":\"the \\\"disk\\\" is full\\u000a\""));
    assert_non_null(strstr(text, "},{\"cause\":\"paused\",\"system\":\"b\",\"attempts\":5,"));
    assert_non_null(strstr(text, "\"do\":\"mend it, then POST /resume, or start weir again\"}]}"));
    buffer_clear(&out);
    health_write_lines(health, &out);
    assert_non_null(strstr(buffer_string(&out), "b is paused since "));
    health_set_system(health, "a", HEALTH_SYSTEM_WORKS, 0, NULL);
    health_set_system(health, "b", HEALTH_SYSTEM_WORKS, 0, NULL);
    assert_true(health_is_ready(health));
    buffer_fini(&out);
    health_free(health);
}

static void resumes_are_counted(void **state)
{
    (void)state;
    struct health *health = health_new();
    assert_int_equal(health_resumes(health), 0);
    health_resume(health);
    health_resume(health);
    assert_int_equal(health_resumes(health), 2);
    health_free(health);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_ready_when_it_runs),
        cmocka_unit_test(a_system_in_the_way_is_named),
        cmocka_unit_test(resumes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
