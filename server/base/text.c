#include "base/text.h"

enum { WORD = sizeof(uint64_t) };

static inline uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

static inline bool same_word(const char *a, const char *b)
{
    uint64_t x = load(a, WORD), y = load(b, WORD);
    return x == y || text_lower_word(x) == text_lower_word(y);
}

bool text_eq_nocase(struct text a, struct text b)
{
    if (a.n != b.n) return false;
    if (a.n >= WORD) {
        for (size_t i = 0; i + WORD < a.n; i += WORD) {
            if (!same_word(a.p + i, b.p + i)) return false;
        }
        return same_word(a.p + a.n - WORD, b.p + a.n - WORD);
    }
    for (size_t i = 0; i < a.n; i++) {
        if (text_lower((unsigned char) a.p[i]) != text_lower((unsigned char) b.p[i])) return false;
    }
    return true;
}

bool text_starts(struct text t, struct text prefix)
{
    return t.n >= prefix.n && text_eq(text_upto(t, prefix.n), prefix);
}

bool text_starts_nocase(struct text t, struct text prefix)
{
    return t.n >= prefix.n && text_eq_nocase(text_upto(t, prefix.n), prefix);
}

bool text_ends(struct text t, struct text suffix)
{
    return t.n >= suffix.n && (suffix.n == 0 || memcmp(t.p + t.n - suffix.n, suffix.p, suffix.n) == 0);
}

int text_cmp(struct text a, struct text b)
{
    size_t n = min_of(a.n, b.n);
    int d = n ? memcmp(a.p, b.p, n) : 0;
    if (d) return d < 0 ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

ssize_t text_find_char(struct text t, char c)
{
    const char *at = t.n ? memchr(t.p, c, t.n) : NULL;
    return at ? at - t.p : -1;
}

ssize_t text_rfind_char(struct text t, char c)
{
    const char *at = t.n ? memrchr(t.p, c, t.n) : NULL;
    return at ? at - t.p : -1;
}

ssize_t text_find(struct text t, struct text sub)
{
    if (sub.n == 0) return 0;
    const char *at = t.n >= sub.n ? memmem(t.p, t.n, sub.p, sub.n) : NULL;
    return at ? at - t.p : -1;
}

struct text text_trim(struct text t)
{
    while (t.n && (t.p[0] == ' ' || t.p[0] == '\t')) t = text_from(t, 1);
    while (t.n && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t')) t.n--;
    return t;
}

bool text_split(struct text *rest, char sep, struct text *part_out)
{
    if (rest->p == NULL) return false;
    ssize_t at = text_find_char(*rest, sep);
    if (at < 0) {
        *part_out = *rest;
        *rest = (struct text) { NULL, 0 };
    } else {
        *part_out = text_upto(*rest, (size_t) at);
        *rest = text_from(*rest, (size_t) at + 1);
    }
    return true;
}

bool text_u64(struct text t, uint64_t *out)
{
    uint64_t v = 0;
    if (t.n == 0) return false;
    for (size_t i = 0; i < t.n; i++) {
        unsigned d = (unsigned char) t.p[i] - (unsigned) '0';
        if (d > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v)) return false;
    }
    *out = v;
    return true;
}

bool text_hex(struct text t, uint64_t *out)
{
    uint64_t v = 0;
    if (t.n == 0) return false;
    for (size_t i = 0; i < t.n; i++) {
        unsigned c = text_lower((unsigned char) t.p[i]), d = c - '0';
        if (d > 9) {
            d = c - 'a' + 10;
            if (d < 10 || d > 15) return false;
        }
        if (v >> 60) return false;
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t) a * b;
    return (uint64_t) m ^ (uint64_t) (m >> 64);
}

static const uint64_t seed_a = 0x9e3779b97f4a7c15u, seed_b = 0xd6e8feb86659fd93u;

uint64_t text_hash(struct text t)
{
    uint64_t h = seed_a ^ t.n;
    for (; t.n >= WORD; t = text_from(t, WORD)) h = mix(h ^ load(t.p, WORD), seed_b);
    if (t.n) h = mix(h ^ load(t.p, t.n), seed_b);
    return mix(h, seed_a);
}

uint64_t text_hash_nocase(struct text t)
{
    uint64_t h = seed_a ^ t.n;
    for (; t.n >= WORD; t = text_from(t, WORD)) h = mix(h ^ text_lower_word(load(t.p, WORD)), seed_b);
    if (t.n) h = mix(h ^ text_lower_word(load(t.p, t.n)), seed_b);
    return mix(h, seed_a);
}

bool text_eq_secret(struct text a, struct text b)
{
    if (a.n != b.n) return false;
    unsigned char differ = 0;
    for (size_t i = 0; i < a.n; i++) differ |= (unsigned char) (a.p[i] ^ b.p[i]);
    __asm__ volatile("" : "+r"(differ));
    return differ == 0;
}

enum { DISTANCE_MAX = 128 };

unsigned text_distance(struct text a, struct text b, unsigned limit)
{
    unsigned row[DISTANCE_MAX + 1];
    size_t apart = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (apart >= limit || b.n > DISTANCE_MAX) return limit;

    for (size_t j = 0; j <= b.n; j++) row[j] = (unsigned) j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned corner = row[0], least = row[0] = (unsigned) i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned swap = corner + (text_lower((unsigned char) a.p[i - 1]) != text_lower((unsigned char) b.p[j - 1]));
            corner = row[j];
            unsigned shift = min_of(corner, row[j - 1]) + 1;
            row[j] = min_of(swap, shift);
            least = min_of(least, row[j]);
        }
        if (least >= limit) return limit;
    }
    return min_of(row[b.n], limit);
}
