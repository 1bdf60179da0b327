/* proxy_head: the head of a proxied request: compiled from proxy_set_header and the defaults, written in one pass. */
#include "modules/proxy.h"
#include "http/reqbody.h"
#include "wire/scan.h"
#include "wire/uri.h"
#include "wire/value.h"

/* TEXT: whole lines. VALUE: text is "Name: ", the line is left out when the value is empty. */
enum part_kind { PART_TEXT, PART_VALUE, PART_HOST, PART_CONNECTION, PART_LENGTH, PART_CHUNKED };
struct part { enum part_kind kind; struct text text; struct template *value; };

struct proxy_head {
    struct part   *parts;
    size_t         n, cap;
    size_t         bytes;                                /* of constant text, for a guess of the size */
    uint64_t       own[(FIELD_COUNT + 63) / 64];         /* the client's fields of these ids are not passed */
    struct text   *others;                               /* nor those of these names */
    size_t         other_count, other_cap;
    const struct proxy_header *made_of;
};

/* ---- compile ---- */

static void add_part(struct conf *cf, struct proxy_head *h, struct part p)
{
    if (h->n == h->cap) h->parts = pool_grow(cf->pool, h->parts, h->n, &h->cap, sizeof *h->parts);
    h->parts[h->n++] = p;
    h->bytes += p.text.n + 32;
}

static void add_text(struct conf *cf, struct proxy_head *h, struct text t)
{
    struct part *last = h->n ? &h->parts[h->n - 1] : NULL;
    if (last && last->kind == PART_TEXT) last->text = pool_printf(cf->pool, "%.*s%.*s", TEXT_ARG(last->text), TEXT_ARG(t));
    else add_part(cf, h, (struct part) { .kind = PART_TEXT, .text = t });
    h->bytes += t.n;
}

static bool takes_over(const struct proxy_head *h, enum field_id id) { return h->own[id >> 6] >> (id & 63) & 1; }

static void take_over(struct conf *cf, struct proxy_head *h, struct text name)
{
    enum field_id id = field_lookup(name);
    if (id != FIELD_OTHER) {
        h->own[id >> 6] |= 1ull << (id & 63);
        return;
    }
    if (h->other_count == h->other_cap) h->others = pool_grow(cf->pool, h->others, h->other_count, &h->other_cap, sizeof *h->others);
    h->others[h->other_count++] = name;
}

static void add_header(struct conf *cf, struct proxy_head *h, const struct proxy_header *line)
{
    take_over(cf, h, line->name);
    if (!template_is_constant(line->value))
        add_part(cf, h, (struct part) { .kind = PART_VALUE, .text = pool_printf(cf->pool, "%.*s: ", TEXT_ARG(line->name)), .value = line->value });
    else if (template_source(line->value).n)
        add_text(cf, h, pool_printf(cf->pool, "%.*s: %.*s\r\n", TEXT_ARG(line->name), TEXT_ARG(template_source(line->value))));
}

/* What is sent, or not, unless proxy_set_header says otherwise. */
static const struct { enum field_id id; int part; } defaults[] = {
    { FIELD_HOST, PART_HOST }, { FIELD_CONNECTION, PART_CONNECTION }, { FIELD_CONTENT_LENGTH, PART_LENGTH }, { FIELD_TRANSFER_ENCODING, PART_CHUNKED },
    { FIELD_TE, -1 }, { FIELD_KEEP_ALIVE, -1 }, { FIELD_EXPECT, -1 }, { FIELD_UPGRADE, -1 }, { FIELD_PROXY_CONNECTION, -1 }, { FIELD_HTTP2_SETTINGS, -1 },
};

conf_result proxy_head_compile(struct conf *cf, struct proxy_conf *c)
{
    /* Blocks one after the other mostly inherit the same lines: those are compiled once. */
    static struct { struct pool *pool; struct proxy_head *head; } last;
    if (last.pool == cf->pool && last.head->made_of == c->headers.v) {
        c->head = last.head;
        return NULL;
    }
    struct proxy_head *h = pool_new(cf->pool, struct proxy_head);
    h->made_of = c->headers.v;
    for (size_t i = 0; i < c->headers.n; i++) add_header(cf, h, &c->headers.v[i]);
    for (size_t i = 0; i < countof(defaults); i++) {
        if (takes_over(h, defaults[i].id)) continue;
        take_over(cf, h, field_row(defaults[i].id)->name);
        if (defaults[i].part >= 0) add_part(cf, h, (struct part) { .kind = defaults[i].part });
    }
    last = (__typeof__(last)) { cf->pool, h };
    c->head = h;
    return NULL;
}

