/* proxy_cookie: Set-Cookie of the upstream's answer, as the client should see it. RFC 6265 4.1, taken apart as nginx does. */
#include "modules/proxy.h"

/* "name=value", "name" (has_value false), or taken out (name.p NULL). */
struct attribute { struct text name, value; bool has_value; };
struct cookie { struct attribute *v; size_t n, cap; };

/* ---- proxy_cookie_flags ---- */

enum { SECURE = 1, NO_SECURE = 2, HTTP_ONLY = 4, NO_HTTP_ONLY = 8, STRICT = 16, LAX = 32, NONE = 64, NO_SAME_SITE = 128, SAME_SITE = STRICT | LAX | NONE };

static const struct { struct text word; unsigned flag; } words[] = {
    { TEXT_INIT("secure"), SECURE }, { TEXT_INIT("nosecure"), NO_SECURE }, { TEXT_INIT("httponly"), HTTP_ONLY }, { TEXT_INIT("nohttponly"), NO_HTTP_ONLY },
    { TEXT_INIT("samesite=strict"), STRICT }, { TEXT_INIT("samesite=lax"), LAX }, { TEXT_INIT("samesite=none"), NONE }, { TEXT_INIT("nosamesite"), NO_SAME_SITE },
};

static unsigned flag_of(struct text word)
{
    for (size_t i = 0; i < countof(words); i++)
        if (text_eq(words[i].word, word)) return words[i].flag;
    return 0;
}

