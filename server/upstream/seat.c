#include "upstream/seat.h"
#include "upstream/group.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* Where a process may die in between; t/unit/seat.c makes it. */
#ifndef SEAT_STEP
#define SEAT_STEP() atomic_signal_fence(memory_order_seq_cst)
#endif

enum { SEATS = 256, PAGE_HOLDS = 4096, PAGES = 64, LOOKS = 50 };
#define NO_HOLD UINT32_MAX

/*
 * A hold is noted in doubt before it is counted, and until that is done; so again while it is given back. A process does one of
 * these at a time. Whether the one that a dead process left in doubt was counted tells a recount (settle).
 */
enum { IN_DOUBT = 1 };
struct hold { _Atomic uintptr_t at; _Atomic uint64_t since_ms; };      /* at: the peer_state, with IN_DOUBT or without; since_ms: 0: its time does not count */
struct page { struct hold v[PAGE_HOLDS]; };
struct seat {
    _Atomic uint32_t pid;          /* 0: free */
    uint32_t         pad;
    _Atomic uint64_t generation;   /* 0: serves none */
    struct page     *pages[PAGES]; /* kept for the next who sits here */
};
struct seats { _Atomic uint32_t unnoted, pad; struct seat v[SEATS]; };      /* unnoted: holds that found no place */

static struct { struct zone *zone; size_t size; struct seat *seat; _Atomic uint32_t *unnoted; uint32_t *free; uint32_t count, cap, next; } own;

static struct seats *seats_of(struct zone *z) { return shm_object(z, T("seats"), sizeof(struct seats), NULL); }

static struct peer_state *peer_of(uintptr_t at) { return (struct peer_state *) (at & ~(uintptr_t) IN_DOUBT); }
static void note(struct hold *h, const struct peer_state *s, uintptr_t doubt) { atomic_store_explicit(&h->at, (uintptr_t) s | doubt, memory_order_release); }

static void end_unfinished(struct peer_state *s, uint64_t since_ms)
{
    atomic_fetch_sub(&s->unfinished, 1);
    SEAT_STEP();
    atomic_fetch_sub(&s->begun_ms, since_ms);
}

static bool is_dead(uint32_t pid) { return kill((pid_t) pid, 0) < 0 && errno == ESRCH; }

/* ---- a hold in doubt ---- */

struct tally { uint32_t inflight, unfinished; uint64_t begun_ms; };

/* What all seats have noted of p. False: a living process is just adding to it, or taking away. */
static bool add_up(const struct seats *all, const struct peer_state *p, struct tally *t)
{
    *t = (struct tally) { 0 };
    for (unsigned i = 0; i < SEATS; i++) {
        const struct seat *s = &all->v[i];
        uint32_t pid = atomic_load(&s->pid);
        for (unsigned k = 0; pid && k < PAGES && s->pages[k]; k++) {
            for (const struct hold *h = s->pages[k]->v; h < s->pages[k]->v + PAGE_HOLDS; h++) {
                uintptr_t at = atomic_load_explicit(&h->at, memory_order_acquire);
                if (peer_of(at) != p) continue;
                if (at & IN_DOUBT && pid != (uint32_t) getpid() && !is_dead(pid)) return false;
                if (at & IN_DOUBT) continue;
                uint64_t since = atomic_load_explicit(&h->since_ms, memory_order_acquire);
                t->inflight++;
                t->unfinished += since != 0;
                t->begun_ms += since;
            }
        }
    }
    return true;
}

struct witness { struct tally of; uint64_t picked; };

static struct witness look_at(const struct peer_state *p)
{
    return (struct witness) { { atomic_load(&p->inflight), atomic_load(&p->unfinished), atomic_load(&p->begun_ms) }, atomic_load(&p->picked) };
}

static bool same(const struct witness *a, const struct witness *b)
{
    return a->picked == b->picked && a->of.inflight == b->of.inflight && a->of.unfinished == b->of.unfinished && a->of.begun_ms == b->of.begun_ms;
}

/*
 * What is counted of p and noted nowhere goes. Twice the notes add up to the same and the counts stood still: every hold raises
 * picked while it is in doubt, so that after the first time nothing can have been added, and what is taken away shows. False: p is
 * too busy just now.
 */
