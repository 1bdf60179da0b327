#include "tls/fingerprint.h"
#include <openssl/sha.h>

enum { EXT_NAME = 0, EXT_GROUPS = 10, EXT_FORMATS = 11, EXT_SCHEMES = 13, EXT_ALPN = 16, EXT_VERSIONS = 43 };
enum { LIST_MOST = 1024, HASH_SHOWN = 6 };

/* ---- reading ---- */

static unsigned two(const char *p) { return (unsigned) (unsigned char) p[0] << 8 | (unsigned char) p[1]; }

/* What a length of size bytes stands before. False: it is not all there. */
static bool cut(struct text *rest, size_t size, struct text *out)
{
    size_t n = 0;
    if (rest->n < size) return false;
    for (size_t i = 0; i < size; i++) n = n << 8 | (unsigned char) rest->p[i];
    if (rest->n - size < n) return false;
    *out = text_of(rest->p + size, n);
    *rest = text_from(*rest, size + n);
    return true;
}

/* The contents of an extension that is one list behind a length of size bytes. */
static struct text list_of(struct text body, size_t size)
{
    struct text list;
    return cut(&body, size, &list) ? list : (struct text) { NULL, 0 };
}

static void note(struct hello_facts *f, unsigned type, struct text body)
{
    struct text list;
    switch (type) {
    case EXT_NAME:     f->named = true; break;
    case EXT_GROUPS:   f->groups = list_of(body, 2); break;
    case EXT_FORMATS:  f->formats = list_of(body, 1); break;
    case EXT_SCHEMES:  f->schemes = list_of(body, 2); break;
    case EXT_VERSIONS: f->versions = list_of(body, 1); break;
    case EXT_ALPN:     list = list_of(body, 2); cut(&list, 1, &f->alpn); break;
    default: break;
    }
}

/* RFC 8446 4.1.2 */
bool fingerprint_read(struct text hello, struct hello_facts *out)
{
    struct text body, part;
    *out = (struct hello_facts) { 0 };
    if (hello.n < 4 || hello.p[0] != 1) return false;
    hello = text_from(hello, 1);
    if (!cut(&hello, 3, &body) || body.n < 34) return false;
    out->version = two(body.p);
    body = text_from(body, 34);
    if (!cut(&body, 1, &part) || !cut(&body, 2, &out->ciphers) || !cut(&body, 1, &part)) return false;
    if (body.n == 0) return true;
    if (!cut(&body, 2, &out->extensions)) return false;
    for (struct text rest = out->extensions; rest.n;) {
        if (rest.n < 2) return false;
        unsigned type = two(rest.p);
        rest = text_from(rest, 2);
        if (!cut(&rest, 2, &part)) return false;
        note(out, type, part);
    }
    return true;
}

/* ---- lists of numbers ---- */

struct numbers { size_t n; uint16_t v[LIST_MOST]; };

/* RFC 8701: values that mean nothing, for the exercise of servers. */
static bool is_grease(unsigned v) { return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff); }

static void add_number(struct numbers *l, unsigned v)
{
    if (!is_grease(v) && l->n < LIST_MOST) l->v[l->n++] = (uint16_t) v;
}

static void pairs_of(struct text t, struct numbers *out)
{
    out->n = 0;
    for (; t.n >= 2; t = text_from(t, 2)) add_number(out, two(t.p));
}

static void types_of(struct text extensions, struct numbers *out)
{
    out->n = 0;
    for (; extensions.n >= 4; extensions = text_from(extensions, 4 + two(extensions.p + 2))) add_number(out, two(extensions.p));
}

static int by_value(const void *a, const void *b) { return *(const uint16_t *) a - *(const uint16_t *) b; }
static void sort(struct numbers *l) { qsort(l->v, l->n, sizeof(l->v[0]), by_value); }

static void put(struct build *b, const struct numbers *l, const char *fmt, char between)
{
    for (size_t i = 0; i < l->n; i++) {
        if (i) build_char(b, between);
        build_fmt(b, fmt, l->v[i]);
    }
}

/* ---- JA3 ---- */

void fingerprint_ja3(const struct hello_facts *f, struct build *b)
{
    struct numbers l;
    build_fmt(b, "%u,", f->version);
    pairs_of(f->ciphers, &l);
    put(b, &l, "%u", '-');
    build_char(b, ',');
    types_of(f->extensions, &l);
    put(b, &l, "%u", '-');
    build_char(b, ',');
    pairs_of(f->groups, &l);
    put(b, &l, "%u", '-');
    build_char(b, ',');
    for (size_t i = 0; i < f->formats.n; i++) build_fmt(b, i ? "-%u" : "%u", (unsigned char) f->formats.p[i]);
}

/* ---- JA4 ---- */

static const char *version_of(const struct hello_facts *f)
{
    static const struct { unsigned v; const char *shown; } known[] = { { 0x0304, "13" }, { 0x0303, "12" }, { 0x0302, "11" }, { 0x0301, "10" }, { 0x0300, "s3" }, { 0x0002, "s2" } };
    unsigned best = 0;
    struct numbers l;
    pairs_of(f->versions, &l);
    for (size_t i = 0; i < l.n; i++) if (l.v[i] > best) best = l.v[i];
    if (!best) best = f->version;
    for (size_t i = 0; i < countof(known); i++) if (known[i].v == best) return known[i].shown;
    return "00";
}

static bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* The ends of the first protocol; of its hex form, where they are not letters or digits. */
static void put_alpn(struct build *b, struct text name)
{
    static const char hex[] = "0123456789abcdef";
    if (name.n == 0) {
        build_lit(b, "00");
        return;
    }
    char first = name.p[0], last = name.p[name.n - 1];
    bool plain = is_alnum(first) && is_alnum(last);
    build_char(b, plain ? first : hex[(unsigned char) first >> 4]);
    build_char(b, plain ? last : hex[last & 15]);
}

static void put_hash(struct build *b, struct text t)
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    if (t.n == 0) memset(sum, 0, sizeof sum);
    else SHA256((const unsigned char *) t.p, t.n, sum);
    build_bytes_hex(b, text_of((const char *) sum, HASH_SHOWN));
}

static void put_list_hash(struct build *b, struct numbers *l, const struct numbers *then)
{
    char room[2 * (LIST_MOST * 5 + 1)];
    struct build text = build_in_room(room, sizeof room);
    sort(l);
    put(&text, l, "%04x", ',');
    if (then && l->n && then->n) build_char(&text, '_');
    if (then && l->n) put(&text, then, "%04x", ',');
    put_hash(b, build_done(&text));
}

static void drop_named(struct numbers *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i] != EXT_NAME && l->v[i] != EXT_ALPN) l->v[kept++] = l->v[i];
    l->n = kept;
}

void fingerprint_ja4(const struct hello_facts *f, struct build *b)
{
    struct numbers ciphers, types, schemes;
    pairs_of(f->ciphers, &ciphers);
    types_of(f->extensions, &types);
    pairs_of(f->schemes, &schemes);
    build_fmt(b, "t%s%c%02zu%02zu", version_of(f), f->named ? 'd' : 'i', min_of(ciphers.n, (size_t) 99), min_of(types.n, (size_t) 99));
    put_alpn(b, f->alpn);
    build_char(b, '_');
    put_list_hash(b, &ciphers, NULL);
    build_char(b, '_');
    drop_named(&types);
    put_list_hash(b, &types, &schemes);
}
