/*
 * sticky: which server of a group a client's session belongs to: a cookie of ours names it (sticky cookie), a variable does
 * (sticky route), or it is remembered which server began the session (sticky learn), in memory that all workers share.
 */
#include "modules/module.h"
#include "gateway/exchange.h"
#include "os/shm_table.h"
#include "process/cycle.h"
#include "upstream/sticky.h"
#include "wire/date.h"
#include "wire/value.h"

enum { NAME_SIZE = 32, MAX_SECONDS = 315360000, LEARN_MS = 600000 };

struct indexes { unsigned *v; size_t n, cap; };

struct cookie {
    struct sticky    sticky;
    struct text      name, path;          /* path: empty: none */
    struct template *domain, *samesite;   /* NULL: none */
    uint64_t         expires;             /* in seconds */
    bool             has_expires, max, httponly, secure;
};

struct route { struct sticky sticky; struct indexes variables; };

struct session { uint64_t seen_ms; char peer[NAME_SIZE]; };
struct learn {
    struct sticky     sticky;
    struct learn     *next;
    struct text       zone;
    uint64_t          size, timeout_ms;
    bool              header;
    struct indexes    create, lookup;
    struct shm_table *table;
};

struct sticky_conf { struct learn *learns; };

extern struct module sticky_module;

/* The first of them that is not empty. */
static struct text first_value(const struct indexes *i, struct eval *e)
{
    for (size_t k = 0; k < i->n; k++) {
        struct text t = value_text(eval_get(e, i->v[k]));
        if (t.n) return t;
    }
    return T("");
}

/* ---- cookie ---- */

static struct text cookie_of(const struct request *r, struct text name)
{
    struct text value;
    for (unsigned i = 0; i < r->in.n; i++)
        if (r->in.v[i].id == FIELD_COOKIE && value_cookie(r->in.v[i].value, name, &value)) return value;
    return T("");
}

static struct text cookie_wanted(const struct sticky *s, struct pick *p)
{
    const struct cookie *c = s->conf;
    return cookie_of(request_of(p->eval)->main, c->name);
}

static void put_expires(struct build *b, const struct cookie *c)
{
    char room[DATE_LENGTH];
    if (!c->has_expires) return;
    build_lit(b, "; expires=");
    if (c->max) build_lit(b, "Thu, 31 Dec 2037 23:55:55 GMT");
    else build_text(b, date_format(room, clock_now.wall + (time_t) c->expires));
    build_fmt(b, "; max-age=%llu", (unsigned long long) (c->max ? MAX_SECONDS : c->expires));
}

/* What a variable says may not bring attributes of its own. */
static void put_domain(struct build *b, const struct cookie *c, struct eval *e)
{
    struct text t = c->domain ? template_render(c->domain, e) : T("");
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char) t.p[i] <= ' ' || t.p[i] == 0x7f || t.p[i] == ';' || t.p[i] == ',') return;
    if (!t.n) return;
    build_lit(b, "; domain=");
    build_text(b, t);
}

static bool is_samesite(struct text t) { return text_eq_nocase(t, T("strict")) || text_eq_nocase(t, T("lax")) || text_eq_nocase(t, T("none")); }

static void put_samesite(struct build *b, const struct cookie *c, struct eval *e)
{
    struct text t = c->samesite ? template_render(c->samesite, e) : T("");
    if (!is_samesite(t)) return;
    build_lit(b, "; samesite=");
    build_text(b, t);
}

static void set_cookie(struct request *r, const struct cookie *c, struct text value)
{
    if (!value.n || text_eq(value, cookie_of(r->main, c->name))) return;
    struct build b = build_in_pool(r->pool, 192, 0);
    build_text(&b, c->name);
    build_char(&b, '=');
    build_text(&b, value);
    put_expires(&b, c);
    put_domain(&b, c, &r->eval);
    if (c->path.n) build_lit(&b, "; path=");
    build_text(&b, c->path);
    put_samesite(&b, c, &r->eval);
    if (c->secure) build_lit(&b, "; secure");
    if (c->httponly) build_lit(&b, "; httponly");
    response_add(r, FIELD_SET_COOKIE, T("Set-Cookie"), build_done(&b));
}

/* ---- route ---- */

static struct text route_wanted(const struct sticky *s, struct pick *p)
{
    const struct route *c = s->conf;
    return first_value(&c->variables, p->eval);
}

/* ---- learn ---- */

static struct text learn_wanted(const struct sticky *s, struct pick *p)
{
    const struct learn *c = s->conf;
    struct text key = first_value(&c->lookup, p->eval), name = { NULL, 0 };
    if (!key.n) return name;
    shm_table_enter(c->table);      /* what a dead holder left half done names no peer */
    struct session *found = shm_table_find(c->table, shm_table_key(c->table, key));
    if (found && clock_now.ms - found->seen_ms > c->timeout_ms && clock_now.ms > found->seen_ms) {
        shm_table_drop(c->table, found);
        found = NULL;
    }
    if (found) {
        found->seen_ms = clock_now.ms;
        name = pool_text(p->pool, text_of(found->peer, NAME_SIZE));
    }
    shm_table_leave(c->table);
    return name;
}

