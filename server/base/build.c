#include "base/build.h"

enum { HINT_USUAL = 128 };

struct build build_in_pool(struct pool *pool, size_t hint, size_t limit)
{
    struct build b = { .limit = limit ? limit : (size_t) 1 << 30, .pool = pool };
    size_t cap = hint ? hint : HINT_USUAL;
    b.cap = min_of(cap, b.limit);
    b.p = pool_bytes(pool, b.cap);
    return b;
}

struct build build_in_room(char *room, size_t size)
{
    return (struct build) { .p = room, .cap = size, .limit = size };
}

bool build_more(struct build *b, size_t n)
{
    if (n <= b->cap - b->n) return true;
    if (b->over || b->pool == NULL || n > b->limit - b->n) {
        b->over = true;
        b->cap = b->n;        /* so that what is shorter does not slip in after what was too long */
        return false;
    }
    size_t twice = min_of(b->cap * 2, b->limit), need = b->n + n;
    size_t cap = max_of(twice, need);
    if (!pool_extend(b->pool, b->p, b->cap, cap - b->cap)) {
        char *p = pool_bytes(b->pool, cap);
        if (b->n) memcpy(p, b->p, b->n);
        b->p = p;
    }
    b->cap = cap;
    return true;
}

void build_u64(struct build *b, uint64_t v)
{
    char room[20], *at = room + sizeof room;
    do *--at = (char) ('0' + v % 10); while (v /= 10);
    build_text(b, text_of(at, (size_t) (room + sizeof room - at)));
}

void build_i64(struct build *b, int64_t v)
{
    if (v < 0) build_char(b, '-');
    build_u64(b, v < 0 ? 0 - (uint64_t) v : (uint64_t) v);
}

void build_hex(struct build *b, uint64_t v, unsigned digits)
{
    char room[16], *at = room + sizeof room;
    do {
        *--at = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (at > room && (v || room + sizeof room - at < (ptrdiff_t) digits));
    build_text(b, text_of(at, (size_t) (room + sizeof room - at)));
}

void build_bytes_hex(struct build *b, struct text bytes)
{
    if (!build_more(b, bytes.n * 2)) return;
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char) bytes.p[i];
        b->p[b->n++] = "0123456789abcdef"[c >> 4];
        b->p[b->n++] = "0123456789abcdef"[c & 15];
    }
}

void build_ms(struct build *b, uint64_t ms)
{
    unsigned part = (unsigned) (ms % 1000);
    char room[4] = { '.', (char) ('0' + part / 100), (char) ('0' + part / 10 % 10), (char) ('0' + part % 10) };
    build_u64(b, ms / 1000);
    build_text(b, text_of(room, sizeof room));
}

void build_fmt(struct build *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    build_vfmt(b, fmt, args);
    va_end(args);
}

void build_vfmt(struct build *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = b->cap - b->n;
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, args);
    ASSERT(n >= 0);
    if ((size_t) n < room) {
        b->n += (size_t) n;
    } else {                        /* vsnprintf wants a byte for a NUL that is not ours to give */
        char *whole = base_alloc((size_t) n + 1);
        vsnprintf(whole, (size_t) n + 1, fmt, again);
        build_text(b, text_of(whole, (size_t) n));
        free(whole);
    }
    va_end(again);
}

void build_escaped(struct build *b, struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            build_char(b, (char) c);
        } else {
            char hex[4] = { '\\', 'x', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15] };
            build_text(b, text_of(hex, sizeof hex));
        }
    }
}

static void add_json_control(struct build *b, unsigned char c)
{
    static const char short_form[0x20] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };
    if (short_form[c]) {
        char two[2] = { '\\', short_form[c] };
        build_text(b, text_of(two, sizeof two));
    } else {
        char six[6] = { '\\', 'u', '0', '0', (char) ('0' + (c >> 4)), "0123456789ABCDEF"[c & 15] };
        build_text(b, text_of(six, sizeof six));
    }
}

void build_html(struct build *b, struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        switch (t.p[i]) {
        case '<': build_lit(b, "&lt;"); break;
        case '>': build_lit(b, "&gt;"); break;
        case '&': build_lit(b, "&amp;"); break;
        case '"': build_lit(b, "&quot;"); break;
        default: build_char(b, t.p[i]);
        }
    }
}

void build_json(struct build *b, struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (c < 0x20) {
            add_json_control(b, c);
        } else {
            if (c == '"' || c == '\\') build_char(b, '\\');
            build_char(b, (char) c);
        }
    }
}
