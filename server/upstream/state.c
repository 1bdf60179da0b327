#include "upstream/state.h"
#include "upstream/group_peer.h"
#include "upstream/seat.h"
#include "base/clock.h"
#include "base/table.h"

/* Sparse: pages cost when touched. One size for ever, so that it is the same zone after each reload. */
enum { ZONE_SIZE = 512 << 20, RETIRED_MS = 3600000 };

enum kind { PEER, GROUP, ROSTER, EXTRA };

/* What stands in the zone under one name. */
struct shared {
    struct shared   *next;          /* of all, newest first: a roster stands before the group that it is of */
    uint64_t         generation;    /* the last that used it */
    uint32_t         name_size;
    enum kind        kind;
    union { struct peer_state peer; struct group_state group; struct group_roster roster; };
    char             name[];
};

/* The list changes by one store: a dead holder of the lock leaves nothing to be mended. */
struct root { struct shm_lock lock; uint32_t pad; struct shared *first; uint64_t generation; };

static struct zone *zone;
static struct root *root;
static uint64_t serving;              /* the generation of this worker */

struct zone *state_zone(void) { return zone; }

static uint64_t signature(void)
{
    return 0x7570730000000005ull ^ sizeof(struct peer_state) << 8 ^ sizeof(struct group_state) << 20 ^ sizeof(struct shared) << 32;
}

static bool open_zone(void)
{
    zone = shm_open_zone(T("upstreams"), ZONE_SIZE, signature(), NULL);
    if (!zone) return false;
    root = shm_object(zone, T("root"), sizeof *root, NULL);
    return root != NULL;
}

/* The object called name, with room for extra bytes behind its name, made when there is none; NULL: the zone is full. */
static struct shared *find(struct text name, enum kind kind, size_t extra, uint64_t generation)
{
    bool made;
    shm_lock(&root->lock);
    struct shared *s = shm_object(zone, name, sizeof *s + name.n + extra, &made);
    if (s && made) {
        memcpy(s->name, name.p, name.n);
        s->name_size = (uint32_t) name.n;
        s->kind = kind;
        s->next = root->first;
        root->first = s;
    }
    if (s && s->generation < generation) s->generation = generation;
    if (s && kind == PEER) atomic_store(&s->peer.retired_ms, 0);
    shm_unlock(&root->lock);
    return s;
}

static void begin_name(struct build *b, const struct group *g, char kind)
{
    b->n = 0;
    build_char(b, g->kind == EVAL_HTTP ? 'h' : 's');
    build_char(b, kind);
    build_text(b, g->name);
}

static char letter(const struct group *g) { return g->implicit ? 'i' : 'u'; }

static struct group_state *group_of(struct build *b, const struct group *g, uint64_t generation)
{
    begin_name(b, g, letter(g));
    struct shared *s = find(build_done(b), GROUP, 0, generation);
    return s ? &s->group : NULL;
}

static struct group_roster *roster_of(struct build *b, const struct group *g, uint64_t generation)
{
    begin_name(b, g, 'r');
    build_char(b, ' ');
    build_u64(b, generation);
    struct shared *s = find(build_done(b), ROSTER, 0, generation);
    if (!s) return NULL;
    s->roster.generation = generation;
    s->roster.next_id = g->next_id;
    s->roster.state = g->state;
    return &s->roster;
}

static struct peer_state *peer_of(struct build *b, const struct group *g, const struct peer *p, uint64_t generation)
{
    begin_name(b, g, letter(g));
    build_char(b, ' ');
    build_text(b, p->name);
    build_char(b, ' ');
    build_u64(b, p->copy);
    struct shared *s = find(build_done(b), PEER, 0, generation);
    return s ? &s->peer : NULL;
}

struct peer_state *state_of_peer(const struct group *g, const struct peer *p)
{
    char room[2048];
    struct build b = build_in_room(room, sizeof room);
    return peer_of(&b, g, p, g->roster->generation);
}

/* ---- what others keep of a group ---- */

enum { EXTRA_ALIGN = 64, EXTRA_SUFFIX = 7 };

/* "hename 0123XL": the size, which, and the letter of its kind of group. */
void *state_extra(const struct group *g, char which, size_t size)
{
    char room[2048];
    struct build b = build_in_room(room, sizeof room);
    begin_name(&b, g, 'e');
    build_fmt(&b, " %04zx%c%c", size & 0xffff, which, letter(g));
    if (!zone || !build_ok(&b)) return NULL;
    struct text name = build_done(&b);
    struct shared *s = find(name, EXTRA, size + EXTRA_ALIGN, serving);
    return s ? (void *) (((uintptr_t) s->name + name.n + EXTRA_ALIGN - 1) & ~(uintptr_t) (EXTRA_ALIGN - 1)) : NULL;
}

/* Groups that the new generation has too keep theirs, also when nobody came to ask for it for a while. */
static void keep_extras(struct groups *const sets[EVAL_KINDS], struct build *b, uint64_t generation)
{
    struct pool *pool = pool_open(0);
    struct table names;
    table_init(&names, pool, false);
    for (unsigned kind = 0; kind < EVAL_KINDS; kind++) {
        for (struct group *g = sets[kind] ? groups_first(sets[kind]) : NULL; g; g = g->next) {
            begin_name(b, g, 'e');
            build_char(b, letter(g));
            table_put(&names, pool_text(pool, build_done(b)), g);
        }
    }
    shm_lock(&root->lock);
    for (struct shared *s = root->first; s; s = s->next) {
        if (s->kind != EXTRA) continue;
        struct text group = pool_printf(pool, "%.*s%c", (int) s->name_size - EXTRA_SUFFIX, s->name, s->name[s->name_size - 1]);
        if (table_get(&names, group)) s->generation = generation;
    }
    shm_unlock(&root->lock);
    pool_close(&pool);
}

