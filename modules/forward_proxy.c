/*
 * forward_proxy: requests for others' hosts, in absolute form (RFC 9112 3.2.2) or CONNECT (RFC 9110 9.3.6). Nobody is let through unless a
 * rule says so; each address that a name has is looked at before there is a connection to it.
 */
#include "modules/forward_proxy.h"
#include "gateway/resolve.h"
#include "http/reqbody.h"
#include "http/steps.h"
#include "http/vhost.h"
#include "os/metrics.h"
#include "process/cycle.h"
#include "upstream/group.h"
#include "upstream/resolver.h"
#include "upstream/state.h"
#include "wire/host.h"
#include <sys/random.h>

enum { ORDER_MARK = -1000, ORDER_SERVE = -1000, PORT_HTTP = 80, PORT_HTTPS = 443 };      /* ORDER: before all others of their steps */

/* Connections to origins that wait for the next request, of this worker: by address. */
static struct group keeper = { .magic = GROUP_MAGIC, .keep = { 64, KEEP_REQUESTS, KEEP_TIME_MS, KEEP_TIMEOUT_MS } };

struct forward *forward_proxy_context(struct request *r)
{
    struct forward **at = (struct forward **) request_context(r, &forward_proxy_module);
    if (!*at) {
        *at = pool_new(r->pool, struct forward);
        (*at)->r = r;
    }
    return *at;
}

static const struct forward *context_of(struct eval *e) { return *request_context(request_of(e), &forward_proxy_module); }

/* ---- refusals ---- */

static struct text page_of(struct request *r, const struct forward *f)
{
    struct build b = build_in_pool(r->pool, 512, 0);
    if (f->conf->page) {
        template_build_with(f->conf->page, &r->eval, &b, build_html);
        return build_done(&b);
    }
    build_lit(&b, "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n<p>This proxy does not lead to ");
    build_html(&b, r->host);
    build_fmt(&b, ", port %u: rule \"", f->ask.port);
    build_html(&b, f->decided.rule);
    build_lit(&b, "\".</p>\r\n<hr><center>weir</center>\r\n</body>\r\n</html>\r\n");
    return build_done(&b);
}

struct verdict forward_proxy_refuse(struct request *r, struct forward *f, struct text rule, struct text words)
{
    f->decided.allowed = false;
    f->decided.rule = rule;
    f->decided.words = words;
    metrics_add(METRIC_FORWARD_DENIED, 1);
    request_log(r, L_ERR, 0, "forward proxy: %.*s to %.*s:%u is refused by rule \"%.*s\" (%.*s)", TEXT_ARG(r->method_name), TEXT_ARG(r->host), f->ask.port, TEXT_ARG(rule), TEXT_ARG(words));
    const struct error_pages *pages = &http_core(r)->error_pages;
    for (size_t i = 0; i < pages->n; i++)
        if (pages->v[i].status == 403) return v_reply(403);
    return response_text(r, 403, T("text/html"), page_of(r, f), true);
}

/* ---- addresses ---- */

static bool is_ourselves(struct request *r, const struct addr *a) { return addr_eq(a, conn_local(r->conn)); }

void forward_proxy_take(struct forward *f, const struct addr *a)
{
    const char *why = "loop";
    if (f->count == FORWARD_ADDRESSES) return;
    if (f->conf && ((!request_original(f->r) && is_ourselves(f->r, a)) || !policy_guard_allows(&f->conf->policy, &f->decided, a, &why))) {
        char room[ADDR_TEXT_MAX];
        struct build b = build_in_room(room, sizeof room);
        addr_print(&b, a, false);
        log_at(f->r->log, L_WARN, f->r->about, 0, "forward proxy: no connection to %.*s, which is %s", (int) b.n, b.p, why);
        f->refused_scope = why;
        return;
    }
    f->addrs[f->count++] = *a;
}

