/*
 * relay: bytes both ways between two conns (Upgrade, CONNECT, TCP) with bounded memory: one chunk a direction, and no reading
 * on while it is not sent. A long stretch between plain sockets goes through a kernel pipe (splice.h), and not through this process. The
 * end of one direction is the end of all, or with half_close is passed on as a shutdown; an error, or nothing moved for timeout_ms: done.
 * However much comes, a call moves RELAY_TURN_BYTES of a direction and what a pipe holds, and there are at most two calls a turn of the loop:
 * others wait as well. Takes over the conns' handlers and timers; the conns stay their owner's.
 */
#ifndef UPSTREAM_RELAY_H
#define UPSTREAM_RELAY_H

#include "upstream/splice.h"

/* With half_close: so long may be nothing of a after b has ended. */
enum { RELAY_HALF_MS = 5000 };
enum { RELAY_TURN_BYTES = 1 << 20 };

#define RELAY_MAGIC 0x52454c59u

/*
 * What limits how fast, or how much, goes through a relay; several may. Asked before bytes are taken in on a way (0: a to b, 1: b to a), and told of
 * those that came. Its own memory: ended with the relay.
 */
#define PACE_NEVER UINT64_MAX
struct relay_pace {
    struct relay_pace *next;
    /* How many of most bytes may come now; the same again until took. 0: not now, *ms_out says when to ask again, PACE_NEVER: the relay ends. */
    uint64_t   (*ask)(struct relay_pace *p, unsigned way, uint64_t most, uint64_t *ms_out);
    /* n came (of what was read before the relay began more than was asked for); dry: there is no more for now. */
    void       (*took)(struct relay_pace *p, unsigned way, uint64_t n, bool dry);
    void       (*end)(struct relay_pace *p);
};

enum relay_end { RELAY_CLOSED, RELAY_TIMEOUT, RELAY_LIMIT, RELAY_ERROR };   /* ERROR: the conn at fault is r->fault */

struct relay_way {
    struct conn *from, *to;
    struct chain held;         /* read, not sent yet */
    struct chunk *chunk;       /* read into */
    size_t       size, most;   /* of the next chunk: grows with the stream, up to most */
    uint64_t     taken, bytes; /* read so far, passed on so far */
    struct splice splice;      /* while bytes are on this way */
    bool         bulk;         /* reads fill what there is to read into */
    bool         eof, shut;
    bool         paused;       /* a pace lets nothing in now */
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
    bool             spent;            /* a pace lets nothing in any more */
    struct relay_pace *paces;
    struct timer     pace_timer;       /* a way is to go on */
};

/* early_out, early_back (taken over, may be NULL): bytes that were read before, from a and from b. */
void relay_start(struct relay *r, struct conn *a, struct conn *b, struct chain *early_out, struct chain *early_back, uint64_t timeout_ms,
                 void (*done)(struct relay *r, enum relay_end how), void *arg);
/* After relay_start: a chunk is of that size. */
void relay_buffer(struct relay *r, size_t size);
/* After relay_start: it ends (RELAY_LIMIT) after ms, or once so many bytes, both ways together, went, and no more go; 0: no limit. */
void relay_limit(struct relay *r, uint64_t ms, uint64_t bytes);
/* After relay_start: these (taken over, may be NULL) are asked. One that lets nothing in any more ends it (RELAY_LIMIT). */
void relay_set_paces(struct relay *r, struct relay_pace *paces);
/* Lets go of both conns and what is held; done is not called. Fine twice. */
void relay_end(struct relay *r);

#endif
