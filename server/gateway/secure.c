#include "gateway/exchange.h"
#include "process/cycle.h"
#include "base/siphash.h"
#include <errno.h>

/* ---- sessions that may be resumed ---- */

/* The last one of each peer and params, of all workers. The zone lives on over reloads, what is in it does not serve after one: what
 * was agreed on by other settings is not taken. */
static struct tls_cache *sessions;

enum { SESSIONS_SIZE = 4 << 20, SESSIONS_LAYOUT = 0x73656331 };

bool secure_share(void)
{
    secure_digest(T(""));         /* its key is that of all children */
    struct zone *z = shm_open_zone(T("upstream ssl sessions"), SESSIONS_SIZE, SESSIONS_LAYOUT, NULL);
    if (z) sessions = tls_cache_open(z);
    return z != NULL;
}

static struct text name_of(const uint64_t *tag) { return text_of((const char *) tag, sizeof *tag); }

static void keep_session(struct conn *c, struct text der, uint64_t seconds)
{
    uint64_t tag = tls_tag(c);
    if (tag && sessions) tls_cache_keep(sessions, name_of(&tag), der, seconds);
}

/* The owner may be one that the context was lent to (a health check): what it does is not what is passed on. */
static struct tls_counts *counts_of(struct conn *c)
{
    const struct exchange *x = c->owner;
    return x->magic == EXCHANGE_MAGIC && x->pick.peer ? &x->pick.peer->state->counts.ssl : NULL;
}

const struct tls_hooks secure_hooks = { .session = keep_session, .counts = counts_of };

/* ---- who may share ---- */

uint64_t secure_digest(struct text t)
{
    static struct siphash_key key;
    if (!key.v[0] && !key.v[1]) key = siphash_new_key();
    uint64_t v = siphash(&key, t).v[0];
    return v ? v : 1;
}

void secure_seal(struct secure *s)
{
    char room[1024];
    struct build b = build_in_room(room, sizeof room);
    build_fmt(&b, "%llu %p %zu ", (unsigned long long) cycle_current->number, (void *) s->context, s->name.n);
    build_text(&b, s->name);
    build_char(&b, ' ');
    build_text(&b, s->verify);
    if (s->pair) build_fmt(&b, " %llx %llx", (unsigned long long) secure_digest(s->pair->certificate), (unsigned long long) secure_digest(s->pair->key));
    if (!build_ok(&b)) {         /* longer than any name of a host: it is not told, and nobody bears it */
        s->name = T("");
        s->verify = T(" ");
    }
    s->params = secure_digest(build_done(&b));
}

static uint64_t tag_of(const struct exchange *x)
{
    struct { uint64_t params; struct addr to; } k;
    memset(&k, 0, sizeof k);
    k.params = x->secure->params;
    k.to = x->pick.peer->addr;
    return secure_digest(text_of((const char *) &k, sizeof k));
}

/* ---- the handshake ---- */

static void ready(struct conn *c, unsigned what)
{
    struct exchange *x = c->owner;
    NEED(x, EXCHANGE_MAGIC);
    if (!(what & CONN_TIMEOUT)) return;
    exchange_doing(x, "SSL handshaking to upstream");
    log_at(x->r->log, L_ERR, x->r->about, ETIMEDOUT, "upstream timed out");
    x->conn_sent = c->sent;
    x->conn_received = c->received;
    retry(x, NEXT_TIMEOUT);
}

static void shaken(struct conn *c, enum tls_outcome outcome, struct text said)
{
    struct exchange *x = c->owner;
    NEED(x, EXCHANGE_MAGIC);
    uint64_t tag = tls_tag(c);
    (void) said;
    if (outcome == TLS_READY) {
        x->conn = c;
        if (x->via && x->via->inside) via_start(x);
        else exchange_begin(x, c);
        return;
    }
    if (tag && sessions) tls_cache_forget(sessions, name_of(&tag));      /* it may be what was wrong */
    x->conn_sent = c->sent;          /* bytes of handshakes do not count */
    x->conn_received = c->received;
    retry(x, NEXT_ERROR);
}

void secure_start(struct exchange *x)
{
    static char room[TLS_SESSION_MOST];
    struct conn *c = x->conn;
    const struct secure *s = x->secure;
    uint64_t tag = s->reuse ? tag_of(x) : 0;
    struct tls_target to = { .name = s->name, .verify = s->verify, .tag = tag, .pair = s->pair, .ring = &s->ring };
    if (tag && sessions) to.session = text_of(room, tls_cache_find(sessions, name_of(&tag), room));
    c->owner = x;
    c->ready = ready;
    c->log = x->r->log;
    c->about = *x->r->about;         /* lines about it tell of the request */
    timer_set(&c->timer, x->conf->connect_timeout.ms);
    tls_connect(c, s->context, &to, shaken);
}
