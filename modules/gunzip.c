/* gunzip: gzip undone for clients that do not take it. */
#include "modules/module.h"
#include "http/coding.h"
#include <zlib.h>

enum { TURN_MOST = 524288 };        /* bytes made, then others have their turn */

struct gunzip_conf { flag on; bufs buffers; };
struct gunzip { z_stream z; bool open, member_over, over; struct chain in; enum body_end end; size_t size, most; };

extern struct module gunzip_module;

static const struct gunzip_conf *conf_of(const struct request *r) { return request_values(r, &gunzip_module); }

static void end_stream(struct gunzip *g)
{
    if (g->open) inflateEnd(&g->z);
    g->open = false;
    g->over = true;
    chain_clear(&g->in);
}

static void forget(void *arg)
{
    end_stream(arg);
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct gunzip_conf *c = conf_of(r);
    const struct field *f;
    if (!c->on.on || !(f = fields_find(&r->out.fields, FIELD_CONTENT_ENCODING)) || !text_eq_nocase(f->value, T("gzip"))) return false;
    coding_vary(r);
    if (coding_weight(r, T("gzip"))) return false;
    struct gunzip *g = pool_new(r->pool, struct gunzip);
    g->size = c->buffers.size;
    g->most = (size_t) c->buffers.n * c->buffers.size;
    pool_cleanup(r->pool, forget, g);
    fields_remove(&r->out.fields, FIELD_CONTENT_ENCODING);
    r->out.length = -1;
    response_clear_ranges(r);
    response_weaken_etag(r);
    at->state = g;
    return true;
}

static bool fail(struct request *r, const char *what, int rc)
{
    request_log(r, L_ERR, 0, "%s failed: %d", what, rc);
    return false;
}

static bool start(struct request *r, struct gunzip *g)
{
    enum { GZIP_WRAPPER = 16 };
    int rc = g->open ? Z_OK : inflateInit2(&g->z, MAX_WBITS + GZIP_WRAPPER);
    g->open = rc == Z_OK;
    return g->open || fail(r, "inflateInit2()", rc);
}

/* One call for the first link, at most size bytes of output. False: this is not gzip. */
static bool inflate_some(struct request *r, struct gunzip *g, struct chain *out)
{
    struct link *l = g->in.first;
    size_t n = min_of(l->n, (size_t) 1 << 30);
    if (g->member_over && n) {      /* RFC 1952 2.2: members may follow each other */
        inflateReset(&g->z);
        g->member_over = false;
    }
    struct chunk *c = chunk_open(g->size);
    g->z.next_in = (Bytef *) (uintptr_t) l->p;
    g->z.avail_in = (uInt) n;
    g->z.next_out = (Bytef *) c->data;
    g->z.avail_out = (uInt) g->size;
    int rc = inflate(&g->z, Z_SYNC_FLUSH);
    chain_add_chunk(out, c, c->data, g->size - g->z.avail_out);
    chunk_drop(&c);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) return fail(r, "inflate()", rc);
    g->member_over = rc == Z_STREAM_END;
    size_t taken = n - g->z.avail_in;
    if (taken == l->n && (g->z.avail_out || g->member_over)) {
        if (chain_first_flushes(&g->in)) chain_add_flush(out);
        chain_skip(&g->in, taken);
    } else {                /* a link that is all in, but not all out, stays */
        l->p += taken;
        l->n -= taken;
        g->in.bytes -= taken;
    }
    return true;
}

/* As much as one call passes on. */
static bool inflate_batch(struct request *r, struct gunzip *g, struct chain *out)
{
    while (g->in.first && out->bytes < g->most)
        if (!inflate_some(r, g, out)) return false;
    return true;
}

static void run(struct request *r, struct filter_at *at)
{
    struct gunzip *g = at->state;
    at->holds = false;
    for (uint64_t made = 0; made < TURN_MOST && !r->closing; ) {
        struct chain out = CHAIN_EMPTY;
        if (g->in.first && !filter_room(r, at)) {
            at->holds = true;
            return;
        }
        enum body_end end = BODY_MORE;
        if ((g->in.first && !start(r, g)) || !inflate_batch(r, g, &out)) end = BODY_BROKEN;
        else if (!g->in.first) end = g->end;
        if (end == BODY_FINAL && g->open && !g->member_over) {
            request_log(r, L_ERR, 0, "a gzip body ended early");
            end = BODY_BROKEN;
        }
        made += out.bytes;
        bool done = !g->in.first || end != BODY_MORE;
        if (end != BODY_MORE) end_stream(g);
        filter_pass(r, at, &out, end);
        if (done) return;
    }
    filter_later(r, at);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct gunzip *g = at->state;
    if (g->over) {
        chain_clear(in);
        return;
    }
    chain_move(&g->in, in);
    g->end = end;
    if (!at->holds) run(r, at);
}

static const struct directive rows[] = {
    D_FLAG(struct gunzip_conf, on, "gunzip", IN_HSL, "off", "Whether responses that came compressed by gzip are decompressed for clients that do not take gzip."),
    D_BUFS(struct gunzip_conf, buffers, "gunzip_buffers", IN_HSL, "32 4k", "How many buffers decompression fills before they are sent, and their size."),
    { 0 }
};

static const struct filter gunzip_filter = { .name = "gunzip", .head = head, .body = body, .more = run, .bytes = true };
static const struct filter *const filters[] = { &gunzip_filter, NULL };
static const struct http_part part = { .filters = filters, .if_given = true };

struct module gunzip_module = { .name = "gunzip", .conf_size = sizeof(struct gunzip_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
