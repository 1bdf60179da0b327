#include "base/siphash.h"
#include <sys/random.h>

struct state { uint64_t a, b, c, d; };

static uint64_t turn(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

static void mix(struct state *s, unsigned rounds)
{
    while (rounds--) {
        s->a += s->b;
        s->b = turn(s->b, 13) ^ s->a;
        s->a = turn(s->a, 32);
        s->c += s->d;
        s->d = turn(s->d, 16) ^ s->c;
        s->a += s->d;
        s->d = turn(s->d, 21) ^ s->a;
        s->c += s->b;
        s->b = turn(s->b, 17) ^ s->c;
        s->c = turn(s->c, 32);
    }
}

/* Up to eight bytes, the first one lowest. */
static uint64_t word(const char *p, size_t n)
{
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++) w |= (uint64_t) (unsigned char) p[i] << 8 * i;
    return w;
}

static void take(struct state *s, uint64_t w)
{
    s->d ^= w;
    mix(s, 2);
    s->a ^= w;
}

struct siphash siphash(const struct siphash_key *k, struct text t)
{
    struct state s = {
        k->v[0] ^ 0x736f6d6570736575u, k->v[1] ^ 0x646f72616e646f6du ^ 0xee, k->v[0] ^ 0x6c7967656e657261u, k->v[1] ^ 0x7465646279746573u,
    };
    struct siphash out;
    size_t n = t.n;
    for (; t.n >= 8; t = text_from(t, 8)) take(&s, word(t.p, 8));
    take(&s, word(t.p, t.n) | (uint64_t) n << 56);
    s.c ^= 0xee;
    mix(&s, 4);
    out.v[0] = s.a ^ s.b ^ s.c ^ s.d;
    s.b ^= 0xdd;
    mix(&s, 4);
    out.v[1] = s.a ^ s.b ^ s.c ^ s.d;
    return out;
}

struct siphash_key siphash_new_key(void)
{
    struct siphash_key k;
    ASSERT(getrandom(&k, sizeof k, 0) == (ssize_t) sizeof k);
    return k;
}
