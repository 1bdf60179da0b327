#include "http/transparent.h"
#include "http/circle.h"
#include "http/h1.h"
#include "http/prelude.h"
#include "http/reqbody.h"
#include "http/response.h"
#include "os/socket.h"
#include "process/cycle.h"
#include "tls/peek.h"
#include "wire/scan.h"
#include "wire/uri.h"

#define TRANSPARENT_MAGIC 0x54524e53u

enum transparent_state {
    TRANSPARENT_LOOKING,      /* what does the client speak? */
    TRANSPARENT_SERVING,      /* its request runs */
    TRANSPARENT_TUNNEL,       /* the connection's bytes are somebody else's */
    TRANSPARENT_OVER,         /* closed, or given to h1; freed at the end of the turn */
};

struct transparent { struct prelude p; struct request_original original; };

static const uint16_t legal[] = {
    [TRANSPARENT_LOOKING] = 1 << TRANSPARENT_SERVING,
    [TRANSPARENT_SERVING] = 1 << TRANSPARENT_TUNNEL,
    [TRANSPARENT_TUNNEL] = 0,
};
static struct cells cells = CELLS(struct transparent);
static const struct prelude_kind kind = {
    .magic = TRANSPARENT_MAGIC, .legal = legal, .over = TRANSPARENT_OVER, .tunnel = TRANSPARENT_TUNNEL, .reading = TRANSPARENT_LOOKING, .cells = &cells, .doing = "looking at what a client says",
};

static struct transparent *of_request(const struct request *r)
{
    struct transparent *t = r->stream;
    NEED(&t->p, TRANSPARENT_MAGIC);
    return t;
}

/* What the client has said is taken off the socket first: closed with unread bytes it would be reset, and the alert lost with it.
 * RFC 8446 6.2: access_denied. */
static void say_denied(struct transparent *t)
{
    static const char alert[] = { 21, 3, 1, 0, 2, 2, 49 };
    char room[4096];
    struct chain out = CHAIN_EMPTY;
    for (size_t i = 0; i < PEEK_MOST / sizeof room + 1 && t->p.conn->readable; i++)
        if (conn_recv(t->p.conn, room, sizeof room).how != IO_OK) break;
    chain_add_copy(&out, text_of(alert, sizeof alert));
    conn_send(t->p.conn, &out, 0);
    chain_clear(&out);
}

/* ---- the request of what is not HTTP ---- */

static const struct protocol protocol;

static void set_target(struct request *r, const struct addr *to, struct text name)
{
    struct uri_host host = { .name = { NULL, 0 } };
    struct text shown = name;
    if (!name.n) shown = addr_text(r->pool, to, true);
    if (!name.n && to->family == AF_INET6) shown = pool_printf(r->pool, "[%.*s]", TEXT_ARG(shown));
    bool fine = uri_host(shown, r->pool, &host) == FAULT_NONE && !host.has_port;
    shown = pool_text(r->pool, shown);
    r->host = fine ? pool_text(r->pool, host.name) : T("");
    r->host_port = addr_port(to);
    r->target = pool_printf(r->pool, "%.*s:%u", TEXT_ARG(fine ? shown : T("")), r->host_port);
    r->line = pool_printf(r->pool, "CONNECT %.*s transparent", TEXT_ARG(r->target));
}

/* name: of a client hello; empty: none, or what was said is no TLS. */
static void serve(struct transparent *t, enum request_said said, struct text name)
{
    t->original.said = said;
    if (name.n) t->p.vhost = vhost_find(t->p.at, name, NULL);
    struct request *r = prelude_request(&t->p, &protocol, TRANSPARENT_VERSION);
    conn_set_idle(t->p.conn, false);
    timer_stop(&t->p.conn->timer);
    set_target(r, &t->original.addr, name);
    prelude_move(&t->p, TRANSPARENT_SERVING);
    if (!r->host.n) {
        request_log(r, L_INFO, 0, "client sent a server name that is none");
        request_go(r, v_reply(400));
    } else if (!t->p.vhost->forwards) request_go(r, v_reply(405));
    else request_run(r);
}

/* ---- looking ---- */

enum speech { SPEAKS_MORE, SPEAKS_HTTP, SPEAKS_TLS, SPEAKS_OTHER };

/* RFC 9112 3, 2.2: a method, and a target that begins as one does. Of a method that we know any target will do: it is h1's to judge. */
static enum speech look_for_http(struct text t)
{
    enum { METHOD_MOST = 24 };
    size_t n = 0, skipped = 0;
    while (skipped < t.n && skipped < 4 && (t.p[skipped] == '\r' || t.p[skipped] == '\n')) skipped++;
    t = text_from(t, skipped);
    while (n < t.n && n <= METHOD_MOST && scan_is_token((unsigned char) t.p[n])) n++;
    if (n > METHOD_MOST) return SPEAKS_OTHER;
    if (n == t.n) return SPEAKS_MORE;
    if (!n || t.p[n] != ' ') return SPEAKS_OTHER;
    if (method_lookup(text_upto(t, n)) != METHOD_OTHER) return SPEAKS_HTTP;
    return n + 1 == t.n ? SPEAKS_MORE : t.p[n + 1] == '/' ? SPEAKS_HTTP : SPEAKS_OTHER;
}

static enum speech look_at(struct text said, struct peeked *hello, const char **why_out)
{
    *why_out = "neither HTTP nor TLS";
    if (said.p[0] != 22) return look_for_http(said);
    enum peek_result how = peek_hello(said, hello, why_out);
    return how == PEEK_MORE ? SPEAKS_MORE : how == PEEK_DONE ? SPEAKS_TLS : SPEAKS_OTHER;
}

