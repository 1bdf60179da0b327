/* status_api: processes, shared memory, TLS and resolvers in the API. */
#include "modules/module.h"
#include "http/api.h"
#include "os/metrics_worker.h"
#include "os/shm.h"
#include "process/cycle.h"
#include "upstream/resolver.h"

static int no_path(struct api_call *c) { return api_refuse(c, 404, "PathNotFound", "path not found"); }

/* ---- figures that are metrics ---- */

struct figure { const char *name; enum metric metric; };

static void put_figures(json_t *j, const struct figure *f)
{
    for (; f->name; f++) json_object_set_new(j, f->name, json_integer((json_int_t) metrics_since(f->metric)));
}

static void forget_figures(const struct figure *f)
{
    for (; f->name; f++) metrics_forget(f->metric);
}

static const struct figure process_figures[] = { { "respawned", METRIC_PROCESSES_RESPAWNED }, { 0 } };

static int serve_processes(struct api_call *c)
{
    if (c->depth) return no_path(c);
    if (c->method == METHOD_DELETE) {
        forget_figures(process_figures);
        return 204;
    }
    put_figures(c->answer = json_object(), process_figures);
    return 200;
}

static uint64_t since(enum metric m, const void *arg)
{
    (void) arg;
    return metrics_since(m);
}

static int serve_ssl(struct api_call *c)
{
    if (c->depth) return no_path(c);
    if (c->method == METHOD_DELETE) {
        for (enum metric m = METRIC_SSL_HANDSHAKES; m <= METRIC_SSL_UNVERIFIED; m++) metrics_forget(m);
        return 204;
    }
    c->answer = api_ssl(since, NULL, true);
    return 200;
}

/* ---- workers ---- */

enum { WORKERS_MOST = 1024 };

static json_t *worker_json(const struct metrics_process *p, size_t id)
{
    uint64_t accepted = metrics_of(p, METRIC_CONNECTIONS_ACCEPTED), handled = metrics_of(p, METRIC_CONNECTIONS_HANDLED);
    uint64_t active = metrics_of(p, METRIC_CONNECTIONS_ACTIVE), idle = metrics_of(p, METRIC_CONNECTIONS_WAITING);
    return json_pack("{s:I,s:I,s:{s:I,s:I,s:I,s:I},s:{s:{s:I,s:I}}}", "id", (json_int_t) id, "pid", (json_int_t) metrics_pid_of(p),
                     "connections", "accepted", (json_int_t) accepted, "dropped", (json_int_t) (accepted > handled ? accepted - handled : 0), "active", (json_int_t) (active > idle ? active - idle : 0),
                     "idle", (json_int_t) idle, "http", "requests", "total", (json_int_t) metrics_of(p, METRIC_REQUESTS), "current", (json_int_t) metrics_of(p, METRIC_CONNECTIONS_WRITING));
}

static int serve_workers(struct api_call *c)
{
    struct metrics_process *v[WORKERS_MOST];
    size_t n = metrics_workers(cycle_current->number, v, countof(v));
    uint64_t id = 0;
    if (c->depth > 1) return no_path(c);
    if (c->depth && (!text_u64(c->rest[0], &id) || id >= n || !v[id])) return api_refuse(c, 404, "WorkerNotFound", "worker not found");
    if (c->method == METHOD_DELETE) {
        for (size_t i = 0; i < n; i++)
            if (v[i] && (!c->depth || i == id)) metrics_forget_of(v[i]);
        return 204;
    }
    if (c->depth) {
        c->answer = worker_json(v[id], id);
        return 200;
    }
    c->answer = json_array();
    for (size_t i = 0; i < n; i++)
        if (v[i]) json_array_append_new(c->answer, worker_json(v[i], i));
    return 200;
}

/* ---- shared memory ---- */

static json_t *usage_json(struct zone *z)
{
    struct shm_usage u;
    json_t *slots = json_object();
    shm_usage(z, &u);
    for (size_t i = 0; i < countof(u.slots); i++) {
        const struct shm_slots *s = &u.slots[i];
        char size[24];
        snprintf(size, sizeof size, "%zu", s->size);
        json_object_set_new(slots, size, json_pack("{s:I,s:I,s:I,s:I}", "used", (json_int_t) s->used, "free", (json_int_t) s->free, "reqs", (json_int_t) s->asked, "fails", (json_int_t) s->refused));
    }
    return json_pack("{s:{s:I,s:I},s:o}", "pages", "used", (json_int_t) u.pages_used, "free", (json_int_t) u.pages_free, "slots", slots);
}

