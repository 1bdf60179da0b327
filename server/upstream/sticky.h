/*
 * sticky: requests of one session go to one peer. A group with a struct sticky asks it first; where the peer it names cannot be
 * asked the group's own algorithm chooses. A draining peer keeps its sessions, one that is down does not.
 */
#ifndef UPSTREAM_STICKY_H
#define UPSTREAM_STICKY_H

#include "upstream/balance.h"

#define STICKY_MAGIC 0x5354494bu

/* What peers are called: the MD5 of the address in hex, the route of the "server" line, the route and where there is none the MD5. */
enum sticky_names { STICKY_BY_ADDRESS, STICKY_BY_ROUTE, STICKY_BY_EITHER };

struct sticky {
    unsigned          magic;
    enum sticky_names names;
    const void       *conf;                  /* of its owner */
    /* The name of the peer that p's request belongs to; empty: none. p->eval is not NULL. */
    struct text     (*wanted)(const struct sticky *s, struct pick *p);
    /* p->peer answered, the try is over; may be NULL. */
    void            (*answered)(const struct sticky *s, struct pick *p);
};

/* Once for each set of peers, made in pool: by which name each is known. Of equal names the first peer counts. */
void sticky_prepare(struct peer_set *set, struct pool *pool);
/* The peer that p's request belongs to; NULL: none, or it is not of the set. */
struct peer *sticky_peer(struct pick *p);
/* What peer, of p's set, is called; empty: it has no name. */
struct text sticky_name(const struct pick *p, const struct peer *peer);

#endif
