/*
 * queue: "queue" in an upstream block: requests that wait in this worker until a peer has room, in order of their coming. A place that
 * this worker gives back is taken at the end of the turn, one that another gives back within a few milliseconds.
 */
#ifndef GATEWAY_QUEUE_H
#define GATEWAY_QUEUE_H

#include "base/base.h"

struct exchange; struct group;

/* A request's place in it. */
struct queue_place { struct exchange *prev, *next; uint64_t since_ms; bool in; };

/* Others of this worker wait for x's group before x. */
bool queue_has_others(const struct exchange *x);
/* All peers are busy: x waits, or goes on waiting; exchange_next is called again. False: it may not (full). */
bool queue_join(struct exchange *x);
/* It waits no longer: it has a peer, or is over. Returns how long it has. Fine when it does not wait: -1. */
int64_t queue_leave(struct exchange *x);
/* A place of g was given back. */
void queue_wake(struct group *g);

#endif
