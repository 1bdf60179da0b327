#include "http/listen.h"
#include "http/h1.h"
#include "http/socks.h"
#include "http/transparent.h"
#include "process/cycle.h"
#include <unistd.h>

static const struct listen_options usual = { .backlog = 511, .fastopen = -1, .ipv6only = 1, .keepalive = -1 };

/* What one directive says. */
struct said { struct listen_options options; bool default_server, proxy_protocol, tls, socks, transparent; struct text address; };

/* ---- parameters ---- */

static conf_result read_number(struct conf *cf, struct text value, const char *what, int64_t least, int *out)
{
    uint64_t n;
    if (!text_u64(value, &n) || n > INT32_MAX || (int64_t) n < least) return conf_say(cf, "!invalid %s \"%s=%.*s\"", what, what, TEXT_ARG(value));
    *out = (int) n;
    return NULL;
}

static conf_result read_backlog(struct conf *cf, struct said *s, struct text v) { return read_number(cf, v, "backlog", 1, &s->options.backlog); }
static conf_result read_fastopen(struct conf *cf, struct said *s, struct text v) { return read_number(cf, v, "fastopen", 0, &s->options.fastopen); }

static conf_result read_size(struct conf *cf, struct text value, const char *what, int *out)
{
    uint64_t n;
    if (!conf_read_bytes(value, &n) || n > INT32_MAX) return conf_say(cf, "!invalid %s \"%s=%.*s\"", what, what, TEXT_ARG(value));
    *out = (int) n;
    return NULL;
}

static conf_result read_rcvbuf(struct conf *cf, struct said *s, struct text v) { return read_size(cf, v, "rcvbuf", &s->options.rcvbuf); }
static conf_result read_sndbuf(struct conf *cf, struct said *s, struct text v) { return read_size(cf, v, "sndbuf", &s->options.sndbuf); }

static conf_result read_ipv6only(struct conf *cf, struct said *s, struct text v)
{
    bool on;
    if (!conf_read_flag(v, &on)) return conf_say(cf, "!invalid parameter \"ipv6only=%.*s\"", TEXT_ARG(v));
    s->options.ipv6only = on;
    return NULL;
}

/* "on", "off", or "[idle]:[interval]:[count]". */
static conf_result read_so_keepalive(struct conf *cf, struct said *s, struct text v)
{
    struct listen_options *o = &s->options;
    struct text rest = v, part;
    bool on;
    o->keepalive = 1;
    if (conf_read_flag(v, &on)) {
        o->keepalive = on;
        return NULL;
    }
    int *const to[] = { &o->keepidle, &o->keepintvl, &o->keepcnt };
    bool any = false;
    size_t n = 0;
    while (text_split(&rest, ':', &part)) {
        uint64_t value = 0;
        bool fine = n < 3 && (!part.n || (n < 2 ? conf_read_span(part, &value) : text_u64(part, &value)));
        if (!fine || value / 1000 > INT32_MAX) return conf_say(cf, "!invalid so_keepalive value: \"%.*s\"", TEXT_ARG(v));
        any |= part.n > 0;
        *to[n] = (int) (n < 2 ? value / 1000 : value);
        n++;
    }
    return any ? NULL : conf_say(cf, "!invalid so_keepalive value: \"%.*s\"", TEXT_ARG(v));
}

static conf_result read_bind(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) s, (void) v; return NULL; }
static conf_result read_deferred(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->options.deferred = true; return NULL; }
static conf_result read_reuseport(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->options.reuseport = true; return NULL; }
static conf_result read_multipath(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->options.multipath = true; return NULL; }
static conf_result read_default(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->default_server = true; return NULL; }
static conf_result read_proxy(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->proxy_protocol = true; return NULL; }
static conf_result read_tls(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->tls = true; return NULL; }
static conf_result read_socks(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->socks = true; return NULL; }
static conf_result read_transparent(struct conf *cf, struct said *s, struct text v) { (void) cf, (void) v; s->transparent = true; return NULL; }
static conf_result refuse_http2(struct conf *cf, struct said *s, struct text v) { (void) s, (void) v; return conf_say(cf, "!the \"http2\" parameter needs HTTP/2, which this weir does not have yet"); }
static conf_result refuse_quic(struct conf *cf, struct said *s, struct text v) { (void) s, (void) v; return conf_say(cf, "!the \"quic\" parameter needs HTTP/3, which weir does not have"); }
static conf_result refuse_setfib(struct conf *cf, struct said *s, struct text v) { (void) s, (void) v; return conf_say(cf, "!the \"setfib\" parameter is for FreeBSD, Linux has no such thing"); }
static conf_result refuse_filter(struct conf *cf, struct said *s, struct text v) { (void) s, (void) v; return conf_say(cf, "!accept filters are for FreeBSD, Linux has no such thing; use \"deferred\""); }

