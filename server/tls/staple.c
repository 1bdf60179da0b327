#include "tls/staple.h"
#include "tls/ocsp.h"
#include <openssl/x509v3.h>

enum { DIGEST = 20, EARLY_S = 300, AGAIN_LEAST_S = 300, AGAIN_MOST_S = 3600 };

/* Shared by all processes. */
struct answer { struct shm_lock lock; uint32_t n; int64_t valid_s; unsigned char of[DIGEST], der[OCSP_ANSWER_MOST]; };

struct tls_staple {
    struct tls_staple *next;            /* of its context */
    struct tls_staple *before, *after;  /* in tls_staple_list; not those of files */
    SSL_CTX           *ctx;             /* that it goes with */
    X509              *certificate, *issuer;      /* issuer, as chain and url: NULL: nobody can be asked for it */
    int                kind;            /* of its key: what comes in its place has such a one */
    STACK_OF(X509)    *chain;
    struct text        responder;       /* the configuration's */
    char              *url;
    bool               verify;
    struct zone       *zone;            /* where the answer lies; NULL: in this process, a file's, whatever it says */
    struct answer     *answer;
    void              *data;
    const void        *origin;
};

struct tls_staple *tls_staple_list;
void (*tls_staple_gone)(void *data);
void *tls_staple_data(const struct tls_staple *s) { return s->data; }
void tls_staple_set_data(struct tls_staple *s, void *data) { s->data = data; }
const void *tls_staple_origin(const struct tls_staple *s) { return s->origin; }
struct tls_staple *tls_staple_after(struct tls_staple *s) { return s->after; }
struct text tls_staple_url(const struct tls_staple *s) { return text_c(s->url); }

/* ---- in handshakes ---- */

/* NULL: none of this certificate that still holds. */
static unsigned char *copy_answer(const struct tls_staple *s, const unsigned char *shown, uint32_t *n_out)
{
    struct answer *a = s->answer;
    unsigned char *copy = NULL;
    if (!shm_lock(&a->lock)) a->n = 0;
    bool fits = a->n && (!s->zone || (a->valid_s >= (int64_t) clock_now.wall && memcmp(a->of, shown, sizeof(a->of)) == 0));
    if (fits) copy = OPENSSL_memdup(a->der, a->n);
    *n_out = a->n;
    shm_unlock(&a->lock);
    return copy;
}

static int asked(SSL *ssl, void *arg)
{
    const X509 *x = SSL_get_certificate(ssl);
    unsigned char shown[EVP_MAX_MD_SIZE], *copy = NULL;
    uint32_t n;
    if (!x || X509_digest(x, EVP_sha1(), shown, NULL) != 1) return SSL_TLSEXT_ERR_NOACK;
    for (const struct tls_staple *s = arg; !copy && s; s = s->next) copy = copy_answer(s, shown, &n);
    if (!copy) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long) n);
    return SSL_TLSEXT_ERR_OK;
}

/* ---- of which certificate ---- */

static X509 *find_issuer(SSL_CTX *ctx, X509 *certificate, STACK_OF(X509) *chain)
{
    X509 *issuer = NULL;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        issuer = sk_X509_value(chain, i);
        if (X509_check_issued(issuer, certificate) == X509_V_OK && X509_up_ref(issuer)) return issuer;
    }
    issuer = NULL;
    X509_STORE_CTX *look = X509_STORE_CTX_new();
    if (look && X509_STORE_CTX_init(look, SSL_CTX_get_cert_store(ctx), NULL, NULL) == 1 && X509_STORE_CTX_get1_issuer(&issuer, look, certificate) != 1) issuer = NULL;
    X509_STORE_CTX_free(look);
    ERR_clear_error();
    return issuer;
}

static char *copy_url(const X509 *certificate, struct text responder)
{
    char *url = responder.n ? base_zalloc(1, responder.n + 1) : ocsp_url(certificate);
    if (responder.n) memcpy(url, responder.p, responder.n);
    return url;
}

static void drop_certificate(struct tls_staple *s)
{
    X509_free(s->issuer);
    X509_free(s->certificate);
    sk_X509_pop_free(s->chain, X509_free);
    free(s->url);
    s->issuer = s->certificate = NULL;
    s->chain = NULL;
    s->url = NULL;
}

