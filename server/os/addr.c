#include "os/addr.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/un.h>

#define UNIX_PATH_MAX_ (sizeof(((struct sockaddr_un *) 0)->sun_path) - 1)

/* ---- printing ---- */

void addr_print(struct build *b, const struct addr *a, bool without_port)
{
    char room[INET6_ADDRSTRLEN];
    switch (a->family) {
    case AF_INET:
        build_c(b, inet_ntop(AF_INET, &a->in.sin_addr, room, sizeof room));
        break;
    case AF_INET6:
        if (!without_port) build_char(b, '[');
        build_c(b, inet_ntop(AF_INET6, &a->in6.sin6_addr, room, sizeof room));
        if (!without_port) build_char(b, ']');
        break;
    case AF_UNIX:
        build_lit(b, "unix:");
        if (a->un.path) build_c(b, a->un.path);
        return;
    default:
        return;
    }
    if (without_port) return;
    build_char(b, ':');
    build_u64(b, addr_port(a));
}

struct text addr_text(struct pool *p, const struct addr *a, bool without_port)
{
    struct build b = build_in_pool(p, 48, 0);
    addr_print(&b, a, without_port);
    build_char(&b, '\0');
    return text_upto(build_done(&b), b.n - 1);
}

/* ---- parsing ---- */

static bool read_port(struct text t, uint16_t *out)
{
    uint64_t v;
    if (t.n == 0 || t.n > 5 || !text_u64(t, &v) || v == 0 || v > 65535) return false;
    *out = (uint16_t) v;
    return true;
}

/* The bare address: no port, no brackets. */
static bool read_ip(struct text t, struct addr *out)
{
    char room[INET6_ADDRSTRLEN];
    if (t.n == 0 || t.n >= sizeof room || memchr(t.p, '\0', t.n)) return false;
    memcpy(room, t.p, t.n);
    room[t.n] = '\0';
    memset(out, 0, sizeof *out);
    out->family = text_find_char(t, ':') >= 0 ? AF_INET6 : AF_INET;
    void *to = out->family == AF_INET6 ? (void *) &out->in6.sin6_addr : (void *) &out->in.sin_addr;
    return inet_pton(out->family, room, to) == 1;
}

static bool read_unix(struct pool *p, struct text t, struct addr *out)
{
    struct text path = text_from(t, 5);
    if (path.n == 0 || path.n > UNIX_PATH_MAX_) return false;
    memset(out, 0, sizeof *out);
    out->un.family = AF_UNIX;
    out->un.path = pool_cstr(p, path);
    return true;
}

/* "[::1]" or "[::1]:80" */
static bool read_bracketed(struct text t, uint16_t *port, struct addr *out)
{
    ssize_t end = text_find_char(t, ']');
    if (end < 0 || !read_ip(text_of(t.p + 1, (size_t) end - 1), out) || out->family != AF_INET6) return false;
    struct text rest = text_from(t, (size_t) end + 1);
    return rest.n == 0 || (rest.p[0] == ':' && read_port(text_from(rest, 1), port));
}

bool addr_parse(struct pool *p, struct text t, uint16_t port, struct addr *out)
{
    if (text_starts_nocase(t, T("unix:"))) return read_unix(p, t, out);
    if (t.n && t.p[0] == '[') {
        if (!read_bracketed(t, &port, out)) return false;
        addr_set_port(out, port);
        return true;
    }
    ssize_t colon = text_find_char(t, ':');
    if (colon >= 0 && text_rfind_char(t, ':') == colon) {
        if (!read_port(text_from(t, (size_t) colon + 1), &port)) return false;
        t = text_upto(t, (size_t) colon);
    } else if (read_port(t, &port)) {
        t = T("*");
    }
    if (text_eq(t, T("*"))) t = T("0.0.0.0");
    if (!read_ip(t, out)) return false;
    addr_set_port(out, port);
    return true;
}

static bool split_fail(const char **why_out, const char *why)
{
    *why_out = why;
    return false;
}

bool addr_split(struct text t, struct text *host_out, uint16_t *port_out, const char **why_out)
{
    *port_out = 0;
    if (text_starts_nocase(t, T("unix:"))) {
        if (t.n > 5 && t.p[t.n - 1] == ':') t.n--;
        if (t.n == 5) return split_fail(why_out, "no path in the unix domain socket");
        if (t.n - 5 > UNIX_PATH_MAX_) return split_fail(why_out, "too long path in the unix domain socket");
        *host_out = t;
        return true;
    }
    struct text rest;
    if (t.n && t.p[0] == '[') {
        ssize_t end = text_find_char(t, ']');
        if (end < 0) return split_fail(why_out, "invalid host");
        *host_out = text_upto(t, (size_t) end + 1);
        rest = text_from(t, (size_t) end + 1);
        if (rest.n && rest.p[0] != ':') return split_fail(why_out, "invalid host");
    } else {
        ssize_t colon = text_find_char(t, ':');
        *host_out = colon < 0 ? t : text_upto(t, (size_t) colon);
        rest = colon < 0 ? (struct text) { NULL, 0 } : text_from(t, (size_t) colon);
    }
    if (host_out->n == 0) return split_fail(why_out, "no host");
    if (rest.n && !read_port(text_from(rest, 1), port_out)) return split_fail(why_out, "invalid port");
    return true;
}

