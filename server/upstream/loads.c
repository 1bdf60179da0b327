#include "upstream/loads.h"
#include "upstream/state.h"
#include "base/clock.h"

#define NEVER UINT64_MAX

/* LOOKS: at so many that are not what they were; then all are renewed at once. HIDDEN: that the request has tried before. */
enum { LOOKS = 64, HIDDEN = 16, RENEWED_MOST = 64, RENEW_MS = 1000 };

/* Who wins below here. Equal loads: who had its turn before the others; a turn is longer, the less a peer weighs. */
struct node { uint64_t load, turn; uint32_t peer, pad; };

struct tournament {
    uint64_t    version;           /* of the set it is made of, and 1 */
    uint32_t    count, cap;        /* peers; room for so many */
    uint32_t    torn;              /* it is being changed: who finds it so makes it anew */
    uint32_t    panics;            /* the rules of the group's panic were followed */
    uint32_t    next, pad;         /* to be renewed */
    uint64_t    renewed_ms;
    uint64_t    turn;              /* of the one taken last */
    uint64_t    quickest, quicker; /* the least time known, and that of this round; 0: none is */
    struct node v[];               /* v[1]: who wins; the children of i are 2 i and 2 i + 1; v[count + i]: of peer i */
};

/* A set's own: for a group that is in no shared memory. */
struct loads { struct tournament *own; };

static void drop_own(void *arg) { free(((struct loads *) arg)->own); }

conf_result loads_prepare(const struct group *g, struct peer_set *set, struct pool *pool)
{
    (void) g;
    if (set->primary <= LOADS_LEAST) return NULL;
    set->loads = pool_new(pool, struct loads);
    pool_cleanup(pool, drop_own, set->loads);
    return NULL;
}

/* ---- an entry ---- */

uint64_t loads_of(const struct pick *p, const struct peer *peer, uint64_t quickest)
{
    if (!pick_could(p, peer)) return NEVER;
    uint64_t requests = atomic_load_explicit(&peer->state->inflight, memory_order_relaxed), weight = peer_weight(peer, peer->weight);
    if (!quickest) return (min_of(requests, (uint64_t) 0xffffff) << 40) / weight;
    uint64_t us = balance_time_of(peer, p->group->timed);
    return min_of(balance_time_raised(p->group, peer, us ? us : quickest) * (requests + 1), UINT64_MAX >> 8) * 256 / weight;
}

static inline bool wins(const struct node *a, const struct node *b)
{
    return a->load < b->load || (a->load == b->load && a->turn <= b->turn);
}

static void play(struct tournament *t, uint32_t from)
{
    for (uint32_t k = from >> 1; k; k >>= 1) {
        const struct node *a = &t->v[2 * k], *best = wins(a, a + 1) ? a : a + 1;
        struct node *here = &t->v[k];
        if (here->peer == best->peer && here->load == best->load && here->turn == best->turn) return;
        *here = *best;
    }
}

static void put(struct tournament *t, uint32_t i, uint64_t load, uint64_t turn)
{
    struct node *leaf = &t->v[t->count + i];
    if (leaf->load == load && leaf->turn == turn) return;
    leaf->load = load;
    leaf->turn = turn;
    play(t, t->count + i);
}

static uint64_t quickest_of(const struct pick *p, const struct tournament *t) { return p->group->timed ? max_of(t->quickest, (uint64_t) 1) : 0; }

static void look_at_time(const struct pick *p, struct tournament *t, const struct peer *peer)
{
    uint64_t us = p->group->timed ? balance_time_of(peer, p->group->timed) : 0;
    if (!us) return;
    if (!t->quicker || us < t->quicker) t->quicker = us;
    if (!t->quickest || us < t->quickest) t->quickest = us;
}

static void renew(const struct pick *p, struct tournament *t, uint32_t i)
{
    const struct peer *peer = &p->set->peers[i];
    look_at_time(p, t, peer);
    put(t, i, loads_of(p, peer, quickest_of(p, t)), t->v[t->count + i].turn);
}

/* ---- all of them ---- */

static void begin_change(struct tournament *t)
{
    t->torn = 1;
    atomic_signal_fence(memory_order_seq_cst);
}

static void end_change(struct tournament *t)
{
    atomic_signal_fence(memory_order_seq_cst);
    t->torn = 0;
}

static void make(const struct pick *p, struct tournament *t)
{
    const struct peer_set *set = p->set;
    bool same = t->version == set->version + 1 && t->count == set->primary && !t->torn;
    begin_change(t);
    if (!same) t->turn = 0;
    t->count = set->primary;
    t->quickest = t->quicker = 0;
    t->panics = p->panics;
    for (uint32_t i = 0; i < t->count; i++) look_at_time(p, t, &set->peers[i]);
    for (uint32_t i = 0; i < t->count; i++) {
        struct node *leaf = &t->v[t->count + i];
        *leaf = (struct node) { .load = loads_of(p, &set->peers[i], quickest_of(p, t)), .turn = same ? leaf->turn : 0, .peer = i };
    }
    for (uint32_t k = t->count - 1; k; k--) t->v[k] = wins(&t->v[2 * k], &t->v[2 * k + 1]) ? t->v[2 * k] : t->v[2 * k + 1];
    t->next = 0;
    t->renewed_ms = clock_now.ms;
    t->version = set->version + 1;
    end_change(t);
}

