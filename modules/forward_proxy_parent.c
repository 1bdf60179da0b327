/*
 * forward_proxy_parent: other proxies that forward requests are led through: which one, by rules; what they are told; and who is asked
 * when one of them fails.
 */
#include "modules/forward_proxy.h"
#include "http/circle.h"
#include "http/steps.h"
#include "os/file.h"
#include "upstream/group.h"
#include "wire/base64.h"
#include <errno.h>
#include <string.h>

enum parent_kind { PARENT_DIRECT, PARENT_HTTP, PARENT_HTTPS, PARENT_SOCKS };

struct forward_parent {
    enum parent_kind  kind;
    struct text       name, scheme, host;      /* "http://proxy.example:3128", "direct"; host: for certificates */
    struct group_ref *ref;
    struct template  *login;                   /* "user:password"; NULL: none, or that of a file */
    struct text       file_login;
    bool              here;                    /* names are resolved by us */
};

/* One line: the parents that are asked in turn, for requests for which all conditions hold. */
struct forward_route { struct policy_rule *rule; struct forward_parent *parents; size_t n, cap; };
struct forward_routes { struct forward_route *v; size_t n, cap; };

struct parent_conf {
    struct forward_routes routes;
    struct secure_conf    ssl;
    struct parent_conf   *next;                /* of those that need a context; of the top: the first */
    const char           *file;
    unsigned              line;
};

/* ---- reading ---- */

static const struct { struct text prefix; enum parent_kind kind; uint16_t port; } schemes[] = {
    { TEXT_INIT("http://"), PARENT_HTTP, 80 }, { TEXT_INIT("https://"), PARENT_HTTPS, 443 }, { TEXT_INIT("socks5://"), PARENT_SOCKS, 1080 },
    { TEXT_INIT("socks5h://"), PARENT_SOCKS, 1080 },
};

static struct forward_parent *add_parent(struct conf *cf, struct forward_route *route)
{
    if (route->n == route->cap) route->parents = pool_grow(cf->pool, route->parents, route->n, &route->cap, sizeof *route->parents);
    struct forward_parent *p = &route->parents[route->n++];
    *p = (struct forward_parent) { .kind = PARENT_DIRECT, .name = T("direct"), .scheme = T("direct") };
    return p;
}

static conf_result read_url(struct conf *cf, struct forward_parent *p, struct text word)
{
    conf_result why = NULL;
    const char *wrong;
    uint16_t port;
    size_t i = 0;
    while (i < countof(schemes) && !text_starts_nocase(word, schemes[i].prefix)) i++;
    if (i == countof(schemes)) return conf_say(cf, "!a parent is \"direct\", or begins with http://, https:// or socks5://: \"%.*s\"", TEXT_ARG(word));
    p->kind = schemes[i].kind;
    p->name = pool_text(cf->pool, word);
    if (text_ends(p->name, T("/"))) p->name.n--;
    p->scheme = text_upto(p->name, schemes[i].prefix.n - 3);
    p->host = text_from(p->name, schemes[i].prefix.n);
    if (text_find_char(p->host, '@') >= 0) {
        p->name = p->scheme;      /* no secret in the message */
        return "!user and password of a parent stand in \"login=user:password\" or \"login_file=file\" behind it";
    }
    struct text host = p->host;
    if (!text_starts(host, T("unix:")) && text_find_char(host, '/') >= 0) return conf_say(cf, "!a parent has no path: \"%.*s\"", TEXT_ARG(word));
    if (!addr_split(p->host, &host, &port, &wrong)) return conf_say(cf, "!%s in \"%.*s\"", wrong, TEXT_ARG(word));
    p->ref = group_reference(cf, groups_of(cf, EVAL_HTTP), host, port, schemes[i].port, &why);
    p->host = host;
    return p->ref ? NULL : why;
}

