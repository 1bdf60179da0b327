#include "os/syslog.h"
#include "base/clock.h"
#include <errno.h>
#include <unistd.h>

enum { SYSLOG_PORT = 514, RETRY_MS = 1000, MESSAGE_MAX = LOG_LINE_MAX + 512 };

/* RFC 3164 4.1.1; the names are those of syslog.conf. */
static const char *const facilities[] = {
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp", "audit",
    "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
};
static const char *const severities[] = { "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug" };

static int find(const char *const *names, size_t count, struct text name)
{
    for (size_t i = 0; i < count; i++) if (text_eq(name, text_c(names[i]))) return (int) i;
    return -1;
}

static const char *parse_server(struct pool *p, struct text value, struct addr *out)
{
    struct text host;
    uint16_t port;
    const char *why;
    struct addr *all;
    if (!addr_split(value, &host, &port, &why) || addr_resolve(p, host, port ? port : SYSLOG_PORT, &all, &why) == 0)
        return pool_printf(p, "%s in syslog server \"%.*s\"", why, TEXT_ARG(value)).p;
    *out = all[0];
    return NULL;
}

static const char *parse_tag(struct pool *p, struct text value, struct text *out)
{
    if (value.n == 0 || value.n > 32) return "syslog tag length exceeds 32";
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = text_lower((unsigned char) value.p[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') return "syslog \"tag\" only allows alphanumeric characters and underscore";
    }
    *out = pool_text(p, value);
    return NULL;
}

static const char *parse_word(struct pool *p, struct text word, struct syslog *out)
{
    ssize_t eq = text_find_char(word, '=');
    struct text name = eq < 0 ? word : text_upto(word, (size_t) eq), value = eq < 0 ? T("") : text_from(word, (size_t) eq + 1);
    if (text_eq(word, T("nohostname"))) out->nohostname = true;
    else if (text_eq(name, T("server"))) return parse_server(p, value, &out->server);
    else if (text_eq(name, T("tag"))) return parse_tag(p, value, &out->tag);
    else if (text_eq(name, T("facility"))) {
        if ((out->facility = find(facilities, countof(facilities), value)) < 0) return pool_printf(p, "unknown syslog facility \"%.*s\"", TEXT_ARG(value)).p;
    } else if (text_eq(name, T("severity"))) {
        if ((out->severity = find(severities, countof(severities), value)) < 0) return pool_printf(p, "unknown syslog severity \"%.*s\"", TEXT_ARG(value)).p;
    } else return pool_printf(p, "unknown syslog parameter \"%.*s\"", TEXT_ARG(word)).p;
    return NULL;
}

const char *syslog_parse(struct pool *p, struct text words, struct syslog *out)
{
    *out = (struct syslog) { .facility = 23, .severity = 6, .tag = T("weir"), .fd = -1 };
    struct text word;
    while (text_split(&words, ',', &word)) {
        const char *why = parse_word(p, word, out);
        if (why) return why;
    }
    return out->server.family == AF_UNSPEC ? "no syslog server specified" : NULL;
}

static bool connect_to(struct syslog *s)
{
    if (s->retry_ms > clock_now.ms) return false;
    struct sockaddr_storage room;
    socklen_t len = addr_sockaddr(&s->server, &room);
    s->fd = socket(s->server.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && connect(s->fd, (struct sockaddr *) &room, len) == 0) return true;
    syslog_close(s);
    s->retry_ms = clock_now.ms + RETRY_MS;
    return false;
}

static const char *own_name(void)
{
    static char name[256];
    if (name[0] == '\0' && gethostname(name, sizeof name - 1) != 0) return "localhost";
    return name;
}

void syslog_send(struct syslog *s, int severity, struct text message)
{
    char room[MESSAGE_MAX];
    struct build b = build_in_room(room, sizeof room);
    /* RFC 3164 4.1: <PRI>TIMESTAMP HOSTNAME TAG: CONTENT */
    build_char(&b, '<');
    build_u64(&b, (uint64_t) s->facility * 8 + (uint64_t) severity);
    build_char(&b, '>');
    build_text(&b, clock_syslog());
    build_char(&b, ' ');
    if (!s->nohostname) {
        build_c(&b, own_name());
        build_char(&b, ' ');
    }
    build_text(&b, s->tag);
    build_lit(&b, ": ");
    build_text(&b, text_upto(message, min_of(message.n, b.cap - b.n)));
    if (s->fd < 0 && !connect_to(s)) return;
    if (send(s->fd, b.p, b.n, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EMSGSIZE) {
        syslog_close(s);                 /* a daemon that was started anew has a new socket: once more */
        if (connect_to(s)) (void) !send(s->fd, b.p, b.n, MSG_NOSIGNAL);
    }
}

static void write_line(struct log_target *t, enum log_level level, struct text line)
{
    static const int severity[] = { 0, 0, 1, 2, 3, 4, 5, 6, 7 };    /* of L_STDERR … L_DEBUG */
    if (line.n && line.p[line.n - 1] == '\n') line.n--;
    syslog_send(t->arg, severity[level], line);
}

struct log_target *syslog_target(struct pool *p, enum log_level level, struct syslog *s)
{
    struct log_target *t = pool_new(p, struct log_target);
    *t = (struct log_target) { .level = level, .write = write_line, .fd = -1, .arg = s };
    return t;
}

void syslog_close(struct syslog *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}
