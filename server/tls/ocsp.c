#include "tls/ocsp.h"
#include <openssl/x509v3.h>

enum { SKEW_S = 300 };

/* ---- asking ---- */

static struct text keep_der(struct pool *p, unsigned char *der, int n)
{
    ASSERT(n > 0);
    struct text t = pool_text(p, text_of((char *) der, (size_t) n));
    OPENSSL_free(der);
    return t;
}

struct text ocsp_request(const struct ocsp_pair *q, struct pool *p)
{
    OCSP_REQUEST *r = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, q->certificate, q->issuer);
    unsigned char *der = NULL;
    ASSERT(r && id && OCSP_request_add0_id(r, id));
    int n = i2d_OCSP_REQUEST(r, &der);
    OCSP_REQUEST_free(r);
    return keep_der(p, der, n);
}

struct text ocsp_id(const struct ocsp_pair *q, struct pool *p)
{
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, q->certificate, q->issuer);
    unsigned char *der = NULL;
    ASSERT(id);
    int n = i2d_OCSP_CERTID(id, &der);
    OCSP_CERTID_free(id);
    return keep_der(p, der, n);
}

char *ocsp_url(const X509 *certificate)
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp((X509 *) (uintptr_t) certificate);
    const char *first = sk_OPENSSL_STRING_num(urls) > 0 ? sk_OPENSSL_STRING_value(urls, 0) : "";
    char *url = *first ? strdup(first) : NULL;
    X509_email_free(urls);
    return url;
}

/* ---- the answer ---- */

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;
    return t && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t) timegm(&tm) : INT64_MAX;
}

/* RFC 6960 3.2. */
static const char *judge(const struct ocsp_pair *q, const struct ocsp_judge *j, OCSP_RESPONSE *r, OCSP_BASICRESP *b, struct ocsp_answer *out)
{
    ASN1_GENERALIZEDTIME *from, *to;
    if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL) return OCSP_response_status_str(OCSP_response_status(r));
    if (!b) return "OCSP_response_get1_basic() failed";
    if (OCSP_basic_verify(b, j->signers, j->store, j->flags) != 1) return "OCSP_basic_verify() failed";
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, q->certificate, q->issuer);
    bool found = id && OCSP_resp_find_status(b, id, &out->status, NULL, NULL, &from, &to) == 1;
    OCSP_CERTID_free(id);
    if (!found) return "certificate status not found in the OCSP response";
    if (OCSP_check_validity(from, to, SKEW_S, -1) != 1) return "OCSP_check_validity() failed";
    out->valid_s = seconds_of(to);
    return NULL;
}

const char *ocsp_read(const struct ocsp_pair *q, const struct ocsp_judge *j, struct text der, struct ocsp_answer *out)
{
    const unsigned char *p = (const unsigned char *) der.p;
    ERR_clear_error();
    OCSP_RESPONSE *r = der.n && der.n <= OCSP_ANSWER_MOST ? d2i_OCSP_RESPONSE(NULL, &p, (long) der.n) : NULL;
    OCSP_BASICRESP *b = r && OCSP_response_status(r) == OCSP_RESPONSE_STATUS_SUCCESSFUL ? OCSP_response_get1_basic(r) : NULL;
    const char *wrong = r ? judge(q, j, r, b, out) : "d2i_OCSP_RESPONSE() failed";
    OCSP_BASICRESP_free(b);
    OCSP_RESPONSE_free(r);
    return wrong;
}

/* ---- whose ---- */

/* A resumed session holds the certificate, and of the others what the client sent, or not even that: it is looked at once more. */
static STACK_OF(X509) *build_chain(SSL *ssl, X509 *leaf, const char **wrong_out)
{
    X509_STORE_CTX *look = X509_STORE_CTX_new();
    STACK_OF(X509) *chain = NULL;
    ASSERT(look);
    bool fine = X509_STORE_CTX_init(look, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), leaf, SSL_get_peer_cert_chain(ssl)) == 1;
    if (fine) X509_STORE_CTX_set_default(look, "ssl_client");
    if (fine && X509_verify_cert(look) == 1) chain = X509_STORE_CTX_get1_chain(look);
    else *wrong_out = fine ? X509_verify_cert_error_string(X509_STORE_CTX_get_error(look)) : "X509_STORE_CTX_init() failed";
    X509_STORE_CTX_free(look);
    return chain;
}

STACK_OF(X509) *ocsp_chain(SSL *ssl, const char **wrong_out)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    *wrong_out = NULL;
    if (!leaf || SSL_get_verify_result(ssl) != X509_V_OK) return NULL;
    STACK_OF(X509) *known = SSL_get0_verified_chain(ssl);
    return known ? X509_chain_up_ref(known) : build_chain(ssl, leaf, wrong_out);
}
