#include "upstream/balance.h"
#include "upstream/loads.h"
#include "upstream/panic.h"
#include "upstream/seat.h"
#include "upstream/sticky.h"
#include "base/since.h"

void balance_set(struct conf *cf, struct group *g, const struct balance *b, void *conf)
{
    if (g->chosen) conf_warn(cf, "load balancing method redefined");
    g->chosen = true;
    g->balance = b;
    g->balance_conf = conf;
}

uint64_t balance_time_of(const struct peer *peer, enum balance_time timed)
{
    enum { HALF_MS = 10000 };
    struct peer_state *s = peer->state;
    uint64_t us = atomic_load_explicit(timed == BALANCE_HEADER ? &s->header_us : &s->response_us, memory_order_relaxed);
    uint64_t selected = atomic_load_explicit(&s->counts.selected_ms, memory_order_relaxed), now = clock_now.wall_ms;
    if (!us || now <= selected) return us;
    return max_of(us >> min_of((now - selected) / HALF_MS, (uint64_t) 63), (uint64_t) 1);
}

/* Who takes away takes from the number first, who adds adds to it last: when the number stands still, what is read is no less
 * than the truth. */
static uint64_t unfinished_us(const struct peer_state *s, uint32_t *count_out)
{
    uint32_t n = *count_out = atomic_load(&s->unfinished);
    uint64_t begun = atomic_load(&s->begun_ms), now = clock_now.ms;
    if (!n || atomic_load(&s->unfinished) != n || begun / n >= now) return 0;
    return min_of(now - begun / n, (uint64_t) 3600000) * 1000;
}

uint64_t balance_time_raised(const struct group *g, const struct peer *peer, uint64_t us)
{
    enum { MOST = 32 };
    uint32_t n;
    uint64_t so_far = likely(!g->unfinished) ? 0 : unfinished_us(peer->state, &n);
    if (so_far <= us) return us;
    for (n = min_of(n, (uint32_t) MOST); n; n--) us += (so_far - us) / 8;       /* as peer_count_answer weighs one that ends */
    return us;
}

void pick_end_unfinished(struct pick *p)
{
    seat_end_unfinished(p->peer->state, p->hold, p->started_ms);
    p->unfinished = false;
}

void pick_open(struct pick *p, struct group *g, struct pool *pool, struct eval *e)
{
    NEED(g, GROUP_MAGIC);
    struct peer_set *set = group_set(g);
    *p = (struct pick) { .magic = PICK_MAGIC, .group = g, .set = set, .pool = pool, .eval = e, .opened_ms = clock_now.ms, .tries = set->usable };
    p->tried = set->count <= 64 ? &p->tried_few : pool_array(pool, uint64_t, (set->count + 63) / 64);
    if (unlikely(set->pool)) group_hold(set, pool);
    if (unlikely(g->panic)) p->panics = panic_look(set, false);
    if (g->balance->open && set->count > 1) g->balance->open(p);
}

/* A group of one peer has nobody else to ask: only its marks and max_conns keep it from being asked. */
static bool is_only(const struct pick *p) { return p->set->count == 1; }

/* It failed of late, or somebody says that it is not to be asked. */
static bool may_marked(const struct pick *p, const struct peer *peer, uint32_t marks)
{
    const struct peer_state *s = peer->state;
    if (unlikely(p->panics)) return !(marks & ~(uint32_t) PANIC_MARKS);
    if (marks & ~(uint32_t) PEER_UNAVAIL) return false;
    if (is_only(p) || !peer->max_fails || atomic_load_explicit(&s->fails, memory_order_relaxed) < peer->max_fails) return true;
    return since_ms_of(atomic_load_explicit(&s->checked_ms, memory_order_relaxed)) > peer->fail_timeout_ms;
}

/* but: marks that are no hindrance. */
static inline bool may(struct pick *p, const struct peer *peer, uint32_t but)
{
    const struct peer_state *s = peer->state;
    if (pick_was_tried(p, peer->index)) return false;
    uint32_t marks = atomic_load_explicit(&s->marks, memory_order_relaxed) & ~but, fails = atomic_load_explicit(&s->fails, memory_order_relaxed);
    if (unlikely(marks | fails) && !may_marked(p, peer, marks)) return false;
    if (likely(!peer->max_conns) || atomic_load_explicit(&s->inflight, memory_order_relaxed) < peer->max_conns) return true;
    p->busy = true;
    return false;
}

bool pick_may(struct pick *p, const struct peer *peer) { return may(p, peer, 0); }

bool pick_could(const struct pick *p, const struct peer *peer)
{
    const struct peer_state *s = peer->state;
    uint32_t marks = atomic_load_explicit(&s->marks, memory_order_relaxed), fails = atomic_load_explicit(&s->fails, memory_order_relaxed);
    if (unlikely(marks | fails) && !may_marked(p, peer, marks)) return false;
    return likely(!peer->max_conns) || atomic_load_explicit(&s->inflight, memory_order_relaxed) < peer->max_conns;
}