struct group *forward_proxy_group(struct request *r, struct forward *f, struct text name)
{
    struct group *g = group_of_address(r->pool, &f->addrs[0], name);
    if (f->count == 1) {
        g->set->peers[0].name = addr_text(r->pool, &f->addrs[0], false);
        return g;
    }
    struct peer_set *set = g->set;
    struct peer one = set->peers[0];
    set->peers = pool_array(r->pool, struct peer, f->count);
    set->count = set->primary = set->usable = f->count;
    for (uint32_t i = 0; i < f->count; i++) {
        set->peers[i] = one;
        set->peers[i].addr = f->addrs[i];
        set->peers[i].index = i;
        set->peers[i].name = set->peers[i].server = addr_text(r->pool, &f->addrs[i], false);
    }
    state_private(g, r->pool);
    return g;
}

static void stop_looking(struct request *r, void *arg)
{
    (void) r;
    lookup_cancel(&((struct forward *) arg)->lookup);
}

void forward_proxy_looked_up(struct forward *f)
{
    f->looking = false;
    f->found = true;
    request_at_close_cancel(f->r, stop_looking, f);
    request_resume(f->r);
}

void forward_proxy_look_up(struct forward *f, void (*done)(struct lookup *l), struct text host, uint16_t port)
{
    f->looking = true;
    f->lookup.done = done;
    request_at_close(f->r, stop_looking, f);
    const struct resolver_values *c = request_values(f->r, &http_resolver_module);
    lookup_start(resolver_of(c), &f->lookup, LOOKUP_HOST, host, port, c->timeout.ms);
}

static void looked_up(struct lookup *l)
{
    struct forward *f = container_of(l, struct forward, lookup);
    for (size_t i = 0; l->how == LOOKUP_FOUND && i < l->count; i++) forward_proxy_take(f, &l->addrs[i]);
    if (l->how != LOOKUP_FOUND) {
        log_at(f->r->log, L_ERR, f->r->about, 0, "%.*s could not be resolved (%d: %s)", TEXT_ARG(f->r->host), (int) l->how, lookup_why(l->how));
        f->status = l->how == LOOKUP_TIMEOUT ? 504 : 502;
    }
    forward_proxy_looked_up(f);
}

struct verdict forward_proxy_refuse_address(struct request *r, struct forward *f)
{
    bool loop = f->refused_scope && text_eq(text_c(f->refused_scope), T("loop"));
    return forward_proxy_refuse(r, f, loop ? T("loop") : T("address"), pool_printf(r->pool, "the address is %s", f->refused_scope ? f->refused_scope : "not known"));
}

struct verdict forward_proxy_find(struct request *r, struct forward *f, struct text host, uint16_t port)
{
    struct addr a;
    if (f->group) return v_next();
    if (f->looking) return v_wait();
    if (!f->found && addr_parse(r->pool, host, port, &a)) {
        addr_set_port(&a, port);
        forward_proxy_take(f, &a);
        f->found = true;
    } else if (!f->found) {
        forward_proxy_look_up(f, looked_up, host, port);
        return v_wait();
    }
    if (f->status) return v_reply(f->status);
    if (!f->count) return forward_proxy_refuse_address(r, f);
    f->group = forward_proxy_group(r, f, pool_printf(r->pool, "%.*s:%u", TEXT_ARG(host), port));
    return v_next();
}

/* ---- the way of a request ---- */

struct text forward_proxy_name(const struct forward_conf *c)
{
    static char name[16];
    uint32_t random = 0;
    if (c && !text_eq(c->via, T("on")) && !text_eq(c->via, T("off"))) return c->via;
    if (!name[0]) {
        ASSERT(getrandom(&random, sizeof random, 0) == sizeof random);
        snprintf(name, sizeof name, "weir-%08x", random);
    }
    return text_c(name);
}

static struct verdict mark(struct request *r)
{
    const struct forward_conf *c = request_values(r, &forward_proxy_module);
    if (c->on.on) forward_proxy_original_mark(r);
    if (r->form == REQUEST_ORIGIN) return v_next();
    if (r->forward || r->err_status) {         /* redirected, to a page of ours */
        r->form = REQUEST_ORIGIN;
        return v_next();
    }
    if (r->method == METHOD_CONNECT) r->keepalive = false;      /* what a client sends on before it is refused is no request */
    if (!c->on.on) return forward_proxy_tunnel_mark(r);
    r->forward = true;
    return v_next();
}

static bool asks_for_tls(const struct request *r) { return r->form == REQUEST_ABSOLUTE && text_eq_nocase(r->asked_scheme, T("https")); }

