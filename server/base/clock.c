#include "base/clock.h"
#include <stdarg.h>

struct clock_now clock_now;

static bool fake;

/* Changes of a zone's offset come on quarter hours. */
enum { QUARTER = 900 };

struct cached { time_t made; size_t n; char room[48]; };
static struct cached http, access_form, error_form, iso, syslog_form;

static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static uint64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

void clock_update(void)
{
    if (fake) return;
    clock_now.ms = read_ms(CLOCK_MONOTONIC);
    clock_now.wall_ms = read_ms(CLOCK_REALTIME);
    clock_now.wall = (time_t) (clock_now.wall_ms / 1000);
}

uint64_t clock_coarse(void) { return fake ? clock_now.ms : read_ms(CLOCK_MONOTONIC_COARSE); }

void clock_fake(uint64_t ms, uint64_t wall_ms)
{
    fake = true;
    clock_now = (struct clock_now) { ms, wall_ms, (time_t) (wall_ms / 1000) };
}

void clock_real(void)
{
    fake = false;
    clock_update();
}

/* Seconds east of Greenwich, asked of the system once a quarter of an hour. */
static long offset_now(void)
{
    static time_t asked = -1;
    static long offset;
    if (clock_now.wall / QUARTER != asked) {
        struct tm tm;
        asked = clock_now.wall / QUARTER;
        offset = localtime_r(&clock_now.wall, &tm) ? tm.tm_gmtoff : 0;
    }
    return offset;
}

static struct tm civil(long offset)
{
    struct tm tm;
    time_t t = clock_now.wall + offset;
    gmtime_r(&t, &tm);
    return tm;
}

/* True when c has to be made anew for this second. */
static inline bool stale(struct cached *c)
{
    if (likely(c->n && c->made == clock_now.wall)) return false;
    c->made = clock_now.wall;
    return true;
}

__attribute__((format(printf, 2, 3))) static void fill(struct cached *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(c->room, sizeof c->room, fmt, args);
    va_end(args);
    ASSERT(n > 0 && (size_t) n < sizeof c->room);
    c->n = (size_t) n;
}

static inline struct text text_in(const struct cached *c) { return text_of(c->room, c->n); }

struct text clock_http(void)
{
    if (stale(&http)) {
        struct tm t = civil(0);
        fill(&http, "%s, %02d %s %d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday, months[t.tm_mon],
             t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    }
    return text_in(&http);
}

struct text clock_log(void)
{
    if (stale(&access_form)) {
        long off = offset_now(), minutes = labs(off) / 60;
        struct tm t = civil(off);
        fill(&access_form, "%02d/%s/%d:%02d:%02d:%02d %c%02ld%02ld", t.tm_mday, months[t.tm_mon], t.tm_year + 1900,
             t.tm_hour, t.tm_min, t.tm_sec, off < 0 ? '-' : '+', minutes / 60, minutes % 60);
    }
    return text_in(&access_form);
}

struct text clock_error(void)
{
    if (stale(&error_form)) {
        struct tm t = civil(offset_now());
        fill(&error_form, "%d/%02d/%02d %02d:%02d:%02d", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
    }
    return text_in(&error_form);
}

struct text clock_iso(void)
{
    if (stale(&iso)) {
        long off = offset_now(), minutes = labs(off) / 60;
        struct tm t = civil(off);
        fill(&iso, "%d-%02d-%02dT%02d:%02d:%02d%c%02ld:%02ld", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
             t.tm_hour, t.tm_min, t.tm_sec, off < 0 ? '-' : '+', minutes / 60, minutes % 60);
    }
    return text_in(&iso);
}

struct text clock_syslog(void)
{
    if (stale(&syslog_form)) {
        struct tm t = civil(offset_now());
        fill(&syslog_form, "%s %2d %02d:%02d:%02d", months[t.tm_mon], t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
    }
    return text_in(&syslog_form);
}
