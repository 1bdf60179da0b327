#include "upstream/group_peer.h"
#include "upstream/balance.h"
#include "upstream/state.h"
#include "upstream/sticky.h"
#include "base/clock.h"
#include "base/table.h"

/* A record in shared memory. Its texts stand behind it, but for the route, which may change. */
struct group_entry {
    struct group_entry *next;
    struct group_record r;
    uint32_t            copy;             /* the least that no other of this name has */
    char                route[GROUP_ROUTE_MAX];
    char                text[];
};

/* What stands before this is written before what stands after it, for whoever finds us dead. */
#define THEN() atomic_signal_fence(memory_order_seq_cst)

static bool is_written(const struct group_roster *r) { return r->first || atomic_load_explicit(&r->version, memory_order_relaxed); }
static void tell_all(struct group_roster *r) { atomic_fetch_add(&r->version, 1); }

/* ---- entries ---- */

static struct text put_text(char **at, struct text t)
{
    struct text copy = text_of(*at, t.n);
    if (t.n) memcpy(*at, t.p, t.n);
    *at += t.n;
    return copy;
}

static void set_route(struct group_entry *e, struct text route)
{
    e->r.route.n = 0;
    THEN();
    if (route.n) memcpy(e->route, route.p, min_of(route.n, sizeof e->route));
    e->r.route = text_of(e->route, min_of(route.n, sizeof e->route));
}

static struct group_entry *entry_of(const struct group_record *r)
{
    struct group_entry *e = shm_zalloc(state_zone(), sizeof *e + r->name.n + r->server.n + r->service.n);
    if (!e) return NULL;
    char *at = e->text;
    e->r = *r;
    e->r.name = put_text(&at, r->name);
    e->r.server = put_text(&at, r->server);
    e->r.service = put_text(&at, r->service);
    if (e->r.addr.family == AF_UNIX) e->r.addr.un.path = NULL;       /* the name has it */
    set_route(e, r->route);
    return e;
}

static void append(struct group_roster *roster, struct group_entry *e)
{
    struct group_entry **end = &roster->first;
    while (*end) end = &(*end)->next;
    *end = e;
}

/* By one store; whoever builds a set does it under the lock too, so that nobody sees it go. */
static void drop(struct group_entry **at)
{
    struct group_entry *e = *at;
    if (e->r.state) atomic_store(&e->r.state->retired_ms, clock_now.ms);
    *at = e->next;
    THEN();
    shm_free(state_zone(), e);
}

void group_peer_end_all(struct zone *z, struct group_roster *r)
{
    while (r->first) {
        struct group_entry *e = r->first;
        r->first = e->next;
        shm_free(z, e);
    }
}

static struct group_entry **find(struct group_roster *roster, uint32_t id)
{
    struct group_entry **at = &roster->first;
    while (*at && (*at)->r.id != id) at = &(*at)->next;
    return at;
}

static uint32_t free_copy(const struct group_roster *roster, struct text name)
{
    uint32_t copy = 0;
    for (const struct group_entry *e = roster->first; e; ) {
        if (e->r.is_name || e->copy != copy || !text_eq(e->r.name, name)) { e = e->next; continue; }
        copy++;
        e = roster->first;
    }
    return copy;
}

/* ---- as the configuration has it ---- */

static struct group_record record_of_peer(const struct peer *p)
{
    return (struct group_record) {
        .id = p->id, .parent = p->parent, .down = p->down, .drain = p->drain, .addr = p->addr, .name = p->name, .server = p->server, .route = p->route,
        .weight = p->weight, .max_conns = p->max_conns, .max_fails = p->max_fails, .priority = p->priority,
        .fail_timeout_ms = p->fail_timeout_ms, .slow_start_ms = p->slow_start_ms, .state = p->state,
    };
}

static struct group_record record_of_template(const struct group_template *t)
{
    const struct group_server *s = &t->server;
    return (struct group_record) {
        .id = t->id, .parent = GROUP_NO_PARENT, .is_name = true, .down = s->down, .drain = s->drain, .name = s->address, .server = s->address, .route = s->route, .service = s->service,
        .weight = s->weight, .max_conns = s->max_conns, .max_fails = s->max_fails, .priority = s->priority,
        .fail_timeout_ms = s->fail_timeout_ms, .slow_start_ms = s->slow_start_ms,
    };
}

