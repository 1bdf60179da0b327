/* forward_proxy_tunnel: CONNECT: bytes both ways to where the request, or tunnel_pass, says. */
#include "modules/forward_proxy.h"
#include "gateway/tunnel.h"
#include "http/core_conf.h"
#include "http/park.h"
#include "http/steps.h"
#include "upstream/group.h"

struct tunnel_conf {
    struct gateway_conf g;
    struct tunnel_pass  { bool on; struct template *to; } pass;
    struct groups      *groups;             /* of the top */
};

static bool make_nothing(struct exchange *x)
{
    x->send.head = T("");
    return true;
}

static void begin_nothing(struct exchange *x) { x->up = (struct upstream_response) { .length = -1 }; }

/* A tunnel whose request is parked: this, two connections and their protocol's record are all it takes. */
struct long_tunnel {
    struct relay               relay;
    struct parked             *request;
    struct conn               *server;
    const struct gateway_conf *conf;
    struct exchange_try        last;
    struct text                rule, words;       /* of the configuration */
    const struct forward_route *route;            /* of the configuration, too */
    size_t                     at;
    uint16_t                   port;
    uint64_t                   sent, received;    /* by server, before */
    char                       name[];
};

static void log_end(struct long_tunnel *t, struct request *r, enum relay_end how)
{
    if (how == RELAY_LIMIT) request_log(r, L_INFO, 0, "the tunnel has come to its limit");
    if (how == RELAY_TIMEOUT) request_log(r, L_INFO, 0, "the tunnel timed out");
    if (how == RELAY_ERROR && t->relay.fault == t->server) request_log(r, L_ERR, t->server->error, "upstream connection failed");
}

static void long_ended(struct relay *relay, enum relay_end how)
{
    struct long_tunnel *t = relay->arg;
    struct request *r = request_unpark(&t->request);
    struct forward *f = forward_proxy_context(r);
    f->ask.port = t->port;
    f->decided.rule = t->rule;
    f->decided.words = t->words;
    f->route = t->route;
    f->at = t->at;
    t->last.name = pool_text(r->pool, t->last.name);
    t->last.length = (int64_t) relay->back.bytes;
    t->last.response_ms = (int64_t) (clock_now.ms - t->last.started_ms);
    t->last.sent = t->server->sent - t->sent;
    t->last.received = t->server->received - t->received;
    struct exchange *x = exchange_remember(r, t->conf, &t->last);
    x->relay = pool_new(r->pool, struct relay);
    *x->relay = t->relay;
    log_end(t, r, how);
    conn_close(&t->server);
    r->out.body_bytes = relay->back.bytes;
    response_body(r, &(struct chain) { NULL, NULL, 0 }, BODY_FINAL);
    loop_free_later(free, t);
}

/* False: it stays as it is. */
static bool open_long(struct exchange *x)
{
    struct request *r = x->r;
    struct forward *f = forward_of(x);
    struct chain up = CHAIN_EMPTY, nothing = CHAIN_EMPTY;
    if (!f->conf || x->tries != x->last || x->early.n) return false;
    exchange_move(x, EXCHANGE_TUNNEL);
    bool sent = response_head(r);
    if (sent) response_body(r, &nothing, BODY_MORE);
    struct conn *server = x->conn, *client = sent && r->proto->tunnel ? r->proto->tunnel(r, &up) : NULL;
    if (!client) {
        exchange_release(x);
        response_body(r, &nothing, BODY_BROKEN);
        return true;
    }
    if (!request_may_park(r)) {
        tunnel_go(x, client, &up);
        return true;
    }
    struct long_tunnel *t = base_zalloc(1, sizeof *t + x->last->name.n);
    *t = (struct long_tunnel) { .server = server, .conf = x->conf, .last = *x->last, .rule = f->decided.rule, .words = f->decided.words, .route = f->route, .at = f->at, .port = f->ask.port, .sent = x->conn_sent, .received = x->conn_received };
    memcpy(t->name, x->last->name.p, x->last->name.n);
    t->last.name = text_of(t->name, x->last->name.n);
    uint64_t ms = x->tunnel_ms, most = x->tunnel_bytes;
    x->conn = NULL;
    exchange_release(x);
    struct relay_pace *paces = steps_paces(r);
    t->request = request_park(r);
    relay_start(&t->relay, client, server, &up, NULL, t->conf->read_timeout.ms, long_ended, t);
    t->relay.half_close = true;
    relay_buffer(&t->relay, t->conf->buffer_size.bytes);
    relay_limit(&t->relay, ms, most);
    relay_set_paces(&t->relay, paces);
    return true;
}

