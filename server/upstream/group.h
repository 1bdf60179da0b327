/*
 * upstream: from a name to a connection with one of its peers. Knows nothing of HTTP: TCP and UDP use it as well.
 *
 * Glossary
 *   group       what "upstream NAME { … }" or the address in a proxy_pass means: peers and how to choose among them.
 *   group_ref   a name as some directive gave it; points to its group once the configuration is whole.
 *   peer        one address of a group: configuration side, this generation's. Owned by its group.
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
#include "os/addr.h"
#include "os/shm.h"

#define GROUP_MAGIC 0x47525550u

struct balance; struct idle; struct budget; struct breaker;

/* Either one: it is not asked. */
enum peer_mark {
    PEER_CHECKING  = 4,      /* not yet found healthy since it came, and that is mandatory */
    PEER_UNHEALTHY = 8,      /* the last active health checks failed */
};

/* In shared memory. Counters are atomic; the weights and the failure record change under the group's lock. The layout is part of
 * the zone's signature. */
struct peer_state {
    _Atomic uint32_t inflight;        /* requests (sessions) that use it now, over all workers */
    _Atomic uint32_t fails;           /* since the last time it was found well */
    _Atomic uint64_t accessed_ms;     /* monotonic: last failure */
    _Atomic uint64_t checked_ms;      /* monotonic: last failure, or last trial after one */
    int32_t          current;         /* smooth round robin: credit */
    int32_t          effective;       /* … and weight as lowered by failures */
    int32_t          weight;          /* configured weight that effective was made from */
    _Atomic uint32_t marks;           /* enum peer_mark: what active health checks found */
    _Atomic uint64_t picked, failed;  /* in all, for status pages */
    _Atomic uint64_t checks, checks_failed, unhealthy;    /* active checks made, failed; times it became PEER_UNHEALTHY */
    _Atomic uint32_t check_passed;    /* the last check: 0 none was made, 1 failed, 2 passed */
    _Atomic uint32_t pad;
};

struct group_state {
    struct shm_lock  lock;
    uint32_t         pad;
    _Atomic uint64_t version;         /* of the set of peers, when it changes at run time */
};

struct peer {
    struct addr        addr;
    struct text        name;          /* as $upstream_addr prints it: "127.0.0.1:8081", "unix:/path" */
    struct text        server;        /* as the configuration names it */
    struct group      *group;
    struct peer_state *state;         /* shared; private memory where there is no zone (tests, numeric run-time addresses) */
    uint32_t           index;         /* among group->peers */
    uint32_t           weight, max_conns, max_fails;
    uint64_t           fail_timeout_ms;
    bool               backup, down;
};

/* keepalive directives of the group, with nginx's defaults */
struct group_keep { uint32_t connections, requests; uint64_t time_ms, timeout_ms; };
enum { KEEP_CONNECTIONS = 32, KEEP_REQUESTS = 1000, KEEP_TIME_MS = 3600000, KEEP_TIMEOUT_MS = 60000 };

struct group {
    unsigned              magic;
    enum eval_kind        kind;
    struct text           name;         /* of the block, or "host:port" */
    bool                  implicit;     /* made from an address, not by a block */
    uint32_t              count;        /* peers in all; the first `primary` are not backups */
    uint32_t              primary;
    uint32_t              usable;       /* not marked down: the bound of tries */
    struct peer          *peers;
    struct group_state   *state;
    const struct balance *balance;
    void                 *balance_conf; /* of the algorithm's directive */
    bool                  chosen;       /* a directive chose the algorithm, or comes after those that do (keepalive) */
    struct group_keep     keep;
    bool                  checked;      /* by active health checks: health.h */
    struct idle          *idle;         /* this worker's, or NULL */
    const char           *file;         /* where it was first named */
    unsigned              line;
    struct budget        *budget;       /* of its requests' retries: gateway/budget.h; NULL: none was asked for yet */
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
struct group_server { struct text address; uint16_t default_port; uint32_t weight, max_conns, max_fails; uint64_t fail_timeout_ms; bool backup, down; };
/* Resolves the address now: one peer for each. A name that does not resolve: a [warn] and one peer that is down.
 * NULL, or what is wrong. */
conf_result group_add_server(struct conf *cf, struct group *g, const struct group_server *s);
/* All servers are known: backups to the end, sums. */
void group_seal(struct conf *cf, struct group *g);

/* ---- while it serves ---- */

/* A group by name, or an implicit one by "host" and port that some directive names; NULL: none such. */
struct group *groups_find(const struct groups *gs, struct text host, uint16_t port);
/* A group of one peer made for a request (proxy_pass with variables and a numeric address): in pool, its state private. */
struct group *group_of_address(struct pool *pool, const struct addr *a, struct text name);
/* In order of the configuration. */
struct group *groups_first(const struct groups *gs);
/* All of a configuration that is whole; NULL: none of that kind. */
struct groups *groups_serving(const struct conf *cf, enum eval_kind kind);

/* The lock of what the balancing algorithm keeps in shared memory; what a dead holder left half done is mended. A group of one
 * peer has none. */
void group_lock(struct group *g);
void group_unlock(struct group *g);

extern struct module upstream_groups_module;

#endif
