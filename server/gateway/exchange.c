#include "gateway/exchange.h"
#include "gateway/head.h"
#include "gateway/tunnel.h"
#include "upstream/idle.h"
#include "upstream/outlier.h"
#include "wire/method.h"
#include <errno.h>

static const struct { const char *name, *doing; unsigned next; } states[] = {
    [EXCHANGE_OPEN]       = { "open",       NULL,                                            1 << EXCHANGE_QUEUED | 1 << EXCHANGE_CONNECTING | 1 << EXCHANGE_WAITING | 1 << EXCHANGE_OVER },
    [EXCHANGE_QUEUED]     = { "queued",     "waiting for a free upstream",                   1 << EXCHANGE_CONNECTING | 1 << EXCHANGE_WAITING | 1 << EXCHANGE_OVER },
    [EXCHANGE_PAUSED]     = { "paused",     "waiting to ask another upstream",               1 << EXCHANGE_QUEUED | 1 << EXCHANGE_CONNECTING | 1 << EXCHANGE_WAITING | 1 << EXCHANGE_OVER },
    [EXCHANGE_CONNECTING] = { "connecting", "connecting to upstream",                        1 << EXCHANGE_QUEUED | 1 << EXCHANGE_PAUSED | 1 << EXCHANGE_CONNECTING | 1 << EXCHANGE_WAITING | 1 << EXCHANGE_OVER },
    [EXCHANGE_WAITING]    = { "waiting",    "sending request to upstream",                   1 << EXCHANGE_QUEUED | 1 << EXCHANGE_PAUSED | 1 << EXCHANGE_CONNECTING | 1 << EXCHANGE_WAITING | 1 << EXCHANGE_PASSING | 1 << EXCHANGE_TUNNEL | 1 << EXCHANGE_OVER },
    [EXCHANGE_PASSING]    = { "passing",    "reading upstream",                              1 << EXCHANGE_OVER },
    [EXCHANGE_TUNNEL]     = { "tunnel",     "proxying upgraded connection",                  1 << EXCHANGE_OVER },
    [EXCHANGE_OVER]       = { "over",       NULL,                                            1 << EXCHANGE_OVER },
};

void exchange_doing(struct exchange *x, const char *what) { x->r->about->doing = what; }

void exchange_move(struct exchange *x, enum exchange_state to)
{
    NEED(x, EXCHANGE_MAGIC);
    ASSERT(states[x->state].next & 1u << to);
    log_at(x->r->log, L_DEBUG, x->r->about, 0, "exchange: %s to %s", states[x->state].name, states[to].name);
    x->state = to;
    exchange_doing(x, states[to].doing);
}

/* ---- what the request asks of its exchange ---- */

static void describe(struct request *r, struct build *b)
{
    const struct exchange *x = r->exchange;
    if (unlikely(x && x->hedge.rival && (x->hedge.failed || x->hedge.rival->hedge.speaks))) x = x->hedge.rival;
    if (!x || x->state == EXCHANGE_OVER || !x->target.group) return;
    build_lit(b, ", upstream: \"");
    build_text(b, x->target.scheme);
    build_lit(b, "://");
    struct text name = x->pick.peer ? x->pick.peer->name : x->target.group->name;
    build_text(b, name);
    if (text_starts(name, T("unix:"))) build_char(b, ':');
    build_text(b, x->target.uri);
    build_char(b, '"');
}

static void end(struct request *r)
{
    for (struct exchange *x = r->exchange; x; x = x->before) {
        exchange_release(x);
        pipe_end(x);
    }
}

/* Heads last as long as the request's pool: fields, what the log line says of them, and the uri after X-Accel-Redirect, may be
 * slices of them. */
static void drop_head(void *arg)
{
    struct exchange *x = arg;
    chunk_drop(&x->head);
}

static bool client_left(struct request *r)
{
    const struct gateway_conf *c = exchange_of(r)->conf;
    return c->ignore_client_abort.on || c->store.on;
}

