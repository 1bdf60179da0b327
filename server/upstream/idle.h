/*
 * idle: connections to peers that hold no request, kept for the next one: per worker and group, at most `keepalive` of them, the
 * one used least recently closed first. The kernel tells when the peer closes one (EPOLLRDHUP, the conn's handler):
 * no call is spent on asking. That a peer closes at the moment of reuse is the exchange's business (it replays).
 */
#ifndef UPSTREAM_IDLE_H
#define UPSTREAM_IDLE_H

#include "event/event.h"
#include "upstream/group.h"

/* Connections are alike when the other end, our own address and params are equal. */
struct idle_key { const struct addr *to; const struct addr *from; uint64_t params; };

/* The kept connection used last that fits, off the list; NULL: none. *requests_out: how many it has served. */
struct conn *idle_take(struct group *g, const struct idle_key *k, uint32_t *requests_out);
/* Keeps *c, or closes it where keepalive, keepalive_requests or keepalive_time say so, or the worker is to leave. *c is NULL after. */
void idle_put(struct group *g, const struct idle_key *k, uint32_t requests, struct conn **c);
/* Closes all of this worker. */
void idle_close_all(void);
/* Kept by this worker now. */
unsigned idle_count(const struct group *g);

#endif
