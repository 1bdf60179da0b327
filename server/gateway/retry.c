#include "gateway/retry.h"
#include "gateway/budget.h"
#include "gateway/exchange.h"
#include "wire/method.h"
#include <errno.h>
#include <sys/random.h>

static int status_of(unsigned reason)
{
    switch (reason) {
    case NEXT_TIMEOUT: case NEXT_504: return 504;
    case NEXT_500: return 500;
    case NEXT_503: return 503;
    case NEXT_403: return 403;
    case NEXT_404: return 404;
    case NEXT_429: return 429;
    default: return 502;
    }
}

/* ---- times ---- */

static uint64_t sooner(uint64_t a, uint64_t b) { return !a || (b && b < a) ? b : a; }

static void set_timer(struct exchange *x)
{
    struct retry *t = &x->retry;
    uint64_t due = sooner(sooner(t->deadline_ms, t->try_until_ms), t->paused_until_ms);
    if (due) timer_set(&t->timer, due > clock_now.ms ? due - clock_now.ms : 1);
    else timer_stop(&t->timer);
}

/* The time for all tries is over. */
static void too_late(struct exchange *x)
{
    log_at(x->r->log, L_ERR, x->r->about, ETIMEDOUT, "the deadline of the request has passed");
    if (x->state == EXCHANGE_PASSING) {
        pipe_break(x);
        return;
    }
    if (x->state == EXCHANGE_QUEUED) {
        exchange_give_up(x, 504);
        return;
    }
    if (!x->last->status) x->last->status = 504;
    exchange_end_try(x, PEER_FAILED);
    exchange_fail(x, 504);
}

static void fire(struct timer *timer)
{
    struct exchange *x = container_of(timer, struct exchange, retry.timer);
    struct retry *t = &x->retry;
    NEED(x, EXCHANGE_MAGIC);
    bool begun = x->state >= EXCHANGE_PASSING;
    if (x->state == EXCHANGE_TUNNEL) return;
    if (t->deadline_ms && clock_now.ms >= t->deadline_ms) {
        too_late(x);
        return;
    }
    if (t->paused_until_ms && clock_now.ms >= t->paused_until_ms) {
        t->paused_until_ms = 0;
        set_timer(x);
        exchange_next(x);
        return;
    }
    bool try_over = t->try_until_ms && clock_now.ms >= t->try_until_ms && !begun;
    if (begun || try_over) t->try_until_ms = 0;
    set_timer(x);
    if (!try_over) return;
    log_at(x->r->log, L_ERR, x->r->about, ETIMEDOUT, "the try took too long");
    retry(x, NEXT_TIMEOUT);
}

void retry_start(struct exchange *x)
{
    const struct gateway_conf *c = x->conf;
    if (unlikely(c->budget.on) && x->pick.tries > 1) budget_count(x->pick.group);
    if (likely(!c->timed)) return;
    x->retry.timer.fire = fire;
    if (c->deadline.ms) x->retry.deadline_ms = x->started_ms + c->deadline.ms;
    set_timer(x);
}

void retry_try_begins(struct exchange *x)
{
    if (x->conf->try_timeout.ms) x->retry.try_until_ms = clock_now.ms + x->conf->try_timeout.ms;
    set_timer(x);
}

void retry_try_ended(struct exchange *x)
{
    if (!x->conf->timed) return;
    x->retry.try_until_ms = 0;
    set_timer(x);
}

void retry_second(struct exchange *y, const struct exchange *x)
{
    y->retry.timer.fire = fire;
    y->retry.count = x->retry.count;
}

void retry_take_over(struct exchange *y, const struct exchange *x)
{
    if (!x->conf->timed) return;
    y->retry.deadline_ms = x->retry.deadline_ms;
    set_timer(y);
}

/* Anything from nothing to a time that doubles: those who failed together do not come back together. */
static uint64_t pause_of(const struct exchange *x)
{
    const struct gateway_backoff *b = &x->conf->backoff;
    uint64_t most = b->base_ms << min_of(x->retry.count, 20u), any = 0;
    most = min_of(max_of(most, b->base_ms), b->most_ms);
    if (getrandom(&any, sizeof any, GRND_NONBLOCK) != sizeof any) any = clock_now.wall_ms * 2654435761u;
    return any % (most + 1);
}

static void ask_another(struct exchange *x)
{
    struct retry *t = &x->retry;
    uint64_t pause = unlikely(x->conf->backoff.base_ms) ? pause_of(x) : 0;
    t->try_until_ms = 0;
    t->count++;
    if (x->conf->budget.on) budget_spend(x->pick.group);
    if (!pause) {
        exchange_next(x);
        return;
    }
    exchange_move(x, EXCHANGE_PAUSED);
    t->paused_until_ms = clock_now.ms + pause;
    set_timer(x);
}

/* ---- whether ---- */

bool retry_in_time(const struct exchange *x)
{
    return !x->conf->next_timeout.ms || clock_now.ms - x->started_ms < x->conf->next_timeout.ms;
}

static bool affordable(const struct exchange *x)
{
    const struct gateway_budget *b = &x->conf->budget;
    if (likely(!b->on) || budget_left(x->pick.group, b)) return true;
    log_at(x->r->log, L_WARN, x->r->about, 0, "no other upstream is asked: the budget of \"%.*s\" is spent", TEXT_ARG(x->pick.group->name));
    return false;
}

static bool allowed(const struct exchange *x, unsigned reason)
{
    unsigned want = reason;
    if (x->asked && !method_row(x->r->method)->idempotent) want |= NEXT_NON_IDEMPOTENT;
    if ((x->conf->next_upstream & want) != want) return false;
    if (x->asked && x->send.streaming) return false;    /* what went up is gone */
    return retry_in_time(x) && affordable(x);
}

bool retry_allowed(const struct exchange *x, unsigned reason)
{
    return x->pick.tries > 1 && allowed(x, reason);
}

/* RFC 9110 9.2.2, RFC 9112 9.3.1 */
bool retry_was_stale(const struct exchange *x, unsigned reason)
{
    if (reason != NEXT_ERROR || !x->reused || x->answered) return false;
    if (x->conn && x->conn->sent == x->conn_sent) return true;
    return method_row(x->r->method)->idempotent && !x->send.streaming;
}

void retry(struct exchange *x, unsigned reason)
{
    if (retry_was_stale(x, reason)) {
        exchange_replay(x);
        return;
    }
    if (!x->last->status) x->last->status = status_of(reason);
    exchange_end_try(x, reason == NEXT_403 || reason == NEXT_404 ? PEER_PASSED : PEER_FAILED);
    if (unlikely(x->hedge.rival != NULL)) hedge_failed(x, reason);
    else retry_go_on(x, reason);
}

void retry_go_on(struct exchange *x, unsigned reason)
{
    bool more = (x->pick.tries || x->proto->another) && allowed(x, reason);
    if (more && x->pick.tries) ask_another(x);
    else if (!more || !exchange_hand_over(x)) exchange_fail(x, status_of(reason));
}

bool retry_denied(struct exchange *x)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "access to the upstream is denied");
    x->last->status = status_of(NEXT_DENIED);
    exchange_end_try(x, PEER_UNASKED);
    if (x->pick.tries && x->conf->next_upstream & NEXT_DENIED && retry_in_time(x)) return true;
    exchange_fail(x, status_of(NEXT_DENIED));
    return false;
}