static conf_result read_login_file(struct conf *cf, struct forward_parent *p, struct text file)
{
    char room[1024];
    struct text path = conf_full_path(cf, file, true), rest, line = T("");
    ssize_t n = file_read(path.p, room, sizeof room);
    if (n < 0) return conf_say(cf, "!\"%.*s\" cannot be read: %s", TEXT_ARG(path), strerror(errno));
    rest = text_of(room, (size_t) n);
    text_split(&rest, '\n', &line);
    line = text_trim(line);
    p->file_login = pool_text(cf->pool, line);
    bool good = text_find_char(line, ':') > 0;
    explicit_bzero(room, sizeof room);
    return good ? NULL : conf_say(cf, "!the first line of \"%.*s\" is not \"user:password\"", TEXT_ARG(path));
}

static conf_result read_login(struct conf *cf, struct forward_parent *p, struct text value)
{
    conf_result why = NULL;
    p->login = template_compile(cf, value, &why);
    if (!p->login) return why;
    return template_is_constant(p->login) && text_find_char(value, ':') <= 0 ? "!\"login=\" is not \"user:password\"" : NULL;
}

/* What belongs to the parent before it. *mine_out: it is such a word. */
static conf_result read_parameter(struct conf *cf, struct forward_route *route, struct text word, bool *mine_out)
{
    struct forward_parent *p = route->n ? &route->parents[route->n - 1] : NULL;
    bool login = text_starts(word, T("login=")), file = text_starts(word, T("login_file=")), resolve = text_starts(word, T("resolve="));
    *mine_out = login || file || resolve;
    if (!*mine_out) return NULL;
    if (!p || p->kind == PARENT_DIRECT) return "!\"login=\", \"login_file=\" and \"resolve=\" stand behind the parent that they are of";
    if ((login || file) && (p->login || p->file_login.n)) return "!a parent has one login";
    if (login) return read_login(cf, p, text_from(word, 6));
    if (file) return read_login_file(cf, p, text_from(word, 11));
    if (p->kind != PARENT_SOCKS) return "!\"resolve=\" is of socks5:// parents";
    p->here = text_eq(word, T("resolve=here"));
    return p->here || text_eq(word, T("resolve=parent")) ? NULL : "!\"resolve=\" is \"here\" or \"parent\"";
}

static conf_result read_word(struct conf *cf, struct forward_route *route, struct text word)
{
    bool mine;
    conf_result why = read_parameter(cf, route, word, &mine);
    if (why || mine) return why;
    bool direct = text_eq(word, T("direct"));
    if (!direct && text_find(word, T("://")) < 0) return policy_rule_add(cf, route->rule, word);
    if (route->n && route->parents[route->n - 1].kind == PARENT_DIRECT) return "!nobody is asked behind \"direct\"";
    struct forward_parent *p = add_parent(cf, route);
    return direct ? NULL : read_url(cf, p, word);
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct forward_routes *routes = field;
    conf_result why = NULL;
    (void) d;
    if (routes->n == routes->cap) routes->v = pool_grow(cf->pool, routes->v, routes->n, &routes->cap, sizeof *routes->v);
    struct forward_route *route = &routes->v[routes->n++];
    *route = (struct forward_route) { .rule = policy_rule_open(cf) };
    for (size_t i = 1; i < cf->count && !why; i++) why = read_word(cf, route, cf->words[i]);
    if (!why && !route->n) why = "!no parent: \"direct\", or http://, https:// or socks5:// and where it is";
    return why;
}

static const struct conf_type type = {
    .syntax = "direct | URL [login=user:password | login_file=file] [resolve=parent | here] ... [condition ...]", .size = sizeof(struct forward_routes), .flags = CONF_MULTI,
    .min = 1, .max = 64, .parse = parse,
};

/* ---- which ---- */

bool forward_proxy_route(struct request *r, struct forward *f)
{
    const struct parent_conf *c = request_values(r, &forward_proxy_parent_module);
    bool failed = false;
    f->at = 0;
    for (size_t i = 0; i < c->routes.n; i++) {
        if (!policy_rule_fits(c->routes.v[i].rule, &f->ask, r->pool, &failed)) continue;
        f->route = &c->routes.v[i];
        break;
    }
    return !failed && (f->route || !c->routes.n);
}

static const struct forward_parent *parent_of(const struct forward *f) { return f->route ? &f->route->parents[f->at] : NULL; }

