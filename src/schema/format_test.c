#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "schema/format.h"

static void assert_format(const char *name, struct bytes text, bool expected)
{
    const struct format *format = format_find(name);
    assert_non_null(format);
    /* A copy of the exact size, so that the address sanitizer sees a byte too many. */
    uint8_t *copy = memory_alloc(text.size);
    memcpy(copy, text.data, text.size);
    bool matches = format->matches(bytes_of(copy, text.size));
    memory_free(copy);
    if (matches != expected) {
        fail_msg("%s: \"%.*s\" is %s", name, (int)text.size, (const char *)text.data,
                 matches ? "taken" : "refused");
    }
}

static void assert_all(const char *name, const char *const *texts, bool expected)
{
    for (; *texts != NULL; texts++) {
        assert_format(name, bytes_of_string(*texts), expected);
    }
}

/* Cut short or lengthened anywhere, a right text is not read beyond its end. */
static void assert_bounded(const char *name, const char *text)
{
    const struct format *format = format_find(name);
    size_t size = strlen(text);
    for (size_t i = 0; i <= size; i++) {
        for (int byte = 0; byte < 256; byte++) {
            uint8_t *copy = memory_alloc(i + 1);
            memcpy(copy, text, i);
            copy[i] = (uint8_t)byte;
            (void)format->matches(bytes_of(copy, i + 1));
            memory_free(copy);
        }
    }
}

static void assert_robust(const char *name, const char *text)
{
    assert_bounded(name, text);
    assert_format(name, bytes_of(text, strlen(text) + 1), false);
    assert_format(name, bytes_of("\n", 1), false);
    assert_format(name, bytes_of("", 0), false);
    assert_format(name, bytes_of("\0", 1), false);
    assert_format(name, bytes_of("\xff", 1), false);
}

static void test_date_time(void **state)
{
    (void)state;
    static const char *const right[] = {
        "1963-06-19T08:30:06.283185Z",
        "1963-06-19t08:30:06z",
        "1937-01-01T12:00:27.87+00:20",
        "1990-12-31T15:59:50.123-08:00",
        "1998-12-31T23:59:60Z",
        "1998-12-31T15:59:60.123-08:00",
        "1985-04-12T00:59:59.999999999999999Z",
        "2024-02-29T00:00:00-00:00",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00+23:59",
        NULL,
    };
    static const char *const wrong[] = {
        "1998-12-31 23:59:59Z",
        "1998-12-31T23:59:61Z",
        "1998-12-31T23:58:60Z",
        "1998-12-31T22:59:60Z",
        "1990-02-31T15:59:59Z",
        "2023-02-29T00:00:00Z",
        "1990-12-31T24:00:00Z",
        "1990-12-31T15:60:00Z",
        "1990-12-31T10:00:00+10:60",
        "1990-12-31T10:00:00",
        "1963-6-19T08:30:06Z",
        "1990-12-31T10:00:00.Z",
        "+1963-06-19T08:30:06Z",
        "1985-04-12T23:20:50+01",
        "1985-04-12T23:20:50+0100",
        "2016-12-31T24:59:60+01:00",
        "2013-350T01:01:01",
        "1990-12-31T10:00Z",
        NULL,
    };
    assert_all("date-time", right, true);
    assert_all("date-time", wrong, false);
    assert_robust("date-time", "1990-12-31T15:59:50.123-08:00");
}

static void test_date_and_time(void **state)
{
    (void)state;
    static const char *const dates[] = {"1963-06-19", "2020-02-29", "0400-02-29",
                                        "9999-12-31", "0000-01-01", NULL};
    static const char *const no_dates[] = {"2021-02-29", "0100-02-29", "2020-04-31",  "2020-00-10",
                                           "2020-13-10", "2020-01-00", "1998-1-20",   "20230328",
                                           "2023-W01-1", "2020/01/01", "+020-01-01",  "2020-01-0:",
                                           "2020-01-1 ", "12020-01-1", "2020-01-01Z", NULL};
    static const char *const times[] = {
        "08:30:06Z",
        "08:30:06.283185Z",
        "23:59:60Z",
        "01:29:60+01:30",
        "23:29:60+23:30",
        "15:59:60-08:00",
        "00:29:60-23:30",
        "12:34:56-00:00",
        "08:30:06z",
        "08:30:06.12345678901234567890123456789012345678901234567890+00:20",
        NULL};
    static const char *const no_times[] = {"22:59:60Z",      "23:59:60+01:00", "24:00:00Z",
                                           "00:60:00Z",      "12:00:00",       "00:00:61Z",
                                           "8:3:6Z",         "008:030:006Z",   "01:02:03+24:00",
                                           "01:02:03+00:60", "01:02:03Z+0:30", "08:30:06 PST",
                                           "08:30:06#00:20", "12:00:00.Z",     "12:00:00.52",
                                           "08:30:06-8:000", "12:00:00,5Z",    NULL};
    assert_all("date", dates, true);
    assert_all("date", no_dates, false);
    assert_robust("date", "2020-02-29");
    assert_all("time", times, true);
    assert_all("time", no_times, false);
    assert_robust("time", "15:59:60.5-08:00");
}

