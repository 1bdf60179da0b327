#include "gateway/tunnel.h"
#include "gateway/exchange.h"
#include "http/steps.h"

static void done(struct relay *relay, enum relay_end how)
{
    struct exchange *x = relay->arg;
    struct request *r = x->r;
    if (how == RELAY_LIMIT) log_at(r->log, L_INFO, r->about, 0, "the tunnel has come to its limit");
    if (how == RELAY_TIMEOUT) log_at(r->log, L_INFO, r->about, 0, "upgraded connection timed out");
    if (how == RELAY_ERROR && relay->fault == x->conn) log_at(r->log, L_ERR, r->about, relay->fault->error, "upstream connection failed");
    x->last->length = (int64_t) relay->back.bytes;
    exchange_release(x);
    r->out.body_bytes = relay->back.bytes;
    response_body(r, &(struct chain) { NULL, NULL, 0 }, BODY_FINAL);
}

static void go(struct exchange *x, struct conn *client, struct chain *up, struct chain *back)
{
    struct request *r = x->r;
    x->relay = pool_new(r->pool, struct relay);
    relay_start(x->relay, client, x->conn, up, back, x->conf->read_timeout.ms, done, x);
    x->relay->half_close = x->half_close;
    if (x->tunnel_buffer) relay_buffer(x->relay, x->tunnel_buffer);
    relay_limit(x->relay, x->tunnel_ms, x->tunnel_bytes);
    relay_set_paces(x->relay, steps_paces(r));
}

void tunnel_go(struct exchange *x, struct conn *client, struct chain *up) { go(x, client, up, NULL); }

void tunnel_start(struct exchange *x, struct text early)
{
    struct request *r = x->r;
    struct chain up = CHAIN_EMPTY, back = CHAIN_EMPTY;
    exchange_move(x, EXCHANGE_TUNNEL);
    struct conn *client = NULL;
    if (response_head(r) && r->proto->tunnel) {
        response_body(r, &back, BODY_MORE);
        client = r->proto->tunnel(r, &up);
    }
    if (!client) {
        chain_clear(&up);
        exchange_release(x);
        response_body(r, &back, BODY_BROKEN);
        return;
    }
    if (early.n) chain_add_chunk(&back, x->head, early.p, early.n);
    go(x, client, &up, &back);
}
