#include "http/h1.h"
#include "http/h1_conn.h"
#include "base/cell.h"
#include "os/metrics.h"
#include "process/cycle.h"
#include <errno.h>

/* state → states that may follow */
static const uint8_t legal[] = {
    [H1_IDLE]    = 1 << H1_HEAD | 1 << H1_SECURING | 1 << H1_OVER,
    [H1_SECURING] = 1 << H1_IDLE | 1 << H1_OVER,
    [H1_HEAD]    = 1 << H1_SERVING | 1 << H1_OVER,
    [H1_SERVING] = 1 << H1_IDLE | 1 << H1_LINGER | 1 << H1_TUNNEL | 1 << H1_OVER,
    [H1_LINGER]  = 1 << H1_OVER,
    [H1_TUNNEL]  = 1 << H1_OVER,
};

/* How a connection in this state is counted. */
static const uint8_t counted[] = {
    [H1_IDLE] = METRIC_CONNECTIONS_WAITING, [H1_HEAD] = METRIC_CONNECTIONS_READING, [H1_SERVING] = METRIC_CONNECTIONS_WRITING,
    [H1_LINGER] = METRIC_CONNECTIONS_WRITING, [H1_TUNNEL] = METRIC_CONNECTIONS_WRITING,
};

void h1_set_state(struct h1 *h, enum h1_state s)
{
    ASSERT(h->state < countof(legal) && legal[h->state] & 1 << s);
    metrics_add(counted[h->state], -1);
    if (s != H1_OVER) metrics_add(counted[s], 1);
    h->state = s;
}

static struct http_core_conf *core_of(const struct h1 *h)
{
    return h->r ? http_core(h->r) : conf_values(h->vhost->block, &http_core_module);
}

/* ---- the end ---- */

static struct cells cells = CELLS(struct h1);

static void free_h1(void *p)
{
    cell_give(&cells, p);
}

static void end(struct h1 *h)
{
    ASSERT(!h->r);
    h1_set_state(h, H1_OVER);
    chunk_drop(&h->in);
    chain_clear(&h->out);
    timer_end(&h->write_timer);
    task_cancel(&h->task);
    if (h->reset) conn_reset(&h->conn);
    else conn_close(&h->conn);
    free(h->proxy);
    free(h->original);
    h->magic = 0;
    loop_free_later(free_h1, h);
}

/* ---- after a request ---- */


void h1_wait(struct h1 *h)
{
    const struct http_core_conf *core = conf_values(h->vhost->block, &http_core_module);
    uint64_t ms = h->requests ? h->keep_ms : core->client_header_timeout.ms;
    chunk_drop(&h->in);
    h->from = h->to = 0;
    h->size = CHUNK_SMALL;
    h->conn->about.doing = h->requests ? "keepalive" : "waiting for request";
    timer_set(&h->conn->timer, ms);
    conn_set_idle(h->conn, true);
}

static void linger(struct h1 *h, const struct http_core_conf *core)
{
    h1_set_state(h, H1_LINGER);
    h->linger_until = clock_now.ms + core->lingering_time.ms;
    h->linger_ms = (uint32_t) min_of(core->lingering_timeout.ms, (uint64_t) UINT32_MAX);
    h->conn->about.doing = "closing request";
    conn_shutdown(h->conn);
    timer_set(&h->conn->timer, core->lingering_timeout.ms);
    if (h->conn->readable) conn_wake(h->conn, CONN_READ);
}

static bool wants_linger(const struct h1 *h, const struct http_core_conf *core)
{
    if (h->reset || h->conn->hangup || h->conn->error || core->lingering_close == LINGERING_OFF) return false;
    return core->lingering_close == LINGERING_ALWAYS || h->linger || h->from < h->to || h->conn->readable;
}

