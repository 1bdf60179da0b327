/*
 * group_names: "server NAME resolve": the manager looks the names of groups up again when their answers' time is over, and changes the
 * groups' peers to what it found, for all workers. While nothing is found the peers stay as they are. A new generation of the
 * configuration begins with those of the one before. Names that come while it serves (group_peer_add) are looked up as well.
 */
#ifndef UPSTREAM_GROUP_NAMES_H
#define UPSTREAM_GROUP_NAMES_H

#include "upstream/group.h"

struct resolver_values;
typedef struct resolver_values group_names_values(const struct conf_block *block);

/* What is asked for: host itself, or where the service's SRV records are (pool, or host itself). */
struct text group_names_question(struct pool *pool, struct text host, struct text service);
/* Before g's block is read: names are looked up by what values says of the block once it is whole. And after: that is the block. */
void group_names_allow(struct conf *cf, struct group *g, group_names_values *values);
void group_names_block(struct conf *cf, const struct group *g, const struct conf_block *block);
/* "server … resolve": the name of s is looked up while it serves; that there is no such one now is no error. SRV records, which are
 * looked up where it has a service, have ports of their own. */
conf_result group_names_server(struct conf *cf, struct group *g, const struct group_server *s);
/* NULL: a server with this address and service can be one whose name is looked up; else what is wrong. */
conf_result group_names_fault(struct pool *pool, const struct group_server *s);

extern struct module upstream_names_module;

#endif
