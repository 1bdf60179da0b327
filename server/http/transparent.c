#include "http/transparent.h"
#include "base/cell.h"
#include "http/circle.h"
#include "http/core_conf.h"
#include "http/h1.h"
#include "http/reqbody.h"
#include "http/response.h"
#include "http/steps.h"
#include "os/metrics.h"
#include "os/socket.h"
#include "process/cycle.h"
#include "tls/peek.h"
#include "wire/scan.h"
#include "wire/uri.h"
#include <errno.h>

#define TRANSPARENT_MAGIC 0x54524e53u

enum transparent_state {
    TRANSPARENT_LOOKING,      /* what does the client speak? */
    TRANSPARENT_SERVING,      /* its request runs */
    TRANSPARENT_TUNNEL,       /* the connection's bytes are somebody else's */
    TRANSPARENT_OVER,         /* closed, or given to h1; freed at the end of the turn */
};

struct transparent {
    unsigned                magic;
    uint8_t                 state;
    bool                    broken : 1,        /* nothing more is said to the client */
                            finishing : 1;     /* the request is to be closed by the task */
    struct conn            *conn;
    struct request         *r;
    struct vhost_addr      *at;
    struct vhost           *vhost;
    struct request_original original;
    struct task             task;
    const char             *why;
};

static const uint8_t legal[] = {
    [TRANSPARENT_LOOKING] = 1 << TRANSPARENT_SERVING,
    [TRANSPARENT_SERVING] = 1 << TRANSPARENT_TUNNEL,
};

static int count_of(uint8_t state) { return state == TRANSPARENT_LOOKING ? METRIC_CONNECTIONS_READING : METRIC_CONNECTIONS_WRITING; }

static void set_state(struct transparent *t, enum transparent_state to)
{
    ASSERT(to == TRANSPARENT_OVER || (t->state < countof(legal) && legal[t->state] & 1 << to));
    metrics_add(count_of(t->state), -1);
    if (to != TRANSPARENT_OVER) metrics_add(count_of(to), 1);
    t->state = to;
}

/* ---- the end ---- */

static struct cells cells = CELLS(struct transparent);

static void free_transparent(void *p) { cell_give(&cells, p); }

/* The connection is closed, or somebody else's. */
static void end(struct transparent *t, bool keep_conn)
{
    ASSERT(!t->r);
    if (t->state == TRANSPARENT_OVER) return;
    set_state(t, TRANSPARENT_OVER);
    task_cancel(&t->task);
    if (!keep_conn) conn_close(&t->conn);
    t->magic = 0;
    loop_free_later(free_transparent, t);
}

static void run_task(struct task *task)
{
    struct transparent *t = container_of(task, struct transparent, task);
    struct request *r = t->r;
    if (r) request_close(&r, t->why);
}

static void finish(struct transparent *t, const char *why)
{
    if (t->finishing || !t->r) return;
    t->finishing = true;
    t->why = why;
    task_post(&t->task);
}

static void abandon(struct transparent *t, int status, const char *why)
{
    t->broken = true;
    if (t->r && !t->r->out.head_sent) t->r->out.status = status;
    if (t->r) finish(t, why);
    else end(t, false);
}

static const struct http_core_conf *core_of(const struct transparent *t) { return t->r ? http_core(t->r) : conf_values(t->vhost->block, &http_core_module); }

/* What the client has said is taken off the socket first: closed with unread bytes it would be reset, and the alert lost with it.
 * RFC 8446 6.2: access_denied. */
