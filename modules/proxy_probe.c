/* proxy_probe: what a location with proxy_pass would ask, for health checks. */
#include "modules/proxy.h"

static bool is_fixed(const struct location *l) { return ((const struct proxy_pass *) l->content_data)->ref != NULL; }

static struct group *group(const struct location *l)
{
    const struct proxy_pass *p = l->content_data;
    return p->ref ? p->ref->group : NULL;
}

static struct text host(const struct location *l)
{
    const struct proxy_pass *p = l->content_data;
    return p->url.host_header;
}

static void add_fields(const struct proxy_conf *c, struct eval *e, struct fetch_want *out)
{
    struct field *v = pool_array(e->pool, struct field, c->headers.n + 1);
    for (size_t i = 0; i < c->headers.n; i++)
        v[i] = (struct field) { .name = c->headers.v[i].name, .value = template_render(c->headers.v[i].value, e) };
    out->fields = v;
    out->field_count = c->headers.n;
}

static void prepare(const struct location *l, struct eval *e, struct fetch_want *out)
{
    const struct proxy_conf *c = conf_values(l->block, &http_proxy_module);
    const struct proxy_pass *p = l->content_data;
    out->version = (unsigned) c->version;
    out->host = p->url.host_header;
    out->connect_ms = c->g.connect_timeout.ms;
    out->send_ms = c->g.send_timeout.ms;
    out->read_ms = c->g.read_timeout.ms;
    out->head_most = (size_t) c->g.buffer_size.bytes;
    if (c->g.bind && !c->g.bind->off && !c->g.bind->dynamic) out->from = c->g.bind->addrs;
    if (p->url.secure) proxy_ssl_prepare(l, e, out);
    add_fields(c, e, out);
}

const struct probe proxy_probe = { "proxy_pass", is_fixed, group, host, prepare };
