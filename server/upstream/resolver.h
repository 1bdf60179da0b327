/* resolver: the "resolver" and "resolver_timeout" directives, for http now; stream and upstream blocks may have the same rows. */
#ifndef UPSTREAM_RESOLVER_H
#define UPSTREAM_RESOLVER_H

#include "config/conf.h"
#include "event/resolve.h"

struct resolver_values { struct resolver *resolver; span timeout; };

/* What "status_zone=" counts, over all workers and generations. Resolvers of one name share it. */
struct resolver_zone { struct resolver_zone *next; struct text name; struct resolver *resolver; struct resolver_counts *counts; };
/* Of the configuration; NULL: none. */
const struct resolver_zone *resolver_zones(const struct conf *cf);

extern const struct conf_type resolver_type;
extern struct module upstream_resolver_module;

#define RESOLVER_ROWS(where) \
    D_TYPE(struct resolver_values, resolver, struct resolver *, &resolver_type, "resolver", where, NULL, "The DNS servers that names are asked of while serving; without it those of the system are, and /etc/hosts, where nginx refuses."), \
    D_TIME(struct resolver_values, timeout, "resolver_timeout", where, "30s", "How long a name may take to be resolved.")

/* What serves: never NULL. */
static inline struct resolver *resolver_of(const struct resolver_values *v) { return v->resolver ? v->resolver : resolver_system(); }

#endif
