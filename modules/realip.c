/* realip: where the request comes by way of a trusted proxy, whom it is really from: r->peer for the rest of the request. */
#include "modules/module.h"
#include "http/proxied.h"
#include "http/steps.h"
#include "wire/value.h"

enum { ORDER_REALIP = -10 };

enum { FROM_FIELD, FROM_FORWARDED_FOR, FROM_FORWARDED, FROM_PROXY_PROTOCOL };
struct trusted { struct cidr *v; size_t n, cap; bool unix_too; };
struct source_field { int kind; struct text name; enum field_id id; };
struct realip_conf { struct trusted trusted; struct source_field header; flag recursive; };

extern struct module realip_module;

/* ---- reading ---- */

static void trust(struct conf *cf, struct trusted *t, struct cidr net)
{
    if (t->n == t->cap) t->v = pool_grow(cf->pool, t->v, t->n, &t->cap, sizeof *t->v);
    t->v[t->n++] = net;
}

static conf_result parse_from(struct conf *cf, const struct directive *d, void *field)
{
    struct trusted *t = field;
    struct text word = cf->words[1];
    struct cidr net;
    struct addr *addrs;
    const char *why;
    (void) d;
    if (text_eq(word, T("unix:"))) {
        t->unix_too = true;
        return NULL;
    }
    if (addr_parse_cidr(word, &net)) {
        if (net.low_bits) conf_warn(cf, "low address bits of %.*s are meaningless", TEXT_ARG(word));
        trust(cf, t, net);
        return NULL;
    }
    if (text_find_char(word, '/') >= 0) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    size_t n = addr_resolve(cf->pool, word, 0, &addrs, &why);
    if (!n) return conf_say(cf, "!%s in set_real_ip_from \"%.*s\"", why, TEXT_ARG(word));
    for (size_t i = 0; i < n; i++) trust(cf, t, (struct cidr) { .base = addrs[i], .bits = addrs[i].family == AF_INET6 ? 128 : 32 });
    return NULL;
}

