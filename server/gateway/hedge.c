#include "gateway/hedge.h"
#include "gateway/answer.h"
#include "gateway/budget.h"
#include "gateway/exchange.h"
#include "upstream/outlier.h"
#include "upstream/state.h"

/* ---- how long answers of a group took of late ---- */

/* Times to 15 ms one by one, then four to each power of two, to an hour and more. */
enum { EXACT = 16, BUCKETS = EXACT + 4 * 18, WINDOW_MS = 15000, LEAST = 20 };

/* In shared memory: this window and the one before. The first to come in a new one clears it. */
struct window { _Atomic uint64_t number; _Atomic uint32_t n[BUCKETS]; };
struct hedge_times { struct window v[2]; };

static unsigned bucket_of(uint64_t ms)
{
    if (ms < EXACT) return (unsigned) ms;
    unsigned bits = 63 - (unsigned) __builtin_clzll(ms);      /* 4 and more */
    return min_of(EXACT + (bits - 4) * 4 + (unsigned) (ms >> (bits - 2) & 3), (unsigned) BUCKETS - 1);
}

/* The greatest time of it. */
static uint64_t end_of(unsigned bucket)
{
    if (bucket < EXACT) return bucket;
    unsigned bits = (bucket - EXACT) / 4 + 4, part = (bucket - EXACT) % 4;
    return ((uint64_t) (5 + part) << (bits - 2)) - 1;
}

static struct hedge_times *times_of(struct group *g)
{
    if (likely(g->hedge != NULL)) return g->hedge;
    g->hedge = state_extra(g, 'h', sizeof(struct hedge_times));
    if (!g->hedge) g->hedge = base_zalloc(1, sizeof(struct hedge_times));
    return g->hedge;
}

void hedge_count(struct group *g, int64_t header_ms)
{
    if (g->set->count < 2 || header_ms < 0) return;
    uint64_t number = clock_now.ms / WINDOW_MS;
    struct window *w = &times_of(g)->v[number & 1];
    uint64_t was = atomic_load_explicit(&w->number, memory_order_relaxed);
    if (was != number && atomic_compare_exchange_strong(&w->number, &was, number))
        for (unsigned i = 0; i < BUCKETS; i++) atomic_store_explicit(&w->n[i], 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->n[bucket_of((uint64_t) header_ms)], 1, memory_order_relaxed);
}

uint64_t hedge_delay(struct group *g, const struct gateway_hedge *h)
{
    if (!h->percentile) return h->after_ms;
    const struct hedge_times *t = times_of(g);
    uint64_t number = clock_now.ms / WINDOW_MS, n[BUCKETS] = { 0 }, all = 0, so_far = 0;
    for (unsigned k = 0; k < 2; k++) {
        if (number - atomic_load_explicit(&t->v[k].number, memory_order_relaxed) > 1) continue;
        for (unsigned i = 0; i < BUCKETS; i++) n[i] += atomic_load_explicit(&t->v[k].n[i], memory_order_relaxed);
    }
    for (unsigned i = 0; i < BUCKETS; i++) all += n[i];
    if (all < LEAST) return 0;
    unsigned i = 0;
    while (i < BUCKETS - 1 && (so_far += n[i]) * 100 < all * h->percentile) i++;
    uint64_t ms = max_of(end_of(i), h->after_ms);
    return max_of(ms, (uint64_t) 1);
}

/* ---- the second try ---- */

/* RFC 9110 9.2.2; an upgrade is a conversation, not an answer. */
static bool is_harmless(const struct exchange *x)
{
    enum method sent = x->proto->parse_head == answer_parse_head ? answer_of(x)->method : x->r->method;      /* proxy_method */
    return (sent == METHOD_GET || sent == METHOD_HEAD) && !x->send.streaming && !request_field(x->r, FIELD_UPGRADE);
}

static bool may_begin(const struct exchange *x)
{
    const struct gateway_budget *b = &x->conf->budget;
    struct group *g = x->pick.group;
    if ((x->state != EXCHANGE_CONNECTING && x->state != EXCHANGE_WAITING) || !x->pick.peer || x->pick.tries < 2) return false;
    if (x->pick.set != group_set(g) || (g->queue && queue_has_others(x))) return false;
    if (g->breaker && !text_eq(breaker_word(g), T("closed"))) return false;
    return !b->on || budget_left(g, b);
}

static void begin(struct timer *timer)
{
    struct exchange *x = container_of(timer, struct exchange, hedge.timer);
    NEED(x, EXCHANGE_MAGIC);
    struct exchange *y = may_begin(x) ? exchange_open_second(x) : NULL;
    if (!y) return;
    log_at(x->r->log, L_INFO, x->r->about, 0, "no answer for %llu ms, %.*s is asked as well", (unsigned long long) (clock_now.ms - x->last->started_ms), TEXT_ARG(y->pick.peer->name));
    if (x->conf->budget.on) budget_spend(x->pick.group);
    x->hedge.rival = y;
    y->hedge = (struct hedge) { .rival = x, .second = true };
    x->pick.tries--;
    exchange_ask(y);
}

void hedge_prepare(struct exchange *x)
{
    if ((x->state != EXCHANGE_CONNECTING && x->state != EXCHANGE_WAITING) || x->pick.tries < 2 || x->pick.group->sticky || !is_harmless(x)) return;
    uint64_t delay = hedge_delay(x->pick.group, &x->conf->hedge);
    if (!delay) return;
    x->hedge.timer.fire = begin;
    timer_set(&x->hedge.timer, delay);
}

/* ---- which of the two ---- */

static struct exchange *part(struct exchange *x)
{
    struct exchange *rival = x->hedge.rival;
    x->hedge.rival = rival->hedge.rival = NULL;
    return rival;
}

void hedge_failed(struct exchange *x, unsigned reason)
{
    if (!x->hedge.second) {
        x->hedge.failed = true;
        x->hedge.reason = reason;
        retry_try_ended(x);
        return;
    }
    struct exchange *first = part(x);
    exchange_release(x);
    if (!first->hedge.failed) return;
    first->hedge.failed = false;
    retry_go_on(first, first->hedge.reason);
}

bool hedge_may_fail(const struct exchange *x, unsigned reason)
{
    const struct exchange *rival = x->hedge.rival;
    return x->conf->next_upstream & reason && (!rival->hedge.failed || rival->pick.tries);
}

/* So long at least: else a slow peer would be known by its quick answers alone. */
static void note_late(const struct exchange *x, int64_t ms)
{
    if (x->conf->hedge.percentile) hedge_count(x->pick.group, ms);
    if (x->pick.group->outlier) outlier_late(&x->pick, ms);
}

void hedge_won(struct exchange *x)
{
    struct exchange *rival = part(x);
    if (rival->pick.peer) note_late(rival, (int64_t) (clock_now.ms - rival->last->started_ms));
    if (x->hedge.second) {
        x->r->exchange = x;
        retry_take_over(x, rival);
    }
    exchange_release(rival);
}

void hedge_end(struct exchange *x)
{
    timer_end(&x->hedge.timer);
    if (!x->hedge.rival) return;
    struct exchange *rival = part(x);
    exchange_release(rival);
}
