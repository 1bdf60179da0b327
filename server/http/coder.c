#include "http/coder.h"
#include "http/coding.h"
#include "http/module.h"

const int coder_part_kind;

extern struct module http_coder_module;

/* ---- the coders there are ---- */

enum { CODERS_MOST = 8 };
static const struct coder *coders[CODERS_MOST];
static size_t coder_count;

static conf_result find_coders(struct conf *cf, void *values)
{
    (void) cf, (void) values;
    coder_count = 0;
    for (struct module **m = module_list; *m; m++)
        for (const struct module *part = *m; part; part = part->extra) {
            if (part->part_kind != &coder_part_kind) continue;
            ASSERT(coder_count < CODERS_MOST);
            const struct coder *c = part->part;
            size_t at = coder_count++;
            for (; at && coders[at - 1]->order > c->order; at--) coders[at] = coders[at - 1];
            coders[at] = c;
        }
    return NULL;
}

/* ---- a response that is coded ---- */

struct coding {
    const struct coder    *coder;
    struct request        *r;
    void                  *stream;
    struct chunk          *chunk;      /* output is written to, from byte used on */
    size_t                 used, size, most;
    struct chain           out;        /* not yet passed on */
    int64_t                length;
    bool                   over;
    struct coder_figures  figures;
};

static void end_stream(struct coding *c)
{
    if (c->stream) c->coder->close(c->stream);
    c->stream = NULL;
    chunk_drop(&c->chunk);
}

static void forget(void *arg)
{
    struct coding *c = arg;
    end_stream(c);
    chain_clear(&c->out);
}

static bool fits(const struct request *r, const struct coder_conf *k)
{
    return k && k->on.on && (r->out.length < 0 || (uint64_t) r->out.length >= k->min_length.bytes) && type_set_has(&k->types, r);
}

/* Of those that would do it the one that the client likes best. */
static const struct coder *choose(struct request *r)
{
    const struct coder *best = NULL;
    int most = 0;
    bool any = false;
    for (size_t i = 0; i < coder_count; i++) {
        const struct coder *c = coders[i];
        if (!fits(r, c->conf(r))) continue;
        any = true;
        int weight = coding_weight(r, c->name);
        if (weight <= most) continue;
        most = weight;
        best = c;
    }
    if (any) coding_vary(r);
    return best;
}

static struct coding *start(struct request *r, const struct coder *coder)
{
    const struct coder_conf *k = coder->conf(r);
    struct coding *c = pool_new(r->pool, struct coding);
    c->coder = coder;
    c->r = r;
    c->length = r->out.length;
    c->size = k->buffers.size;
    c->most = (size_t) k->buffers.n * k->buffers.size;
    pool_cleanup(r->pool, forget, c);
    *request_context(r, &http_coder_module) = c;
    return c;
}

static bool head(struct request *r, struct filter_at *at)
{
    struct response *o = &r->out;
    if (r->main != r || (o->status != 200 && o->status != 403 && o->status != 404)) return false;
    const struct field *f = fields_find(&o->fields, FIELD_CONTENT_ENCODING);
    if (f && f->value.n) return false;
    const struct coder *coder = choose(r);
    if (!coder) return false;
    at->state = start(r, coder);
    fields_remove(&o->fields, FIELD_CONTENT_ENCODING);
    response_add(r, FIELD_CONTENT_ENCODING, T("Content-Encoding"), coder->name);
    o->length = -1;
    response_clear_ranges(r);
    response_weaken_etag(r);
    return true;
}

/* What was written since the last call becomes a link. */
static void collect(struct coding *c, char *end)
{
    size_t n = (size_t) (end - c->chunk->data) - c->used;
    chain_add_chunk(&c->out, c->chunk, c->chunk->data + c->used, n);
    c->used += n;
    c->figures.out += n;
    if (c->used == c->size) chunk_drop(&c->chunk);
}

static bool code(struct coding *c, struct filter_at *at, struct text in, enum coder_op op)
{
    struct coder_io io = { .in = in.p, .in_n = in.n };
    enum coder_did did;
    do {
        if (!c->chunk) c->chunk = chunk_open(c->size), c->used = 0;
        io.out = c->chunk->data + c->used;
        io.out_n = c->size - c->used;
        did = c->coder->step(c->r, c->stream, &io, op);
        collect(c, io.out);
        if (c->out.bytes >= c->most && did == CODER_FULL) filter_pass(c->r, at, &c->out, BODY_MORE);
    } while (did == CODER_FULL);
    c->figures.in += in.n;
    return did == CODER_DONE;
}

static bool code_all(struct coding *c, struct filter_at *at, struct chain *in, enum body_end end)
{
    bool coded_end = end != BODY_FINAL;
    for (struct link *l = in->first; l; l = l->next) {
        enum coder_op op = !l->next && end == BODY_FINAL ? CODER_END : l->flush ? CODER_FLUSH : CODER_GO;
        if ((l->n || op != CODER_GO) && !code(c, at, text_of(l->p, l->n), op)) return false;
        if (l->flush) chain_add_flush(&c->out);
        coded_end |= op == CODER_END;
    }
    return coded_end || code(c, at, T(""), CODER_END);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct coding *c = at->state;
    bool given = in->first != NULL;
    if (c->over) {
        chain_clear(in);
        return;
    }
    if (!c->stream && (given || end == BODY_FINAL) && !(c->stream = c->coder->open(r, c->length))) end = BODY_BROKEN;
    if (end != BODY_BROKEN && c->stream && !code_all(c, at, in, end)) end = BODY_BROKEN;
    chain_clear(in);
    if (end != BODY_MORE) {
        c->over = true;
        end_stream(c);
    }
    /* Nothing given: what waits in front is to be sent. */
    if (c->out.first || end != BODY_MORE || !given) filter_pass(r, at, &c->out, end);
}

bool coder_figures(struct request *r, struct text name, struct coder_figures *out)
{
    const struct coding *c = *request_context(r->main, &http_coder_module);
    if (!c || !text_eq(c->coder->name, name) || !c->figures.out) return false;
    *out = c->figures;
    return true;
}

bool coder_ratio(struct request *r, struct text name, struct text *out)
{
    struct coder_figures f;
    if (!coder_figures(r, name, &f)) return false;
    uint64_t hundredths = f.in * 100 / f.out;
    if (f.in * 1000 / f.out % 10 > 4) hundredths++;
    *out = pool_printf(r->pool, "%llu.%02llu", (unsigned long long) hundredths / 100, (unsigned long long) hundredths % 100);
    return true;
}

static const struct filter coding_filter = { .name = "coding", .head = head, .body = body, .bytes = true };
static const struct filter *const filters[] = { &coding_filter, NULL };
static const struct http_part part = { .filters = filters };

struct module http_coder_module = { .name = "http_coder", .finish = find_coders, .part = &part, .part_kind = &http_part_kind };