bool pick_hold(struct pick *p, struct peer *peer)
{
    struct peer_state *s = peer->state;
    if (!seat_hold(s, peer->max_conns, &p->hold)) {
        p->busy = true;
        return false;
    }
    p->peer = peer;
    p->tried[peer->index >> 6] |= 1ull << (peer->index & 63);
    p->started_ms = clock_now.ms;
    if (unlikely(p->group->counted)) atomic_store_explicit(&s->counts.selected_ms, clock_now.wall_ms, memory_order_relaxed);
    if (unlikely(p->unfinished = p->group->unfinished)) seat_begin_unfinished(s, p->hold, p->started_ms);
    /* One trial each fail_timeout: others wait for what comes of it. */
    if (unlikely(atomic_load_explicit(&s->fails, memory_order_relaxed)) && since_ms_of(atomic_load(&s->checked_ms)) > peer->fail_timeout_ms)
        atomic_store(&s->checked_ms, clock_now.ms);
    return true;
}

/* A set that was replaced long ago may have peers whose state is another's by now. */
static bool is_stale(const struct pick *p)
{
    enum { STALE_MS = 600000 };
    return unlikely(p->set != p->group->set) && clock_now.ms - p->opened_ms > STALE_MS;
}

static struct peer *choose(struct pick *p)
{
    const struct peer_set *set = p->set;
    if (likely(set->count == 1) && !is_stale(p)) {
        struct peer *only = set->peers;
        return pick_may(p, only) && pick_hold(p, only) ? only : NULL;
    }
    if (!set->count || is_stale(p)) return NULL;
    for (;;) {
        uint32_t to = p->from ? group_level_end(set, p->from) : set->primary;
        struct peer *found = p->group->balance->next(p, p->from, to);
        if (found || to == set->count) return found;
        p->from = to;
    }
}

/* The peer of its session, draining or not; else any. */
static struct peer *choose_bound(struct pick *p)
{
    struct peer *peer = is_stale(p) ? NULL : sticky_peer(p);
    if (!peer || !may(p, peer, PEER_DRAINING) || !pick_hold(p, peer)) peer = choose(p);
    else if (unlikely(p->set->loads != NULL)) loads_renew(p, peer);
    if (peer) p->last = peer;
    return peer;
}

static struct peer *next_of(struct pick *p) { return unlikely(p->group->sticky != NULL) ? choose_bound(p) : choose(p); }

struct peer *pick_next(struct pick *p)
{
    NEED(p, PICK_MAGIC);
    ASSERT(!p->peer);
    p->busy = false;
    struct peer *peer = next_of(p);
    if (likely(peer || !p->group->panic || p->panics || p->busy)) return peer;
    p->panics = panic_look(p->set, true);
    p->from = 0;
    return p->panics ? next_of(p) : NULL;
}

static void blame(struct pick *p, const struct log *log, const struct log_about *about)
{
    struct peer *peer = p->peer;
    struct peer_state *s = peer->state;
    atomic_fetch_add_explicit(&s->failed, 1, memory_order_relaxed);
    if (is_only(p)) return;
    uint32_t fails = atomic_fetch_add(&s->fails, 1) + 1;
    atomic_store(&s->accessed_ms, clock_now.ms);
    atomic_store(&s->checked_ms, clock_now.ms);
    if (!peer->max_fails || fails < peer->max_fails) return;
    log_at(log, L_WARN, about, 0, "upstream server temporarily disabled");
    peer_mark(peer, PEER_UNAVAIL, 0, "max_fails reached");
}

static void praise(const struct pick *p)
{
    struct peer_state *s = p->peer->state;
    if (likely(!atomic_load_explicit(&s->fails, memory_order_relaxed))) return;
    if (!is_only(p) && atomic_load(&s->accessed_ms) >= atomic_load(&s->checked_ms)) return;
    atomic_store(&s->fails, 0);
    peer_mark(p->peer, 0, PEER_UNAVAIL, "it answered");
}

void pick_done(struct pick *p, enum peer_verdict how, const struct log *log, const struct log_about *about)
{
    NEED(p, PICK_MAGIC);
    if (!p->peer) return;
    if (how == PEER_FAILED) blame(p, log, about);
    else if (how != PEER_UNASKED) praise(p);
    const struct sticky *sticky = p->group->sticky;
    if (unlikely(sticky != NULL) && sticky->answered && how == PEER_WELL) sticky->answered(sticky, p);
    if (p->group->balance->done) p->group->balance->done(p, how == PEER_FAILED);
    if (unlikely(p->unfinished)) pick_end_unfinished(p);
    seat_release(p->peer->state, p->hold);
    if (unlikely(p->set->loads != NULL)) loads_renew(p, p->peer);
    p->peer = NULL;
    if (p->tries) p->tries--;
}