static void test_uuid(void **state)
{
    (void)state;
    static const char *const right[] = {"2eb8aa08-AA98-11ea-B4Aa-73B441D16380",
                                        "00000000-0000-0000-0000-000000000000",
                                        "99c17cbb-656f-f64a-f40f-1a4568f03487", NULL};
    static const char *const wrong[] = {
        "2eb8aa08-aa98-11ea-b4aa-73b441d1638",   "2eb8aa08-aa98-11ea-b4ga-73b441d16380",
        "2eb8aa08aa9811eab4aa73b441d16380",      "2eb8aa08aa98-11ea-b4aa73b441d16380----",
        "{2eb8aa08-aa98-11ea-b4aa-73b441d1638}", NULL};
    assert_all("uuid", right, true);
    assert_all("uuid", wrong, false);
    assert_robust("uuid", right[0]);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const v4[] = {"192.168.0.1", "0.0.0.0", "255.255.255.255", NULL};
    static const char *const no_v4[] = {
        "127.0.0.0.1", "256.1.1.1", "127.0",     "01.2.3.4", "1.2.3.4.",   ".1.2.3.4", "1..2.3.4",
        "0x7f.0.0.1",  "1.2.3.04",  "1.2.3.4/8", "1.2.3.-4", "1000.2.3.4", NULL};
    static const char *const v6[] = {"::",
                                     "::1",
                                     "d6::",
                                     "1:d6::42",
                                     "1:2:3:4:5:6:7:8",
                                     "1::d6:1.2.3.4",
                                     "::ffff:192.168.0.1",
                                     "1:2:3:4:5:6:7::",
                                     "::2:3:4:5:6:7:8",
                                     "1:2:3:4:5:6:1.2.3.4",
                                     "ABCD:ef01::",
                                     NULL};
    static const char *const no_v6[] = {"",
                                        ":",
                                        ":::",
                                        "1",
                                        "12345::",
                                        "1::2::3",
                                        ":2:3:4:5:6:7:8",
                                        "1:2:3:4:5:6:7:",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1:2:3:4:5:6:7:8::",
                                        "::1:2:3:4:5:6:7:8",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:1.2.3.4",
                                        "::1.2.3",
                                        "::1.2.3.256",
                                        "::g",
                                        "fe80::1%eth0",
                                        "::1/64",
                                        "[::1]",
                                        "1.2.3.4",
                                        "1:2:3:4:5:::8",
                                        NULL};
    assert_all("ipv4", v4, true);
    assert_all("ipv4", no_v4, false);
    assert_robust("ipv4", "192.168.0.1");
    assert_all("ipv6", v6, true);
    assert_all("ipv6", no_v6, false);
    assert_robust("ipv6", "1:2:3::5:6:192.168.0.1");
}

#define TEN "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN

static void test_hostname(void **state)
{
    (void)state;
    static const char *const right[] = {"www.example.com", "hostname", "1host", "a--b.com", "A.B",
                                        "xn--nxasmq6b", "xn--9n2bp8q.xn--9t4b11yi5a",
                                        "XN--zca29lwxobi7a", SIXTY "abc.com",
                                        /* 253 characters */
                                        SIXTY "." SIXTY "." SIXTY "." SIXTY ".abcdefghi", NULL};
    static const char *const wrong[] = {
        ".", ".example", "example.", "a..b", "-a", "a-", "host_name", "example．com",
        SIXTY "abcd.com", "xn--", "xn--X", "xn--a-", "xn--abc-", "xn--99999999",
        "XN--aa---o47jg78q",
        /* 254 characters */
        SIXTY "." SIXTY "." SIXTY "." SIXTY ".abcdefghij", "exa mple.com", NULL};
    assert_all("hostname", right, true);
    assert_all("hostname", wrong, false);
    assert_robust("hostname", "xn--9n2bp8q.xn--9t4b11yi5a");
    /* All labels of one repeated digit: deltas that overflow or leave Unicode. */
    for (int c = 'a'; c <= 'z'; c++) {
        char label[64] = "xn--";
        memset(label + 4, c, 59);
        label[63] = '\0';
        (void)format_is_hostname(bytes_of(label, 63));
    }
}

