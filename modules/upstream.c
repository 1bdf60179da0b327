/* upstream: "upstream NAME { server …; keepalive …; }" for http. */
#include "modules/module.h"
#include "upstream/balance.h"
#include "upstream/group.h"
#include "upstream/group_peer.h"

static struct group *group_here(struct conf *cf) { return cf->block->object; }

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
    why = conf_enter(cf, IN_UPSTREAM, g, &block);
    if (why) return why;
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

static bool read_parameter(struct text w, struct group_server *s)
{
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
    for (size_t i = 2; i < cf->count; i++)
        if (!read_parameter(cf->words[i], &s)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i]));
    if (s.priority && group_here(cf)->balance->no_backup) return "!balancing method does not support parameter \"backup\"";
    if (s.slow_start_ms && group_here(cf)->balance->no_backup) return "!balancing method does not support parameter \"slow_start\"";
    return group_add_server(cf, group_here(cf), &s);
}

static const struct conf_type server_type = { "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] [slow_start=time] [backup] [priority=number] [route=string] [down] [drain]", 0, CONF_MULTI, 1, 16, parse_server };

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
    D_DO(&server_type, "server", IN_UPSTREAM, NULL, NULL, "A server of the group; a name with several addresses means several servers."),
    D_DO(&zone_type, "zone", IN_UPSTREAM, NULL, NULL, "A name for the group's shared memory; what workers know of its servers is shared with or without it; with it answers are counted for the API."),
    D_DO(&keepalive_type, "keepalive", IN_UPSTREAM, NULL, "32 local", "How many idle connections to the group's servers each worker keeps."),
    D_DO(&keepalive_requests_type, "keepalive_requests", IN_UPSTREAM, NULL, "1000", "How many requests a connection to a server may carry."),
    D_DO(&keepalive_time_type, "keepalive_time", IN_UPSTREAM, NULL, "1h", "How old a connection to a server may be and still be kept for another request."),
    D_DO(&keepalive_timeout_type, "keepalive_timeout", IN_UPSTREAM, NULL, "60s", "How long an idle connection to a server stays open."),
    { .name = NULL },
};

struct module http_upstream_module = { .name = "http_upstream", .rows = rows };
