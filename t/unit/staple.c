/* What responders say: what is taken, what is not, and when they are asked again. */
#include "tls/ocsp.h"
#include "tls/staple.h"
#include "tls/session.h"
#include "t/unit/tap.h"
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static EVP_PKEY *ca_key;
static X509     *ca, *leaf;
static struct text answer_der;

static X509 *make(const char *name, long serial, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -86400);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400 * 60);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *) name, -1, -1, 0);
    X509_set_issuer_name(x, ca ? X509_get_subject_name(ca) : X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_EXTENSION *is_ca = ca ? NULL : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    if (is_ca) X509_add_ext(x, is_ca, -1);
    X509_EXTENSION_free(is_ca);
    ASSERT(X509_sign(x, ca_key, EVP_sha256()));
    return x;
}

/* Says this of serial, from now plus from to now plus to seconds (0: without an end). */
static struct text answer(long serial, int status, long from, long to)
{
    X509 *about = X509_dup(leaf);
    ASN1_INTEGER_set(X509_get_serialNumber(about), serial);
    OCSP_BASICRESP *b = OCSP_BASICRESP_new();
    ASN1_TIME *a = X509_gmtime_adj(NULL, from), *z = to ? X509_gmtime_adj(NULL, to) : NULL, *r = X509_gmtime_adj(NULL, -1);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, about, ca);
    ASSERT(OCSP_basic_add1_status(b, id, status, 0, status == V_OCSP_CERTSTATUS_REVOKED ? r : NULL, a, z));
    ASSERT(OCSP_basic_sign(b, ca, ca_key, EVP_sha256(), NULL, 0));
    OCSP_RESPONSE *whole = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, b);
    unsigned char *der = NULL;
    int n = i2d_OCSP_RESPONSE(whole, &der);
    OCSP_CERTID_free(id), X509_free(about), OCSP_BASICRESP_free(b), OCSP_RESPONSE_free(whole), ASN1_TIME_free(a), ASN1_TIME_free(z), ASN1_TIME_free(r);
    return answer_der = text_of((char *) der, (size_t) n);
}

static struct text pem_of(X509 *x, EVP_PKEY *key)
{
    BIO *b = BIO_new(BIO_s_mem());
    char *p;
    BIO_puts(b, "data:");
    if (x) PEM_write_bio_X509(b, x);
    if (x && x != ca) PEM_write_bio_X509(b, ca);
    if (key) PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
    long n = BIO_get_mem_data(b, &p);
    struct text t = text_of(memcpy(base_alloc((size_t) n), p, (size_t) n), (size_t) n);
    BIO_free(b);
    return t;
}

static void takes(struct tls_staple *s, struct text der, const char *wrong, int64_t after, const char *name)
{
    int64_t again, now = clock_now.wall;
    const char *said = tls_staple_put(s, der, now, &again);
    ok(wrong ? said && strstr(said, wrong) : !said, "%s: %s", name, said ? said : "taken");
    ok(again - now >= after - 2 && again - now <= after + 2, "%s: asked again after %lld s", name, (long long) (again - now));
    if (der.p == answer_der.p) OPENSSL_free((char *) (uintptr_t) der.p);
}

int main(void)
{
    struct log quiet = { NULL, L_STDERR };
    clock_update();
    ca_key = EVP_EC_gen("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *first = make("ca", 1, ca_key);
    ca = first;
    leaf = make("leaf", 7, key);
    struct tls_pair pair = { pem_of(leaf, NULL), pem_of(NULL, key) };
    struct tls_context *x = tls_context_open(&(struct tls_settings) { .server = true, .pairs = &pair, .pair_count = 1 }, &quiet);
    struct zone *z = shm_open_zone(T("staples"), 1 << 20, 1, NULL);
    ok(tls_staple_open(x, z, &(struct tls_staple_settings) { .responder = T("https://127.0.0.1/") }, &quiet) && !tls_staple_list, "a URL that is not plain HTTP: nobody is asked");
    ok(tls_staple_open(x, z, &(struct tls_staple_settings) { .responder = T("http://127.0.0.1/") }, &quiet) && tls_staple_list, "opened");
    struct tls_staple *s = tls_staple_list;
    is_text(tls_staple_url(s), "http://127.0.0.1/", "whom to ask");
    takes(s, answer(7, V_OCSP_CERTSTATUS_GOOD, -60, 86400), NULL, 3600, "good for a day");
    takes(s, answer(7, V_OCSP_CERTSTATUS_GOOD, -60, 1800), NULL, 1500, "good for half an hour");
    takes(s, answer(7, V_OCSP_CERTSTATUS_GOOD, -60, 400), NULL, 300, "good for minutes");
    takes(s, answer(7, V_OCSP_CERTSTATUS_GOOD, -60, 0), NULL, 3600, "good without an end");
    takes(s, answer(8, V_OCSP_CERTSTATUS_GOOD, -60, 86400), "not found", 300, "of another");
    takes(s, answer(7, V_OCSP_CERTSTATUS_REVOKED, -60, 86400), "revoked", 300, "revoked");
    takes(s, answer(7, V_OCSP_CERTSTATUS_UNKNOWN, -60, 86400), "unknown", 300, "unknown");
    takes(s, answer(7, V_OCSP_CERTSTATUS_GOOD, -86400, -3600), "validity", 300, "over");
    takes(s, answer(7, V_OCSP_CERTSTATUS_GOOD, 3600, 86400), "validity", 300, "not yet");
    takes(s, T("x"), "d2i", 300, "nonsense");
    takes(s, T(""), "d2i", 300, "nothing");
    static char large[OCSP_ANSWER_MOST + 1];
    takes(s, text_of(large, sizeof(large)), "d2i", 300, "too long");
    struct pool *p = pool_open(0);
    ok(tls_staple_request(s, p).n > 60, "a request");
    pool_close(&p);
    tls_context_close(&x);
    X509_free(leaf), X509_free(first), EVP_PKEY_free(key), EVP_PKEY_free(ca_key);
    free((char *) (uintptr_t) pair.certificate.p), free((char *) (uintptr_t) pair.key.p);
    ok(!tls_staple_list, "it ends with its context");
    return done();
}
