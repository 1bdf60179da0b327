/* upstream: "upstream NAME { server …; keepalive …; }" for http. */
#include "modules/module.h"
#include "upstream/balance.h"
#include "upstream/group.h"
#include "upstream/group_names.h"
#include "upstream/group_peer.h"
#include "upstream/resolver.h"
#include "gateway/resolve.h"

extern struct module http_upstream_module;

static struct group *group_here(struct conf *cf) { return cf->block->object; }

/* The block's own, or what holds around it. */
static struct resolver_values resolver_of_block(const struct conf_block *b)
{
    const struct resolver_values *own = conf_values(b, &http_upstream_module), *around = conf_values(b, &http_resolver_module);
    bool timed = conf_is_set(b, &http_upstream_module, offsetof(struct resolver_values, timeout));
    return (struct resolver_values) { own->resolver ? own->resolver : around->resolver, timed ? own->timeout : around->timeout };
}

static conf_result parse_upstream(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    conf_result why = NULL;
    struct group *g = group_define(cf, groups_of(cf, EVAL_HTTP), cf->words[1], &why);
    if (!g) return why;
    const char *file = cf->file;
    unsigned line = cf->line;
    struct conf_block *block;
    group_names_allow(cf, g, resolver_of_block);
    why = conf_enter(cf, IN_UPSTREAM, g, &block);
    if (why) return why;
    group_names_block(cf, g, block);
    if (!g->next_id && !g->stateful) conf_error_at(cf, file, line, "no servers are inside upstream");
    return NULL;
}

static const struct conf_type upstream_type = { "name { ... }", 0, CONF_BLOCK | CONF_MULTI, 1, 1, parse_upstream };

/* ---- server ---- */

static bool number_after(struct text word, struct text key, uint32_t *out)
{
    uint64_t v;
    if (!text_starts(word, key) || !text_u64(text_from(word, key.n), &v) || v > INT32_MAX) return false;
    *out = (uint32_t) v;
    return true;
}

/* Of characters that a cookie's value and a state file's line may have. */
static bool is_one_word(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char) t.p[i] <= ' ' || t.p[i] == 0x7f || strchr(";{}\"'\\$", t.p[i])) return false;
    return true;
}

static bool read_parameter(struct text w, struct group_server *s, bool *resolve)
{
    if (text_eq(w, T("resolve"))) return *resolve = true;
    if (text_starts(w, T("service="))) return (s->service = text_from(w, 8)).n > 0;
    if (text_starts(w, T("weight="))) return number_after(w, T("weight="), &s->weight) && s->weight;
    if (number_after(w, T("max_conns="), &s->max_conns) || number_after(w, T("max_fails="), &s->max_fails)) return true;
    if (text_starts(w, T("fail_timeout="))) return conf_read_span(text_from(w, 13), &s->fail_timeout_ms);
    if (text_starts(w, T("slow_start="))) return conf_read_span(text_from(w, 11), &s->slow_start_ms);
    if (text_starts(w, T("route="))) {
        s->route = text_from(w, 6);
        return s->route.n && s->route.n <= GROUP_ROUTE_MAX && is_one_word(s->route);
    }
    if (text_starts(w, T("priority="))) return number_after(w, T("priority="), &s->priority);
    if (text_eq(w, T("backup"))) return (s->priority = 1);
    if (text_eq(w, T("drain"))) return s->drain = true;
    if (text_eq(w, T("down"))) return s->down = true;
    return false;
}

static conf_result parse_server(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    struct group_server s = { .address = cf->words[1], .default_port = 80, GROUP_SERVER_DEFAULTS };
    bool resolve = false;
    for (size_t i = 2; i < cf->count; i++)
        if (!read_parameter(cf->words[i], &s, &resolve)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i]));
    if (s.priority && group_here(cf)->balance->no_backup) return "!balancing method does not support parameter \"backup\"";
    if (s.slow_start_ms && group_here(cf)->balance->no_backup) return "!balancing method does not support parameter \"slow_start\"";
    if (s.service.n && !resolve) return conf_say(cf, "!service upstream \"%.*s\" requires \"resolve\" parameter", TEXT_ARG(s.address));
    struct addr numeric;
    if (resolve && !addr_parse(cf->scratch, s.address, s.default_port, &numeric)) return group_names_server(cf, group_here(cf), &s);
    if (s.service.n) return conf_say(cf, "!service upstream \"%.*s\" is not a name", TEXT_ARG(s.address));
    return group_add_server(cf, group_here(cf), &s);
}

