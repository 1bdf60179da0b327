/*
 * health_check: the servers of the group that a location passes to are asked from time to time, by the manager, as that location
 * would ask them; upstream/health.h decides what the answers mean.
 */
#include "modules/health_check.h"
#include "http/probe.h"
#include "http/vhost.h"
#include "process/cycle.h"
#include "upstream/health.h"

/* One directive: the check's data. */
struct http_check {
    struct health_check   check;
    struct http_check    *next;
    struct location      *location;
    const struct vhost   *vhost;
    struct text           uri;
    struct match         *match;
    uint64_t              keepalive_ms;
    const struct variables *names;
    unsigned              known[4];          /* indexes of variables that have a value in a check */
    const char           *file;
    unsigned              line;
    struct fetch_want     want;              /* in the manager: made once */
    struct pool          *pool;
    bool                  prepared;
};
struct checks_conf { struct http_check *first; };

/* The probe's part of a target. */
struct asked { struct fetch *fetch; struct fetch_kept kept; };

/* ---- the request ---- */

enum { KNOW_HOST, KNOW_PROXY_HOST, KNOW_SERVER_NAME, KNOW_HTTP_HOST };
static const char *const known_names[] = { [KNOW_HOST] = "host", [KNOW_PROXY_HOST] = "proxy_host", [KNOW_SERVER_NAME] = "server_name", [KNOW_HTTP_HOST] = "http_host" };

static void know(struct eval *e, unsigned index, struct text t)
{
    e->values[index] = (struct value) { .p = t.p, .n = (uint32_t) t.n, .state = VALUE_FOUND };
}

/* There is no client and no request of one: other variables are empty. */
static void fill_eval(struct http_check *c, struct eval *e)
{
    struct text host = c->location->probe->host(c->location), name = c->vhost->name;
    size_t count = eval_value_count(c->names);
    *e = (struct eval) { .kind = EVAL_HTTP, .pool = c->pool, .log = log_main, .names = c->names, .values = pool_array(c->pool, struct value, count) };
    for (size_t i = 0; i < count; i++) e->values[i].state = VALUE_MISSING;
    know(e, c->known[KNOW_PROXY_HOST], host);
    know(e, c->known[KNOW_SERVER_NAME], name);
    know(e, c->known[KNOW_HOST], name.n ? name : host);
    know(e, c->known[KNOW_HTTP_HOST], name.n ? name : host);
}

/* What the client's side of a proxied request would bring along has no place in a check. */
static bool is_wanted(const struct field *f)
{
    static const enum field_id unwanted[] = { FIELD_CONNECTION, FIELD_UPGRADE, FIELD_TE, FIELD_EXPECT, FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING };
    enum field_id id = field_lookup(f->name);
    for (size_t i = 0; i < countof(unwanted); i++)
        if (id == unwanted[i]) return false;
    return true;
}

static void choose_fields(struct http_check *c)
{
    struct fetch_want *w = &c->want;
    struct field *v = pool_array(c->pool, struct field, w->field_count + 1);
    size_t n = 0;
    bool named = false;
    for (size_t i = 0; i < w->field_count; i++) {
        if (!is_wanted(&w->fields[i])) continue;
        named |= text_eq_nocase(w->fields[i].name, T("User-Agent"));
        v[n++] = w->fields[i];
    }
    if (!named) v[n++] = (struct field) { .name = T("User-Agent"), .value = T("weir (health check)") };
    w->fields = v;
    w->field_count = n;
}

static void told(struct fetch *f, enum fetch_end how);

static void prepare(struct http_check *c)
{
    struct eval e;
    c->pool = pool_open(0);
    fill_eval(c, &e);
    c->location->probe->prepare(c->location, &e, &c->want);
    c->want.target = c->uri;
    c->want.body_most = HEALTH_BODY_MOST;
    c->want.cut = true;
    c->want.keepalive_ms = c->keepalive_ms;
    c->want.done = told;
    choose_fields(c);
    c->prepared = true;
}

/* ---- the probe ---- */

static struct group *group_of(struct health_check *h)
{
    struct http_check *c = h->data;
    return c->location->probe ? c->location->probe->group(c->location) : NULL;
}

static void told(struct fetch *f, enum fetch_end how)
{
    struct health_target *t = f->arg;
    struct asked *a = t->data;
    const struct http_check *c = t->check->data;
    char why[320];
    snprintf(why, sizeof why, "%s", f->why);
    bool passed = how == FETCH_DONE && match_holds(c->match, f, why, sizeof why);
    fetch_close(&a->fetch);
    health_told(t, passed, why);
}

static void start(struct health_target *t)
{
    struct http_check *c = t->check->data;
    if (!c->prepared) prepare(c);
    if (!t->data) t->data = base_zalloc(1, sizeof(struct asked));
    struct asked *a = t->data;
    struct fetch_want w = c->want;
    w.to = &t->addr;
    w.arg = t;
    if (c->keepalive_ms) w.kept = &a->kept;
    a->fetch = fetch_start(&w);
}

static void stop(struct health_target *t)
{
    struct asked *a = t->data;
    fetch_close(&a->fetch);
}

static void end(struct health_target *t)
{
    struct asked *a = t->data;
    if (!a) return;
    fetch_kept_close(&a->kept);
    loop_free_later(free, a);
    t->data = NULL;
}

