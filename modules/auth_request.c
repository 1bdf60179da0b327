/* auth_request: asks another uri whether a request may come in: 2xx yes, 401 and 403 no. */
#include "modules/module.h"
#include "gateway/exchange.h"
#include "http/credentials.h"
#include "http/steps.h"
#include "http/subrequest.h"
#include "os/metrics.h"

enum { ORDER_AUTH_REQUEST = 30 };     /* after access and auth_basic */

struct auth_set { unsigned index; struct template *value; };
struct auth_sets { struct auth_set *v; size_t n, cap; };
struct auth_request_conf { struct text uri; struct auth_sets sets; };
struct auth { bool asked, done; int status; };

extern struct module auth_request_module;

/* ---- a request ---- */

static void copy_challenge(struct request *r, const struct request *sub)
{
    const struct exchange *x = exchange_of(sub);
    const struct fields *from = fields_find(&sub->out.fields, FIELD_WWW_AUTHENTICATE) || !x ? &sub->out.fields : &x->up.fields;
    fields_remove(&r->out.fields, FIELD_WWW_AUTHENTICATE);
    for (unsigned i = 0; i < from->n; i++) {
        const struct field *f = &from->v[i];
        if (f->id == FIELD_WWW_AUTHENTICATE) credentials_challenge(r, pool_text(r->pool, f->value));
    }
}

static void done(struct request *sub, void *arg)
{
    struct request *r = sub->parent;
    const struct auth_request_conf *c = request_values(r, &auth_request_module);
    struct auth *a = arg;
    for (size_t i = 0; i < c->sets.n; i++)
        eval_set(&r->eval, c->sets.v[i].index, pool_text(r->pool, template_render(c->sets.v[i].value, &sub->eval)));
    a->status = sub->out.status;
    a->done = true;
    if (a->status == 401) copy_challenge(r, sub);
    request_resume(r);
}

static struct verdict decide(struct request *r, const struct auth *a)
{
    bool passed = a->status >= 200 && a->status < 300;
    metrics_add(passed ? METRIC_AUTH_REQUEST_PASSED : METRIC_AUTH_REQUEST_REFUSED, 1);
    if (a->status == 401) return credentials_refused(r);
    if (a->status == 403) return v_reply(403);
    if (passed) return v_goto(&step_post_access);
    request_log(r, L_ERR, 0, "auth request unexpected status: %d", a->status);
    return v_reply(500);
}

static struct verdict ask(struct request *r)
{
    const struct auth_request_conf *c = request_values(r, &auth_request_module);
    struct auth **at = (struct auth **) request_context(r, &auth_request_module), *a = *at;
    if (!c->uri.n) return v_next();
    if (a) return a->done ? decide(r, a) : v_wait();
    *at = a = pool_new(r->pool, struct auth);
    struct subrequest_want want = { .uri = c->uri, .way = SUBREQUEST_STATUS, .no_body = true, .done = done, .arg = a };
    return subrequest_open(r, &want) ? v_wait() : v_reply(500);
}

/* ---- directives ---- */

static conf_result parse_uri(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(struct text *) field = text_eq(cf->words[1], T("off")) ? T("") : pool_text(cf->pool, cf->words[1]);
    return NULL;
}

static bool get_nothing(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) e, (void) v, (void) name, (void) out;
    return false;
}

static conf_result parse_set(struct conf *cf, const struct directive *d, void *field)
{
    struct auth_sets *list = field;
    struct text name = cf->words[1];
    conf_result why = NULL;
    (void) d;
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%s\"", name.p);
    name = text_from(name, 1);
    const struct variable *old = variables_find(variables_of(cf, EVAL_HTTP), name);
    struct variable *v = pool_new(cf->pool, struct variable);
    *v = (struct variable) { .name = pool_cstr(cf->pool, name), .get = old && old->get ? NULL : get_nothing, .flags = VAR_CHANGEABLE,
                             .help = "A variable that \"auth_request_set\" gives a value." };
    if ((why = variables_add(cf, EVAL_HTTP, v))) return why;
    struct template *value = template_compile(cf, cf->words[2], &why);
    if (!value) return why;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = (struct auth_set) { variables_index_of(cf, EVAL_HTTP, name), value };
    return NULL;
}

static const struct conf_type type_uri = { "uri | off", sizeof(struct text), 0, 1, 1, parse_uri };
static const struct conf_type type_set = { "$variable value", sizeof(struct auth_sets), CONF_MULTI, 2, 2, parse_set };

static const struct directive rows[] = {
    D_TYPE(struct auth_request_conf, uri, struct text, &type_uri, "auth_request", IN_HSL, "off", "The uri that is asked, by a request of its own, whether a request may come in: 2xx lets it, 401 and 403 refuse it."),
    D_TYPE(struct auth_request_conf, sets, struct auth_sets, &type_set, "auth_request_set", IN_HSL, NULL, "A variable that is set when that request has answered; the value may use its variables, $upstream_http_name and the like."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_access, .name = "auth_request", .run = ask, .order = ORDER_AUTH_REQUEST }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module auth_request_module = {
    .name = "http_auth_request", .conf_size = sizeof(struct auth_request_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind,
};