static const struct conf_type server_type = { "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] [slow_start=time] [backup] [priority=number] [route=string] [down] [drain] [resolve] [service=name]", 0, CONF_MULTI, 1, 16, parse_server };

static conf_result parse_zone(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    uint64_t size;
    group_here(cf)->counted = true;
    if (!cf->words[1].n) return conf_say(cf, "!invalid zone name \"%.*s\"", TEXT_ARG(cf->words[1]));
    if (cf->count == 3 && (!conf_read_bytes(cf->words[2], &size) || !size)) return conf_say(cf, "!invalid zone size \"%.*s\"", TEXT_ARG(cf->words[2]));
    return NULL;
}

static const struct conf_type zone_type = { "name [size]", 0, CONF_MULTI, 1, 2, parse_zone };

/* ---- keep-alive ---- */

static conf_result read_count(struct conf *cf, uint32_t *out)
{
    uint64_t v;
    if (!text_u64(cf->words[1], &v) || v > INT32_MAX) return conf_say(cf, "!invalid value \"%.*s\" in \"%.*s\" directive", TEXT_ARG(cf->words[1]), TEXT_ARG(cf->words[0]));
    *out = (uint32_t) v;
    return NULL;
}

static conf_result parse_keepalive(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    if (cf->count == 3 && !text_eq(cf->words[2], T("local"))) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
    group_here(cf)->chosen = true;      /* nginx warns of a method after it */
    return read_count(cf, &group_here(cf)->keep.connections);
}

static conf_result parse_keepalive_requests(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    return read_count(cf, &group_here(cf)->keep.requests);
}

static conf_result parse_keepalive_time(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    return conf_read_span(cf->words[1], &group_here(cf)->keep.time_ms) ? NULL : conf_invalid;
}

static conf_result parse_keepalive_timeout(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    return conf_read_span(cf->words[1], &group_here(cf)->keep.timeout_ms) ? NULL : conf_invalid;
}

static const struct conf_type keepalive_type = { "connections [local]", 0, 0, 1, 2, parse_keepalive };
static const struct conf_type keepalive_requests_type = { "number", 0, 0, 1, 1, parse_keepalive_requests };
static const struct conf_type keepalive_time_type = { "time", 0, 0, 1, 1, parse_keepalive_time };
static const struct conf_type keepalive_timeout_type = { "timeout", 0, 0, 1, 1, parse_keepalive_timeout };

static const struct directive rows[] = {
    D_DO(&upstream_type, "upstream", IN_HTTP, NULL, NULL, "A group of servers that proxy_pass and the like may name."),
    D_DO(&server_type, "server", IN_UPSTREAM, NULL, NULL, "A server of the group; a name with several addresses means several servers. With \"resolve\" it is looked up again when its time is over, and while nothing is found the servers stay; with \"service\" too, SRV records are."),
    D_DO(&zone_type, "zone", IN_UPSTREAM, NULL, NULL, "A name for the group's shared memory; what workers know of its servers is shared with or without it; with it answers are counted for the API."),
    D_DO(&keepalive_type, "keepalive", IN_UPSTREAM, NULL, "32 local", "How many idle connections to the group's servers each worker keeps."),
    D_DO(&keepalive_requests_type, "keepalive_requests", IN_UPSTREAM, NULL, "1000", "How many requests a connection to a server may carry."),
    D_DO(&keepalive_time_type, "keepalive_time", IN_UPSTREAM, NULL, "1h", "How old a connection to a server may be and still be kept for another request."),
    D_DO(&keepalive_timeout_type, "keepalive_timeout", IN_UPSTREAM, NULL, "60s", "How long an idle connection to a server stays open."),
    RESOLVER_ROWS(IN_UPSTREAM),
    { .name = NULL },
};

struct module http_upstream_module = { .name = "http_upstream", .conf_size = sizeof(struct resolver_values), .rows = rows };
