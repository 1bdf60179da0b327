/* When certificates expire: each stage is told once, at its time. */
#include "tls/ending.h"
#include "t/unit/tap.h"

enum { DAY = 86400 };
static char     said[512];
static unsigned lines;
static enum log_level said_level;

static void keep_line(struct log_target *t, enum log_level level, struct text line)
{
    (void) t;
    struct build b = build_in_room(said, sizeof(said));
    build_text(&b, line);
    said[b.n] = 0;
    said_level = level;
    lines++;
}

int main(void)
{
    struct log_target target = { .level = L_WARN, .write = keep_line };
    struct log log = { NULL, L_STDERR };
    log_add_target(&log, &target);
    const int64_t ends = 1800000000;        /* Jan 15 08:00:00 2027 GMT */
    is_int(tls_ending_stage(ends, ends - 30 * DAY - 1), 0, "more than 30 days");
    is_int(tls_ending_stage(ends, ends - 30 * DAY), 1, "30 days");
    is_int(tls_ending_stage(ends, ends - 14 * DAY - 1), 1, "nearly 14");
    is_int(tls_ending_stage(ends, ends - 1), 4, "a second before");
    is_int(tls_ending_stage(ends, ends), 5, "then");
    is_int(tls_ending_stage(INT64_MAX, ends), 0, "never");

    /* Each second of the last 40 days would be long: each hour, and one more after the end. */
    uint32_t told = 0;
    unsigned at_days[8], levels[8], n = 0;
    for (int64_t now = ends - 40 * DAY; now <= ends + 2 * DAY; now += 3600) {
        unsigned before = lines;
        tls_ending_tell(T("/etc/a.pem"), ends, now, &told, &log);
        if (lines == before || n == countof(at_days)) continue;
        at_days[n] = (unsigned) ((ends - now) / DAY);
        levels[n++] = said_level;
    }
    is_int(n, 5, "five lines");
    is_int(lines, 5, "and no more");
    static const unsigned days[] = { 30, 14, 7, 1, 0 };
    for (unsigned i = 0; i < 5; i++) {
        is_int(at_days[i], days[i], "line %u: its day", i);
        is_int(levels[i], i < 4 ? L_WARN : L_ERR, "line %u: its level", i);
    }
    ok(strstr(said, "certificate \"/etc/a.pem\" has expired, on Jan 15 08:00:00 2027 GMT") != NULL, "the words: %s", said);
    told = 0;
    tls_ending_tell(T("b"), ends, ends - 10 * DAY - 5, &told, &log);
    is_int(lines, 6, "who comes late is told once, of where it is");
    ok(strstr(said, "certificate \"b\" expires in 11 days, on Jan 15") != NULL, "the words: %s", said);
    struct tls_ending e;
    ok(!tls_ending_read(T("/nowhere/a.pem"), &e), "no file");
    ok(!tls_ending_read(T("data:nothing"), &e), "no certificate");
    return done();
}