/* NULL: nobody. */
static const struct forward_parent *asked_of(const struct forward *f)
{
    const struct forward_parent *p = parent_of(f);
    return p && p->kind != PARENT_DIRECT ? p : NULL;
}

struct group *forward_proxy_parent_group(const struct forward *f, struct text *scheme_out)
{
    const struct forward_parent *p = asked_of(f);
    if (p) *scheme_out = p->scheme;
    return p ? p->ref->group : NULL;
}

struct text forward_proxy_parent_name(const struct forward *f) { return f->route ? parent_of(f)->name : T(""); }

bool forward_proxy_resolves(const struct forward *f)
{
    const struct forward_parent *p = asked_of(f);
    return !p || p->here;
}

bool forward_proxy_another(struct exchange *x)
{
    struct forward *f = forward_of(x);
    const struct forward_parent *p = parent_of(f);
    if (!p || f->at + 1 >= f->route->n) return false;
    f->at++;
    if (p[1].kind == PARENT_DIRECT) request_log(x->r, L_WARN, 0, "the parent \"%.*s\" failed: the request goes without one", TEXT_ARG(p->name));
    else request_log(x->r, L_WARN, 0, "the parent \"%.*s\" failed: \"%.*s\" is asked", TEXT_ARG(p->name), TEXT_ARG(p[1].name));
    return true;
}

void forward_proxy_note(struct exchange *x)
{
    const struct forward *f = forward_of(x);
    if (request_original(x->r) || asked_of(f)) circle_note(conn_local(x->conn), &x->pick.peer->addr, f->depth + 1);
}

bool forward_proxy_parent_circles(struct request *r, struct forward *f)
{
    const struct parent_conf *c = request_values(r, &forward_proxy_parent_module);
    if (c->routes.n && !request_original(r)) f->depth = circle_depth(&r->conn->peer, conn_local(r->conn));
    return f->depth > CIRCLE_MOST;
}

/* ---- what it is told ---- */

static struct text login_of(struct request *r, const struct forward_parent *p)
{
    return p->login ? template_render(p->login, &r->eval) : p->file_login;
}

/* RFC 7617 2. */
struct text forward_proxy_parent_login(struct request *r, const struct forward *f)
{
    const struct forward_parent *p = asked_of(f);
    struct text login = p ? login_of(r, p) : T("");
    struct build b = build_in_pool(r->pool, 64, 0);
    if (!login.n || p->kind == PARENT_SOCKS) return T("");
    build_lit(&b, "Basic ");
    base64_encode(&b, login, false);
    return build_done(&b);
}

/* RFC 1929: a user ends at the first colon. */
static struct socks_login split_login(struct text login)
{
    ssize_t colon = text_find_char(login, ':');
    if (colon < 0) return (struct socks_login) { login, T("") };
    return (struct socks_login) { text_upto(login, (size_t) colon), text_from(login, (size_t) colon + 1) };
}

static struct socks_request to_address(const struct addr *a, uint16_t port)
{
    if (a->family == AF_INET) return (struct socks_request) { SOCKS_IPV4, text_of((const char *) &a->in.sin_addr, sizeof a->in.sin_addr), port };
    return (struct socks_request) { SOCKS_IPV6, text_of((const char *) &a->in6.sin6_addr, sizeof a->in6.sin6_addr), port };
}

/* The name, or the addresses that we have found it to have and that were looked at. */
static void set_socks_targets(struct via *v, struct socks_request *room, const struct forward *f)
{
    v->targets = room;
    v->count = max_of(f->count, 1u);
    room[0] = (struct socks_request) { SOCKS_NAME, f->r->host, f->ask.port };
    for (uint32_t i = 0; i < f->count; i++) room[i] = to_address(&f->addrs[i], f->ask.port);
}

static struct via *make_via(struct request *r, const struct forward *f, const struct forward_parent *p)
{
    struct via *v = pool_new(r->pool, struct via);
    bool socks = p->kind == PARENT_SOCKS;
    struct socks_request *targets = pool_array(r->pool, struct socks_request, FORWARD_ADDRESSES);
    *v = (struct via) { .kind = socks ? VIA_SOCKS : VIA_CONNECT, .inside = p->kind == PARENT_HTTPS, .targets = targets, .count = 1 };
    if (!socks) {
        targets[0] = (struct socks_request) { SOCKS_NAME, request_original(r) ? forward_proxy_original_host(r) : r->host, f->ask.port };
        v->authorization = forward_proxy_parent_login(r, f);
        return v;
    }
    set_socks_targets(v, targets, f);
    v->login = split_login(login_of(r, p));
    return v;
}

