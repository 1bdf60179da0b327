/*
 * health: active checks of a group's peers, made once, by the manager, for all workers. What a check asks, and of what protocol,
 * is its probe's business; here it is decided when, how many at once, and what the answers mean for the peer.
 *
 * Glossary
 *   check     one health_check directive: how often, by which probe, for which group. Lives as long as the configuration.
 *   target    one peer under one check, in the manager: follows the group's set.
 *   probe     how a peer is asked: tcp here, http in modules.
 */
#ifndef UPSTREAM_HEALTH_H
#define UPSTREAM_HEALTH_H

#include "event/event.h"
#include "upstream/connect.h"
#include "upstream/group.h"

#define HEALTH_CHECK_MAGIC  0x48434845u
#define HEALTH_TARGET_MAGIC 0x48544152u

struct health_target;
struct health_check;

struct health_probe {
    const char *name;
    /* The group that is checked; NULL: none. Once the configuration is whole. */
    struct group *(*group)(struct health_check *h);
    /* Asks t->addr; health_told comes once, later: never from within, nor after stop. */
    void (*start)(struct health_target *t);
    void (*stop)(struct health_target *t);
    /* The target goes, nothing is under way: what was kept for it in t->data goes. May be NULL. */
    void (*end)(struct health_target *t);
};

struct health_check {
    unsigned                   magic;
    struct health_check       *next;
    const struct health_probe *probe;
    void                      *data;          /* the probe's own */
    uint64_t                   interval_ms, jitter_ms;
    uint32_t                   fails, passes;
    uint16_t                   port;          /* 0: the peer's */
    bool                       mandatory;     /* a peer must be found healthy before it is asked */
    bool                       persistent;    /* … but for one that was, before the configuration was read anew */
    const struct log          *log;
    /* private, in the manager */
    struct group              *group;
    struct peer_set           *set;           /* that the targets are of: pool holds it */
    struct pool               *pool;
    struct table               by_id;
    struct health_target      *targets;
};
#define HEALTH_DEFAULTS .magic = HEALTH_CHECK_MAGIC, .interval_ms = 5000, .fails = 1, .passes = 1

enum health_verdict { HEALTH_NEW, HEALTH_GOOD, HEALTH_BAD };     /* NEW: nothing is known, and that is why it is not asked */

struct health_target {
    unsigned              magic;
    uint32_t              id;                 /* of the peer */
    struct health_target *next;
    struct health_check  *check;
    struct peer          *peer;
    struct addr           addr;               /* where it is checked; a unix path is the peer's */
    enum health_verdict   verdict;
    uint32_t              fails, passes;      /* in a row, towards another verdict */
    bool                  running, seen;
    struct timer          timer;
    struct health_target *waits;              /* private: the next that waits for its turn */
    bool                  is_waiting;
    char                  why[320];           /* of the last failure */
    void                 *data;               /* the probe's own */
    struct connect        connect;            /* the tcp probe's */
};

/* While a configuration is read: h (in cf->pool, filled but for its private part) is one of its checks. */
void health_add(struct conf *cf, struct health_check *h);
/* From a probe: how it went. why: the reason of a failure, in words. */
void health_told(struct health_target *t, bool passed, const char *why);

/* Well when a connection can be made within data: a struct health_tcp. */
struct health_tcp { struct group_ref *ref; uint64_t timeout_ms; };
extern const struct health_probe health_probe_tcp;

/* For tests and the manager: begins, follows the groups' sets, ends. */
void health_start(struct health_check *first);
void health_follow(void);
void health_stop(void);

extern struct module upstream_health_module;

#endif
