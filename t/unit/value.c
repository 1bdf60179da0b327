/* value, date, base64 */
#include "wire/base64.h"
#include "wire/date.h"
#include "wire/value.h"
#include "t/unit/tap.h"

static struct pool *pool;

static struct text items(struct text list)
{
    struct build b = build_in_pool(pool, 0, 0);
    struct text item;
    while (value_next(&list, &item)) { build_text(&b, item); build_char(&b, '|'); }
    return build_done(&b);
}

static void test_lists(void)
{
    struct text rest, name, value;
    is_text(items(T("a, b ,,\tc,")), "a|b|c|", "list");
    is_text(items(T("\"a,b\", c=\"d\\\",e\" ,f")), "\"a,b\"|c=\"d\\\",e\"|f|", "quotes");
    is_text(items(T("\"a,b")), "\"a,b|", "open quote");
    is_text(items(T(" , ")), "", "empty list");
    ok(value_has(T("keep-alive, Close"), T("close")) && !value_has(T("closed"), T("close")), "has");
    ok(value_is_token(T("a-b_c!")) && !value_is_token(T("")) && !value_is_token(T("a b")) && !value_is_token(T("a\xff")), "token");
    is_text(value_head(T("text/html ; charset=utf-8"), &rest), "text/html", "head");
    ok(value_parameter_next(&rest, &name, &value), "parameter");
    is_text(name, "charset", "name");
    is_text(value, "utf-8", "value");
    ok(!value_parameter_next(&rest, &name, &value), "none left");
    ok(value_parameter(T("a;b;;C = \"d;e\""), T("c"), &value), "parameter by name");
    is_text(value, "d;e", "quoted value");
    ok(value_parameter(T("a;b"), T("B"), &value) && value.n == 0, "without a value");
    ok(!value_parameter(T("b;c"), T("b"), &value), "the head is none");
}

static void test_weights(void)
{
    is_int(value_weight(T("1")), 1000, "1");
    is_int(value_weight(T("0.05")), 50, "0.05");
    is_int(value_weight(T("1.000")), 1000, "1.000");
    is_int(value_weight(T("0.")), 0, "0.");
    is_int(value_weight(T("1.001")), -1, "above 1");
    is_int(value_weight(T("0.0001")), -1, "too many places");
    is_int(value_weight(T("2")), -1, "2");
    is_int(value_weight(T("")), -1, "nothing");
    is_int(value_weight(T("0,5")), -1, "comma");
    is_int(value_accepts(T("gzip, br;q=0.5"), T("GZIP")), 1000, "accepts");
    is_int(value_accepts(T("gzip, br;q=0.5"), T("br")), 500, "with a weight");
    is_int(value_accepts(T("*;q=0.1, gzip; q=0"), T("gzip")), 0, "refused by name");
    is_int(value_accepts(T("*;q=0.1, gzip; q=0"), T("br")), 100, "by star");
    is_int(value_accepts(T("gzip"), T("br")), -1, "not listed");
    is_int(value_accepts(T("gzip;q=x"), T("gzip")), 0, "no weight is 0");
}

static void test_cache_control(void)
{
    struct value_cache c = VALUE_CACHE_NONE;
    value_cache_control(T("Max-Age=10, s-maxage=\"20\", no-cache=\"Set-Cookie\", PRIVATE, max-age=5, unknown=1"), &c);
    ok(c.max_age == 10 && c.s_maxage == 20 && c.no_cache && c.is_private && !c.no_store && c.min_fresh == -1, "cache directives");
    value_cache_control(T("no-store,stale-if-error=99999999999999999999, stale-while-revalidate=x, max-stale"), &c);
    ok(c.no_store && c.stale_if_error == 1ll << 31 && c.stale_while_revalidate == 0 && c.max_stale == 1ll << 31, "a second line, odd numbers");
    c = VALUE_CACHE_NONE;
    value_cache_control(T("max-age=, min-fresh=-1"), &c);
    ok(c.max_age == 0 && c.min_fresh == 0, "no number is 0");
}

