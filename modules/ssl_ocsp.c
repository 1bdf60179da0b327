/*
 * ssl_ocsp: certificates of clients that are good in themselves may be revoked: responders are asked, each handshake waits for
 * what they say, and no longer than client_header_timeout. What they said is kept for all workers until it is over.
 */
#include "modules/ssl.h"
#include "http/http.h"
#include "os/shm_table.h"
#include "tls/ocsp.h"

enum { OCSP_LAYOUT = 0x73736c36, ZONE_LEAST = 8 * 4096, ENDLESS_S = 3600 };

/* ---- ssl_ocsp_cache ---- */

/* valid_s is written last, and zeroed first: a holder that dies on the way leaves nothing that is believed. */
struct verdict_kept { int64_t valid_s; int32_t status; };

struct ssl_ocsp_zone { struct text name; uint64_t size; struct shm_table *table; };

static conf_result bad_cache(struct conf *cf) { return conf_say(cf, "!invalid OCSP cache \"%.*s\"", TEXT_ARG(cf->words[1])); }

static conf_result parse_cache(struct conf *cf, const struct directive *d, void *field)
{
    struct ssl_conf *top = conf_own_values(cf, cf->top, &ssl_module);
    struct ssl_ocsp_zone **out = field;
    uint64_t size;
    (void) d;
    if (text_eq(cf->words[1], T("off"))) return NULL;
    if (!text_starts(cf->words[1], T("shared:"))) return bad_cache(cf);
    struct text rest = text_from(cf->words[1], strlen("shared:"));
    ssize_t colon = text_find_char(rest, ':');
    if (colon <= 0 || !conf_read_bytes(text_from(rest, (size_t) colon + 1), &size)) return bad_cache(cf);
    if (size < ZONE_LEAST) return conf_say(cf, "!OCSP cache \"%.*s\" is too small", TEXT_ARG(cf->words[1]));
    struct text name = text_upto(rest, (size_t) colon);
    if (top->zones && table_get(top->zones, name)) return conf_say(cf, "!the shared memory zone \"%.*s\" is already declared for a different use", TEXT_ARG(name));
    if (!top->ocsp_zones) {
        top->ocsp_zones = pool_new(cf->pool, struct table);
        table_init(top->ocsp_zones, cf->pool, false);
    }
    struct ssl_ocsp_zone *z = table_get(top->ocsp_zones, name);
    if (!z) {
        z = pool_new(cf->pool, struct ssl_ocsp_zone);
        *z = (struct ssl_ocsp_zone) { .name = pool_text(cf->pool, name), .size = size };
        table_add(top->ocsp_zones, z->name, z);
    } else if (z->size != size) {
        return conf_say(cf, "!the size %llu of shared memory zone \"%.*s\" conflicts with already declared size %llu", (unsigned long long) size, TEXT_ARG(name), (unsigned long long) z->size);
    }
    *out = z;
    return NULL;
}

const struct conf_type ssl_ocsp_cache_type = { .syntax = "off | shared:name:size", .size = sizeof(struct ssl_ocsp_zone *), .min = 1, .max = 1, .parse = parse_cache };

bool ssl_ocsp_open(struct cycle *c, struct ssl_conf *top)
{
    struct text name;
    void *v;
    for (size_t at = 0; top->ocsp_zones && table_next(top->ocsp_zones, &at, &name, &v);) {
        struct ssl_ocsp_zone *z = v;
        z->table = shm_table_open(pool_printf(c->pool, "ssl ocsp %.*s", TEXT_ARG(z->name)), (size_t) z->size, sizeof(struct verdict_kept), OCSP_LAYOUT, NULL);
        if (!z->table) return false;
    }
    return true;
}

static bool recall(struct shm_table *t, struct text id, int *status_out)
{
    struct siphash key = shm_table_key(t, id);
    shm_table_enter(t);
    const struct verdict_kept *k = shm_table_find(t, key);
    bool good = k && k->valid_s > (int64_t) clock_now.wall;
    if (good) *status_out = k->status;
    shm_table_leave(t);
    return good;
}

static void keep(struct shm_table *t, struct text id, const struct ocsp_answer *a)
{
    struct siphash key = shm_table_key(t, id);
    /* RFC 6960 2.4: without an end newer information may be there at any time */
    int64_t valid_s = a->valid_s == INT64_MAX ? (int64_t) clock_now.wall + ENDLESS_S : a->valid_s;
    shm_table_enter(t);
    struct verdict_kept *k = shm_table_find(t, key);
    while (!k && !(k = shm_table_add(t, key))) shm_table_drop(t, shm_table_oldest(t));
    k->valid_s = 0;
    atomic_signal_fence(memory_order_seq_cst);
    k->status = a->status;
    atomic_signal_fence(memory_order_seq_cst);
    k->valid_s = valid_s;
    shm_table_leave(t);
}

/* ---- one client ---- */

struct check {
    struct tls_guest       guest;
    struct conn           *conn;
    struct vhost          *vhost;
    void                 (*done)(struct conn *c);
    STACK_OF(X509)        *chain;
    int                    at, end;       /* of the chain: the one in hand; the first that is not asked for */
    char                  *url;           /* that its certificate names */
    struct ssl_asking      asking;        /* pool: of one question */
};

static const struct ssl_conf *conf_of(const struct check *k) { return conf_values(k->vhost->block, &ssl_module); }
static struct ocsp_pair pair_in_hand(const struct check *k) { return (struct ocsp_pair) { sk_X509_value(k->chain, k->at), sk_X509_value(k->chain, k->at + 1) }; }

