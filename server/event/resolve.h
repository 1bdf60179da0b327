/*
 * resolve: names to addresses while serving: nothing waits. Answers are kept in this process, for as long as the servers say.
 *
 * Glossary
 *   resolver  where names are asked for: the servers of a "resolver" directive, or by default what the system uses (/etc/hosts,
 *             and the servers and search list of /etc/resolv.conf; nginx has no such default). Its answers are its own.
 *   lookup    one asking for one name, with a deadline. Lies inside its owner. Lookups of the same name share the asking.
 *   name      what is kept of a name: the answer, and who waits for it (private).
 *   nameserver  the sockets to the servers (nameserver.h; private).
 *
 * What is kept is bounded: RESOLVE_NAMES_MAX names a resolver, RESOLVE_ADDRS_MAX addresses a name. That there is no such name is kept as
 * well, for a short time. While the servers fail, or do not answer for RESOLVE_PATIENCE_MS, the last good answer serves (RFC 8767), for
 * RESOLVE_STALE_MS.
 *
 * Built without c-ares only numeric addresses are found; other lookups end with LOOKUP_UNBUILT.
 */
#ifndef EVENT_RESOLVE_H
#define EVENT_RESOLVE_H

#include "event/event.h"
#include "wire/dns.h"
#include <stdatomic.h>

enum {
    RESOLVE_NAMES_MAX = 1000, RESOLVE_ADDRS_MAX = 256, RESOLVE_SERVICES_MAX = 256,
    RESOLVE_NONE_MS = 1000, RESOLVE_NONE_MAX_MS = 30000,    /* no such name: kept so long where the servers do not say how long, and at most */
    RESOLVE_PATIENCE_MS = 1800, RESOLVE_STALE_MS = 3600000, RESOLVE_RECHECK_MS = 5000,
};

struct resolver_want {
    const struct addr *servers;        /* with their ports; copied */
    size_t             count;          /* 0: the system's */
    uint64_t           valid_ms;       /* answers are kept so long; 0: as their TTL says */
    bool               ipv4, ipv6;     /* which addresses are asked for */
};

struct resolver;
/* Lives as long as pool (the configuration's). Opens nothing yet: may be called in the master. Lookups must have ended before the pool does. */
struct resolver *resolver_open(struct pool *pool, const struct resolver_want *w);
/* What serves where no resolver is given. Never NULL. */
struct resolver *resolver_system(void);
/* Names can be looked up at all. */
bool resolver_is_built(void);

enum lookup_kind { LOOKUP_HOST, LOOKUP_SRV };

/* The numbers are those of nginx's messages: "NAME could not be resolved (3: Host not found)". */
enum lookup_end {
    LOOKUP_FOUND = 0, LOOKUP_FORMAT = 1, LOOKUP_SERVER = 2, LOOKUP_NONE = 3, LOOKUP_UNKNOWN = 4, LOOKUP_REFUSED = 5, LOOKUP_TIMEOUT = 110,
    LOOKUP_BUSY = 200,                 /* too many names are being asked for */
    LOOKUP_UNBUILT = 201,
};
const char *lookup_why(enum lookup_end how);

/* Of an SRV answer (RFC 2782), those of least priority first. */
struct lookup_service { struct dns_name target; uint16_t port, priority, weight; };

#define LOOKUP_MAGIC 0x4c4f4f4bu

struct lookup {
    unsigned         magic;            /* while it is under way */
    enum lookup_kind kind;
    uint16_t         port;
    /* It ended; what is below says how. Called once, from the loop, never from within lookup_start. l may start again, or go. */
    void           (*done)(struct lookup *l);
    enum lookup_end  how;
    bool             stale;            /* found, but the answer is past its time */
    uint64_t         valid_ms;         /* the answer holds so long from now (0: it is for this once) */
    size_t           count;            /* LOOKUP_FOUND: how many, at least 1 */
    const struct addr           *addrs;      /* of hosts: with the port given, in an order that changes; until done returns */
    const struct lookup_service *services;   /* of SRV: until done returns */
    /* private */
    struct resolver *resolver;
    struct name     *name;
    struct lookup   *prev, *next;
    struct task      task;
    struct timer     timer;
    struct addr      numeric;
};

/* Looks name up: for hosts the addresses, with port; for LOOKUP_SRV the services called name ("_http._tcp.example.com"). Set l->done before
 * (all else is set here). name is copied; "[::1]" and numeric addresses are their own answer. timeout_ms 0: one second. */
void lookup_start(struct resolver *r, struct lookup *l, enum lookup_kind kind, struct text name, uint16_t port, uint64_t timeout_ms);
/* Gives up: done is not called. Fine when nothing is under way (l zeroed, or ended). */
void lookup_cancel(struct lookup *l);
static inline bool lookup_is_on(const struct lookup *l) { return l->magic == LOOKUP_MAGIC; }

/* In memory that all processes share: questions sent, and what came of them: by lookup_end, then no answer in time, then anything else. */
enum { RESOLVER_NAME, RESOLVER_SERVICE, RESOLVER_ASKED, RESOLVER_TIMEDOUT = LOOKUP_REFUSED + 1, RESOLVER_OTHER, RESOLVER_ANSWERS };
struct resolver_counts { _Atomic uint64_t asked[RESOLVER_ASKED], answers[RESOLVER_ANSWERS]; };
/* What r asks is counted there from now on. */
void resolver_count(struct resolver *r, struct resolver_counts *counts);

struct resolver_figures { size_t names, asked, kept, joined, failed; };   /* held now; questions sent, answers from what is kept, joined, failures */
struct resolver_figures resolver_figures(const struct resolver *r);

#endif
