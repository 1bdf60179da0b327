/* mirror: copies of requests to other uris, whose answers nobody reads. The client does not wait for them. */
#include "modules/module.h"
#include "http/reqbody.h"
#include "http/subrequest.h"

enum { ORDER_MIRROR = 10 };      /* after try_files */

struct mirrors { struct text *v; size_t n, cap; bool off; };
struct mirror_conf { struct mirrors to; flag body; };
extern struct module mirror_module;

static struct verdict mirror(struct request *r)
{
    const struct mirror_conf *c = request_values(r, &mirror_module);
    if (!c->to.n || r->main != r) return v_next();
    if (c->body.on) {
        struct verdict v = reqbody_whole(r);
        if (v.what != V_NEXT) return v;
    }
    for (size_t i = 0; i < c->to.n; i++)
        subrequest_open(r, &(struct subrequest_want) { .uri = c->to.v[i], .way = SUBREQUEST_BACKGROUND, .same_method = true, .no_body = !c->body.on });
    return v_next();
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct mirrors *list = field;
    (void) d;
    if (list->off) return conf_duplicate;
    if (text_eq(cf->words[1], T("off"))) {
        list->off = true;
        return list->n ? conf_duplicate : NULL;
    }
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = pool_text(cf->pool, cf->words[1]);
    return NULL;
}

static const struct conf_type type = { "uri | off", sizeof(struct mirrors), CONF_MULTI, 1, 1, parse };

static const struct directive rows[] = {
    D_TYPE(struct mirror_conf, to, struct mirrors, &type, "mirror", IN_HSL, "off", "A uri that gets a copy of each request; its answer is not read."),
    D_FLAG(struct mirror_conf, body, "mirror_request_body", IN_HSL, "on", "Whether the copy has the request's body, which is then read whole before the request goes on."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_precontent, .name = "mirror", .run = mirror, .order = ORDER_MIRROR }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module mirror_module = { .name = "http_mirror", .conf_size = sizeof(struct mirror_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
