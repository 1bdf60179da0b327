/* h1_write: heads in nginx's order of fields, bodies in their framing, and what the socket takes of them. */
#include "http/h1_conn.h"
#include "http/page.h"
#include "process/cycle.h"
#include "wire/date.h"
#include "wire/scan.h"
#include <errno.h>

enum { OUT_MOST = 262144, HEAD_USUAL = 1024 };

/* ---- the head ---- */

static bool may_keep(const struct h1 *h, const struct request *r)
{
    const struct http_core_conf *core = http_core(r);
    if (!r->keepalive || !core->keepalive_timeout.ms || process_quitting) return false;
    if (h->requests >= (uint64_t) core->keepalive_requests) return false;
    if (clock_now.ms - h->conn->started_ms > core->keepalive_time.ms) return false;
    return !(core->keepalive_disable & (KEEPALIVE_MSIE6 | KEEPALIVE_SAFARI)) || !page_browser_breaks_keepalive(r);
}

/* RFC 9110 9.3.6: no framing and no content: bytes both ways follow the head. */
static bool opens_tunnel(const struct request *r) { return r->method == METHOD_CONNECT && r->out.status / 100 == 2; }

/* RFC 9112 6.3: how the body's end will be told. */
static void choose_framing(struct h1 *h, struct request *r)
{
    struct response *o = &r->out;
    h->keep = may_keep(h, r);
    h->chunked = h->by_length = false;
    if (o->no_body || o->status == 101) return;
    if (unlikely(opens_tunnel(r))) {
        h->keep = false;
        return;
    }
    bool may_chunk = r->version >= 1001 && http_core(r)->chunked_transfer_encoding.on;
    if (may_chunk && (o->length < 0 || o->expect_trailers || o->trailers.n)) {       /* RFC 9112 7.1.2: trailers need chunks */
        h->chunked = true;
        o->length = -1;
    } else if (o->length >= 0) {
        h->by_length = true;
        h->left = (uint64_t) o->length;
    } else {
        h->keep = false;
    }
}

static void put_field(struct build *b, struct text name, struct text value)
{
    build_text(b, name);
    build_lit(b, ": ");
    build_text(b, value);
    build_lit(b, "\r\n");
}

static void put_status(struct build *b, const struct response *o)
{
    struct text reason = o->reason.n ? o->reason : response_reason(o->status);
    build_lit(b, "HTTP/1.1 ");
    build_u64(b, (uint64_t) o->status);
    build_char(b, ' ');
    build_text(b, reason);
    build_lit(b, "\r\n");
}

static void put_type(struct build *b, const struct response *o)
{
    build_lit(b, "Content-Type: ");
    build_text(b, o->type);
    if (o->charset.n) {
        build_lit(b, "; charset=");
        build_text(b, o->charset);
    }
    build_lit(b, "\r\n");
}

static void put_connection(struct build *b, const struct h1 *h, const struct request *r)
{
    const struct http_core_conf *core = http_core(r);
    if (unlikely(opens_tunnel(r))) return;
    if (r->out.status == 101) {
        build_lit(b, "Connection: upgrade\r\n");
        return;
    }
    if (!h->keep) {
        build_lit(b, "Connection: close\r\n");
        return;
    }
    build_lit(b, "Connection: keep-alive\r\n");
    if (!core->keepalive_timeout.header_ms) return;
    build_lit(b, "Keep-Alive: timeout=");
    build_u64(b, core->keepalive_timeout.header_ms / 1000);
    build_lit(b, "\r\n");
}

/* Values made of variables may have a line end in them ("return 301 https://x$uri"): such a field is not sent. */
static void put_clean(struct build *b, const struct request *r, struct text name, struct text value)
{
    if (likely(!scan_breaks_line(value.p, value.p + value.n))) put_field(b, name, value);
    else request_log(r, L_ERR, 0, "a value with a line end is not sent in the response field \"%.*s\"", TEXT_ARG(name));
}