static const char *look_over(struct request *r, struct forward *f, struct text *rule_out)
{
    const char *why = NULL;
    *rule_out = T("scheme");
    if (r->form == REQUEST_ABSOLUTE && !text_eq_nocase(r->asked_scheme, T("http")) && !asks_for_tls(r)) return "only http and https are asked for in absolute form";
    if ((why = forward_proxy_original_ask(r, f, rule_out))) return why;
    *rule_out = T("host");
    if (host_look(r->host, &why) == HOST_ODD) return why;
    *rule_out = T("loop");
    return forward_proxy_loops(r, f->conf) ? "the request was here before" : forward_proxy_parent_circles(r, f) ? "a parent leads back to this proxy" : NULL;
}

static struct verdict decide(struct request *r, struct forward *f)
{
    struct text rule;
    bool tunnel = r->method == METHOD_CONNECT, tls = asks_for_tls(r);
    f->conf = request_values(r, &forward_proxy_module);
    f->ask = (struct policy_ask) {
        .client = r->peer, .user = f->conf->user ? template_render(f->conf->user, &r->eval) : r->user, .method = r->method_name, .host = r->host,
        .scheme = tunnel ? T("") : tls ? T("https") : T("http"), .port = r->host_port ? r->host_port : tls ? PORT_HTTPS : PORT_HTTP, .path = tunnel ? T("") : r->target, .eval = &r->eval,
    };
    const char *why = look_over(r, f, &rule);
    if (why) return forward_proxy_refuse(r, f, rule, text_c(why));
    if (!policy_decide(&f->conf->policy, &f->ask, r->pool, &f->decided)) return forward_proxy_refuse(r, f, f->decided.rule, f->decided.words);
    if (!forward_proxy_route(r, f)) return forward_proxy_refuse(r, f, T("parent"), T("no forward_proxy_parent is for it"));
    metrics_add(METRIC_FORWARD_ALLOWED, 1);
    return v_next();
}

/* Where the parent resolves names, an address that is named outright is looked at all the same, and so is the name that stands for this
 * host everywhere (RFC 6761 6.3). */
