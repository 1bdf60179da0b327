/* auth_require: a request may come in only while certain values are neither empty nor 0. */
#include "modules/module.h"
#include "http/steps.h"
#include "os/metrics.h"

enum { ORDER_AUTH_REQUIRE = 35 };     /* after what sets variables: auth_basic, auth_jwt, auth_request */

struct requirement { struct templates values; int status; };
struct requirements { struct requirement *v; size_t n, cap; };
struct auth_require_conf { struct requirements all; };

extern struct module auth_require_module;

static bool holds(struct request *r, const struct requirement *q)
{
    for (size_t i = 0; i < q->values.n; i++) {
        struct text t = template_render(q->values.v[i], &r->eval);
        if (!t.n || text_eq(t, T("0"))) return false;
    }
    return true;
}

static struct verdict check(struct request *r)
{
    const struct auth_require_conf *c = request_values(r, &auth_require_module);
    if (!c->all.n || !c->all.v[0].values.n) return v_next();
    for (size_t i = 0; i < c->all.n; i++) {
        if (holds(r, &c->all.v[i])) continue;
        request_log(r, L_ERR, 0, "access forbidden: \"auth_require\" does not hold");
        metrics_add(METRIC_AUTH_REQUIRE_REFUSED, 1);
        return v_reply(c->all.v[i].status);
    }
    return v_goto(&step_post_access);
}

static bool read_error(struct text word, int *status)
{
    uint64_t n;
    if (!text_u64(text_from(word, strlen("error=")), &n) || n < 400 || n > 599) return false;
    *status = (int) n;
    return true;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct requirements *all = field;
    struct requirement q = { .status = 403 };
    conf_result why = NULL;
    bool off = cf->count == 2 && text_eq(cf->words[1], T("off"));
    (void) d;
    if (all->n && (off || !all->v[0].values.n)) return conf_duplicate;
    for (size_t i = 1; i < cf->count && !why && !off; i++) {
        struct text word = cf->words[i];
        if (text_starts(word, T("error="))) {
            if (!read_error(word, &q.status)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
            continue;
        }
        if (q.values.n == q.values.cap) q.values.v = pool_grow(cf->pool, q.values.v, q.values.n, &q.values.cap, sizeof *q.values.v);
        q.values.v[q.values.n++] = template_compile(cf, word, &why);
    }
    if (!why && !off && !q.values.n) return "!\"auth_require\" needs a value";
    if (all->n == all->cap) all->v = pool_grow(cf->pool, all->v, all->n, &all->cap, sizeof *all->v);
    all->v[all->n++] = q;
    return why;
}

static const struct conf_type type = { .syntax = "$value ... [error=4xx | 5xx]", .size = sizeof(struct requirements), .flags = CONF_MULTI, .min = 1, .max = UINT32_MAX, .parse = parse };

static const struct directive rows[] = {
    D_TYPE(struct auth_require_conf, all, struct requirements, &type, "auth_require", IN_HSL | IN_LIMIT_EXCEPT, "off", "Values that must be neither empty nor 0 for a request to come in, else it gets 403 or the error given."),
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_access, .name = "auth_require", .run = check, .order = ORDER_AUTH_REQUIRE }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module auth_require_module = { .name = "auth_require", .conf_size = sizeof(struct auth_require_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