/* From request_close. */
static void ended(struct request *r, const char *why)
{
    struct h1 *h = r->stream;
    const struct http_core_conf *core = http_core(r);
    (void) why;
    NEED(h, H1_MAGIC);
    h->r = NULL;
    h->reading = NULL;
    h->body = NULL;
    timer_stop(&h->conn->timer);
    timer_stop(&h->write_timer);
    if (h->state == H1_SERVING && h->keep && !h->broken) {          /* as the client was told, even where a QUIT came after it */
        ASSERT(!h->out.bytes);
        h->keep_min_ms = (uint32_t) min_of(core->keepalive_min_timeout.ms, (uint64_t) UINT32_MAX);
        h->keep_ms = (uint32_t) min_of(core->keepalive_timeout.ms, (uint64_t) UINT32_MAX);
        h1_set_state(h, H1_IDLE);
        h->conn->log = h->vhost->self->log;
        if (core->tcp_nodelay.on) conn_set_nodelay(h->conn, true);
        if (h->from == h->to && !h->conn->readable) h1_wait(h);
        return;
    }
    if (h->state == H1_SERVING && !h->broken && wants_linger(h, core)) linger(h, core);
    else end(h);
}

/* The response is out, but the client still sends its body: it is read and dropped, so that the next request is found. */
static bool start_draining(struct h1 *h)
{
    const struct http_core_conf *core = http_core(h->r);
    if (h->draining || h->broken || !h->keep || h1_body_complete(h)) return false;
    h->draining = true;
    h->linger_until = clock_now.ms + core->lingering_time.ms;
    timer_set(&h->conn->timer, core->lingering_timeout.ms);
    reqbody_discard(h->r);
    return !h1_body_complete(h) && h->r->body && !h->r->body->broken;
}

static void finish(struct h1 *h)
{
    h->done = false;
    if (start_draining(h)) return;
    h->done = false;        /* the last of the body may have come just now */
    if (!h1_body_complete(h)) h->keep = false, h->linger = true;
    h->draining = false;
    struct request *r = h->r;      /* h->r stays until ended(): log lines on the way there are about it */
    request_close(&r, h->why);
}

enum { REQUESTS_A_TURN = 32 };

static void run_task(struct task *t)
{
    struct h1 *h = container_of(t, struct h1, task);
    unsigned n = 0;
    h->in_task = true;
    if (h->body_failed) h1_body_answer(h);
    while (h->done && n++ < REQUESTS_A_TURN) {
        finish(h);
        if (h->state == H1_IDLE && (h->from < h->to || h->conn->readable)) h1_take(h);
        if (h->state == H1_OVER) return;
    }
    h->in_task = false;
    if (h->done) task_post(&h->task);
}

void h1_finish(struct h1 *h, const char *why)
{
    if (h->done || !h->r) return;
    h->done = true;
    h->why = why;
    if (!h->in_task) task_post(&h->task);
}

void h1_abandon(struct h1 *h, const char *why, bool reset)
{
    h->keep = false;
    h->broken = true;
    h->reset |= reset;
    if (h->r) h1_finish(h, why);
    else if (h->state != H1_OVER) end(h);
}

/* ---- reading ---- */

/* Nobody else holds the bytes that were read. */
static bool is_alone(const struct chunk *c)
{
    return c->refs == 1;
}

/* Room to read into: the buffer's rest, or a new buffer when it is used up (a part of a head is moved by h1_head_move). */
static void make_room(struct h1 *h)
{
    if (h->in && h->from == h->to) {
        if (is_alone(h->in) && h->in->size >= h->size) h->from = h->to = 0;
        else if (h->to == h->in->size || h->in->size < h->size) chunk_drop(&h->in);
    }
    if (h->in && h->to < h->in->size) return;
    if (h->in && h->state == H1_HEAD) {
        h1_head_move(h);
        return;
    }
    ASSERT(!h->in || h->from == h->to);
    chunk_drop(&h->in);
    h->in = chunk_open(h->size);
    h->from = h->to = 0;
}