/* By id; copies[i]: of v[i]. */
static struct group_record *of_configuration(const struct group *g, struct pool *pool, uint32_t **copies_out)
{
    struct group_record *v = pool_array(pool, struct group_record, g->next_id);
    uint32_t *copies = pool_array(pool, uint32_t, g->next_id);
    for (uint32_t i = 0; i < g->base.count; i++) {
        const struct peer *p = &g->base.peers[i];
        v[p->id] = record_of_peer(p);
        copies[p->id] = p->copy;
    }
    for (const struct group_template *t = g->templates; t; t = t->next) v[t->id] = record_of_template(t);
    *copies_out = copies;
    return v;
}

/* Newest first, so that each is put before the others. */
static bool write_down(struct group *g)
{
    uint32_t *copies;
    struct group_entry *first = NULL;
    struct pool *pool = pool_open(0);
    struct group_record *v = of_configuration(g, pool, &copies);
    for (uint32_t i = g->next_id; i-- > 0; ) {
        struct group_entry *e = entry_of(&v[i]);
        if (!e) break;
        e->copy = copies[i];
        e->next = first;
        first = e;
    }
    pool_close(&pool);
    bool whole = !g->next_id || (first && first->r.id == 0);
    while (!whole && first) {
        struct group_entry *e = first;
        first = e->next;
        shm_free(state_zone(), e);
    }
    g->roster->first = first;
    return whole;
}

static enum group_result enter(struct group *g)
{
    struct group_roster *r = g->roster;
    if (!r) return GROUP_FIXED;
    if (!shm_lock(&r->lock)) tell_all(r);        /* what its dead holder changed is seen too */
    if (is_written(r) || write_down(g)) return GROUP_DONE;
    shm_unlock(&r->lock);
    return GROUP_FULL;
}

static enum group_result leave(struct group *g, enum group_result how, bool changed)
{
    if (changed) tell_all(g->roster);
    shm_unlock(&g->roster->lock);
    return how;
}

/* ---- listing ---- */

static struct group_record copy_of(const struct group_record *r, struct pool *pool)
{
    struct group_record c = *r;
    c.name = pool_text(pool, r->name);
    c.server = pool_text(pool, r->server);
    c.route = pool_text(pool, r->route);
    c.service = pool_text(pool, r->service);
    if (c.addr.family == AF_UNIX) addr_parse(pool, c.name, 0, &c.addr);
    return c;
}

static struct group_record *copy_all(const struct group_roster *roster, struct pool *pool, size_t *count_out)
{
    size_t n = 0;
    for (const struct group_entry *e = roster->first; e; e = e->next) n++;
    struct group_record *v = pool_array(pool, struct group_record, n);
    *count_out = n;
    n = 0;
    for (const struct group_entry *e = roster->first; e; e = e->next) v[n++] = copy_of(&e->r, pool);
    return v;
}

static void look_at_marks(struct group_record *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!v[i].state) continue;
        uint32_t marks = atomic_load(&v[i].state->marks);
        v[i].down = marks & PEER_DOWN;
        v[i].drain = marks & PEER_DRAINING;
    }
}

struct group_record *group_peer_list(struct group *g, struct pool *pool, size_t *count_out)
{
    struct group_roster *r = g->roster;
    struct group_record *v = NULL;
    uint32_t *copies;
    if (r) {
        if (!shm_lock(&r->lock)) tell_all(r);
        if (is_written(r)) v = copy_all(r, pool, count_out);
        shm_unlock(&r->lock);
    }
    if (!v) {
        v = of_configuration(g, pool, &copies);
        *count_out = g->next_id;
    }
    look_at_marks(v, *count_out);
    return v;
}

struct group_record *group_peer_list_before(struct group *g, struct pool *pool, size_t *count_out)
{
    struct group_roster *r = g->state ? g->state->latest : NULL;
    struct group_record *v = NULL;
    *count_out = 0;
    if (!r || r == g->roster) return NULL;
    if (!shm_lock(&r->lock)) tell_all(r);
    if (is_written(r)) v = copy_all(r, pool, count_out);
    shm_unlock(&r->lock);
    look_at_marks(v, *count_out);
    return v;
}

/* ---- changes ---- */

static void mark(struct group *g, const struct group_entry *e, unsigned fields, const struct group_record *want)
{
    if (!e->r.state) return;
    struct peer p = { .name = e->r.name, .group = g, .state = e->r.state };
    uint32_t set = 0, clear = 0;
    if (fields & GROUP_DOWN) *(want->down ? &set : &clear) |= PEER_DOWN;
    if (fields & GROUP_DRAIN) *(want->drain ? &set : &clear) |= PEER_DRAINING;
    peer_mark(&p, set, clear, "run-time change");
}

static void weigh(struct group *g, const struct group_entry *e)
{
    struct peer_state *s = e->r.state;
    if (!s || s->weight == (int32_t) e->r.weight) return;
    group_lock(g);
    s->weight = s->effective = (int32_t) e->r.weight;
    s->current = 0;
    group_unlock(g);
}

