/* gzip: responses compressed by zlib. gzip_vary, gzip_proxied and the like are http's (http/coding.h). */
#include "modules/module.h"
#include "http/coder.h"
#include <zlib.h>

enum { SPARES_MOST = 4 };       /* streams kept for the next response: a megabyte at most */

struct gzip_conf { struct coder_conf common; int64_t level; bytes window, hash; };

extern struct module gzip_module;

struct deflater { z_stream z; int level, window_bits, memory; struct deflater *next; };
static struct deflater *spares;
static unsigned spare_count;

static const struct gzip_conf *conf_of(const struct request *r) { return request_values(r, &gzip_module); }
static const struct coder_conf *common(const struct request *r) { return &conf_of(r)->common; }

static struct deflater *take_spare(const struct deflater *like)
{
    for (struct deflater **at = &spares; *at; at = &(*at)->next) {
        struct deflater *d = *at;
        if (d->level != like->level || d->window_bits != like->window_bits || d->memory != like->memory) continue;
        *at = d->next;
        spare_count--;
        return d;
    }
    return NULL;
}

static int log2_of(uint64_t n)
{
    int bits = 0;
    while (n >>= 1) bits++;
    return bits;
}

/* A short body needs less of a window (of which zlib uses all but 262 bytes), as nginx has it. */
static void fit(struct deflater *d, int64_t length)
{
    if (length <= 0) return;
    while (length < (1 << (d->window_bits - 1)) - 262) {
        d->window_bits--;
        d->memory--;
    }
    d->memory = max_of(d->memory, 1);
}

static void *open_stream(struct request *r, int64_t length)
{
    const struct gzip_conf *c = conf_of(r);
    struct deflater want = { .level = (int) c->level, .window_bits = log2_of(c->window.bytes), .memory = log2_of(c->hash.bytes) - 8 }, *d;
    enum { GZIP_WRAPPER = 16 };
    fit(&want, length);
    if ((d = take_spare(&want))) return d;
    d = base_alloc(sizeof *d);
    *d = want;
    int rc = deflateInit2(&d->z, d->level, Z_DEFLATED, d->window_bits + GZIP_WRAPPER, d->memory, Z_DEFAULT_STRATEGY);
    if (rc == Z_OK) return d;
    request_log(r, L_ALERT, 0, "deflateInit2() failed: %d", rc);
    free(d);
    return NULL;
}

static enum coder_did step(struct request *r, void *stream, struct coder_io *io, enum coder_op op)
{
    static const int how[] = { [CODER_GO] = Z_NO_FLUSH, [CODER_FLUSH] = Z_SYNC_FLUSH, [CODER_END] = Z_FINISH };
    z_stream *z = &((struct deflater *) stream)->z;
    size_t in_n = min_of(io->in_n, (size_t) 1 << 30), out_n = min_of(io->out_n, (size_t) 1 << 30);
    bool part = in_n < io->in_n;
    z->next_in = (Bytef *) (uintptr_t) io->in;
    z->avail_in = (uInt) in_n;
    z->next_out = (Bytef *) io->out;
    z->avail_out = (uInt) out_n;
    int rc = deflate(z, part ? Z_NO_FLUSH : how[op]);
    io->in_n -= in_n - z->avail_in;
    io->in = (const char *) z->next_in;
    io->out_n -= out_n - z->avail_out;
    io->out = (char *) z->next_out;
    if (rc == Z_STREAM_END) return CODER_DONE;
    if (rc == Z_OK || rc == Z_BUF_ERROR) return z->avail_out && !part ? CODER_DONE : CODER_FULL;
    request_log(r, L_ALERT, 0, "deflate() failed: %d, %d", how[op], rc);
    return CODER_FAILED;
}

static void close_stream(void *stream)
{
    struct deflater *d = stream;
    if (BASE_RECYCLE && spare_count < SPARES_MOST && deflateReset(&d->z) == Z_OK) {
        d->next = spares;
        spares = d;
        spare_count++;
        return;
    }
    deflateEnd(&d->z);
    free(d);
}

static const struct coder gzip = {
    .name = TEXT_INIT("gzip"), .order = 3, .conf = common, .open = open_stream, .step = step, .close = close_stream,
};
static const struct module gzip_coding = { .part = &gzip, .part_kind = &coder_part_kind };

/* ---- directives ---- */

static bool get_ratio(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    return coder_ratio(request_of(e), gzip.name, out);
}

static const struct variable variables[] = {
    { .name = "gzip_ratio", .flags = VAR_NO_CACHE, .get = get_ratio, .help = "How many times smaller gzip made the response." },
    { .name = NULL },
};

/* A power of two from 512 on, by .data: the largest. */
static conf_result parse_power(struct conf *cf, const struct directive *d, void *field)
{
    const uint64_t most = *(const uint64_t *) d->data;
    bytes *b = field;
    if (!conf_read_bytes(cf->words[1], &b->bytes)) return conf_invalid;
    if (b->bytes >= 512 && b->bytes <= most && !(b->bytes & (b->bytes - 1))) return NULL;
    return conf_say(cf, most == 32768 ? "must be 512, 1k, 2k, 4k, 8k, 16k, or 32k" : "must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k");
}

static const uint64_t window_most = 32768, hash_most = 131072;
static const struct conf_type type_power = { "size", sizeof(bytes), 0, 1, 1, parse_power };
static const struct conf_bounds levels = { 1, 9 };

static const struct directive rows[] = {
    D_FLAG(struct gzip_conf, common.on, "gzip", IN_HSL | IN_IF, "off", "Whether responses are compressed by gzip for clients that take it."),
    { .name = "gzip_comp_level", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct gzip_conf, level, int64_t), .dflt = "1", .data = &levels, .help = "How hard gzip tries, from 1 (fast) to 9 (small)." },
    D_SIZE(struct gzip_conf, common.min_length, "gzip_min_length", IN_HSL, "20", "The least Content-Length of a response that is compressed by gzip."),
    D_TYPES(struct gzip_conf, common.types, "gzip_types", IN_HSL, "text/html", "The content types that are compressed by gzip, besides text/html; * is any."),
    D_BUFS(struct gzip_conf, common.buffers, "gzip_buffers", IN_HSL, "32 4k", "How many buffers gzip fills before they are sent, and their size."),
    { .name = "gzip_window", .type = &type_power, .where = IN_HSL, .offset = FIELD(struct gzip_conf, window, bytes), .dflt = "32k", .data = &window_most, .help = "How far back gzip looks for what came before." },
    { .name = "gzip_hash", .type = &type_power, .where = IN_HSL, .offset = FIELD(struct gzip_conf, hash, bytes), .dflt = "64k", .data = &hash_most, .help = "How much memory gzip finds what came before by." },
    D_NONE("gzip_no_buffer", IN_HSL, "on | off", "off", "Whether each piece of gzip's output is sent at once."),
    D_NONE("postpone_gzipping", IN_HSL, "size", "0", "How much is gathered before gzip begins."),
    { 0 }
};

static const struct http_part part = { .variables = variables };
struct module gzip_module = { .name = "gzip", .conf_size = sizeof(struct gzip_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind, .extra = &gzip_coding };