/* "name" or "name=" with a value; socket: says how the socket is to be, which only one directive of an address may. */
static const struct parameter {
    const char   *name;
    bool          socket;
    conf_result (*read)(struct conf *cf, struct said *s, struct text value);
} parameters[] = {
    { "default_server", false, read_default }, { "default", false, read_default }, { "proxy_protocol", false, read_proxy },
    { "bind", true, read_bind }, { "deferred", true, read_deferred }, { "reuseport", true, read_reuseport }, { "multipath", true, read_multipath },
    { "backlog=", true, read_backlog }, { "rcvbuf=", true, read_rcvbuf }, { "sndbuf=", true, read_sndbuf }, { "fastopen=", true, read_fastopen },
    { "ipv6only=", true, read_ipv6only }, { "so_keepalive=", true, read_so_keepalive },
    { "ssl", false, read_tls }, { "socks", false, read_socks }, { "transparent", false, read_transparent }, { "http2", false, refuse_http2 }, { "quic", false, refuse_quic },
    { "setfib=", false, refuse_setfib }, { "accept_filter=", false, refuse_filter },
};

static const struct parameter *find_parameter(struct text word, struct text *value)
{
    for (size_t i = 0; i < countof(parameters); i++) {
        struct text name = text_c(parameters[i].name);
        bool valued = name.p[name.n - 1] == '=';
        if (valued ? !text_starts(word, name) : !text_eq(word, name)) continue;
        *value = text_from(word, name.n);
        return &parameters[i];
    }
    return NULL;
}

static conf_result read_parameters(struct conf *cf, struct said *s)
{
    for (size_t i = 2; i < cf->count; i++) {
        struct text value = T("");
        const struct parameter *p = find_parameter(cf->words[i], &value);
        if (!p) return conf_say(cf, "!invalid parameter \"%s\"", cf->words[i].p);
        conf_result why = p->read(cf, s, value);
        if (why) return why;
        if (p->socket) s->options.set = s->options.bind = true;
    }
    if (s->options.multipath && s->options.reuseport) return conf_say(cf, "!the \"multipath\" and \"reuseport\" parameters cannot be used together");
    return NULL;
}

/* ---- addresses ---- */

static struct listen *find_listen(struct conf *cf, struct http *h, const struct addr *a)
{
    struct listen **at = &h->listens;
    for (; *at; at = &(*at)->next)
        if (addr_eq(&(*at)->at.addr, a)) return *at;
    *at = pool_new(cf->pool, struct listen);
    (*at)->at.addr = *a;
    (*at)->name = addr_text(cf->pool, a, false);
    (*at)->options = usual;
    (*at)->file = cf->file;
    (*at)->line = cf->line;
    return *at;
}

/* What a connection begins with, of which there can be one. */
static conf_result check_kind(struct conf *cf, const struct listen *l)
{
    const struct vhost_addr *at = &l->at;
    const char *first = at->transparent ? "transparent" : at->socks ? "socks" : NULL;
    const char *second = !first ? NULL : at->tls ? "ssl" : at->proxy_protocol ? "proxy_protocol" : at->transparent && at->socks ? "socks" : NULL;
    if (second) return conf_say(cf, "!\"%s\" and \"%s\" cannot be used together for %.*s", first, second, TEXT_ARG(l->name));
    if (at->transparent && at->addr.family == AF_UNIX) return conf_say(cf, "!\"transparent\" is for addresses of IP, which %.*s is not", TEXT_ARG(l->name));
    return NULL;
}

