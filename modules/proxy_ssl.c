/* proxy_ssl: TLS to proxied servers: the proxy_ssl_… directives. */
#include "gateway/secure_conf.h"
#include "modules/proxy.h"

struct proxy_ssl_conf {
    struct secure_conf s;                /* its context is made when a generation is opened, where https is passed to */
    struct proxy_pass *passes;           /* of the top: all */
};

extern struct module proxy_ssl_module;

static const struct directive rows[] = { SECURE_ROWS(struct proxy_ssl_conf, s, "proxy_ssl_", NULL, "off", "1", "off", "$proxy_host", ""), { .name = NULL } };

void proxy_ssl_note(struct conf *cf, struct proxy_pass *p)
{
    struct proxy_ssl_conf *top = conf_own_values(cf, cf->top, &proxy_ssl_module);
    p->block = cf->block;
    p->file = cf->file;
    p->line = cf->line;
    p->next = top->passes;
    top->passes = p;
}

static bool open_all(struct cycle *c)
{
    const struct proxy_ssl_conf *top = conf_values(c->conf->top, &proxy_ssl_module);
    struct secure_opening o;
    bool fine = true;
    secure_opening_begin(&o, c);
    for (struct proxy_pass *p = top->passes; fine && p; p = p->next) {
        struct proxy_ssl_conf *own = conf_values(p->block, &proxy_ssl_module);
        fine = secure_conf_open(&o, &own->s, false, "proxy_ssl_", p->file, p->line);
    }
    secure_opening_end(&o);
    return fine;
}

const struct secure *proxy_ssl_of(struct request *r)
{
    const struct proxy_ssl_conf *c = request_values(r, &proxy_ssl_module);
    return secure_conf_of(r, &c->s, template_render(c->s.name, &r->eval));
}

void proxy_ssl_prepare(const struct location *l, struct eval *e, struct fetch_want *out)
{
    const struct proxy_ssl_conf *c = conf_values(l->block, &proxy_ssl_module);
    const struct secure_conf *s = &c->s;
    bool is_address;
    struct text name = secure_conf_name(template_render(s->name, e), &is_address);
    ASSERT(s->context != NULL);
    out->tls = s->context;
    out->tls_name = name.n || !s->verify.on ? name : T(" ");
    out->no_sni = !s->server_name.on;
}

static const struct process_part process = { .open = open_all };

struct module proxy_ssl_module = { .name = "http_proxy_ssl", .conf_size = sizeof(struct proxy_ssl_conf), .rows = rows, .part = &process, .part_kind = &process_part_kind };