static void tell_ignored(SSL_CTX *ctx, const char *wrong, const struct log *log)
{
    char name[256];
    if (!X509_NAME_oneline(X509_get_subject_name(SSL_CTX_get0_certificate(ctx)), name, sizeof(name))) name[0] = 0;
    tls_log(log, L_WARN, NULL, 0, "\"ssl_stapling\" ignored, %s certificate \"%s\"", wrong, name);
}

/* The context's current certificate. What is wrong with stapling it: then nobody is asked. */
static const char *set_certificate(struct tls_staple *s)
{
    STACK_OF(X509) *chain = NULL;
    X509 *certificate = SSL_CTX_get0_certificate(s->ctx);
    SSL_CTX_get0_chain_certs(s->ctx, &chain);
    X509 *issuer = find_issuer(s->ctx, certificate, chain);
    char *url = issuer ? copy_url(certificate, s->responder) : NULL;
    const char *wrong = !issuer ? "issuer certificate not found for" : !url ? "no OCSP responder URL in the"
                        : !text_starts(text_c(url), T("http://")) ? "invalid URL prefix in OCSP responder of the" : NULL;
    drop_certificate(s);
    X509_up_ref(certificate);
    s->certificate = certificate;
    if (wrong) {
        X509_free(issuer);
        free(url);
        return wrong;
    }
    s->issuer = issuer, s->url = url;
    s->chain = chain ? X509_chain_up_ref(chain) : NULL;
    return NULL;
}

/* ---- asking ---- */

static struct ocsp_pair pair_of(const struct tls_staple *s) { return (struct ocsp_pair) { s->certificate, s->issuer }; }

struct text tls_staple_request(const struct tls_staple *s, struct pool *p)
{
    struct ocsp_pair q = pair_of(s);
    return ocsp_request(&q, p);
}

const char *tls_staple_put(struct tls_staple *s, struct text der, int64_t now_s, int64_t *again_out)
{
    struct ocsp_pair q = pair_of(s);
    struct ocsp_judge by = { s->chain, SSL_CTX_get_cert_store(s->ctx), s->verify ? OCSP_TRUSTOTHER : OCSP_NOVERIFY };
    struct ocsp_answer got = { 0 };
    *again_out = now_s + AGAIN_LEAST_S;
    const char *wrong = ocsp_read(&q, &by, der, &got);
    if (!wrong && got.status != V_OCSP_CERTSTATUS_GOOD) wrong = OCSP_cert_status_str(got.status);
    if (wrong) return wrong;
    unsigned char of[EVP_MAX_MD_SIZE];
    if (X509_digest(s->certificate, EVP_sha1(), of, NULL) != 1) return "X509_digest() failed";
    shm_lock(&s->answer->lock);
    memcpy(s->answer->of, of, sizeof(s->answer->of));
    memcpy(s->answer->der, der.p, der.n);
    s->answer->n = (uint32_t) der.n;
    s->answer->valid_s = got.valid_s;
    shm_unlock(&s->answer->lock);
    int64_t early = got.valid_s == INT64_MAX ? INT64_MAX : got.valid_s - EARLY_S;
    *again_out = max_of(min_of(early, now_s + AGAIN_MOST_S), now_s + AGAIN_LEAST_S);
    return NULL;
}

/* ---- their lives ---- */

static void drop(struct tls_staple *s)
{
    if (tls_staple_list == s || s->before) {
        if (s->after) s->after->before = s->before;
        if (s->before) s->before->after = s->after;
        else tls_staple_list = s->after;
    }
    if (s->data && tls_staple_gone) tls_staple_gone(s->data);
    drop_certificate(s);
    if (!s->zone) free(s->answer);
    free(s);
}

/* With its SSL_CTX. */
static void end_all(void *parent, void *p, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
    (void) parent, (void) data, (void) index, (void) number, (void) arg;
    for (struct tls_staple *s = p, *next; s; s = next) {
        next = s->next;
        drop(s);
    }
}