static conf_result parse_header(struct conf *cf, const struct directive *d, void *field)
{
    struct source_field *s = field;
    struct text word = cf->words[1];
    (void) d;
    *s = (struct source_field) { FROM_FIELD, pool_text(cf->pool, word), field_lookup(word) };
    if (s->id == FIELD_X_FORWARDED_FOR) s->kind = FROM_FORWARDED_FOR;
    else if (s->id == FIELD_FORWARDED) s->kind = FROM_FORWARDED;
    else if (text_eq(word, T("proxy_protocol"))) s->kind = FROM_PROXY_PROTOCOL;
    else if (!value_is_token(word)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    return NULL;
}

/* ---- who it is ---- */

static bool is_trusted(const struct trusted *t, const struct addr *a)
{
    if (a->family == AF_UNIX) return t->unix_too;
    for (size_t i = 0; i < t->n; i++)
        if (addr_in_cidr(a, &t->v[i])) return true;
    return false;
}

/* A numeric address, perhaps with a port; nothing else that stands for one in a configuration. */
static bool read_address(struct request *r, struct text t, struct addr *out)
{
    if (!t.n || t.p[0] == '*' || t.p[0] == 'u' || t.p[0] == 'U' || (text_find_char(t, '.') < 0 && text_find_char(t, ':') < 0)) return false;
    return addr_parse(r->pool, t, 0, out) && (out->family == AF_INET || out->family == AF_INET6);
}

/* nginx's reading: what stands after the last space or comma. */
static bool take_last(struct text *rest, struct text *word_out)
{
    size_t end = rest->n, begin;
    while (end > 1 && (rest->p[end - 1] == ' ' || rest->p[end - 1] == ',')) end--;
    for (begin = end; begin > 0 && rest->p[begin - 1] != ' ' && rest->p[begin - 1] != ','; begin--) { }
    *word_out = text_of(rest->p + begin, end - begin);
    *rest = text_upto(*rest, begin ? begin - 1 : 0);
    return word_out->n != 0;
}

/* RFC 7239 4: the last element's "for". */
static bool take_last_forwarded(struct request *r, struct text *rest, struct text *word_out)
{
    struct text all = *rest, item, last = { NULL, 0 }, before = { rest->p, 0 };
    while (value_next(&all, &item)) {
        if (last.p) before.n = (size_t) (item.p - before.p);
        last = item;
    }
    *rest = before;
    return last.n && value_parameter(pool_printf(r->pool, ";%.*s", TEXT_ARG(last)), T("for"), word_out);
}

struct walk { struct request *r; const struct realip_conf *c; struct addr at; bool found; };

/* From the end of a line to its beginning, as long as those who wrote it are trusted. False: the walk is over. */
static bool walk_line(struct walk *w, struct text line)
{
    struct text word;
    struct addr a;
    if (!line.n) return false;
    while (line.n) {
        if (!is_trusted(&w->c->trusted, &w->at)) return false;
        bool taken = w->c->header.kind == FROM_FORWARDED ? take_last_forwarded(w->r, &line, &word) : take_last(&line, &word);
        if (!taken || !read_address(w->r, word, &a)) return false;
        w->at = a;
        w->found = true;
        if (!w->c->recursive.on) return false;
    }
    return true;
}

static void walk_fields(struct walk *w)
{
    const struct source_field *s = &w->c->header;
    const struct fields *in = &w->r->in;
    if (s->kind == FROM_FIELD) {
        const struct field *f = s->id ? fields_find(in, s->id) : fields_find_name(in, s->name);
        if (f) walk_line(w, f->value);
        return;
    }
    for (unsigned i = in->n; i-- > 0;)
        if (in->v[i].id == s->id && !walk_line(w, in->v[i].value)) return;
}

/* What the PROXY header said, if there was one. */
static void walk_proxy_protocol(struct walk *w)
{
    const struct proxied *p = w->r->proxied;
    if (!p || (p->source.family != AF_INET && p->source.family != AF_INET6) || !is_trusted(&w->c->trusted, &w->at)) return;
    w->at = p->source;
    w->found = true;
}

static struct verdict find(struct request *r)
{
    const struct realip_conf *c = request_values(r, &realip_module);
    if ((!c->trusted.n && !c->trusted.unix_too) || r->main != r || r->peer != &r->conn->peer) return v_next();
    struct walk w = { .r = r, .c = c, .at = *r->peer };
    if (c->header.kind == FROM_PROXY_PROTOCOL) walk_proxy_protocol(&w);
    else walk_fields(&w);
    if (!w.found) return v_next();
    struct addr *kept = pool_new(r->pool, struct addr);
    *kept = w.at;
    r->peer = kept;
    return v_next();
}

/* ---- variables ---- */

static bool get_addr(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    *out = addr_text(e->pool, &request_of(e)->conn->peer, true);
    return true;
}

static bool get_port(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    uint16_t port = addr_port(&request_of(e)->conn->peer);
    *out = port ? pool_printf(e->pool, "%u", port) : T("");
    return true;
}

static const struct variable variables[] = {
    { .name = "realip_remote_addr", .get = get_addr, .help = "The address at the other end of the connection, whatever realip found in the request." },
    { .name = "realip_remote_port", .get = get_port, .help = "The port at the other end of the connection." },
    { .name = NULL },
};

static const struct conf_type type_from = { .syntax = "address | CIDR | hostname | unix:", .size = sizeof(struct trusted), .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_from };
static const struct conf_type type_header = { .syntax = "field | X-Real-IP | X-Forwarded-For | Forwarded | proxy_protocol", .size = sizeof(struct source_field), .min = 1, .max = 1, .parse = parse_header };

static const struct directive rows[] = {
    D_TYPE(struct realip_conf, trusted, struct trusted, &type_from, "set_real_ip_from", IN_HSL, NULL, "Proxies that are trusted to tell whom a request is from."),
    D_TYPE(struct realip_conf, header, struct source_field, &type_header, "real_ip_header", IN_HSL, "X-Real-IP", "Where trusted proxies tell whom a request is from."),
    D_FLAG(struct realip_conf, recursive, "real_ip_recursive", IN_HSL, "off", "Whether trusted proxies named in the field are passed over too, up to the last address that is not trusted."),
    { .name = NULL },
};

static const struct hook hooks[] = {
    { .step = &step_post_read, .name = "realip", .run = find, .order = ORDER_REALIP },
    { .step = &step_preaccess, .name = "realip", .run = find, .order = ORDER_REALIP },
    { .step = NULL },
};
static const struct http_part part = { .variables = variables, .hooks = hooks, .if_given = true };

struct module realip_module = { .name = "realip", .conf_size = sizeof(struct realip_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