static void test_email(void **state)
{
    (void)state;
    static const char *const right[] = {"joe.bloggs@example.com",
                                        "te~st@example.com",
                                        "\"joe bloggs\"@example.com",
                                        "\"joe@bloggs\"@example.com",
                                        "\"a\\\"b\"@x",
                                        "\"\"@x.y",
                                        "a@[127.0.0.1]",
                                        "a@[IPv6:::1]",
                                        "a@[ipv6:2001:db8::1]",
                                        "!#$%&'*+-/=?^_`{|}~@x",
                                        "a@localhost",
                                        NULL};
    static const char *const wrong[] = {"2962",
                                        ".test@example.com",
                                        "test.@example.com",
                                        "te..st@example.com",
                                        "a@invalid=domain.com",
                                        "a@[127.0.0.300]",
                                        "@example.com",
                                        "a@",
                                        "a b@example.com",
                                        "a@b@c",
                                        "\"a@b",
                                        "\"a\"b@c",
                                        "\"a\\",
                                        "\"\xc3\xa4\"@x",
                                        "\xc3\xa4@x",
                                        "a@-b",
                                        "a@b.",
                                        "a@[::1]",
                                        "a@[IPv6:]",
                                        "a@[",
                                        "a@[]",
                                        "a@[1.2.3.4",
                                        "a@x, b@y",
                                        "<a@x>",
                                        NULL};
    assert_all("email", right, true);
    assert_all("email", wrong, false);
    assert_robust("email", "\"joe \\\"b\"@[IPv6:::1]");
}

static void test_uri(void **state)
{
    (void)state;
    static const char *const right[] = {"http://foo.bar/?baz=qux#quux",
                                        "http://foo.com/blah_(wikipedia)_blah#cite-1",
                                        "http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com",
                                        "ldap://[2001:db8::7]/c=GB?objectClass?one",
                                        "mailto:John.Doe@example.com",
                                        "tel:+1-816-555-1212",
                                        "urn:oasis:names:x:1.2",
                                        "a:",
                                        "a:/",
                                        "a://",
                                        "a:///x",
                                        "a://h:80",
                                        "a://h:",
                                        "a://[::1]:80/",
                                        "a://[v1.x:y]/",
                                        "http://999.999.999.999/",
                                        "a:b//c",
                                        "a:?#",
                                        "x+y-z.1:q",
                                        "http://@h/",
                                        NULL};
    static const char *const wrong[] = {"//foo.bar/",
                                        "/abc",
                                        "abc",
                                        "\\\\WINDOWS",
                                        "http:// x",
                                        ":// x",
                                        "bar,baz:foo",
                                        "1http://x",
                                        "https://[@example.org/test.txt",
                                        "https://x/\xc2\xae",
                                        "https://x/\\",
                                        "https://x/\"",
                                        "https://x/<>",
                                        "https://x/{}",
                                        "https://x/^",
                                        "https://x/`",
                                        "https://x/ ",
                                        "https://x/|",
                                        "http://x/%6G",
                                        "http://x/%A",
                                        "http://x/%",
                                        "http://x:abc/",
                                        "http://[::ffff:01.2.3.4]",
                                        "http:/[::1]",
                                        "a:b#c#d",
                                        "a://[::1",
                                        "a://[::1]x",
                                        "a://[v.x]",
                                        "a://[v1.]",
                                        "a://[v1.%41]",
                                        "a://b@c@d",
                                        "a:[",
                                        NULL};
    assert_all("uri", right, true);
    assert_all("uri", wrong, false);
    assert_robust("uri", "http://u:p@[v1.a]:80/p%41?q#f");
}