/* A line end in a location came out of a decoded uri: encoded again it is what the client asked for. */
static void put_location(struct build *b, const struct request *r)
{
    struct text to = r->out.location;
    build_lit(b, "Location: ");
    if (likely(!scan_breaks_line(to.p, to.p + to.n))) build_text(b, to);
    else for (size_t i = 0; i < to.n; i++) {
        if ((unsigned char) to.p[i] < 0x20) build_fmt(b, "%%%02X", (unsigned char) to.p[i]);
        else build_char(b, to.p[i]);
    }
    build_lit(b, "\r\n");
}

static void put_fields(struct build *b, const struct request *r, const struct fields *f)
{
    for (unsigned i = 0; i < f->n; i++) put_clean(b, r, f->v[i].name, f->v[i].value);
}

static void put_server(struct build *b, struct request *r)
{
    struct text name = page_server(r);
    if (likely(http_core(r)->server_tokens.how != TOKENS_TEXT)) put_field(b, T("Server"), name);
    else if (name.n) put_clean(b, r, T("Server"), name);
}

static void put_known(struct build *b, struct request *r)
{
    const struct response *o = &r->out;
    char date[DATE_LENGTH];
    if (!o->has_server) put_server(b, r);
    if (!o->has_date) put_field(b, T("Date"), clock_http());
    if (o->type.n) put_type(b, o);
    if (o->length >= 0 && o->status != 204) {
        build_lit(b, "Content-Length: ");
        build_u64(b, (uint64_t) o->length);
        build_lit(b, "\r\n");
    }
    if (o->modified >= 0 && !o->has_modified) put_field(b, T("Last-Modified"), date_format(date, o->modified));
    if (o->location.n && o->location_made) put_location(b, r);
}

/* How files go, over a connection without TLS. */
static void choose_reading(struct conn *c, const struct http_core_conf *core)
{
    uint64_t most = (uint64_t) core->output_buffers.n * core->output_buffers.size;
    c->read_size = core->sendfile.on ? 0 : core->output_buffers.size;
    c->read_most = (uint32_t) min_of(most, (uint64_t) UINT32_MAX);
}

void h1_write_head(struct request *r)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    if (h->state != H1_SERVING || h->broken || h->gone) return;      /* it ends this turn; nothing may be left for the next request */
    const struct response *o = &r->out;
    struct build b = build_in_pool(r->pool, HEAD_USUAL, 0);
    choose_framing(h, r);
    choose_reading(h->conn, http_core(r));
    if (r->version == 9) {
        h->keep = false;
        return;
    }
    put_status(&b, o);
    put_known(&b, r);
    if (h->chunked) build_lit(&b, "Transfer-Encoding: chunked\r\n");
    put_connection(&b, h, r);
    if (o->etag.n) put_field(&b, T("ETag"), o->etag);
    if (o->location.n && !o->location_made) put_location(&b, r);
    put_fields(&b, r, &o->fields);
    build_lit(&b, "\r\n");
    r->out.head_bytes = (uint32_t) b.n;
    chain_add_text(&h->out, build_done(&b));
}

void h1_write_informational(struct request *r, int status, const struct fields *f)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    if (r->version < 1001 || r->out.head_sent || h->state != H1_SERVING || h->broken || h->gone) return;    /* RFC 9110 15.2 */
    struct response o = { .status = status };
    struct build b = build_in_pool(r->pool, 0, 0);
    put_status(&b, &o);
    if (f) put_fields(&b, r, f);
    build_lit(&b, "\r\n");
    chain_add_text(&h->out, build_done(&b));
    h1_write_flush(h);
}

/* ---- the body ---- */

static void frame_chunk(struct h1 *h, struct chain *in)
{
    char head[CHUNKED_HEAD_MOST];
    if (!in->bytes) {
        chain_clear(in);
        return;
    }
    chain_add_copy(&h->out, text_of(head, chunked_head(head, in->bytes)));
    chain_move(&h->out, in);
    chain_add_text(&h->out, T("\r\n"));
}

static void end_chunks(struct h1 *h, struct request *r)
{
    if (!r->out.trailers.n) {
        chain_add_text(&h->out, T(CHUNKED_LAST));
        return;
    }
    struct build b = build_in_pool(r->pool, 0, 0);
    build_lit(&b, "0\r\n");
    put_fields(&b, r, &r->out.trailers);
    build_lit(&b, "\r\n");
    chain_add_text(&h->out, build_done(&b));
}

