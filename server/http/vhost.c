#include "http/vhost.h"
#include "http/listen.h"
#include <unistd.h>

/* ---- while reading ---- */

conf_result vhost_read(struct conf *cf, struct http *h)
{
    struct vhost *v = pool_new(cf->pool, struct vhost);
    *v = (struct vhost) { .magic = VHOST_MAGIC, .http = h };
    v->self = location_open(cf, LOCATION_NONAME, T(""), NULL);
    if (h->vhost_count == h->vhost_cap) h->vhosts = pool_grow(cf->pool, h->vhosts, h->vhost_count, &h->vhost_cap, sizeof(struct vhost *));
    h->vhosts[h->vhost_count++] = v;
    conf_result why = conf_enter(cf, IN_SERVER, v, &v->block);
    if (why) return why;
    v->self->block = v->block;
    return v->listens ? NULL : listen_default(cf, h, v);
}

static struct text lower(struct pool *p, struct text t)
{
    char *s = pool_bytes(p, t.n);
    for (size_t i = 0; i < t.n; i++) s[i] = (char) text_lower((unsigned char) t.p[i]);
    return text_of(s, t.n);
}

static bool has_capital(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] >= 'A' && t.p[i] <= 'Z') return true;
    return false;
}

static conf_result read_name(struct conf *cf, struct text word, struct vhost_name *out)
{
    conf_result why = NULL;
    if (text_find_char(word, '/') >= 0 && word.p[0] != '~') conf_warn(cf, "server name \"%.*s\" has suspicious symbols", TEXT_ARG(word));
    if (text_eq(word, T("$hostname"))) {
        char name[256] = "";
        gethostname(name, sizeof name - 1);
        out->text = lower(cf->pool, text_c(name));
        return NULL;
    }
    if (word.n && word.p[0] == '~') {
        if (word.n == 1) return conf_say(cf, "!empty regex in server name \"~\"");
        out->text = pool_text(cf->pool, word);
        out->regex = regex_compile(cf, text_from(out->text, 1), has_capital(word), &why);
        return why;
    }
    bool star = word.n && word.p[0] == '*', dot = word.n && word.p[0] == '.';
    if ((star && (word.n < 3 || word.p[1] != '.')) || (dot && word.n < 2)) return conf_say(cf, "!server name \"%.*s\" is invalid", TEXT_ARG(word));
    out->text = lower(cf->pool, word);
    return NULL;
}

conf_result vhost_read_names(struct conf *cf, struct vhost *v)
{
    NEED(v, VHOST_MAGIC);
    for (size_t i = 1; i < cf->count; i++) {
        if (v->name_count == v->name_cap) v->names = pool_grow(cf->scratch, v->names, v->name_count, &v->name_cap, sizeof *v->names);
        struct vhost_name *name = &v->names[v->name_count++];
        *name = (struct vhost_name) { .regex = NULL };
        conf_result why = read_name(cf, cf->words[i], name);
        if (why) return why;
        v->has_regex_name |= name->regex != NULL;
        if (v->name_count > 1) continue;
        v->name = name->text;
        if (v->name.n && v->name.p[0] == '.') v->name = text_from(v->name, 1);
    }
    return NULL;
}

/* ---- while serving ---- */

struct vhost_addr *vhost_addr_of(struct conn *c)
{
    const struct vhost_port *port = c->listener->owner;
    if (likely(port->n == 1)) return port->v[0];
    const struct addr *local = conn_local(c);
    for (size_t i = 0; i + 1 < port->n; i++)
        if (addr_eq(&port->v[i]->addr, local)) return port->v[i];
    return port->v[port->n - 1];
}

bool vhost_is_opaque(const struct vhost *v, uint16_t port) { return v->opaque && policy_port_listed(v->opaque, port); }

struct vhost *vhost_find(const struct vhost_addr *a, struct text host, struct eval *e)
{
    if (!a->names) return a->fallback;
    struct vhost *v = host.n ? names_find(a->names, host, e) : a->nameless;
    return v ? v : a->fallback;
}