static const struct health_probe probe = { .name = "http", .group = group_of, .start = start, .stop = stop, .end = end };

/* ---- reading ---- */

static bool number_after(struct text word, struct text key, uint32_t least, uint32_t most, uint32_t *out)
{
    uint64_t v;
    if (!text_u64(text_from(word, key.n), &v) || v < least || v > most) return false;
    *out = (uint32_t) v;
    return true;
}

static bool span_after(struct text word, struct text key, uint64_t *out) { return conf_read_span(text_from(word, key.n), out); }

static conf_result read_type(struct conf *cf, struct text word)
{
    if (text_eq(word, T("type=grpc"))) return conf_say(cf, "!health checks of \"type=grpc\" need HTTP/2 to the server, which weir does not speak yet");
    return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
}

static bool read_parameter(struct conf *cf, struct http_check *c, struct text w)
{
    struct health_check *h = &c->check;
    uint32_t port = 0;
    if (text_starts(w, T("interval="))) return span_after(w, T("interval="), &h->interval_ms) && h->interval_ms;
    if (text_starts(w, T("jitter="))) return span_after(w, T("jitter="), &h->jitter_ms);
    if (text_starts(w, T("keepalive_time="))) return span_after(w, T("keepalive_time="), &c->keepalive_ms);
    if (text_starts(w, T("fails="))) return number_after(w, T("fails="), 1, INT32_MAX, &h->fails);
    if (text_starts(w, T("passes="))) return number_after(w, T("passes="), 1, INT32_MAX, &h->passes);
    if (text_starts(w, T("uri=/")) || text_starts(w, T("uri=http://")))      /* absolute: for proxies, RFC 9112 3.2.2 */ return (c->uri = pool_text(cf->pool, text_from(w, 4))).n > 0;
    if (text_starts(w, T("match=")) && w.n > 6) return (c->match = match_named(cf, text_from(w, 6))) != NULL;
    if (text_eq(w, T("mandatory"))) return h->mandatory = true;
    if (text_eq(w, T("persistent"))) return h->persistent = true;
    if (!text_starts(w, T("port=")) || !number_after(w, T("port="), 1, 65535, &port)) return false;
    h->port = (uint16_t) port;
    return true;
}

static const struct vhost *vhost_here(const struct conf *cf)
{
    const struct conf_block *b = cf->block;
    while (b->kind != IN_SERVER) b = b->parent;
    return b->object;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    struct checks_conf *top = conf_own_values(cf, cf->top, &http_health_check_module);
    struct http_check *c = pool_new(cf->pool, struct http_check);
    *c = (struct http_check) { .check = { HEALTH_DEFAULTS, .probe = &probe, .data = c }, .uri = T("/"), .location = location_reading(cf), .vhost = vhost_here(cf), .file = cf->file, .line = cf->line };
    for (size_t i = 1; i < cf->count; i++) {
        if (text_starts(cf->words[i], T("type="))) return read_type(cf, cf->words[i]);
        if (!read_parameter(cf, c, cf->words[i])) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i]));
    }
    if (c->check.persistent && !c->check.mandatory) return conf_say(cf, "!\"persistent\" is a parameter of \"mandatory\" checks");
    c->names = variables_of(cf, EVAL_HTTP);
    for (size_t i = 0; i < countof(known_names); i++) c->known[i] = variables_index_of(cf, EVAL_HTTP, text_c(known_names[i]));
    health_add(cf, &c->check);
    c->next = top->first;
    top->first = c;
    return NULL;
}

static conf_result finish(struct conf *cf, void *values)
{
    const struct checks_conf *top = values;
    for (const struct http_check *c = top->first; c; c = c->next) {
        if (c->match && !match_is_defined(c->match)) conf_error_at(cf, c->file, c->line, "match \"%.*s\" is not defined", TEXT_ARG(c->match->name));
        if (!c->location->probe) conf_error_at(cf, c->file, c->line, "\"health_check\" stands in a location that passes requests to no group of servers");
        else if (!c->location->probe->is_fixed(c->location)) conf_error_at(cf, c->file, c->line, "\"health_check\" needs a group that is known: \"%s\" has variables", c->location->probe->directive);
    }
    return NULL;
}

/* ---- the manager's end ---- */

static void quit(struct cycle *c)
{
    const struct checks_conf *top = conf_values(c->conf->top, &http_health_check_module);
    for (struct http_check *h = top->first; h; h = h->next) pool_close(&h->pool);
}

static const struct conf_type type = {
    .syntax = "[interval=time] [jitter=time] [fails=number] [passes=number] [uri=uri] [mandatory [persistent]] [match=name] [port=number] [keepalive_time=time]",
    .min = 0, .max = 16, .parse = parse,
};
static const struct directive rows[] = {
    D_DO(&type, "health_check", IN_LOCATION, "[parameters]", NULL, "Asks the servers of the group that this location passes to, from time to time, and takes out those that do not answer well. Servers that are proxies are asked for an absolute uri=http://..., and so checked with all that lies behind them."),
    { .name = NULL },
};
static const struct process_part process = { .worker_end = quit };

struct module http_health_check_module = { .name = "http_health_check", .conf_size = sizeof(struct checks_conf), .rows = rows, .finish = finish, .part = &process, .part_kind = &process_part_kind };
