/* brotli: responses compressed by libbrotli (RFC 7932), with the directives of the well-known module. */
#include "modules/module.h"
#include "http/coder.h"
#include <brotli/encode.h>

struct brotli_conf { struct coder_conf common; int64_t level; bytes window; };

extern struct module brotli_module;

static const struct brotli_conf *conf_of(const struct request *r) { return request_values(r, &brotli_module); }
static const struct coder_conf *common(const struct request *r) { return &conf_of(r)->common; }

static void *open_stream(struct request *r, int64_t length)
{
    const struct brotli_conf *c = conf_of(r);
    BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    uint32_t bits = BROTLI_MIN_WINDOW_BITS;
    uint64_t need = length >= 0 ? min_of((uint64_t) length + 16, c->window.bytes) : c->window.bytes;
    if (!s) {
        request_log(r, L_ALERT, 0, "BrotliEncoderCreateInstance() failed");
        return NULL;
    }
    while (bits < BROTLI_MAX_WINDOW_BITS && (1ull << bits) < need) bits++;
    BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, (uint32_t) c->level);
    BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, bits);
    if (length > 0) BrotliEncoderSetParameter(s, BROTLI_PARAM_SIZE_HINT, (uint32_t) min_of(length, (int64_t) 1 << 30));
    return s;
}

static enum coder_did step(struct request *r, void *stream, struct coder_io *io, enum coder_op op)
{
    static const BrotliEncoderOperation how[] = { [CODER_GO] = BROTLI_OPERATION_PROCESS, [CODER_FLUSH] = BROTLI_OPERATION_FLUSH, [CODER_END] = BROTLI_OPERATION_FINISH };
    const uint8_t *in = (const uint8_t *) io->in;
    uint8_t *out = (uint8_t *) io->out;
    if (!BrotliEncoderCompressStream(stream, how[op], &io->in_n, &in, &io->out_n, &out, NULL)) {
        request_log(r, L_ALERT, 0, "BrotliEncoderCompressStream() failed");
        return CODER_FAILED;
    }
    io->in = (const char *) in;
    io->out = (char *) out;
    return io->in_n || BrotliEncoderHasMoreOutput(stream) || (op == CODER_END && !BrotliEncoderIsFinished(stream)) ? CODER_FULL : CODER_DONE;
}

static void close_stream(void *stream)
{
    BrotliEncoderDestroyInstance(stream);
}

static const struct coder brotli = { .name = TEXT_INIT("br"), .order = 1, .conf = common, .open = open_stream, .step = step, .close = close_stream };
static const struct module brotli_coding = { .part = &brotli, .part_kind = &coder_part_kind };

/* ---- directives ---- */

static bool get_ratio(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    return coder_ratio(request_of(e), brotli.name, out);
}

static const struct variable variables[] = {
    { .name = "brotli_ratio", .flags = VAR_NO_CACHE, .get = get_ratio, .help = "How many times smaller brotli made the response." },
    { .name = NULL },
};

static conf_result parse_window(struct conf *cf, const struct directive *d, void *field)
{
    bytes *b = field;
    (void) d;
    if (!conf_read_bytes(cf->words[1], &b->bytes)) return conf_invalid;
    if (b->bytes >= 1024 && b->bytes <= 1 << BROTLI_MAX_WINDOW_BITS && !(b->bytes & (b->bytes - 1))) return NULL;
    return conf_say(cf, "must be 1k, 2k, 4k, 8k, 16k, 32k, 64k, 128k, 256k, 512k, 1m, 2m, 4m, 8m or 16m");
}

static const struct conf_type type_window = { "size", sizeof(bytes), 0, 1, 1, parse_window };
static const struct conf_bounds levels = { BROTLI_MIN_QUALITY, BROTLI_MAX_QUALITY };

static const struct directive rows[] = {
    { .name = "brotli", .type = &conf_flag, .where = IN_HSL | IN_IF, .offset = FIELD(struct brotli_conf, common.on, flag), .dflt = "off", .since = "weir", .help = "Whether responses are compressed by brotli for clients that take it (br); before zstd and gzip where a client likes them as well." },
    { .name = "brotli_comp_level", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct brotli_conf, level, int64_t), .dflt = "6", .since = "weir", .data = &levels, .help = "How hard brotli tries, from 0 (fast) to 11 (small)." },
    { .name = "brotli_min_length", .type = &conf_bytes, .where = IN_HSL, .offset = FIELD(struct brotli_conf, common.min_length, bytes), .dflt = "20", .since = "weir", .help = "The least Content-Length of a response that is compressed by brotli." },
    { .name = "brotli_types", .type = &type_set_type, .where = IN_HSL, .offset = FIELD(struct brotli_conf, common.types, struct type_set), .dflt = "text/html", .since = "weir", .help = "The content types that are compressed by brotli, besides text/html; * is any." },
    { .name = "brotli_buffers", .type = &conf_bufs, .where = IN_HSL, .offset = FIELD(struct brotli_conf, common.buffers, bufs), .dflt = "32 4k", .since = "weir", .help = "How many buffers brotli fills before they are sent, and their size." },
    { .name = "brotli_window", .type = &type_window, .where = IN_HSL, .offset = FIELD(struct brotli_conf, window, bytes), .dflt = "512k", .since = "weir", .help = "How far back brotli looks for what came before." },
    { 0 }
};

static const struct http_part part = { .variables = variables };
struct module brotli_module = { .name = "brotli", .conf_size = sizeof(struct brotli_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind, .extra = &brotli_coding };
