#include "upstream/group.h"
#include "upstream/balance.h"
#include "upstream/group_peer.h"
#include "upstream/idle.h"
#include "upstream/state.h"
#include "upstream/sticky.h"
#include "process/cycle.h"

struct groups {
    enum eval_kind    kind;
    struct pool      *pool;
    struct table      by_name;        /* blocks */
    struct table      by_address;     /* implicit ones: "host:port" */
    struct table      refs;           /* as the directives wrote it */
    struct group     *first, *last;
    struct group_ref *first_ref, *last_ref;
};

struct groups_conf { struct groups *sets[EVAL_KINDS]; uint64_t generation; };

static void end_sets(void *arg)
{
    const struct groups *gs = arg;
    for (struct group *g = gs->first; g; g = g->next) group_set_end(g);
}

struct groups *groups_of(struct conf *cf, enum eval_kind kind)
{
    struct groups_conf *c = conf_own_values(cf, cf->top, &upstream_groups_module);
    if (c->sets[kind]) return c->sets[kind];
    struct groups *gs = pool_new(cf->pool, struct groups);
    gs->kind = kind;
    gs->pool = cf->pool;
    table_init(&gs->by_name, cf->pool, true);
    table_init(&gs->by_address, cf->pool, true);
    table_init(&gs->refs, cf->pool, true);
    pool_cleanup(cf->pool, end_sets, gs);
    return c->sets[kind] = gs;
}

struct group *groups_first(const struct groups *gs) { return gs->first; }

struct groups *groups_serving(const struct conf *cf, enum eval_kind kind)
{
    const struct groups_conf *c = conf_values(cf->top, &upstream_groups_module);
    return c ? c->sets[kind] : NULL;
}

/* ---- while a configuration is read ---- */

static struct group *add_group(struct groups *gs, struct text name, bool implicit, const char *file, unsigned line)
{
    struct group *g = pool_new(gs->pool, struct group);
    *g = (struct group) {
        .magic = GROUP_MAGIC, .set = &g->base, .base = { .magic = PEER_SET_MAGIC, .group = g }, .kind = gs->kind, .name = name, .implicit = implicit, .balance = &balance_round_robin, .file = file, .line = line,
        .keep = { KEEP_CONNECTIONS, KEEP_REQUESTS, KEEP_TIME_MS, KEEP_TIMEOUT_MS },
    };
    if (gs->last) gs->last->next = g; else gs->first = g;
    gs->last = g;
    return g;
}

struct group *group_define(struct conf *cf, struct groups *gs, struct text name, conf_result *why)
{
    if (table_get(&gs->by_name, name)) {
        *why = conf_say(cf, "!duplicate upstream \"%.*s\"", TEXT_ARG(name));
        return NULL;
    }
    struct group *g = add_group(gs, pool_text(cf->pool, name), false, cf->file, cf->line);
    table_add(&gs->by_name, g->name, g);
    return g;
}

static struct text join(char *room, size_t size, struct text host, uint16_t port)
{
    struct build b = build_in_room(room, size);
    build_text(&b, host);
    if (port) {
        build_char(&b, ':');
        build_u64(&b, port);
    }
    return build_done(&b);
}

struct group_ref *group_reference(struct conf *cf, struct groups *gs, struct text host, uint16_t port, uint16_t default_port, conf_result *why)
{
    char room[1100];
    if (!host.n || host.n > 1024) {
        *why = host.n ? "has too long a host" : "has no host";
        return NULL;
    }
    /* Without a port: what it means depends on the default one, so that is part of the key. */
    struct build b = build_in_room(room, sizeof room);
    build_text(&b, host);
    build_char(&b, port ? ':' : ' ');
    build_u64(&b, port ? port : default_port);
    struct text key = build_done(&b);
    struct group_ref *ref = table_get(&gs->refs, key);
    if (ref) return ref;
    ref = pool_new(gs->pool, struct group_ref);
    key = pool_text(gs->pool, key);
    *ref = (struct group_ref) { .host = text_upto(key, host.n), .port = port, .default_port = default_port, .file = cf->file, .line = cf->line };
    if (gs->last_ref) gs->last_ref->next = ref; else gs->first_ref = ref;
    gs->last_ref = ref;
    table_add(&gs->refs, key, ref);
    return ref;
}