struct search { struct text name; struct zone *found; };

/* By its name, which begins with what it is for ("keyval one"), or by the configuration's alone. */
static void look(struct zone *z, struct text name, void *arg)
{
    struct search *s = arg;
    ssize_t space = text_find_char(name, ' ');
    if (text_eq(name, s->name)) s->found = z;
    if (!s->found && space > 0 && text_eq(text_from(name, (size_t) space + 1), s->name)) s->found = z;
}

static void add_zone(struct zone *z, struct text name, void *arg) { json_object_setn_new(arg, name.p, name.n, usage_json(z)); }

static int serve_slabs(struct api_call *c)
{
    struct search s = { c->rest[0], NULL };
    if (c->depth > 1) return no_path(c);
    if (!c->depth && c->method != METHOD_GET) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    if (!c->depth) {
        shm_each(add_zone, c->answer = json_object());
        return 200;
    }
    shm_each(look, &s);
    if (!s.found) return api_refuse(c, 404, "SlabNotFound", "slab not found");
    if (c->method == METHOD_DELETE) {
        shm_forget_asked(s.found);
        return 204;
    }
    c->answer = usage_json(s.found);
    return 200;
}

/* ---- resolvers ---- */

static json_int_t number(_Atomic uint64_t *at) { return (json_int_t) atomic_load_explicit(at, memory_order_relaxed); }

static json_t *counts_json(struct resolver_counts *c)
{
    return json_pack("{s:{s:I,s:I,s:I},s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}}", "requests", "name", number(&c->asked[RESOLVER_NAME]), "srv", number(&c->asked[RESOLVER_SERVICE]), "addr", (json_int_t) 0,
                     "responses", "noerror", number(&c->answers[LOOKUP_FOUND]), "formerr", number(&c->answers[LOOKUP_FORMAT]), "servfail", number(&c->answers[LOOKUP_SERVER]),
                     "nxdomain", number(&c->answers[LOOKUP_NONE]), "notimp", number(&c->answers[LOOKUP_UNKNOWN]), "refused", number(&c->answers[LOOKUP_REFUSED]),
                     "timedout", number(&c->answers[RESOLVER_TIMEDOUT]), "unknown", number(&c->answers[RESOLVER_OTHER]));
}

static void forget_counts(struct resolver_counts *c)
{
    for (size_t i = 0; i < countof(c->asked); i++) atomic_store(&c->asked[i], 0);
    for (size_t i = 0; i < countof(c->answers); i++) atomic_store(&c->answers[i], 0);
}

static int serve_resolvers(struct api_call *c)
{
    const struct resolver_zone *z = resolver_zones(cycle_current->conf);
    if (c->depth > 1) return no_path(c);
    if (!c->depth && c->method != METHOD_GET) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    if (!c->depth) {
        c->answer = json_object();
        for (; z; z = z->next) json_object_setn_new(c->answer, z->name.p, z->name.n, counts_json(z->counts));
        return 200;
    }
    while (z && !text_eq(z->name, c->rest[0])) z = z->next;
    if (!z) return api_refuse(c, 404, "ResolverZoneNotFound", "resolver zone not found");
    if (c->method == METHOD_DELETE) {
        forget_counts(z->counts);
        return 204;
    }
    c->answer = counts_json(z->counts);
    return 200;
}

static const struct api_part parts[] = {
    { NULL, "processes", 1, 1u << METHOD_DELETE, false, serve_processes },
    { NULL, "workers", 9, 1u << METHOD_DELETE, false, serve_workers },
    { NULL, "ssl", 1, 1u << METHOD_DELETE, false, serve_ssl },
    { NULL, "slabs", 1, 1u << METHOD_DELETE, true, serve_slabs },
    { NULL, "resolvers", 5, 1u << METHOD_DELETE, true, serve_resolvers },
    { 0 },
};

struct module status_api_module = { .name = "status_api", .part = parts, .part_kind = &api_part_kind };