static const struct exchange_ops ops = { .end = end, .describe = describe, .client_left = client_left };

/* ---- begin ---- */

void exchange_set_group(struct exchange *x, struct group *g)
{
    x->target.group = g;
    pick_open(&x->pick, g, x->r->pool, &x->r->eval);
    if (x->conf->next_tries && x->pick.tries > x->conf->next_tries) x->pick.tries = (uint32_t) x->conf->next_tries;
}

struct exchange *exchange_open(struct request *r, const struct gateway_protocol *proto, const struct gateway_conf *conf, const struct gateway_target *target, void *data)
{
    struct exchange *before = r->exchange, *x = pool_new(r->pool, struct exchange);
    x->magic = EXCHANGE_MAGIC;
    x->r = r;
    x->proto = proto;
    x->conf = conf;
    x->target = *target;
    x->data = data;
    x->buffering = conf->buffering.on;
    x->started_ms = clock_now.ms;
    if (before) {
        x->tries = before->tries;
        x->last = before->last;
        x->before = before;
        exchange_release(before);
        pipe_end(before);
    }
    pool_cleanup(r->pool, drop_head, x);
    r->exchange = x;
    r->exchange_ops = &ops;
    if (likely(target->group != NULL)) exchange_set_group(x, target->group);      /* else its name is to be looked up */
    return x;
}

struct exchange *exchange_remember(struct request *r, const struct gateway_conf *conf, const struct exchange_try *t)
{
    struct exchange *x = pool_new(r->pool, struct exchange);
    struct exchange_try *last = pool_new(r->pool, struct exchange_try);
    *last = *t;
    *x = (struct exchange) { .magic = EXCHANGE_MAGIC, .r = r, .conf = conf, .state = EXCHANGE_OVER, .tries = last, .last = last };
    r->exchange = x;
    r->exchange_ops = &ops;
    return x;
}

static void set_bind(struct exchange *x)
{
    const struct gateway_bind *b = x->conf->bind;
    if (likely(!b) || b->off) return;
    x->bind = b->addrs;
    if (!b->dynamic) return;
    struct text t = template_render(b->dynamic, &x->r->eval);
    struct addr *out = pool_array(x->r->pool, struct addr, 2);
    x->bind = NULL;
    if (!t.n) return;
    if (gateway_bind_parse(x->r->pool, t, out)) x->bind = out;
    else log_at(x->r->log, L_ERR, x->r->about, 0, "invalid local address \"%.*s\"", TEXT_ARG(t));
}

/* Our address towards the peer in hand: one of its family. NULL: the kernel's choice; for a unix socket always. */
static const struct addr *from_of(const struct exchange *x)
{
    for (int i = 0; i < 2 && unlikely(x->bind != NULL); i++)
        if (x->bind[i].family == x->pick.peer->addr.family) return &x->bind[i];
    return NULL;
}

static bool has_source(const struct exchange *x) { return likely(!x->bind) || from_of(x) || x->pick.peer->addr.family == AF_UNIX; }

static struct exchange_try *add_try(struct exchange *x, struct text name)
{
    struct exchange_try *t = pool_alloc(x->r->pool, sizeof *t);
    *t = (struct exchange_try) { .name = name, .started_ms = clock_now.ms, .queue_ms = -1, .connect_ms = -1, .header_ms = -1, .response_ms = -1 };
    t->redirected = x->last && x->last->started_ms && x->last->response_ms >= 0 && x->state == EXCHANGE_OPEN;
    struct exchange_try *end = x->last;
    while (end && end->next) end = end->next;        /* that of a rival (hedge.h) */
    if (end) end->next = t; else x->tries = t;
    return x->last = t;
}

void exchange_give_up(struct exchange *x, int status)
{
    struct exchange_try *t = add_try(x, x->target.group->name);
    t->status = status;
    t->response_ms = 0;
    t->queue_ms = queue_leave(x);
    exchange_fail(x, status);
}

