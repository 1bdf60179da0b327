#include "wire/base64.h"

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64_encode(struct build *b, struct text bytes, bool url)
{
    const char *alphabet = url ? for_url : plain;
    for (; bytes.n; bytes = text_from(bytes, min_of(bytes.n, (size_t) 3))) {
        const unsigned char *p = (const unsigned char *) bytes.p;
        uint32_t v = (uint32_t) p[0] << 16 | (bytes.n > 1 ? (uint32_t) p[1] << 8 : 0) | (bytes.n > 2 ? p[2] : 0);
        char four[4] = { alphabet[v >> 18], alphabet[v >> 12 & 63], alphabet[v >> 6 & 63], alphabet[v & 63] };
        size_t n = min_of(bytes.n + 1, (size_t) 4);
        if (!url) {
            memset(four + n, '=', 4 - n);
            n = 4;
        }
        build_text(b, text_of(four, n));
    }
}

static int value_of(char c, bool url)
{
    if ((unsigned char) (c - 'A') < 26) return c - 'A';
    if ((unsigned char) (c - 'a') < 26) return c - 'a' + 26;
    if ((unsigned char) (c - '0') < 10) return c - '0' + 52;
    if (c == (url ? '-' : '+')) return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

/* Without padding, which must fill a group of four if there is any. False: it does not. */
static bool strip(struct text *t)
{
    if (t->n == 0 || t->p[t->n - 1] != '=') return true;
    if (t->n % 4) return false;
    t->n -= t->p[t->n - 2] == '=' ? 2 : 1;
    return true;
}

bool base64_decode(struct build *b, struct text t, bool url)
{
    uint32_t bits = 0;
    unsigned held = 0;
    if (!strip(&t) || t.n % 4 == 1) return false;
    for (size_t i = 0; i < t.n; i++) {
        int v = value_of(t.p[i], url);
        if (v < 0) return false;
        bits = bits << 6 | (uint32_t) v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            build_char(b, (char) (bits >> held & 0xff));
        }
    }
    return (bits & ((1u << held) - 1)) == 0 && build_ok(b);
}