static void set_weights(struct group *g)
{
    for (uint32_t i = 0; i < g->base.count; i++) {
        struct peer *p = &g->base.peers[i];
        if (p->state->weight == (int32_t) p->weight) continue;
        p->state->weight = p->state->effective = (int32_t) p->weight;
        p->state->current = 0;
    }
}

static void set_marks(struct group *g)
{
    for (uint32_t i = 0; i < g->base.count; i++) {
        struct peer *p = &g->base.peers[i];
        uint32_t want = (p->down ? PEER_DOWN : 0) | (p->drain ? PEER_DRAINING : 0);
        peer_mark(p, want, (PEER_DOWN | PEER_DRAINING) & ~want, "configuration");
    }
}

static bool attach(struct group *g, struct build *b, uint64_t generation)
{
    if ((g->base.count > 1 || !g->implicit) && !(g->state = group_of(b, g, generation))) return false;
    if (!g->implicit && !(g->roster = roster_of(b, g, generation))) return false;
    for (uint32_t i = 0; i < g->base.count; i++) {
        struct peer *p = &g->base.peers[i];
        if (!(p->state = peer_of(b, g, p, generation))) return false;
    }
    set_weights(g);
    if (!g->roster) set_marks(g);
    return true;
}

/* ---- giving back ---- */

static void end_roster(struct group_roster *r)
{
    if (r->state->latest == r) r->state->latest = NULL;
    if (r->loads) shm_free(zone, r->loads);
    r->loads = NULL;
    group_peer_end_all(zone, r);
}

static void end_object(struct shared **at)
{
    struct shared *s = *at;
    if (s->kind == ROSTER) end_roster(&s->roster);
    *at = s->next;
    char name[2048];
    struct text t = { name, min_of(s->name_size, sizeof name) };
    memcpy(name, s->name, t.n);
    shm_object_end(zone, t);
}

/* What only generations before least used. */
static void sweep(uint64_t least)
{
    shm_lock(&root->lock);
    for (struct shared **at = &root->first; *at; ) {
        if ((*at)->generation >= least) at = &(*at)->next;
        else end_object(at);
    }
    shm_unlock(&root->lock);
}

static bool is_forgotten(struct shared *s, uint64_t least)
{
    uint64_t retired = s->kind == PEER ? atomic_load(&s->peer.retired_ms) : 0;
    return retired && clock_now.ms > retired && clock_now.ms - retired > RETIRED_MS && s->generation <= least && !atomic_load(&s->peer.inflight);
}

/* A request that still has a set with such a peer does not ask it any more: pick_next sees that the set is old. */
void state_sweep_retired(void)
{
    if (!zone) return;
    seat_mend(zone);
    uint64_t least = seat_least_generation(zone, UINT64_MAX);
    shm_lock(&root->lock);
    for (struct shared **at = &root->first; *at; ) {
        if (is_forgotten(*at, least)) end_object(at);
        else at = &(*at)->next;
    }
    shm_unlock(&root->lock);
}

/* ---- of processes ---- */

uint64_t state_open(struct groups *const sets[EVAL_KINDS], struct pool *pool)
{
    if (!open_zone()) return 0;
    uint64_t generation = ++root->generation;
    char room[2048];
    struct build b = build_in_room(room, sizeof room);
    for (unsigned kind = 0; kind < EVAL_KINDS; kind++) {
        if (!sets[kind]) continue;
        for (struct group *g = groups_first(sets[kind]); g; g = g->next) {
            if (attach(g, &b, generation)) continue;
            log_at(log_main, L_WARN, NULL, 0, "shared memory of upstreams is used up: each worker judges the peers of \"%.*s\" by itself", TEXT_ARG(g->name));
            state_private(g, pool);
        }
    }
    keep_extras(sets, &b, generation);
    /* Not what the generation before used, even if nobody serves it just now: this one may yet be dropped. */
    sweep(seat_least_generation(zone, generation - 1));
    return generation;
}

/* Once, by the first process of the generation: later ones may come after an administrator's change. */
static void begin_to_serve(struct group *g)
{
    shm_lock(&g->roster->lock);
    if (!g->roster->marked) set_marks(g);
    g->roster->marked = 1;
    g->state->latest = g->roster;
    shm_unlock(&g->roster->lock);
}

void state_worker_start(struct groups *const sets[EVAL_KINDS], uint64_t generation)
{
    if (!zone) return;
    if (!seat_open(zone)) log_at(log_main, L_WARN, NULL, 0, "no seat is free in the shared memory of upstreams");
    seat_serving(generation);
    serving = generation;
    for (unsigned kind = 0; kind < EVAL_KINDS; kind++)
        for (struct group *g = sets[kind] ? groups_first(sets[kind]) : NULL; g; g = g->next)
            if (g->roster) begin_to_serve(g);
}

void state_private(struct group *g, struct pool *pool)
{
    struct peer_set *set = &g->base;
    g->roster = NULL;
    g->state = pool_new(pool, struct group_state);
    struct peer_state *v = pool_array(pool, struct peer_state, set->count);
    for (uint32_t i = 0; i < set->count; i++) set->peers[i].state = &v[i];
    set_weights(g);
    set_marks(g);
}
