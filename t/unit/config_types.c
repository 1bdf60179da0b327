/* The scalar readers: nginx's grammar of times and sizes, and every overflow. */
#include "config/conf.h"
#include "t/unit/tap.h"

struct module *module_list[] = { NULL };

static void span_is(const char *text, uint64_t want)
{
    uint64_t ms = 0;
    ok(conf_read_span(text_c(text), &ms) && ms == want, "time \"%s\"", text);
    if (ms != want) diag("got %" PRIu64, ms);
}

static void span_not(const char *text)
{
    uint64_t ms;
    ok(!conf_read_span(text_c(text), &ms), "no time: \"%s\"", text);
}

static void bytes_is(const char *text, uint64_t want)
{
    uint64_t n = 0;
    ok(conf_read_bytes(text_c(text), &n) && n == want, "size \"%s\"", text);
}

static void bytes_not(const char *text)
{
    uint64_t n;
    ok(!conf_read_bytes(text_c(text), &n), "no size: \"%s\"", text);
}

static void test_spans(void)
{
    span_is("0", 0);
    span_is("30", 30000);
    span_is("30s", 30000);
    span_is("500ms", 500);
    span_is("1m", 60000);
    span_is("1h30m", 5400000);
    span_is("1h 30m", 5400000);
    span_is("1m 30", 90000);
    span_is(" 1", 1000);
    span_is("1d1h1m1s1ms", 90061001);
    span_is("1w", 604800000);
    span_is("1M", 2592000000);
    span_is("1y", 31536000000);
    span_is("1y1M1w1d", 31536000000 + 2592000000 + 604800000 + 86400000);
    span_is("1s500ms", 1500);
    span_is("1m500ms", 60500);
    span_is("9223372036854775807ms", INT64_MAX);
    span_is("9223372036854775", 9223372036854775000);
    span_not("");
    span_not("s");
    span_not("1x");
    span_not("-1");
    span_not("1.5s");
    span_not("30m1h");
    span_not("1h1h");
    span_not("1ms1s");
    span_not("1s1m");
    span_not("1ms1ms");
    span_not("1S");
    span_not("9223372036854775808ms");
    span_not("9223372036854776");
    span_not("9223372036854775807s");
    span_not("300000000y");
    span_not("9223372036854775807ms 1");
    span_not("99999999999999999999999");
}

static void test_bytes(void)
{
    bytes_is("0", 0);
    bytes_is("10", 10);
    bytes_is("4k", 4096);
    bytes_is("4K", 4096);
    bytes_is("1m", 1048576);
    bytes_is("1M", 1048576);
    bytes_is("2g", 2147483648);
    bytes_is("2G", 2147483648);
    bytes_is("9223372036854775807", INT64_MAX);
    bytes_is("8589934591g", 8589934591ull << 30);
    bytes_not("");
    bytes_not("k");
    bytes_not("-1");
    bytes_not("1.5k");
    bytes_not("1kb");
    bytes_not("1k ");
    bytes_not("1t");
    bytes_not("9223372036854775808");
    bytes_not("8589934592g");
    bytes_not("99999999999999999999");
}

int main(void)
{
    bool on;
    test_spans();
    test_bytes();
    ok(conf_read_flag(T("on"), &on) && on, "on");
    ok(conf_read_flag(T("ON"), &on) && on, "ON");
    ok(conf_read_flag(T("off"), &on) && !on, "off");
    ok(!conf_read_flag(T("yes"), &on) && !conf_read_flag(T(""), &on) && !conf_read_flag(T("on "), &on), "nothing else");
    return done();
}