/* The one not used for longest makes room. */
static struct session *add_session(struct shm_table *t, struct siphash key)
{
    struct session *s = shm_table_add(t, key), *oldest;
    if (s || !(oldest = shm_table_oldest(t))) return s;
    shm_table_drop(t, oldest);
    return shm_table_add(t, key);
}

static void learn(const struct learn *c, const struct pick *p, const struct peer *peer)
{
    struct text key = first_value(&c->create, p->eval), name = sticky_name(p, peer);
    if (!key.n || name.n != NAME_SIZE) return;
    struct siphash digest = shm_table_key(c->table, key);
    shm_table_enter(c->table);
    struct session *s = shm_table_find(c->table, digest);
    if (!s) s = add_session(c->table, digest);
    if (s) {
        s->seen_ms = clock_now.ms;
        memcpy(s->peer, name.p, NAME_SIZE);
    }
    shm_table_leave(c->table);
}

static void learn_answered(const struct sticky *s, struct pick *p)
{
    if (p->eval) learn(s->conf, p, p->peer);
}

static bool open_tables(struct cycle *c)
{
    const struct sticky_conf *top = conf_values(c->conf->top, &sticky_module);
    for (struct learn *l = top->learns; l; l = l->next)
        if (!(l->table = shm_table_open(pool_printf(c->pool, "sticky %.*s", TEXT_ARG(l->zone)), l->size, sizeof(struct session), 1, NULL))) return false;
    return true;
}

/* ---- a response's head ---- */

/* Before an internal redirect it may have been another exchange that had the answer. */
static const struct exchange *exchange_with_answer(const struct request *r)
{
    const struct exchange *x = exchange_of(r);
    while (x && !(x->pick.last && x->last && x->last->header_ms >= 0)) x = x->before;
    return x;
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct exchange *x = exchange_with_answer(r);
    (void) at;
    if (likely(!x)) return false;
    const struct sticky *s = x->pick.group->sticky;
    if (s->wanted == cookie_wanted) set_cookie(r, s->conf, sticky_name(&x->pick, x->pick.last));
    else if (s->wanted == learn_wanted && ((const struct learn *) s->conf)->header) learn(s->conf, &x->pick, x->pick.last);
    return false;
}

/* ---- directives ---- */

static struct group *group_here(struct conf *cf) { return cf->block->object; }
static conf_result wrong_word(struct conf *cf, size_t i) { return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i])); }

static bool add_variable(struct conf *cf, struct indexes *to, struct text word)
{
    if (word.n < 2 || word.p[0] != '$') return false;
    for (size_t i = 1; i < word.n; i++)
        if (!((word.p[i] >= '0' && word.p[i] <= '9') || (word.p[i] >= 'A' && word.p[i] <= 'Z') || (word.p[i] >= 'a' && word.p[i] <= 'z') || word.p[i] == '_')) return false;
    if (to->n == to->cap) to->v = pool_grow(cf->pool, to->v, to->n, &to->cap, sizeof *to->v);
    to->v[to->n++] = variables_index_of(cf, EVAL_HTTP, text_from(word, 1));
    return true;
}

static struct sticky described(enum sticky_names names, const void *conf, struct text (*wanted)(const struct sticky *s, struct pick *p))
{
    return (struct sticky) { .magic = STICKY_MAGIC, .names = names, .conf = conf, .wanted = wanted };
}

static bool read_expires(struct text value, struct cookie *c)
{
    uint64_t ms = 0;
    c->has_expires = true;
    c->max = text_eq(value, T("max"));
    if (!c->max && (!conf_read_span(value, &ms) || text_ends(value, T("ms")))) return false;
    c->expires = ms / 1000;
    return true;
}

static conf_result read_samesite(struct conf *cf, size_t at, struct cookie *c)
{
    struct text value = text_from(cf->words[at], 9);
    conf_result why = NULL;
    c->samesite = template_compile_kind(cf, EVAL_HTTP, value, &why);
    if (!c->samesite) return why;
    return template_is_constant(c->samesite) && !is_samesite(value) ? wrong_word(cf, at) : NULL;
}

static conf_result read_cookie_word(struct conf *cf, size_t at, struct cookie *c)
{
    struct text w = cf->words[at];
    conf_result why = NULL;
    if (text_starts(w, T("samesite="))) return read_samesite(cf, at, c);
    if (text_starts(w, T("expires="))) return read_expires(text_from(w, 8), c) ? NULL : wrong_word(cf, at);
    if (text_starts(w, T("domain="))) return (c->domain = template_compile_kind(cf, EVAL_HTTP, text_from(w, 7), &why)) ? NULL : why;
    if (text_starts(w, T("path="))) c->path = pool_text(cf->pool, text_from(w, 5));
    else if (text_eq(w, T("httponly"))) c->httponly = true;
    else if (text_eq(w, T("secure"))) c->secure = true;
    else return wrong_word(cf, at);
    return NULL;
}

/* RFC 6265 4.1.1: a token. */
static bool is_cookie_name(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char) t.p[i] <= ' ' || (unsigned char) t.p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", t.p[i])) return false;
    return t.n > 0;
}