static void test_cookies(void)
{
    struct text v;
    ok(value_cookie(T("a=1; b=2;c=\"3\""), T("b"), &v), "cookie");
    is_text(v, "2", "value");
    ok(value_cookie(T("a=1; b=2;c=\"3\""), T("C"), &v), "whatever the case");
    is_text(v, "\"3\"", "as it came");
    ok(value_cookie(T("a="), T("a"), &v) && v.n == 0, "empty value");
    ok(!value_cookie(T("ab=1; xa=2; a"), T("a"), &v), "no other's");
    ok(value_cookie(T("a=b=c"), T("a"), &v), "with an equals sign");
    is_text(v, "b=c", "all of it");
    ok(value_cookie(T("x=1;a = 5;c"), T("a"), &v) && text_eq(v, T("5")), "spaces around the equals sign");
    ok(value_cookie(T("x=1,a=2,b;c"), T("a"), &v) && text_eq(v, T("2,b")), "a comma before it, and in it");
}

static void ranges(struct text t, int64_t size, enum value_ranges want, const char *list)
{
    struct value_range r[3];
    size_t n;
    struct build b = build_in_pool(pool, 0, 0);
    is_int(value_ranges(t, size, r, countof(r), &n), want, "%s of %lld", t.p, (long long) size);
    if (want != VALUE_RANGES_FINE) return;
    for (size_t i = 0; i < n; i++) build_fmt(&b, "%lld-%lld;", (long long) r[i].from, (long long) r[i].end);
    is_same(build_done(&b), text_c(list), "  which");
}

