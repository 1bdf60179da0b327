#include "os/scope.h"

const struct scope_row scope_rows[SCOPE_COUNT] = {
#define X(number, text, says) [SCOPE_##number] = { .name = text, .what = says },
    SCOPES(X)
#undef X
};

struct net4 { uint32_t base; unsigned bits; enum scope scope; };
struct net6 { uint8_t base[16]; unsigned bits; enum scope scope; unsigned inner; };     /* inner: where the IPv4 address stands */

#define IP(a, b, c, d) ((uint32_t) (a) << 24 | (b) << 16 | (c) << 8 | (d))

/* The first that fits counts. */
static const struct net4 nets4[] = {
    { IP(169, 254, 169, 254), 32, SCOPE_METADATA },      /* AWS, Azure, Google, OpenStack, DigitalOcean … */
    { IP(169, 254, 170, 2), 32, SCOPE_METADATA },        /* AWS, credentials of containers */
    { IP(169, 254, 170, 23), 32, SCOPE_METADATA },
    { IP(100, 100, 100, 200), 32, SCOPE_METADATA },      /* Alibaba */
    { IP(168, 63, 129, 16), 32, SCOPE_METADATA },        /* Azure */
    { IP(192, 0, 0, 192), 32, SCOPE_METADATA },          /* Oracle */
    { IP(0, 0, 0, 0), 8, SCOPE_UNSPECIFIED },            /* RFC 1122 3.2.1.3 */
    { IP(127, 0, 0, 0), 8, SCOPE_LOOPBACK },             /* RFC 1122 3.2.1.3 */
    { IP(10, 0, 0, 0), 8, SCOPE_PRIVATE },               /* RFC 1918 3 */
    { IP(172, 16, 0, 0), 12, SCOPE_PRIVATE },
    { IP(192, 168, 0, 0), 16, SCOPE_PRIVATE },
    { IP(100, 64, 0, 0), 10, SCOPE_PRIVATE },            /* RFC 6598 7 */
    { IP(169, 254, 0, 0), 16, SCOPE_LINK_LOCAL },        /* RFC 3927 */
    { IP(192, 0, 0, 0), 24, SCOPE_RESERVED },            /* RFC 6890 2.1 */
    { IP(192, 0, 2, 0), 24, SCOPE_RESERVED },            /* RFC 5737 */
    { IP(198, 51, 100, 0), 24, SCOPE_RESERVED },
    { IP(203, 0, 113, 0), 24, SCOPE_RESERVED },
    { IP(198, 18, 0, 0), 15, SCOPE_RESERVED },           /* RFC 2544 */
    { IP(192, 88, 99, 0), 24, SCOPE_RESERVED },          /* RFC 7526 */
    { IP(224, 0, 0, 0), 4, SCOPE_MULTICAST },            /* RFC 1112 4 */
    { IP(240, 0, 0, 0), 4, SCOPE_RESERVED },             /* RFC 1112 4, RFC 919 */
};

static const struct net6 nets6[] = {
    { { 0 }, 128, SCOPE_UNSPECIFIED, 0 },
    { { [15] = 1 }, 128, SCOPE_LOOPBACK, 0 },
    { { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54 }, 128, SCOPE_METADATA, 0 },      /* AWS */
    { { 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54 }, 128, SCOPE_METADATA, 0 },      /* Google */
    { { [10] = 0xff, 0xff }, 96, SCOPE_EMBEDDED, 12 },                              /* mapped: RFC 4291 2.5.5.2 */
    { { [8] = 0xff, 0xff }, 96, SCOPE_EMBEDDED, 12 },                               /* translated: RFC 2765 2.1 */
    { { 0 }, 96, SCOPE_EMBEDDED, 12 },                                              /* compatible: RFC 4291 2.5.5.1 */
    { { 0x00, 0x64, 0xff, 0x9b }, 96, SCOPE_EMBEDDED, 12 },                         /* NAT64: RFC 6052 2.1 */
    { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, SCOPE_EMBEDDED, 12 },             /* RFC 8215; where it stands is the network's choice */
    { { 0x20, 0x02 }, 16, SCOPE_EMBEDDED, 2 },                                      /* 6to4: RFC 3056 2 */
    { { 0x20, 0x01, 0x00, 0x00 }, 32, SCOPE_EMBEDDED, 12 },                         /* Teredo: RFC 4380 4; inverted */
    { { 0xfe, 0x80 }, 10, SCOPE_LINK_LOCAL, 0 },
    { { 0xfe, 0xc0 }, 10, SCOPE_PRIVATE, 0 },                                       /* RFC 3879 */
    { { 0xfc }, 7, SCOPE_PRIVATE, 0 },                                              /* RFC 4193 */
    { { 0xff }, 8, SCOPE_MULTICAST, 0 },
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, SCOPE_RESERVED, 0 },                          /* RFC 3849 */
    { { 0x20, 0x01, 0x00, 0x00 }, 23, SCOPE_RESERVED, 0 },                          /* RFC 2928 */
    { { 0x3f, 0xff }, 20, SCOPE_RESERVED, 0 },                                      /* RFC 9637 */
};

static bool fits(const uint8_t *a, const uint8_t *base, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, base, whole) == 0 && (rest == 0 || (a[whole] ^ base[whole]) >> (8 - rest) == 0);
}

static enum scope scope_of_v4(uint32_t a)
{
    for (size_t i = 0; i < countof(nets4); i++)
        if ((a ^ nets4[i].base) >> (32 - nets4[i].bits) == 0) return nets4[i].scope;
    return SCOPE_GLOBAL;
}

static void set_inner(struct addr *out, const struct addr *a, const uint8_t *at, bool inverted)
{
    if (!out) return;
    uint32_t v;
    memcpy(&v, at, sizeof v);
    *out = (struct addr) { .in = { .sin_family = AF_INET, .sin_port = a->in6.sin6_port, .sin_addr.s_addr = inverted ? ~v : v } };
}

static enum scope scope_of_v6(const struct addr *a, struct addr *inner_out)
{
    const uint8_t *o = a->in6.sin6_addr.s6_addr;
    static const uint8_t teredo[4] = { 0x20, 0x01 }, isatap[4] = { 0x00, 0x00, 0x5e, 0xfe };
    for (size_t i = 0; i < countof(nets6); i++) {
        if (!fits(o, nets6[i].base, nets6[i].bits)) continue;
        if (nets6[i].scope == SCOPE_EMBEDDED) set_inner(inner_out, a, o + nets6[i].inner, memcmp(o, teredo, 4) == 0);
        return nets6[i].scope;
    }
    if ((o[8] & 0xfd) == 0 && memcmp(o + 9, isatap + 1, 3) == 0) {     /* ISATAP: RFC 5214 6.1 */
        set_inner(inner_out, a, o + 12, false);
        return SCOPE_EMBEDDED;
    }
    return (o[0] & 0xe0) == 0x20 ? SCOPE_GLOBAL : SCOPE_RESERVED;      /* RFC 4291 2.4 */
}

enum scope scope_of(const struct addr *a, struct addr *inner_out)
{
    if (a->family == AF_INET) return scope_of_v4(ntohl(a->in.sin_addr.s_addr));
    return a->family == AF_INET6 ? scope_of_v6(a, inner_out) : SCOPE_RESERVED;
}

enum scope scope_named(struct text name)
{
    enum scope s = 0;
    while (s < SCOPE_COUNT && !text_eq(name, text_c(scope_rows[s].name))) s++;
    return s;
}