static struct peer *add_peer(struct conf *cf, struct group *g, const struct group_server *s, const struct addr *a, struct text name)
{
    struct peer_set *set = &g->base;
    if (!(set->count & (set->count - 1))) {       /* at 0, 1, 2, 4 …: room for as many again */
        struct peer *v = pool_alloc(cf->pool, sizeof *v * max_of(set->count * 2, 1u));
        if (set->count) memcpy(v, set->peers, sizeof *v * set->count);
        set->peers = v;
    }
    struct peer *p = &set->peers[set->count++];
    *p = (struct peer) {
        .addr = *a, .name = name, .server = s->address, .route = s->route, .group = g, .id = g->next_id++, .parent = GROUP_NO_PARENT,
        .weight = s->weight, .max_conns = s->max_conns, .max_fails = s->max_fails, .fail_timeout_ms = s->fail_timeout_ms,
        .slow_start_ms = s->slow_start_ms, .priority = s->priority, .down = s->down, .drain = s->drain,
    };
    return p;
}

static struct group_server kept(struct conf *cf, const struct group_server *given)
{
    struct group_server s = *given;
    s.address = pool_text(cf->pool, s.address);
    s.route = pool_text(cf->pool, s.route);
    s.service = pool_text(cf->pool, s.service);
    return s;
}

conf_result group_add_server(struct conf *cf, struct group *g, const struct group_server *given)
{
    struct group_server s = kept(cf, given);
    struct addr one, *all = &one;
    size_t n = 1;
    const char *why = NULL;
    if (!addr_parse(cf->pool, s.address, s.default_port, &one)) {
        struct text host;
        uint16_t port;
        if (!addr_split(s.address, &host, &port, &why)) return conf_say(cf, "!%s in upstream \"%.*s\"", why, TEXT_ARG(s.address));
        n = addr_resolve(cf->pool, host, port ? port : s.default_port, &all, &why);
    }
    if (!n) {
        conf_warn(cf, "host not found in upstream \"%.*s\" (%s): the server is down", TEXT_ARG(s.address), why);
        add_peer(cf, g, &s, &(struct addr) { .family = AF_UNSPEC }, s.address)->down = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) add_peer(cf, g, &s, &all[i], addr_text(cf->pool, &all[i], false));
    return NULL;
}

struct group_template *group_add_template(struct conf *cf, struct group *g, const struct group_server *s)
{
    struct group_template *t = pool_new(cf->pool, struct group_template), **end = &g->templates;
    t->server = kept(cf, s);
    t->id = g->next_id++;
    while (*end) end = &(*end)->next;
    return *end = t;
}

void group_add_resolved(struct conf *cf, struct group *g, const struct group_template *t, const struct addr *a)
{
    add_peer(cf, g, &t->server, a, addr_text(cf->pool, a, false))->parent = t->id;
}

uint32_t group_level_end(const struct peer_set *set, uint32_t from)
{
    uint32_t to = from;
    while (to < set->count && set->peers[to].priority == set->peers[from].priority) to++;
    return to;
}

static int by_priority(const void *a, const void *b)
{
    const struct peer *x = a, *y = b;
    if (x->priority != y->priority) return x->priority < y->priority ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

void group_seal_set(struct peer_set *set)
{
    bool in_order = true;
    for (uint32_t i = 0; i < set->count; i++) {
        set->peers[i].index = i;
        in_order = in_order && (!i || set->peers[i].priority >= set->peers[i - 1].priority);
    }
    if (!in_order) qsort(set->peers, set->count, sizeof *set->peers, by_priority);
    set->usable = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        set->peers[i].index = i;
        set->usable += !set->peers[i].down;
    }
    set->primary = group_level_end(set, 0);
}

/* Two servers of one group may have the same address: the second has a state of its own. */
static void number_copies(struct peer_set *set, struct pool *scratch)
{
    struct table last;
    if (set->count < 2) return;
    table_init(&last, scratch, false);
    for (uint32_t i = 0; i < set->count; i++) {
        struct peer *p = &set->peers[i];
        const struct peer *before = table_get(&last, p->name);
        p->copy = before ? before->copy + 1 : 0;
        table_put(&last, p->name, p);
    }
}

void group_seal(struct conf *cf, struct group *g)
{
    number_copies(&g->base, cf->scratch);
    group_seal_set(&g->base);
    round_robin_prepare(&g->base, cf->pool);
}

/* ---- when it is whole ---- */

