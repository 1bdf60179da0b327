#include "http/api.h"
#include "tls/counts.h"
#include "wire/uri.h"

const int api_part_kind;

void api_parts_each(void (*fn)(const struct api_part *p, void *arg), void *arg)
{
    for (struct module **m = module_list; *m; m++) {
        for (const struct module *part = *m; part; part = part->extra) {
            if (part->part_kind != &api_part_kind) continue;
            for (const struct api_part *p = part->part; p->name; p++) fn(p, arg);
        }
    }
}

struct wanted { struct text section, name; unsigned version; const struct api_part *found; };

static void look(const struct api_part *p, void *arg)
{
    struct wanted *w = arg;
    if (p->since <= w->version && text_eq(text_c(p->name), w->name) && text_eq(text_c(p->section), w->section)) w->found = p;
}

const struct api_part *api_part_find(struct text section, struct text name, unsigned version)
{
    struct wanted w = { section, name, version, NULL };
    api_parts_each(look, &w);
    return w.found;
}

int api_refuse(struct api_call *c, int status, const char *code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->words, sizeof c->words, fmt, args);
    va_end(args);
    c->code = code;
    return status;
}

bool api_argument(const struct api_call *c, struct text name, struct text *out)
{
    struct text rest = c->r->args, part;
    while (text_split(&rest, '&', &part)) {
        ssize_t sign = text_find_char(part, '=');
        if (sign < 0 || !text_eq(text_upto(part, (size_t) sign), name)) continue;
        struct build b = build_in_pool(c->r->pool, part.n, 0);
        uri_unescape(&b, text_from(part, (size_t) sign + 1));
        *out = build_done(&b);
        return true;
    }
    return false;
}

/* What is no UTF-8 is no JSON: such bytes are shown escaped. */
json_t *api_text(struct text t)
{
    json_t *j = json_stringn(t.p ? t.p : "", t.n);
    char room[4096];
    if (j) return j;
    struct build b = build_in_room(room, sizeof room);
    build_escaped(&b, t);
    return json_stringn(b.p, b.n);
}

/* ---- handshakes ---- */

struct figure { const char *name; enum metric metric; bool of_clients; };
static const struct figure handshakes[] = {
    { "handshakes", METRIC_SSL_HANDSHAKES, false }, { "session_reuses", METRIC_SSL_REUSES, false }, { "handshakes_failed", METRIC_SSL_FAILED, false },
    { "no_common_protocol", METRIC_SSL_NO_PROTOCOL, false }, { "no_common_cipher", METRIC_SSL_NO_CIPHER, true }, { "handshake_timeout", METRIC_SSL_TIMEOUT, false },
    { "peer_rejected_cert", METRIC_SSL_REJECTED, false }, { 0 },
};
static const struct figure faults[] = {
    { "no_cert", METRIC_SSL_NO_CERT, true }, { "expired_cert", METRIC_SSL_EXPIRED, false }, { "revoked_cert", METRIC_SSL_REVOKED, false },
    { "hostname_mismatch", METRIC_SSL_MISNAMED, false }, { "other", METRIC_SSL_UNVERIFIED, false }, { 0 },
};

static json_t *figures(const struct figure *f, uint64_t (*get)(enum metric m, const void *arg), const void *arg, bool clients)
{
    json_t *j = json_object();
    for (; f->name; f++)
        if (clients || !f->of_clients) json_object_set_new(j, f->name, json_integer((json_int_t) get(f->metric, arg)));
    return j;
}

json_t *api_ssl(uint64_t (*get)(enum metric m, const void *arg), const void *arg, bool clients)
{
    json_t *j = figures(handshakes, get, arg, clients);
    json_object_set_new(j, "verify_failures", figures(faults, get, arg, clients));
    return j;
}

static uint64_t of_counts(enum metric m, const void *arg) { return tls_counts_of(arg, m); }

json_t *api_ssl_counts(const struct tls_counts *c, bool clients) { return api_ssl(of_counts, c, clients); }

json_t *api_time(uint64_t wall_ms)
{
    char room[64];
    struct tm tm;
    time_t t = (time_t) (wall_ms / 1000);
    size_t n = strftime(room, sizeof room, "%Y-%m-%dT%H:%M:%S", gmtime_r(&t, &tm));
    snprintf(room + n, sizeof room - n, ".%03uZ", (unsigned) (wall_ms % 1000));
    return json_string(room);
}
