#include "gateway/via.h"
#include "gateway/exchange.h"
#include "wire/h1.h"
#include <errno.h>

enum via_step { VIA_CHOICE, VIA_LOGIN, VIA_REPLY, VIA_STATUS, VIA_FIELDS };

struct via_run {
    enum via_step   step;
    size_t          at;                /* which of the targets is asked for … */
    const struct peer *peer;           /* … this one: another one begins anew */
    size_t          want;              /* of SOCKS: the bytes in hand that the message takes at least */
    unsigned        status;            /* of CONNECT's answer */
    struct h1_parse parse;
    struct chain    out;
};

/* ---- ends ---- */

void via_stop(struct exchange *x) { chain_clear(&x->via_run->out); }

static void leave(struct exchange *x)
{
    via_stop(x);
    timer_stop(&x->conn->timer);
    x->conn_sent = x->conn->sent;          /* bytes of this do not count */
    x->conn_received = x->conn->received;
}

static void fail(struct exchange *x, unsigned reason)
{
    leave(x);
    retry(x, reason);
}

static void broken(struct exchange *x, enum io how, const char *call)
{
    exchange_say_broken(x, how, call);
    fail(x, NEXT_ERROR);
}

static void garbage(struct exchange *x, const char *what)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream sent no valid answer to the asking for a connection: %s", what);
    fail(x, NEXT_ERROR);
}

static void not_admitted(struct exchange *x, const char *how)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream %s", how);
    fail(x, NEXT_ERROR);
}

/* It is well, and its answer is no. */
static void refused(struct exchange *x, int status)
{
    leave(x);
    x->last->status = status;
    exchange_end_try(x, PEER_WELL);
    exchange_fail(x, status);
}

static void done(struct exchange *x)
{
    x->early = text_of(x->head->data + x->head_at, x->head_have - x->head_at);
    bool secure = x->secure && !x->via->inside;
    if (x->early.n && (secure || !x->proto->opened)) {
        garbage(x, "bytes nobody asked for");
        return;
    }
    leave(x);
    if (!x->early.n) chunk_drop(&x->head);
    if (secure) secure_start(x);
    else exchange_begin(x, x->conn);
}

/* ---- saying ---- */

/* False: it broke. */
static bool flush(struct exchange *x)
{
    if (conn_send(x->conn, &x->via_run->out, 0).how != IO_ERROR) return true;
    broken(x, IO_ERROR, "send()");
    return false;
}

static bool say(struct exchange *x, const struct build *b, enum via_step next, size_t want)
{
    x->via_run->step = next;
    x->via_run->want = want;
    x->head_have = x->head_at = 0;
    chain_add_text(&x->via_run->out, build_done(b));
    return flush(x);
}

static const struct socks_request *target_of(const struct exchange *x) { return &x->via->targets[x->via_run->at]; }

static bool say_target(struct exchange *x)
{
    struct build b = build_in_pool(x->r->pool, 64, 0);
    const struct socks_request *q = target_of(x);
    if (socks_put_connect(&b, q)) return say(x, &b, VIA_REPLY, 1);
    log_at(x->r->log, L_ERR, x->r->about, 0, "a name that SOCKS cannot tell: \"%.*s\"", TEXT_ARG(q->host));
    refused(x, 502);
    return false;
}

static bool say_login(struct exchange *x)
{
    struct build b = build_in_pool(x->r->pool, 64, 0);
    if (socks_put_login(&b, &x->via->login)) return say(x, &b, VIA_LOGIN, 1);
    not_admitted(x, "wants a user and a password of 1 to 255 bytes, and they are not");
    return false;
}

static bool say_connect(struct exchange *x)
{
    const struct via *v = x->via;
    const struct socks_request *q = target_of(x);
    struct build b = build_in_pool(x->r->pool, 256, 0);
    for (int i = 0; i < 2; i++) {
        build_c(&b, i ? "Host: " : "CONNECT ");
        build_text(&b, q->host);
        build_fmt(&b, ":%u%s", q->port, i ? "\r\n" : " HTTP/1.1\r\n");
    }
    if (v->authorization.n) build_fmt(&b, "Proxy-Authorization: %.*s\r\n", TEXT_ARG(v->authorization));
    build_lit(&b, "\r\n");
    h1_begin(&x->via_run->parse, H1_RESPONSE);
    return say(x, &b, VIA_STATUS, 0);
}

/* ---- SOCKS5 ---- */

static bool take_choice(struct exchange *x, unsigned method)
{
    bool login = x->via->login.user.n > 0;
    if (method == (login ? SOCKS_PASSWORD : SOCKS_NO_LOGIN)) return login ? say_login(x) : say_target(x);
    not_admitted(x, method != SOCKS_NO_METHOD ? "chose a way to log in that was not offered" : login ? "takes no user and password" : "wants a login");
    return false;
}

/* Is there another address that may be reached where this one was not? Not where we are not let there. */
static bool try_next(struct exchange *x, unsigned reply)
{
    struct via_run *w = x->via_run;
    if (reply == SOCKS_NOT_ALLOWED || reply == SOCKS_NO_COMMAND || w->at + 1 >= x->via->count || !retry_in_time(x)) return false;
    leave(x);
    w->at++;
    exchange_again(x);
    return true;
}

