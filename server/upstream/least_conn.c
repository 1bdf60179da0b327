/*
 * The peer with the least load for its weight; those that are equal by turns, as round robin would. Exact over all workers. Few are
 * looked at one by one, many play a tournament (loads.h).
 * least_conn: the load is how many requests a peer has in hand. least_time: its average time, times that with the coming one;
 * inflight: the time as it would be if those in hand ended now.
 */
#include "upstream/loads.h"

/* What is looked at. quickest: the least time known of any, which those that have none yet are taken to have. */
struct scan { struct pick *p; uint32_t from, to; uint64_t quickest; };

void balance_least_set(struct conf *cf, struct group *g, enum balance_time timed, bool unfinished)
{
    balance_set(cf, g, timed ? &balance_least_time : &balance_least_conn, NULL);
    g->timed = timed;
    g->unfinished = unfinished;
    g->counted = g->counted || timed;
}

static uint64_t quickest(const struct pick *p, uint32_t from, uint32_t to)
{
    uint64_t least = 0;
    for (uint32_t i = from; i < to; i++) {
        uint64_t us = balance_time_of(&p->set->peers[i], p->group->timed);
        if (us && (!least || us < least)) least = us;
    }
    return least ? least : 1;
}

static uint64_t load_of(const struct scan *s, const struct peer *peer)
{
    uint64_t requests = atomic_load_explicit(&peer->state->inflight, memory_order_relaxed);
    if (!s->quickest) return requests;
    uint64_t us = balance_time_of(peer, s->p->group->timed);
    return balance_time_raised(s->p->group, peer, us ? us : s->quickest) * (requests + 1);
}

/* For comparing: a load and the weight of another peer. */
static unsigned __int128 against(uint64_t load, const struct peer *other) { return (unsigned __int128) load * peer_weight(other, other->weight); }

/* Others take and give back meanwhile, giving back without the lock: each load is read once. */
static struct peer *least(const struct scan *s, uint64_t *load_out, bool *many_out)
{
    struct peer *best = NULL;
    for (uint32_t i = s->from; i < s->to; i++) {
        struct peer *peer = &s->p->set->peers[i];
        if (!pick_may(s->p, peer)) continue;
        uint64_t load = load_of(s, peer);
        unsigned __int128 here = 0, there = 0;
        if (best) {
            here = against(load, best);
            there = against(*load_out, peer);
            *many_out = *many_out || here == there;
        }
        if (best && here >= there) continue;
        best = peer;
        *load_out = load;
        *many_out = false;
    }
    return best;
}

/* Among those from first on that are as good: the one whose turn it is. */
static struct peer *turn(const struct scan *s, struct peer *first, uint64_t load)
{
    struct peer *best = NULL;
    int64_t total = 0;
    for (uint32_t i = first->index; i < s->to; i++) {
        struct peer *peer = &s->p->set->peers[i];
        if (peer != first && (!pick_may(s->p, peer) || against(load_of(s, peer), first) != against(load, peer))) continue;
        struct peer_state *state = peer->state;
        int64_t earned = (int64_t) peer_weight(peer, (uint32_t) state->effective);
        state->current += earned;
        total += earned;
        if (state->effective < state->weight) state->effective++;
        if (!best || state->current > best->state->current) best = peer;
    }
    best->state->current -= total;
    return best;
}

static struct peer *look_at_all(struct pick *p, uint32_t from, uint32_t to)
{
    struct scan s = { p, from, to, p->group->timed ? quickest(p, from, to) : 0 };
    struct peer *best;
    uint64_t load = 0;
    group_lock(p->group);
    do {
        bool many = false;
        best = least(&s, &load, &many);
        if (best && many) best = turn(&s, best, load);
    } while (best && !pick_hold(p, best));
    group_unlock(p->group);
    return best;
}

static struct peer *next(struct pick *p, uint32_t from, uint32_t to)
{
    if (likely(!p->set->loads || from || to != p->set->primary)) return look_at_all(p, from, to);
    struct peer *peer = loads_take(p);
    if (likely(peer != NULL)) return peer;
    peer = look_at_all(p, from, to);
    if (peer) loads_renew(p, peer);
    return peer;
}

const struct balance balance_least_conn = { .name = "least_conn", .prepare = loads_prepare, .next = next, .done = round_robin_done };
const struct balance balance_least_time = { .name = "least_time", .prepare = loads_prepare, .next = next, .done = round_robin_done };
