/* handshake: from a plain conn to one with a session, either side. Never waits; the owner's timer limits it. */
#include "tls/pair.h"
#include "os/fiber.h"
#include "tls/counts.h"
#include "tls/vault.h"
#include <errno.h>
#include <openssl/x509v3.h>

/* ---- how it ends ---- */

static void count(struct conn *c, enum metric m)
{
    const struct tls *t = c->layer;
    const struct tls_hooks *hooks = t->context->hooks;
    struct tls_counts *own = hooks && hooks->counts ? hooks->counts(c) : NULL;
    metrics_add(m, 1);
    if (own) tls_counts_add(own, m);
}

static void give_back(struct conn *c, struct tls *t)
{
    c->ready = t->owner_ready;
    c->about.doing = t->doing;
}

static void tell_failed(struct conn *c, struct tls *t)
{
    count(c, METRIC_SSL_FAILED);
    t->broken = true;
    give_back(c, t);
    t->done(c, TLS_FAILED, (struct text) { NULL, 0 });
}

/* What the peer, or we, found wanting. */
static void count_reason(struct conn *c, unsigned long error)
{
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) return;
    switch (ERR_GET_REASON(error)) {
    case SSL_R_UNSUPPORTED_PROTOCOL: case SSL_R_NO_PROTOCOLS_AVAILABLE: case SSL_R_VERSION_TOO_LOW: case SSL_R_UNKNOWN_PROTOCOL: case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        count(c, METRIC_SSL_NO_PROTOCOL);
        return;
    case SSL_R_NO_SHARED_CIPHER:
        count(c, METRIC_SSL_NO_CIPHER);
        return;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE: case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED: case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN: case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        count(c, METRIC_SSL_REJECTED);
        return;
    }
}

void tls_count_fault(struct conn *c, long fault)
{
    switch (fault) {
    case X509_V_OK: count(c, METRIC_SSL_NO_CERT); return;
    case X509_V_ERR_CERT_HAS_EXPIRED: case X509_V_ERR_CERT_NOT_YET_VALID: count(c, METRIC_SSL_EXPIRED); return;
    case X509_V_ERR_CERT_REVOKED: count(c, METRIC_SSL_REVOKED); return;
    case X509_V_ERR_HOSTNAME_MISMATCH: case X509_V_ERR_IP_ADDRESS_MISMATCH: count(c, METRIC_SSL_MISNAMED); return;
    default: count(c, METRIC_SSL_UNVERIFIED); return;
    }
}

/* Our own trouble is of another level than what a client sends. */
static void explain_failure(struct conn *c, struct tls *t, int err)
{
    enum log_level level = t->context->server ? L_INFO : L_ERR;
    int library = ERR_GET_LIB(ERR_peek_error());
    count_reason(c, ERR_peek_error());
    const char *key = keyline_fault();
    if (key) tls_log(c->log, L_ERR, &c->about, 0, "SSL_do_handshake() failed, %s", key);
    else if (t->refused) {
        ERR_clear_error();
        log_at(c->log, level, &c->about, 0, "handshake rejected");
    } else if (t->error) tls_log(c->log, level, &c->about, t->error, "SSL_do_handshake() failed");
    else if (t->eof || err == SSL_ERROR_ZERO_RETURN) tls_log(c->log, level, &c->about, 0, "peer closed connection in SSL handshake");
    else tls_log(c->log, library == ERR_LIB_SSL || level == L_ERR ? level : L_CRIT, &c->about, 0, "SSL_do_handshake() failed");
}

/* What the client said goes to the owner; the conn is as it was before. */
static void tell_plain(struct conn *c, struct tls *t)
{
    tls_done *done = t->done;
    struct chunk *said = t->given;
    struct text bytes = text_of(said->data, t->given_n);
    t->given = NULL;
    t->broken = true;
    give_back(c, t);
    conn_tls.end(c);
    c->ops = &conn_plain;
    c->readable = c->wire;
    done(c, TLS_PLAIN, bytes);
    chunk_drop(&said);
}

static bool bears_name(X509 *certificate, const char *name)
{
    return X509_check_host(certificate, name, 0, 0, NULL) == 1 || X509_check_ip_asc(certificate, name, 0) == 1;
}

/* Client side. False after a log line. */
static bool check_server(struct conn *c, struct tls *t)
{
    if (t->context->verify == TLS_VERIFY_OFF) return true;
    long fault = SSL_get_verify_result(t->ssl);
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);
    if (fault != X509_V_OK || !certificate) {
        log_at(c->log, L_ERR, &c->about, 0, "upstream SSL certificate verify error: (%ld:%s)", fault, X509_verify_cert_error_string(fault));
        tls_count_fault(c, fault);
        return false;
    }
    if (!t->verify || bears_name(certificate, t->verify)) return true;
    log_at(c->log, L_ERR, &c->about, 0, "upstream SSL certificate does not match \"%s\"", t->verify);
    tls_count_fault(c, X509_V_ERR_HOSTNAME_MISMATCH);
    return false;
}

