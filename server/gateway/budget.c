#include "gateway/budget.h"
#include "gateway/conf.h"
#include "base/clock.h"
#include "upstream/state.h"

enum { SECONDS = 10 };

/* In shared memory. A slot is of one second; the first to come in a new one clears it. */
struct slot { _Atomic uint64_t second; _Atomic uint32_t requests, retries; };
struct budget { struct slot v[SECONDS]; };

/* Where there is no shared memory (left), the process has one of its own. */
static struct budget *budget_of(struct group *g)
{
    if (likely(g->budget != NULL)) return g->budget;
    static struct budget found_at_run_time;
    if (!g->file) return g->budget = &found_at_run_time;      /* all those that no configuration names: they come and go */
    g->budget = state_extra(g, 'b', sizeof(struct budget));
    if (!g->budget) g->budget = base_zalloc(1, sizeof(struct budget));
    return g->budget;
}

static struct slot *slot_now(struct group *g)
{
    uint64_t second = clock_now.ms / 1000;
    struct slot *s = &budget_of(g)->v[second % SECONDS];
    uint64_t was = atomic_load_explicit(&s->second, memory_order_relaxed);
    if (was != second && atomic_compare_exchange_strong(&s->second, &was, second)) {
        atomic_store(&s->requests, 0);
        atomic_store(&s->retries, 0);
    }
    return s;
}

void budget_count(struct group *g) { atomic_fetch_add_explicit(&slot_now(g)->requests, 1, memory_order_relaxed); }
void budget_spend(struct group *g) { atomic_fetch_add_explicit(&slot_now(g)->retries, 1, memory_order_relaxed); }

bool budget_left(struct group *g, const struct gateway_budget *b)
{
    const struct budget *all = budget_of(g);
    uint64_t second = clock_now.ms / 1000, requests = 0, retries = 0;
    for (unsigned i = 0; i < SECONDS; i++) {
        const struct slot *s = &all->v[i];
        if (second - atomic_load(&s->second) >= SECONDS) continue;
        requests += atomic_load_explicit(&s->requests, memory_order_relaxed);
        retries += atomic_load_explicit(&s->retries, memory_order_relaxed);
    }
    return (retries + 1) * 100 <= requests * b->percent + (uint64_t) b->least * SECONDS * 100;
}