static conf_result parse_header(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    struct proxy_headers *list = field;
    conf_result why = NULL;
    struct template *t = template_compile(cf, cf->words[2], &why);
    if (!t) return why;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = (struct proxy_header) { pool_text(cf->pool, cf->words[1]), t };
    return NULL;
}

const struct conf_type proxy_header_type = { "field value", sizeof(struct proxy_headers), CONF_MULTI, 2, 2, parse_header };

/* ---- the uri ---- */

/* The location's own part of the uri, which proxy_pass's uri takes the place of. */
static size_t replaced(const struct request *r, const struct proxy_request *q)
{
    struct text name = q->pass->location;
    return q->url.uri.n && r->valid_location ? min_of(name.n, r->uri.n) : 0;
}

struct text proxy_uri(struct request *r, const struct proxy_request *q)
{
    if (q->pass->dynamic && q->url.uri.n) return q->url.uri;
    if (!q->url.uri.n && r->valid_target) return r->target;
    struct text rest = text_from(r->uri, replaced(r, q));
    struct build b = build_in_pool(r->pool, q->url.uri.n + rest.n * 3 + r->args.n + 1, 0);
    if (r->valid_location) build_text(&b, q->url.uri);     /* else "rewrite … break" has made all of it */
    if (r->quoted_uri || r->internal) uri_escape(&b, rest, URI_ESCAPE_URI);
    else build_text(&b, rest);
    if (r->args.n) {
        build_char(&b, '?');
        build_text(&b, r->args);
    }
    return build_done(&b);
}

/* ---- the client's fields ---- */

static bool is_passed(const struct proxy_head *h, const struct field *f)
{
    if (f->id != FIELD_OTHER) return !takes_over(h, f->id);
    for (size_t i = 0; i < h->other_count; i++)
        if (text_eq_nocase(h->others[i], f->name)) return false;
    return true;
}

/* Fields that follow each other in the read buffer as they are to be written ("Name: value CRLF Name: …") go in one piece. */
static bool is_plain(const struct field *f)
{
    const char *end = f->name.p + f->name.n;
    return f->value.p == end + 2 && end[0] == ':' && end[1] == ' ';
}

static bool follows(const struct field *f, const struct field *next)
{
    const char *end = f->value.p + f->value.n;
    return next->name.p == end + 2 && end[0] == '\r' && end[1] == '\n' && is_plain(next);
}

static void put_field(struct build *b, const struct field *f)
{
    build_text(b, f->name);
    build_lit(b, ": ");
    build_text(b, f->value);
    build_lit(b, "\r\n");
}

/* RFC 9110 7.6.1: fields that Connection names are for the next hop only. */
static void put_client_fields(struct build *b, const struct request *r, const struct proxy_head *h)
{
    bool nominates = r->in_at[FIELD_CONNECTION] && value_nominates_any(r->in.v, r->in.n);
    for (unsigned i = 0; i < r->in.n; i++) {
        const struct field *f = &r->in.v[i];
        if (!is_passed(h, f) || (unlikely(nominates) && value_nominates(r->in.v, r->in.n, f->name))) continue;
        if (!is_plain(f) || nominates) {
            put_field(b, f);
            continue;
        }
        const char *from = f->name.p;
        while (i + 1 < r->in.n && follows(f, f + 1) && is_passed(h, f + 1)) f = &r->in.v[++i];
        build_text(b, text_of(from, (size_t) (f->value.p + f->value.n - from)));
        build_lit(b, "\r\n");
    }
}

/* ---- write ---- */

/* A value with a line end in it ("proxy_set_header X $uri") is not sent: the rest would be a field of the client's making. */
static void put_value(struct build *b, const struct part *p, struct request *r)
{
    struct eval *e = &r->eval;
    size_t at = b->n;
    build_text(b, p->text);
    size_t begun = b->n;
    template_build(p->value, e, b);
    if (unlikely(scan_breaks_line(b->p + begun, b->p + b->n))) {
        log_at(r->log, L_ERR, r->about, 0, "a value with a line end is not sent in the request field \"%.*s\"", (int) (begun - at) - 2, b->p + at);
        b->n = begun;
    }
    if (b->n == begun) b->n = at;      /* nothing: the field is not sent */
    else build_lit(b, "\r\n");
}