/* No more than was announced; *end becomes BROKEN where less came. */
static void frame_length(struct h1 *h, struct request *r, struct chain *in, enum body_end *end)
{
    uint64_t n = min_of(in->bytes, h->left);
    if (in->bytes > h->left) request_log(r, L_ERR, 0, "a response is longer than its Content-Length, the rest is dropped");
    chain_move_bytes(&h->out, in, n);
    chain_clear(in);
    h->left -= n;
    if (*end == BODY_FINAL && h->left) *end = BODY_BROKEN;
}

void h1_write_body(struct request *r, struct chain *in, enum body_end end)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    if (h->state != H1_SERVING || h->broken || h->gone) {
        chain_clear(in);
        if (h->state == H1_TUNNEL && end != BODY_MORE) h1_finish(h, "tunnel ended");
        if (h->gone && end != BODY_MORE) h1_abandon(h, "client closed", false);
        return;
    }
    if (!r->out.head_sent) {
        chain_clear(in);
        h1_abandon(h, "no answer", http_core(r)->reset_timedout_connection.on);
        return;
    }
    if (h->chunked) frame_chunk(h, in);
    else if (h->by_length) frame_length(h, r, in, &end);
    else chain_move(&h->out, in);
    if (end == BODY_FINAL && h->chunked) end_chunks(h, r);
    if (end == BODY_BROKEN) {
        h->keep = false;
        h->cut = true;
        h->reset |= !h->chunked && !h->by_length && !r->out.no_body;      /* nothing else tells the client */
    }
    h->final |= end != BODY_MORE;
    h1_write_flush(h);
}

size_t h1_write_room(struct request *r)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    if (h->gone) return OUT_MOST;
    return h->out.bytes < OUT_MOST ? OUT_MOST - h->out.bytes : 0;
}

/* ---- sending ---- */

struct conn *h1_write_straight(struct request *r)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    bool ready = h->state == H1_SERVING && h->by_length && !h->broken && !h->gone && !h->out.bytes && r->out.head_sent;
    return ready ? h->conn : NULL;
}

static void blocked(struct h1 *h, size_t sent)
{
    if (!sent && timer_is_set(&h->write_timer)) return;
    timer_set(&h->write_timer, http_core(h->r)->send_timeout.ms);
}

void h1_write_went(struct request *r, size_t n, bool is_blocked)
{
    struct h1 *h = r->stream;
    NEED(h, H1_MAGIC);
    ASSERT(n <= h->left);
    h->left -= n;
    r->out.body_bytes += n;
    if (is_blocked) blocked(h, n);
    else if (timer_is_set(&h->write_timer)) timer_stop(&h->write_timer);
}

bool h1_write_flush(struct h1 *h)
{
    struct conn *c = h->conn;
    if (h->broken || !h->r) return false;
    if (h->out.bytes) {
        if (!c->writable) return true;
        size_t most = h->out.last->file || h->out.first->file ? http_core(h->r)->sendfile_max_chunk.bytes : 0;
        struct io_done d = conn_send(c, &h->out, most);
        if (d.how == IO_ERROR) {
            c->about.doing = "sending response to client";
            if (c->error != EPROTO || !tls_is_on(c)) log_at(c->log, c->error == ECONNRESET || c->error == EPIPE ? L_INFO : L_ERR, &c->about, c->error, "send() failed");
            c->about.doing = NULL;
            h->gone = h->r->exchange && h->r->exchange_ops->client_left && h->r->exchange_ops->client_left(h->r) && !h->final;
            if (h->gone) chain_clear(&h->out);
            else h1_abandon(h, "client closed", false);
            return false;
        }
        if (d.how == IO_AGAIN) {
            blocked(h, d.n);
            return true;
        }
        if (h->out.bytes) {         /* others first */
            conn_wake(c, CONN_WRITE);
            return true;
        }
        if (timer_is_set(&h->write_timer)) timer_stop(&h->write_timer);
    }
    if (!h->final) return true;
    h->r->out.complete = !h->cut;
    h1_finish(h, h->cut ? "broken off" : "done");
    return true;
}