static void say_denied(struct transparent *t)
{
    static const char alert[] = { 21, 3, 1, 0, 2, 2, 49 };
    char room[4096];
    struct chain out = CHAIN_EMPTY;
    for (size_t i = 0; i < PEEK_MOST / sizeof room + 1 && t->conn->readable; i++)
        if (conn_recv(t->conn, room, sizeof room).how != IO_OK) break;
    chain_add_copy(&out, text_of(alert, sizeof alert));
    conn_send(t->conn, &out, 0);
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
    if (name.n) t->vhost = vhost_find(t->at, name, NULL);
    struct request *r = t->r = request_open(t->conn, &protocol, t, t->vhost);
    metrics_add(METRIC_REQUESTS, 1);
    conn_set_idle(t->conn, false);
    timer_stop(&t->conn->timer);
    t->conn->about.doing = NULL;
    r->method = METHOD_CONNECT;
    r->method_name = T("CONNECT");
    r->form = REQUEST_AUTHORITY;
    r->version = TRANSPARENT_VERSION;
    r->uri = T("/");
    r->number = 1;
    set_target(r, &t->original.addr, name);
    set_state(t, TRANSPARENT_SERVING);
    if (!r->host.n) {
        request_log(r, L_INFO, 0, "client sent a server name that is none");
        request_go(r, v_reply(400));
    } else if (!t->vhost->forwards) request_go(r, v_reply(405));
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

static void lost(struct transparent *t, struct io_done d)
{
    log_at(t->conn->log, L_INFO, &t->conn->about, d.how == IO_ERROR ? t->conn->error : 0, "client prematurely closed connection");
    abandon(t, 400, "client closed");
}

static void hand_to_h1(struct transparent *t)
{
    struct conn *c = t->conn;
    struct request_original original = t->original;
    timer_stop(&c->timer);
    conn_set_idle(c, false);
    end(t, true);
    h1_accepted_for(c, &original);
}

/* A connection that weir opened itself. */
static bool refuse_circle(struct transparent *t)
{
    char room[ADDR_TEXT_MAX];
    struct build b = build_in_room(room, sizeof room);
    if (!circle_has(&t->conn->peer, &t->original.addr)) return false;
    addr_print(&b, &t->original.addr, false);
    log_at(t->conn->log, L_ERR, &t->conn->about, 0, "a connection of weir's own to %.*s was led back here by netfilter: its rules must leave out what weir itself opens", (int) b.n, b.p);
    end(t, false);
    return true;
}

/* Nothing is read, so the next edge comes with the next byte. */
static void look(struct transparent *t)
{
    static char room[PEEK_MOST];
    struct peeked hello = { .name = { NULL, 0 } };
    const char *why;
    struct io_done d = conn_peek(t->conn, room, sizeof room);
    if (d.how == IO_AGAIN) return;
    if (d.how != IO_OK) {
        lost(t, d);
        return;
    }
    enum speech what = look_at(text_of(room, d.n), &hello, &why);
    if (refuse_circle(t)) return;
    if (what == SPEAKS_MORE && t->conn->hangup) lost(t, (struct io_done) { IO_EOF, 0 });
    else if (what == SPEAKS_HTTP) hand_to_h1(t);
    else if (what == SPEAKS_TLS) serve(t, REQUEST_SAID_TLS, hello.name);
    else if (what == SPEAKS_OTHER) {
        log_at(t->conn->log, L_INFO, &t->conn->about, 0, "client sent %s", why);
        serve(t, REQUEST_SAID_UNKNOWN, T(""));
    }
}

/* ---- the connection ---- */

static void timed_out(struct transparent *t)
{
    if (!t->conn->timedout) log_at(t->conn->log, L_INFO, &t->conn->about, ETIMEDOUT, "client timed out");
    abandon(t, t->conn->place == CONN_CUT ? 499 : 408, "timeout");
}

static void ready(struct conn *c, unsigned what)
{
    struct transparent *t = c->owner;
    NEED(t, TRANSPARENT_MAGIC);
    if (what & CONN_TIMEOUT) {
        timed_out(t);
        return;
    }
    if (!(what & CONN_READ) || t->finishing) return;
    if (t->state == TRANSPARENT_LOOKING) look(t);
    else if (t->state == TRANSPARENT_SERVING && c->hangup && t->r && !t->r->closing) {
        log_at(t->r->log, L_INFO, t->r->about, 0, "client prematurely closed connection");
        abandon(t, 499, "client closed");
    }
}

static void describe(struct build *b, void *arg)
{
    struct transparent *t = arg;
    if (t->magic != TRANSPARENT_MAGIC || !t->conn) return;
    if (t->r) {
        request_describe(b, t->r);
        return;
    }
    build_lit(b, ", client: ");
    addr_print(b, &t->conn->peer, true);
    build_lit(b, ", server: ");
    addr_print(b, &t->at->addr, false);
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
    log_at(t->conn->log, L_ERR, &t->conn->about, 0, "a connection to %.*s, where weir itself listens, is not let through: netfilter leads no connection here from elsewhere, or in a circle", (int) b.n, b.p);
    end(t, false);
}

void transparent_accepted(struct conn *c)
{
    struct transparent *t = cell_take(&cells);
    t->magic = TRANSPARENT_MAGIC;
    metrics_add(count_of(TRANSPARENT_LOOKING), 1);
    t->conn = c;
    c->owner = t;
    c->ready = ready;
    t->at = vhost_addr_of(c);
    t->vhost = t->at->fallback;
    t->original.addr = conn_original(c);
    t->task.run = run_task;
    c->log = t->vhost->self->log;
    c->about.describe = describe;
    c->about.arg = t;
    c->about.doing = "looking at what a client says";
    if (is_own(&t->original.addr)) {
        refuse_own(t);
        return;
    }
    if (vhost_is_opaque(t->vhost, addr_port(&t->original.addr))) {
        if (!refuse_circle(t)) serve(t, REQUEST_SAID_OPAQUE, T(""));
        return;
    }
    timer_set(&c->timer, core_of(t)->client_header_timeout.ms);
    conn_set_idle(c, true);
    if (c->readable) look(t);
}

/* ---- protocol ---- */

static void head(struct request *r) { (void) r; }      /* all that is said of it: body, tunnel */

static void informational(struct request *r, int status, const struct fields *f) { (void) r, (void) status, (void) f; }

static void body(struct request *r, struct chain *in, enum body_end end_is)
{
    struct transparent *t = r->stream;
    NEED(t, TRANSPARENT_MAGIC);
    chain_clear(in);
    if (end_is == BODY_MORE) return;
    if (t->state == TRANSPARENT_SERVING && !t->broken && t->original.said == REQUEST_SAID_TLS && request_status(r) < 500) say_denied(t);
    finish(t, t->state == TRANSPARENT_TUNNEL ? "tunnel ended" : "refused");
}

static size_t room(struct request *r) { (void) r; return CHUNK_LARGE; }

static void want_body(struct request *r) { (void) r; }

static void ended(struct request *r, const char *why)
{
    struct transparent *t = r->stream;
    (void) why;
    NEED(t, TRANSPARENT_MAGIC);
    t->r = NULL;
    end(t, false);
}

static struct conn *tunnel(struct request *r, struct chain *early_out)
{
    struct transparent *t = r->stream;
    (void) early_out;
    NEED(t, TRANSPARENT_MAGIC);
    if (t->state != TRANSPARENT_SERVING || t->broken || t->finishing) return NULL;
    set_state(t, TRANSPARENT_TUNNEL);
    timer_stop(&t->conn->timer);
    return t->conn;
}

static void swap(void *stream, struct request *r)
{
    struct transparent *t = stream;
    NEED(t, TRANSPARENT_MAGIC);
    ASSERT(t->state == TRANSPARENT_TUNNEL);
    t->r = r;
}

static const struct request_original *original(const struct request *r)
{
    const struct transparent *t = r->stream;
    NEED(t, TRANSPARENT_MAGIC);
    return &t->original;
}

static const struct protocol protocol = {
    .name = "transparent", .head = head, .informational = informational, .body = body, .room = room, .want_body = want_body, .ended = ended,
    .tunnel = tunnel, .swap = swap, .original = original,
};
