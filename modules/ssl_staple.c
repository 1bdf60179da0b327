/* ssl_staple: the manager asks responders what they say of our certificates, and asks again before that is over (RFC 6960). */
#include "modules/ssl.h"
#include "tls/ocsp.h"
#include "tls/staple.h"

enum { STAPLE_LAYOUT = 0x73736c35, ZONE_LEAST = 1 << 20, ZONE_ONE = 3 * OCSP_ANSWER_MOST, RETRY_S = 300 };

struct asking {
    struct tls_staple *staple;
    struct ssl_asking  by;            /* pool: of one asking; NULL: none is under way */
    int64_t            due_s;
};

bool ssl_staple_open(struct cycle *c, struct ssl_conf *top, const struct vhost *v, size_t all, struct tls_context *x)
{
    const struct ssl_conf *s = conf_values(v->block, &ssl_module);
    bool issued = false;
    if (!s->stapling.on) return true;
    for (size_t i = 0; i < s->certificates.n; i++) issued |= ssl_certs_issued(v, i);
    size_t size = ZONE_LEAST;
    while (size < all * ZONE_ONE) size *= 2;
    if (!top->staples) top->staples = shm_open_zone(pool_printf(c->pool, "ssl staples %llu", (unsigned long long) c->number), size, STAPLE_LAYOUT, NULL);
    struct tls_staple_settings t = { s->staple_file, s->staple_responder, s->staple_verify.on, issued, conf_values(v->block, &http_resolver_module) };
    return top->staples && tls_staple_open(x, top->staples, &t, log_main);
}

static void end(struct asking *a, int64_t due_s)
{
    ssl_ask_end(&a->by);
    if (a->by.pool) pool_close(&a->by.pool);
    a->due_s = due_s;
}

static void fail(struct asking *a, const char *why)
{
    tls_log(log_main, L_ERR, NULL, 0, "%s while requesting certificate status, responder: %.*s", why, TEXT_ARG(tls_staple_url(a->staple)));
    end(a, clock_now.wall + RETRY_S);
}

static void told(struct ssl_asking *by, const char *wrong, struct text der)
{
    struct asking *a = container_of(by, struct asking, by);
    int64_t again = 0;
    if (!wrong) wrong = tls_staple_put(a->staple, der, clock_now.wall, &again);
    if (wrong) fail(a, wrong);
    else end(a, again);
}

static void ask(struct asking *a)
{
    a->by.pool = pool_open(0);
    a->by.done = told;
    const char *wrong = ssl_ask(&a->by, tls_staple_url(a->staple), tls_staple_request(a->staple, a->by.pool), tls_staple_origin(a->staple));
    if (wrong) fail(a, wrong);
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
        if (!a->by.pool && tls_staple_url(s).n && clock_now.wall >= a->due_s) ask(a);
    }
}