size_t addr_resolve(struct pool *p, struct text host, uint16_t port, struct addr **out, const char **why_out)
{
    struct addr one;
    if ((text_starts_nocase(host, T("unix:")) && read_unix(p, host, &one)) || read_ip(host, &one)
        || (host.n > 2 && host.p[0] == '[' && read_bracketed(host, &port, &one))) {
        addr_set_port(&one, port);
        *out = pool_alloc(p, sizeof one);
        **out = one;
        return 1;
    }
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list = NULL;
    *why_out = "host not found";
    if (host.n == 0 || host.n > 255 || host.p[0] == '[' || getaddrinfo(pool_cstr(p, host), NULL, &hints, &list) != 0) return 0;
    size_t n = 0, count = 0;
    for (struct addrinfo *i = list; i; i = i->ai_next) count++;
    *out = pool_array(p, struct addr, count);
    for (struct addrinfo *i = list; i; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6) continue;
        addr_from_sockaddr(&(*out)[n], i->ai_addr, i->ai_addrlen);
        addr_set_port(&(*out)[n++], port);
    }
    freeaddrinfo(list);
    return n;
}

/* ---- networks ---- */

static uint8_t *octets(struct addr *a, unsigned *bits_out)
{
    *bits_out = a->family == AF_INET6 ? 128 : 32;
    return a->family == AF_INET6 ? a->in6.sin6_addr.s6_addr : (uint8_t *) &a->in.sin_addr;
}

bool addr_parse_cidr(struct text t, struct cidr *out)
{
    ssize_t slash = text_find_char(t, '/');
    uint64_t bits;
    unsigned most;
    *out = (struct cidr) { .bits = 0 };
    if (!read_ip(slash < 0 ? t : text_upto(t, (size_t) slash), &out->base)) return false;
    uint8_t *o = octets(&out->base, &most);
    if (slash < 0) bits = most;
    else if (!text_u64(text_from(t, (size_t) slash + 1), &bits) || bits > most) return false;
    out->bits = (unsigned) bits;
    for (unsigned i = out->bits; i < most; i++) {
        uint8_t bit = (uint8_t) (0x80 >> (i % 8));
        if (o[i / 8] & bit) out->low_bits = true;
        o[i / 8] = (uint8_t) (o[i / 8] & ~bit);
    }
    return true;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0) return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool addr_in_cidr(const struct addr *a, const struct cidr *c)
{
    if (a->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
        const uint8_t *v4 = a->in6.sin6_addr.s6_addr + 12;
        return c->base.family == AF_INET && same_bits(v4, (const uint8_t *) &c->base.in.sin_addr, c->bits);
    }
    if (a->family != c->base.family) return false;
    if (a->family == AF_INET) return same_bits((const uint8_t *) &a->in.sin_addr, (const uint8_t *) &c->base.in.sin_addr, c->bits);
    return a->family == AF_INET6 && same_bits(a->in6.sin6_addr.s6_addr, c->base.in6.sin6_addr.s6_addr, c->bits);
}

/* ---- parts ---- */

uint16_t addr_port(const struct addr *a)
{
    if (a->family == AF_INET) return ntohs(a->in.sin_port);
    return a->family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->family == AF_INET) a->in.sin_port = htons(port);
    else if (a->family == AF_INET6) a->in6.sin6_port = htons(port);
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    if (a->family != b->family) return false;
    switch (a->family) {
    case AF_INET:
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id
            && memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
    case AF_UNIX:
        return a->un.path && b->un.path ? strcmp(a->un.path, b->un.path) == 0 : a->un.path == b->un.path;
    default:
        return true;
    }
}

struct addr addr_unmapped(const struct addr *a)
{
    struct addr four = { .in = { .sin_family = AF_INET } };
    if (a->family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) return *a;
    four.in.sin_port = a->in6.sin6_port;
    memcpy(&four.in.sin_addr, a->in6.sin6_addr.s6_addr + 12, 4);
    return four;
}

bool addr_is_wildcard(const struct addr *a)
{
    if (a->family == AF_INET) return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return a->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

socklen_t addr_sockaddr(const struct addr *a, struct sockaddr_storage *room)
{
    if (a->family == AF_INET) {
        memcpy(room, &a->in, sizeof a->in);
        return sizeof a->in;
    }
    if (a->family == AF_INET6) {
        memcpy(room, &a->in6, sizeof a->in6);
        return sizeof a->in6;
    }
    struct sockaddr_un *un = (struct sockaddr_un *) room;
    memset(un, 0, sizeof *un);
    un->sun_family = a->family;
    if (a->family != AF_UNIX || a->un.path == NULL) return offsetof(struct sockaddr_un, sun_path);
    size_t n = min_of(strlen(a->un.path), UNIX_PATH_MAX_);
    memcpy(un->sun_path, a->un.path, n);
    return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n + 1);
}

void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len)
{
    memset(a, 0, sizeof *a);
    if (len >= sizeof a->in && sa->sa_family == AF_INET) memcpy(&a->in, sa, sizeof a->in);
    else if (len >= sizeof a->in6 && sa->sa_family == AF_INET6) memcpy(&a->in6, sa, sizeof a->in6);
    else if (len >= sizeof sa->sa_family) a->family = sa->sa_family;
    if (a->family == AF_INET) memset(a->in.sin_zero, 0, sizeof a->in.sin_zero);
    if (a->family == AF_INET6) a->in6.sin6_flowinfo = 0;
}