static void hand_to_h1(struct transparent *t)
{
    struct conn *c = t->p.conn;
    struct request_original original = t->original;
    timer_stop(&c->timer);
    conn_set_idle(c, false);
    prelude_end(&t->p, true);
    h1_accepted_for(c, &original);
}

/* A connection that weir opened itself. */
static bool refuse_circle(struct transparent *t)
{
    char room[ADDR_TEXT_MAX];
    struct build b = build_in_room(room, sizeof room);
    if (!circle_depth(&t->p.conn->peer, &t->original.addr)) return false;
    addr_print(&b, &t->original.addr, false);
    log_at(t->p.conn->log, L_ERR, &t->p.conn->about, 0, "a connection of weir's own to %.*s was led back here by netfilter: its rules must leave out what weir itself opens", (int) b.n, b.p);
    prelude_end(&t->p, false);
    return true;
}

/* Nothing is read, so the next edge comes with the next byte. */
static void look(struct transparent *t)
{
    static char room[PEEK_MOST];
    struct peeked hello = { .name = { NULL, 0 } };
    const char *why;
    struct io_done d = conn_peek(t->p.conn, room, sizeof room);
    if (d.how == IO_AGAIN) return;
    if (d.how != IO_OK) {
        prelude_lost(&t->p, d);
        return;
    }
    enum speech what = look_at(text_of(room, d.n), &hello, &why);
    if (refuse_circle(t)) return;
    if (what == SPEAKS_MORE && t->p.conn->hangup) prelude_lost(&t->p, (struct io_done) { IO_EOF, 0 });
    else if (what == SPEAKS_HTTP) hand_to_h1(t);
    else if (what == SPEAKS_TLS) serve(t, REQUEST_SAID_TLS, hello.name);
    else if (what == SPEAKS_OTHER) {
        log_at(t->p.conn->log, L_INFO, &t->p.conn->about, 0, "client sent %s", why);
        serve(t, REQUEST_SAID_UNKNOWN, T(""));
    }
}

/* ---- the connection ---- */

static void ready(struct conn *c, unsigned what)
{
    struct transparent *t = c->owner;
    NEED(&t->p, TRANSPARENT_MAGIC);
    if (what & CONN_TIMEOUT) {
        prelude_timed_out(&t->p);
        return;
    }
    if (!(what & CONN_READ) || t->p.finishing) return;
    if (t->p.state == TRANSPARENT_LOOKING) look(t);
    else if (t->p.state == TRANSPARENT_SERVING && c->hangup && t->p.r && !t->p.r->closing) prelude_left(&t->p);
}

/* A connection to one of our own listeners: by a client that was not led here, or one of ours that netfilter leads back to us. */
static bool is_own(const struct addr *a)
{
    for (const struct listener *l = cycle_current->listeners; l; l = l->next) {
        if (l->type != SOCK_STREAM || l->addr.family == AF_UNIX || addr_port(&l->addr) != addr_port(a)) continue;
        if (addr_eq(&l->addr, a) || (addr_is_wildcard(&l->addr) && socket_is_local(a))) return true;
    }
    return false;
}

static void refuse_own(struct transparent *t)
{
    char room[ADDR_TEXT_MAX];
    struct build b = build_in_room(room, sizeof room);
    addr_print(&b, &t->original.addr, false);
    log_at(t->p.conn->log, L_ERR, &t->p.conn->about, 0, "a connection to %.*s, where weir itself listens, is not let through: netfilter leads no connection here from elsewhere, or in a circle", (int) b.n, b.p);
    prelude_end(&t->p, false);
}

void transparent_accepted(struct conn *c)
{
    struct transparent *t = prelude_open(&kind, c, ready);
    t->original.addr = conn_original(c);
    if (is_own(&t->original.addr)) {
        refuse_own(t);
        return;
    }
    if (vhost_is_opaque(t->p.vhost, addr_port(&t->original.addr))) {
        if (!refuse_circle(t)) serve(t, REQUEST_SAID_OPAQUE, T(""));
        return;
    }
    timer_set(&c->timer, prelude_core(&t->p)->client_header_timeout.ms);
    conn_set_idle(c, true);
    if (c->readable) look(t);
}

/* ---- protocol ---- */

static void body(struct request *r, struct chain *in, enum body_end end_is)
{
    struct transparent *t = of_request(r);
    chain_clear(in);
    if (end_is == BODY_MORE) return;
    if (t->p.state == TRANSPARENT_SERVING && !t->p.broken && t->original.said == REQUEST_SAID_TLS && request_status(r) < 500) say_denied(t);
    prelude_finish(&t->p, t->p.state == TRANSPARENT_TUNNEL ? "tunnel ended" : "refused");
}

static void ended(struct request *r, const char *why)
{
    struct transparent *t = of_request(r);
    (void) why;
    t->p.r = NULL;
    prelude_end(&t->p, false);
}

static struct conn *tunnel(struct request *r, struct chain *early_out)
{
    struct transparent *t = of_request(r);
    (void) early_out;
    if (!prelude_may_tunnel(&t->p, TRANSPARENT_SERVING)) return NULL;
    prelude_move(&t->p, TRANSPARENT_TUNNEL);
    timer_stop(&t->p.conn->timer);
    return t->p.conn;
}

static const struct request_original *original(const struct request *r) { return &of_request(r)->original; }

static const struct protocol protocol = {
    .name = "transparent", .head = prelude_head, .informational = prelude_informational, .body = body, .room = prelude_room, .want_body = prelude_want_body, .ended = ended,
    .tunnel = tunnel, .swap = prelude_swap, .original = original,
};
