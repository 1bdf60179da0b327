/* resolve: the name of a target that is known with the request only, looked up before the first peer is asked. */
#ifndef GATEWAY_RESOLVE_H
#define GATEWAY_RESOLVE_H

#include "http/verdict.h"

struct exchange; struct resolving;

/* x's target has a name and no group. It goes on with exchange_start, or fails by request_fail. */
struct verdict resolve_start(struct exchange *x);
void resolve_end(struct exchange *x);

extern struct module http_resolver_module;

#endif
