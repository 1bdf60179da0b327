/* hello: what a client asks for before anything is agreed on: the server's name, the protocol above. */
#include "tls/session.h"
#include "tls/fingerprint.h"
#include "tls/peek.h"
#include <openssl/tls1.h>

/* All that a session takes from its context when it is made, once more. */
static void take_context(SSL *ssl, struct tls *t, struct tls_context *x)
{
    NEED(x, TLS_CONTEXT_MAGIC);
    if (x == t->context) return;
    SSL_CTX *ctx = x->ctx;
    SSL_set_SSL_CTX(ssl, ctx);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), SSL_CTX_get_verify_callback(ctx));
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(ctx));
    SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(ctx));
    SSL_set_options(ssl, SSL_CTX_get_options(ctx));
    SSL_set_min_proto_version(ssl, (int) SSL_CTX_get_min_proto_version(ctx));
    SSL_set_max_proto_version(ssl, (int) SSL_CTX_get_max_proto_version(ctx));
    SSL_set_max_early_data(ssl, SSL_CTX_get_max_early_data(ctx));
    SSL_set_recv_max_early_data(ssl, SSL_CTX_get_recv_max_early_data(ctx));
    if (x->curves.n && !text_eq(x->curves, T("auto"))) SSL_set1_groups_list(ssl, x->curves.p);
    t->context = x;
}

/* RFC 8737 3: the one protocol offered. */
static bool asks_for_challenge(SSL *ssl)
{
    static const char offer[] = "\0\13\12acme-tls/1";
    const unsigned char *p;
    size_t n;
    return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &n) && n == sizeof offer - 1 && memcmp(p, offer, n) == 0;
}

/* What a session has of its context is not for such a client; nor is there anything to come back to. */
static bool take_challenge(SSL *ssl, struct tls *t, struct conn *c, struct text name)
{
    if (!t->context->hooks->challenge(c, name)) return false;
    SSL_set_cert_cb(ssl, NULL, NULL);
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 0);
    return t->challenge = true;
}

static int hello(SSL *ssl, int *alert, void *arg)
{
    (void) arg;
    struct conn *c = tls_conn_of(ssl);
    struct tls *t = c->layer;
    const unsigned char *p;
    size_t n;
    char room[PEEK_NAME_MAX];
    struct text name = { NULL, 0 };
    if (!t->context->hooks || !t->context->hooks->server_name) return SSL_CLIENT_HELLO_SUCCESS;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) && !peek_name(p, n, room, &name)) {
        *alert = SSL_AD_DECODE_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (unlikely(t->context->hooks->challenge && asks_for_challenge(ssl)) && take_challenge(ssl, t, c, name)) return SSL_CLIENT_HELLO_SUCCESS;
    struct tls_context *x = t->context->hooks->server_name(c, name);
    if (!x) {
        t->refused = true;
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    take_context(ssl, t, x);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* ---- fingerprints ---- */

struct tls_prints { uint32_t ja3_n, ja4_n; char bytes[]; };

static bool prints_wanted;

void tls_want_fingerprints(void) { prints_wanted = true; }

/* The whole message, before OpenSSL looks into it: it forgets extensions that it does not know. */
static void watch(int writing, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
    char room[16384];
    struct tls *t = arg;
    struct hello_facts f;
    (void) version;
    if (writing || type != SSL3_RT_HANDSHAKE) return;
    SSL_set_msg_callback(ssl, NULL);
    if (t->prints || !fingerprint_read(text_of(p, n), &f)) return;
    struct build b = build_in_room(room, sizeof room);
    fingerprint_ja3(&f, &b);
    size_t first = b.n;
    fingerprint_ja4(&f, &b);
    if (!build_ok(&b)) return;
    t->prints = base_alloc(sizeof(*t->prints) + b.n);
    *t->prints = (struct tls_prints) { .ja3_n = (uint32_t) first, .ja4_n = (uint32_t) (b.n - first) };
    memcpy(t->prints->bytes, room, b.n);
}

void tls_hello_watch(struct tls *t)
{
    if (likely(!prints_wanted)) return;
    SSL_set_msg_callback(t->ssl, watch);
    SSL_set_msg_callback_arg(t->ssl, t);
}

static const struct tls_prints *prints_of(struct conn *c)
{
    const struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    return t->prints;
}

struct text tls_ja3(struct conn *c)
{
    const struct tls_prints *p = prints_of(c);
    return p ? text_of(p->bytes, p->ja3_n) : (struct text) { NULL, 0 };
}

struct text tls_ja4(struct conn *c)
{
    const struct tls_prints *p = prints_of(c);
    return p ? text_of(p->bytes + p->ja3_n, p->ja4_n) : (struct text) { NULL, 0 };
}

/* ---- what is agreed on ---- */

/* That the name was understood is told to the client, and kept with the session. */
static int acknowledge_name(SSL *ssl, int *alert, void *arg)
{
    (void) alert, (void) arg;
    return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* RFC 7301 3.2: nothing in common is an error. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *n_out, const unsigned char *asked, unsigned asked_n, void *arg)
{
    (void) arg;
    struct conn *c = tls_conn_of(ssl);
    struct tls *t = c->layer;
    const struct tls_hooks *hooks = t->context->hooks;
    if (unlikely(t->challenge)) {
        *out = asked + 1;
        *n_out = asked[0];
        return SSL_TLSEXT_ERR_OK;
    }
    struct text ours = hooks && hooks->alpn ? hooks->alpn(c) : (struct text) { NULL, 0 };
    unsigned char *chosen;
    if (text_empty(ours)) return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&chosen, n_out, (const unsigned char *) ours.p, (unsigned) ours.n, asked, asked_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* 0: the handshake fails. */
static int choose_pair(SSL *ssl, void *arg)
{
    (void) arg;
    struct conn *c = tls_conn_of(ssl);
    struct tls *t = c->layer;
    const struct tls_hooks *hooks = t->context->hooks;
    return hooks && hooks->pair && hooks->pair(c);
}

void tls_hello_attach(SSL_CTX *ctx, bool late)
{
    if (late) SSL_CTX_set_cert_cb(ctx, choose_pair, NULL);
    SSL_CTX_set_client_hello_cb(ctx, hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, acknowledge_name);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
}