/* Without context, as nginx. */
static void say_closed_keepalive(struct conn *c, int err)
{
    char room[ADDR_TEXT_MAX];
    struct build b = build_in_room(room, sizeof room);
    struct log_about about = { .number = c->about.number };
    if (likely(c->log->level < L_INFO)) return;
    addr_print(&b, &c->peer, true);
    log_at(c->log, L_INFO, &about, err, "client %.*s closed keepalive connection", TEXT_ARG(build_done(&b)));
}

static void lost(struct h1 *h, struct io_done d)
{
    struct conn *c = h->conn;
    if (d.how == IO_ERROR && c->error == EPROTO && tls_is_on(c)) /* TLS has said why */;
    else if (d.how == IO_ERROR && c->error != ECONNRESET) log_at(c->log, L_ERR, &c->about, c->error, "recv() failed");
    else if (h->state == H1_IDLE && h->requests) say_closed_keepalive(c, d.how == IO_ERROR ? c->error : 0);
    else if (h->state == H1_IDLE) log_at(c->log, L_INFO, &c->about, d.how == IO_ERROR ? c->error : 0, "client closed connection");
    else log_at(c->log, L_INFO, &c->about, d.how == IO_ERROR ? c->error : 0, "client prematurely closed connection");
    if (h->r && !h->r->out.head_sent) h->r->out.status = 400;      /* in the middle of a head or a body */
    h1_abandon(h, "client closed", false);
}

bool h1_fill(struct h1 *h)
{
    if (!h->conn->readable) return false;
    make_room(h);
    size_t room = h->in->size - h->to;
    struct io_done d = conn_recv(h->conn, h->in->data + h->to, room);
    if (d.how == IO_OK) {
        h->to += (uint32_t) d.n;
        if (d.n == room && h->size < CHUNK_HUGE) h->size = h->size < CHUNK_USUAL ? CHUNK_USUAL : h->size * 4;
        return true;
    }
    if (d.how != IO_AGAIN) lost(h, d);
    return false;
}

/* The PROXY header, which comes before the first request. False: it is not there yet, or the connection was ended. */
static bool take_proxied(struct h1 *h)
{
    size_t used;
    struct conn *c = h->conn;
    while (!h->proxied) {
        if (!h1_fill(h)) return false;
        switch (proxied_read(h->in->data + h->from, h->to - h->from, &h->proxy, &used)) {
        case PROXIED_MORE:
            break;
        case PROXIED_DONE:
            h->from += (uint32_t) used;
            h->proxied = true;
            break;
        case PROXIED_BAD:
            c->about.doing = "reading PROXY protocol";
            log_at(c->log, L_ERR, &c->about, 0, "broken header: \"%.*s\"", (int) min_of(h->to - h->from, 128u), h->in->data + h->from);
            h1_abandon(h, "broken PROXY header", false);
            return false;
        }
    }
    return true;
}

static void notice(struct h1 *h);

/* Heads, until one is complete or no more has come. */
void h1_take(struct h1 *h)
{
    conn_set_idle(h->conn, false);
    if (unlikely(!h->proxied) && !take_proxied(h)) return;
    if (unlikely(!h->secured)) {
        h1_tls_begin(h);
        return;
    }
    while (h->state == H1_IDLE || h->state == H1_HEAD) {
        if (h->from == h->to || h->starved) {
            if (!h1_fill(h)) break;
        }
        h->starved = false;
        enum h1_took t = h1_head_take(h);
        if (t != H1_TOOK_MORE) {
            if (unlikely(h->conn->hangup) && h->state == H1_SERVING && h->r) notice(h);      /* it came with the request */
            return;
        }
        h->starved = true;
    }
    if (h->state == H1_OVER) return;
    h->starved = false;
    if (h->state == H1_IDLE) h1_wait(h);
    if (h->state == H1_HEAD && !h->timed) {
        h->timed = true;
        timer_set(&h->conn->timer, core_of(h)->client_header_timeout.ms);
    }
    if (h->state == H1_HEAD) h->starved = true;
}

/* The client said all that it will: it may still be reading, or be gone, which sending will show. Who waits for an upstream
 * server, or for anything else before the response, waits for it in vain; a response of our own is sent to its end. */
