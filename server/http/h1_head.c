/* h1_head: from bytes to a request that may run. What is wrong is told to the client, with one line in the log. */
#include "http/h1_conn.h"
#include "os/metrics.h"
#include "wire/uri.h"
#include "wire/value.h"

enum { HEAD_TOO_LARGE = 494 };   /* nginx's own code; clients see 400 */

static void drop_chunk(void *p)
{
    struct chunk *c = p;
    chunk_drop(&c);
}

/* The bytes of this buffer stay as long as the request. */
static void keep_buffer(struct h1 *h)
{
    pool_cleanup(h->r->pool, drop_chunk, chunk_hold(h->in));
}

static void start(struct h1 *h)
{
    struct conn *c = h->conn;
    struct request *r = h->r = request_open(c, &h1_protocol, h, h->vhost);
    const struct http_core_conf *core = http_core(r);
    h1_set_state(h, H1_HEAD);
    metrics_add(METRIC_REQUESTS, 1);
    h->reading = pool_new(r->pool, struct h1_reading);
    h1_begin(&h->reading->parse, H1_REQUEST);
    h->reading->room = core->client_header_buffer_size.bytes;
    c->about.doing = "reading client request line";
    h->keep = h->broken = h->chunked = h->by_length = h->linger = h->timed = h->final = h->cut = h->gone = false;
    r->number = ++h->requests;
    r->pipelined = h->from > 0 && r->number > 1;
    r->proxied = h->proxy;
}

void h1_head_move(struct h1 *h)
{
    struct h1_parse *p = &h->reading->parse;
    struct chunk *old = h->in;
    size_t from = h->from + p->line, n = h->to - from, size = CHUNK_USUAL;
    while (size < n + CHUNK_SMALL) size *= 2;
    if (p->line) keep_buffer(h);
    h->in = chunk_open(size);
    memcpy(h->in->data, old->data + from, n);
    chunk_drop(&old);
    h->reading->start = 0;
    h1_rebase(p, p->line);
    h->from = 0;
    h->to = (uint32_t) n;
}

/* ---- what is wrong ---- */

static enum h1_took refuse(struct h1 *h, int status)
{
    struct request *r = h->r;
    h->linger = true;
    if (timer_is_set(&h->conn->timer)) timer_stop(&h->conn->timer);
    keep_buffer(h);
    h1_set_state(h, H1_SERVING);
    h1_body_begin(h, (struct framing) { .kind = FRAMING_NONE });
    r->keepalive = false;
    h->conn->about.doing = NULL;
    request_go(r, v_reply(status));
    return H1_TOOK_BAD;
}

static enum h1_took refuse_fault(struct h1 *h, enum fault f)
{
    const struct fault_row *row = fault_row(f);
    request_log(h->r, L_INFO, 0, "client sent %s", row->words);
    return refuse(h, row->status);
}

/* A line of n bytes is complete, or (more) begins with n bytes: would nginx's buffers hold it? RFC 9110 5.4, 15.5.15. */
static bool fits(struct h1 *h, size_t n, bool more)
{
    struct h1_reading *g = h->reading;
    const bufs *large = &http_core(h->r)->large_client_header_buffers;
    if (more ? n < g->room : n <= g->room) {
        if (!more) g->room -= n;
        return true;
    }
    if (more ? n >= large->size : n > large->size) return false;
    if (g->used >= large->n) return false;
    if (more) return true;
    g->used++;
    g->room = large->size - n;
    return true;
}

/* What there is of a line that could not be read. An answer to HEAD has no body, that of a refusal neither: RFC 9110 9.3.2 */
static void note_line(struct request *r, struct text line)
{
    r->line = line;
    if (!text_starts(line, T("HEAD "))) return;
    r->method = METHOD_HEAD;
    r->method_name = T("HEAD");
}

static enum h1_took refuse_size(struct h1 *h, size_t n)
{
    struct request *r = h->r;
    const char *line = h->in->data + h->from + h->reading->start;
    if (!h->reading->has_line) {
        note_line(r, text_of(line, min_of(n, (size_t) http_core(r)->large_client_header_buffers.size)));
        request_log(r, L_INFO, 0, "client sent too long URI");
        return refuse(h, 414);
    }
    if (n < http_core(r)->large_client_header_buffers.size) request_log(r, L_INFO, 0, "client sent too large request");
    else request_log(r, L_INFO, 0, "client sent too long header line: \"%.*s...\"", (int) min_of(n, (size_t) 1000), line);
    return refuse(h, HEAD_TOO_LARGE);
}

/* ---- the request line ---- */

/* The host of an absolute target or of a Host field. */
static bool set_host(struct request *r, struct text value, const char *where, enum fault *f)
{
    struct uri_host host;
    *f = uri_host(value, r->pool, &host);
    if (*f != FAULT_NONE) {
        request_log(r, L_INFO, 0, "client sent invalid host %s", where);
        return false;
    }
    r->host = host.name;
    r->host_port = host.port;
    return true;
}

