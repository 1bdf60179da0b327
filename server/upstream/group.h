/*
 * upstream: from a name to a connection with one of its peers. Knows nothing of HTTP: TCP and UDP use it as well.
 *
 * Glossary
 *   group       what "upstream NAME { … }" or the address in a proxy_pass means: peers and how to choose among them.
 *   group_ref   a name as some directive gave it; points to its group once the configuration is whole.
 *   peer        one address of a group (peer.h): a process's own, never changed.
 *   peer_set    a group's peers as they were at one moment, with what the algorithm made of them; never changed. When the group
 *               changes at run time (group_peer.h) each process makes itself a new one; requests under way keep theirs.
 *   peer_state  what all workers of all generations know about a peer: in shared memory, found by name.
 *   pick        one request's way through a group: which peers were tried, how many tries are left (balance.h).
 *   seat        a process's place in the shared table of holds, so that what it held is given back when it dies (seat.h).
 *   connect     from a peer to a connected conn, within a deadline (connect.h).
 *   idle        connections kept for reuse, per worker and group (idle.h).
 *   relay       bytes both ways between two conns (relay.h).
 *
 * Ownership: configuration > groups > group > peer; worker > idle; request > exchange > pick, connect.
 * What is shared is reached from the worker's peer by one pointer, never the other way round.
 */
#ifndef UPSTREAM_GROUP_H
#define UPSTREAM_GROUP_H

#include "eval/eval.h"
#include "upstream/peer.h"

#define GROUP_MAGIC    0x47525550u
#define PEER_SET_MAGIC 0x50534554u

struct balance; struct idle; struct budget; struct breaker; struct queue; struct group_roster; struct sticky; struct sticky_set; struct loads; struct tournament; struct outlier; struct hedge_times;

/* In shared memory, one for all generations. Its lock is of what the balancing algorithm keeps. */
struct group_state {
    struct shm_lock      lock;
    _Atomic uint32_t     panics;      /* panic.h */
    _Atomic uint64_t     counted_ms;  /* … monotonic: when its peers were counted for that */
    _Atomic uint64_t     back_ms;     /* outlier.h: monotonic: when the first of the ejected comes back; 0: none is */
    _Atomic uint64_t     turn;        /* of groups of many peers */
    struct group_roster *latest;      /* the records of the generation that began to serve last; NULL: none */
};

/* In shared memory, one for a group of one generation. Private to group_peer.c but for the version. */
struct group_roster {
    _Atomic uint64_t    version;      /* 0: as the configuration has it, there are no records */
    uint64_t            generation;
    struct group_state *state;
    struct shm_lock     lock;         /* of what follows */
    uint32_t            next_id;
    uint32_t            marked;       /* the peers' marks have been set to what the configuration says */
    uint32_t            pad;
    struct group_entry *first;        /* by id */
    struct tournament  *loads;        /* loads.h, of many peers; under the group's lock; NULL: there is none */
};

/* A process's own. Those of the configuration stay; others end when no request has them any more. */
struct peer_set {
    unsigned      magic;
    struct group *group;
    uint32_t      count;              /* peers in all, by priority; the first `primary` are of the first one */
    uint32_t      primary;
    uint32_t      usable;             /* not down when it was made: the bound of tries */
    struct peer  *peers;
    struct round *round;              /* of many peers: how they take turns */
    void         *prepared;           /* by the algorithm, of these peers */
    struct loads *loads;              /* of many, where the least loaded is asked: loads.h; NULL: there is none */
    struct sticky_set *sticky;        /* by what names they are known: sticky.h */
    uint64_t      version;            /* of the records that it was made of; 0: of the configuration */
    struct pool  *pool;               /* NULL: the configuration's, it stays */
    uint32_t      users;
};

/* keepalive directives of the group, with nginx's defaults */
struct group_keep { uint32_t connections, requests; uint64_t time_ms, timeout_ms; };
enum { KEEP_CONNECTIONS = 32, KEEP_REQUESTS = 1000, KEEP_TIME_MS = 3600000, KEEP_TIMEOUT_MS = 60000 };