static conf_result parse_cookie(struct conf *cf, struct group *g)
{
    struct cookie *c = pool_new(cf->pool, struct cookie);
    conf_result why = NULL;
    if (!is_cookie_name(cf->words[2])) return wrong_word(cf, 2);
    c->name = pool_text(cf->pool, cf->words[2]);
    for (size_t i = 3; i < cf->count && !why; i++) why = read_cookie_word(cf, i, c);
    c->sticky = described(STICKY_BY_EITHER, c, cookie_wanted);
    g->sticky = &c->sticky;
    return why;
}

static conf_result parse_route(struct conf *cf, struct group *g)
{
    struct route *c = pool_new(cf->pool, struct route);
    for (size_t i = 2; i < cf->count; i++)
        if (!add_variable(cf, &c->variables, cf->words[i])) return wrong_word(cf, i);
    c->sticky = described(STICKY_BY_ROUTE, c, route_wanted);
    g->sticky = &c->sticky;
    return NULL;
}

static conf_result read_zone(struct conf *cf, struct text word, struct learn *c)
{
    struct text value = text_from(word, 5);
    ssize_t colon = text_find_char(value, ':');
    if (colon <= 0 || colon > 45 || !conf_read_bytes(text_from(value, (size_t) colon + 1), &c->size) || c->size > (uint64_t) 1 << 36) return conf_say(cf, "!invalid zone size \"%.*s\"", TEXT_ARG(word));
    if (c->size < 8 * 4096) return conf_say(cf, "!zone \"%.*s\" is too small", (int) colon, value.p);
    c->zone = pool_text(cf->pool, text_upto(value, (size_t) colon));
    const struct sticky_conf *top = conf_own_values(cf, cf->top, &sticky_module);
    for (const struct learn *l = top->learns; l; l = l->next)
        if (text_eq(l->zone, c->zone)) return conf_say(cf, "!duplicate zone \"%.*s\"", TEXT_ARG(c->zone));
    return NULL;
}

static conf_result read_learn_word(struct conf *cf, size_t at, struct learn *c)
{
    struct text w = cf->words[at];
    bool good;
    if (text_starts(w, T("zone="))) return read_zone(cf, w, c);
    if (text_starts(w, T("create="))) good = add_variable(cf, &c->create, text_from(w, 7));
    else if (text_starts(w, T("lookup="))) good = add_variable(cf, &c->lookup, text_from(w, 7));
    else if (text_starts(w, T("timeout="))) good = conf_read_span(text_from(w, 8), &c->timeout_ms) && c->timeout_ms;
    else good = c->header = text_eq(w, T("header"));
    return good ? NULL : wrong_word(cf, at);
}

static conf_result parse_learn(struct conf *cf, struct group *g)
{
    struct learn *c = pool_new(cf->pool, struct learn);
    struct sticky_conf *top = conf_own_values(cf, cf->top, &sticky_module);
    conf_result why = NULL;
    c->timeout_ms = LEARN_MS;
    for (size_t i = 2; i < cf->count && !why; i++) why = read_learn_word(cf, i, c);
    if (why) return why;
    if (!c->create.n || !c->lookup.n || !c->size) return "!\"sticky learn\" needs \"create\", \"lookup\" and \"zone\"";
    c->sticky = described(STICKY_BY_ADDRESS, c, learn_wanted);
    if (!c->header) c->sticky.answered = learn_answered;
    c->next = top->learns;
    top->learns = c;
    g->sticky = &c->sticky;
    return NULL;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    struct group *g = group_here(cf);
    if (g->sticky) return "is duplicate";
    conf_own_values(cf, cf->block, &sticky_module);       /* it is given somewhere: the filter is wanted */
    if (text_eq(cf->words[1], T("cookie"))) return parse_cookie(cf, g);
    if (text_eq(cf->words[1], T("route"))) return parse_route(cf, g);
    return text_eq(cf->words[1], T("learn")) ? parse_learn(cf, g) : wrong_word(cf, 1);
}

static const struct conf_type type = {
    "cookie name [expires=time] [domain=domain] [httponly] [samesite=strict|lax|none|$variable] [secure] [path=path] | route $variable ... | learn create=$variable lookup=$variable zone=name:size [timeout=time] [header]",
    0, CONF_MULTI, 2, 16, parse
};
static const struct directive rows[] = {
    D_DO(&type, "sticky", IN_UPSTREAM, NULL, NULL, "Requests of one session go to one server: that which our cookie names, whose route the first variable with a value has, or that which began the session."),
    { .name = NULL },
};

static const struct filter sticky_filter = { .name = "sticky", .head = head };
static const struct filter *const filters[] = { &sticky_filter, NULL };
static const struct http_part http = { .filters = filters, .if_given = true };
static const struct module filter_module = { .name = "sticky_filter", .part = &http, .part_kind = &http_part_kind };
static const struct process_part process = { .open = open_tables };
struct module sticky_module = { .name = "sticky", .conf_size = sizeof(struct sticky_conf), .rows = rows, .part = &process, .part_kind = &process_part_kind, .extra = &filter_module };
