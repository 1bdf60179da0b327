#include "gateway/head.h"
#include "gateway/exchange.h"
#include "gateway/tunnel.h"
#include "http/core_conf.h"
#include "wire/uri.h"
#include "wire/value.h"

/* ---- what becomes of the upstream's fields ---- */

/* Taken apart where "type; charset=x" is how it would be put together again; else it stays as it came. */
static void put_type(struct response *out, struct text value)
{
    ssize_t at;
    out->type = value;
    out->charset = (struct text) { NULL, 0 };
    if (text_find_char(value, ';') < 0 || (at = text_find(value, T("; charset="))) <= 0) return;
    struct text type = text_upto(value, (size_t) at), charset = text_from(value, (size_t) at + 10);
    if (!charset.n || charset.p[0] == '"' || text_find_char(type, ';') >= 0 || text_find_char(charset, ';') >= 0) return;
    out->type = type;
    out->charset = charset;
}

static void pass_field(struct exchange *x, const struct field *f)
{
    struct request *r = x->r;
    struct text value = f->value;
    if (x->proto->rewrite_field && (f->id == FIELD_LOCATION || f->id == FIELD_REFRESH || f->id == FIELD_SET_COOKIE) && x->proto->rewrite_field(x, f, &value) && f->id == FIELD_LOCATION) {
        r->out.location = value;       /* made absolute like our own */
        return;
    }
    fields_add(&r->out.fields, r->pool, f->id, f->name, value);
}

/* What the upstream asks of us about this response. */
static void obey(struct exchange *x, const struct field *f)
{
    struct request *r = x->r;
    uint64_t rate;
    if (f->id == FIELD_X_ACCEL_CHARSET && !(x->conf->ignore_headers & IGNORE_ACCEL_CHARSET)) r->out.wanted_charset = f->value;
    if (f->id != FIELD_X_ACCEL_LIMIT_RATE || x->conf->ignore_headers & IGNORE_ACCEL_LIMIT_RATE || !text_u64(f->value, &rate)) return;
    r->main->limit_rate = rate;
    r->main->limit_rate_set = true;
}

static void take_field(struct exchange *x, const struct field *f)
{
    struct response *out = &x->r->out;
    unsigned ignore = x->conf->ignore_headers;
    switch (f->id) {
    case FIELD_CONTENT_LENGTH:
        return;
    case FIELD_CONTENT_TYPE:
        if (!gateway_hides(x->conf->hidden, f)) put_type(out, f->value);
        return;
    case FIELD_X_ACCEL_BUFFERING:
        if (ignore & IGNORE_ACCEL_BUFFERING) break;
        if (text_eq_nocase(f->value, T("no"))) x->buffering = false;
        else if (text_eq_nocase(f->value, T("yes"))) x->buffering = true;
        break;
    case FIELD_X_ACCEL_LIMIT_RATE:
    case FIELD_X_ACCEL_CHARSET:
        obey(x, f);
        break;
    case FIELD_ACCEPT_RANGES:
        if (x->conf->force_ranges.on) return;
        break;
    case FIELD_TRAILER:
        if (!x->conf->pass_trailers.on || x->r->version < 1001) return;
        break;
    case FIELD_UPGRADE:
        if (!x->up.upgrade) return;
        break;
    default:
        if (f->id != FIELD_OTHER && field_is(f->id, F_HOP)) return;
    }
    if (gateway_hides(x->conf->hidden, f)) return;
    out->has_date |= f->id == FIELD_DATE;
    out->has_server |= f->id == FIELD_SERVER;
    pass_field(x, f);
}

static void fill_response(struct exchange *x)
{
    struct request *r = x->r;
    struct response *out = &r->out;
    out->status = x->up.status;
    out->reason = x->up.reason;
    out->length = x->up.length;
    out->unconditional = true;
    out->accept_ranges = out->single_range = x->conf->force_ranges.on;
    const struct fields *f = &x->up.fields;
    for (unsigned i = 0; i < f->n; i++)
        if (likely(!x->up.nominates) || f->v[i].id == FIELD_UPGRADE || !value_nominates(f->v, f->n, f->v[i].name)) take_field(x, &f->v[i]);
}

