#include "upstream/shares.h"

struct shares shares_of(struct pool *pool, const struct group *g)
{
    struct shares s = { .count = g->primary, .even = g->primary ? g->peers[0].weight : 0 };
    for (uint32_t i = 0; i < s.count; i++) {
        s.total += g->peers[i].weight;
        if (g->peers[i].weight != s.even) s.even = 0;
    }
    if (s.even || !s.count) return s;
    uint64_t end = 0;
    s.ends = pool_array(pool, uint64_t, s.count);
    for (uint32_t i = 0; i < s.count; i++) s.ends[i] = end += g->peers[i].weight;
    return s;
}

struct peer *shares_peer(const struct shares *s, const struct group *g, uint64_t at)
{
    ASSERT(at < s->total);
    if (s->even) return &g->peers[at / s->even];
    uint32_t low = 0, high = s->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (at < s->ends[middle]) high = middle; else low = middle + 1;
    }
    return &g->peers[low];
}