/* v listens on a too, as s says. */
static conf_result add_server(struct conf *cf, struct http *h, struct vhost *v, const struct addr *a, const struct said *s)
{
    struct listen *l = find_listen(cf, h, a);
    if (l->server_count && l->servers[l->server_count - 1] == v) return conf_say(cf, "!a duplicate listen %.*s", TEXT_ARG(l->name));
    if (s->options.set) {
        if (l->options.set) return conf_say(cf, "!duplicate listen options for %.*s", TEXT_ARG(l->name));
        l->options = s->options;
    }
    if (s->default_server) {
        if (l->default_given) return conf_say(cf, "!a duplicate default server for %.*s", TEXT_ARG(l->name));
        l->default_given = true;
        l->at.fallback = v;
    }
    if (!l->at.fallback) l->at.fallback = v;
    l->at.proxy_protocol |= s->proxy_protocol;
    l->at.tls |= s->tls;
    l->at.socks |= s->socks;
    l->at.transparent |= s->transparent;
    if (l->server_count == l->server_cap) l->servers = pool_grow(cf->scratch, l->servers, l->server_count, &l->server_cap, sizeof *l->servers);
    l->servers[l->server_count++] = v;
    v->listens = true;
    return check_kind(cf, l);
}

static conf_result bad_address(struct conf *cf, const char *why, struct text address)
{
    return conf_say(cf, "!%s in \"%.*s\" of the \"listen\" directive", why, TEXT_ARG(address));
}

/* "8000-8010" at the end of the address: last_out is the last port, and the address without "-8010". */
static conf_result cut_range(struct conf *cf, struct text *address, uint16_t *last_out)
{
    struct text t = *address;
    ssize_t dash = text_rfind_char(t, '-'), colon = text_rfind_char(t, ':');
    uint64_t last = 0;
    *last_out = 0;
    if (dash <= colon || text_starts_nocase(t, T("unix:")) || !text_u64(text_from(t, (size_t) dash + 1), &last)) return NULL;
    struct text first = text_upto(text_from(t, (size_t) (colon + 1)), (size_t) (dash - colon - 1));
    uint64_t from;
    if (!text_u64(first, &from)) return NULL;      /* "my-host-1" */
    if (last < 1 || last > 65535) return bad_address(cf, "invalid port", t);
    if (from > last) return bad_address(cf, "invalid port range", t);
    *address = text_upto(t, (size_t) dash);
    *last_out = (uint16_t) last;
    return NULL;
}

/* All addresses that the word means, at its first port. */
static conf_result read_address(struct conf *cf, struct text word, struct addr **out, size_t *n_out)
{
    uint64_t port_only;
    const char *why = NULL;
    struct text host;
    uint16_t port;
    *n_out = 1;
    *out = pool_new(cf->pool, struct addr);
    if (text_u64(word, &port_only) && (port_only < 1 || port_only > 65535)) return bad_address(cf, "invalid port", word);
    if (addr_parse(cf->pool, word, 80, *out)) return NULL;
    if (!addr_split(word, &host, &port, &why)) return bad_address(cf, why, word);
    *n_out = addr_resolve(cf->pool, host, port ? port : 80, out, &why);
    return *n_out ? NULL : bad_address(cf, why, word);
}

static conf_result add_said(struct conf *cf, struct http *h, struct vhost *v, struct said *s)
{
    uint16_t last;
    struct addr *addrs;
    size_t n;
    struct text address = s->address;
    conf_result why = cut_range(cf, &address, &last);
    if (!why) why = read_address(cf, address, &addrs, &n);
    if (why) return why;
    for (size_t i = 0; i < n; i++) {
        struct addr a = addrs[i];
        unsigned port = a.family == AF_UNIX ? 0 : addr_port(&a);
        if (s->options.ipv6only != usual.ipv6only && a.family != AF_INET6)
            return conf_say(cf, "!ipv6only is not supported on addr \"%.*s\"", TEXT_ARG(addr_text(cf->pool, &a, false)));
        do {
            if (port) addr_set_port(&a, (uint16_t) port);
            if ((why = add_server(cf, h, v, &a, s))) return why;
        } while (port++ < last);
    }
    return NULL;
}

conf_result listen_read(struct conf *cf, struct http *h, struct vhost *v)
{
    struct said s = { .options = usual, .address = cf->words[1] };
    conf_result why = read_parameters(cf, &s);
    return why ? why : add_said(cf, h, v, &s);
}

conf_result listen_default(struct conf *cf, struct http *h, struct vhost *v)
{
    struct said s = { .options = usual, .address = geteuid() == 0 ? T("80") : T("8000") };
    return add_said(cf, h, v, &s);
}

/* ---- the end of reading ---- */

