#include "gateway/preface.h"
#include "gateway/exchange.h"
#include "http/core_conf.h"
#include "wire/proxy_protocol.h"

enum { UNIQUE_ID_MOST = 128 };       /* section 2.2.5 */

struct tlv { uint8_t type; struct template *value; };
struct preface_conf { unsigned version; struct tlv *v; size_t n, cap; };

/* ---- the directive ---- */

static conf_result add_tlv(struct conf *cf, struct preface_conf *p, uint64_t type, struct text value)
{
    conf_result why = NULL;
    struct template *t = template_compile(cf, value, &why);
    if (!t) return why;
    if (p->n == p->cap) p->v = pool_grow(cf->pool, p->v, p->n, &p->cap, sizeof *p->v);
    p->v[p->n++] = (struct tlv) { (uint8_t) type, t };
    return NULL;
}

/* "tlv=0xE0:value", "unique_id=value" */
static conf_result parse_tlv(struct conf *cf, struct preface_conf *p, struct text word)
{
    struct text rest = text_from(word, min_of(word.n, (size_t) 4)), type;
    uint64_t number;
    if (p->version == 2 && text_starts(word, T("unique_id="))) return add_tlv(cf, p, PP2_TYPE_UNIQUE_ID, text_from(word, 10));
    if (p->version != 2 || !text_starts(word, T("tlv=0x")) || text_find_char(rest, ':') < 0) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    text_split(&rest, ':', &type);
    if (!text_hex(text_from(type, 2), &number) || number > UINT8_MAX) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    return add_tlv(cf, p, number, rest);
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct text word = cf->words[1];
    (void) d;
    if (text_eq(word, T("off")) && cf->count == 2) return NULL;
    struct preface_conf *p = *(struct preface_conf **) field = pool_new(cf->pool, struct preface_conf);
    if (text_eq(word, T("v2"))) p->version = 2;
    else if (text_eq(word, T("on")) || text_eq(word, T("v1"))) p->version = 1;
    else return conf_invalid;
    for (size_t i = 2; i < cf->count; i++) {
        conf_result why = parse_tlv(cf, p, cf->words[i]);
        if (why) return why;
    }
    return NULL;
}

const struct conf_type preface_type = { "off | on | v1 | v2 [unique_id=value] [tlv=type:value ...]", sizeof(struct preface_conf *), 0, 1, 32, parse };

/* ---- a request's ---- */

static bool put_end(struct proxy_protocol_end *out, const struct addr *a, sa_family_t family)
{
    if (a->family != family) return false;
    const void *at = family == AF_INET ? (const void *) &a->in.sin_addr : &a->in6.sin6_addr;
    memcpy(out->address, at, family == AF_INET ? sizeof a->in.sin_addr : sizeof a->in6.sin6_addr);
    out->port = addr_port(a);
    return true;
}

static struct text tlvs_of(struct request *r, const struct preface_conf *p)
{
    struct build b = build_in_pool(r->pool, 64, PROXY_PROTOCOL_MOST / 2);
    for (size_t i = 0; i < p->n; i++) {
        struct text value = template_render(p->v[i].value, &r->eval);
        if (p->v[i].type == PP2_TYPE_UNIQUE_ID) value.n = min_of(value.n, (size_t) UNIQUE_ID_MOST);
        if (value.n && value.n < PROXY_PROTOCOL_MOST / 2) proxy_protocol_add_tlv(&b, p->v[i].type, value);
    }
    if (build_ok(&b)) return build_done(&b);
    request_log(r, L_ERR, 0, "the TLVs for the PROXY protocol are too long: none is sent");
    return T("");
}

void preface_make(struct exchange *x)
{
    struct request *r = x->r;
    const struct preface_conf *p = x->conf->preface;
    const struct addr *from = r->peer, *to = conn_local(r->conn);
    struct proxy_protocol h = { .version = p->version };
    bool v4 = from->family == AF_INET;
    if ((v4 || from->family == AF_INET6) && put_end(&h.source, from, from->family) && put_end(&h.target, to, from->family))
        h.family = v4 ? PROXY_PROTOCOL_IPV4 : PROXY_PROTOCOL_IPV6;
    if (p->version == 2) h.tlvs = tlvs_of(r, p);
    struct build b = build_in_pool(r->pool, PROXY_PROTOCOL_LINE_MOST + h.tlvs.n, 0);
    proxy_protocol_write(&b, &h);
    x->preface.text = build_done(&b);
    x->preface.tag = secure_digest(x->preface.text);
}

bool preface_send(struct exchange *x)
{
    struct chain out = CHAIN_EMPTY;
    chain_add_text(&out, x->preface.text);
    struct io_done done = conn_send(x->conn, &out, 0);
    bool sent = done.how == IO_OK;         /* a new socket takes that much, or it is none */
    if (!sent) log_at(x->r->log, L_ERR, x->r->about, x->conn->error, "send() of the PROXY protocol header failed");
    chain_clear(&out);
    return sent;
}
