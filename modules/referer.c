/* referer: $invalid_referer: whether a request came by a link from somewhere else than valid_referers names. */
#include "modules/module.h"
#include "os/metrics.h"
#include "http/vhost.h"

struct regexes { struct regex **v; size_t n, cap; };

struct referers {
    struct names  *hosts;        /* to struct text *: how the path must begin */
    struct regexes on_host, on_all;
    bool           none, blocked, server_names, any;
};

struct referer_conf { struct referers valid; };

extern struct module referer_module;

static const struct text any_path = { "", 0 };

/* ---- reading ---- */

static void add_regex(struct conf *cf, struct regexes *list, struct regex *r)
{
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof(struct regex *));
    list->v[list->n++] = r;
}

static conf_result add_host(struct conf *cf, struct referers *to, struct text word)
{
    bool duplicate = false;
    struct text *path = pool_new(cf->pool, struct text), host = word;
    ssize_t slash = text_find_char(word, '/');
    *path = any_path;
    if (slash >= 0) {
        *path = pool_text(cf->pool, text_from(word, (size_t) slash));
        host = text_upto(word, (size_t) slash);
    }
    if (!host.n || names_add(cf, to->hosts, host, path, &duplicate)) return conf_say(cf, "!invalid hostname or wildcard \"%.*s\"", TEXT_ARG(host));
    return duplicate ? conf_say(cf, "!conflicting parameter \"%.*s\"", TEXT_ARG(host)) : NULL;
}

static conf_result add_word(struct conf *cf, struct referers *to, struct text word)
{
    conf_result why = NULL;
    if (text_eq(word, T("none"))) to->none = true;
    else if (text_eq(word, T("blocked"))) to->blocked = true;
    else if (text_eq(word, T("server_names"))) to->server_names = true;
    else {
        to->any = true;
        if (word.n == 0 || word.p[0] != '~') return add_host(cf, to, word);
        if (word.n == 1) return conf_say(cf, "!empty regex in \"%.*s\"", TEXT_ARG(word));
        struct regex *r = regex_compile(cf, text_from(word, 1), true, &why);
        if (r) add_regex(cf, &to->on_all, r);
    }
    return why;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct referers *to = field;
    conf_result why = NULL;
    (void) d;
    if (!to->hosts) to->hosts = names_open(cf);
    for (size_t i = 1; i < cf->count && !why; i++) why = add_word(cf, to, cf->words[i]);
    return why;
}

/* As nginx: regular expressions of the level above hold where this one has none. */
static void inherit(const struct conf_block *above, struct referers *to)
{
    if (!above || !above->values) return;
    const struct referers *from = &((const struct referer_conf *) conf_values(above, &referer_module))->valid;
    if (!to->on_all.n) to->on_all = from->on_all;
    if (!to->on_host.n) to->on_host = from->on_host;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct referers *to = &((struct referer_conf *) values)->valid;
    const struct conf_block *above = b->parent;
    if ((to->none || to->blocked) && !to->any && !to->server_names)
        return "!the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid referer";
    if (!conf_is_set(b, &referer_module, offsetof(struct referer_conf, valid))) return NULL;
    /* the server's names may stand after the directive */
    while (b && b->kind != IN_SERVER) b = b->parent;
    const struct vhost *v = b && to->server_names ? b->object : NULL;
    for (size_t i = 0; v && i < v->name_count; i++) {
        bool duplicate;
        to->any = true;
        if (v->names[i].regex) add_regex(cf, &to->on_host, v->names[i].regex);
        else if (v->names[i].text.n) names_add(cf, to->hosts, v->names[i].text, (void *) &any_path, &duplicate);
    }
    inherit(above, to);
    return NULL;
}

/* ---- a request ---- */

static bool fits_any(const struct regexes *list, struct text t, struct eval *e)
{
    for (size_t i = 0; i < list->n; i++) {
        struct captures *before = e->captures;
        bool fits = regex_match(list->v[i], t, e);
        e->captures = before;
        if (fits) return true;
    }
    return false;
}

/* rest: behind the scheme. */
static bool is_valid(const struct referers *to, struct text rest, struct eval *e)
{
    enum { HOST_MOST = 256 };
    char lower[HOST_MOST];
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != ':') {
        if (n == HOST_MOST) return false;
        lower[n] = (char) text_lower((unsigned char) rest.p[n]);
        n++;
    }
    const struct text host = { lower, n }, *path = names_find(to->hosts, host, NULL);
    if (path) {
        ssize_t slash = text_find_char(text_from(rest, n), '/');
        struct text there = slash < 0 ? T("") : text_from(rest, n + (size_t) slash);
        return text_starts(there, *path);
    }
    return fits_any(&to->on_host, pool_text(e->pool, host), e) || fits_any(&to->on_all, rest, e);
}

static bool judge(const struct request *r, struct eval *e)
{
    const struct referers *to = &((const struct referer_conf *) request_values(r, &referer_module))->valid;
    struct text referer = request_value(r, FIELD_REFERER);
    if (!to->any) return true;
    if (!request_field(r, FIELD_REFERER)) return to->none;
    if (referer.n >= strlen("http://i.ru")) {
        if (text_starts_nocase(referer, T("http://"))) return is_valid(to, text_from(referer, strlen("http://")), e);
        if (text_starts_nocase(referer, T("https://"))) return is_valid(to, text_from(referer, strlen("https://")), e);
    }
    return to->blocked;
}

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    *out = judge(request_of(e), e) ? T("") : T("1");
    if (out->n) metrics_add(METRIC_REFERER_INVALID, 1);
    return true;
}

static const struct variable variables[] = {
    { .name = "invalid_referer", .get = get, .flags = VAR_CHANGEABLE, .help = "\"1\" where valid_referers does not name what the Referer says, else empty." },
    { .name = NULL },
};

static const struct conf_type type = { .syntax = "none | blocked | server_names | string ...", .size = sizeof(struct referers), .flags = CONF_MULTI, .min = 1, .max = UINT32_MAX, .parse = parse };
static const struct directive rows[] = {
    D_TYPE(struct referer_conf, valid, struct referers, &type, "valid_referers", IN_SERVER | IN_LOCATION, NULL, "Where links to here may stand: $invalid_referer is empty for requests that come from there."),
    D_NONE("referer_hash_bucket_size", IN_SERVER | IN_LOCATION, "size", "64", "Size of a bucket of valid_referers' table, which here has none."),
    D_NONE("referer_hash_max_size", IN_SERVER | IN_LOCATION, "size", "2048", "Greatest size of valid_referers' table, which here grows by itself."),
    { .name = NULL },
};
static const struct http_part part = { .variables = variables };

struct module referer_module = { .name = "referer", .conf_size = sizeof(struct referer_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind };
