/*
 * loads: a large group's primary peers by their load, as a tournament in shared memory, so that the least loaded one is found
 * in a few steps however many there are. All processes that have the same set of peers have the same tournament: it stands beside
 * their group's records, and changes under the group's lock.
 *
 * A peer's entry is renewed whenever a request comes to it or leaves it; that is exact over all workers. What happens elsewhere
 * (marks, the passing of time, requests of another generation, those of a worker that died) is seen when the peer is about to be
 * taken, and by renewing all entries in turn, once a second: as many with each pick as its share of the second.
 */
#ifndef UPSTREAM_LOADS_H
#define UPSTREAM_LOADS_H

#include "upstream/balance.h"

struct zone;
struct tournament;

/* Fewer are looked at one by one: that is quicker. */
enum { LOADS_LEAST = 64 };

/* struct balance's prepare: set->loads, where there are so many peers. */
conf_result loads_prepare(const struct group *g, struct peer_set *set, struct pool *pool);
/* The primary peer with the least load that may be asked, held; those that are equal by turns, by weight. NULL: none was found,
 * which may be wrong: all are to be looked at. Takes the group's lock. */
struct peer *loads_take(struct pick *p);
/* A request came to the peer, or left it, otherwise than by loads_take. Takes the group's lock. */
void loads_renew(struct pick *p, const struct peer *peer);
/* What peer's load is for its weight: for comparing. quickest: of a time that is not known; 0: times do not count. UINT64_MAX: it
 * may not be asked. */
uint64_t loads_of(const struct pick *p, const struct peer *peer, uint64_t quickest);

#endif
