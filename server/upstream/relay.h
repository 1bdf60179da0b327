/*
 * relay: bytes both ways between two conns (Upgrade, CONNECT, TCP) with bounded memory: one chunk a direction, and no reading
 * on while it is not sent. A long stretch between plain sockets goes through a kernel pipe (splice.h), and not through this process. The end of one direction is the end of all, or with half_close is passed on as a shutdown;
 * an error, or nothing moved for timeout_ms: done. Takes over the conns' handlers and timers; the conns stay their owner's.
 */
#ifndef UPSTREAM_RELAY_H
#define UPSTREAM_RELAY_H

#include "upstream/splice.h"

/* With half_close: so long may be nothing of a after b has ended. */
enum { RELAY_HALF_MS = 5000 };

#define RELAY_MAGIC 0x52454c59u

enum relay_end { RELAY_CLOSED, RELAY_TIMEOUT, RELAY_LIMIT, RELAY_ERROR };   /* ERROR: the conn at fault is r->fault */

struct relay_way {
    struct conn *from, *to;
    struct chain held;         /* read, not sent yet */
    struct chunk *chunk;       /* read into */
    size_t       size;         /* of the next chunk: grows with the stream */
    uint64_t     bytes;        /* passed on so far */
    struct splice splice;      /* while bytes are on this way */
    bool         bulk;         /* reads fill what there is to read into */
    bool         eof, shut;
};

struct relay {
    unsigned         magic;
    struct relay_way out, back;        /* a to b, b to a */
    uint64_t         timeout_ms;
    uint64_t         until_ms, most;   /* relay_limit; 0: none */
    struct conn     *fault;
    void           (*done)(struct relay *r, enum relay_end how);
    void            *arg;
    bool             half_close;       /* set after relay_start by who wants it */
    bool             over;
};

/* early_out, early_back (taken over, may be NULL): bytes that were read before, from a and from b. */
void relay_start(struct relay *r, struct conn *a, struct conn *b, struct chain *early_out, struct chain *early_back, uint64_t timeout_ms,
                 void (*done)(struct relay *r, enum relay_end how), void *arg);
/* After relay_start: it ends (RELAY_LIMIT) after ms, or once so many bytes, both ways together, went; 0: no limit. */
void relay_limit(struct relay *r, uint64_t ms, uint64_t bytes);
/* Lets go of both conns and what is held; done is not called. Fine twice. */
void relay_end(struct relay *r);

#endif
