/*
 * breaker: "breaker" in an upstream block. Bounds what a group may have in hand, and lets it rest when too much of it fails:
 *
 *   closed ──(errors of the tries of interval, at least min of them)──> open ──(after open)──> half open: probes requests at a time
 *      ^                                                                  ^                       |       |
 *      `──────────────────────────(as many answers were well)─────────────|───────────────────────´       |
 *                                                                         `───────(one failed)────────────´
 *
 * Over all workers and generations, in shared memory; what a dead worker had in hand is given back. A request that is not
 * let in is answered with 503 at once.
 */
#ifndef GATEWAY_BREAKER_H
#define GATEWAY_BREAKER_H

#include "upstream/balance.h"

struct exchange;

/* A request's place. of: NULL, it has none. */
struct breaker_place { struct breaker *of; bool pending, probe; };

/* x's request may ask its group. False: it may not (logged). */
bool breaker_enter(struct exchange *x);
/* It is about to wait for a connection. False: it may not (logged). */
bool breaker_connects(struct exchange *x);
/* It has one: it waits no longer. */
void breaker_asked(struct exchange *x);
/* What a try came to. */
void breaker_tell(struct exchange *x, enum peer_verdict how);
/* It is over. */
void breaker_leave(struct exchange *x);
/* "closed", "open", "half_open"; empty: there is none. */
struct text breaker_word(struct group *g);

#endif
