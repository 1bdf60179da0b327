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

bool tls_is_resumed(struct conn *c)
{
    return SSL_session_reused(session_of(c)->ssl);
}

bool tls_is_truncated(struct conn *c)
{
    return session_of(c)->eof;
}

const char *tls_peer_fault(struct conn *c)
{
    SSL *ssl = session_of(c)->ssl;
    if (!SSL_get0_peer_certificate(ssl)) return "NONE";
    long fault = SSL_get_verify_result(ssl);
    return fault == X509_V_OK ? NULL : X509_verify_cert_error_string(fault);
}
