/*
 * group_names: "server NAME resolve": the manager looks the names of groups up again when their answers' time is over, and changes the
 * groups' peers to what it found, for all workers. While nothing is found the peers stay as they are. A new generation of the
 * configuration begins with those of the one before.
 */
#ifndef UPSTREAM_GROUP_NAMES_H
#define UPSTREAM_GROUP_NAMES_H

#include "upstream/group.h"

struct resolver_values;

/* What is asked for: host itself, or where the service's SRV records are (pool, or host itself). */
struct text group_names_question(struct pool *pool, struct text host, struct text service);
/* While a configuration is read: t's question is to be looked up, by what values says of block once it is whole. port: of the
 * name's addresses; SRV records, which are looked up where t has a service, have ports of their own. */
void group_names_add(struct conf *cf, struct group *g, const struct group_template *t, struct text question, uint16_t port,
                     struct resolver_values (*values)(const struct conf_block *block));

extern struct module upstream_names_module;

#endif
