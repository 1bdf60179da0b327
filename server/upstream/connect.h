/*
 * connect: from a peer's address to a conn that is ready for the first byte: TCP connect, (TLS handshake,) within a
 * deadline. Lies inside its owner; calls done exactly once, never from within connect_start, and not after connect_cancel.
 */
#ifndef UPSTREAM_CONNECT_H
#define UPSTREAM_CONNECT_H

#include "event/event.h"

struct connect_want {
    const struct addr *to;
    const struct addr *from;           /* source address; NULL or AF_UNSPEC: the kernel's choice */
    bool               transparent;
    bool               keepalive;      /* SO_KEEPALIVE */
    int                sndbuf, rcvbuf; /* of the socket; 0: the system's */
    uint64_t           timeout_ms;
    const struct log  *log;
};

enum connect_end { CONNECT_DONE, CONNECT_FAILED, CONNECT_TIMEOUT };   /* FAILED: error says why */

struct connect {
    struct conn *conn;                 /* while it is under way, and once DONE: the caller's then */
    void       (*done)(struct connect *c, enum connect_end how, int error);
    struct task  task;                 /* failure at once is told at the end of the turn */
    int          error;
    bool         active;
};

void connect_start(struct connect *c, const struct connect_want *w);
/* Gives up; done is not called. Fine when nothing is under way. */
void connect_cancel(struct connect *c);

#endif
