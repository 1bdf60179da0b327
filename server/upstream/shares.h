/* shares: a number below the sum of all weights means a peer, each as many numbers as its weight. */
#ifndef UPSTREAM_SHARES_H
#define UPSTREAM_SHARES_H

#include "upstream/group.h"

struct shares {
    uint64_t  total;
    uint32_t  count;
    uint32_t  even;         /* the weight of every peer, where they are alike; 0: see ends */
    uint64_t *ends;         /* numbers below ends[i] and not below ends[i - 1] mean peer i */
};

/* Of the primary peers, those that are down too: who is down does not change what the others' numbers are. */
struct shares shares_of(struct pool *pool, const struct peer_set *set);
/* struct balance's prepare: they are all that is prepared. */
conf_result shares_prepare(const struct group *g, struct peer_set *set, struct pool *pool);
/* at is below total. */
struct peer *shares_peer(const struct shares *s, const struct peer_set *set, uint64_t at);

/* How round robin goes through many. */
struct round { struct shares shares; uint64_t stride; };

#endif