/* Connections that lead to the same place, or to one of the same places, for the same login. */
static uint64_t tag_of(struct request *r, const struct via *v)
{
    const struct text parts[] = { v->login.user, v->login.password, v->authorization };
    struct build b = build_in_pool(r->pool, 256, 0);
    build_fmt(&b, "%d %u", v->kind, v->targets[0].port);
    for (size_t i = 0; i < countof(parts) + v->count; i++) {
        const struct socks_request *q = i < countof(parts) ? NULL : &v->targets[i - countof(parts)];
        const struct text part = q ? q->host : parts[i];
        build_fmt(&b, " %d:%zu:", q ? (int) q->kind : 0, part.n);
        build_text(&b, part);
    }
    return secure_digest(build_done(&b));
}

bool forward_proxy_parent_ask(struct exchange *x, struct forward *f, bool tunnel)
{
    struct request *r = x->r;
    const struct parent_conf *c = request_values(r, &forward_proxy_parent_module);
    const struct forward_parent *p = asked_of(f);
    if (!p) return false;
    if (p->kind == PARENT_HTTPS) x->secure = secure_conf_of(r, &c->ssl, c->ssl.name ? template_render(c->ssl.name, &r->eval) : p->host);
    if (!tunnel) return true;
    struct via *v = make_via(r, f, p);
    x->via = v;
    x->keep_tag = tag_of(r, v);
    return true;
}

bool forward_proxy_parent_is_http(const struct forward *f)
{
    const struct forward_parent *p = asked_of(f);
    return p && (p->kind == PARENT_HTTPS || (p->kind == PARENT_HTTP && !text_eq(f->ask.scheme, T("https"))));
}

/* ---- rows ---- */

static bool needs_context(const struct forward_routes *routes)
{
    for (size_t i = 0; i < routes->n; i++)
        for (size_t k = 0; k < routes->v[i].n; k++)
            if (routes->v[i].parents[k].kind == PARENT_HTTPS) return true;
    return false;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct parent_conf *c = values;
    if (b == cf->top || !needs_context(&c->routes)) return NULL;
    struct parent_conf *top = conf_values(cf->top, &forward_proxy_parent_module);
    c->file = b->file;
    c->line = b->line;
    c->next = top->next;
    top->next = c;
    return NULL;
}

static bool open_all(struct cycle *cycle)
{
    struct parent_conf *top = conf_values(cycle->conf->top, &forward_proxy_parent_module);
    struct secure_opening o;
    bool fine = true;
    secure_opening_begin(&o, cycle);
    for (struct parent_conf *c = top->next; fine && c; c = c->next) fine = secure_conf_open(&o, &c->ssl, true, "forward_proxy_parent_ssl_", c->file, c->line);
    secure_opening_end(&o);
    return fine;
}

static const struct directive rows[] = {
    { .name = "forward_proxy_parent", .type = &type, .where = IN_HSL, .offset = FIELD(struct parent_conf, routes, struct forward_routes), .since = "weir",
      .help = "Proxies that requests are led through, asked in turn as they fail, perhaps nobody (\"direct\") at last; conditions are those of forward_proxy_access, the first line of which all hold decides, where none does the request is refused. A parent resolves names itself: forward_proxy_address sees only addresses asked for outright; with resolve=here a socks5 one is told those found and looked at, in turn." },
    SECURE_ROWS(struct parent_conf, ssl, "forward_proxy_parent_ssl_", "weir", "on", "4", "on", NULL, "; that of its URL where nothing is said"),
    { .name = NULL },
};
static const struct process_part process = { .open = open_all };

struct module forward_proxy_parent_module = {
    .name = "forward_proxy_parent", .conf_size = sizeof(struct parent_conf), .rows = rows, .check = check, .part = &process, .part_kind = &process_part_kind,
};
