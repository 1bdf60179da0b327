/* status_zone: requests of a server or a location, counted over all workers and generations, for the API. */
#include "modules/module.h"
#include "http/api.h"
#include "http/h1_tls.h"
#include "http/http.h"
#include "http/steps.h"
#include "os/shm.h"
#include "process/cycle.h"
#include "tls/counts.h"

enum { ZONE_BYTES = 8 << 20, CODES = 600 };

struct counts { _Atomic uint64_t processing, requests, discarded, received, sent, codes[CODES]; struct tls_counts ssl; };

struct status_zone { struct status_zone *next; struct text name; bool of_location, secure; struct counts *counts; };
struct status_conf { struct status_zone *server, *location, *all; };

extern struct module status_zone_module;

/* ---- a request ---- */

static void add(_Atomic uint64_t *at, uint64_t n) { atomic_fetch_add_explicit(at, n, memory_order_relaxed); }

static void count(struct counts *c, const struct request *r)
{
    unsigned status = (unsigned) r->out.status;
    if (!r->out.head_sent) add(&c->discarded, 1);
    else if (status < CODES) add(&c->codes[status], 1);
    add(&c->requests, 1);
    add(&c->received, r->in_bytes);
    add(&c->sent, r->conn->sent - r->sent_at_start);
}

static void ended(struct request *r, void *arg)
{
    const struct status_conf *c = request_values(r, &status_zone_module);
    struct counts *server = arg;
    if (server) {
        count(server, r);
        add(&server->processing, (uint64_t) -1);
    }
    if (c->location) count(c->location->counts, r);
}

static struct verdict begin(struct request *r)
{
    const struct status_conf *c = conf_values(r->vhost->block, &status_zone_module);
    struct counts *server = c->server ? c->server->counts : NULL;
    if (r->main != r) return v_next();
    if (server) add(&server->processing, 1);
    request_at_close(r, ended, server);
    return v_next();
}

static struct tls_counts *tls_of(const struct vhost *v)
{
    const struct status_conf *c = conf_values(v->block, &status_zone_module);
    return c && c->server ? &c->server->counts->ssl : NULL;
}

/* ---- as JSON ---- */

static json_int_t number(const _Atomic uint64_t *at) { return (json_int_t) atomic_load_explicit(at, memory_order_relaxed); }

static json_t *responses_json(const struct counts *c)
{
    json_int_t classes[6] = { 0 };
    json_t *codes = json_object();
    char name[8];
    for (unsigned i = 0; i < CODES; i++) {
        json_int_t n = number(&c->codes[i]);
        if (!n) continue;
        classes[i / 100] += n;
        classes[0] += n;
        snprintf(name, sizeof name, "%u", i);
        json_object_set_new(codes, name, json_integer(n));
    }
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:I}", "1xx", classes[1], "2xx", classes[2], "3xx", classes[3], "4xx", classes[4], "5xx", classes[5], "codes", codes, "total", classes[0]);
}

static json_t *zone_json(const struct status_zone *z)
{
    const struct counts *c = z->counts;
    json_t *j = json_object();
    if (!z->of_location) json_object_set_new(j, "processing", json_integer(number(&c->processing)));
    json_object_set_new(j, "requests", json_integer(number(&c->requests)));
    json_object_set_new(j, "responses", responses_json(c));
    json_object_set_new(j, "discarded", json_integer(number(&c->discarded)));
    json_object_set_new(j, "received", json_integer(number(&c->received)));
    json_object_set_new(j, "sent", json_integer(number(&c->sent)));
    if (z->secure) json_object_set_new(j, "ssl", api_ssl_counts(&c->ssl, true));
    return j;
}

static void reset(struct counts *c)
{
    _Atomic uint64_t *const counts[] = { &c->requests, &c->discarded, &c->received, &c->sent };
    for (size_t i = 0; i < countof(counts); i++) atomic_store(counts[i], 0);
    for (size_t i = 0; i < CODES; i++) atomic_store(&c->codes[i], 0);
    tls_counts_forget(&c->ssl);
}

