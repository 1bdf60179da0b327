/*
 * hedge: a second try of a GET or HEAD at another peer, begun while the first one's answer is still to come and has taken longer than
 * usual (…_hedge). Each of the two is an exchange; they are rivals until one of them has the head of an answer: that one is the
 * request's exchange from then on, the other is let go. One that fails leaves it to the other; when both have, it goes on as after
 * any failed try. The second try is one of the tries of the request, a place at its peer and the breaker, and a retry of the budget.
 */
#ifndef GATEWAY_HEDGE_H
#define GATEWAY_HEDGE_H

#include "event/event.h"
#include "upstream/group.h"

struct exchange;
struct gateway_hedge;

struct hedge {
    struct timer     timer;        /* of the first: when the second begins */
    struct exchange *rival;        /* NULL: there is none */
    bool             second;
    bool             failed;       /* of the first: its try failed, the rival's goes on */
    bool             speaks;       /* of the second: log lines are about its peer */
    unsigned         reason;       /* … for this NEXT_ reason */
};

/* The request's first try has begun. Only where conf->hedge is on. */
void hedge_prepare(struct exchange *x);
/* x's answer has its head, after so many ms: for the group's times. */
void hedge_count(struct group *g, int64_t header_ms);
/* x has a rival. Its try ended for this reason: nothing is left to do for the caller. */
void hedge_failed(struct exchange *x, unsigned reason);
/* … would an answer of this NEXT_ reason be left to the rival, or to another peer? */
bool hedge_may_fail(const struct exchange *x, unsigned reason);
/* … its head is there: it is the request's exchange now. */
void hedge_won(struct exchange *x);
/* x is over: so is its rival. */
void hedge_end(struct exchange *x);

/* How long to wait by h: 0: not known yet. */
uint64_t hedge_delay(struct group *g, const struct gateway_hedge *h);

#endif