static bool settle(struct seats *all, struct peer_state *p)
{
    if (atomic_load(&all->unnoted)) return true;
    for (unsigned i = 0; i < LOOKS; i++) {
        struct witness before = look_at(p), after;
        struct tally one, two;
        if (!add_up(all, p, &one)) continue;
        after = look_at(p);
        if (!same(&before, &after) || !add_up(all, p, &two)) continue;
        after = look_at(p);
        if (!same(&before, &after) || memcmp(&one, &two, sizeof one) != 0) continue;
        atomic_fetch_sub(&p->inflight, before.of.inflight - two.inflight);
        atomic_fetch_sub(&p->unfinished, before.of.unfinished - two.unfinished);
        atomic_fetch_sub(&p->begun_ms, before.of.begun_ms - two.begun_ms);
        return true;
    }
    return false;
}

/* One at a time: else two would take the same away. */
static bool settle_alone(struct seats *all, struct hold *h)
{
    struct peer_state *p = peer_of(atomic_load(&h->at));
    shm_lock(&p->lock);
    bool well = settle(all, p);
    shm_unlock(&p->lock);
    if (!well) return false;
    atomic_store(&h->since_ms, 0);
    note(h, NULL, 0);
    return true;
}

/* ---- what a process leaves behind ---- */

static void give_one_back(struct hold *h, struct peer_state *p)
{
    uint64_t since = atomic_load(&h->since_ms);
    note(h, p, IN_DOUBT);
    SEAT_STEP();
    if (since) end_unfinished(p, since);
    SEAT_STEP();
    atomic_store(&h->since_ms, 0);
    atomic_fetch_sub(&p->inflight, 1);
    SEAT_STEP();
    note(h, NULL, 0);
}

/* Returns how many holds; *rest_out: some could not be settled yet. */
static unsigned give_back(struct seats *all, struct seat *s, bool *rest_out)
{
    unsigned n = 0;
    struct hold *doubts[2];       /* of the one who died, and of one who died mending */
    size_t doubt_count = 0;
    for (unsigned i = 0; i < PAGES && s->pages[i]; i++) {
        for (unsigned k = 0; k < PAGE_HOLDS; k++) {
            struct hold *h = &s->pages[i]->v[k];
            uintptr_t at = atomic_load_explicit(&h->at, memory_order_relaxed);
            if (!at) continue;
            n++;
            if (!(at & IN_DOUBT)) give_one_back(h, peer_of(at));
            else if (doubt_count < countof(doubts)) doubts[doubt_count++] = h;
            else *rest_out = true;
        }
    }
    for (size_t i = 0; i < doubt_count; i++) *rest_out |= !settle_alone(all, doubts[i]);
    return n;
}

unsigned seat_mend(struct zone *z)
{
    struct seats *all = seats_of(z);
    unsigned n = 0;
    if (!all) return 0;
    uint32_t me = (uint32_t) getpid();
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *s = &all->v[i];
        uint32_t pid = atomic_load(&s->pid), was = pid;
        bool rest = false;
        /* Whoever gets the dead one's seat mends it; a seat that is being mended is not free. */
        if (!pid || pid == me || !is_dead(pid) || !atomic_compare_exchange_strong(&s->pid, &pid, me)) continue;
        n += give_back(all, s, &rest);
        atomic_store(&s->generation, 0);
        atomic_store(&s->pid, rest ? was : 0);
    }
    return n;
}

static void forget(void)
{
    free(own.free);
    own = (__typeof__(own)) { .zone = NULL };
}

bool seat_open(struct zone *z)
{
    if (own.zone == z && atomic_load(&own.seat->pid) == (uint32_t) getpid()) return true;
    forget();      /* a forked child's copy of its parent's is not its own */
    seat_mend(z);
    struct seats *all = seats_of(z);
    for (unsigned i = 0; all && i < SEATS; i++) {
        uint32_t none = 0;
        if (!atomic_compare_exchange_strong(&all->v[i].pid, &none, (uint32_t) getpid())) continue;
        own.zone = z;
        own.size = shm_figures(z).size;
        own.seat = &all->v[i];
        own.unnoted = &all->unnoted;
        return true;
    }
    if (all) atomic_fetch_add(&all->unnoted, 1);      /* whatever it holds */
    return false;
}

void seat_close(void)
{
    bool rest = false;
    if (own.seat) {
        give_back(seats_of(own.zone), own.seat, &rest);
        atomic_store(&own.seat->generation, 0);
        atomic_store(&own.seat->pid, 0);
    }
    forget();
}

void seat_serving(uint64_t generation)
{
    if (own.seat) atomic_store(&own.seat->generation, generation);
}

