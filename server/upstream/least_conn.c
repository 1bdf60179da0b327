/* The peer with the fewest requests for its weight; those that are equal by turns, as round robin would. Exact over all workers. */
#include "upstream/balance.h"

static uint64_t load_of(const struct peer *peer) { return atomic_load_explicit(&peer->state->inflight, memory_order_relaxed); }

/* Others take and give back meanwhile, giving back without the lock: each load is read once. */
static struct peer *least(struct pick *p, uint32_t from, uint32_t to, uint64_t *load_out, bool *many_out)
{
    struct peer *best = NULL;
    for (uint32_t i = from; i < to; i++) {
        struct peer *peer = &p->set->peers[i];
        if (!pick_may(p, peer)) continue;
        uint64_t load = load_of(peer), here = 0, there = 0;
        if (best) {
            here = load * peer_weight(best, best->weight);
            there = *load_out * peer_weight(peer, peer->weight);
            *many_out = *many_out || here == there;
        }
        if (best && here >= there) continue;
        best = peer;
        *load_out = load;
        *many_out = false;
    }
    return best;
}

/* Among those from best on that are as good: the one whose turn it is. */
static struct peer *turn(struct pick *p, struct peer *best, uint32_t to, uint64_t load)
{
    struct peer *first = best;
    int64_t total = 0;
    best = NULL;
    for (uint32_t i = first->index; i < to; i++) {
        struct peer *peer = &p->set->peers[i];
        if (peer != first && (!pick_may(p, peer) || load_of(peer) * peer_weight(first, first->weight) != load * peer_weight(peer, peer->weight))) continue;
        struct peer_state *s = peer->state;
        int64_t earned = (int64_t) peer_weight(peer, (uint32_t) s->effective);
        s->current += earned;
        total += earned;
        if (s->effective < s->weight) s->effective++;
        if (!best || s->current > best->state->current) best = peer;
    }
    best->state->current -= total;
    return best;
}

static struct peer *next(struct pick *p, uint32_t from, uint32_t to)
{
    struct peer *best;
    uint64_t load = 0;
    group_lock(p->group);
    do {
        bool many = false;
        best = least(p, from, to, &load, &many);
        if (best && many) best = turn(p, best, to, load);
    } while (best && !pick_hold(p, best));
    group_unlock(p->group);
    return best;
}

const struct balance balance_least_conn = { .name = "least_conn", .next = next, .done = round_robin_done };
