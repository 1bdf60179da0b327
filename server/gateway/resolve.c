#include "gateway/resolve.h"
#include "gateway/exchange.h"
#include "upstream/resolver.h"
#include "upstream/state.h"

struct resolving { struct lookup lookup; struct exchange *x; };

/* As many peers as addresses, in the order that the resolver gave; nobody else knows of their failures. */
static struct group *make_group(struct pool *pool, struct text host, const struct lookup *l)
{
    struct text name = pool_printf(pool, "%.*s:%u", TEXT_ARG(host), l->port);
    struct group *g = group_of_address(pool, &l->addrs[0], name);
    struct peer_set *set = g->set;
    struct peer one = set->peers[0];
    set->count = set->primary = set->usable = (uint32_t) l->count;
    set->peers = pool_array(pool, struct peer, l->count);
    for (uint32_t i = 0; i < set->count; i++) {
        set->peers[i] = one;
        set->peers[i].index = i;
        set->peers[i].addr = l->addrs[i];
        set->peers[i].name = addr_text(pool, &l->addrs[i], false);
    }
    state_private(g, pool);
    return g;
}

static void done(struct lookup *l)
{
    struct resolving *w = container_of(l, struct resolving, lookup);
    struct exchange *x = w->x;
    NEED(x, EXCHANGE_MAGIC);
    struct request *r = x->r;
    x->resolving = NULL;
    if (l->how != LOOKUP_FOUND) {
        log_at(r->log, L_ERR, r->about, 0, "%.*s could not be resolved (%d: %s)", TEXT_ARG(x->target.host), l->how, lookup_why(l->how));
        exchange_fail(x, 502);
        return;
    }
    exchange_set_group(x, make_group(r->pool, x->target.host, l));
    struct verdict v = exchange_start(x);
    if (v.what == V_REPLY) request_fail(r, v.status);
}

struct verdict resolve_start(struct exchange *x)
{
    const struct resolver_values *c = request_values(x->r, &http_resolver_module);
    struct resolving *w = pool_new(x->r->pool, struct resolving);
    w->x = x;
    w->lookup.done = done;
    x->resolving = w;
    lookup_start(resolver_of(c), &w->lookup, LOOKUP_HOST, x->target.host, x->target.port, c->timeout.ms);
    return v_over();
}

void resolve_end(struct exchange *x)
{
    if (x->resolving) lookup_cancel(&x->resolving->lookup);
    x->resolving = NULL;
}

static const struct directive rows[] = { RESOLVER_ROWS(IN_HSL), { .name = NULL } };

struct module http_resolver_module = { .name = "http_resolver", .conf_size = sizeof(struct resolver_values), .rows = rows };