struct group {
    unsigned              magic;
    enum eval_kind        kind;
    struct text           name;         /* of the block, or "host:port" */
    bool                  implicit;     /* made from an address, not by a block */
    struct peer_set      *set;          /* this process's newest: group_set */
    struct peer_set       base;         /* the configuration's */
    struct group_template *templates;   /* servers that are names to be resolved while it serves */
    uint32_t              next_id;      /* of servers and templates, in order of the configuration */
    struct group_state   *state;        /* NULL: of one peer for ever, nothing is to be agreed on */
    struct group_roster  *roster;       /* shared records of its peers: group_peer.h; NULL: they never change */
    const struct balance *balance;
    void                 *balance_conf; /* of the algorithm's directive */
    const struct sticky  *sticky;       /* who is asked before the algorithm: sticky.h; NULL: nobody */
    bool                  counted;      /* its peers' answers are counted for a status page: peer_counts */
    uint8_t               timed;        /* which of their times the algorithm looks at: enum balance_time */
    bool                  unfinished;   /* … and at how long those take that are not finished */
    uint8_t               panic;        /* percent of peers that are healthy, below which health does not count; 0: never */
    bool                  chosen;       /* a directive chose the algorithm, or comes after those that do (keepalive) */
    struct group_keep     keep;
    bool                  stateful;     /* its servers stand in a file that who changes them writes: there may be none */
    bool                  checked;      /* by active health checks: health.h */
    bool                  mandatory;    /* … and a peer that comes is not asked before it was found healthy */
    struct idle          *idle;         /* this worker's, or NULL */
    const char           *file;         /* where it was first named */
    unsigned              line;
    struct budget        *budget;       /* of its requests' retries: gateway/budget.h; NULL: none was asked for yet */
    struct hedge_times   *hedge;        /* of its answers: gateway/hedge.h; NULL: nobody asked for them yet */
    struct queue         *queue;        /* gateway/queue.h; NULL: none */
    struct outlier       *outlier;      /* outlier.h; NULL: no peer is ejected */
    struct breaker       *breaker;      /* gateway/breaker.h; NULL: none */
    struct group         *next;         /* in order of the configuration */
};

struct group_ref { struct group *group; struct text host; uint16_t port, default_port; const char *file; unsigned line; struct group_ref *next; };

/* All groups of one configuration and kind. */
struct groups;
struct groups *groups_of(struct conf *cf, enum eval_kind kind);

/* ---- while a configuration is read ---- */

/* What "host", "host:port", "[v6]:port" or "unix:/path" after a scheme means: the group of that name when there is one by the
 * end of the file, else an implicit group of that address. Equal addresses give the same ref. port 0: none given.
 * NULL with *why. */
struct group_ref *group_reference(struct conf *cf, struct groups *gs, struct text host, uint16_t port, uint16_t default_port, conf_result *why);

/* The group of an "upstream NAME {" block. A second one of the name: NULL with *why. */
struct group *group_define(struct conf *cf, struct groups *gs, struct text name, conf_result *why);

/* One "server ADDRESS parameters" line, for group_add_server. */
struct group_server {
    struct text address, route, service;
    uint16_t    default_port;
    uint32_t    weight, max_conns, max_fails, priority;       /* priority: 0 primary, 1 backup … */
    uint64_t    fail_timeout_ms, slow_start_ms;
    bool        down, drain;
};
#define GROUP_SERVER_DEFAULTS .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000
/* A server that is a name, which is resolved while it serves; its peers are made by group_peer_replace. */
struct group_template { struct group_template *next; uint32_t id; struct group_server server; };
/* Resolves the address now: one peer for each. A name that does not resolve: a [warn] and one peer that is down.
 * NULL, or what is wrong. */
conf_result group_add_server(struct conf *cf, struct group *g, const struct group_server *s);
/* A template: the line has an id of its own, and no peer. */
struct group_template *group_add_template(struct conf *cf, struct group *g, const struct group_server *s);
/* Adds one peer with an address that the template's name has now, while the configuration is read. */
void group_add_resolved(struct conf *cf, struct group *g, const struct group_template *t, const struct addr *a);
/* All servers are known: by priority, sums. */
void group_seal(struct conf *cf, struct group *g);
void group_seal_set(struct peer_set *set);

/* ---- while it serves ---- */

/* A group by name, or an implicit one by "host" and port that some directive names; NULL: none such. */
struct group *groups_find(const struct groups *gs, struct text host, uint16_t port);
/* A group of one peer made for a request (proxy_pass with variables and a numeric address): in pool, its state private. */
struct group *group_of_address(struct pool *pool, const struct addr *a, struct text name);
/* In order of the configuration. */
struct group *groups_first(const struct groups *gs);
/* All of a configuration that is whole; NULL: none of that kind. */
struct groups *groups_serving(const struct conf *cf, enum eval_kind kind);

/* The newest set of its peers: valid until the next call for this group, or for as long as group_hold says. */
struct peer_set *group_set_slow(struct group *g);
static inline struct peer_set *group_set(struct group *g)
{
    if (likely(!g->roster || atomic_load_explicit(&g->roster->version, memory_order_relaxed) == g->set->version)) return g->set;
    return group_set_slow(g);
}
/* With the configuration. */
void group_set_end(struct group *g);
/* Keeps the set until the pool ends. */
void group_hold(struct peer_set *set, struct pool *pool);
/* Peers from … to this - 1 are of one priority. */
uint32_t group_level_end(const struct peer_set *set, uint32_t from);

/* The lock of what the balancing algorithm keeps in shared memory; what a dead holder left half done is mended. A group of one
 * peer has none. */
void group_lock(struct group *g);
void group_unlock(struct group *g);

extern struct module upstream_groups_module;

#endif
