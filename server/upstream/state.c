#include "upstream/state.h"
#include "upstream/seat.h"

/* Sparse: pages cost when touched. One size for ever, so that it is the same zone after each reload. */
enum { ZONE_SIZE = 512 << 20 };

/* What stands in the zone under one name. */
struct shared {
    struct shared   *next;          /* of all, newest first: the master alone walks and changes it */
    uint64_t         generation;    /* the last that used it */
    uint32_t         name_size, pad;
    union { struct peer_state peer; struct group_state group; };
    char             name[];
};

struct root { struct shared *first; uint64_t generation; };

static struct zone *zone;
static struct root *root;
static uint64_t serving;

struct zone *state_zone(void) { return zone; }

static uint64_t signature(void)
{
    return 0x7570730000000001ull ^ sizeof(struct peer_state) << 8 ^ sizeof(struct group_state) << 20 ^ sizeof(struct shared) << 32;
}

static bool open_zone(void)
{
    zone = shm_open_zone(T("upstreams"), ZONE_SIZE, signature(), NULL);
    if (!zone) return false;
    root = shm_object(zone, T("root"), sizeof *root, NULL);
    return root != NULL;
}

/* The object called name, made when there is none; NULL: the zone is full. */
static struct shared *find(struct text name)
{
    bool made;
    struct shared *s = shm_object(zone, name, sizeof *s + name.n, &made);
    if (!s) return NULL;
    if (made) {
        memcpy(s->name, name.p, name.n);
        s->name_size = (uint32_t) name.n;
        s->next = root->first;
        root->first = s;
    }
    s->generation = serving;
    return s;
}

static struct text name_of(struct build *b, const struct group *g, const struct peer *p, unsigned copy)
{
    b->n = 0;
    build_char(b, g->kind == EVAL_HTTP ? 'h' : 's');
    build_char(b, g->implicit ? 'i' : 'u');
    build_text(b, g->name);
    if (p) {
        build_char(b, ' ');
        build_text(b, p->name);
        build_char(b, p->backup ? 'b' : 'p');
        build_u64(b, copy);
    }
    return build_done(b);
}

/* Two servers of one group may have the same address: the second is a copy of its own. */
static unsigned copies_before(const struct group *g, uint32_t index)
{
    unsigned n = 0;
    const struct peer *p = &g->peers[index];
    if (g->count > 1024) return 0;
    for (uint32_t i = 0; i < index; i++) n += g->peers[i].backup == p->backup && text_eq(g->peers[i].name, p->name);
    return n;
}

static void set_weights(struct group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        struct peer *p = &g->peers[i];
        if (p->state->weight == (int32_t) p->weight) continue;
        p->state->weight = p->state->effective = (int32_t) p->weight;
        p->state->current = 0;
    }
}

static bool attach(struct group *g, struct build *b)
{
    if (g->count > 1) {
        struct shared *s = find(name_of(b, g, NULL, 0));
        if (!s) return false;
        g->state = &s->group;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        struct shared *s = find(name_of(b, g, &g->peers[i], copies_before(g, i)));
        if (!s) return false;
        g->peers[i].state = &s->peer;
    }
    set_weights(g);
    return true;
}

/* Gives back what only generations before least used. */
static void sweep(uint64_t least)
{
    for (struct shared **at = &root->first; *at; ) {
        struct shared *s = *at;
        if (s->generation >= least) { at = &s->next; continue; }
        *at = s->next;
        char name[1024];
        struct text t = { name, min_of(s->name_size, sizeof name) };
        memcpy(name, s->name, t.n);
        shm_object_end(zone, t);
    }
}

bool state_open(struct groups *const sets[EVAL_KINDS], struct pool *pool)
{
    if (!open_zone()) return false;
    serving = ++root->generation;
    char room[1000];
    struct build b = build_in_room(room, sizeof room);
    for (unsigned kind = 0; kind < EVAL_KINDS; kind++) {
        if (!sets[kind]) continue;
        for (struct group *g = groups_first(sets[kind]); g; g = g->next) {
            if (attach(g, &b)) continue;
            log_at(log_main, L_WARN, NULL, 0, "shared memory of upstreams is used up: each worker judges the peers of \"%.*s\" by itself", TEXT_ARG(g->name));
            state_private(g, pool);
        }
    }
    /* Not what the generation before used, even if nobody serves it just now: this one may yet be dropped. */
    sweep(seat_least_generation(zone, serving - 1));
    return true;
}

void state_worker_start(void)
{
    if (!zone) return;
    if (!seat_open(zone)) log_at(log_main, L_WARN, NULL, 0, "no seat is free in the shared memory of upstreams");
    seat_serving(serving);
}

void state_private(struct group *g, struct pool *pool)
{
    g->state = pool_new(pool, struct group_state);
    struct peer_state *v = pool_array(pool, struct peer_state, g->count);
    for (uint32_t i = 0; i < g->count; i++) g->peers[i].state = &v[i];
    set_weights(g);
}