static const char *read_answer(struct text path, struct answer *a)
{
    BIO *b = BIO_new_file(path.p, "rb");
    if (!b) return "BIO_new_file() failed";
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE_bio(b, NULL);
    BIO_free(b);
    if (!r) return "d2i_OCSP_RESPONSE_bio() failed";
    unsigned char *der = NULL;
    int n = i2d_OCSP_RESPONSE(r, &der);
    OCSP_RESPONSE_free(r);
    const char *wrong = n <= 0 ? "i2d_OCSP_RESPONSE() failed" : n > OCSP_ANSWER_MOST ? "it is longer than 16384 bytes" : NULL;
    if (!wrong) memcpy(a->der, der, a->n = (uint32_t) n);
    OPENSSL_free(der);
    return wrong;
}

static bool open_file(SSL_CTX *ctx, struct text path, int index, const struct log *log)
{
    struct tls_staple *s = base_zalloc(1, sizeof(*s));
    *s = (struct tls_staple) { .ctx = ctx, .answer = base_zalloc(1, sizeof(struct answer)) };
    const char *wrong = read_answer(path, s->answer);
    if (wrong) tls_log(log, L_EMERG, NULL, 0, "cannot load OCSP response \"%.*s\": %s", TEXT_ARG(path), wrong);
    SSL_CTX_set_ex_data(ctx, index, s);
    return !wrong;
}

/* Of the context's current certificate. */
static bool open_one(SSL_CTX *ctx, struct zone *z, const struct tls_staple_settings *t, int index, const struct log *log)
{
    struct tls_staple *s = base_zalloc(1, sizeof(*s));
    *s = (struct tls_staple) { .ctx = ctx, .responder = t->responder, .verify = t->verify, .zone = z, .origin = t->origin };
    s->kind = EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_CTX_get0_certificate(ctx)));
    const char *wrong = set_certificate(s);
    if (t->later) wrong = NULL;
    if (!wrong) s->answer = shm_zalloc(z, sizeof(*s->answer));
    if (wrong || !s->answer) {
        if (wrong) tell_ignored(s->ctx, wrong, log);
        else tls_log(log, L_EMERG, NULL, 0, "no room for OCSP responses");
        drop(s);
        return wrong != NULL;
    }
    s->next = SSL_CTX_get_ex_data(ctx, index);
    s->after = tls_staple_list;
    if (s->after) s->after->before = s;
    tls_staple_list = s;
    SSL_CTX_set_ex_data(ctx, index, s);
    return true;
}

bool tls_staple_open(struct tls_context *x, struct zone *z, const struct tls_staple_settings *t, const struct log *log)
{
    static int index = -1;
    SSL_CTX *ctx = tls_context_raw(x);
    bool fine = true;
    if (index < 0) index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, end_all);
    if (t->file.n) fine = open_file(ctx, t->file, index, log);
    else
        for (int more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); fine && more; more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
            fine = open_one(ctx, z, t, index, log);
    struct tls_staple *first = SSL_CTX_get_ex_data(ctx, index);
    if (fine && first) {
        SSL_CTX_set_tlsext_status_cb(ctx, asked);
        SSL_CTX_set_tlsext_status_arg(ctx, first);
    }
    return fine;
}

/* ---- other certificates ---- */

static bool renew(struct tls_staple *s)
{
    for (int more = SSL_CTX_set_current_cert(s->ctx, SSL_CERT_SET_FIRST); more; more = SSL_CTX_set_current_cert(s->ctx, SSL_CERT_SET_NEXT)) {
        X509 *x = SSL_CTX_get0_certificate(s->ctx);
        if (EVP_PKEY_get_base_id(X509_get0_pubkey(x)) != s->kind) continue;
        if (X509_cmp(x, s->certificate) == 0) return false;
        const char *wrong = set_certificate(s);
        if (wrong) tell_ignored(s->ctx, wrong, log_main);
        return true;
    }
    return false;
}

unsigned tls_staple_renew(void (*changed)(struct tls_staple *s))
{
    unsigned n = 0;
    for (struct tls_staple *s = tls_staple_list; s; s = s->after) {
        if (!renew(s)) continue;
        changed(s);
        n++;
    }
    return n;
}
