#include "gateway/pass.h"

/* "host", "host:port", "unix:/path" */
static const char *split(struct text t, struct text *host_out, uint16_t *port_out)
{
    const char *why = NULL;
    *port_out = 0;
    *host_out = t;
    if (!t.n) return "no host";
    if (text_starts(t, T("unix:"))) return t.n > 5 ? NULL : "no path in the unix domain socket";
    return addr_split(t, host_out, port_out, &why) ? NULL : why;
}

conf_result gateway_pass_parse(struct conf *cf, struct text word, struct verdict (*content)(struct request *r), struct gateway_pass **pass_out)
{
    conf_result why = NULL;
    struct gateway_pass *p = *pass_out = pool_new(cf->pool, struct gateway_pass);
    struct location *l = location_reading(cf);
    p->source = pool_text(cf->pool, word);
    p->groups = groups_of(cf, EVAL_HTTP);
    if (text_find_char(word, '$') >= 0) {
        if (!(p->dynamic = template_compile(cf, p->source, &why))) return why;
    } else {
        struct text host;
        uint16_t port;
        const char *wrong = split(p->source, &host, &port);
        if (wrong) return conf_say(cf, "!%s in upstream \"%.*s\"", wrong, TEXT_ARG(word));
        if (!(p->ref = group_reference(cf, p->groups, host, port, 0, &why))) return why;
    }
    if (l && l->kind == LOCATION_PREFIX && text_ends(l->name, T("/"))) l->auto_redirect = true;
    return location_set_content(cf, content, p);
}

struct group *gateway_pass_group(struct request *r, const struct gateway_pass *p, int *status_out)
{
    if (likely(!p->dynamic)) return p->ref->group;
    struct text to = template_render(p->dynamic, &r->eval), host;
    uint16_t port;
    const char *wrong = split(to, &host, &port);
    *status_out = 500;
    if (wrong) {
        log_at(r->log, L_ERR, r->about, 0, "%s in upstream \"%.*s\"", wrong, TEXT_ARG(to));
        return NULL;
    }
    struct group *g = groups_find(p->groups, host, port);
    if (g) return g;
    struct addr a;
    if (addr_parse(r->pool, to, 0, &a) && (a.family == AF_UNIX || addr_port(&a))) return group_of_address(r->pool, &a, addr_text(r->pool, &a, false));
    *status_out = 502;
    log_at(r->log, L_ERR, r->about, 0, port ? "no resolver defined to resolve %.*s" : "no port in upstream \"%.*s\"", TEXT_ARG(host));
    return NULL;
}