/* ---- another answer instead ---- */

static unsigned reason_of(int status)
{
    switch (status) {
    case 500: return NEXT_500;
    case 502: return NEXT_502;
    case 503: return NEXT_503;
    case 504: return NEXT_504;
    case 403: return NEXT_403;
    case 404: return NEXT_404;
    case 429: return NEXT_429;
    default: return 0;
    }
}

static void copy_field(struct request *r, const struct fields *from, enum field_id id)
{
    for (unsigned i = 0; i < from->n; i++)
        if (from->v[i].id == id) response_add(r, id, from->v[i].name, from->v[i].value);
}

/* error_page of this status is asked for, and there is one; or the answer is nothing but a status. */
static bool intercepts(const struct exchange *x)
{
    if (x->up.own_page) return true;
    if (!x->conf->intercept_errors.on || x->up.status < 300) return false;
    const struct error_pages *pages = &http_core(x->r)->error_pages;
    for (size_t i = 0; i < pages->n; i++)
        if (pages->v[i].status == x->up.status) return true;
    return false;
}

static void intercept(struct exchange *x)
{
    int status = x->up.status;
    if (status == 401) copy_field(x->r, &x->up.fields, FIELD_WWW_AUTHENTICATE);
    if (status == 429 || status == 503) copy_field(x->r, &x->up.fields, FIELD_RETRY_AFTER);
    if (x->up.own_page && x->head_at == x->head_have) exchange_done(x);
    exchange_fail(x, status);
}

/* X-Accel-Redirect: these fields of the upstream's answer stay, nginx's documentation names them. */
static const enum field_id kept_on_redirect[] = { FIELD_SET_COOKIE, FIELD_CONTENT_DISPOSITION, FIELD_CACHE_CONTROL, FIELD_EXPIRES, FIELD_ACCEPT_RANGES };

static void redirect(struct exchange *x, struct text to)
{
    struct request *r = x->r;
    const struct field *type = fields_find(&x->up.fields, FIELD_CONTENT_TYPE);
    exchange_release(x);
    response_clear(r);
    if (type) put_type(&r->out, type->value);
    for (unsigned i = 0; i < x->up.fields.n; i++) obey(x, &x->up.fields.v[i]);
    for (size_t i = 0; i < countof(kept_on_redirect); i++) copy_field(r, &x->up.fields, kept_on_redirect[i]);
    if (to.n && to.p[0] == '@') {
        request_go(r, request_redirect_named(r, to));
        return;
    }
    struct uri u;
    if (uri_parse(to, http_core(r)->merge_slashes.on, r->pool, &u)) {
        log_at(r->log, L_ERR, r->about, 0, "upstream sent an unsafe \"X-Accel-Redirect\": \"%.*s\"", TEXT_ARG(to));
        request_go(r, v_reply(404));
        return;
    }
    if (r->method != METHOD_HEAD) {
        r->method = METHOD_GET;
        r->method_name = method_row(METHOD_GET)->name;
    }
    request_go(r, request_redirect(r, u.path, u.args));
}

/* ---- the head is complete ---- */

static struct text left_over(const struct exchange *x)
{
    return text_of(x->head->data + x->head_at, x->head_have - x->head_at);
}

static void pass_on(struct exchange *x)
{
    struct text rest = left_over(x);
    fill_response(x);
    if (x->up.upgrade) {
        tunnel_start(x, rest);
        return;
    }
    exchange_move(x, EXCHANGE_PASSING);
    if (response_head(x->r)) pipe_start(x, x->head, rest.p, rest.n);
    else exchange_release(x);
}