/* What a request's first try and its second at once have in common. */
struct exchange *exchange_open_second(struct exchange *x)
{
    struct exchange *y = pool_new(x->r->pool, struct exchange);
    *y = (struct exchange) {
        .magic = EXCHANGE_MAGIC, .r = x->r, .proto = x->proto, .conf = x->conf, .target = x->target, .secure = x->secure, .keep_in = x->keep_in, .keep_tag = x->keep_tag,
        .keep = x->keep, .buffering = x->buffering, .bind = x->bind, .via = x->via, .started_ms = x->started_ms, .preface = x->preface, .before = x, .tries = x->tries, .last = x->last,
        .data = memcpy(pool_alloc(x->r->pool, x->proto->hedged), x->data, x->proto->hedged),
    };
    pick_open(&y->pick, x->pick.group, x->r->pool, &x->r->eval);
    y->pick.tried = x->pick.tried;
    y->pick.tries = 1;
    struct peer *p = pick_next(&y->pick);
    if (!p) return NULL;
    if (unlikely(x->pick.group->breaker != NULL) && !breaker_enter(y)) {
        pick_done(&y->pick, PEER_UNASKED, x->r->log, x->r->about);
        return NULL;
    }
    pool_cleanup(x->r->pool, drop_head, y);
    y->send = (struct send) { .head = x->send.head, .body_set = x->send.body_set };
    chain_share(&y->send.body, &x->send.body);
    add_try(y, p->name)->server = p->server;
    retry_second(y, x);
    return y;
}

struct verdict exchange_start(struct exchange *x)
{
    NEED(x, EXCHANGE_MAGIC);
    if (unlikely(!x->target.group)) return resolve_start(x);
    set_bind(x);
    if (unlikely(x->conf->preface != NULL)) preface_make(x);
    if (!x->proto->make_request(x)) {
        exchange_release(x);
        return v_reply(500);
    }
    send_prepare(x);
    retry_start(x);
    x->starting = true;
    if (likely(!x->pick.group->breaker) || breaker_enter(x)) exchange_next(x);
    else if (!exchange_hand_over(x)) exchange_give_up(x, 503);
    if (unlikely(x->conf->hedge.on) && x->proto->hedged) hedge_prepare(x);
    x->starting = false;
    if (unlikely(x->handed_over)) return v_next();
    return x->failed ? v_reply(x->failed) : v_over();
}

/* ---- one try ---- */

static int64_t since(const struct exchange_try *t) { return (int64_t) (clock_now.ms - t->started_ms); }

static void count_wire(struct exchange *x)
{
    if (!x->conn || !x->last) return;
    x->last->sent = x->conn->sent - x->conn_sent;
    x->last->received = x->conn->received - x->conn_received;
}

static void ready(struct conn *c, unsigned what);

void exchange_begin(struct exchange *x, struct conn *c)
{
    x->conn = c;
    c->owner = x;
    c->ready = ready;
    c->log = x->r->log;
    x->conn_sent = c->sent;
    x->conn_received = c->received;
    if (x->secure) c->about = *x->r->about;       /* TLS has lines of its own */
    x->last->connect_ms = since(x->last);
    exchange_move(x, EXCHANGE_WAITING);
    if (unlikely(x->proto->opened != NULL)) {
        x->proto->opened(x);
        return;
    }
    x->asked = true;
    if (unlikely(x->place.of != NULL)) breaker_asked(x);
    if (!send_start(x)) {
        exchange_broken(x, IO_ERROR, "send()");
        return;
    }
    if (send_done(&x->send)) exchange_doing(x, "reading response header from upstream");
    /* What came along with the end of the handshake, or with being connected, was told then: the end of it all, perhaps. */
    if (unlikely(c->readable)) conn_wake(c, CONN_READ);
    exchange_wait(x);
}

