#include "os/shm_zone.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/*
 * Who holds what: one row a process, in a zone of its own, so that the master can free what a dead child held. The row is written
 * before the lock is taken and cleared after it was freed; the lock's own word tells whether it was really held.
 */
enum { ROWS = 2048, NESTED = 6 };
struct row { _Atomic uint32_t pid; _Atomic(struct shm_lock *) held[NESTED]; };
static struct row *rows, *own_row;
static uint32_t own_pid;

#define DEAD UINT32_MAX       /* the holder died and nobody has mended yet */

static void forget(void) { own_pid = 0; own_row = NULL; }

/* A row whose process is gone may be taken. */
static struct row *claim(uint32_t pid)
{
    for (unsigned i = 0; i < ROWS; i++) {
        struct row *r = &rows[(pid + i) % ROWS];
        uint32_t was = atomic_load(&r->pid);
        if (was != 0 && was != pid && (kill((pid_t) was, 0) == 0 || errno != ESRCH)) continue;
        if (was != 0 && was != pid) shm_release_dead((pid_t) was);
        was = was == pid ? pid : 0;
        if (atomic_compare_exchange_strong(&r->pid, &was, pid)) return r;
    }
    return NULL;
}

static void know_self(void)
{
    static bool hooked;
    if (!hooked) pthread_atfork(NULL, NULL, forget);
    hooked = true;
    own_pid = (uint32_t) getpid();
    if (rows == NULL) {
        int err = errno;
        struct zone *z = shm_open_zone(T(" holders"), SHM_PAGE * 64 + ROWS * sizeof *rows * 4, ROWS * 100 + NESTED, NULL);
        if (z) rows = shm_object(z, T("rows"), ROWS * sizeof *rows, NULL);
        errno = err;
    }
    if (rows) own_row = claim(own_pid);
}

static void remember(struct shm_lock *l)
{
    if (own_row == NULL) return;
    for (unsigned i = 0; i < NESTED; i++) {
        if (atomic_load_explicit(&own_row->held[i], memory_order_relaxed) != NULL) continue;
        atomic_store(&own_row->held[i], l);
        return;
    }
    ASSERT(!"more locks at once than there is room for");
}

static void unremember(struct shm_lock *l)
{
    if (own_row == NULL) return;
    for (unsigned i = 0; i < NESTED; i++)
        if (atomic_load_explicit(&own_row->held[i], memory_order_relaxed) == l) atomic_store(&own_row->held[i], NULL);
}

/* ---- the lock ---- */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool take(struct shm_lock *l, uint32_t from)
{
    return atomic_compare_exchange_strong_explicit(&l->holder, &from, own_pid, memory_order_acquire, memory_order_relaxed);
}

/* One look: 1 taken, 0 taken from a dead holder, -1 held. */
static int look(struct shm_lock *l, bool ask_alive)
{
    uint32_t holder = atomic_load_explicit(&l->holder, memory_order_relaxed);
    if (holder == 0) return take(l, 0) ? 1 : -1;
    if (holder == DEAD) return take(l, DEAD) ? 0 : -1;
    ASSERT(holder != own_pid);
    if (ask_alive && kill((pid_t) holder, 0) != 0 && errno == ESRCH) return take(l, holder) ? 0 : -1;
    return -1;
}

void shm_lock_prepare(void) { if (own_pid == 0) know_self(); }

bool shm_lock(struct shm_lock *l)
{
    enum { SPINS = 100, YIELDS = 50, NAP_US = 50 };
    shm_lock_prepare();
    remember(l);
    for (unsigned turn = 0;; turn++) {
        int got = look(l, turn > SPINS + YIELDS / 2);
        if (got >= 0) return got;
        if (turn < SPINS) relax();
        else if (turn < SPINS + YIELDS) sched_yield();
        else usleep(NAP_US);
    }
}

bool shm_trylock(struct shm_lock *l, bool *whole_out)
{
    shm_lock_prepare();
    remember(l);
    int got = look(l, false);
    if (got < 0) unremember(l);
    else *whole_out = got;
    return got >= 0;
}

void shm_unlock(struct shm_lock *l)
{
    ASSERT(atomic_load_explicit(&l->holder, memory_order_relaxed) == own_pid);
    atomic_store_explicit(&l->holder, 0, memory_order_release);
    unremember(l);
}

unsigned shm_release_dead(pid_t pid)
{
    unsigned freed = 0;
    for (unsigned i = 0; rows && i < ROWS; i++) {
        if (atomic_load(&rows[i].pid) != (uint32_t) pid) continue;
        for (unsigned k = 0; k < NESTED; k++) {
            struct shm_lock *l = atomic_exchange(&rows[i].held[k], NULL);
            uint32_t was = (uint32_t) pid;
            if (l && shm_is_mapped(l) && atomic_compare_exchange_strong(&l->holder, &was, DEAD)) freed++;
        }
        uint32_t was = (uint32_t) pid;
        atomic_compare_exchange_strong(&rows[i].pid, &was, 0);
    }
    return freed;
}
