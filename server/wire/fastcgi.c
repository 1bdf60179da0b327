#include "wire/fastcgi.h"

enum { VERSION = 1, REQUEST = 1, RESPONDER = 1, KEEP_CONN = 1, BEGIN_BODY = 8 };

/* ---- writing ---- */

static void put_u16(struct build *b, size_t v)
{
    build_char(b, (char) (v >> 8));
    build_char(b, (char) v);
}

void fastcgi_put_head(struct build *b, enum fastcgi_type type, size_t n)
{
    ASSERT(n <= FASTCGI_MOST);
    build_char(b, VERSION);
    build_char(b, (char) type);
    put_u16(b, REQUEST);
    put_u16(b, n);
    put_u16(b, 0);      /* no padding */
}

void fastcgi_put_begin(struct build *b, bool keep)
{
    fastcgi_put_head(b, FASTCGI_BEGIN_REQUEST, BEGIN_BODY);
    put_u16(b, RESPONDER);
    build_char(b, keep ? KEEP_CONN : 0);
    for (unsigned i = 3; i < BEGIN_BODY; i++) build_char(b, 0);
}

/* 3.4: one byte up to 127, else four with the highest bit set. */
static void put_length(struct build *b, size_t n)
{
    if (n > 127) {
        put_u16(b, n >> 16 | 0x8000);
        put_u16(b, n & 0xffff);
        return;
    }
    build_char(b, (char) n);
}

void fastcgi_put_pair(struct build *b, struct text name, struct text value)
{
    put_length(b, name.n);
    put_length(b, value.n);
    build_text(b, name);
    build_text(b, value);
}

void fastcgi_put_stream(struct build *b, enum fastcgi_type type, struct text content)
{
    while (content.n) {
        struct text piece = text_upto(content, min_of(content.n, (size_t) FASTCGI_MOST));
        fastcgi_put_head(b, type, piece.n);
        build_text(b, piece);
        content = text_from(content, piece.n);
    }
    fastcgi_put_head(b, type, 0);
}

/* ---- reading ---- */

static enum fastcgi_result refuse(struct fastcgi_reader *f, const char *why)
{
    f->fault = why;
    return FASTCGI_BAD;
}

static enum fastcgi_result open_record(struct fastcgi_reader *f)
{
    const unsigned char *h = f->head;
    if (h[0] != VERSION) return refuse(f, "unsupported FastCGI protocol version");
    if (h[1] != FASTCGI_END_REQUEST && h[1] != FASTCGI_STDOUT && h[1] != FASTCGI_STDERR) return refuse(f, "invalid FastCGI record type");
    if (h[2] || h[3] != REQUEST) return refuse(f, "unexpected FastCGI request id");
    f->type = h[1];
    f->left = (unsigned) h[4] << 8 | h[5];
    f->padding = h[6];
    if (f->type == FASTCGI_STDOUT && !f->left) return FASTCGI_CLOSED;
    return FASTCGI_MORE;
}

static bool is_whole(const struct fastcgi_reader *f) { return f->have == FASTCGI_HEAD && !f->left && !f->padding; }

enum fastcgi_result fastcgi_next(struct fastcgi_reader *f, const char *p, size_t n, size_t *used_out, struct text *data_out)
{
    size_t at = 0;
    for (;;) {
        if (is_whole(f)) {
            bool over = f->type == FASTCGI_END_REQUEST;
            f->have = 0;
            if (over) {
                *used_out = at;
                return FASTCGI_END;
            }
        }
        if (at == n) break;
        if (f->have < FASTCGI_HEAD) {
            f->head[f->have++] = (unsigned char) p[at++];
            enum fastcgi_result how = f->have == FASTCGI_HEAD ? open_record(f) : FASTCGI_MORE;
            if (how == FASTCGI_MORE) continue;
            *used_out = at;
            return how;
        }
        unsigned *part = f->left ? &f->left : &f->padding;
        size_t take = min_of((size_t) *part, n - at);
        bool told = f->left && f->type != FASTCGI_END_REQUEST;
        *part -= (unsigned) take;
        at += take;
        if (!told) continue;
        *data_out = text_of(p + at - take, take);
        *used_out = at;
        return f->type == FASTCGI_STDOUT ? FASTCGI_DATA : FASTCGI_ERROR;
    }
    *used_out = n;
    return FASTCGI_MORE;
}
