#include "http/proxied.h"
#include "wire/proxy_protocol.h"

static struct addr addr_of(const struct proxy_protocol *h, const struct proxy_protocol_end *end)
{
    struct addr a = { .family = AF_UNSPEC };
    if (h->local) return a;
    if (h->family == PROXY_PROTOCOL_IPV4) {
        a.in.sin_family = AF_INET;
        memcpy(&a.in.sin_addr, end->address, sizeof a.in.sin_addr);
        addr_set_port(&a, end->port);
    } else if (h->family == PROXY_PROTOCOL_IPV6) {
        a.in6.sin6_family = AF_INET6;
        memcpy(&a.in6.sin6_addr, end->address, sizeof a.in6.sin6_addr);
        addr_set_port(&a, end->port);
    }
    return a;
}

enum proxied_result proxied_read(const char *p, size_t n, struct proxied **out, size_t *used)
{
    struct proxy_protocol h;
    const char *why;
    switch (proxy_protocol_read(p, n, &h, &why)) {
    case PROXY_PROTOCOL_MORE: return n < PROXY_PROTOCOL_MOST ? PROXIED_MORE : PROXIED_BAD;
    case PROXY_PROTOCOL_BAD:  return PROXIED_BAD;
    case PROXY_PROTOCOL_DONE: break;
    }
    *used = h.length;
    *out = base_alloc(sizeof **out + h.tlvs.n);
    char *tlvs = (char *) (*out + 1);
    if (h.tlvs.n) memcpy(tlvs, h.tlvs.p, h.tlvs.n);
    **out = (struct proxied) { addr_of(&h, &h.source), addr_of(&h, &h.target), text_of(tlvs, h.tlvs.n), h.version };
    return PROXIED_DONE;
}
