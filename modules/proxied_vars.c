/* proxied_vars: what the PROXY protocol header of a connection said, as variables. */
#include "modules/module.h"
#include "http/proxied.h"
#include "wire/proxy_protocol.h"

static const struct addr *addr_of(struct eval *e, const struct variable *v)
{
    const struct proxied *p = request_of(e)->proxied;
    if (!p) return NULL;
    const struct addr *a = v->data ? &p->target : &p->source;
    return a->family == AF_UNSPEC ? NULL : a;
}

static bool get_addr(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct addr *a = addr_of(e, v);
    (void) name;
    *out = a ? addr_text(e->pool, a, true) : T("");
    return request_of(e)->proxied != NULL;
}

static bool get_port(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct addr *a = addr_of(e, v);
    (void) name;
    *out = a && addr_port(a) ? pool_printf(e->pool, "%u", addr_port(a)) : T("");
    return request_of(e)->proxied != NULL;
}

static const struct { struct text name; uint8_t type; bool ssl; } tlv_names[] = {
    { TEXT_INIT("alpn"), PP2_TYPE_ALPN, false }, { TEXT_INIT("authority"), PP2_TYPE_AUTHORITY, false }, { TEXT_INIT("unique_id"), PP2_TYPE_UNIQUE_ID, false },
    { TEXT_INIT("netns"), PP2_TYPE_NETNS, false }, { TEXT_INIT("ssl_version"), PP2_SUBTYPE_SSL_VERSION, true }, { TEXT_INIT("ssl_cn"), PP2_SUBTYPE_SSL_CN, true },
    { TEXT_INIT("ssl_cipher"), PP2_SUBTYPE_SSL_CIPHER, true }, { TEXT_INIT("ssl_sig_alg"), PP2_SUBTYPE_SSL_SIG_ALG, true }, { TEXT_INIT("ssl_key_alg"), PP2_SUBTYPE_SSL_KEY_ALG, true },
};

static bool find_tlv(struct text rest, uint8_t wanted, struct text *out)
{
    uint8_t type;
    while (proxy_protocol_tlv(&rest, &type, out))
        if (type == wanted) return true;
    return false;
}

/* Within an SSL TLV: a byte of flags and four of the verification's result come first. */
enum { SSL_HEAD = 5 };

static bool get_tlv(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct proxied *p = request_of(e)->proxied;
    struct text which = text_from(name, strlen(v->name)), inner;
    uint64_t number;
    if (!p) return false;
    if (text_starts(which, T("0x"))) return text_hex(text_from(which, 2), &number) && number < 256 && find_tlv(p->tlvs, (uint8_t) number, out);
    if (text_eq(which, T("ssl_verify"))) {
        if (!find_tlv(p->tlvs, PP2_TYPE_SSL, &inner) || inner.n < SSL_HEAD) return false;
        const unsigned char *b = (const unsigned char *) inner.p + 1;
        *out = pool_printf(e->pool, "%u", (unsigned) b[0] << 24 | (unsigned) b[1] << 16 | (unsigned) b[2] << 8 | b[3]);
        return true;
    }
    for (size_t i = 0; i < countof(tlv_names); i++) {
        if (!text_eq(which, tlv_names[i].name)) continue;
        if (!tlv_names[i].ssl) return find_tlv(p->tlvs, tlv_names[i].type, out);
        return find_tlv(p->tlvs, PP2_TYPE_SSL, &inner) && inner.n >= SSL_HEAD && find_tlv(text_from(inner, SSL_HEAD), tlv_names[i].type, out);
    }
    return false;
}

static const struct variable variables[] = {
    { .name = "proxy_protocol_addr", .get = get_addr, .help = "The client's address, as the PROXY protocol header says." },
    { .name = "proxy_protocol_port", .get = get_port, .help = "The client's port, as the PROXY protocol header says." },
    { .name = "proxy_protocol_server_addr", .get = get_addr, .data = "", .help = "The address that the client connected to, as the PROXY protocol header says." },
    { .name = "proxy_protocol_server_port", .get = get_port, .data = "", .help = "The port that the client connected to, as the PROXY protocol header says." },
    { .name = "proxy_protocol_tlv_", .flags = VAR_PREFIX, .get = get_tlv, .help = "A TLV of the PROXY protocol header, by name (alpn, authority, ssl_cn …) or as 0x and its type in hex." },
    { .name = NULL },
};

static const struct http_part part = { .variables = variables };
struct module proxied_vars_module = { .name = "proxied_vars", .part = &part, .part_kind = &http_part_kind };