/* The entry of *r, linked; NULL: no room. */
static struct group_entry *add(struct group *g, const struct group_record *given)
{
    struct group_roster *roster = g->roster;
    struct group_record r = *given;
    uint32_t copy = r.is_name ? 0 : free_copy(roster, r.name);
    r.id = roster->next_id;
    r.state = NULL;
    if (!r.is_name) {
        struct peer p = { .name = r.name, .copy = copy };
        if (!(r.state = state_of_peer(g, &p))) return NULL;
    }
    struct group_entry *e = entry_of(&r);
    if (!e) {
        if (r.state) atomic_store(&r.state->retired_ms, clock_now.ms);
        return NULL;
    }
    e->copy = copy;
    if (r.state && g->mandatory) atomic_fetch_or(&r.state->marks, PEER_CHECKING);
    weigh(g, e);
    mark(g, e, GROUP_DOWN | GROUP_DRAIN, &r);
    roster->next_id++;
    THEN();
    append(roster, e);
    return e;
}

enum group_result group_peer_add(struct group *g, const struct group_record *r, uint32_t *id_out)
{
    enum group_result how = enter(g);
    if (how != GROUP_DONE) return how;
    const struct group_entry *e = add(g, r);
    if (e) *id_out = e->r.id;
    return leave(g, e ? GROUP_DONE : GROUP_FULL, e != NULL);
}

static void drop_addresses_of(struct group_roster *roster, uint32_t parent)
{
    for (struct group_entry **at = &roster->first; *at; ) {
        if ((*at)->r.parent == parent) drop(at);
        else at = &(*at)->next;
    }
}

enum group_result group_peer_remove(struct group *g, uint32_t id)
{
    enum group_result how = enter(g);
    if (how != GROUP_DONE) return how;
    struct group_entry **at = find(g->roster, id);
    if (!*at) return leave(g, GROUP_NO_SUCH, false);
    if ((*at)->r.parent != GROUP_NO_PARENT) return leave(g, GROUP_LAST, false);
    bool is_name = (*at)->r.is_name;
    drop(at);
    if (is_name) drop_addresses_of(g->roster, id);
    return leave(g, GROUP_DONE, true);
}

static void change(struct group *g, struct group_entry *e, const struct group_record *r, unsigned fields)
{
    struct group_record *to = &e->r;
    if (fields & GROUP_WEIGHT) to->weight = r->weight;
    if (fields & GROUP_MAX_CONNS) to->max_conns = r->max_conns;
    if (fields & GROUP_MAX_FAILS) to->max_fails = r->max_fails;
    if (fields & GROUP_FAIL_TIMEOUT) to->fail_timeout_ms = r->fail_timeout_ms;
    if (fields & GROUP_SLOW_START) to->slow_start_ms = r->slow_start_ms;
    if (fields & GROUP_PRIORITY) to->priority = r->priority;
    if (fields & GROUP_ROUTE) set_route(e, r->route);
    if (fields & GROUP_DOWN) to->down = r->down;
    if (fields & GROUP_DRAIN) to->drain = r->drain;
    weigh(g, e);
    mark(g, e, fields, r);
}

enum group_result group_peer_change(struct group *g, uint32_t id, const struct group_record *r, unsigned fields)
{
    enum group_result how = enter(g);
    if (how != GROUP_DONE) return how;
    struct group_entry *e = *find(g->roster, id);
    if (!e) return leave(g, GROUP_NO_SUCH, false);
    change(g, e, r, fields);
    for (struct group_entry *child = g->roster->first; e->r.is_name && child; child = child->next)
        if (child->r.parent == id) change(g, child, r, fields);
    return leave(g, GROUP_DONE, (fields & ~(GROUP_DOWN | GROUP_DRAIN)) != 0);
}

/* ---- the addresses of a name ---- */

static struct group_record address_of(const struct group_entry *name, const struct group_record *found)
{
    struct group_record r = name->r;
    r.parent = name->r.id;
    r.is_name = false;
    r.addr = found->addr;
    r.name = found->name;
    r.service = T("");
    if (found->weight) r.weight = found->weight;
    if (found->priority) r.priority = found->priority;
    return r;
}

