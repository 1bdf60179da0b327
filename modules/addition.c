/* addition: the responses of other uris before and after a body. */
#include "modules/module.h"
#include "http/postpone.h"
#include "http/type_set.h"

struct addition_conf { struct text before, after; struct type_set types; };
extern struct module addition_module;

static bool head(struct request *r, struct filter_at *at)
{
    const struct addition_conf *c = request_values(r, &addition_module);
    if (r->main != r || r->out.status != 200 || (!c->before.n && !c->after.n) || !type_set_has(&c->types, r)) return false;
    at->state = pool_new(r->pool, bool);
    r->out.length = -1;
    response_clear_ranges(r);
    response_weaken_etag(r);
    if (!r->out.no_body) postpone_expect(r);
    return true;
}

static bool add(struct request *r, struct text uri)
{
    return !uri.n || subrequest_open(r, &(struct subrequest_want) { .uri = uri, .way = SUBREQUEST_INLINE });
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    const struct addition_conf *c = request_values(r, &addition_module);
    bool *begun = at->state;
    struct chain none = CHAIN_EMPTY;
    if (!*begun && (in->first || end != BODY_MORE)) {
        *begun = true;
        if (!add(r, c->before)) end = BODY_BROKEN;
    }
    if (end != BODY_FINAL || !c->after.n) {
        filter_pass(r, at, in, end);
        return;
    }
    filter_pass(r, at, in, BODY_MORE);
    filter_pass(r, at, &none, add(r, c->after) ? BODY_FINAL : BODY_BROKEN);
}

static const struct directive rows[] = {
    D_TEXT(struct addition_conf, before, "add_before_body", IN_HSL, NULL, "The uri whose response stands before the body; \"\" takes back what is said above."),
    D_TEXT(struct addition_conf, after, "add_after_body", IN_HSL, NULL, "The uri whose response stands after the body; \"\" takes back what is said above."),
    D_TYPES(struct addition_conf, types, "addition_types", IN_HSL, "text/html", "The content types that something is added to, besides text/html; * is any."),
    { 0 }
};

static const struct filter addition_filter = { .name = "addition", .head = head, .body = body };
static const struct filter *const filters[] = { &addition_filter, NULL };
static const struct http_part part = { .filters = filters, .if_given = true };

struct module addition_module = { .name = "http_addition", .conf_size = sizeof(struct addition_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