static void finish(struct conn *c, struct tls *t)
{
    count(c, METRIC_SSL_HANDSHAKES);
    if (SSL_session_reused(t->ssl)) count(c, METRIC_SSL_REUSES);
    if (!t->context->server && !check_server(c, t)) {
        tell_failed(c, t);
        return;
    }
    free(t->verify);
    t->verify = NULL;
    t->ready = true;
    c->sent = c->received = 0;      /* from now on bytes of the owner count */
    tls_settle(c);
    give_back(c, t);
    t->done(c, TLS_READY, (struct text) { NULL, 0 });
}

/* ---- how it goes ---- */

/* RFC 8446 2.3: with 0-RTT data the owner may begin before the client has finished. */
static int take_early(struct tls *t)
{
    char room[TLS_RECORD];
    size_t n = 0;
    switch (SSL_read_early_data(t->ssl, room, sizeof(room), &n)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        t->early = chunk_open(n);
        memcpy(t->early->data, room, n);
        t->early_n = (unsigned) n;
        return SSL_ERROR_NONE;
    case SSL_READ_EARLY_DATA_FINISH:
        t->early_open = false;
        return SSL_ERROR_NONE;
    default:
        return SSL_get_error(t->ssl, 0);
    }
}

static int advance(struct tls *t)
{
    int err = t->early_open ? take_early(t) : SSL_ERROR_NONE;
    if (err != SSL_ERROR_NONE || t->early) return err;
    return SSL_is_init_finished(t->ssl) || SSL_do_handshake(t->ssl) == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, 0);
}

static bool may_go_on(int err)
{
    return err == SSL_ERROR_NONE || err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE || err == SSL_ERROR_WANT_ASYNC;
}

static void advance_inside(void *arg)
{
    struct tls *t = arg;
    t->went = advance(t);
}

/* Where keys are another process's, OpenSSL's code is left in its midst while that answers. */
static int advance_or_wait(struct tls *t)
{
    if (!t->fiber && !keyline_is_open()) return advance(t);
    if (!t->fiber && !(t->fiber = fiber_open(advance_inside, t))) {
        t->error = errno;
        return SSL_ERROR_SYSCALL;
    }
    return fiber_run(&t->fiber) ? SSL_ERROR_WANT_ASYNC : t->went;
}

static void go_on(struct conn *c);

static void step(struct conn *c, struct tls *t)
{
    keyline_begin(c, go_on);
    tls_wire_begin(c);
    ERR_clear_error();
    int err = advance_or_wait(t);
    if (err == SSL_ERROR_WANT_READ) SSL_free_buffers(t->ssl);      /* a client that leaves it there holds less */
    enum io how = tls_wire_flush(c, t);
    if (err == SSL_ERROR_NONE && how == IO_OK) {
        finish(c, t);
    } else if (how == IO_ERROR || !may_go_on(err)) {
        explain_failure(c, t, err);
        tell_failed(c, t);
    }
}

/* Its owner ends it. */
static void time_out(struct conn *c, struct tls *t)
{
    count(c, METRIC_SSL_FAILED);
    count(c, METRIC_SSL_TIMEOUT);
    t->owner_ready(c, CONN_TIMEOUT);
}

static void go_on(struct conn *c)
{
    struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    step(c, t);
}

void tls_handshake_abandon(struct conn *c, struct tls *t)
{
    if (!t->fiber) return;
    tls_wire_begin(c);
    while (t->fiber) {
        keyline_abandon(c);
        fiber_run(&t->fiber);
    }
    ERR_clear_error();
    keyline_fault();
    tls_wire_flush(c, t);
}

static void handshake_ready(struct conn *c, unsigned what)
{
    struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    if (what & CONN_TIMEOUT) time_out(c, t);
    else step(c, t);
}

static struct tls *begin(struct conn *c, struct tls_context *x, tls_done *done, const char *doing)
{
    NEED(c, CONN_MAGIC);
    NEED(x, TLS_CONTEXT_MAGIC);
    ASSERT(c->ops == &conn_plain && c->layer == NULL);
    struct tls *t = base_zalloc(1, sizeof(*t));
    t->magic = TLS_MAGIC;
    t->context = t->first = x;
    t->owner_ready = c->ready;
    t->done = done;
    t->doing = c->about.doing;
    c->layer = t;
    c->ops = &conn_tls;
    c->about.doing = doing;
    c->wire = c->readable;
    return t;
}

static void open_session(struct conn *c, struct tls *t)
{
    ERR_clear_error();
    t->ssl = SSL_new(t->context->ctx);
    BIO *wire = t->ssl ? tls_wire_bio(c) : NULL;
    ASSERT(wire != NULL);
    SSL_set_bio(t->ssl, wire, wire);
    SSL_set_app_data(t->ssl, c);
    c->ready = handshake_ready;
}

