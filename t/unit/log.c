/* log and clock */
#include "base/clock.h"
#include "base/log.h"
#include "t/unit/tap.h"
#include <errno.h>

static struct { char room[LOG_LINE_MAX]; size_t n; } last;
static void keep(struct log_target *t, enum log_level level, struct text line)
{
    (void) t;
    (void) level;
    memcpy(last.room, line.p, line.n);
    last.n = line.n;
}
static struct text kept(void) { return text_of(last.room, last.n); }
static void describe(struct build *b, void *arg) { build_lit(b, ", client: "); build_c(b, arg); }

static void test_clock(void)
{
    setenv("TZ", "UTC-5:30", 1);
    clock_fake(5, 1795415295123);
    is_text(clock_http(), "Mon, 23 Nov 2026 06:28:15 GMT", "http");
    is_text(clock_log(), "23/Nov/2026:11:58:15 +0530", "log");
    is_text(clock_error(), "2026/11/23 11:58:15", "error");
    is_text(clock_iso(), "2026-11-23T11:58:15+05:30", "iso");
    is_text(clock_syslog(), "Nov 23 11:58:15", "syslog");
    clock_fake(5, 1795415296000);
    is_text(clock_http(), "Mon, 23 Nov 2026 06:28:16 GMT", "next second");
    clock_update();
    is_int(clock_now.wall, 1795415296, "stands still");
    clock_real();
    ok(llabs((long long) time(NULL) - (long long) clock_now.wall) <= 1, "real again");
    clock_fake(5, 1795415295123);
}

static void test_log(void)
{
    struct log log = { NULL, L_STDERR };
    struct log_target t = { .level = L_ERR, .write = keep };
    struct log_about about = { 45, describe, "10.0.0.1", "reading client request line" };
    char want[512];
    log_add_target(&log, &t);
    is_int(log.level, L_ERR, "level");
    log_at(&log, L_WARN, NULL, 0, "not wanted");
    is_int(last.n, 0, "level is off");
    ok(!log_had(L_ERR), "had not");
    errno = EINTR;
    log_at(&log, L_ERR, &about, ENOENT, "open \"%s\" failed", "x");
    is_int(errno, EINTR, "errno is kept");
    snprintf(want, sizeof want, "2026/11/23 11:58:15 [error] %d#%d: *45 open \"x\" failed (2: No such file or directory)"
             " while reading client request line, client: 10.0.0.1\n", getpid(), getpid());
    is_same(kept(), text_c(want), "whole line");
    ok(log_had(L_ERR) && !log_had(L_ALERT), "had");
    log_line(&log, L_ERR, &about, 0, "%05000d", 1);
    is_int(last.n, LOG_LINE_MAX, "cut to the limit");
    is_int(last.room[last.n - 1], '\n', "and ends as a line");
    struct log_target plain = { .level = L_NOTICE, .write = keep, .plain = true };
    log_drop_target(&log, &t);
    is_int(log.level, L_STDERR, "dropped");
    log_add_target(&log, &plain);
    log_line(&log, L_EMERG, NULL, 0, "no \"events\" section");
    is_text(kept(), "weir: [emerg] no \"events\" section\n", "plain");
    log_line(&log, L_ERR, NULL, 0, "%05000d", 1);
    ok(last.n <= LOG_LINE_MAX && last.room[last.n - 1] == '\n', "plain is cut too");
    enum log_level level;
    ok(log_level_parse(T("crit"), &level) && level == L_CRIT, "parse level");
    ok(!log_level_parse(T("stderr"), &level) && !log_level_parse(T("loud"), &level), "no such level");
}

static void test_ring(void)
{
    struct pool *p = pool_open(0);
    struct log_target *t = log_ring(p, L_DEBUG, 16);
    char room[64];
    t->write(t, L_DEBUG, T("0123456789"));
    is_int(log_ring_read(t, room, sizeof room), 10, "part");
    t->write(t, L_DEBUG, T("abcdefghij"));
    is_same(text_of(room, log_ring_read(t, room, sizeof room)), T("456789abcdefghij"), "newest bytes");
    t->write(t, L_DEBUG, T("ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    is_same(text_of(room, log_ring_read(t, room, sizeof room)), T("KLMNOPQRSTUVWXYZ"), "longer than the ring");
    pool_close(&p);
}

int main(void)
{
    test_clock();
    test_log();
    test_ring();
    return done();
}