static struct verdict find_way(struct request *r, struct forward *f)
{
    struct addr a;
    if (request_original(r)) return forward_proxy_original_find(r, f);
    if (f->found || f->looking || forward_proxy_resolves(f) || addr_parse(r->pool, r->host, f->ask.port, &a)) return forward_proxy_find(r, f, r->host, f->ask.port);
    if (!text_eq(r->host, T("localhost")) && !text_ends(r->host, T(".localhost"))) return v_next();
    a = (struct addr) { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
    addr_set_port(&a, f->ask.port);
    forward_proxy_take(f, &a);
    if (!f->count) return forward_proxy_refuse_address(r, f);
    f->count = 0;
    return v_next();
}

static struct verdict pass_on(struct request *r, struct forward *f)
{
    if (f->conf->g.request_buffering.on || r->in_chunked) {
        struct verdict v = reqbody_whole(r);
        if (v.what != V_NEXT) return v;
    }
    struct text scheme = f->ask.scheme;
    struct group *parent = forward_proxy_parent_group(f, &scheme);
    struct exchange *x = exchange_open(r, &forward_proxy_protocol, parent ? &f->conf->through : &f->conf->g, &(struct gateway_target) { .group = parent ? parent : f->group, .scheme = scheme }, f);
    bool own = forward_proxy_parent_is_http(f);       /* such a connection serves whatever is asked for */
    forward_proxy_parent_ask(x, f, !own);
    x->keep = !own || parent->keep.connections > 0;
    if (!own) x->keep_in = &keeper;
    if (!own && asks_for_tls(r)) x->secure = secure_conf_of(r, &f->conf->ssl, f->conf->ssl.name ? template_render(f->conf->ssl.name, &r->eval) : r->host);
    return exchange_start(x);
}

static struct verdict lead(struct request *r, struct forward *f)
{
    for (;;) {
        struct verdict v = find_way(r, f);
        if (v.what == V_NEXT) v = r->method == METHOD_CONNECT ? forward_proxy_tunnel(r, f) : pass_on(r, f);
        if (v.what != V_NEXT) return v;        /* else the next parent is asked */
    }
}

static struct verdict serve(struct request *r)
{
    struct verdict v;
    if (!r->forward || r->form == REQUEST_ORIGIN) return v_next();
    if (r->proto->target && (v = r->proto->target(r)).what != V_NEXT) return v;
    struct forward *f = forward_proxy_context(r);
    if (!f->conf && (v = decide(r, f)).what != V_NEXT) return v;
    if (forward_proxy_ends_here(r)) return forward_proxy_echo(r);
    return lead(r, f);
}

/* ---- variables ---- */

static bool get_rule(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct forward *f = context_of(e);
    (void) v, (void) name;
    if (f) *out = f->decided.rule;
    return f && out->n;
}

static bool get_reason(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct forward *f = context_of(e);
    (void) v, (void) name;
    if (f) *out = f->decided.words;
    return f && out->n;
}

static bool get_address(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct forward *f = context_of(e);
    const struct exchange *x = exchange_of(request_of(e));
    (void) v, (void) name;
    if (!f || !x || !x->last) return false;
    *out = x->last->name;
    return true;
}

static bool get_parent(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct forward *f = context_of(e);
    (void) v, (void) name;
    if (f) *out = forward_proxy_parent_name(f);
    return f && out->n;
}

static bool get_port(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct forward *f = context_of(e);
    (void) v, (void) name;
    if (!f || !f->ask.port) return false;
    *out = pool_printf(e->pool, "%u", f->ask.port);
    return true;
}

static bool get_bytes(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct exchange *x = exchange_of(request_of(e));
    (void) name;
    if (!x || !x->relay) return false;
    *out = pool_printf(e->pool, "%llu", (unsigned long long) (v->data ? x->relay->back.bytes : x->relay->out.bytes));
    return true;
}

static const struct variable variables[] = {
    { .name = "forward_proxy_rule", .get = get_rule, .flags = VAR_NO_CACHE, .help = "The name or number of the rule that decided about a forward request, or what else refused it: ports, default, scheme, host, loop, address, parent; original, protocol for clients that netfilter led here." },
    { .name = "forward_proxy_reason", .get = get_reason, .flags = VAR_NO_CACHE, .help = "What that rule says, or why else the request was refused." },
    { .name = "forward_proxy_address", .get = get_address, .flags = VAR_NO_CACHE, .help = "The address that a forward request was led to; of a parent where it went through one." },
    { .name = "forward_proxy_parent", .get = get_parent, .flags = VAR_NO_CACHE, .help = "The parent that was asked last for a forward request, as forward_proxy_parent names it; \"direct\": none was; nothing where there are none." },
    { .name = "forward_proxy_port", .get = get_port, .flags = VAR_NO_CACHE, .help = "The port that a forward request asks for." },
    { .name = "forward_proxy_bytes_up", .get = get_bytes, .flags = VAR_NO_CACHE, .help = "Bytes that went from the client through a tunnel." },
    { .name = "forward_proxy_bytes_down", .get = get_bytes, .flags = VAR_NO_CACHE, .data = "down", .help = "Bytes that came to the client through a tunnel." },
    { .name = NULL },
};

/* ---- rows ---- */

void forward_proxy_open_servers(struct conf_block *b)
{
    while (b && !(b->kind & (IN_SERVER | IN_HTTP))) b = b->parent;
    if (b && b->kind == IN_SERVER) ((struct vhost *) b->object)->forwards = true;
    for (struct conf_block *s = b && b->kind == IN_HTTP ? b->children : NULL; s; s = s->next)
        if (s->kind == IN_SERVER) ((struct vhost *) s->object)->forwards = true;
}

static void note_context(struct conf *cf, const struct conf_block *b, struct forward_conf *c)
{
    struct forward_conf *top = conf_values(cf->top, &forward_proxy_module);
    c->file = b->file;
    c->line = b->line;
    c->next = top->next;
    top->next = c;
}

/* A server's own go before those of http. */
static void set_opaque(struct conf_block *b, const struct policy_ports *ports)
{
    if (b->kind == IN_SERVER) ((struct vhost *) b->object)->opaque = ports;
    for (struct conf_block *s = b->kind == IN_HTTP ? b->children : NULL; s; s = s->next)
        if (s->kind == IN_SERVER && !((struct vhost *) s->object)->opaque) ((struct vhost *) s->object)->opaque = ports;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct forward_conf *c = values;
    c->g.pass_body.on = c->g.pass_headers.on = 1;
    c->g.next_upstream = NEXT_ERROR | NEXT_TIMEOUT;
    /* An origin is no upstream of ours: it does not get to say what we do. */
    c->g.ignore_headers = IGNORE_ACCEL_REDIRECT | IGNORE_ACCEL_EXPIRES | IGNORE_ACCEL_LIMIT_RATE | IGNORE_ACCEL_BUFFERING | IGNORE_ACCEL_CHARSET;
    if (c->on.on && b != cf->top) forward_proxy_open_servers(b);
    if (c->opaque.n) set_opaque(b, &c->opaque);
    if (c->on.on && b != cf->top && !c->policy.rules.n) conf_warn_once(cf, "forward_proxy", "\"forward_proxy\" is on without any \"forward_proxy_access\": all is refused");
    if (c->on.on && b != cf->top) note_context(cf, b, c);
    if (forward_proxy_name(c).n == 0) return "!\"forward_proxy_via\" needs a name";
    conf_result why = gateway_conf_check(cf, &c->g, "forward_proxy_", NULL, 0);
    c->through = c->g;
    c->through.next_upstream |= NEXT_INVALID_HEADER;
    return why;
}

static const struct conf_choice forwarded[] = { { "off", FORWARDED_OFF }, { "append", FORWARDED_APPEND }, { "rfc7239", FORWARDED_RFC7239 }, { "pass", FORWARDED_PASS }, { NULL, 0 } };
static const struct conf_choice verify_host[] = { { "on", VERIFY_ON }, { "address", VERIFY_ADDRESS }, { "off", VERIFY_OFF }, { NULL, 0 } };
static const struct conf_choice anonymize[] = { { "off", ANONYMIZE_OFF }, { "standard", ANONYMIZE_STANDARD }, { "strict", ANONYMIZE_STRICT }, { NULL, 0 } };

typedef struct forward_conf fc;
#define P "forward_proxy"
#define ROW(f, Ty, ty, nm, df, ...) { .name = nm, .type = ty, .where = IN_HSL, .offset = FIELD(fc, f, Ty), .dflt = df, .since = "weir", __VA_ARGS__ }
static const struct directive rows[] = {
    ROW(on, flag, &conf_flag, P, "off", .help = "Whether requests in absolute form and CONNECT are passed on to the hosts that they name, as far as the rules allow."),
    ROW(policy.rules, struct policy_rules, &policy_rule_type, P "_access", NULL, .help = "A rule of who may be led where: the first one of which all conditions hold decides; where none does, the request is refused."),
    ROW(policy.ports, struct policy_ports, &policy_ports_type, P "_ports", NULL, .help = "Ports that may be asked for besides 80 and 443."),
    ROW(policy.guards, struct policy_guards, &policy_guard_type, P "_address", NULL, .help = "Addresses that names may, or may not, lead to: networks or scopes; what is not of the world's own addresses is refused unless allowed."),
    { .name = P "_opaque_ports", .type = &policy_ports_type, .where = IN_HTTP | IN_SERVER, .offset = FIELD(fc, opaque, struct policy_ports), .since = "weir", .help = "Ports that clients led here by netfilter (listen ... transparent) speak to as they like: nobody looks for a name in it, and rules judge by the address. On others it must be HTTP or TLS." },
    ROW(verify_host, int, &conf_enum, P "_verify_host", "on", .data = verify_host, .help = "What becomes of a client led here by netfilter whose Host, or name in a client hello, does not resolve to the address that it was going to: it is refused, or judged by its address alone, or (off) believed without a look."),
    ROW(user, struct template *, &conf_template, P "_user", NULL, .help = "Who the user is, for rules; the one that auth_basic has found where nothing is said."),
    ROW(page, struct template *, &conf_template, P "_deny_page", NULL, .help = "The page of a refusal, with variables; error_page for 403 goes before it."),
    ROW(via, struct text, &conf_text, P "_via", "on", .help = "Whether Via tells of this proxy, and the name that stands there; by it loops are found."),
    ROW(forwarded, int, &conf_enum, P "_forwarded", "off", .help = "What origins are told of the client: nothing, its address in X-Forwarded-For or in Forwarded, or what the client says itself.", .data = forwarded),
    ROW(anonymize, int, &conf_enum, P "_anonymize", "off", .help = "Which header fields origins see. standard: none that name a client or a proxy (From, Via, Forwarded, X-Forwarded-*, X-Real-IP, X-Request-ID, X-Client-IP and their like, trace ids). strict: the same User-Agent and Accept* for all; of the client's only Content-Type, -Encoding and -Language, Range, and those of a WebSocket: no cookies. What goes through tunnels, TLS above all, is not touched.", .data = anonymize),
    ROW(tunnel_time, span, &conf_span, P "_tunnel_time", "0", .help = "How long a tunnel may last; 0: no limit."),
    ROW(tunnel_bytes, bytes, &conf_bytes, P "_tunnel_bytes", "0", .help = "How many bytes a tunnel may carry, both ways together; 0: no limit."),
    ROW(g.connect_timeout, span, &conf_span, P "_connect_timeout", "60s", .help = "How long connecting to an address may take."),
    ROW(g.send_timeout, span, &conf_span, P "_send_timeout", "60s", .help = "How long the origin may take nothing of the request before it is given up."),
    ROW(g.read_timeout, span, &conf_span, P "_read_timeout", "60s", .help = "How long the origin may send nothing of its answer before it is given up."),
    ROW(g.buffering, flag, &conf_flag, P "_buffering", "on", .help = "Whether the answer is taken from the origin as fast as it comes, also when the client is slow."),
    ROW(g.request_buffering, flag, &conf_flag, P "_request_buffering", "on", .help = "Whether the whole request body is read before the origin is asked."),
    ROW(g.buffer_size, bytes, &conf_bytes, P "_buffer_size", "16k", .help = "The most that the head of the origin's answer may take."),
    ROW(g.buffers, bufs, &conf_bufs, P "_buffers", "8 16k", .help = "How much of an answer may wait in memory for a slow client."),
    ROW(g.max_temp_file_size, bytes, &conf_bytes_off, P "_max_temp_file_size", "1024m", .help = "How much of an answer may wait in a temporary file; 0: none."),
    ROW(g.temp_path, struct temp_path, &temp_path_type, P "_temp_path", "forward_proxy_temp", .help = "The folder of temporary files, with up to three levels of folders below it."),
    ROW(g.bind, struct gateway_bind *, &gateway_bind_type, P "_bind", NULL, .help = "The local address of connections to origins."),
    ROW(g.socket_keepalive, flag, &conf_flag, P "_socket_keepalive", "off", .help = "Whether connections to origins have TCP keep-alive probes."),
    SECURE_ROWS(fc, ssl, P "_ssl_", "weir", "on", "4", "on", NULL, "; that of the host that is asked for where nothing is said"),
    { .name = NULL },
};

static bool open_all(struct cycle *cycle)
{
    struct forward_conf *top = conf_values(cycle->conf->top, &forward_proxy_module);
    struct secure_opening o;
    bool fine = true;
    secure_opening_begin(&o, cycle);
    for (struct forward_conf *c = top->next; fine && c; c = c->next) fine = secure_conf_open(&o, &c->ssl, true, P "_ssl_", c->file, c->line);
    secure_opening_end(&o);
    return fine;
}

static const struct hook hooks[] = {
    { .step = &step_preaccess, .name = "forward_proxy_mark", .run = mark, .order = ORDER_MARK },
    { .step = &step_precontent, .name = "forward_proxy", .run = serve, .order = ORDER_SERVE },
    { .step = NULL },
};
static const struct process_part process = { .open = open_all };
static const struct module openings = { .name = "forward_proxy_open", .part = &process, .part_kind = &process_part_kind };
static const struct http_part part = { .variables = variables, .hooks = hooks, .if_given = true };

struct module forward_proxy_module = {
    .name = "forward_proxy", .conf_size = sizeof(struct forward_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind, .extra = &openings,
};
