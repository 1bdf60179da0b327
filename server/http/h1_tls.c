#include "http/h1_tls.h"
#include "http/h1_conn.h"

/* ---- the handshake ---- */

/* The server that the name belongs to agrees; one without a certificate of its own is served with the default's. */
static struct tls_context *choose(struct conn *c, struct text name)
{
    struct h1 *h = c->owner;
    NEED(h, H1_MAGIC);
    struct vhost *v = name.n ? vhost_find(h->at, name, NULL) : h->at->fallback;
    if (v->rejects) return NULL;
    h->vhost = v;
    c->log = v->self->log;
    return v->tls ? v->tls : h->at->fallback->tls;
}

/* RFC 7301 6 */
static struct text protocols(struct conn *c)
{
    (void) c;
    return T("\10http/1.1\10http/1.0\10http/0.9");
}

/* Whose directives the handshake was made by. */
static struct vhost *secured_by(struct h1 *h) { return h->vhost->tls ? h->vhost : h->at->fallback; }

/* Variables are those of a request, of which there is none yet: an empty one stands for it. */
static bool present(struct conn *c)
{
    struct h1 *h = c->owner;
    NEED(h, H1_MAGIC);
    struct vhost *v = secured_by(h);
    struct request *r = request_open(c, &h1_protocol, h, v);
    bool fine = v->tls_pair(r, c);
    request_free(r);
    return fine;
}

bool (*h1_tls_challenge)(struct conn *c, struct text name);

static bool challenge(struct conn *c, struct text name)
{
    return h1_tls_challenge && h1_tls_challenge(c, name);
}

struct tls_counts *(*h1_tls_counts)(const struct vhost *v);

/* Until the client has said a name it is the default server's. */
static struct tls_counts *counts_of(struct conn *c)
{
    const struct h1 *h = c->owner;
    NEED(h, H1_MAGIC);
    return h1_tls_counts ? h1_tls_counts(h->vhost ? h->vhost : h->at->fallback) : NULL;
}

const struct tls_hooks h1_tls_hooks = { .counts = counts_of, .server_name = choose, .alpn = protocols, .pair = present, .challenge = challenge };

/* What came instead of TLS is read as a request, to be answered with 400. */
static void take_plain(struct h1 *h, struct text said)
{
    h->plain = true;
    h->in = chunk_open(said.n > CHUNK_SMALL ? said.n : CHUNK_SMALL);
    memcpy(h->in->data, said.p, said.n);
    h->from = 0;
    h->to = (uint32_t) said.n;
}

static void begin_serving(struct h1 *h)
{
    h1_set_state(h, H1_IDLE);
    h->secured = true;
    h1_wait(h);
    if (h->conn->readable) h1_take(h);
}

static void checked(struct conn *c)
{
    struct h1 *h = c->owner;
    NEED(h, H1_MAGIC);
    ASSERT(h->state == H1_SECURING);
    begin_serving(h);
}

/* Nobody is asked any more about a client that has left. */
void h1_tls_notice(struct h1 *h)
{
    if (!h->conn->hangup) return;
    log_at(h->conn->log, L_INFO, &h->conn->about, 0, "client closed connection");
    h1_abandon(h, "client closed", false);
}

static void shaken(struct conn *c, enum tls_outcome outcome, struct text said)
{
    struct h1 *h = c->owner;
    NEED(h, H1_MAGIC);
    if (outcome == TLS_FAILED) {
        h1_abandon(h, "TLS handshake failed", false);
    } else if (outcome == TLS_READY && tls_is_challenge(c)) {       /* RFC 8737 3: nothing comes after it */
        h1_abandon(h, "ACME challenge", false);
    } else if (outcome == TLS_PLAIN) {
        h1_set_state(h, H1_IDLE);
        h->secured = true;
        take_plain(h, said);
        h1_take(h);
    } else {
        struct vhost *v = secured_by(h);
        c->about.doing = "checking client certificate";
        if (!v->tls_check || v->tls_check(c, v, checked)) begin_serving(h);
        else h1_tls_notice(h);
    }
}

/* Half-open handshakes count as idle: when connections run short the oldest go. */
void h1_tls_begin(struct h1 *h)
{
    struct conn *c = h->conn;
    struct chunk *read = h->in;
    struct text first = read ? text_of(read->data + h->from, h->to - h->from) : T("");
    h->in = NULL;
    h->from = h->to = 0;
    h1_set_state(h, H1_SECURING);
    tls_accept(c, h->at->fallback->tls, first, shaken);
    chunk_drop(&read);
    if (h->state == H1_SECURING) conn_set_idle(c, true);
}

/* ---- whom a request may be for ---- */

bool h1_tls_misdirected(struct h1 *h, const struct vhost *v)
{
    struct conn *c = h->conn;
    if (h->plain || v->verify == TLS_VERIFY_OFF) return false;
    struct text name = tls_name(c);
    if (name.n && name.p[name.n - 1] == '.') name.n--;
    bool named = !name.n || text_eq_nocase(name, h->r->host);
    /* without a name the default server asked; what it was shown says nothing to a server that trusts others */
    if (named && (tls_context_of(c) == v->tls || !tls_peer_came(c))) return false;
    request_log(h->r, L_INFO, 0, "client attempted to request the server name different from the one that was negotiated");
    return true;
}

static int check_certificate(struct h1 *h, enum tls_verify how)
{
    struct conn *c = h->conn;
    long result = tls_peer_result(c);
    int refused = 495;
    if (result && !(how == TLS_VERIFY_OPTIONAL_NO_CA && tls_result_is_untrusted(result))) {
        request_log(h->r, L_INFO, 0, "client SSL certificate verify error: (%ld:%s)", result, tls_result_words(result));
    } else if (how == TLS_VERIFY_ON && !tls_peer_came(c)) {
        request_log(h->r, L_INFO, 0, "client sent no required SSL certificate");
        refused = 496;
    } else if (tls_peer_distrust(c)) {
        request_log(h->r, L_INFO, 0, "client SSL certificate verify error: %s", tls_peer_distrust(c));
    } else return 0;
    tls_count_fault(c, refused == 496 ? 0 : result ? result : -1);
    tls_forget(c);
    return refused;
}

int h1_tls_check(struct h1 *h, const struct vhost *v)
{
    if (!h->plain) return v->verify == TLS_VERIFY_OFF ? 0 : check_certificate(h, v->verify);
    request_log(h->r, L_INFO, 0, "client sent plain HTTP request to HTTPS port");
    return 497;
}
