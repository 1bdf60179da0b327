#include "upstream/seat.h"
#include "upstream/group.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { SEATS = 256, PAGE_HOLDS = 4096, PAGES = 64 };
#define NO_HOLD UINT32_MAX

struct hold { struct peer_state *_Atomic at; _Atomic uint64_t since_ms; };      /* since_ms: 0: its time does not count */
struct page { struct hold v[PAGE_HOLDS]; };
struct seat {
    _Atomic uint32_t pid;          /* 0: free */
    uint32_t         pad;
    _Atomic uint64_t generation;   /* 0: serves none */
    struct page     *pages[PAGES]; /* kept for the next who sits here */
};
struct seats { struct seat v[SEATS]; };

static struct { struct zone *zone; struct seat *seat; uint32_t *free; uint32_t count, cap, next; } own;

static struct seats *seats_of(struct zone *z) { return shm_object(z, T("seats"), sizeof(struct seats), NULL); }

static void end_unfinished(struct peer_state *s, uint64_t since_ms)
{
    atomic_fetch_sub(&s->unfinished, 1);
    atomic_fetch_sub(&s->begun_ms, since_ms);
}

static unsigned give_back(struct seat *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < PAGES && s->pages[i]; i++) {
        for (unsigned k = 0; k < PAGE_HOLDS; k++) {
            struct hold *h = &s->pages[i]->v[k];
            struct peer_state *p = atomic_exchange_explicit(&h->at, NULL, memory_order_relaxed);
            uint64_t since = atomic_exchange_explicit(&h->since_ms, 0, memory_order_relaxed);
            if (!p) continue;
            if (since) end_unfinished(p, since);
            uint32_t was = atomic_load(&p->inflight);
            while (was && !atomic_compare_exchange_weak(&p->inflight, &was, was - 1)) ;
            n++;
        }
    }
    return n;
}

static bool is_dead(uint32_t pid) { return kill((pid_t) pid, 0) < 0 && errno == ESRCH; }

unsigned seat_mend(struct zone *z)
{
    struct seats *all = seats_of(z);
    unsigned n = 0;
    if (!all) return 0;
    uint32_t me = (uint32_t) getpid();
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *s = &all->v[i];
        uint32_t pid = atomic_load(&s->pid);
        /* Whoever gets the dead one's seat mends it; a seat that is being mended is not free. */
        if (!pid || pid == me || !is_dead(pid) || !atomic_compare_exchange_strong(&s->pid, &pid, me)) continue;
        n += give_back(s);
        atomic_store(&s->generation, 0);
        atomic_store(&s->pid, 0);
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
        own.seat = &all->v[i];
        return true;
    }
    return false;
}

void seat_close(void)
{
    if (own.seat) {
        give_back(own.seat);
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

static uint32_t new_hold(void)
{
    if (!own.seat) return NO_HOLD;
    if (own.count) return own.free[--own.count];
    uint32_t h = own.next;
    if (h / PAGE_HOLDS >= PAGES) return NO_HOLD;
    struct page **page = &own.seat->pages[h / PAGE_HOLDS];
    if (!*page && !(*page = shm_zalloc(own.zone, sizeof **page))) return NO_HOLD;
    own.next++;
    return h;
}

static void end_hold(uint32_t h)
{
    if (own.count == own.cap) {
        own.cap = own.cap ? own.cap * 2 : 64;
        own.free = base_realloc(own.free, own.cap * sizeof *own.free);
    }
    own.free[own.count++] = h;
}

static struct hold *place(uint32_t h) { return &own.seat->pages[h / PAGE_HOLDS]->v[h % PAGE_HOLDS]; }

bool seat_hold(struct peer_state *s, uint32_t most, uint32_t *hold_out)
{
    uint32_t was = atomic_fetch_add_explicit(&s->inflight, 1, memory_order_relaxed);
    if (unlikely(most && was >= most)) {
        atomic_fetch_sub_explicit(&s->inflight, 1, memory_order_relaxed);
        return false;
    }
    *hold_out = new_hold();
    if (*hold_out != NO_HOLD) atomic_store_explicit(&place(*hold_out)->at, s, memory_order_relaxed);
    return true;
}

void seat_release(struct peer_state *s, uint32_t hold)
{
    if (hold != NO_HOLD) {
        atomic_store_explicit(&place(hold)->at, NULL, memory_order_relaxed);
        end_hold(hold);
    }
    atomic_fetch_sub_explicit(&s->inflight, 1, memory_order_relaxed);
}

void seat_begin_unfinished(struct peer_state *s, uint32_t hold, uint64_t since_ms)
{
    atomic_fetch_add(&s->begun_ms, since_ms);
    atomic_fetch_add(&s->unfinished, 1);
    if (hold != NO_HOLD) atomic_store_explicit(&place(hold)->since_ms, since_ms, memory_order_relaxed);
}

void seat_end_unfinished(struct peer_state *s, uint32_t hold, uint64_t since_ms)
{
    if (hold != NO_HOLD) atomic_store_explicit(&place(hold)->since_ms, 0, memory_order_relaxed);
    end_unfinished(s, since_ms);
}
