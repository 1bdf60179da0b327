/* upstream_api: groups of servers in the API. */
#include "modules/module.h"
#include "http/api.h"
#include "process/cycle.h"
#include "upstream/group.h"
#include "upstream/idle.h"

static struct groups *all(void) { return groups_serving(cycle_current->conf, EVAL_HTTP); }

static const char *state_of(const struct peer *p)
{
    const struct peer_state *s = p->state;
    uint32_t marks = atomic_load(&s->marks);
    if (marks & ~(uint32_t) PEER_UNAVAIL) return peer_state_name(s);
    bool failed = p->group->set->count > 1 && p->max_fails && atomic_load(&s->fails) >= p->max_fails;
    return failed && clock_now.ms - atomic_load(&s->checked_ms) <= p->fail_timeout_ms ? "unavail" : "up";
}

static json_t *checks_of(const struct peer_state *s)
{
    uint32_t last = atomic_load(&s->counts.check_passed);
    json_t *j = json_pack("{s:I,s:I,s:I}", "checks", (json_int_t) atomic_load(&s->counts.checks), "fails", (json_int_t) atomic_load(&s->counts.checks_failed),
                          "unhealthy", (json_int_t) atomic_load(&s->counts.unhealthy));
    if (last) json_object_set_new(j, "last_passed", json_boolean(last == 2));
    return j;
}

static json_t *peer_json(const struct peer *p)
{
    const struct peer_state *s = p->state;
    json_t *j = json_pack("{s:i,s:o,s:o,s:b,s:i,s:s,s:i,s:I,s:I,s:o}", "id", (int) p->id, "server", api_text(p->name), "name", api_text(p->server),
                          "backup", p->priority > 0, "weight", (int) p->weight, "state", state_of(p), "active", (int) atomic_load(&s->inflight),
                          "requests", (json_int_t) atomic_load(&s->picked), "fails", (json_int_t) atomic_load(&s->failed), "health_checks", checks_of(s));
    if (p->max_conns) json_object_set_new(j, "max_conns", json_integer(p->max_conns));
    return j;
}

static json_t *server_json(const struct peer *p)
{
    char timeout[32];
    snprintf(timeout, sizeof timeout, p->fail_timeout_ms % 1000 ? "%llums" : "%llus", (unsigned long long) (p->fail_timeout_ms % 1000 ? p->fail_timeout_ms : p->fail_timeout_ms / 1000));
    return json_pack("{s:i,s:o,s:i,s:i,s:i,s:s,s:s,s:s,s:b,s:b}", "id", (int) p->id, "server", api_text(p->name), "weight", (int) p->weight,
                     "max_conns", (int) p->max_conns, "max_fails", (int) p->max_fails, "fail_timeout", timeout, "slow_start", "0s", "route", "",
                     "backup", p->priority > 0, "down", (atomic_load(&p->state->marks) & PEER_DOWN) != 0);
}

static json_t *list_of(struct group *g, json_t *(*one)(const struct peer *p))
{
    json_t *list = json_array();
    const struct peer_set *set = group_set(g);
    for (uint32_t i = 0; i < set->count; i++) json_array_append_new(list, one(&set->peers[i]));
    return list;
}

static json_t *group_json(struct group *g)
{
    return json_pack("{s:o,s:i,s:i,s:o}", "peers", list_of(g, peer_json), "keepalive", (int) idle_count(g), "zombies", 0, "zone", api_text(g->name));
}

static json_t *all_json(void)
{
    json_t *j = json_object();
    for (struct group *g = all() ? groups_first(all()) : NULL; g; g = g->next)
        if (!g->implicit) json_object_setn_new(j, g->name.p, g->name.n, group_json(g));
    return j;
}

/* Statistics begin anew. */
static void reset(struct group *g)
{
    const struct peer_set *set = group_set(g);
    for (uint32_t i = 0; i < set->count; i++) {
        struct peer_state *s = set->peers[i].state;
        _Atomic uint64_t *const counts[] = { &s->picked, &s->failed, &s->counts.checks, &s->counts.checks_failed, &s->counts.unhealthy };
        for (size_t k = 0; k < countof(counts); k++) atomic_store(counts[k], 0);
    }
}

static int serve_server(struct api_call *c, struct group *g)
{
    const struct peer_set *set = group_set(g);
    const struct peer *found = NULL;
    uint64_t id;
    if (!text_u64(c->rest[2], &id)) return api_refuse(c, 400, "UpstreamBadServerId", "invalid server ID");
    for (uint32_t i = 0; i < set->count; i++)
        if (set->peers[i].id == id) found = &set->peers[i];
    if (!found) return api_refuse(c, 404, "UpstreamServerNotFound", "server with ID \"%llu\" does not exist", (unsigned long long) id);
    c->answer = server_json(found);
    return 200;
}

static int serve(struct api_call *c)
{
    if (c->depth == 0 && c->method == METHOD_GET) {
        c->answer = all_json();
        return 200;
    }
    struct group *g = c->depth && all() ? groups_find(all(), c->rest[0], 0) : NULL;
    if (!c->depth) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    if (!g || g->implicit) return api_refuse(c, 404, "UpstreamNotFound", "upstream not found");
    if (c->depth == 1 && c->method == METHOD_DELETE) {
        reset(g);
        return 204;
    }
    if (c->depth > 1 && (!text_eq(c->rest[1], T("servers")) || c->depth > 3)) return api_refuse(c, 404, "PathNotFound", "path not found");
    if (c->method != METHOD_GET) return api_refuse(c, 400, "UpstreamStatic", "upstream is static");
    if (c->depth == 3) return serve_server(c, g);
    c->answer = c->depth == 1 ? group_json(g) : list_of(g, server_json);
    return 200;
}

static const struct api_part parts[] = { { "http", "upstreams", 1, 1u << METHOD_DELETE | 1u << METHOD_POST | 1u << METHOD_PATCH, true, serve }, { 0 } };

struct module http_upstream_api_module = { .name = "http_upstream_api", .part = parts, .part_kind = &api_part_kind };