static bool take_reply(struct exchange *x, unsigned reply)
{
    if (reply == SOCKS_SUCCEEDED) {
        x->head_at = x->head_have;         /* nothing beyond it was read */
        done(x);
        return false;
    }
    struct text which = x->via->count > 1 ? pool_printf(x->r->pool, ", address %zu of %zu", x->via_run->at + 1, x->via->count) : T("");
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream does not lead to %.*s:%u%.*s: %s", TEXT_ARG(x->r->host), target_of(x)->port, TEXT_ARG(which), socks_reply_words(reply));
    if (!try_next(x, reply)) refused(x, reply == SOCKS_NOT_ALLOWED ? 403 : reply == SOCKS_TOO_LATE ? 504 : 502);
    return false;
}

/* False: something else goes on. */
static bool take_socks(struct exchange *x)
{
    struct via_run *w = x->via_run;
    const char *p = x->head->data, *why = "";
    size_t n = x->head_have;
    unsigned code = 0;
    bool good = false;
    enum socks_result how = w->step == VIA_CHOICE ? socks_read_choice(p, n, &code, &w->want, &why)
                          : w->step == VIA_LOGIN ? socks_read_login_answer(p, n, &good, &w->want, &why) : socks_read_reply(p, n, &code, &w->want, &why);
    if (how == SOCKS_MORE) return true;
    if (how == SOCKS_BAD) {
        garbage(x, why);
        return false;
    }
    if (w->step == VIA_CHOICE) return take_choice(x, code);
    if (w->step == VIA_REPLY) return take_reply(x, code);
    if (good) return say_target(x);
    not_admitted(x, "refuses our user and password");
    return false;
}

/* ---- CONNECT ---- */

/* RFC 9110 9.3.6: any 2xx, and whatever its fields say of a body, the tunnel begins behind the head. */
static bool take_head(struct exchange *x)
{
    int status = (int) x->via_run->status;
    if (status < 200) {
        x->via_run->step = VIA_STATUS;
        return true;
    }
    if (status < 300) {
        done(x);
        return false;
    }
    if (status == 407) {
        not_admitted(x, x->via->authorization.n ? "refuses our user and password (407)" : "wants a user and a password (407)");
        return false;
    }
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream does not lead to %.*s:%u: it answered %d", TEXT_ARG(x->r->host), target_of(x)->port, status);
    refused(x, status == 403 || status == 429 || status == 503 || status == 504 ? status : 502);
    return false;
}

static bool take_connect(struct exchange *x)
{
    struct via_run *w = x->via_run;
    const char *p = x->head->data + x->head_at;
    size_t n = x->head_have - x->head_at;
    struct h1_status_line line;
    struct field f;
    enum h1_result how = H1_DONE;
    if (w->step == VIA_STATUS) {
        how = h1_status_line(&w->parse, p, n, &line);
        if (how == H1_DONE) w->status = line.status, w->step = VIA_FIELDS;
    }
    while (how == H1_DONE || how == H1_FIELD) how = h1_field(&w->parse, p, n, &f);
    if (how == H1_BAD) {
        garbage(x, fault_row(w->parse.fault)->words);
        return false;
    }
    if (how == H1_MORE && x->head_have == x->head->size) {
        garbage(x, "too big a head");
        return false;
    }
    if (how != H1_END) return true;
    x->head_at += w->parse.at;
    h1_begin(&w->parse, H1_RESPONSE);
    return take_head(x) && (x->head_at == x->head_have || take_connect(x));
}

/* ---- the connection ---- */

static size_t room_of(const struct exchange *x)
{
    if (x->via->kind == VIA_SOCKS) return x->via_run->want - x->head_have;      /* what follows is not ours to read */
    return x->head->size - x->head_have;
}

static void go_on(struct exchange *x)
{
    struct conn *c = x->conn;
    while (c->readable) {
        struct io_done got = conn_recv(c, x->head->data + x->head_have, room_of(x));
        if (got.how == IO_AGAIN) break;
        if (got.how != IO_OK) {
            broken(x, got.how, "recv()");
            return;
        }
        x->head_have += got.n;
        if (!(x->via->kind == VIA_SOCKS ? take_socks(x) : take_connect(x))) return;
    }
}

static void ready(struct conn *c, unsigned what)
{
    struct exchange *x = c->owner;
    NEED(x, EXCHANGE_MAGIC);
    if (what & CONN_TIMEOUT) {
        log_at(x->r->log, L_ERR, x->r->about, ETIMEDOUT, "upstream timed out");
        fail(x, NEXT_TIMEOUT);
        return;
    }
    if (what & CONN_WRITE && !chain_empty(&x->via_run->out) && !flush(x)) return;
    go_on(x);
}

void via_start(struct exchange *x)
{
    struct conn *c = x->conn;
    struct request *r = x->r;
    struct build b = build_in_pool(r->pool, 8, 0);
    if (!x->via_run) x->via_run = pool_new(r->pool, struct via_run);
    *x->via_run = (struct via_run) { .peer = x->pick.peer, .at = x->via_run->peer == x->pick.peer ? x->via_run->at : 0 };
    x->early = T("");
    chunk_drop(&x->head);
    x->head = chunk_open(max_of((size_t) CHUNK_USUAL, (size_t) x->conf->buffer_size.bytes));
    exchange_doing(x, "asking upstream for a connection");
    c->owner = x;
    c->ready = ready;
    c->log = r->log;
    timer_set(&c->timer, x->conf->connect_timeout.ms);
    socks_put_greeting(&b, x->via->login.user.n > 0);
    if (x->via->kind == VIA_SOCKS ? say(x, &b, VIA_CHOICE, 1) : say_connect(x)) go_on(x);
}