static void end_question(struct check *k)
{
    ssl_ask_end(&k->asking);
    if (k->asking.pool) pool_close(&k->asking.pool);
    free(k->url);
    k->url = NULL;
}

static void end(struct check *k)
{
    end_question(k);
    sk_X509_pop_free(k->chain, X509_free);
    free(k);
}

static void forsake(struct tls_guest *g) { end(container_of(g, struct check, guest)); }

static struct text url_of(const struct check *k)
{
    const struct ssl_conf *s = conf_of(k);
    return s->ocsp_responder.n ? s->ocsp_responder : k->url ? text_c(k->url) : T("");
}

static bool fail(struct check *k, const char *why)
{
    struct log_about about = k->conn->about;
    about.doing = "requesting certificate status";
    struct text url = url_of(k);
    tls_log(k->conn->log, L_ERR, &about, 0, url.n ? "%s, responder: %.*s" : "%s", why, TEXT_ARG(url));
    tls_distrust(k->conn, "certificate status request failed");
    return true;
}

/* True: all that is to be known of the certificate in hand is known, and it is not good. */
static bool is_bad(struct check *k, int status)
{
    if (status != V_OCSP_CERTSTATUS_GOOD) tls_distrust(k->conn, status == V_OCSP_CERTSTATUS_REVOKED ? "certificate revoked" : "certificate status unknown");
    return status != V_OCSP_CERTSTATUS_GOOD;
}

static void told(struct ssl_asking *a, const char *wrong, struct text der);

/* True: it could not be asked. */
static bool ask(struct check *k)
{
    struct ocsp_pair q = pair_in_hand(k);
    k->url = conf_of(k)->ocsp_responder.n ? NULL : ocsp_url(q.certificate);
    if (!url_of(k).n) return fail(k, "no OCSP responder URL in certificate");
    k->asking.done = told;
    const char *wrong = ssl_ask(&k->asking, url_of(k), ocsp_request(&q, k->asking.pool), conf_values(k->vhost->block, &http_resolver_module));
    return wrong && fail(k, wrong);
}

/* Asks for one after the other. True: it is over. */
static bool go_on(struct check *k)
{
    const struct ssl_conf *s = conf_of(k);
    int status;
    for (; k->at < k->end; k->at++) {
        struct ocsp_pair q = pair_in_hand(k);
        end_question(k);
        k->asking.pool = pool_open(0);
        if (!s->ocsp_zone || !recall(s->ocsp_zone->table, ocsp_id(&q, k->asking.pool), &status)) return ask(k);
        if (is_bad(k, status)) return true;
    }
    return true;
}

/* RFC 6960 4.2.2.2: the issuer has signed, or whom it has named for that in a certificate of its own. */
static const char *judge(struct check *k, struct text der, struct ocsp_answer *out)
{
    struct ocsp_pair q = pair_in_hand(k);
    const struct ssl_conf *s = conf_of(k);
    STACK_OF(X509) *signers = sk_X509_new_null();
    ASSERT(signers && sk_X509_push(signers, q.issuer) > 0);
    struct ocsp_judge by = { signers, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(tls_raw(k->conn))), OCSP_TRUSTOTHER };
    const char *wrong = ocsp_read(&q, &by, der, out);
    sk_X509_free(signers);
    if (!wrong && s->ocsp_zone) keep(s->ocsp_zone->table, ocsp_id(&q, k->asking.pool), out);
    return wrong;
}

static void told(struct ssl_asking *a, const char *wrong, struct text der)
{
    struct check *k = container_of(a, struct check, asking);
    struct ocsp_answer got = { 0 };
    if (!wrong) wrong = judge(k, der, &got);
    bool over = wrong ? fail(k, wrong) : is_bad(k, got.status);
    if (!over) {
        k->at++;
        over = go_on(k);
    }
    if (!over) return;
    struct conn *c = k->conn;
    void (*done)(struct conn *c) = k->done;
    tls_invite(c, NULL);
    end(k);
    done(c);
}

bool ssl_ocsp_check(struct conn *c, struct vhost *v, void (*done)(struct conn *c))
{
    const struct ssl_conf *s = conf_values(v->block, &ssl_module);
    const char *wrong;
    struct check *k = base_zalloc(1, sizeof(*k));
    *k = (struct check) { .guest.end = forsake, .conn = c, .vhost = v, .done = done, .chain = ocsp_chain(tls_raw(c), &wrong) };
    int count = k->chain ? sk_X509_num(k->chain) : 0;
    k->end = count < 2 ? 0 : s->ocsp == SSL_OCSP_LEAF ? 1 : count - 1;       /* whom we trust in itself is not asked for */
    bool over = wrong ? fail(k, wrong) : go_on(k);
    if (over) end(k);
    else tls_invite(c, &k->guest);
    return over;
}

/* ---- the configuration ---- */

bool ssl_ocsp_fits(struct conf *cf, const struct ssl_conf *s, const struct conf_block *b)
{
    struct uri_host h;
    struct text path;
    if (s->ocsp == SSL_OCSP_OFF) return true;
    const char *wrong = s->ocsp_responder.n ? ssl_ask_split(s->ocsp_responder, cf->pool, &h, &path) : NULL;
    if (s->verify == TLS_VERIFY_OPTIONAL_NO_CA) conf_error_at(cf, b->file, b->line, "\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\"");
    else if (wrong) conf_error_at(cf, b->file, b->line, "%s in OCSP responder \"%.*s\" in \"ssl_ocsp_responder\"", wrong, TEXT_ARG(s->ocsp_responder));
    else return true;
    return false;
}
