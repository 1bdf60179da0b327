/* zstd: responses compressed by libzstd (RFC 8878), with the directives of the well-known module. */
#include "modules/module.h"
#include "http/coder.h"
#include <zstd.h>

enum { LEVEL_MOST = 22, WINDOW_BITS_MOST = 23 };     /* RFC 9659: clients need not take a window above 8 MB */

struct zstd_conf { struct coder_conf common; int64_t level; };

extern struct module zstd_module;

static const struct zstd_conf *conf_of(const struct request *r) { return request_values(r, &zstd_module); }
static const struct coder_conf *common(const struct request *r) { return &conf_of(r)->common; }

static bool set(struct request *r, size_t rc)
{
    if (!ZSTD_isError(rc)) return true;
    request_log(r, L_ALERT, 0, "zstd takes a parameter not: %s", ZSTD_getErrorName(rc));
    return false;
}

static void *open_stream(struct request *r, int64_t length)
{
    const struct zstd_conf *c = conf_of(r);
    ZSTD_CCtx *s = ZSTD_createCCtx();
    if (!s) {
        request_log(r, L_ALERT, 0, "ZSTD_createCCtx() failed");
        return NULL;
    }
    bool fine = set(r, ZSTD_CCtx_setParameter(s, ZSTD_c_compressionLevel, (int) c->level));
    if (c->level >= 20) fine &= set(r, ZSTD_CCtx_setParameter(s, ZSTD_c_windowLog, WINDOW_BITS_MOST));
    if (length >= 0) fine &= set(r, ZSTD_CCtx_setPledgedSrcSize(s, (unsigned long long) length));
    if (fine) return s;
    ZSTD_freeCCtx(s);
    return NULL;
}

static enum coder_did step(struct request *r, void *stream, struct coder_io *io, enum coder_op op)
{
    static const ZSTD_EndDirective how[] = { [CODER_GO] = ZSTD_e_continue, [CODER_FLUSH] = ZSTD_e_flush, [CODER_END] = ZSTD_e_end };
    ZSTD_inBuffer in = { io->in, io->in_n, 0 };
    ZSTD_outBuffer out = { io->out, io->out_n, 0 };
    size_t left = ZSTD_compressStream2(stream, &out, &in, how[op]);
    if (ZSTD_isError(left)) {
        request_log(r, L_ERR, 0, "ZSTD_compressStream2() failed: %s", ZSTD_getErrorName(left));
        return CODER_FAILED;
    }
    io->in += in.pos;
    io->in_n -= in.pos;
    io->out += out.pos;
    io->out_n -= out.pos;
    return io->in_n || (op != CODER_GO && left) ? CODER_FULL : CODER_DONE;
}

static void close_stream(void *stream)
{
    ZSTD_freeCCtx(stream);
}

static const struct coder zstd = { .name = TEXT_INIT("zstd"), .order = 2, .conf = common, .open = open_stream, .step = step, .close = close_stream };
static const struct module zstd_coding = { .part = &zstd, .part_kind = &coder_part_kind };

/* ---- directives ---- */

static bool get_ratio(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    return coder_ratio(request_of(e), zstd.name, out);
}

static const struct variable variables[] = {
    { .name = "zstd_ratio", .flags = VAR_NO_CACHE, .get = get_ratio, .help = "How many times smaller zstd made the response." },
    { .name = NULL },
};

static const struct conf_bounds levels = { 1, LEVEL_MOST };

static const struct directive rows[] = {
    { .name = "zstd", .type = &conf_flag, .where = IN_HSL | IN_IF, .offset = FIELD(struct zstd_conf, common.on, flag), .dflt = "off", .since = "weir", .help = "Whether responses are compressed by zstd for clients that take it; before gzip where a client likes it as well, after brotli." },
    { .name = "zstd_comp_level", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct zstd_conf, level, int64_t), .dflt = "1", .since = "weir", .data = &levels, .help = "How hard zstd tries, from 1 (fast) to 22 (small)." },
    { .name = "zstd_min_length", .type = &conf_bytes, .where = IN_HSL, .offset = FIELD(struct zstd_conf, common.min_length, bytes), .dflt = "20", .since = "weir", .help = "The least Content-Length of a response that is compressed by zstd." },
    { .name = "zstd_types", .type = &type_set_type, .where = IN_HSL, .offset = FIELD(struct zstd_conf, common.types, struct type_set), .dflt = "text/html", .since = "weir", .help = "The content types that are compressed by zstd, besides text/html; * is any." },
    { .name = "zstd_buffers", .type = &conf_bufs, .where = IN_HSL, .offset = FIELD(struct zstd_conf, common.buffers, bufs), .dflt = "32 4k", .since = "weir", .help = "How many buffers zstd fills before they are sent, and their size." },
    { 0 }
};

static const struct http_part part = { .variables = variables };
struct module zstd_module = { .name = "zstd", .conf_size = sizeof(struct zstd_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind, .extra = &zstd_coding };
