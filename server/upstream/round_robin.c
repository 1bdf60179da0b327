/*
 * Smooth weighted round robin: every peer that may be asked earns its effective weight, the richest is taken and pays
 * what all earned. Weights 5, 1, 1 give a a b a c a a. Failures lower the effective weight, each pick mends it by one.
 */
#include "upstream/balance.h"

static struct peer *richest(struct pick *p, uint32_t from, uint32_t to, int64_t *total_out)
{
    struct peer *best = NULL;
    int64_t total = 0;
    for (uint32_t i = from; i < to; i++) {
        struct peer *peer = &p->set->peers[i];
        if (!pick_may(p, peer)) continue;
        struct peer_state *s = peer->state;
        int64_t earned = (int64_t) peer_weight(peer, (uint32_t) s->effective);
        s->current += earned;
        total += earned;
        if (s->effective < s->weight) s->effective++;
        if (!best || s->current > best->state->current) best = peer;
    }
    *total_out = total;
    return best;
}

struct peer *round_robin_next(struct pick *p, uint32_t from, uint32_t to)
{
    struct peer *best;
    int64_t total;
    group_lock(p->group);
    do {
        best = richest(p, from, to, &total);
        if (best) best->state->current -= total;
    } while (best && !pick_hold(p, best));
    group_unlock(p->group);
    return best;
}

void round_robin_done(struct pick *p, bool failed)
{
    const struct peer *peer = p->peer;
    if (!failed || p->set->count == 1 || !peer->max_fails) return;
    group_lock(p->group);
    struct peer_state *s = peer->state;
    s->effective = max_of(0, s->effective - s->weight / (int32_t) peer->max_fails);
    group_unlock(p->group);
}

const struct balance balance_round_robin = { .name = "round_robin", .next = round_robin_next, .done = round_robin_done };