static void opened(struct exchange *x)
{
    struct response *out = &x->r->out;
    x->answered = true;
    x->up.status = x->last->status = out->status = 200;
    x->last->header_ms = x->last->connect_ms;
    out->reason = T("Connection established");
    if (!open_long(x)) tunnel_start(x, x->early);
}

static const struct gateway_protocol protocol = { .name = "tunnel", .make_request = make_nothing, .restart = begin_nothing, .opened = opened, .another = forward_proxy_another, .connected = forward_proxy_note };

struct verdict forward_proxy_tunnel(struct request *r, struct forward *f)
{
    const struct tunnel_conf *c = request_values(r, &forward_proxy_tunnel_module);
    struct text scheme = T("tunnel");
    struct group *parent = forward_proxy_parent_group(f, &scheme);
    struct exchange *x = exchange_open(r, &protocol, &c->g, &(struct gateway_target) { .group = parent ? parent : f->group, .scheme = scheme }, f);
    forward_proxy_parent_ask(x, f, true);
    x->half_close = true;
    x->tunnel_buffer = c->g.buffer_size.bytes;
    if (f->conf) {
        x->tunnel_ms = f->conf->tunnel_time.ms;
        x->tunnel_bytes = f->conf->tunnel_bytes.bytes;
    }
    return exchange_start(x);
}

/* ---- tunnel_pass ---- */

struct verdict forward_proxy_tunnel_mark(struct request *r)
{
    const struct tunnel_conf *c = request_values(r, &forward_proxy_tunnel_module);
    if (r->form == REQUEST_ORIGIN || r->forward || r->err_status) return v_next();
    if (r->method == METHOD_CONNECT) r->keepalive = false;
    return r->method == METHOD_TRACE || (r->method == METHOD_CONNECT && !c->pass.on) ? v_reply(405) : v_next();
}

static struct verdict find_target(struct request *r, struct forward *f)
{
    const struct tunnel_conf *c = request_values(r, &forward_proxy_tunnel_module);
    struct text host = r->host;
    uint16_t port = r->host_port;
    const char *why;
    if (c->pass.to && !f->found && !f->looking) {
        struct text to = template_render(c->pass.to, &r->eval);
        if (!addr_split(to, &host, &port, &why)) {
            request_log(r, L_ERR, 0, "%s in \"%.*s\"", why, TEXT_ARG(to));
            return v_reply(500);
        }
        f->group = groups_find(c->groups, host, port);
        if (!f->group && !port) {
            request_log(r, L_ERR, 0, "no port in \"%.*s\"", TEXT_ARG(to));
            return v_reply(500);
        }
    }
    if (!c->pass.to && request_original(r)) {         /* to where the client was going, whatever name it says */
        host = forward_proxy_original_host(r);
        port = addr_port(&request_original(r)->addr);
    }
    return forward_proxy_find(r, f, host, port);
}

static struct verdict serve(struct request *r)
{
    if (r->method != METHOD_CONNECT || r->form == REQUEST_ORIGIN || r->forward) return v_next();
    struct forward *f = forward_proxy_context(r);
    struct verdict v = r->proto->target ? r->proto->target(r) : v_next();
    if (v.what == V_NEXT) v = find_target(r, f);
    return v.what == V_NEXT ? forward_proxy_tunnel(r, f) : v;
}

static conf_result parse_pass(struct conf *cf, const struct directive *d, void *field)
{
    struct tunnel_pass *pass = field;
    conf_result why = NULL;
    (void) d;
    pass->on = true;
    if (cf->count == 2) pass->to = template_compile(cf, cf->words[1], &why);
    return why;
}