static struct group *implicit_of(struct conf *cf, struct groups *gs, const struct group_ref *ref)
{
    char room[1100];
    bool is_unix = text_starts(ref->host, T("unix:"));
    uint16_t port = ref->port ? ref->port : ref->default_port;
    struct text address = join(room, sizeof room, ref->host, is_unix ? 0 : port);
    struct group *g = table_get(&gs->by_address, address);
    if (g) return g;
    g = add_group(gs, pool_text(cf->pool, address), true, ref->file, ref->line);
    table_add(&gs->by_address, g->name, g);
    struct group_server s = { .address = g->name, .default_port = port, GROUP_SERVER_DEFAULTS };
    conf_result why = group_add_server(cf, g, &s);
    if (why) conf_error_at(cf, ref->file, ref->line, "%s", why[0] == '!' ? why + 1 : why);
    return g;
}

static void resolve(struct conf *cf, struct groups *gs, struct group_ref *ref)
{
    struct group *named = table_get(&gs->by_name, ref->host);
    if (named && ref->port)
        conf_error_at(cf, ref->file, ref->line, "upstream \"%.*s\" may not have port %u", TEXT_ARG(ref->host), ref->port);
    ref->group = named ? named : implicit_of(cf, gs, ref);
}

static conf_result finish(struct conf *cf, void *values)
{
    struct groups_conf *c = values;
    for (unsigned kind = 0; kind < EVAL_KINDS; kind++) {
        struct groups *gs = c->sets[kind];
        if (!gs) continue;
        for (struct group_ref *ref = gs->first_ref; ref; ref = ref->next) resolve(cf, gs, ref);
        for (struct group *g = gs->first; g; g = g->next) {
            group_seal(cf, g);
            conf_result why = g->balance->prepare ? g->balance->prepare(g, &g->base, cf->pool) : NULL;
            if (why) conf_error_at(cf, g->file, g->line, "%s", why);
            if (g->sticky) sticky_prepare(&g->base, cf->pool);
        }
    }
    return NULL;
}

/* ---- while it serves ---- */

struct group *groups_find(const struct groups *gs, struct text host, uint16_t port)
{
    char room[1100];
    if (host.n > 1024) return NULL;
    if (!port) return table_get(&gs->by_name, host);
    return table_get(&gs->by_address, join(room, sizeof room, host, port));
}

struct group *group_of_address(struct pool *pool, const struct addr *a, struct text name)
{
    struct { struct group group; struct peer peer; } *both = pool_zalloc(pool, sizeof *both);
    both->group = (struct group) {
        .magic = GROUP_MAGIC, .name = name, .implicit = true, .balance = &balance_round_robin, .set = &both->group.base,
        .base = { .magic = PEER_SET_MAGIC, .group = &both->group, .count = 1, .primary = 1, .usable = 1, .peers = &both->peer },
    };
    both->peer = (struct peer) { .addr = *a, .name = name, .server = name, .group = &both->group, .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000 };
    state_private(&both->group, pool);
    return &both->group;
}

void group_lock(struct group *g)
{
    if (!g->state || shm_lock(&g->state->lock)) return;
    for (uint32_t i = 0; i < g->set->count; i++) {
        struct peer_state *s = g->set->peers[i].state;
        s->current = 0;
        s->effective = s->weight;
    }
}

void group_unlock(struct group *g)
{
    if (g->state) shm_unlock(&g->state->lock);
}

/* ---- as a part of the process ---- */

static bool open_cycle(struct cycle *c)
{
    struct groups_conf *conf = conf_values(c->conf->top, &upstream_groups_module);
    return c->testing || !conf || (conf->generation = state_open(conf->sets, c->pool)) != 0;
}

static void start(struct cycle *c)
{
    const struct groups_conf *conf = conf_values(c->conf->top, &upstream_groups_module);
    if (conf) state_worker_start(conf->sets, conf->generation);
}

static void start_worker(struct cycle *c, unsigned slot)
{
    (void) slot;
    start(c);
}

static void sweep(struct timer *t)
{
    enum { EVERY_MS = 60000 };
    state_sweep_retired();
    timer_set(t, EVERY_MS);
}

static void start_manager(struct cycle *c)
{
    static struct timer sweeps = { .fire = sweep };
    start(c);
    sweep(&sweeps);
}

static void quit_worker(struct cycle *c)
{
    (void) c;
    idle_close_all();
}

static const struct process_part part = { .open = open_cycle, .worker_start = start_worker, .worker_quit = quit_worker, .manager_start = start_manager };

struct module upstream_groups_module = {
    .name = "upstream_groups", .conf_size = sizeof(struct groups_conf), .finish = finish, .part = &part, .part_kind = &process_part_kind,
};