static bool add_name(struct conf *cf, struct listen *l, struct vhost *v, const struct vhost_name *name)
{
    bool duplicate = false;
    if (name->regex) {
        names_add_regex(l->at.names, name->regex, v);
        return true;
    }
    if (!name->text.n) {
        duplicate = l->at.nameless != NULL;
        if (!duplicate) l->at.nameless = v;
    } else if (names_add(cf, l->at.names, name->text, v, &duplicate)) {
        conf_error_at(cf, v->block->file, v->block->line, "invalid server name or wildcard \"%.*s\" on %.*s", TEXT_ARG(name->text), TEXT_ARG(l->name));
        return false;
    }
    if (duplicate)
        log_at(log_main, L_WARN, NULL, 0, "conflicting server name \"%.*s\" on %.*s, ignored", TEXT_ARG(name->text), TEXT_ARG(l->name));
    return true;
}

static bool build_names(struct conf *cf, struct listen *l)
{
    bool fine = true;
    if (l->server_count == 1 && !l->servers[0]->has_regex_name) return true;
    l->at.names = names_open(cf);
    for (size_t i = 0; i < l->server_count; i++) {
        struct vhost *v = l->servers[i];
        static const struct vhost_name none = { TEXT_INIT(""), NULL };
        for (size_t n = 0; n < v->name_count; n++) fine &= add_name(cf, l, v, &v->names[n]);
        if (!v->name_count) fine &= add_name(cf, l, v, &none);
    }
    return fine;
}

/* Addresses that share a socket may differ. */
static void accepted(struct conn *c)
{
    const struct vhost_addr *at = vhost_addr_of(c);
    if (at->socks) socks_accepted(c);
    else if (at->transparent) transparent_accepted(c);
    else h1_accepted(c);
}

static void set_socket(struct listener *s, const struct listen *l, struct vhost_port *port)
{
    const struct listen_options *o = &l->options;
    s->name = l->name;
    s->backlog = o->backlog;
    s->rcvbuf = o->rcvbuf;
    s->sndbuf = o->sndbuf;
    s->fastopen = o->fastopen;
    s->ipv6only = o->ipv6only;
    s->keepalive = o->keepalive;
    s->keepidle = o->keepidle;
    s->keepintvl = o->keepintvl;
    s->keepcnt = o->keepcnt;
    s->deferred = o->deferred;
    s->reuseport = o->reuseport;
    s->multipath = o->multipath;
    s->bind = o->bind;
    s->proxy_protocol = l->at.proxy_protocol;
    s->accepted = h1_accepted;
    for (size_t i = 0; i < port->n; i++)
        if (port->v[i]->socks || port->v[i]->transparent) s->accepted = accepted, s->transparent |= port->v[i]->transparent;
    s->owner = port;
}

/* A specific address that needs no socket of its own beside the wildcard of its port. */
static bool is_covered(const struct listen *l, const struct listen *wildcard)
{
    return l != wildcard && !l->done && !l->options.bind && l->at.addr.family == wildcard->at.addr.family
        && addr_port(&l->at.addr) == addr_port(&wildcard->at.addr);
}

static void open_listener(struct conf *cf, struct http *h, struct listen *l)
{
    struct vhost_port *port = pool_new(cf->pool, struct vhost_port);
    size_t n = 1;
    bool wildcard = l->at.addr.family != AF_UNIX && addr_is_wildcard(&l->at.addr);
    for (struct listen *other = h->listens; wildcard && other; other = other->next) n += is_covered(other, l);
    port->v = pool_array(cf->pool, struct vhost_addr *, n);
    l->done = true;
    for (struct listen *other = h->listens; wildcard && other; other = other->next) {
        if (!is_covered(other, l)) continue;
        port->v[port->n++] = &other->at;
        other->done = true;
    }
    port->v[port->n++] = &l->at;       /* the wildcard comes last */
    set_socket(cycle_listener(cf->cycle, &l->at.addr, SOCK_STREAM), l, port);
}

bool listen_build(struct conf *cf, struct http *h)
{
    bool fine = true;
    for (struct listen *l = h->listens; l; l = l->next) fine &= build_names(cf, l);
    for (struct listen *l = h->listens; l; l = l->next)
        if (l->at.addr.family != AF_UNIX && addr_is_wildcard(&l->at.addr)) open_listener(cf, h, l);
    for (struct listen *l = h->listens; l; l = l->next)
        if (!l->done) open_listener(cf, h, l);
    return fine;
}
