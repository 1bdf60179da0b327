/* proxy_redirect: Location, Refresh and Set-Cookie of the upstream's answer, as the client should see them. */
#include "modules/proxy.h"

static conf_result add(struct conf *cf, struct proxy_redirects *list, struct proxy_redirect one)
{
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = one;
    return NULL;
}

/* A dot at the beginning of a domain says nothing. */
static struct text undotted(struct text t) { return t.n && t.p[0] == '.' ? text_from(t, 1) : t; }

static conf_result parse_pattern(struct conf *cf, struct text from, struct proxy_redirect *one)
{
    conf_result why = NULL;
    bool domain = one->kind == PROXY_REDIRECT_DOMAIN;
    if (!text_starts(from, T("~"))) {
        one->from = template_compile(cf, domain ? undotted(from) : from, &why);
        return one->from ? NULL : why;
    }
    bool nocase = text_starts(from, T("~*")) && !domain;
    one->kind = PROXY_REDIRECT_REGEX;
    one->regex = regex_compile(cf, text_from(from, nocase ? 2 : 1), nocase || domain, &why);
    return one->regex ? NULL : why;
}

/* kind: of a line with a plain pattern. */
static conf_result parse_line(struct conf *cf, struct proxy_redirects *list, enum proxy_redirect_kind kind)
{
    conf_result why = NULL;
    if (list->off) return conf_duplicate;
    if (cf->count == 2) {
        if (!text_eq(cf->words[1], T("off"))) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[1]));
        if (list->n) return conf_duplicate;
        list->off = true;
        return NULL;
    }
    struct proxy_redirect one = { .kind = kind };
    why = parse_pattern(cf, cf->words[1], &one);
    if (why) return why;
    one.to = template_compile(cf, kind == PROXY_REDIRECT_DOMAIN ? undotted(cf->words[2]) : cf->words[2], &why);
    return one.to ? add(cf, list, one) : why;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct proxy_redirects *list = field;
    (void) d;
    bool by_default = cf->count == 2 && text_eq(cf->words[1], T("default")) && !list->off;
    return by_default ? add(cf, list, (struct proxy_redirect) { .kind = PROXY_REDIRECT_DEFAULT }) : parse_line(cf, list, PROXY_REDIRECT_PREFIX);
}

static conf_result parse_domain(struct conf *cf, const struct directive *d, void *field) { return (void) d, parse_line(cf, field, PROXY_REDIRECT_DOMAIN); }
static conf_result parse_path(struct conf *cf, const struct directive *d, void *field) { return (void) d, parse_line(cf, field, PROXY_REDIRECT_PREFIX); }

#define LINES(syntax, parse) { syntax, sizeof(struct proxy_redirects), CONF_MULTI, 1, 2, parse }
const struct conf_type proxy_redirect_type = LINES("default | off | redirect replacement", parse);
const struct conf_type proxy_cookie_domain_type = LINES("off | domain replacement", parse_domain);
const struct conf_type proxy_cookie_path_type = LINES("off | path replacement", parse_path);

static bool join(struct request *r, struct text to, struct text rest, struct text *out)
{
    struct build b = build_in_pool(r->pool, to.n + rest.n, 0);
    build_text(&b, to);
    build_text(&b, rest);
    *out = build_done(&b);
    return true;
}

/* "default": what proxy_pass names becomes what location names. */
static bool by_default(struct request *r, const struct proxy_pass *pass, struct text value, struct text *out)
{
    struct text from = pass->source, to = pass->location;
    if (pass->dynamic || !text_starts(value, from)) return false;
    struct text rest = text_from(value, from.n);
    if (pass->url.uri.n) return join(r, to, rest, out);
    return rest.n && rest.p[0] == '/' && join(r, T(""), rest, out);
}

static bool apply(struct exchange *x, const struct proxy_redirect *one, struct text value, struct text *out)
{
    struct request *r = x->r;
    if (one->kind == PROXY_REDIRECT_DEFAULT) return by_default(r, proxy_of(x)->pass, value, out);
    if (one->kind == PROXY_REDIRECT_REGEX) return regex_match(one->regex, value, &r->eval) && join(r, template_render(one->to, &r->eval), T(""), out);
    struct text from = template_render(one->from, &r->eval);
    if (one->kind == PROXY_REDIRECT_DOMAIN)
        return text_eq_nocase(undotted(value), from) && join(r, text_upto(value, value.n - undotted(value).n), template_render(one->to, &r->eval), out);
    return text_starts(value, from) && join(r, template_render(one->to, &r->eval), text_from(value, from.n), out);
}

bool proxy_redirect_value(struct exchange *x, const struct proxy_redirects *list, struct text value, struct text *out)
{
    for (size_t i = 0; i < list->n; i++)
        if (apply(x, &list->v[i], value, out)) return true;
    return false;
}

static ssize_t find_url(struct text t)
{
    for (size_t i = 0; i + 4 <= t.n; i++)
        if (text_eq_nocase(text_of(t.p + i, 4), T("url="))) return (ssize_t) i + 4;
    return -1;
}

bool proxy_redirect_field(struct exchange *x, const struct field *f, struct text *value_out)
{
    const struct proxy_redirects *list = &proxy_of(x)->conf->redirects;
    struct text to;
    if (f->id == FIELD_SET_COOKIE) return proxy_cookie_rewrite(x, f->value, value_out);
    if (f->id == FIELD_LOCATION) return proxy_redirect_value(x, list, f->value, value_out);
    ssize_t at = find_url(f->value);
    return at >= 0 && proxy_redirect_value(x, list, text_from(f->value, (size_t) at), &to) && join(x->r, text_upto(f->value, (size_t) at), to, value_out);
}
