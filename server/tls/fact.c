/* fact: what is known of a conn's session. */
#include "tls/session.h"

static struct tls *session_of(struct conn *c)
{
    ASSERT(tls_is_on(c));
    struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    return t;
}

SSL *tls_raw(struct conn *c)
{
    return session_of(c)->ssl;
}

uint64_t tls_tag(struct conn *c)
{
    return session_of(c)->tag;
}

struct tls_context *tls_context_of(struct conn *c)
{
    return session_of(c)->context;
}

struct text tls_name(struct conn *c)
{
    return text_c(SSL_get_servername(session_of(c)->ssl, TLSEXT_NAMETYPE_host_name));
}

struct text tls_alpn(struct conn *c)
{
    const unsigned char *p;
    unsigned n;
    SSL_get0_alpn_selected(session_of(c)->ssl, &p, &n);
    return text_of((const char *) p, n);
}

const char *tls_protocol(struct conn *c)
{
    return SSL_get_version(session_of(c)->ssl);
}

const char *tls_cipher(struct conn *c)
{
    return SSL_get_cipher_name(session_of(c)->ssl);
}

bool tls_is_challenge(struct conn *c)
{
    return session_of(c)->challenge;
}

bool tls_is_resumed(struct conn *c)
{
    return SSL_session_reused(session_of(c)->ssl);
}

/* From 0-RTT data on until the client has shown that it is here. */
bool tls_is_early(struct conn *c)
{
    const struct tls *t = session_of(c);
    return t->early_open || SSL_in_init(t->ssl);
}

bool tls_is_truncated(struct conn *c)
{
    return session_of(c)->eof;
}

long tls_peer_result(struct conn *c) { return SSL_get_verify_result(session_of(c)->ssl); }
bool tls_peer_came(struct conn *c) { return SSL_get0_peer_certificate(session_of(c)->ssl) != NULL; }
const char *tls_result_words(long result) { return X509_verify_cert_error_string(result); }

bool tls_result_is_untrusted(long result)
{
    switch (result) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: case X509_V_ERR_CERT_UNTRUSTED: return true;
    default: return false;
    }
}

void tls_forget(struct conn *c)
{
    struct tls *t = session_of(c);
    SSL_SESSION *session = SSL_get0_session(t->ssl);
    if (session) SSL_CTX_remove_session(t->first->ctx, session);
}

const char *tls_peer_fault(struct conn *c)
{
    SSL *ssl = session_of(c)->ssl;
    if (!SSL_get0_peer_certificate(ssl)) return "NONE";
    long fault = SSL_get_verify_result(ssl);
    return fault == X509_V_OK ? session_of(c)->distrusted : X509_verify_cert_error_string(fault);
}

void tls_distrust(struct conn *c, const char *why) { session_of(c)->distrusted = why; }
const char *tls_peer_distrust(struct conn *c) { return session_of(c)->distrusted; }

void tls_invite(struct conn *c, struct tls_guest *g)
{
    struct tls *t = session_of(c);
    ASSERT(!t->guest || !g);
    t->guest = g;
}