static void test_references(void **state)
{
    (void)state;
    static const char *const iris[] = {"http://ƒøø.ßår/?∂éœ=πîx#πîüx", "urn:x", "a:/é%20", NULL};
    static const char *const relative[] = {"", "/a/b", "//h/p", "a/b:c", "?q", "#f", "é", NULL};
    static const char *const wrong[] = {"a\\b", "http://[::1", "%zz", "a:b c", "1:a", NULL};
    assert_all("iri", iris, true);
    assert_all("iri-reference", iris, true);
    assert_all("iri-reference", relative, true);
    assert_all("iri", wrong, false);
    assert_all("iri-reference", wrong, false);
    assert_all("uri-reference", wrong, false);
    static const char *const ascii[] = {"/é", "http://ƒøø.ßår/", NULL};
    assert_all("uri-reference", ascii, false);
    /* U+E000 is private: only a query may hold it. */
    static const char *const private_use[] = {"a:\xEE\x80\x80", NULL};
    static const char *const private_query[] = {"a:?\xEE\x80\x80", NULL};
    assert_all("iri", private_use, false);
    assert_all("iri", private_query, true);
    assert_robust("iri", "http://ƒ.å/?é#ü");
    static const char *const templates[] = {"", "/a{?x,y*}{&z:10}", "{+a.b}", "{%41}", "é", NULL};
    static const char *const no_templates[] = {"{", "}", "{}", "{a", "{a:0}", "{a:10000}", "{a.}",
                                               "a b", "%4", NULL};
    assert_all("uri-template", templates, true);
    assert_all("uri-template", no_templates, false);
    assert_bounded("uri-template", "/{+a:3,b*}x%41");
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const durations[] = {"P1Y", "P1Y2M3D", "PT1H2M3S", "P4W", "P1DT1H", "PT0S",
                                            "P1M", "PT36H", NULL};
    static const char *const no_durations[] = {"P", "PT", "P1", "1Y", "P1D2Y", "P1Y2D", "P1DT", "P1H",
                                               "PT1D", "P1W1D", "P1.5D", "P-1D", "PT1H1S", "p1d", NULL};
    assert_all("duration", durations, true);
    assert_all("duration", no_durations, false);
    assert_robust("duration", "P1Y2M3DT4H5M6S");
    static const char *const pointers[] = {"", "/", "/a~0b~1c", "//", NULL};
    static const char *const no_pointers[] = {"a", "/~", "/~2", "#/a", NULL};
    assert_all("json-pointer", pointers, true);
    assert_all("json-pointer", no_pointers, false);
    static const char *const relatives[] = {"0", "1/a", "10#", "0+1/a", "2-1#", NULL};
    static const char *const no_relatives[] = {"", "/a", "01/a", "-1", "0##", "0+0", "0+", "1a", NULL};
    assert_all("relative-json-pointer", relatives, true);
    assert_all("relative-json-pointer", no_relatives, false);
    assert_bounded("relative-json-pointer", "1+2/a~0b");
    static const char *const patterns[] = {"", "^a+$", "(?<n>x)", NULL};
    static const char *const no_patterns[] = {"(", "a{2,1}", "[", NULL};
    assert_all("regex", patterns, true);
    assert_all("regex", no_patterns, false);
}

static void test_international(void **state)
{
    (void)state;
    static const char *const hosts[] = {"실례.테스트", "a.b", "xn--ihqwcrb4cv8a8dqg056pqjye.example",
                                        "ß.de", "a。b", NULL};
    static const char *const no_hosts[] = {"", ".", "〮실례", "-a", "a..b", "a b", "a_b", "xn--X",
                                           "l·", "é\xCC\x81-", NULL};
    assert_all("idn-hostname", hosts, true);
    assert_all("idn-hostname", no_hosts, false);
    assert_bounded("idn-hostname", "실례.xn--a-b");
    static const char *const mails[] = {"실례@실례.테스트", "joe@example.com", "é@[127.0.0.1]",
                                        "\"é x\"@a", NULL};
    static const char *const no_mails[] = {"2962", "@a", "é@", "é x@a", "é@a_b", NULL};
    assert_all("idn-email", mails, true);
    assert_all("idn-email", no_mails, false);
}

static void test_names(void **state)
{
    (void)state;
    assert_null(format_find("date_time"));
    assert_null(format_find("DATE"));
    assert_string_equal(format_nearest("date_time"), "date-time");
    assert_string_equal(format_nearest("ipv5"), "ipv4");
    size_t count = 0;
    while (format_list(count) != NULL) {
        assert_ptr_equal(format_find(format_list(count)->name), format_list(count));
        count++;
    }
    assert_int_equal(count, 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_time), cmocka_unit_test(test_date_and_time),
        cmocka_unit_test(test_uuid),      cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_hostname),  cmocka_unit_test(test_email),
        cmocka_unit_test(test_uri),       cmocka_unit_test(test_references),
        cmocka_unit_test(test_texts),     cmocka_unit_test(test_international),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