static void complete(struct exchange *x)
{
    struct exchange_try *t = x->last;
    t->status = x->up.status;
    t->header_ms = (int64_t) (clock_now.ms - t->started_ms);
    pick_headed(&x->pick);
    if (unlikely(x->conf->hedge.percentile != 0)) hedge_count(x->pick.group, t->header_ms);
    unsigned reason = reason_of(x->up.status);
    if (unlikely(reason && (x->hedge.rival ? hedge_may_fail(x, reason) : retry_allowed(x, reason)))) {
        retry(x, reason);
        return;
    }
    if (unlikely(x->hedge.rival != NULL)) hedge_won(x);
    const struct field *to = fields_find(&x->up.fields, FIELD_X_ACCEL_REDIRECT);
    if (unlikely(to != NULL && !(x->conf->ignore_headers & IGNORE_ACCEL_REDIRECT))) redirect(x, to->value);
    else if (unlikely(intercepts(x))) intercept(x);
    else pass_on(x);
}

/* A 1xx: only 103 is of use to the client, where early_hints says so, and only to one that knows HTTP/1.1 (RFC 9110 15.2, RFC 8297). */
static void informational(struct exchange *x)
{
    struct request *r = x->r;
    struct early_hints_conf *hints = request_values(r, &http_gateway_module);
    log_at(r->log, L_DEBUG, r->about, 0, "upstream sent %d", x->up.status);
    if (x->up.status != 103 || r->version < 1001 || !hints->when.n || !templates_any_true(&hints->when, &r->eval)) return;
    struct fields passed = { NULL, 0, 0 };
    for (unsigned i = 0; i < x->up.fields.n; i++) {
        const struct field *f = &x->up.fields.v[i];
        bool ours = f->id == FIELD_CONTENT_LENGTH || (f->id != FIELD_OTHER && field_is(f->id, F_HOP));
        if (!ours && !gateway_hides(x->conf->hidden, f)) fields_add(&passed, r->pool, f->id, f->name, f->value);
    }
    r->proto->informational(r, 103, &passed);
}

static void refuse_big(struct exchange *x)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream sent too big header");
    retry(x, NEXT_INVALID_HEADER);
}

/* False: the exchange went on to something else. */
static bool parse(struct exchange *x)
{
    for (;;) {
        size_t used = 0;
        struct text have = left_over(x);
        if (!have.n) return true;
        enum gateway_parse how = x->proto->parse_head(x, have.p, have.n, &used);
        x->head_at += used;
        if (unlikely(used > x->conf->buffer_size.bytes && !x->proto->unwraps)) {
            refuse_big(x);
            return false;
        }
        if (how == GATEWAY_DONE) {
            complete(x);
            return false;
        }
        if (how == GATEWAY_BAD) {
            retry(x, NEXT_INVALID_HEADER);
            return false;
        }
        if (how == GATEWAY_MORE) return true;
        informational(x);
    }
}

/* The head must fit proxy_buffer_size; what is read with it may be more, so that a small answer comes in one call. */
static bool too_big(const struct exchange *x)
{
    if (x->proto->unwraps) return false;
    return x->head_have - x->head_at >= x->conf->buffer_size.bytes || x->head_have == x->head->size;
}

/* Nothing of what was read so far is looked at again. */
static void reuse_room(struct exchange *x)
{
    if (x->proto->unwraps && x->head_at == x->head_have) x->head_at = x->head_have = 0;
}

static void begin_head(struct exchange *x)
{
    if (x->answered) return;
    chunk_drop(&x->head);
    x->head = chunk_open(max_of((size_t) CHUNK_USUAL, (size_t) x->conf->buffer_size.bytes));
    x->head_at = x->head_have = 0;
}

void head_read(struct exchange *x)
{
    begin_head(x);
    while (x->conn->readable) {
        struct io_done got = conn_recv(x->conn, x->head->data + x->head_have, x->head->size - x->head_have);
        if (got.how == IO_AGAIN) break;
        if (got.how != IO_OK) {
            exchange_broken(x, got.how, "recv()");
            return;
        }
        if (!x->answered) exchange_doing(x, "reading response header from upstream");
        x->answered = true;
        x->head_have += got.n;
        if (!parse(x)) return;
        reuse_room(x);
        if (too_big(x)) {
            refuse_big(x);
            return;
        }
    }
    exchange_wait(x);
}