/* CONNECT: RFC 9110 9.3.6: host and port, both. What is wrong is told when the head is complete: there is no host then. */
static enum h1_took take_authority(struct request *r, struct text target)
{
    struct uri_host host;
    r->form = REQUEST_AUTHORITY;
    r->uri = T("/");
    if (uri_host(target, r->pool, &host) != FAULT_NONE || !host.port) return H1_TOOK_MORE;
    r->host = host.name;
    r->host_port = host.port;
    return H1_TOOK_MORE;
}

void h1_head_line(struct request *r, const struct h1_request_line *line)
{
    r->line = line->line;
    r->method = line->method;
    r->method_name = line->method_name;
    r->version = line->version;
    r->target = line->form != H1_ABSOLUTE ? line->target : text_starts(line->path, T("/")) ? line->path
              : pool_printf(r->pool, "/%.*s", TEXT_ARG(line->path));     /* $request_uri has no host, as in nginx */
}

static enum h1_took take_line(struct h1 *h)
{
    struct request *r = h->r;
    const struct h1_request_line *line = &h->reading->line;
    struct uri u;
    enum fault f;
    h1_head_line(r, line);
    h->reading->has_line = true;
    h->conn->about.doing = "reading client request headers";
    if (line->form == H1_ASTERISK) return refuse_fault(h, FAULT_TARGET);
    if (line->form == H1_AUTHORITY) return take_authority(r, line->authority);
    f = uri_parse(line->path, http_core(r)->merge_slashes.on, r->pool, &u);
    if (f != FAULT_NONE) return refuse_fault(h, f);
    request_take_uri(r, &u);
    if (likely(line->form != H1_ABSOLUTE)) return H1_TOOK_MORE;
    r->form = REQUEST_ABSOLUTE;
    r->asked_scheme = line->scheme;
    if (!set_host(r, line->authority, "in request line", &f)) return refuse(h, 400);
    return H1_TOOK_MORE;
}

/* ---- fields ---- */

/* Which of two is meant nobody can say: one reader takes the first, another the last. */
static bool comes_once(enum field_id id)
{
    switch (id) {
    case FIELD_IF_MODIFIED_SINCE: case FIELD_IF_UNMODIFIED_SINCE: case FIELD_IF_MATCH: case FIELD_IF_NONE_MATCH: case FIELD_IF_RANGE:
    case FIELD_CONTENT_RANGE: case FIELD_AUTHORIZATION: case FIELD_PROXY_AUTHORIZATION: case FIELD_EXPECT: return true;
    default: return false;
    }
}

static enum h1_took take_field(struct h1 *h, const struct field *f)
{
    struct request *r = h->r;
    const struct http_core_conf *core = http_core(r);
    if (++h->reading->lines > (uint64_t) core->max_headers) {
        request_log(r, L_INFO, 0, "client sent too many header lines");
        return refuse(h, HEAD_TOO_LARGE);
    }
    if (unlikely(f->bad_name || f->has_underscore) && core->ignore_invalid_headers.on && (f->bad_name || !core->underscores_in_headers.on)) {
        request_log(r, L_INFO, 0, "client sent invalid header line: \"%.*s: %.*s\"", TEXT_ARG(f->name), TEXT_ARG(f->value));
        return H1_TOOK_MORE;
    }
    if (unlikely(f->id == FIELD_HOST && r->in_at[FIELD_HOST])) {
        request_log(r, L_INFO, 0, "client sent duplicate host header: \"Host: %.*s\", previous value: \"Host: %.*s\"",
                    TEXT_ARG(f->value), TEXT_ARG(request_value(r, FIELD_HOST)));
        return refuse(h, 400);
    }
    if (f->id != FIELD_OTHER && unlikely(r->in_at[f->id]) && comes_once(f->id)) {
        request_log(r, L_INFO, 0, "client sent duplicate header line: \"%.*s: %.*s\", previous value: \"%.*s: %.*s\"",
                    TEXT_ARG(f->name), TEXT_ARG(f->value), TEXT_ARG(f->name), TEXT_ARG(request_value(r, f->id)));
        return refuse(h, 400);
    }
    request_take_field(r, f);
    return H1_TOOK_MORE;
}

/* ---- the whole head ---- */

/* RFC 9112 9.3 */
static bool wants_keepalive(const struct request *r)
{
    bool keep = r->version >= 1001;
    if (!r->in_at[FIELD_CONNECTION]) return keep;
    for (unsigned i = r->in_at[FIELD_CONNECTION] - 1u; i < r->in.n; i++) {
        if (r->in.v[i].id != FIELD_CONNECTION) continue;
        if (text_eq_nocase(r->in.v[i].value, T("keep-alive"))) {      /* nearly always */
            keep = true;
            continue;
        }
        if (value_has(r->in.v[i].value, T("close"))) return false;
        keep |= value_has(r->in.v[i].value, T("keep-alive"));
    }
    return keep;
}