static void connect_ended(struct exchange *x, struct connect *k, enum connect_end how, int error)
{
    if (how == CONNECT_DONE) {
        struct conn *c = k->conn;
        k->conn = NULL;
        x->conn = c;
        if (unlikely(x->proto->connected != NULL)) x->proto->connected(x);
        if (unlikely(x->preface.tag != 0) && !preface_send(x)) retry(x, NEXT_ERROR);
        else if (unlikely(x->via != NULL) && !x->via->inside) via_start(x);
        else if (x->secure) secure_start(x);
        else exchange_begin(x, c);
        return;
    }
    if (how == CONNECT_TIMEOUT) {
        log_at(x->r->log, L_ERR, x->r->about, ETIMEDOUT, "upstream timed out");
        retry(x, NEXT_TIMEOUT);
        return;
    }
    log_at(x->r->log, L_ERR, x->r->about, error, "connect() failed");
    retry(x, NEXT_ERROR);
}

static void connected(struct connect *k, enum connect_end how, int error)
{
    struct exchange *x = container_of(k, struct exchange, connect);
    NEED(x, EXCHANGE_MAGIC);
    x->hedge.speaks = x->hedge.second;
    connect_ended(x, k, how, error);
    x->hedge.speaks = false;
}

static struct idle_key key_of(const struct exchange *x)
{
    return (struct idle_key) { .to = &x->pick.peer->addr, .from = from_of(x), .params = (x->secure ? x->secure->params : 0) ^ x->preface.tag ^ x->keep_tag };
}

/* What is not to be sent twice goes over a connection that is seen to be open just now: one call more. */
static struct conn *take_idle(struct exchange *x)
{
    struct group *g = x->keep_in ? x->keep_in : x->pick.group;
    if (x->fresh || !x->keep) return NULL;
    struct idle_key key = key_of(x);
    struct conn *c = idle_take(g, &key, &x->served);
    bool careful = !method_row(x->r->method)->idempotent || x->send.streaming;
    while (c && careful && !conn_is_quiet(c)) {
        conn_close(&c);
        c = idle_take(g, &key, &x->served);
    }
    return c;
}

void exchange_ask(struct exchange *x)
{
    if (unlikely(x->conf->timed)) retry_try_begins(x);
    x->asked = x->answered = false;
    x->proto->restart(x);
    struct conn *c = take_idle(x);
    x->reused = c != NULL;
    if (c) {
        exchange_begin(x, c);
        return;
    }
    x->served = 0;
    if (unlikely(x->place.of != NULL) && !breaker_connects(x)) {
        x->last->status = 503;
        exchange_end_try(x, PEER_UNASKED);
        if (unlikely(x->hedge.rival != NULL)) hedge_failed(x, NEXT_503);
        else if (!exchange_hand_over(x)) exchange_fail(x, 503);
        return;
    }
    exchange_move(x, EXCHANGE_CONNECTING);
    x->connect.done = connected;
    connect_start(&x->connect, &(struct connect_want) {
        .to = &x->pick.peer->addr, .from = from_of(x), .transparent = x->conf->bind && x->conf->bind->transparent,
        .sndbuf = (int) min_of(x->conf->socket_sndbuf.bytes, (uint64_t) INT32_MAX / 2), .rcvbuf = (int) min_of(x->conf->socket_rcvbuf.bytes, (uint64_t) INT32_MAX / 2),
        .keepalive = x->conf->socket_keepalive.on, .timeout_ms = x->conf->connect_timeout.ms, .log = x->r->log });
}

static bool is_allowed(struct exchange *x)
{
    const struct templates *all = &x->conf->allow;
    for (size_t i = 0; i < all->n; i++) {
        struct text t = template_render(all->v[i], &x->r->eval);
        if (!t.n || text_eq(t, T("0"))) return false;
    }
    return true;
}