/* Removes those that are not in wanted, and takes out of it those that are there. */
static size_t keep_wanted(struct group *g, const struct group_entry *name, struct table *wanted)
{
    size_t changes = 0;
    for (struct group_entry **at = &g->roster->first; *at; ) {
        struct group_entry *e = *at;
        const struct group_record *found = e->r.parent == name->r.id ? table_get(wanted, e->r.name) : NULL;
        if (e->r.parent != name->r.id) { at = &e->next; continue; }
        if (!found || found->is_name) {
            drop(at);
            changes++;
            continue;
        }
        struct group_record r = address_of(name, found);
        if (e->r.weight != r.weight || e->r.priority != r.priority) {
            change(g, e, &r, GROUP_WEIGHT | GROUP_PRIORITY);
            changes++;
        }
        static const struct group_record taken = { .is_name = true };
        table_put(wanted, found->name, (void *) &taken);
        at = &e->next;
    }
    return changes;
}

enum group_result group_peer_replace(struct group *g, uint32_t parent, const struct group_record *v, size_t count, size_t *changed_out)
{
    enum group_result how = enter(g);
    if (changed_out) *changed_out = 0;
    if (how != GROUP_DONE) return how;
    const struct group_entry *name = *find(g->roster, parent);
    if (!name || !name->r.is_name) return leave(g, GROUP_NO_SUCH, false);
    struct pool *pool = pool_open(0);
    struct table wanted;
    table_init(&wanted, pool, false);
    for (size_t i = 0; i < count; i++) table_add(&wanted, v[i].name, (void *) &v[i]);
    size_t changes = keep_wanted(g, name, &wanted);
    for (size_t i = 0; i < count && how == GROUP_DONE; i++) {
        if (table_get(&wanted, v[i].name) != &v[i]) continue;      /* there already, or the same once more */
        struct group_record r = address_of(name, &v[i]);
        if (add(g, &r)) changes++; else how = GROUP_FULL;
    }
    pool_close(&pool);
    if (changed_out) *changed_out = changes;
    return leave(g, how, changes != 0);
}

/* ---- sets ---- */

static struct peer peer_of(struct group *g, const struct group_entry *e, struct pool *pool)
{
    struct group_record r = copy_of(&e->r, pool);
    return (struct peer) {
        .addr = r.addr, .name = r.name, .server = r.server, .route = r.route, .group = g, .state = r.state, .id = r.id, .parent = r.parent, .copy = e->copy,
        .weight = r.weight, .max_conns = r.max_conns, .max_fails = r.max_fails, .priority = r.priority,
        .fail_timeout_ms = r.fail_timeout_ms, .slow_start_ms = r.slow_start_ms, .down = r.down, .drain = r.drain,
    };
}

static void read_peers(struct group *g, struct peer_set *set)
{
    struct group_roster *r = g->roster;
    uint32_t n = 0;
    if (!shm_lock(&r->lock)) tell_all(r);
    for (const struct group_entry *e = r->first; e; e = e->next) n += !e->r.is_name;
    set->peers = pool_alloc(set->pool, sizeof *set->peers * n);
    for (const struct group_entry *e = r->first; e; e = e->next)
        if (!e->r.is_name) set->peers[set->count++] = peer_of(g, e, set->pool);
    set->version = atomic_load(&r->version);
    shm_unlock(&r->lock);
}

static void end_set(struct peer_set *set)
{
    set->magic = 0;
    struct pool *pool = set->pool;
    pool_close(&pool);
}

struct peer_set *group_set_slow(struct group *g)
{
    struct pool *pool = pool_open(0);
    struct peer_set *set = pool_new(pool, struct peer_set), *old = g->set;
    *set = (struct peer_set) { .magic = PEER_SET_MAGIC, .group = g, .pool = pool };
    read_peers(g, set);
    group_seal_set(set);
    round_robin_prepare(set, pool);
    conf_result why = g->balance->prepare ? g->balance->prepare(g, set, pool) : NULL;
    if (why) log_at(log_main, L_ERR, NULL, 0, "upstream \"%.*s\" goes by turns: %s", TEXT_ARG(g->name), why);
    if (g->sticky) sticky_prepare(set, pool);
    g->set = set;
    log_at(log_main, L_INFO, NULL, 0, "upstream \"%.*s\" has %u peers now", TEXT_ARG(g->name), set->count);
    if (old->pool && !old->users) end_set(old);
    return set;
}

void group_set_end(struct group *g)
{
    struct peer_set *set = g->set;
    g->set = &g->base;
    if (set->pool && !set->users) end_set(set);
}

static void let_go(void *arg)
{
    struct peer_set *set = arg;
    NEED(set, PEER_SET_MAGIC);
    ASSERT(set->users > 0);
    if (--set->users == 0 && set->group->set != set) end_set(set);
}

void group_hold(struct peer_set *set, struct pool *pool)
{
    NEED(set, PEER_SET_MAGIC);
    if (!set->pool) return;
    set->users++;
    pool_cleanup(pool, let_go, set);
}
