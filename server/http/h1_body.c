/* h1_body: the request's body from the connection's buffer, as far as its reader has room (RFC 9112 6 and 7). */
#include "http/h1_conn.h"
#include "wire/value.h"
#include <errno.h>

enum { TRAILERS_MOST = 8192, DISCARD_MOST = 65536 };

void h1_body_begin(struct h1 *h, struct framing f)
{
    h->body = NULL;
    if (f.kind != FRAMING_LENGTH && f.kind != FRAMING_CHUNKED) return;
    h->body = pool_new(h->r->pool, struct h1_body);
    h->body->kind = f.kind;
    if (f.kind == FRAMING_LENGTH) h->body->left = (uint64_t) f.length;
    if (f.kind != FRAMING_CHUNKED) return;
    h->body->chunked = pool_new(h->r->pool, struct chunked);
    chunked_begin(h->body->chunked);
}

bool h1_body_complete(const struct h1 *h)
{
    return !h->body || h->body->kind == FRAMING_NONE;
}

/* The whole body was read. */
static void complete(struct h1 *h, struct chain *in)
{
    h->body->kind = FRAMING_NONE;
    h->linger = false;
    if (timer_is_set(&h->conn->timer)) timer_stop(&h->conn->timer);
    reqbody_take(h->r, in, BODY_FINAL);
}

static void fail(struct h1 *h, int status, struct chain *in)
{
    h->keep = false;
    h->r->keepalive = false;
    h->linger = true;
    h->r->body->status = status;
    reqbody_take(h->r, in, BODY_BROKEN);
}

/* n bytes at the buffer's front are the body's. */
static void slice(struct h1 *h, struct chain *in, const char *p, size_t n)
{
    if (n) chain_add_chunk(in, h->in, p, n);
}

static void use(struct h1 *h, size_t n)
{
    h->from += (uint32_t) n;
    h->r->in_bytes += n;
}

/* What is in the buffer goes to the reader. True: there is more to do. */
static bool give_length(struct h1 *h, size_t room)
{
    struct chain in = CHAIN_EMPTY;
    struct h1_body *b = h->body;
    size_t n = min_of((size_t) (h->to - h->from), room);
    n = min_of(n, b->left);
    slice(h, &in, h->in->data + h->from, n);
    use(h, n);
    b->left -= n;
    if (!b->left) {
        complete(h, &in);
        return false;
    }
    reqbody_take(h->r, &in, BODY_MORE);
    return true;
}

/* RFC 9110 6.5.1: what a trailer must not say is dropped, and 7.6.1: what Connection names. False: there are too many. */
static bool take_trailer(struct h1 *h, const struct field *f)
{
    struct request *r = h->r;
    if (++h->body->trailers > (uint64_t) http_core(r)->max_headers) {
        request_log(r, L_INFO, 0, "client sent too many trailer lines");
        return false;
    }
    bool bad = f->bad_name || (f->has_underscore && !http_core(r)->underscores_in_headers.on);
    if (bad || field_is(f->id, F_NO_TRAILER) || value_nominates(r->in.v, r->in.n, f->name)) return true;
    fields_add(&r->in_trailers, r->pool, f->id, f->name, f->value);
    return true;
}

static bool give_chunked(struct h1 *h, size_t room)
{
    struct chain in = CHAIN_EMPTY;
    struct chunked *c = h->body->chunked;
    while (room) {
        size_t used = 0, n = min_of((size_t) (h->to - h->from), room + 64);
        struct text data = T("");
        enum chunked_result got = chunked_next(c, h->in->data + h->from, n, &used, &data);
        use(h, used);
        switch (got) {
        case CHUNKED_DATA:
            slice(h, &in, data.p, data.n);
            room -= min_of(room, data.n);
            continue;
        case CHUNKED_ROOM:
            chunked_room(c, pool_bytes(h->r->pool, TRAILERS_MOST), TRAILERS_MOST);
            continue;
        case CHUNKED_TRAILER:
            if (take_trailer(h, &c->trailer)) continue;
            fail(h, fault_row(FAULT_TRAILERS_LARGE)->status, &in);
            return false;
        case CHUNKED_END:
            complete(h, &in);
            return false;
        case CHUNKED_BAD:
            request_log(h->r, L_INFO, 0, "client sent %s", fault_row(c->fault)->words);
            fail(h, fault_row(c->fault)->status, &in);
            return false;
        case CHUNKED_MORE:
            reqbody_take(h->r, &in, BODY_MORE);
            return true;
        }
    }
    reqbody_take(h->r, &in, BODY_MORE);
    return true;
}

static void wait_for_more(struct h1 *h)
{
    const struct http_core_conf *core = http_core(h->r);
    if (!h->draining) {
        timer_set(&h->conn->timer, core->client_body_timeout.ms);
        return;
    }
    if (h->linger_until <= clock_now.ms) h1_abandon(h, "lingered", false);
    else timer_set(&h->conn->timer, min_of(core->lingering_timeout.ms, h->linger_until - clock_now.ms));
}

static void read_all(struct h1 *h)
{
    struct request *r = h->r;
    size_t room;
    while (!r->closing && !h1_body_complete(h) && r->body && !r->body->broken) {
        if (!(room = reqbody_room(r))) {
            if (timer_is_set(&h->conn->timer)) timer_stop(&h->conn->timer);      /* the client waits for us */
            return;
        }
        if (h->from == h->to && !h1_fill(h)) {
            if (h->state == H1_SERVING && !h->broken) wait_for_more(h);
            return;
        }
        if (!(h->body->kind == FRAMING_LENGTH ? give_length(h, room) : give_chunked(h, room))) break;
    }
    if (h->draining && !r->closing) h1_finish(h, "done");
}

/* Whoever streams the body is told of its end only; the client is answered by the task. */
static void note_failure(struct h1 *h)
{
    const struct reqbody *b = h->r ? h->r->body : NULL;
    if (!b || !b->broken || !b->status || b->way != REQBODY_STREAM || h->body_failed) return;
    h->body_failed = true;
    task_post(&h->task);
}

void h1_body_answer(struct h1 *h)
{
    struct request *r = h->r;
    h->body_failed = false;
    if (!r || r->closing || h->broken || h->done) return;
    h->keep = r->keepalive = false;
    if (r->exchange) r->exchange_ops->end(r);
    request_fail(r, r->body->status);
}

void h1_body_read(struct h1 *h)
{
    if (h1_body_complete(h) || h->body->reading) return;
    h->body->reading = true;
    struct h1_body *b = h->body;
    read_all(h);
    b->reading = false;
    note_failure(h);
}

void h1_body_want(struct request *r)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    if (h->state == H1_SERVING && h->body && !r->closing) h1_body_read(h);
}

void h1_body_timeout(struct h1 *h)
{
    struct chain none = CHAIN_EMPTY;
    if (h1_body_complete(h) || !h->r->body) return;
    h->conn->about.doing = "reading client request body";
    log_at(h->conn->log, L_INFO, &h->conn->about, ETIMEDOUT, "client timed out");
    h->conn->about.doing = NULL;
    h->reset = http_core(h->r)->reset_timedout_connection.on;
    fail(h, 408, &none);
    note_failure(h);
}