static int serve_kind(struct api_call *c, bool of_location)
{
    const struct status_conf *top = conf_values(cycle_current->conf->top, &status_zone_module);
    const struct status_zone *z = top->all;
    if (c->depth > 1) return api_refuse(c, 404, "PathNotFound", "path not found");
    if (!c->depth && c->method != METHOD_GET) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    if (!c->depth) {
        c->answer = json_object();
        for (; z; z = z->next)
            if (z->of_location == of_location) json_object_setn_new(c->answer, z->name.p, z->name.n, zone_json(z));
        return 200;
    }
    while (z && (z->of_location != of_location || !text_eq(z->name, c->rest[0]))) z = z->next;
    if (!z && of_location) return api_refuse(c, 404, "LocationZoneNotFound", "location zone not found");
    if (!z) return api_refuse(c, 404, "ServerZoneNotFound", "server zone not found");
    if (c->method == METHOD_DELETE) {
        reset(z->counts);
        return 204;
    }
    c->answer = zone_json(z);
    return 200;
}

static int serve_servers(struct api_call *c) { return serve_kind(c, false); }
static int serve_locations(struct api_call *c) { return serve_kind(c, true); }

static const struct api_part api[] = {
    { "http", "server_zones", 1, 1u << METHOD_DELETE, true, serve_servers },
    { "http", "location_zones", 5, 1u << METHOD_DELETE, true, serve_locations },
    { 0 },
};

/* ---- reading ---- */

static struct status_zone *zone_named(struct conf *cf, struct text name, bool of_location)
{
    struct status_conf *top = conf_own_values(cf, cf->top, &status_zone_module);
    struct status_zone *z = top->all;
    while (z && (z->of_location != of_location || !text_eq(z->name, name))) z = z->next;
    if (z) return z;
    z = pool_new(cf->pool, struct status_zone);
    *z = (struct status_zone) { .name = pool_text(cf->pool, name), .of_location = of_location, .next = top->all };
    return top->all = z;
}

/* Of a server: what a location says does not take its place, both count. */
static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    struct status_conf *c = field;
    struct text name = cf->words[1];
    if (!name.n) return conf_say(cf, "!invalid zone name \"%.*s\"", TEXT_ARG(name));
    if (cf->block->kind == IN_SERVER) c->server = zone_named(cf, name, false);
    else c->location = zone_named(cf, name, true);
    return NULL;
}

static bool open_cycle(struct cycle *cycle)
{
    const struct status_conf *top = conf_values(cycle->conf->top, &status_zone_module);
    char room[1024];
    if (!top->all) return true;
    h1_tls_counts = tls_of;
    const struct http *h = http_of(cycle->conf);
    for (size_t i = 0; h && i < h->vhost_count; i++) {
        const struct status_conf *c = conf_values(h->vhosts[i]->block, &status_zone_module);
        if (c->server && h->vhosts[i]->tls) c->server->secure = true;
    }
    struct zone *zone = shm_open_zone(T("status zones"), ZONE_BYTES, 0x73740001 ^ sizeof(struct counts) << 32, NULL);
    if (!zone) return false;
    for (struct status_zone *z = top->all; z; z = z->next) {
        struct build b = build_in_room(room, sizeof room);
        build_char(&b, z->of_location ? 'l' : 's');
        build_text(&b, z->name);
        z->counts = build_ok(&b) ? shm_object(zone, build_done(&b), sizeof *z->counts, NULL) : NULL;
        if (z->counts) continue;
        log_at(log_main, L_EMERG, NULL, 0, "there is no room for the counts of status_zone \"%.*s\"", TEXT_ARG(z->name));
        return false;
    }
    return true;
}

static const struct conf_type type = { .syntax = "zone", .min = 1, .max = 1, .parse = parse };
static const struct directive rows[] = {
    D_DO(&type, "status_zone", IN_SERVER | IN_LOCATION | IN_IF, NULL, NULL, "Counts requests of this server, or location, under that name for the API."),
    { .name = NULL },
};
static const struct hook hooks[] = { { .step = &step_post_read, .name = "status_zone", .run = begin, .order = -1000 }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };
static const struct process_part process = { .open = open_cycle };
static const struct module process_module = { .name = "status_zone_process", .part = &process, .part_kind = &process_part_kind };
static const struct module api_module = { .name = "status_zone_api", .part = api, .part_kind = &api_part_kind, .extra = &process_module };

struct module status_zone_module = { .name = "status_zone", .conf_size = sizeof(struct status_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind, .extra = &api_module };