static bool goes_on(const struct h1 *h)
{
    if (h->r->sub_count) return false;       /* what its subrequests wait for, upstream servers mostly, is not for it any more */
    const struct exchange_ops *x = h->r->exchange ? h->r->exchange_ops : NULL;
    return x ? x->client_left && x->client_left(h->r) : h->r->out.head_sent;
}

static void give_up(struct h1 *h)
{
    log_at(h->r->log, L_INFO, h->r->about, 0, "client prematurely closed connection");
    if (!h->r->out.head_sent) h->r->out.status = 499;
    h1_abandon(h, "client closed", false);
}

/* Something came while a request is served: its body, the next request, or the client's end. */
static void notice(struct h1 *h)
{
    if (h->r->closing || h->done) return;
    if (!h1_body_complete(h)) {
        h1_body_read(h);
        return;
    }
    if (h->conn->hangup && !h->gone && !goes_on(h)) give_up(h);
}

static void drop_rest(struct h1 *h)
{
    const size_t most = 65536;
    chunk_drop(&h->in);
    h->size = CHUNK_USUAL;
    for (size_t n = 0; n < most && h->conn->readable;) {
        make_room(h);
        struct io_done d = conn_recv(h->conn, h->in->data, h->in->size);
        if (d.how == IO_EOF || d.how == IO_ERROR) {
            end(h);
            return;
        }
        n += d.n;
    }
    chunk_drop(&h->in);
    uint64_t left = h->linger_until > clock_now.ms ? h->linger_until - clock_now.ms : 0;
    if (!left) end(h);
    else if (h->conn->readable) conn_wake(h->conn, CONN_READ);
    else timer_set(&h->conn->timer, min_of(left, (uint64_t) h->linger_ms));
}

static void read_more(struct h1 *h)
{
    if (h->state == H1_IDLE || h->state == H1_HEAD) h1_take(h);
    else if (h->state == H1_SERVING) notice(h);
    else if (h->state == H1_LINGER) drop_rest(h);
    else if (h->state == H1_SECURING) h1_tls_notice(h);
}

/* ---- time ---- */

static void say_timeout(struct h1 *h)
{
    log_at(h->conn->log, L_INFO, &h->conn->about, ETIMEDOUT, "client timed out");
}

/* keepalive_min_timeout: told to close (for room, or since the worker ends), but not before that time. */
static bool is_promised(struct h1 *h)
{
    uint64_t due = h->conn->timer.due, idle_since = due > h->keep_ms ? due - h->keep_ms : 0;
    if (!h->conn->timedout || !h->requests || !h->keep_min_ms || !timer_is_set(&h->conn->timer)) return false;
    if (idle_since + h->keep_min_ms <= clock_now.ms) return false;
    h->keep_ms = (uint32_t) (idle_since + h->keep_min_ms - clock_now.ms);
    timer_set(&h->conn->timer, h->keep_ms);
    h->keep_min_ms = 0;
    return true;
}

/* worker_shutdown_timeout: as if the client had left. */
static void cut(struct h1 *h)
{
    if (h->state == H1_OVER) return;
    if (h->r && !h->r->out.head_sent) h->r->out.status = 499;
    h1_abandon(h, "cut off", false);
}

/* A graceful end does not break handshakes off; want of room does. */
static bool keeps_securing(struct h1 *h)
{
    if (!h->conn->timedout || !process_quitting) return false;
    h->conn->timedout = 0;
    timer_set(&h->conn->timer, core_of(h)->client_header_timeout.ms);
    return true;
}

