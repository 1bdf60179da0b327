/*
 * state: where peers' and groups' shared state lives: one sparse zone, each state an object under the name of its group
 * and peer, so that a later generation, or binary, finds it. What no living generation uses is given back.
 */
#ifndef UPSTREAM_STATE_H
#define UPSTREAM_STATE_H

#include "upstream/group.h"

/* In the master, when a configuration is whole: finds or makes the states of all groups. The number of this generation; 0 after
 * a log line. */
uint64_t state_open(struct groups *const sets[EVAL_KINDS], struct pool *pool);
/* In a worker (and the manager): takes a seat; what the configuration says of the peers holds from now on. */
void state_worker_start(struct groups *const sets[EVAL_KINDS], uint64_t generation);
/* The state of a peer that comes while the group serves (name and copy are what it is found by); NULL: the zone is full. */
struct peer_state *state_of_peer(const struct group *g, const struct peer *p);
/* What other rooms keep of a group, zeroed when it is new: found again, by which (one of theirs), by all workers and later generations
 * that have the group; given back with it. NULL: there is no zone, or it is full. A worker's. */
void *state_extra(const struct group *g, char which, size_t size);
/* Gives back the states of peers that no set has had for long, and what dead processes held. Any process, now and then. */
void state_sweep_retired(void);
/* Private states, in pool: for groups made at run time, and tests. */
void state_private(struct group *g, struct pool *pool);
/* The zone, or NULL before the first state_open. */
struct zone *state_zone(void);

#endif