/* What depends on the peer. False: the client has its answer. */
static bool adapt(struct exchange *x)
{
    if (x->conf->bind_dynamic.on) set_bind(x);
    if (!x->conf->request_dynamic.on || x->proto->make_request(x)) return true;
    exchange_end_try(x, PEER_UNASKED);
    exchange_fail(x, 500);
    return false;
}

/* The next peer that may be asked, or NULL: none is left. False: x waits for one, or the client has its answer. */
static bool find_peer(struct exchange *x, struct peer **out)
{
    for (;;) {
        bool queues = unlikely(x->pick.group->queue != NULL);
        bool waits = queues && queue_has_others(x);
        struct peer *p = *out = waits ? NULL : pick_next(&x->pick);
        if (!p && queues && (waits || x->pick.busy) && queue_join(x)) return false;
        int64_t waited = unlikely(queues) ? queue_leave(x) : -1;
        struct exchange_try *t = add_try(x, p ? p->name : x->target.group->name);
        t->queue_ms = waited;
        if (!p) return true;
        t->server = p->server;
        if (likely(!x->conf->dynamic)) return true;
        if (is_allowed(x)) return adapt(x);
        if (!retry_denied(x)) return false;
    }
}

void exchange_next(struct exchange *x)
{
    struct peer *p;
    for (;;) {
        if (!find_peer(x, &p)) return;
        if (!p) break;
        if (has_source(x)) {
            exchange_ask(x);
            return;
        }
        log_at(x->r->log, L_ERR, x->r->about, 0, "there is no local address of the family of %.*s", TEXT_ARG(p->name));
        x->last->status = 502;
        exchange_end_try(x, PEER_UNASKED);
    }
    struct exchange_try *t = x->last;
    exchange_doing(x, "connecting to upstream");
    log_at(x->r->log, L_ERR, x->r->about, 0, "no live upstreams");
    t->status = 502;
    t->response_ms = 0;
    if (!exchange_hand_over(x)) exchange_fail(x, 502);
}

bool exchange_hand_over(struct exchange *x)
{
    struct request *r = x->r;
    if (likely(!x->proto->another) || !x->proto->another(x)) return false;
    if (!x->asked) x->send.streaming = false;      /* the body is for the next one */
    exchange_release(x);
    x->handed_over = true;
    if (x->starting) return true;
    request_go(r, v_wait());
    request_resume(r);
    return true;
}

/* ---- its end ---- */

/* What the try in hand came to; the connection is closed unless it was put away before. */
static void count_answer(const struct exchange *x)
{
    const struct exchange_try *t = x->last;
    bool whole = t->header_ms >= 0;       /* an answer of the peer's, not a status of ours */
    peer_count_answer(x->pick.peer->state, &(struct peer_answer) {
        .status = t->status, .sent = t->sent, .received = t->received, .header_ms = t->header_ms, .response_ms = whole ? t->response_ms : -1 });
}

void exchange_end_try(struct exchange *x, enum peer_verdict how)
{
    connect_cancel(&x->connect);
    if (unlikely(x->via_run != NULL)) via_stop(x);
    count_wire(x);
    conn_close(&x->conn);
    if (x->last && x->pick.peer && x->last->response_ms < 0) x->last->response_ms = since(x->last);
    if (unlikely(x->place.of != NULL) && x->pick.peer) breaker_tell(x, how);
    if (unlikely(x->pick.group->outlier != NULL) && x->pick.peer) outlier_tell(&x->pick, how, x->last->header_ms >= 0 ? x->last->status : 0, x->last->header_ms);
    if (unlikely(pick_counts(&x->pick))) count_answer(x);
    pick_done(&x->pick, how, x->r->log, x->r->about);
    if (unlikely(x->pick.group->queue != NULL)) queue_wake(x->pick.group);
}

void exchange_again(struct exchange *x)
{
    conn_close(&x->conn);
    x->fresh = true;
    exchange_ask(x);
}