static void timed_out(struct h1 *h)
{
    bool reset = core_of(h)->reset_timedout_connection.on;
    switch (h->state) {
    case H1_IDLE:
        if (is_promised(h)) return;
        if (!h->requests && !h->conn->timedout) say_timeout(h);
        h1_abandon(h, "idle", reset && !h->requests);
        break;
    case H1_SECURING:
        if (keeps_securing(h)) return;
        if (!h->conn->timedout) say_timeout(h);
        h1_abandon(h, "timeout", reset);
        break;
    case H1_HEAD:
        say_timeout(h);
        if (h->r) h->r->out.status = 408;
        h1_abandon(h, "timeout", reset);
        break;
    case H1_SERVING:
        if (h->draining) h1_abandon(h, "timeout", false);
        else h1_body_timeout(h);
        break;
    default:
        h1_abandon(h, "lingered", false);
    }
}

static void write_timed_out(struct timer *t)
{
    struct h1 *h = container_of(t, struct h1, write_timer);
    h->conn->about.doing = "sending response to client";
    say_timeout(h);
    h1_abandon(h, "timeout", core_of(h)->reset_timedout_connection.on);
}

static void write_more(struct h1 *h)
{
    struct request *r = h->r;
    if (h->state != H1_SERVING || !h1_write_flush(h) || h->done || !r || r->closing) return;
    response_more(r);
}

static void ready(struct conn *c, unsigned what)
{
    struct h1 *h = c->owner;
    NEED(h, H1_MAGIC);
    if (what & CONN_TIMEOUT) {
        if (c->place == CONN_CUT) cut(h);
        else timed_out(h);
        return;
    }
    if (what & CONN_WRITE) write_more(h);
    if (what & CONN_READ && h->state != H1_OVER) read_more(h);
}

/* ---- log lines ---- */

static void describe(struct build *b, void *arg)
{
    struct h1 *h = arg;
    if (h->magic != H1_MAGIC || !h->conn) return;
    if (h->r) {
        request_describe(b, h->r);
        return;
    }
    build_lit(b, ", client: ");
    addr_print(b, &h->conn->peer, true);
    build_lit(b, ", server: ");
    addr_print(b, &h->at->addr, false);
}

/* ---- protocol ---- */

static struct conn *tunnel(struct request *r, struct chain *early_out)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    if (!h1_body_complete(h)) return NULL;
    h1_set_state(h, H1_TUNNEL);
    h->keep = false;
    if (h->in) chain_add_chunk(early_out, h->in, h->in->data + h->from, h->to - h->from);
    chunk_drop(&h->in);
    h->from = h->to = 0;
    timer_stop(&h->conn->timer);
    return h->conn;
}

static void swap(void *stream, struct request *r)
{
    struct h1 *h = stream;
    NEED(h, H1_MAGIC);
    ASSERT(h->state == H1_TUNNEL);
    h->r = r;
    h->reading = NULL;
    h->body = NULL;
}

static const struct request_original *original(const struct request *r)
{
    const struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    return h->original;
}

const struct protocol h1_protocol = {
    .name = "HTTP/1.1", .head = h1_write_head, .informational = h1_write_informational, .body = h1_write_body, .room = h1_write_room,
    .want_body = h1_body_want, .ended = ended, .tunnel = tunnel, .swap = swap, .original = original,
    .straight = h1_write_straight, .went = h1_write_went,
};

/* ---- the beginning ---- */

void h1_accepted(struct conn *c) { h1_accepted_for(c, NULL); }

void h1_accepted_for(struct conn *c, const struct request_original *original_address)
{
    struct h1 *h = cell_take(&cells);
    h->magic = H1_MAGIC;
    metrics_add(METRIC_CONNECTIONS_WAITING, 1);
    h->conn = c;
    c->owner = h;
    c->ready = ready;
    h->at = vhost_addr_of(c);
    h->vhost = h->at->fallback;
    h->task.run = run_task;
    h->write_timer.fire = write_timed_out;
    h->proxied = !h->at->proxy_protocol;
    h->secured = !h->at->tls;
    if (original_address) {
        h->original = base_alloc(sizeof *h->original);
        *h->original = *original_address;
    }
    c->log = h->vhost->self->log;
    c->about.describe = describe;
    c->about.arg = h;
    h->size = CHUNK_SMALL;
    h1_wait(h);
    if (c->readable) h1_take(h);
}
