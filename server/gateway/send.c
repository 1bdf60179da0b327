#include "gateway/exchange.h"
#include "http/reqbody.h"

/* How much of a streamed body may wait for the upstream. */
enum { SEND_MOST = 65536 };

static size_t room(struct request *r, void *arg)
{
    struct exchange *x = arg;
    (void) r;
    if (x->state >= EXCHANGE_TUNNEL) return SEND_MOST;      /* nobody wants it any more */
    if (x->state < EXCHANGE_WAITING) return 0;
    return x->send.out.bytes < SEND_MOST ? SEND_MOST - x->send.out.bytes : 0;
}

static void take(struct request *r, void *arg, struct chain *in, enum body_end end)
{
    struct exchange *x = arg;
    struct send *s = &x->send;
    (void) r;
    if (s->ended || end == BODY_BROKEN) {        /* broken: the request is about to be closed */
        chain_clear(in);
        return;
    }
    if (x->proto->frame_body) x->proto->frame_body(x, in, end, &s->out);
    else chain_move(&s->out, in);
    s->ended = end == BODY_FINAL;
    if (x->state < EXCHANGE_WAITING) return;
    /* What it says about that is told by the connection: an early answer is read first. */
    if (!send_more(x)) conn_wake(x->conn, CONN_READ);
    else if (s->ended && chain_empty(&s->out) && x->state == EXCHANGE_WAITING) exchange_doing(x, "reading response header from upstream");
    exchange_wait(x);
}

static const struct body_sink sink = { .room = room, .take = take };

void send_prepare(struct exchange *x)
{
    struct send *s = &x->send;
    struct request *r = x->r;
    if (!s->body_set && x->conf->pass_body.on && !reqbody_none(r)) {
        if (r->body && r->body->whole) chain_share(&s->body, &r->body->chain);
        else s->streaming = true;
    }
    if (x->proto->frames_whole && !s->streaming) {
        struct chain bare = s->body;
        s->body = (struct chain) CHAIN_EMPTY;
        x->proto->frame_body(x, &bare, BODY_FINAL, &s->body);
    }
}

bool send_start(struct exchange *x)
{
    struct send *s = &x->send;
    chain_clear(&s->out);
    chain_add_text(&s->out, s->head);
    chain_share(&s->out, &s->body);
    s->ended = !s->streaming;
    s->broken = false;
    if (!send_more(x)) return false;
    if (s->streaming) reqbody_stream(x->r, &sink, x);
    return true;
}

bool send_more(struct exchange *x)
{
    struct send *s = &x->send;
    if (s->broken || !x->conn) return false;
    struct io_done done = conn_send(x->conn, &s->out, 0);
    if (done.how == IO_ERROR) {
        s->broken = true;
        chain_clear(&s->out);
        return false;
    }
    return true;
}

bool send_resume(struct exchange *x)
{
    if (!send_more(x)) return false;
    if (x->send.streaming && !x->send.ended && room(x->r, x)) reqbody_more(x->r);
    return true;
}

void send_stop(struct exchange *x)
{
    struct send *s = &x->send;
    chain_clear(&s->out);
    chain_clear(&s->body);
    if (s->streaming && !s->ended) {
        s->ended = true;
        if (x->r->body && !x->r->body->complete) reqbody_discard(x->r);
    }
}