static void test_ranges(void)
{
    ranges(T("bytes=0-4"), 10, VALUE_RANGES_FINE, "0-5;");
    ranges(T("Bytes=0-4, -2 ,8-"), 10, VALUE_RANGES_FINE, "0-5;8-10;8-10;");
    ranges(T("bytes=5-100"), 10, VALUE_RANGES_FINE, "5-10;");
    ranges(T("bytes=-100"), 10, VALUE_RANGES_FINE, "0-10;");
    ranges(T("bytes=20-30,1-1"), 10, VALUE_RANGES_FINE, "1-2;");
    ranges(T("bytes=20-30"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=10-"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=-0"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=4-2"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes="), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=a-b"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=1-2x"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=1-2,"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=-"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=99999999999999999999-"), 10, VALUE_RANGES_UNSATISFIABLE, "");
    ranges(T("bytes=0-0"), 0, VALUE_RANGES_IGNORED, "");
    ranges(T("lines=0-4"), 10, VALUE_RANGES_IGNORED, "");
    ranges(T("bytes=0-8,1-9"), 10, VALUE_RANGES_IGNORED, "");
    ranges(T("bytes=0-0,1-1,2-2,3-3"), 10, VALUE_RANGES_IGNORED, "");
}

static void test_etags(void)
{
    ok(value_is_etag(T("\"a\"")) && value_is_etag(T("W/\"\"")), "etags");
    ok(!value_is_etag(T("a")) && !value_is_etag(T("w/\"a\"")) && !value_is_etag(T("\"a\"b")) && !value_is_etag(T("\"")), "others");
    ok(value_etag_eq(T("\"a\""), T("\"a\""), true), "strong");
    ok(!value_etag_eq(T("W/\"a\""), T("W/\"a\""), true) && value_etag_eq(T("W/\"a\""), T("\"a\""), false), "weak");
    ok(value_etag_in(T("\"x\", W/\"a,b\\\" ,\"c\""), T("\"c\""), true), "in a list with commas and a backslash");
    ok(value_etag_in(T("\"x\", W/\"a\""), T("\"a\""), false) && !value_etag_in(T("\"x\", W/\"a\""), T("\"a\""), true), "weak in a list");
    ok(value_etag_in(T(" * "), T(""), true) && !value_etag_in(T("\"a\""), T(""), false), "star");
    ok(!value_etag_in(T("abc, \"a\""), T("\"a\""), true), "not a list of etags");
}

static void date(struct text t, int64_t want)
{
    time_t got = -1;
    bool fine = date_parse(t, &got);
    is_int(fine ? (int64_t) got : INT64_MIN, want, "%s", t.p);
}

static void test_dates(void)
{
    char room[DATE_LENGTH];
    date(T("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    date(T("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    date(T("Sun Nov  6 08:49:37 1994"), 784111777);
    date(T("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    date(T("Thursday, 01-Jan-70 00:00:00 GMT"), 0);
    date(T("Friday, 01-Jan-69 00:00:00 GMT"), 3124224000);
    date(T("Tue, 29 Feb 2000 12:00:00 GMT"), 951825600);
    date(T("Fri, 31 Dec 9999 23:59:59 GMT"), 253402300799);
    date(T("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800);
    static const struct text wrong[] = {
        TEXT_INIT("Mon, 29 Feb 1900 12:00:00 GMT"), TEXT_INIT("Tue, 29 Feb 2001 12:00:00 GMT"), TEXT_INIT("Tue, 31 Apr 2001 12:00:00 GMT"),
        TEXT_INIT("Sun, 00 Nov 1994 08:49:37 GMT"), TEXT_INIT("Sun, 06 Nov 1994 24:49:37 GMT"), TEXT_INIT("Sun, 06 Nov 1994 08:60:37 GMT"),
        TEXT_INIT("Sun, 06 Nov 1994 08:49:61 GMT"), TEXT_INIT("Sun, 06 Nov 1994 08:49:37 UTC"), TEXT_INIT("Sun, 06 Nov 1994 08:49:37"),
        TEXT_INIT("Sun, 6 Nov 1994 08:49:37 GMT"), TEXT_INIT("Sun, 06 nov 1994 08:49:37 GMT"), TEXT_INIT("Sun, 06 ovD 1994 08:49:37 GMT"),
        TEXT_INIT("Xyz, 06 Nov 1994 08:49:37 GMT"), TEXT_INIT("Sun, 06 Nov 1994 08:49:37 GMT "), TEXT_INIT(""), TEXT_INIT("0"),
        TEXT_INIT("Sun, 06 Nov 19x4 08:49:37 GMT"), TEXT_INIT("Sun Nov 6 08:49:37 1994"),
    };
    for (size_t i = 0; i < countof(wrong); i++) date(wrong[i], INT64_MIN);
    is_text(date_format(room, 784111777), "Sun, 06 Nov 1994 08:49:37 GMT", "format");
    is_text(date_format(room, 0), "Thu, 01 Jan 1970 00:00:00 GMT", "epoch");
    is_text(date_format(room, -1), "Wed, 31 Dec 1969 23:59:59 GMT", "before it");
    is_text(date_format(room, INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT", "far ahead");
    is_text(date_format(room, INT64_MIN), "Sat, 01 Jan 0000 00:00:00 GMT", "far behind");
    unsigned wrong_days = 0;
    for (int64_t day = -100000; day < 400000; day++) {       /* 1696 to 3065, day by day, against libc */
        time_t at = day * 86400 + (day & 0xffff), back;
        struct tm tm;
        char want[64];
        gmtime_r(&at, &tm);
        strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        wrong_days += !text_eq(date_format(room, at), text_c(want)) || !date_parse(text_c(want), &back) || back != at;
    }
    is_int(wrong_days, 0, "as libc over 1369 years");
}

static void test_base64(void)
{
    static const char *const known[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" } };
    for (size_t i = 0; i < countof(known); i++) {
        struct build to = build_in_pool(pool, 0, 0), back = build_in_pool(pool, 0, 0);
        base64_encode(&to, text_c(known[i][0]), false);
        is_same(build_done(&to), text_c(known[i][1]), "encode");
        ok(base64_decode(&back, build_done(&to), false), "decode");
        is_same(build_done(&back), text_c(known[i][0]), "and back");
    }
    static const char *const wrong[] = { "Zg=", "Z", "Zm9v=", "Zg==Zg==", "Zh==", "Zm9=", "Z g=", "=", "====", "Zm-_" };
    for (size_t i = 0; i < countof(wrong); i++) {
        struct build b = build_in_pool(pool, 0, 0);
        ok(!base64_decode(&b, text_c(wrong[i]), false), "refused: \"%s\"", wrong[i]);
    }
    struct build b = build_in_pool(pool, 0, 0);
    base64_encode(&b, T("\xff\xfe\xfd\x01"), true);
    is_text(build_done(&b), "__79AQ", "url alphabet, no padding");
    b = build_in_pool(pool, 0, 0);
    ok(base64_decode(&b, T("__79AQ"), true), "url decode");
    is_same(build_done(&b), T("\xff\xfe\xfd\x01"), "and back");
    ok(!base64_decode(&b, T("//79"), true), "the other alphabet");
}

int main(void)
{
    pool = pool_open(0);
    test_lists();
    test_weights();
    test_cache_control();
    test_cookies();
    test_ranges();
    test_etags();
    test_dates();
    test_base64();
    pool_close(&pool);
    return done();
}