void exchange_replay(struct exchange *x)
{
    log_at(x->r->log, L_INFO, x->r->about, 0, "upstream had closed a kept connection, asking again on a new one");
    exchange_again(x);
}

/* TLS has told of its own errors. */
void exchange_say_broken(const struct exchange *x, enum io how, const char *call)
{
    if (how == IO_EOF) log_at(x->r->log, L_ERR, x->r->about, 0, "upstream prematurely closed connection");
    else if (x->conn->error != EPROTO || !x->secure) log_at(x->r->log, L_ERR, x->r->about, x->conn->error, "%s failed", call);
}

void exchange_broken(struct exchange *x, enum io how, const char *call)
{
    if (!retry_was_stale(x, NEXT_ERROR)) exchange_say_broken(x, how, call);
    retry(x, NEXT_ERROR);
}

void exchange_fail(struct exchange *x, int status)
{
    struct request *r = x->r;
    exchange_release(x);
    if (x->starting) x->failed = status;
    else request_fail(r, status);
}

void exchange_release(struct exchange *x)
{
    NEED(x, EXCHANGE_MAGIC);
    if (x->state == EXCHANGE_OVER) return;
    if (unlikely(x->conf->hedge.on)) hedge_end(x);
    if (x->relay) relay_end(x->relay);
    if (unlikely(x->resolving != NULL)) resolve_end(x);
    send_stop(x);
    if (unlikely(x->conf->timed)) timer_end(&x->retry.timer);
    if (likely(x->pick.group != NULL)) exchange_end_try(x, x->answered ? PEER_WELL : PEER_UNASKED);
    if (unlikely(x->place.of != NULL)) breaker_leave(x);
    if (unlikely(x->queued.in)) queue_leave(x);
    exchange_move(x, EXCHANGE_OVER);
}

void exchange_done(struct exchange *x)
{
    bool whole = send_done(&x->send);
    count_wire(x);
    if (x->keep && x->up.keepalive && whole && x->conn) {
        struct idle_key key = key_of(x);
        timer_stop(&x->conn->timer);
        x->conn->about = (struct log_about) { .number = x->conn->about.number };
        idle_put(x->keep_in ? x->keep_in : x->pick.group, &key, x->served + 1, &x->conn);
    }
    exchange_release(x);
}

/* ---- the connection says something ---- */

void exchange_wait(struct exchange *x)
{
    if (x->conn && !x->pipe.delayed) timer_set(&x->conn->timer, (chain_empty(&x->send.out) ? x->conf->read_timeout : x->conf->send_timeout).ms);
}

static void time_out(struct exchange *x)
{
    log_at(x->r->log, L_ERR, x->r->about, ETIMEDOUT, "upstream timed out");
    if (x->state == EXCHANGE_PASSING) pipe_break(x);
    else retry(x, NEXT_TIMEOUT);
}

static void react(struct exchange *x, struct conn *c, unsigned what)
{
    if (what & CONN_TIMEOUT) {
        if (!pipe_delayed(x)) time_out(x);
        return;
    }
    if (what & CONN_WRITE && !chain_empty(&x->send.out)) {
        /* It may have answered before it closed: that is read first. */
        if (!send_resume(x)) c->readable = 1;
        else if (x->state == EXCHANGE_WAITING && send_done(&x->send)) exchange_doing(x, "reading response header from upstream");
        exchange_wait(x);
    }
    if (!c->readable) return;
    if (x->state == EXCHANGE_WAITING) head_read(x);
    else if (x->state == EXCHANGE_PASSING) pipe_run(x);
}

static void ready(struct conn *c, unsigned what)
{
    struct exchange *x = c->owner;
    NEED(x, EXCHANGE_MAGIC);
    x->hedge.speaks = x->hedge.second;
    react(x, c, what);
    x->hedge.speaks = false;
}
