/*
 * retry: what becomes of a request whose try failed: the same peer over a new connection (a kept one was stale), another peer, at
 * once or after a pause, or the client's answer. And the times that bound a try and all of them. A peer is never asked twice.
 */
#ifndef GATEWAY_RETRY_H
#define GATEWAY_RETRY_H

#include "event/event.h"

struct exchange;

/* Times on the monotonic clock, 0: not set. The timer is set to the first of them. */
struct retry {
    struct timer timer;
    uint64_t     deadline_ms;      /* of the request */
    uint64_t     try_until_ms;     /* of the try in hand, until its head is there */
    uint64_t     paused_until_ms;
    uint32_t     count;            /* other tries so far */
};

/* The request's first try is about to begin. */
void retry_start(struct exchange *x);
/* A try begins; called only where conf->timed. */
void retry_try_begins(struct exchange *x);
/* The try in hand failed for this NEXT_ reason: another peer is asked when that is allowed, else the client gets its
 * status. The line about it is logged by the caller. */
void retry(struct exchange *x, unsigned reason);
/* x's try has ended, and another exchange of the request goes on (hedge.h): its time is not watched any more. */
void retry_try_ended(struct exchange *x);
/* … that one failed too: x goes on after its own failure, which was for this reason. */
void retry_go_on(struct exchange *x, unsigned reason);
/* y is a second exchange of x's request; and it is the only one now. */
void retry_second(struct exchange *y, const struct exchange *x);
void retry_take_over(struct exchange *y, const struct exchange *x);
/* Would another peer be asked for this reason? */
bool retry_allowed(const struct exchange *x, unsigned reason);
/* May more still be tried (proxy_next_upstream_timeout and its like)? */
bool retry_in_time(const struct exchange *x);
/* The peer in hand may not be asked (allow_upstream). True: another one is; false: the client has its answer. */
bool retry_denied(struct exchange *x);
/* The failure is that of a kept connection that the peer had closed: it was not answered because it was not read. */
bool retry_was_stale(const struct exchange *x, unsigned reason);

#endif