/* For a proxy: RFC 9112 3.2: a Host that is no host is wrong even where the target counts; RFC 9110 9.3.6, 9.3.8: no content. */
static bool is_forwardable(struct request *r, struct text host, const struct framing *g)
{
    struct uri_host ignored;
    bool bare = r->method == METHOD_CONNECT || r->method == METHOD_TRACE;
    const char *why = !r->host.n ? "CONNECT without host and port" : r->in_at[FIELD_HOST] && uri_host(host, r->pool, &ignored) != FAULT_NONE ? "invalid host in header"
                    : bare && g->kind != FRAMING_NONE && g->length != 0 ? "a method with a body that it cannot have" : NULL;
    if (why) request_log(r, L_INFO, 0, "client sent %s", why);
    return !why;
}

static enum h1_took take_head(struct h1 *h)
{
    struct request *r = h->r;
    const struct h1_request_line *line = &h->reading->line;
    enum fault f;
    struct text host = request_value(r, FIELD_HOST);
    if (r->in_at[FIELD_HOST] && likely(line->form == H1_ORIGIN) && !set_host(r, host, "header", &f)) return refuse(h, 400);
    if (!r->in_at[FIELD_HOST] && r->version > 1000) {
        request_log(r, L_INFO, 0, "client sent HTTP/1.1 request without \"Host\" header");
        return refuse(h, 400);
    }
    struct vhost *v = vhost_find(h->at, r->host, &r->eval);
    if (h->at->tls && h1_tls_misdirected(h, v)) return refuse(h, 421);
    if (v != r->vhost) request_set_vhost(r, v);
    int refused = h->at->tls ? h1_tls_check(h, v) : 0;
    if (unlikely(refused)) return refuse(h, refused);
    if (unlikely(r->method == METHOD_CONNECT || r->method == METHOD_TRACE) && !(v->forwards && r->form != REQUEST_ORIGIN)) {
        request_log(r, L_INFO, 0, "client sent %.*s method", TEXT_ARG(r->method_name));
        return refuse(h, 405);
    }
    struct framing g = framing_request(r->version, r->in.v, r->in.n);
    if (g.kind == FRAMING_BAD) return refuse_fault(h, g.fault);
    if (unlikely(r->form != REQUEST_ORIGIN) && v->forwards && !is_forwardable(r, host, &g)) return refuse(h, 400);
    r->in_length = g.length;
    r->in_chunked = g.kind == FRAMING_CHUNKED;
    r->keepalive = !g.close && wants_keepalive(r);
    h->linger = g.kind != FRAMING_NONE;
    keep_buffer(h);
    h1_set_state(h, H1_SERVING);
    h1_body_begin(h, g);
    if (timer_is_set(&h->conn->timer)) timer_stop(&h->conn->timer);
    h->conn->about.doing = NULL;
    request_run(r);
    return H1_TOOK_HEAD;
}

/* The bytes up to at are done with. */
static void use(struct h1 *h, size_t at)
{
    h->r->in_bytes += at - h->reading->start;
    h->reading->start = at;
}

static enum h1_took take_lines(struct h1 *h, const char *buf, size_t len)
{
    struct h1_reading *g = h->reading;
    for (;;) {
        struct field f;
        enum h1_result got = h1_field(&g->parse, buf, len, &f);
        if (got == H1_BAD) return refuse_fault(h, g->parse.fault);
        if (got == H1_MORE) return fits(h, len - g->start, true) ? H1_TOOK_MORE : refuse_size(h, len - g->start);
        if (!fits(h, g->parse.at - g->start, false)) return refuse_size(h, g->parse.at - g->start);
        use(h, g->parse.at);
        if (got == H1_END) {
            h->from += (uint32_t) g->parse.at;
            return take_head(h);
        }
        enum h1_took t = take_field(h, &f);
        if (t != H1_TOOK_MORE) return t;
    }
}

static struct text line_at(const char *p, size_t n)
{
    size_t end = 0;
    while (end < n && p[end] != '\r' && p[end] != '\n') end++;
    return text_of(p, end);
}

enum h1_took h1_head_take(struct h1 *h)
{
    if (h->state == H1_IDLE) start(h);
    struct h1_reading *g = h->reading;
    const char *buf = h->in->data + h->from;
    size_t len = h->to - h->from;
    if (!g->has_line) {
        enum h1_result got = h1_request_line(&g->parse, buf, len, &g->line);
        if (got == H1_BAD) {
            note_line(h->r, line_at(buf + g->parse.line, len - g->parse.line));
            return refuse_fault(h, g->parse.fault);
        }
        if (got == H1_MORE) return fits(h, len - g->start, true) ? H1_TOOK_MORE : refuse_size(h, len - g->start);
        if (!fits(h, g->parse.at - g->start, false)) return refuse_size(h, g->parse.at - g->start);
        use(h, g->parse.at);
        enum h1_took t = take_line(h);
        if (t != H1_TOOK_MORE) return t;
        if (h->r->version == 9) {
            h->from += (uint32_t) g->parse.at;
            return take_head(h);
        }
    }
    return take_lines(h, buf, len);
}
