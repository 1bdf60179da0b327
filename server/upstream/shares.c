#include "upstream/shares.h"

struct shares shares_of(struct pool *pool, const struct peer_set *set)
{
    struct shares s = { .count = set->primary, .even = set->primary ? set->peers[0].weight : 0 };
    for (uint32_t i = 0; i < s.count; i++) {
        s.total += set->peers[i].weight;
        if (set->peers[i].weight != s.even) s.even = 0;
    }
    if (s.even || !s.count) return s;
    uint64_t end = 0;
    s.ends = pool_array(pool, uint64_t, s.count);
    for (uint32_t i = 0; i < s.count; i++) s.ends[i] = end += set->peers[i].weight;
    return s;
}

struct peer *shares_peer(const struct shares *s, const struct peer_set *set, uint64_t at)
{
    ASSERT(at < s->total);
    if (s->even) return &set->peers[at / s->even];
    uint32_t low = 0, high = s->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (at < s->ends[middle]) high = middle; else low = middle + 1;
    }
    return &set->peers[low];
}

conf_result shares_prepare(const struct group *g, struct peer_set *set, struct pool *pool)
{
    (void) g;
    struct shares *s = set->prepared = pool_new(pool, struct shares);
    *s = shares_of(pool, set);
    return NULL;
}
