/* range: byte ranges, one or several. RFC 9110 14 */
#include "modules/module.h"
#include "wire/date.h"
#include "wire/value.h"

enum { RANGES_MOST = 1024 };

struct range {
    struct value_range *v;
    struct text        *heads;       /* several: what stands before each part */
    struct text         end;
    size_t              n;
    int64_t             at;          /* of the whole, passed by */
    struct chain        all;         /* several: the whole */
};

static void forget_all(void *arg)
{
    chain_clear(&((struct range *) arg)->all);
}

/* RFC 9110 13.1.5: If-Range holds. */
static bool still_holds(const struct request *r)
{
    struct text t = request_value(r, FIELD_IF_RANGE);
    time_t then;
    if (!request_field(r, FIELD_IF_RANGE)) return true;
    if (t.n >= 2 && t.p[t.n - 1] == '"') return text_eq(t, response_etag(r));
    return response_modified(r) != -1 && date_parse(t, &then) && then == response_modified(r);
}

static struct text range_text(struct request *r, const struct value_range *v, int64_t size)
{
    return pool_printf(r->pool, "bytes %lld-%lld/%lld", (long long) v->from, (long long) v->end - 1, (long long) size);
}

/* The heads of the parts, and with them the length of all. */
static void make_parts(struct request *r, struct range *s, int64_t size)
{
    static uint64_t number;
    struct text boundary = pool_printf(r->pool, "%020llu", (unsigned long long) (clock_now.wall_ms * 1000 + number++ % 1000));
    s->heads = pool_array(r->pool, struct text, s->n);
    s->end = pool_printf(r->pool, "\r\n--%.*s--\r\n", TEXT_ARG(boundary));
    r->out.length = (int64_t) s->end.n;
    for (size_t i = 0; i < s->n; i++) {
        struct build b = build_in_pool(r->pool, 192, 0);
        build_fmt(&b, "\r\n--%.*s\r\n", TEXT_ARG(boundary));
        if (r->out.type.n) build_fmt(&b, "Content-Type: %.*s", TEXT_ARG(r->out.type));
        if (r->out.type.n && r->out.charset.n) build_fmt(&b, "; charset=%.*s", TEXT_ARG(r->out.charset));
        if (r->out.type.n) build_lit(&b, "\r\n");
        build_fmt(&b, "Content-Range: %.*s\r\n\r\n", TEXT_ARG(range_text(r, &s->v[i], size)));
        s->heads[i] = build_done(&b);
        r->out.length += (int64_t) s->heads[i].n + s->v[i].end - s->v[i].from;
    }
    r->out.type = pool_printf(r->pool, "multipart/byteranges; boundary=%.*s", TEXT_ARG(boundary));
    r->out.charset = T("");
    pool_cleanup(r->pool, forget_all, s);
}

static struct range *cut(struct request *r, const struct value_range *v, size_t n)
{
    struct range *s = pool_new(r->pool, struct range);
    int64_t size = r->out.length;
    s->n = n;
    s->v = pool_array(r->pool, struct value_range, n);
    memcpy(s->v, v, sizeof *v * n);
    r->out.status = 206;
    r->out.reason = T("");
    if (n == 1) {
        response_add(r, FIELD_CONTENT_RANGE, T("Content-Range"), range_text(r, v, size));
        r->out.length = v->end - v->from;
    } else {
        make_parts(r, s, size);
    }
    return s;
}

static bool head(struct request *r, struct filter_at *at)
{
    struct value_range v[RANGES_MOST];
    struct text range = request_value(r, FIELD_RANGE);
    int64_t most = r->out.single_range ? 1 : http_core(r)->max_ranges;
    size_t n = 0;
    if (!r->out.accept_ranges || r->version < 1000 || r->out.status != 200 || r->main != r || r->out.length < 0 || !most) return false;
    if (range.n >= 7 && still_holds(r)) {
        switch (value_ranges(range, r->out.length, v, (size_t) min_of(most, (int64_t) RANGES_MOST), &n)) {
        case VALUE_RANGES_FINE:
            at->state = cut(r, v, n);
            return true;
        case VALUE_RANGES_UNSATISFIABLE:
            response_add(r, FIELD_CONTENT_RANGE, T("Content-Range"), pool_printf(r->pool, "bytes */%lld", (long long) r->out.length));
            response_refuse(r, 416);
            return false;
        case VALUE_RANGES_IGNORED:
            break;
        }
    }
    response_add(r, FIELD_ACCEPT_RANGES, T("Accept-Ranges"), T("bytes"));
    return false;
}

/* Of in, which is at s->at of the whole, what is in the one range. */
static void pass_one(struct range *s, struct chain *in, struct chain *out)
{
    int64_t from = s->v->from - s->at, end = s->v->end - s->at, n = (int64_t) in->bytes;
    s->at += n;
    if (from >= n || end <= 0) {
        chain_clear(in);
        return;
    }
    if (from > 0) {
        chain_skip(in, (uint64_t) from);
        end -= from;
    }
    chain_move_bytes(out, in, (uint64_t) min_of(end, (int64_t) in->bytes));
    chain_clear(in);
}

static void pass_parts(struct range *s, struct chain *out)
{
    for (size_t i = 0; i < s->n; i++) {
        struct chain copy = CHAIN_EMPTY;
        chain_add_text(out, s->heads[i]);
        chain_share(&copy, &s->all);
        chain_skip(&copy, min_of((uint64_t) s->v[i].from, copy.bytes));
        chain_move_bytes(out, &copy, (uint64_t) (s->v[i].end - s->v[i].from));
        chain_clear(&copy);
    }
    chain_add_text(out, s->end);
    chain_clear(&s->all);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct range *s = at->state;
    struct chain out = CHAIN_EMPTY;
    if (s->n == 1) {
        pass_one(s, in, &out);
    } else {
        chain_move(&s->all, in);
        if (end == BODY_FINAL) pass_parts(s, &out);
    }
    filter_pass(r, at, &out, end);
}

static const struct filter range_filter = { .name = "range", .head = head, .body = body };
static const struct filter *const filters[] = { &range_filter, NULL };
static const struct http_part part = { .filters = filters };

struct module range_module = { .name = "range", .part = &part, .part_kind = &http_part_kind };
