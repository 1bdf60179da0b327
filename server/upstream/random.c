/* A peer by chance, by weight; or of two such the one with fewer requests (and less time) for its weight. After 20 that may not be asked it goes by turns. */
#include "upstream/balance.h"
#include "base/clock.h"
#include "upstream/shares.h"
#include <sys/random.h>

enum { TRIES = 20 };

conf_result balance_random_set(struct conf *cf, struct group *g, bool two, enum balance_time timed)
{
    balance_set(cf, g, two ? &balance_random_two : &balance_random, NULL);
    g->timed = timed;
    g->counted = g->counted || timed;
    return NULL;
}

/* Marsaglia's xorshift: nobody gains by guessing it. A worker's first call seeds it; the master makes none. */
static uint64_t any_number(void)
{
    static uint64_t any;
    if (!any && (getrandom(&any, sizeof any, GRND_NONBLOCK) < 0 || !any)) any = clock_now.wall_ms | 1;
    any ^= any << 13;
    any ^= any >> 7;
    any ^= any << 17;
    return any;
}

static struct peer *draw(struct pick *p)
{
    const struct shares *s = p->set->prepared;
    return shares_peer(s, p->set, any_number() % s->total);
}

static bool looks_left(const struct pick *p)
{
    const struct shares *s = p->set->prepared;
    return !p->from && p->looks <= TRIES && s->count > 1;
}

static struct peer *next_one(struct pick *p, uint32_t from, uint32_t to)
{
    for (; looks_left(p); p->looks++) {
        struct peer *peer = draw(p);
        if (pick_take(p, peer)) return peer;
    }
    return round_robin_next(p, from, to);
}

/* A time that is not known is taken to be as the other's. */
static struct peer *quicker(struct peer *a, struct peer *b, enum balance_time timed)
{
    uint64_t of_a = balance_time_of(a, timed), of_b = balance_time_of(b, timed);
    if (!of_a) of_a = of_b ? of_b : 1;
    if (!of_b) of_b = of_a;
    of_a *= 1 + (uint64_t) atomic_load_explicit(&a->state->inflight, memory_order_relaxed);
    of_b *= 1 + (uint64_t) atomic_load_explicit(&b->state->inflight, memory_order_relaxed);
    return (unsigned __int128) of_b * a->weight > (unsigned __int128) of_a * b->weight ? a : b;
}

static struct peer *lighter(struct peer *a, struct peer *b, enum balance_time timed)
{
    if (timed) return quicker(a, b, timed);
    uint64_t of_a = atomic_load_explicit(&a->state->inflight, memory_order_relaxed), of_b = atomic_load_explicit(&b->state->inflight, memory_order_relaxed);
    return of_b * a->weight > of_a * b->weight ? a : b;
}

static struct peer *next_two(struct pick *p, uint32_t from, uint32_t to)
{
    struct peer *before = NULL;
    for (; looks_left(p); p->looks++) {
        struct peer *peer = draw(p);
        if (peer == before || !pick_may(p, peer)) continue;
        if (!before) {
            before = peer;
            continue;
        }
        struct peer *best = lighter(before, peer, p->group->timed);
        if (pick_hold(p, best)) return best;
        before = NULL;
    }
    return round_robin_next(p, from, to);
}

const struct balance balance_random = { .name = "random", .no_backup = true, .prepare = shares_prepare, .next = next_one, .done = round_robin_done };
const struct balance balance_random_two = { .name = "random two", .no_backup = true, .prepare = shares_prepare, .next = next_two, .done = round_robin_done };