static conf_result add_flag(struct conf *cf, struct templates *list, struct text word)
{
    conf_result why = NULL;
    struct template *t = template_compile(cf, word, &why);
    if (!t) return why;
    if (template_is_constant(t) && !flag_of(word)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = t;
    return NULL;
}

static conf_result parse_flags(struct conf *cf, const struct directive *d, void *field)
{
    struct proxy_cookies *list = field;
    struct proxy_cookie_flags one = { NULL, NULL, { NULL, 0, 0 } };
    struct text name = cf->words[1];
    conf_result why = NULL;
    (void) d;
    if (list->off) return conf_duplicate;
    if (cf->count == 2 && text_eq(name, T("off"))) {
        if (list->n) return conf_duplicate;
        list->off = true;
        return NULL;
    }
    bool pattern = text_starts(name, T("~"));
    if (pattern) one.regex = regex_compile(cf, text_from(name, 1), true, &why);
    else one.name = template_compile(cf, name, &why);
    for (size_t i = 2; !why && i < cf->count; i++) why = add_flag(cf, &one.flags, cf->words[i]);
    if (why) return why;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = one;
    return NULL;
}

const struct conf_type proxy_cookie_flags_type = { "off | cookie [flag ...]", sizeof(struct proxy_cookies), CONF_MULTI, 1, 5, parse_flags };

/* ---- taken apart, and put together ---- */

static struct text trim_spaces(struct text t)
{
    while (t.n && t.p[0] == ' ') t = text_from(t, 1);
    while (t.n && t.p[t.n - 1] == ' ') t.n--;
    return t;
}

static void add(struct pool *pool, struct cookie *c, struct attribute a)
{
    if (c->n == c->cap) c->v = pool_grow(pool, c->v, c->n, &c->cap, sizeof *c->v);
    c->v[c->n++] = a;
}

static struct cookie split(struct pool *pool, struct text rest)
{
    struct cookie c = { NULL, 0, 0 };
    struct text part;
    while (text_split(&rest, ';', &part)) {
        ssize_t eq = text_find_char(part, '=');
        struct attribute a = { .name = trim_spaces(eq < 0 ? part : text_upto(part, (size_t) eq)), .has_value = eq >= 0 };
        if (eq >= 0) a.value = trim_spaces(text_from(part, (size_t) eq + 1));
        add(pool, &c, a);
    }
    return c;
}

static struct text join(struct pool *pool, const struct cookie *c, size_t hint)
{
    struct build b = build_in_pool(pool, hint + 64, 0);
    for (size_t i = 0; i < c->n; i++) {
        const struct attribute *a = &c->v[i];
        if (!a->name.p) continue;
        if (i) build_lit(&b, "; ");
        build_text(&b, a->name);
        if (a->has_value) build_char(&b, '=');
        build_text(&b, a->value);
    }
    return build_done(&b);
}

/* ---- changed ---- */

static bool is_named(const struct proxy_cookie_flags *f, struct text name, struct request *r)
{
    return f->regex ? regex_match(f->regex, name, &r->eval) : text_eq_nocase(template_render(f->name, &r->eval), name);
}

/* What the first line that fits asks for. False: none fits. */
static bool wanted(const struct proxy_cookies *list, struct text name, struct request *r, unsigned *out)
{
    size_t i = 0;
    while (i < list->n && !is_named(&list->v[i], name, r)) i++;
    if (i == list->n) return false;
    *out = 0;
    for (size_t k = 0; k < list->v[i].flags.n; k++) {
        struct text word = template_render(list->v[i].flags.v[k], &r->eval);
        unsigned mark = flag_of(word);
        if (word.n && !mark) request_log(r, L_ERR, 0, "invalid proxy_cookie_flags flag \"%.*s\"", TEXT_ARG(word));
        *out |= mark;
    }
    return true;
}

static struct text site_of(unsigned flags) { return flags & STRICT ? T("Strict") : flags & LAX ? T("Lax") : T("None"); }

static void set_flags(struct pool *pool, struct cookie *c, unsigned flags)
{
    unsigned has = 0;
    for (size_t i = 1; i < c->n; i++) {
        struct attribute *a = &c->v[i];
        unsigned mark = text_eq_nocase(a->name, T("secure")) ? SECURE : text_eq_nocase(a->name, T("httponly")) ? HTTP_ONLY : text_eq_nocase(a->name, T("samesite")) ? SAME_SITE : 0;
        unsigned none = mark == SAME_SITE ? NO_SAME_SITE : mark << 1;
        has |= mark;
        if (flags & none) a->name = (struct text) { NULL, 0 };
        else if (mark == SAME_SITE && flags & SAME_SITE) *a = (struct attribute) { T("SameSite"), site_of(flags), true };
    }
    if (flags & SECURE && !(has & SECURE)) add(pool, c, (struct attribute) { .name = T("Secure") });
    if (flags & HTTP_ONLY && !(has & HTTP_ONLY)) add(pool, c, (struct attribute) { .name = T("HttpOnly") });
    if (flags & SAME_SITE && !(has & SAME_SITE)) add(pool, c, (struct attribute) { T("SameSite"), site_of(flags), true });
}

static bool rewrite_values(struct exchange *x, struct cookie *c)
{
    const struct proxy_conf *conf = proxy_of(x)->conf;
    bool changed = false;
    for (size_t i = 1; i < c->n; i++) {
        struct attribute *a = &c->v[i];
        if (!a->has_value) continue;
        if (text_eq_nocase(a->name, T("domain"))) changed |= proxy_redirect_value(x, &conf->domains, a->value, &a->value);
        else if (text_eq_nocase(a->name, T("path"))) changed |= proxy_redirect_value(x, &conf->paths, a->value, &a->value);
    }
    return changed;
}

bool proxy_cookie_rewrite(struct exchange *x, struct text cookie, struct text *out)
{
    const struct proxy_conf *conf = proxy_of(x)->conf;
    struct request *r = x->r;
    unsigned flags;
    if (!conf->domains.n && !conf->paths.n && !conf->cookies.n) return false;
    struct cookie c = split(r->pool, cookie);
    if (!c.n || !c.v[0].has_value) return false;
    bool changed = rewrite_values(x, &c);
    if (wanted(&conf->cookies, c.v[0].name, r, &flags)) {
        set_flags(r->pool, &c, flags);
        changed = true;
    }
    if (changed) *out = join(r->pool, &c, cookie.n);
    return changed;
}