static const struct conf_type type_pass = { .syntax = "[address]", .size = sizeof(struct tunnel_pass), .max = 1, .parse = parse_pass };
static const struct conf_choice next_choices[] = { { "error", NEXT_ERROR }, { "timeout", NEXT_TIMEOUT }, { "denied", NEXT_DENIED }, { "off", NEXT_OFF }, { NULL, 0 } };

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct tunnel_conf *c = values;
    c->groups = groups_of(cf, EVAL_HTTP);
    if (!c->g.buffer_size.bytes) return "!\"tunnel_buffer_size\" must not be 0";
    if (c->g.next_upstream & NEXT_OFF) c->g.next_upstream = 0;
    c->g.dynamic = c->g.allow.n || c->g.bind_dynamic.on;
    c->g.next_upstream |= c->g.next_upstream ? NEXT_NON_IDEMPOTENT : 0;      /* nothing was asked of a peer that did not connect */
    if (c->pass.on && b != cf->top) forward_proxy_open_servers(b);
    return NULL;
}

typedef struct tunnel_conf tc;
static const struct directive rows[] = {
    D_TYPE(tc, pass, struct tunnel_pass, &type_pass, "tunnel_pass", IN_SERVER | IN_LOCATION | IN_IF, NULL, "Opens tunnels for CONNECT, to this address or, without one, to the host and port that are asked for. forward_proxy and its rules go before it."),
    D_TYPE(tc, g.bind, struct gateway_bind *, &gateway_bind_type, "tunnel_bind", IN_HSL, NULL, "The local address of tunnels' connections."),
    D_FLAG(tc, g.bind_dynamic, "tunnel_bind_dynamic", IN_HSL, "off", "Whether the local address is found anew for each address that is tried."),
    D_TYPE(tc, g.allow, struct templates, &conf_templates, "tunnel_allow_upstream", IN_HSL, NULL, "An address is tried when all of these are neither empty nor 0."),
    D_SIZE(tc, g.buffer_size, "tunnel_buffer_size", IN_HSL, "16k", "The size of the buffer into which the bytes of a direction are read. What fills it at once goes on through a pipe of the kernel, of at most 512k, and not through memory."),
    D_TIME(tc, g.connect_timeout, "tunnel_connect_timeout", IN_HSL, "60s", "How long connecting may take."),
    D_TIME(tc, g.read_timeout, "tunnel_read_timeout", IN_HSL, "60s", "How long nothing may move in a tunnel before it is closed."),
    D_TIME(tc, g.send_timeout, "tunnel_send_timeout", IN_HSL, "60s", "How long the other end may take nothing before a tunnel is closed."),
    D_BITS(tc, g.next_upstream, "tunnel_next_upstream", IN_HSL, "error timeout", next_choices, "When another address is tried."),
    D_NUM(tc, g.next_tries, "tunnel_next_upstream_tries", IN_HSL, "0", "How many addresses may be tried; 0: all."),
    D_TIME(tc, g.next_timeout, "tunnel_next_upstream_timeout", IN_HSL, "0", "For how long another address may be tried; 0: no limit."),
    D_NONE("tunnel_send_lowat", IN_HSL, "size", "0", "SO_SNDLOWAT of tunnels' connections, which Linux does not have."),
    D_FLAG(tc, g.socket_keepalive, "tunnel_socket_keepalive", IN_HSL, "off", "Whether tunnels' connections have TCP keep-alive probes."),
    D_SIZE(tc, g.socket_rcvbuf, "tunnel_socket_rcvbuf", IN_HSL, NULL, "The size of the receive buffer of tunnels' connections."),
    D_SIZE(tc, g.socket_sndbuf, "tunnel_socket_sndbuf", IN_HSL, NULL, "The size of the send buffer of tunnels' connections."),
    { .name = NULL },
};

enum { ORDER_MARK = -999, ORDER_SERVE = -999 };      /* behind forward_proxy */
static const struct hook hooks[] = {
    { .step = &step_preaccess, .name = "tunnel_mark", .run = forward_proxy_tunnel_mark, .order = ORDER_MARK },
    { .step = &step_precontent, .name = "tunnel", .run = serve, .order = ORDER_SERVE },
    { .step = NULL },
};
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module forward_proxy_tunnel_module = {
    .name = "http_tunnel", .conf_size = sizeof(struct tunnel_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind,
};
