/* ssl_staple: the manager asks responders what they say of our certificates, and asks again before that is over (RFC 6960). */
#include "modules/ssl.h"
#include "event/resolve.h"
#include "http/fetch.h"
#include "tls/staple.h"
#include "wire/base64.h"
#include "wire/uri.h"

enum { STAPLE_LAYOUT = 0x73736c35, ZONE_LEAST = 1 << 20, ZONE_ONE = 3 * TLS_STAPLE_MOST, ASK_MS = 60000, RETRY_S = 300 };

struct asking {
    struct tls_staple *staple;
    struct lookup      lookup;
    struct fetch      *fetch;
    struct pool       *pool;          /* of one asking; NULL: none is under way */
    struct text        host, target;
    int64_t            due_s;
};

bool ssl_staple_open(struct cycle *c, struct ssl_conf *top, const struct ssl_conf *s, size_t all, struct tls_context *x)
{
    if (!s->stapling.on) return true;
    size_t size = ZONE_LEAST;
    while (size < all * ZONE_ONE) size *= 2;
    if (!top->staples) top->staples = shm_open_zone(pool_printf(c->pool, "ssl staples %llu", (unsigned long long) c->number), size, STAPLE_LAYOUT, NULL);
    struct tls_staple_settings t = { s->staple_file, s->staple_responder, s->staple_verify.on };
    return top->staples && tls_staple_open(x, top->staples, &t, log_main);
}

static void end(struct asking *a, int64_t due_s)
{
    fetch_close(&a->fetch);
    lookup_cancel(&a->lookup);
    pool_close(&a->pool);
    a->due_s = due_s;
}

static void fail(struct asking *a, const char *why)
{
    tls_log(log_main, L_ERR, NULL, 0, "%s while requesting certificate status, responder: %.*s", why, TEXT_ARG(tls_staple_url(a->staple)));
    end(a, clock_now.wall + RETRY_S);
}

static void told(struct fetch *f, enum fetch_end how)
{
    struct asking *a = f->arg;
    int64_t again = 0;
    if (how != FETCH_DONE) fail(a, f->why);
    else if (f->status != 200) fail(a, "OCSP responder sent another status than 200");
    else {
        const char *wrong = tls_staple_put(a->staple, f->body, clock_now.wall, &again);
        if (wrong) fail(a, wrong);
        else end(a, again);
    }
}

/* RFC 6960 A.1: GET. */
static struct text make_target(struct asking *a, struct text path)
{
    struct build plain = build_in_pool(a->pool, 512, 0), b = build_in_pool(a->pool, 1024, 0);
    base64_encode(&plain, tls_staple_request(a->staple, a->pool), false);
    build_text(&b, path);
    if (!path.n) build_char(&b, '/');
    else if (path.p[path.n - 1] != '/') build_char(&b, '/');
    uri_escape(&b, build_done(&plain), URI_ESCAPE_COMPONENT);
    return build_done(&b);
}

static void found(struct lookup *l)
{
    struct asking *a = (struct asking *) (void *) ((char *) l - offsetof(struct asking, lookup));
    if (l->how != LOOKUP_FOUND) {
        fail(a, lookup_why(l->how));
        return;
    }
    struct fetch_want w = { .to = &l->addrs[0], .target = a->target, .host = a->host, .deadline_ms = ASK_MS, .body_most = TLS_STAPLE_MOST, .done = told, .arg = a };
    a->fetch = fetch_start(&w);
}

static void ask(struct asking *a)
{
    struct uri_host h;
    a->pool = pool_open(0);
    struct text rest = text_from(tls_staple_url(a->staple), strlen("http://"));
    ssize_t slash = text_find_char(rest, '/');
    a->host = slash < 0 ? rest : text_upto(rest, (size_t) slash);
    a->target = make_target(a, slash < 0 ? T("") : text_from(rest, (size_t) slash));
    if (uri_host(a->host, a->pool, &h) != FAULT_NONE || !h.name.n) {
        fail(a, "invalid host in OCSP responder");
        return;
    }
    a->lookup.done = found;
    lookup_start(resolver_system(), &a->lookup, LOOKUP_HOST, h.name, h.has_port ? h.port : 80, ASK_MS / 2);
}

static void forget(void *data)
{
    end(data, 0);
    free(data);
}

static void ask_anew(struct tls_staple *s)
{
    struct asking *a = tls_staple_data(s);
    if (a) end(a, 0);
}

void ssl_staple_ask(bool renewed)
{
    tls_staple_gone = forget;
    if (renewed) tls_staple_renew(ask_anew);
    for (struct tls_staple *s = tls_staple_list; s && !process_quitting; s = tls_staple_after(s)) {
        struct asking *a = tls_staple_data(s);
        if (!a) {
            a = base_zalloc(1, sizeof(*a));
            a->staple = s;
            tls_staple_set_data(s, a);
        }
        if (!a->pool && clock_now.wall >= a->due_s) ask(a);
    }
}
