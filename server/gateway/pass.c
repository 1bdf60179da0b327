#include "gateway/pass.h"
#include "gateway/exchange.h"

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

/* Takes the scheme off. True: one that asks for TLS. */
static bool take_scheme(const struct gateway_scheme *s, struct text *t)
{
    for (; s && s->prefix.n; s++) {
        if (!text_starts_nocase(*t, s->prefix)) continue;
        *t = text_from(*t, s->prefix.n);
        return s->secure;
    }
    return false;
}

conf_result gateway_pass_parse(struct conf *cf, struct text word, const struct gateway_scheme *schemes, struct verdict (*content)(struct request *r), struct gateway_pass **pass_out)
{
    conf_result why = NULL;
    struct gateway_pass *p = *pass_out = pool_new(cf->pool, struct gateway_pass);
    p->source = pool_text(cf->pool, word);
    p->groups = groups_of(cf, EVAL_HTTP);
    p->schemes = schemes;
    if (text_find_char(word, '$') >= 0) {
        if (!(p->dynamic = template_compile(cf, p->source, &why))) return why;
    } else {
        uint16_t port;
        p->secure = take_scheme(schemes, &p->source);
        const char *wrong = split(p->source, &p->host, &port);
        if (wrong) return conf_say(cf, "!%s in upstream \"%.*s\"", wrong, TEXT_ARG(word));
        if (!(p->ref = group_reference(cf, p->groups, p->host, port, 0, &why))) return why;
    }
    location_redirects_folder(cf);
    return location_set_content(cf, content, p);
}

bool gateway_pass_find(struct request *r, const struct gateway_pass *p, struct gateway_target *t, int *status_out)
{
    t->host = p->host;
    t->secure = p->secure;
    if (likely(!p->dynamic)) {
        t->group = p->ref->group;
        return true;
    }
    struct text to = template_render(p->dynamic, &r->eval);
    t->secure = take_scheme(p->schemes, &to);
    const char *wrong = split(to, &t->host, &t->port);
    if (wrong) {
        log_at(r->log, L_ERR, r->about, 0, "%s in upstream \"%.*s\"", wrong, TEXT_ARG(to));
        *status_out = 500;
        return false;
    }
    if ((t->group = groups_find(p->groups, t->host, t->port))) return true;
    struct addr a;
    if (addr_parse(r->pool, to, 0, &a) && (a.family == AF_UNIX || addr_port(&a))) {
        t->group = group_of_address(r->pool, &a, addr_text(r->pool, &a, false));
        return true;
    }
    if (t->port) return true;
    *status_out = 502;
    log_at(r->log, L_ERR, r->about, 0, "no port in upstream \"%.*s\"", TEXT_ARG(t->host));
    return false;
}
