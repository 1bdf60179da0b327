#include "gateway/answer.h"
#include "wire/value.h"

void answer_restart(struct exchange *x)
{
    struct answer *q = answer_of(x);
    q->in_fields = false;
    h1_begin(&q->parse, H1_RESPONSE);
    x->up = (struct upstream_response) { .length = -1 };
}

static enum gateway_parse bad(struct exchange *x, const char *what, enum fault fault)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream sent %s: %s", what, fault_row(fault)->words);
    return GATEWAY_BAD;
}

/* RFC 9112 9.3 */
static bool may_keep(const struct exchange *x, const struct framing *f)
{
    if (f->close || f->kind == FRAMING_CLOSE || f->kind == FRAMING_TUNNEL) return false;
    bool keep = x->up.version >= 1001;
    for (unsigned i = 0; i < x->up.fields.n; i++) {
        const struct field *h = &x->up.fields.v[i];
        if (h->id != FIELD_CONNECTION) continue;
        if (text_eq_nocase(h->value, T("keep-alive"))) {      /* nearly always */
            keep = true;
            continue;
        }
        if (value_names(h->value, T("close"))) return false;
        keep |= value_names(h->value, T("keep-alive"));
    }
    return keep;
}

static enum gateway_parse end_of_head(struct exchange *x)
{
    struct answer *q = answer_of(x);
    struct upstream_response *up = &x->up;
    if (up->status < 200 && up->status != 101) return GATEWAY_INFORMATIONAL;
    q->framing = framing_response(up->version, q->method, (unsigned) up->status, up->fields.v, up->fields.n);
    const struct framing *f = &q->framing;
    if (f->kind == FRAMING_BAD) return bad(x, "invalid header", f->fault);
    if (f->kind == FRAMING_TUNNEL) {
        if (up->status != 101 || !request_field(x->r, FIELD_UPGRADE)) {
            log_at(x->r->log, L_ERR, x->r->about, 0, "upstream sent an upgrade that was not asked for");
            return GATEWAY_BAD;
        }
        up->upgrade = true;
    }
    up->keepalive = may_keep(x, f);
    up->nominates = value_nominates_any(up->fields.v, up->fields.n);
    up->length = f->length;
    up->no_body = f->kind == FRAMING_NONE;
    q->left = f->kind == FRAMING_LENGTH ? f->length : 0;
    if (f->kind == FRAMING_CHUNKED) {
        chunked_begin(&q->chunked);
        up->length = -1;
    }
    return GATEWAY_DONE;
}

static enum gateway_parse parse_status(struct exchange *x, const char *p, size_t n)
{
    struct answer *q = answer_of(x);
    struct h1_status_line line;
    enum h1_result how = h1_status_line(&q->parse, p, n, &line);
    if (how == H1_MORE) return GATEWAY_MORE;
    if (how != H1_DONE) return bad(x, "no valid HTTP/1.0 header", q->parse.fault);
    x->up.status = (int) line.status;
    x->up.version = line.version;
    x->up.reason = line.reason;
    x->up.fields.n = 0;
    q->in_fields = true;
    return GATEWAY_DONE;
}

enum gateway_parse answer_parse_head(struct exchange *x, const char *p, size_t n, size_t *used_out)
{
    struct answer *q = answer_of(x);
    if (!q->in_fields) {
        enum gateway_parse how = parse_status(x, p, n);
        if (how != GATEWAY_DONE) return how;
    }
    struct field f;
    enum h1_result how;
    while ((how = h1_field(&q->parse, p, n, &f)) == H1_FIELD) fields_add(&x->up.fields, x->r->pool, f.id, f.name, f.value);
    if (how == H1_MORE) return GATEWAY_MORE;
    if (how == H1_BAD) return bad(x, "invalid header", q->parse.fault);
    *used_out = q->parse.at;
    enum gateway_parse end = end_of_head(x);
    if (end == GATEWAY_INFORMATIONAL) {
        h1_begin(&q->parse, H1_RESPONSE);
        q->in_fields = false;
    }
    return end;
}

/* ---- body ---- */

static void add_slice(struct chain *out, struct chunk *chunk, const char *p, size_t n)
{
    if (n) chain_add_chunk(out, chunk, p, n);
}

static void keep_trailer(struct exchange *x, const struct field *f)
{
    if (field_is(f->id, F_NO_TRAILER) || f->bad_name || (x->up.nominates && value_nominates(x->up.fields.v, x->up.fields.n, f->name))) return;
    fields_add(&x->up.trailers, x->r->pool, f->id, f->name, f->value);
    if (x->conf->pass_trailers.on && !gateway_hides(x->conf->hidden, f)) fields_add(&x->r->out.trailers, x->r->pool, f->id, f->name, f->value);
}

static enum gateway_parse parse_chunked(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out)
{
    struct chunked *c = &answer_of(x)->chunked;
    size_t at = 0;
    for (;;) {
        size_t used = 0;
        struct text data;
        enum chunked_result how = chunked_next(c, p + at, n - at, &used, &data);
        at += used;
        switch (how) {
        case CHUNKED_DATA:
            add_slice(out, chunk, data.p, data.n);
            break;
        case CHUNKED_ROOM:
            chunked_room(c, pool_bytes(x->r->pool, x->conf->buffer_size.bytes), x->conf->buffer_size.bytes);
            break;
        case CHUNKED_TRAILER:
            keep_trailer(x, &c->trailer);
            break;
        case CHUNKED_MORE:
            return GATEWAY_MORE;
        case CHUNKED_END:
            *used_out = at;
            return GATEWAY_DONE;
        case CHUNKED_BAD:
            return bad(x, "invalid chunked response", c->fault);
        }
    }
}

enum gateway_parse answer_parse_body(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out)
{
    struct answer *q = answer_of(x);
    switch (q->framing.kind) {
    case FRAMING_LENGTH: {
        size_t take = min_of((uint64_t) n, (uint64_t) q->left);
        add_slice(out, chunk, p, take);
        q->left -= (int64_t) take;
        *used_out = take;
        return q->left ? GATEWAY_MORE : GATEWAY_DONE;
    }
    case FRAMING_CHUNKED:
        return parse_chunked(x, chunk, p, n, out, used_out);
    default:
        add_slice(out, chunk, p, n);
        return GATEWAY_MORE;
    }
}

int64_t answer_raw_left(struct exchange *x)
{
    const struct answer *q = answer_of(x);
    return q->framing.kind == FRAMING_LENGTH ? q->left : 0;
}

void answer_raw_took(struct exchange *x, int64_t n) { answer_of(x)->left -= n; }

bool answer_ends_at_eof(struct exchange *x) { return answer_of(x)->framing.kind == FRAMING_CLOSE; }

/* ---- the request's body, when it is streamed ---- */

void answer_frame_body(struct exchange *x, struct chain *in, enum body_end end, struct chain *out)
{
    if (!answer_of(x)->chunked_up) {
        chain_move(out, in);
        return;
    }
    if (in->bytes) {
        char head[CHUNKED_HEAD_MOST];
        chain_add_copy(out, text_of(head, chunked_head(head, in->bytes)));
        chain_move(out, in);
        chain_add_text(out, T("\r\n"));
    }
    if (end == BODY_FINAL) chain_add_text(out, T(CHUNKED_LAST));
}
