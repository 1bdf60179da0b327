#include "upstream/balance.h"
#include "upstream/seat.h"
#include "base/clock.h"

void balance_set(struct conf *cf, struct group *g, const struct balance *b, void *conf)
{
    if (g->chosen) conf_warn(cf, "load balancing method redefined");
    g->chosen = true;
    g->balance = b;
    g->balance_conf = conf;
}

void pick_open(struct pick *p, struct group *g, struct pool *pool, struct eval *e)
{
    NEED(g, GROUP_MAGIC);
    *p = (struct pick) { .magic = PICK_MAGIC, .group = g, .pool = pool, .eval = e, .tries = g->usable };
    p->tried = g->count <= 64 ? &p->tried_few : pool_array(pool, uint64_t, (g->count + 63) / 64);
    if (g->balance->open && g->count > 1) g->balance->open(p);
}

/* A group of one peer has nobody else to ask: only "down" and max_conns keep it from being asked. */
static bool is_only(const struct group *g) { return g->count == 1; }

bool pick_may(const struct pick *p, const struct peer *peer)
{
    const struct peer_state *s = peer->state;
    if (pick_was_tried(p, peer->index) || peer->down || unlikely(atomic_load_explicit(&s->marks, memory_order_relaxed))) return false;
    if (peer->max_conns && atomic_load_explicit(&s->inflight, memory_order_relaxed) >= peer->max_conns) return false;
    if (is_only(p->group) || !peer->max_fails || atomic_load_explicit(&s->fails, memory_order_relaxed) < peer->max_fails) return true;
    return clock_now.ms - atomic_load_explicit(&s->checked_ms, memory_order_relaxed) > peer->fail_timeout_ms;
}

bool pick_hold(struct pick *p, struct peer *peer)
{
    if (!seat_hold(peer->state, peer->max_conns, &p->hold)) return false;
    p->peer = peer;
    p->tried[peer->index >> 6] |= 1ull << (peer->index & 63);
    p->started_ms = clock_now.ms;
    struct peer_state *s = peer->state;
    atomic_fetch_add_explicit(&s->picked, 1, memory_order_relaxed);
    /* One trial each fail_timeout: others wait for what comes of it. */
    if (unlikely(atomic_load_explicit(&s->fails, memory_order_relaxed)) && clock_now.ms - atomic_load(&s->checked_ms) > peer->fail_timeout_ms)
        atomic_store(&s->checked_ms, clock_now.ms);
    return true;
}

struct peer *pick_next(struct pick *p)
{
    NEED(p, PICK_MAGIC);
    ASSERT(!p->peer);
    const struct group *g = p->group;
    if (likely(is_only(g))) {
        struct peer *only = g->peers;
        return pick_may(p, only) && pick_hold(p, only) ? only : NULL;
    }
    struct peer *found = p->backups ? NULL : g->balance->next(p, 0, g->primary);
    if (found || g->primary == g->count) return found;
    p->backups = true;
    return g->balance->next(p, g->primary, g->count);
}

static void blame(struct pick *p, const struct log *log, const struct log_about *about)
{
    struct peer *peer = p->peer;
    struct peer_state *s = peer->state;
    atomic_fetch_add_explicit(&s->failed, 1, memory_order_relaxed);
    if (is_only(p->group)) return;
    uint32_t fails = atomic_fetch_add(&s->fails, 1) + 1;
    atomic_store(&s->accessed_ms, clock_now.ms);
    atomic_store(&s->checked_ms, clock_now.ms);
    if (peer->max_fails && fails >= peer->max_fails) log_at(log, L_WARN, about, 0, "upstream server temporarily disabled");
}

static void praise(struct peer *peer)
{
    struct peer_state *s = peer->state;
    if (likely(!atomic_load_explicit(&s->fails, memory_order_relaxed))) return;
    if (is_only(peer->group) || atomic_load(&s->accessed_ms) < atomic_load(&s->checked_ms)) atomic_store(&s->fails, 0);
}

void pick_done(struct pick *p, enum peer_verdict how, const struct log *log, const struct log_about *about)
{
    NEED(p, PICK_MAGIC);
    if (!p->peer) return;
    if (how == PEER_FAILED) blame(p, log, about);
    else if (how != PEER_UNASKED) praise(p->peer);
    if (p->group->balance->done) p->group->balance->done(p, how == PEER_FAILED);
    seat_release(p->peer->state, p->hold);
    p->peer = NULL;
    if (p->tries) p->tries--;
}
