/*
 * Smooth weighted round robin: every peer that may be asked earns its effective weight, the richest is taken and pays
 * what all earned. Weights 5, 1, 1 give a a b a c a a. Failures lower the effective weight, each pick mends it by one.
 *
 * Of many peers the turn is one shared counter: each of its numbers means a peer, each peer has as many numbers as its weight, and a
 * stride that has no divisor in common with their sum goes through all of them before any comes again. Equal weights: one after the other.
 */
#include "upstream/balance.h"
#include "upstream/shares.h"

/* From so many on nobody looks at all of them for each request: see in_stride. */
enum { MANY = 128, STRIDES = 64 };

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

static uint64_t divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* By the golden section, so that a heavy peer's turns are spread evenly. */
static uint64_t stride_of(uint64_t total)
{
    uint64_t stride = (uint64_t) ((double) total * 0.6180339887);
    while (divisor(stride, total) != 1) stride++;
    return stride;
}

void round_robin_prepare(struct peer_set *set, struct pool *pool)
{
    if (set->primary < MANY) return;
    struct round *r = set->round = pool_new(pool, struct round);
    r->shares = shares_of(pool, set);
    if (r->shares.even) {
        r->shares.even = 1;
        r->shares.total = r->shares.count;
    }
    r->stride = r->shares.even ? 1 : stride_of(r->shares.total);
}

/* A peer that came back a moment ago lets most of its turns go by. */
static bool lets_pass(const struct peer *peer, uint64_t turn)
{
    return unlikely(peer->slow_start_ms) && peer_weight(peer, 1) <= (turn * 0x9e3779b97f4a7c15u >> 56);
}

static struct peer *in_stride(struct pick *p)
{
    const struct round *r = p->set->round;
    for (unsigned i = 0; i < STRIDES; i++) {
        uint64_t turn = atomic_fetch_add_explicit(&p->group->state->turn, 1, memory_order_relaxed);
        uint64_t at = (uint64_t) ((unsigned __int128) (turn % r->shares.total) * r->stride % r->shares.total);
        struct peer *peer = shares_peer(&r->shares, p->set, at);
        if (!lets_pass(peer, turn) && pick_take(p, peer)) return peer;
    }
    return NULL;
}

struct peer *round_robin_next(struct pick *p, uint32_t from, uint32_t to)
{
    struct peer *best;
    int64_t total;
    if (unlikely(p->set->round != NULL) && !from && to == p->set->primary && (best = in_stride(p))) return best;
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
