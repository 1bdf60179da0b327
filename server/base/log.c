#include "base/log.h"
#include "base/clock.h"
#include <errno.h>
#include <unistd.h>

static const char *const names[] = { "stderr", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug" };

struct log_target log_target_stderr = { .level = L_NOTICE, .write = log_write_fd, .plain = true, .fd = STDERR_FILENO };
static struct log first_log = { &log_target_stderr, L_NOTICE };
struct log *log_main = &first_log;

static unsigned written;     /* a bit for each level */

const char *log_level_name(enum log_level level) { return level < countof(names) ? names[level] : "unknown"; }
bool log_had(enum log_level level) { return written & 1u << level; }

bool log_level_parse(struct text name, enum log_level *out)
{
    for (size_t i = L_EMERG; i < countof(names); i++) {
        if (text_eq(name, text_c(names[i]))) {
            *out = (enum log_level) i;
            return true;
        }
    }
    return false;
}

static void find_level(struct log *log)
{
    log->level = L_STDERR;
    for (struct log_target *t = log->targets; t; t = t->next) log->level = max_of(log->level, t->level);
}

void log_add_target(struct log *log, struct log_target *t)
{
    struct log_target **end = &log->targets;
    while (*end) end = &(*end)->next;
    t->next = NULL;
    *end = t;
    find_level(log);
}

void log_drop_target(struct log *log, struct log_target *t)
{
    struct log_target **at = &log->targets;
    while (*at && *at != t) at = &(*at)->next;
    if (*at == NULL) return;
    *at = t->next;
    t->next = NULL;
    find_level(log);
}

void log_write_fd(struct log_target *t, enum log_level level, struct text line)
{
    (void) level;
    ssize_t n;
    do n = write(t->fd, line.p, line.n); while (n < 0 && errno == EINTR);
}

/* The room's last byte is kept for the newline; what does not fit is cut off. */
struct line { char room[LOG_LINE_MAX]; size_t n; };
enum { LINE_TEXT = LOG_LINE_MAX - 1 };

__attribute__((format(printf, 2, 0))) static void add_v(struct line *l, const char *fmt, va_list args)
{
    int n = vsnprintf(l->room + l->n, LOG_LINE_MAX - l->n, fmt, args);
    if (n > 0) l->n = min_of(l->n + (size_t) n, (size_t) LINE_TEXT);
}

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_v(l, fmt, args);
    va_end(args);
}

static void add_about(struct line *l, enum log_level level, const struct log_about *about)
{
    if (about == NULL || level == L_DEBUG) return;
    if (about->doing) add(l, " while %s", about->doing);
    if (about->describe == NULL) return;
    struct build b = build_in_room(l->room + l->n, LINE_TEXT - l->n);
    about->describe(&b, about->arg);
    l->n += b.n;
}

/* Time and process, for those who want them; the length, so that others can leave it out. */
static size_t add_head(struct line *l, enum log_level level)
{
    if (clock_now.wall == 0) clock_update();
    struct text now = clock_error();
    add(l, "%.*s [%s] %d#%d: ", TEXT_ARG(now), log_level_name(level), getpid(), gettid());
    return l->n;
}

static void write_plain(struct log_target *t, enum log_level level, struct text tail)
{
    struct line l = { .n = 0 };
    if (level == L_STDERR) add(&l, "weir: ");
    else add(&l, "weir: [%s] ", log_level_name(level));
    size_t n = min_of(tail.n, LOG_LINE_MAX - l.n);
    memcpy(l.room + l.n, tail.p, n);
    l.n += n;
    l.room[l.n - 1] = '\n';
    t->write(t, level, text_of(l.room, l.n));
}

void log_line(const struct log *log, enum log_level level, const struct log_about *about, int err, const char *fmt, ...)
{
    int saved = errno;
    struct line l = { .n = 0 };
    size_t head = add_head(&l, level);
    if (about && about->number) add(&l, "*%llu ", (unsigned long long) about->number);
    va_list args;
    va_start(args, fmt);
    add_v(&l, fmt, args);
    va_end(args);
    if (err) {
        const char *why = strerrordesc_np(err);
        add(&l, " (%d: %s)", err, why ? why : "Unknown error");
    }
    add_about(&l, level, about);
    l.room[l.n++] = '\n';

    written |= 1u << level;
    for (struct log_target *t = log->targets; t; t = t->next) {
        if (t->level < level) continue;
        if (t->plain) write_plain(t, level, text_of(l.room + head, l.n - head));
        else t->write(t, level, text_of(l.room, l.n));
    }
    errno = saved;
}

struct ring { struct log_target target; size_t size, at; bool full; char *room; };

static void write_ring(struct log_target *t, enum log_level level, struct text line)
{
    (void) level;
    struct ring *r = container_of(t, struct ring, target);
    if (line.n > r->size) line = text_from(line, line.n - r->size);
    size_t part = min_of(line.n, r->size - r->at);
    memcpy(r->room + r->at, line.p, part);
    memcpy(r->room, line.p + part, line.n - part);
    if (r->at + line.n >= r->size) r->full = true;
    r->at = (r->at + line.n) % r->size;
}

struct log_target *log_ring(struct pool *pool, enum log_level level, size_t size)
{
    ASSERT(size > 0);
    struct ring *r = pool_new(pool, struct ring);
    r->target = (struct log_target) { .level = level, .write = write_ring, .fd = -1 };
    r->size = size;
    r->room = pool_bytes(pool, size);
    return &r->target;
}

size_t log_ring_read(const struct log_target *t, char *room, size_t size)
{
    const struct ring *r = container_of((struct log_target *) t, struct ring, target);
    struct build b = build_in_room(room, size);
    if (r->full) build_text(&b, text_of(r->room + r->at, r->size - r->at));
    build_text(&b, text_of(r->room, r->at));
    return b.n;
}
