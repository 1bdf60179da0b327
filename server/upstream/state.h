/*
 * state: where peers' and groups' shared state lives: one sparse zone, each state an object under the name of its group
 * and peer, so that a later generation, or binary, finds it. What no living generation uses is given back.
 */
#ifndef UPSTREAM_STATE_H
#define UPSTREAM_STATE_H

#include "upstream/group.h"

/* In the master, when a configuration is whole: finds or makes the states of all groups. False after a log line. */
bool state_open(struct groups *const sets[EVAL_KINDS], struct pool *pool);
/* In a worker (and the manager): takes a seat. */
void state_worker_start(void);
/* Private states, in pool: for groups made at run time, and tests. */
void state_private(struct group *g, struct pool *pool);
/* The zone, or NULL before the first state_open. */
struct zone *state_zone(void);

#endif
