#include "http/paced.h"

static void forget(void *arg) { chain_clear(&((struct paced *) arg)->held); }

static void stop(struct request *r, void *arg)
{
    (void) r;
    timer_end(&((struct paced *) arg)->timer);
}

static void go_on(struct timer *t) { response_more(container_of(t, struct paced, timer)->r); }

void paced_begin(struct paced *p, struct request *r)
{
    p->r = r;
    p->timer.fire = go_on;
    pool_cleanup(r->pool, forget, p);
    request_at_close(r, stop, p);
}

void paced_take(struct paced *p, struct chain *in, enum body_end end)
{
    chain_move(&p->held, in);
    p->end = end;
    if (end != BODY_BROKEN) return;
    chain_clear(&p->held);
    timer_stop(&p->timer);
}

bool paced_may_go(struct paced *p, struct filter_at *at)
{
    if (timer_is_set(&p->timer)) return false;
    at->holds = p->held.bytes && !filter_room(p->r, at);
    return !at->holds;
}

void paced_pass(struct paced *p, struct filter_at *at, struct chain *out, uint64_t ms)
{
    bool last = chain_empty(&p->held);
    at->holds = !last || ms;
    if (at->holds) timer_set(&p->timer, ms ? ms : 1);
    if (out->bytes || last) filter_pass(p->r, at, out, last ? p->end : BODY_MORE);
}
