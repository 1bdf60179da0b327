/*
 * group_peer: a group's servers as they are changed while it serves: records in shared memory, one for each peer and for each name
 * that is resolved. They belong to one generation of the configuration and begin as that says; the first change writes them down.
 * Any process of the generation changes them; all see it at the next pick (group_set), requests under way keep the peers they have.
 * A server keeps its id; a peer that goes and comes again finds its peer_state as it was.
 */
#ifndef UPSTREAM_GROUP_PEER_H
#define UPSTREAM_GROUP_PEER_H

#include "upstream/group.h"

enum { GROUP_ROUTE_MAX = 32 };            /* bytes of a route; what is longer is cut */

struct group_record {
    uint32_t    id;
    uint32_t    parent;               /* id of the name whose address this is; GROUP_NO_PARENT: none */
    bool        is_name;              /* to be resolved: no peer by itself */
    bool        down, drain;          /* of a peer: as its marks are now */
    struct addr addr;                 /* of a peer */
    struct text name;                 /* the address in words, as $upstream_addr has it; of a name: the same as server */
    struct text server, route, service;
    uint32_t    weight, max_conns, max_fails, priority;
    uint64_t    fail_timeout_ms, slow_start_ms;
    struct peer_state *state;         /* of a peer */
};

enum group_result {
    GROUP_DONE,
    GROUP_FIXED,                      /* the group's servers cannot change: it has no shared memory */
    GROUP_NO_SUCH,                    /* no server has this id */
    GROUP_FULL,                       /* shared memory is used up */
    GROUP_LAST,                       /* it is a resolved address: its name is to be removed, not it */
};

/* All of them by id, copied to pool. */
struct group_record *group_peer_list(struct group *g, struct pool *pool, size_t *count_out);
/* In the master while a configuration is opened (after state_open): those of the group of the same name in the generation that
 * serves now, as they are at this moment, so that what was resolved stays. NULL: there were none, or they were never changed. */
struct group_record *group_peer_list_before(struct group *g, struct pool *pool, size_t *count_out);

/* For state.c: the records of a generation that has ended go, under nobody's eyes. */
void group_peer_end_all(struct zone *z, struct group_roster *r);

/* Adds a server: r's id and state are not read. Its address (or is_name, then service and addr's port alone) and name must be
 * set. *id_out: its new id. */
enum group_result group_peer_add(struct group *g, const struct group_record *r, uint32_t *id_out);
/* Removes a server; a name with all its addresses. */
enum group_result group_peer_remove(struct group *g, uint32_t id);

enum group_field { GROUP_WEIGHT = 1, GROUP_MAX_CONNS = 2, GROUP_MAX_FAILS = 4, GROUP_FAIL_TIMEOUT = 8, GROUP_SLOW_START = 16, GROUP_PRIORITY = 32, GROUP_ROUTE = 64, GROUP_DOWN = 128, GROUP_DRAIN = 256 };
/* Changes the given fields to what r says of them; of a name: those of all its addresses as well. */
enum group_result group_peer_change(struct group *g, uint32_t id, const struct group_record *r, unsigned fields);

/* The addresses of the name `parent` are these: those that are new are added, those not among them are removed, others keep id and
 * state. Of each address: addr and name, and weight and priority where they are not 0 (SRV); the rest is the name's own.
 * *changed_out (may be NULL): how many came and went. */
enum group_result group_peer_replace(struct group *g, uint32_t parent, const struct group_record *v, size_t count, size_t *changed_out);

#endif
