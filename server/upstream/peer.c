#include "upstream/peer.h"
#include "upstream/group.h"
#include "base/clock.h"

static const struct { uint32_t mark; const char *name; } states[] = {       /* the first that holds is told */
    { PEER_DOWN, "down" }, { PEER_DRAINING, "draining" }, { PEER_UNHEALTHY, "unhealthy" }, { PEER_CHECKING, "checking" },
    { PEER_EJECTED, "ejected" }, { PEER_UNAVAIL, "unavail" },
};

static const char *name_of(uint32_t marks)
{
    for (size_t i = 0; i < countof(states); i++)
        if (marks & states[i].mark) return states[i].name;
    return "up";
}

const char *peer_state_name(const struct peer_state *s) { return name_of(atomic_load_explicit(&s->marks, memory_order_relaxed)); }

/* Under the lock. It began, or ended, to be out of service for another reason than an administrator's will. */
static void keep_time(struct peer_state *s, uint32_t was, uint32_t now)
{
    if (now & PEER_MARKS_OUT) {
        if (!s->out_since_ms) s->out_since_ms = clock_now.wall_ms;
    } else if (s->out_since_ms) {
        if (clock_now.wall_ms > s->out_since_ms) s->out_ms += clock_now.wall_ms - s->out_since_ms;
        s->out_since_ms = 0;
    }
    if (was && !now) atomic_store(&s->slow_from_ms, clock_now.ms);
    if (now & ~was & PEER_UNHEALTHY) atomic_fetch_add_explicit(&s->counts.unhealthy, 1, memory_order_relaxed);
    if (now & ~was & PEER_UNAVAIL) atomic_fetch_add_explicit(&s->counts.unavail, 1, memory_order_relaxed);
}

bool peer_mark(struct peer *p, uint32_t set, uint32_t clear, const char *reason)
{
    struct peer_state *s = p->state;
    uint32_t was = atomic_load(&s->marks), now;
    if (((was | set) & ~clear) == was) return false;
    shm_lock(&s->lock);            /* a dead holder leaves times that are a little wrong, no more */
    was = atomic_load(&s->marks);
    now = (was | set) & ~clear;
    if (now != was) {
        keep_time(s, was, now);
        s->changed_ms = clock_now.wall_ms;
        snprintf(s->reason, sizeof s->reason, "%s", reason);
        atomic_store(&s->marks, now);
    }
    shm_unlock(&s->lock);
    if (now == was) return false;
    log_at(log_main, now & ~was & (PEER_UNHEALTHY | PEER_EJECTED) ? L_WARN : L_NOTICE, NULL, 0, "peer %.*s of upstream \"%.*s\" was %s, is %s: %s",
        TEXT_ARG(p->name), TEXT_ARG(p->group->name), name_of(was), name_of(now), reason);
    return true;
}

bool peer_set_health(struct peer *p, uint32_t mark, const char *reason)
{
    ASSERT(mark == 0 || mark == PEER_CHECKING || mark == PEER_UNHEALTHY);
    uint32_t both = PEER_CHECKING | PEER_UNHEALTHY;
    if (mark) return peer_mark(p, mark, both & ~mark, reason);
    if (!(atomic_load(&p->state->marks) & both)) return false;
    if (atomic_load(&p->state->marks) & PEER_UNAVAIL) atomic_store(&p->state->fails, 0);
    return peer_mark(p, 0, PEER_CHECKING | PEER_UNHEALTHY | PEER_UNAVAIL, reason);
}

void peer_count_check(struct peer *p, bool passed)
{
    struct peer_counts *c = &p->state->counts;
    atomic_fetch_add_explicit(&c->checks, 1, memory_order_relaxed);
    if (!passed) atomic_fetch_add_explicit(&c->checks_failed, 1, memory_order_relaxed);
    atomic_store_explicit(&c->check_passed, passed ? 2 : 1, memory_order_relaxed);
}

struct peer_history peer_state_history(struct peer_state *s)
{
    struct peer_history h;
    shm_lock(&s->lock);
    h = (struct peer_history) { .changed_ms = s->changed_ms, .out_since_ms = s->out_since_ms, .out_ms = s->out_ms };
    memcpy(h.reason, s->reason, sizeof h.reason);
    shm_unlock(&s->lock);
    h.reason[sizeof h.reason - 1] = '\0';
    return h;
}

uint64_t peer_weight_slow(const struct peer *p, uint64_t weight)
{
    uint64_t from = atomic_load_explicit(&p->state->slow_from_ms, memory_order_relaxed), passed = clock_now.ms - from;
    if (!from || clock_now.ms < from || passed >= p->slow_start_ms) return weight;
    return max_of(weight * passed / p->slow_start_ms, (uint64_t) 1);
}

/* An eighth of each new time counts. Two processes at once: one of the times is lost, which an average bears. */
static void average(_Atomic uint32_t *at, int64_t ms)
{
    if (ms < 0) return;
    uint32_t new = (uint32_t) min_of(ms, (int64_t) 3600000) * 1000 + 1, old = atomic_load_explicit(at, memory_order_relaxed);
    if (old) new = old - old / 8 + new / 8;
    atomic_store_explicit(at, new ? new : 1, memory_order_relaxed);
}

void peer_count_answer(struct peer_state *s, const struct peer_answer *a)
{
    struct peer_counts *c = &s->counts;
    int class = a->status / 100;
    if (a->header_ms >= 0 && class >= 1 && class <= 5) {
        atomic_fetch_add_explicit(&c->responses[class], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&c->responses[0], 1, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&c->sent, a->sent, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->received, a->received, memory_order_relaxed);
    average(&s->header_us, a->header_ms);
    average(&s->response_us, a->response_ms);
}