/* Room for the set's peers at *at; false: there is none. */
static bool make_room(const struct peer_set *set, struct tournament **at)
{
    struct tournament *old = *at;
    if (old && old->cap >= set->primary) return true;
    bool shared = set->group->roster != NULL;
    size_t n = sizeof *old + sizeof old->v[0] * 2 * set->primary;
    struct tournament *t = shared ? shm_zalloc(state_zone(), n) : base_zalloc(1, n);
    if (!t) return false;
    t->cap = set->primary;
    *at = t;
    if (old && shared) shm_free(state_zone(), old);
    else free(old);
    return true;
}

/* Under the lock: the tournament of the pick's set; NULL: it is of a newer one, or there is no room. */
static struct tournament *find(const struct pick *p)
{
    const struct peer_set *set = p->set;
    struct group_roster *r = p->group->roster;
    struct tournament **at = r ? &r->loads : &set->loads->own, *t = *at;
    if (likely(t && t->version == set->version + 1 && !t->torn && t->panics == p->panics && t->count == set->primary)) return t;
    if (t && !t->torn && t->version > set->version + 1) return NULL;
    if (!make_room(set, at)) return NULL;
    make(p, *at);
    return *at;
}

/* A share of them: all once a second. */
static void renew_some(const struct pick *p, struct tournament *t)
{
    uint64_t now = clock_now.ms, passed = now > t->renewed_ms ? now - t->renewed_ms : 0;
    uint64_t share = min_of(passed, (uint64_t) RENEW_MS) * t->count / RENEW_MS, n = min_of(share, (uint64_t) RENEWED_MOST);
    if (likely(!n)) return;
    t->renewed_ms = now - (share - n) * RENEW_MS / t->count;       /* what is left is the next picks' */
    for (; n; n--) {
        renew(p, t, t->next);
        if (++t->next < t->count) continue;
        t->next = 0;
        t->quickest = t->quicker;
        t->quicker = 0;
    }
}

/* ---- a pick ---- */

static void take_turn(struct tournament *t, const struct pick *p, uint32_t i)
{
    const struct peer *peer = &p->set->peers[i];
    uint64_t turn = max_of(t->v[t->count + i].turn, t->turn);
    t->turn = turn;
    put(t, i, loads_of(p, peer, quickest_of(p, t)), turn + max_of(((uint64_t) PEER_WEIGHT_ONE << 20) / peer_weight(peer, peer->weight), (uint64_t) 1));
}

/* *wrong_out: many are not what they were. */
static struct peer *take_best(struct pick *p, struct tournament *t, bool *wrong_out)
{
    uint32_t hidden[HIDDEN];
    unsigned n = 0, looks = 0;
    struct peer *found = NULL;
    for (; !found && t->v[1].load != NEVER && looks < LOOKS; looks++) {
        uint32_t i = t->v[1].peer;
        struct peer *peer = &p->set->peers[i];
        if (pick_was_tried(p, i)) {
            if (n == HIDDEN) break;
            hidden[n++] = i;
            put(t, i, NEVER, t->v[t->count + i].turn);
            continue;
        }
        uint64_t load = loads_of(p, peer, quickest_of(p, t));
        if (load <= t->v[1].load && pick_hold(p, peer)) {
            found = peer;
            take_turn(t, p, i);
        } else {
            put(t, i, load <= t->v[1].load ? NEVER : load, t->v[t->count + i].turn);
        }
    }
    while (n) renew(p, t, hidden[--n]);
    *wrong_out = looks == LOOKS;
    return found;
}

struct peer *loads_take(struct pick *p)
{
    struct peer *found = NULL;
    bool wrong;
    group_lock(p->group);
    struct tournament *t = find(p);
    if (t) {
        begin_change(t);
        renew_some(p, t);
        found = take_best(p, t, &wrong);
        if (!found && wrong) {
            make(p, t);
            begin_change(t);
            found = take_best(p, t, &wrong);
        }
        end_change(t);
    }
    group_unlock(p->group);
    return found;
}

void loads_renew(struct pick *p, const struct peer *peer)
{
    if (peer->index >= p->set->primary) return;
    group_lock(p->group);
    struct tournament *t = find(p);
    if (t) {
        begin_change(t);
        renew(p, t, peer->index);
        end_change(t);
    }
    group_unlock(p->group);
}