static void put_part(struct build *b, const struct part *p, struct exchange *x)
{
    const struct proxy_request *q = proxy_of(x);
    switch (p->kind) {
    case PART_TEXT:
        build_text(b, p->text);
        break;
    case PART_VALUE:
        put_value(b, p, x->r);
        break;
    case PART_HOST:
        build_lit(b, "Host: ");
        build_text(b, q->url.host_header);
        build_lit(b, "\r\n");
        break;
    case PART_CONNECTION:
        if (!x->keep || q->conf->version < 1001) build_lit(b, "Connection: close\r\n");
        break;
    case PART_LENGTH:
        if (q->length_up < 0) break;
        build_lit(b, "Content-Length: ");
        build_u64(b, (uint64_t) q->length_up);
        build_lit(b, "\r\n");
        break;
    case PART_CHUNKED:
        if (q->answer.chunked_up) build_lit(b, "Transfer-Encoding: chunked\r\n");
        break;
    }
}

/* RFC 9112 7.1.2: only a chunked body has trailers. */
static bool passes_trailers(const struct proxy_conf *c)
{
    return c->g.pass_request_trailers.on && c->g.pass_headers.on && c->g.pass_body.on && c->version >= 1001;
}

static struct text body_of(struct exchange *x)
{
    struct proxy_request *q = proxy_of(x);
    struct text body = { NULL, 0 };
    const struct request *r = x->r;
    q->length_up = r->in_length;
    if (q->conf->body) {
        body = template_render(q->conf->body, &x->r->eval);
        x->send.body_set = true;
        q->length_up = (int64_t) body.n;
    } else if (r->in_chunked && r->body && r->body->whole && !(r->in_trailers.n && passes_trailers(q->conf))) {
        q->length_up = r->body->length;
    } else if (r->in_chunked) {
        q->answer.chunked_up = true;
        q->length_up = -1;
    }
    return body;
}

/* RFC 9112 3.2: no space or control character stands in a target. "proxy_pass http://x$uri" brings decoded ones: encoded again. */
static void put_target(struct build *b, struct text uri)
{
    const char *end = uri.p + uri.n;
    for (const char *p = uri.p; p < end; p++) {
        const char *from = p;
        p = scan_target(p, end);
        build_text(b, text_of(from, (size_t) (p - from)));
        if (p < end) build_fmt(b, "%%%02X", (unsigned char) *p);
    }
}

/* What proxy_set_header says cannot be said by the client's trailers: some servers take those for fields of the head. */
static struct text last_chunk(const struct exchange *x)
{
    const struct request *r = x->r;
    const struct proxy_head *h = proxy_of(x)->conf->head;
    struct build b = build_in_pool(r->pool, 0, 0);
    build_lit(&b, "0\r\n");
    for (unsigned i = 0; i < r->in_trailers.n; i++)
        if (is_passed(h, &r->in_trailers.v[i])) put_field(&b, &r->in_trailers.v[i]);
    build_lit(&b, "\r\n");
    return build_done(&b);
}

void proxy_frame_body(struct exchange *x, struct chain *in, enum body_end end, struct chain *out)
{
    const struct proxy_request *q = proxy_of(x);
    bool trailers = q->answer.chunked_up && end == BODY_FINAL && x->r->in_trailers.n && passes_trailers(q->conf);
    answer_frame_body(x, in, trailers ? BODY_MORE : end, out);
    if (trailers) chain_add_text(out, last_chunk(x));
}

bool proxy_head_make(struct exchange *x)
{
    struct proxy_request *q = proxy_of(x);
    struct request *r = x->r;
    const struct proxy_head *h = q->conf->head;
    struct text method = q->conf->method ? template_render(q->conf->method, &r->eval) : r->method_name;
    struct text uri = proxy_uri(r, q), body = body_of(x);
    if (!uri.n) {
        log_at(r->log, L_ERR, r->about, 0, "zero length URI to proxy");
        return false;
    }
    q->answer.method = q->conf->method ? method_lookup(method) : r->method;
    x->target.uri = uri;
    struct build b = build_in_pool(r->pool, 64 + method.n + uri.n + q->url.host_header.n + h->bytes + body.n + (size_t) r->in_bytes, 0);
    build_text(&b, method);
    build_char(&b, ' ');
    put_target(&b, uri);
    build_text(&b, q->conf->version < 1001 ? T(" HTTP/1.0\r\n") : T(" HTTP/1.1\r\n"));
    for (size_t i = 0; i < h->n; i++) put_part(&b, &h->parts[i], x);
    if (q->conf->g.pass_headers.on) put_client_fields(&b, r, h);
    build_lit(&b, "\r\n");
    build_text(&b, body);
    x->send.head = build_done(&b);
    return build_ok(&b);
}