uint64_t seat_least_generation(struct zone *z, uint64_t most)
{
    struct seats *all = seats_of(z);
    for (unsigned i = 0; all && i < SEATS; i++) {
        uint32_t pid = atomic_load(&all->v[i].pid);
        uint64_t generation = atomic_load(&all->v[i].generation);
        if (pid && generation && generation < most && !is_dead(pid)) most = generation;
    }
    return most;
}

/* The place of a new hold of s; NO_HOLD: there is none, or s is this process's own: nobody may touch it after us. */
static uint32_t new_hold(const struct peer_state *s)
{
    if (!own.seat || (uintptr_t) s - (uintptr_t) own.zone >= own.size) return NO_HOLD;
    if (own.count) return own.free[--own.count];
    uint32_t h = own.next;
    struct page **page = h / PAGE_HOLDS < PAGES ? &own.seat->pages[h / PAGE_HOLDS] : NULL;
    if (!page || (!*page && !(*page = shm_zalloc(own.zone, sizeof **page)))) {
        atomic_fetch_add(own.unnoted, 1);
        return NO_HOLD;
    }
    own.next++;
    return h;
}

static void end_hold(const struct peer_state *s, uint32_t h)
{
    if (h == NO_HOLD) {
        if (own.seat && (uintptr_t) s - (uintptr_t) own.zone < own.size) atomic_fetch_sub(own.unnoted, 1);
        return;
    }
    if (own.count == own.cap) {
        own.cap = own.cap ? own.cap * 2 : 64;
        own.free = base_realloc(own.free, own.cap * sizeof *own.free);
    }
    own.free[own.count++] = h;
}

static struct hold *place(uint32_t h) { return &own.seat->pages[h / PAGE_HOLDS]->v[h % PAGE_HOLDS]; }

static void note_own(uint32_t h, const struct peer_state *s, uintptr_t doubt)
{
    if (likely(h != NO_HOLD)) note(place(h), s, doubt);
}

static bool add_one(struct peer_state *s, uint32_t most)
{
    uint32_t was = atomic_load_explicit(&s->inflight, memory_order_relaxed);
    if (likely(!most)) {
        atomic_fetch_add_explicit(&s->inflight, 1, memory_order_acq_rel);
        return true;
    }
    while (was < most)
        if (atomic_compare_exchange_weak_explicit(&s->inflight, &was, was + 1, memory_order_acq_rel, memory_order_relaxed)) return true;
    return false;
}

bool seat_hold(struct peer_state *s, uint32_t most, uint32_t *hold_out)
{
    if (unlikely(most && atomic_load_explicit(&s->inflight, memory_order_relaxed) >= most)) return false;
    uint32_t h = *hold_out = new_hold(s);
    note_own(h, s, IN_DOUBT);
    SEAT_STEP();
    atomic_fetch_add_explicit(&s->picked, 1, memory_order_acq_rel);
    SEAT_STEP();
    bool held = add_one(s, most);
    SEAT_STEP();
    if (unlikely(!held)) atomic_fetch_sub_explicit(&s->picked, 1, memory_order_acq_rel);
    note_own(h, held ? s : NULL, 0);
    if (unlikely(!held)) end_hold(s, h);
    return held;
}

void seat_release(struct peer_state *s, uint32_t hold)
{
    note_own(hold, s, IN_DOUBT);
    SEAT_STEP();
    atomic_fetch_sub_explicit(&s->inflight, 1, memory_order_acq_rel);
    SEAT_STEP();
    note_own(hold, NULL, 0);
    end_hold(s, hold);
}

void seat_begin_unfinished(struct peer_state *s, uint32_t hold, uint64_t since_ms)
{
    note_own(hold, s, IN_DOUBT);
    SEAT_STEP();
    atomic_fetch_add(&s->begun_ms, since_ms);
    SEAT_STEP();
    atomic_fetch_add(&s->unfinished, 1);
    SEAT_STEP();
    if (hold != NO_HOLD) atomic_store_explicit(&place(hold)->since_ms, since_ms, memory_order_release);
    note_own(hold, s, 0);
}

void seat_end_unfinished(struct peer_state *s, uint32_t hold, uint64_t since_ms)
{
    note_own(hold, s, IN_DOUBT);
    SEAT_STEP();
    end_unfinished(s, since_ms);
    SEAT_STEP();
    if (hold != NO_HOLD) atomic_store_explicit(&place(hold)->since_ms, 0, memory_order_release);
    note_own(hold, s, 0);
}
