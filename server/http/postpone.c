#include "http/postpone.h"
#include "http/module.h"

/* A subrequest's place, or what the parent gave behind it. */
struct part { struct part *next; struct subrequest *sub; struct chain chain; };

struct postpone {
    struct part  *first, **end;
    enum body_end ended;            /* how the parent's own body ended; MORE: it did not, or that was passed on */
    bool          expected, advancing;
};

static const struct filter postpone_filter;

static void forget_parts(void *arg)
{
    struct postpone *p = arg;
    for (struct part *part = p->first; part; part = part->next) chain_clear(&part->chain);
    p->first = NULL;
}

void postpone_expect(struct request *r)
{
    if (!r->postpone) {
        r->postpone = pool_new(r->pool, struct postpone);
        r->postpone->end = &r->postpone->first;
        pool_cleanup(r->pool, forget_parts, r->postpone);
    }
    r->postpone->expected = true;
}

static struct filter_at *place_of(const struct request *r)
{
    struct filter_at *at = r->filters;
    while (at->filter != &postpone_filter) ASSERT(++at < r->filters + r->filter_count);
    return at;
}

static struct part *add_part(struct request *r)
{
    struct postpone *p = r->postpone;
    struct part *part = pool_new(r->pool, struct part);
    *p->end = part;
    p->end = &part->next;
    return part;
}

static void drop_first(struct postpone *p)
{
    p->first = p->first->next;
    if (!p->first) p->end = &p->first;
}

struct part *postpone_add(struct request *parent, struct subrequest *s)
{
    NEED(parent, REQUEST_MAGIC);
    ASSERT(parent->postpone);
    struct part *part = add_part(parent);
    part->sub = s;
    place_of(parent)->holds = true;
    return part;
}

bool postpone_is_first(const struct request *parent, const struct subrequest *s)
{
    const struct postpone *p = parent->postpone;
    return p && p->first && p->first->sub == s;
}

void postpone_pass(struct request *parent, struct chain *in)
{
    filter_pass(parent, place_of(parent), in, BODY_MORE);
}

bool postpone_needs_bytes(const struct request *parent)
{
    for (const struct filter_at *at = place_of(parent); at < parent->filters + parent->filter_count; at++)
        if (at->filter->bytes) return true;
    return false;
}

size_t postpone_room(struct request *parent)
{
    return filter_room(parent, place_of(parent));
}

void postpone_forget(struct part *place) { place->sub = NULL; }

void postpone_advance(struct request *parent)
{
    struct postpone *p = parent->postpone;
    struct filter_at *at = place_of(parent);
    if (p->advancing) return;
    p->advancing = true;
    while (p->first && !parent->closing) {
        struct part *part = p->first;
        if (part->sub && !subrequest_flow(part->sub)) break;
        if (!chain_empty(&part->chain)) filter_pass(parent, at, &part->chain, BODY_MORE);
        if (p->first == part) drop_first(p);
    }
    p->advancing = false;
    at->holds = p->first != NULL;
    if (parent->closing || p->first || p->ended == BODY_MORE) return;
    struct chain none = CHAIN_EMPTY;
    enum body_end how = p->ended;
    p->ended = BODY_MORE;       /* told */
    filter_pass(parent, at, &none, how);
}

/* ---- the filter ---- */

static bool head(struct request *r, struct filter_at *at)
{
    (void) at;
    return r->postpone && r->postpone->expected && !r->out.no_body;
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct postpone *p = r->postpone;
    if (!p->first) {
        filter_pass(r, at, in, end);
        return;
    }
    p->ended = end;
    at->holds = true;
    if (chain_empty(in)) return;
    struct part *last = container_of(p->end, struct part, next);
    if (last->sub) last = add_part(r);
    chain_move(&last->chain, in);
}

static void more(struct request *r, struct filter_at *at)
{
    (void) at;
    struct part *part = r->postpone->first;
    if (part && part->sub) subrequest_more(part->sub);
    else postpone_advance(r);
}

static const struct filter postpone_filter = { .name = "postpone", .head = head, .body = body, .more = more };
static const struct filter *const filters[] = { &postpone_filter, NULL };
static const struct http_part part = { .filters = filters };

struct module http_postpone_module = { .name = "http_postpone", .part = &part, .part_kind = &http_part_kind };
