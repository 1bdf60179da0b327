#include "upstream/resolver.h"

enum { DNS_PORT = 53 };

struct reading { struct resolver_want want; struct addr *servers; size_t cap; };

static bool starts(struct text w, struct text key, struct text *rest)
{
    if (!text_starts(w, key)) return false;
    *rest = text_from(w, key.n);
    return true;
}

/* False: it is no parameter, or *wrong. */
static bool read_parameter(struct text w, struct resolver_want *want, bool *wrong)
{
    struct text v;
    if (starts(w, T("valid="), &v)) *wrong = !conf_read_span(v, &want->valid_ms);
    else if (starts(w, T("ipv4="), &v)) *wrong = !conf_read_flag(v, &want->ipv4);
    else if (starts(w, T("ipv6="), &v)) *wrong = !conf_read_flag(v, &want->ipv6);
    else return false;
    return !*wrong;
}

static conf_result read_server(struct conf *cf, struct text w, struct reading *in)
{
    struct text host;
    uint16_t port;
    struct addr *all;
    const char *why;
    if (text_starts_nocase(w, T("unix:"))) return conf_say(cf, "!invalid address in resolver \"%.*s\"", TEXT_ARG(w));
    if (!addr_split(w, &host, &port, &why)) return conf_say(cf, "!%s in resolver \"%.*s\"", why, TEXT_ARG(w));
    size_t n = addr_resolve(cf->scratch, host, port ? port : DNS_PORT, &all, &why);
    if (!n) return conf_say(cf, "!%s in resolver \"%.*s\"", why, TEXT_ARG(w));
    for (size_t i = 0; i < n; i++) {
        if (in->want.count == in->cap) in->servers = pool_grow(cf->scratch, in->servers, in->want.count, &in->cap, sizeof *in->servers);
        in->servers[in->want.count++] = all[i];
    }
    return NULL;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct reading in = { .want = { .ipv4 = true, .ipv6 = true } };
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        bool wrong = false;
        if (read_parameter(cf->words[i], &in.want, &wrong)) continue;
        conf_result why = wrong ? conf_say(cf, "!invalid parameter: %.*s", TEXT_ARG(cf->words[i])) : read_server(cf, cf->words[i], &in);
        if (why) return why;
    }
    if (!in.want.ipv4 && !in.want.ipv6) return "!\"ipv4\" and \"ipv6\" cannot both be \"off\"";
    if (!in.want.count) return "!no name servers defined";
    in.want.servers = in.servers;
    *(struct resolver **) field = resolver_open(cf->pool, &in.want);
    return NULL;
}

const struct conf_type resolver_type = { "address ... [valid=time] [ipv4=on|off] [ipv6=on|off]", sizeof(struct resolver *), 0, 1, 64, parse };
