#include "upstream/panic.h"
#include "base/since.h"

enum { COUNT_MS = 100 };

static bool is_well(const struct peer *peer, uint32_t marks)
{
    const struct peer_state *s = peer->state;
    if (marks & (PEER_UNHEALTHY | PEER_EJECTED)) return false;
    if (!peer->max_fails || atomic_load_explicit(&s->fails, memory_order_relaxed) < peer->max_fails) return true;
    return since_ms_of(atomic_load_explicit(&s->checked_ms, memory_order_relaxed)) > peer->fail_timeout_ms;
}

static void count(const struct peer_set *set)
{
    struct group *g = set->group;
    uint64_t all = 0, well = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t marks = atomic_load_explicit(&set->peers[i].state->marks, memory_order_relaxed);
        if (marks & (PEER_DOWN | PEER_DRAINING | PEER_CHECKING)) continue;
        all++;
        well += is_well(&set->peers[i], marks);
    }
    uint32_t now = well * 100 < all * g->panic;
    if (atomic_exchange(&g->state->panics, now) == now) return;
    if (now) log_at(log_main, L_WARN, NULL, 0, "upstream \"%.*s\" is in panic: %llu of %llu peers are healthy, all are asked", TEXT_ARG(g->name), (unsigned long long) well, (unsigned long long) all);
    else log_at(log_main, L_NOTICE, NULL, 0, "upstream \"%.*s\" is in panic no more: %llu of %llu peers are healthy", TEXT_ARG(g->name), (unsigned long long) well, (unsigned long long) all);
}

bool panic_look(struct peer_set *set, bool anew)
{
    struct group_state *s = set->group->state;
    uint64_t last = atomic_load_explicit(&s->counted_ms, memory_order_relaxed);
    bool due = clock_now.ms >= last + COUNT_MS && atomic_compare_exchange_strong(&s->counted_ms, &last, clock_now.ms);
    if (due || anew) count(set);
    return atomic_load_explicit(&s->panics, memory_order_relaxed);
}
