/* ssl_ask: one question to an OCSP responder, from its URL to the bytes of its answer (RFC 6960 A.1). */
#include "modules/ssl.h"
#include "tls/ocsp.h"
#include "wire/base64.h"
#include "wire/uri.h"

enum { ASK_MS = 60000 };

static void tell(struct ssl_asking *a, const char *wrong, struct text der)
{
    a->done(a, wrong, der);
}

static void answered(struct fetch *f, enum fetch_end how)
{
    struct ssl_asking *a = f->arg;
    if (how != FETCH_DONE) tell(a, f->why, T(""));
    else if (f->status != 200) tell(a, "OCSP responder sent another status than 200", T(""));
    else tell(a, NULL, f->body);
}

static void found(struct lookup *l)
{
    struct ssl_asking *a = container_of(l, struct ssl_asking, lookup);
    if (l->how != LOOKUP_FOUND) {
        tell(a, pool_printf(a->pool, "%.*s could not be resolved (%d: %s)", TEXT_ARG(a->name), (int) l->how, lookup_why(l->how)).p, T(""));
        return;
    }
    struct fetch_want w = { .to = &l->addrs[0], .target = a->target, .host = a->host, .deadline_ms = ASK_MS, .body_most = OCSP_ANSWER_MOST, .done = answered, .arg = a };
    a->fetch = fetch_start(&w);
}

static struct text make_target(struct ssl_asking *a, struct text path, struct text der)
{
    struct build plain = build_in_pool(a->pool, 512, 0), b = build_in_pool(a->pool, 1024, 0);
    base64_encode(&plain, der, false);
    build_text(&b, path);
    if (!path.n || path.p[path.n - 1] != '/') build_char(&b, '/');
    uri_escape(&b, build_done(&plain), URI_ESCAPE_COMPONENT);
    return build_done(&b);
}

const char *ssl_ask_split(struct text url, struct pool *p, struct uri_host *host_out, struct text *path_out)
{
    if (!text_starts_nocase(url, T("http://"))) return "invalid URL prefix";
    struct text rest = text_from(url, strlen("http://"));
    ssize_t slash = text_find_char(rest, '/');
    struct text host = slash < 0 ? rest : text_upto(rest, (size_t) slash);
    *path_out = slash < 0 ? T("") : text_from(rest, (size_t) slash);
    if (!host.n || host.p[0] == ':') return "no host";
    return uri_host(host, p, host_out) != FAULT_NONE || !host_out->name.n ? "invalid host or port" : NULL;
}

const char *ssl_ask(struct ssl_asking *a, struct text url, struct text der, const struct resolver_values *by)
{
    struct uri_host h;
    struct text path;
    const char *wrong = ssl_ask_split(url, a->pool, &h, &path);
    if (wrong) return wrong;
    a->host = pool_text(a->pool, text_of(url.p + strlen("http://"), url.n - strlen("http://") - path.n));
    a->name = h.name;
    a->target = make_target(a, path, der);
    a->lookup.done = found;
    lookup_start(resolver_of(by), &a->lookup, LOOKUP_HOST, h.name, h.has_port ? h.port : 80, by->timeout.ms);
    return NULL;
}

void ssl_ask_end(struct ssl_asking *a)
{
    fetch_close(&a->fetch);
    lookup_cancel(&a->lookup);
}