/* ---- a client's hello ---- */

enum { HEAD = 5, HELLO_USUAL = 1024, RECORD_MOST = TLS_RECORD + 256 };      /* RFC 8446 5.1, 5.2 */

static void add_given(struct tls *t, struct text bytes)
{
    if (!t->given || t->given->size - t->given_n < bytes.n) {
        size_t size = t->given ? t->given->size : HELLO_USUAL;
        while (size < t->given_n + bytes.n) size *= 2;
        struct chunk *more = chunk_open(size);
        if (t->given_n) memcpy(more->data, t->given->data, t->given_n);
        chunk_drop(&t->given);
        t->given = more;
    }
    memcpy(t->given->data + t->given_n, bytes.p, bytes.n);
    t->given_n += (unsigned) bytes.n;
}

/* A record is there, or what cannot become one: OpenSSL has the words for that. */
static bool is_whole(const struct tls *t)
{
    const unsigned char *p = t->given ? (const unsigned char *) t->given->data : NULL;
    if (t->given_n < HEAD) return false;
    size_t size = (size_t) (p[3] << 8 | p[4]);
    return p[1] != 3 || size > RECORD_MOST || t->given_n >= HEAD + size;
}

static void read_hello(struct conn *c, struct tls *t)
{
    static char room[HEAD + RECORD_MOST];
    while (c->wire && !is_whole(t)) {
        struct io_done d = conn_plain.recv(c, room, sizeof(room));
        if (d.how == IO_OK) add_given(t, text_of(room, d.n));
        t->eof = d.how == IO_EOF;
        if (d.how == IO_ERROR) t->error = c->error;
        if (d.how != IO_OK) return;
    }
}

/* The first record is read whole before there is a session: what never becomes one costs what was sent of it, and a little. */
static void gather(struct conn *c, struct tls *t)
{
    read_hello(c, t);
    if (t->given_n && t->given->data[0] != SSL3_RT_HANDSHAKE) tell_plain(c, t);
    else if (is_whole(t)) {
        open_session(c, t);
        SSL_set_accept_state(t->ssl);
        t->early_open = tls_early_is_used;
        tls_hello_watch(t);
        step(c, t);
    } else if (t->eof || t->error) {
        ERR_clear_error();
        explain_failure(c, t, SSL_ERROR_SYSCALL);
        tell_failed(c, t);
    }
}

static void gather_ready(struct conn *c, unsigned what)
{
    struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    if (what & CONN_TIMEOUT) time_out(c, t);
    else gather(c, t);
}

void tls_accept(struct conn *c, struct tls_context *x, struct text first, tls_done *done)
{
    struct tls *t = begin(c, x, done, "SSL handshaking");
    ASSERT(x->server);
    c->ready = gather_ready;
    if (first.n) add_given(t, first);
    if (c->wire || first.n) gather(c, t);
}

/* ---- to a server ---- */

static void resume(SSL *ssl, struct text der)
{
    const unsigned char *p = (const unsigned char *) der.p;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &p, (long) der.n);
    if (session) SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
    ERR_clear_error();
}

bool tls_present(struct conn *c, const struct tls_pair *p, const struct tls_keyring *ring)
{
    struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    return tls_pair_present(t->ssl, p, ring, &(struct tls_teller) { c->log, L_ERR, &c->about });
}

bool tls_present_only(struct conn *c, const struct tls_pair *p, const struct tls_keyring *ring)
{
    struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    SSL_certs_clear(t->ssl);
    return tls_present(c, p, ring);
}

static char *copy_name(struct text t)
{
    char *p = base_alloc(t.n + 1);
    memcpy(p, t.p, t.n);
    p[t.n] = 0;
    return p;
}

void tls_connect(struct conn *c, struct tls_context *x, const struct tls_target *to, tls_done *done)
{
    struct tls *t = begin(c, x, done, "SSL handshaking to upstream");
    ASSERT(!x->server);
    open_session(c, t);
    SSL_set_connect_state(t->ssl);
    t->tag = to->tag;
    if (!text_empty(to->verify)) t->verify = copy_name(to->verify);
    if (!text_empty(to->session)) resume(t->ssl, to->session);
    if (!text_empty(to->alpn)) SSL_set_alpn_protos(t->ssl, (const unsigned char *) to->alpn.p, (unsigned) to->alpn.n);
    if (!text_empty(to->name)) {
        char *name = copy_name(to->name);
        if (SSL_set_tlsext_host_name(t->ssl, name) != 1) ERR_clear_error();     /* longer than a name may be: none is sent */
        free(name);
    }
    if (!to->pair || tls_pair_present(t->ssl, to->pair, to->ring, &(struct tls_teller) { c->log, L_ERR, &c->about })) step(c, t);
    else tell_failed(c, t);
}
