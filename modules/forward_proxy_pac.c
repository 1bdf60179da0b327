/*
 * forward_proxy_pac: a file that tells browsers when to use this proxy: plain names, and addresses that its policy leads nobody to, are
 * asked directly, and all else through the proxy.
 */
#include "modules/forward_proxy.h"

struct pac { struct template *proxy; };

static const struct { const char *net, *mask; struct text probe; } nets[] = {
    { "127.0.0.0", "255.0.0.0", TEXT_INIT("127.0.0.1") }, { "10.0.0.0", "255.0.0.0", TEXT_INIT("10.0.0.1") }, { "172.16.0.0", "255.240.0.0", TEXT_INIT("172.16.0.1") },
    { "192.168.0.0", "255.255.0.0", TEXT_INIT("192.168.0.1") }, { "169.254.0.0", "255.255.0.0", TEXT_INIT("169.254.0.1") },
};

static void put_nets(struct build *b, const struct policy *p)
{
    for (size_t i = 0; i < countof(nets); i++) {
        struct addr a;
        ASSERT(addr_parse(NULL, nets[i].probe, 80, &a));
        if (policy_guard_allows(p, NULL, &a, NULL)) continue;
        build_fmt(b, "    if (/^\\d+\\.\\d+\\.\\d+\\.\\d+$/.test(host) && isInNet(host, \"%s\", \"%s\")) return \"DIRECT\";\n", nets[i].net, nets[i].mask);
    }
}

/* Nothing but what stands in a host and port. */
static struct text proxy_of(struct request *r, const struct pac *pac)
{
    if (!pac->proxy) return addr_text(r->pool, conn_local(r->conn), false);
    struct text t = template_render(pac->proxy, &r->eval);
    for (size_t i = 0; i < t.n; i++)
        if (!((unsigned char) (text_lower((unsigned char) t.p[i]) - 'a') < 26 || (unsigned char) (t.p[i] - '0') < 10 || strchr("-._:[]", t.p[i]))) return T("");
    return t;
}

static struct verdict answer(struct request *r)
{
    const struct forward_conf *c = request_values(r, &forward_proxy_module);
    if (r->method != METHOD_GET && r->method != METHOD_HEAD) return v_reply(405);
    struct text proxy = proxy_of(r, r->location->content_data);
    if (!proxy.n) return v_reply(500);
    struct build b = build_in_pool(r->pool, 1024, 0);
    build_lit(&b, "function FindProxyForURL(url, host) {\n    if (isPlainHostName(host)) return \"DIRECT\";\n");
    put_nets(&b, &c->policy);
    build_fmt(&b, "    return \"PROXY %.*s\";\n}\n", TEXT_ARG(proxy));
    return response_text(r, 200, T("application/x-ns-proxy-autoconfig"), build_done(&b), true);
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct pac *pac = pool_new(cf->pool, struct pac);
    conf_result why = NULL;
    (void) d, (void) field;
    if (cf->count == 2 && !(pac->proxy = template_compile(cf, cf->words[1], &why))) return why;
    return location_set_content(cf, answer, pac);
}

static const struct conf_type type = { .syntax = "[host:port]", .max = 1, .parse = parse };
static const struct directive rows[] = {
    { .name = "forward_proxy_pac", .type = &type, .where = IN_LOCATION, .since = "weir", .help = "Answers with a proxy auto-config file made of the policy; the proxy is this address, or the one that was asked." },
    { .name = NULL },
};

struct module forward_proxy_pac_module = { .name = "forward_proxy_pac", .rows = rows };
