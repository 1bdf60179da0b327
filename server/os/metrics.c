#include "os/metrics_worker.h"
#include "os/shm.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { ROWS = 1024 };

const struct metric_row metric_rows[METRIC_COUNT] = {
#define X(number, text, what, says) [METRIC_##number] = { .name = text, .help = says, .kind = METRIC_##what },
    METRICS(X)
#undef X
};

/* Rows lie on cache lines of their own. */
enum { KEPT = 3 };
static const enum metric kept[KEPT] = { METRIC_CONNECTIONS_ACCEPTED, METRIC_CONNECTIONS_HANDLED, METRIC_REQUESTS };
struct metrics_process {
    _Atomic uint32_t pid, worker;          /* worker: its number and 1; 0: no worker */
    _Atomic uint64_t generation, forgotten[KEPT];
    uint64_t         unused[3], v[METRIC_COUNT];
} __attribute__((aligned(64)));
struct root { _Atomic uint64_t ended[METRIC_COUNT], forgotten[METRIC_COUNT]; struct metrics_process rows[ROWS]; };

static uint64_t alone[METRIC_COUNT];
uint64_t *metrics_own = alone;
static struct root *root;
static struct metrics_process *mine;

static bool is_gone(uint32_t pid) { return kill((pid_t) pid, 0) != 0 && errno == ESRCH; }
static uint64_t read_one(const uint64_t *v) { return __atomic_load_n(v, __ATOMIC_RELAXED); }

bool metrics_open(void)
{
    if (root) return true;
    /* A name that begins with a space is no configuration's: the zone stays. */
    struct zone *z = shm_open_zone(T(" metrics"), sizeof(struct root) * 5, sizeof(struct root) << 8 | 2, NULL);
    if (!z) return false;
    struct root **at = shm_object(z, T("root"), sizeof *at, NULL);
    if (at && !*at) *at = shm_alloc(z, sizeof **at + 64);
    if (at && *at) root = (struct root *) align_up((uintptr_t) *at, (uintptr_t) 64);
    if (!root) log_at(log_main, L_EMERG, NULL, 0, "no room for metrics");
    return root != NULL;
}

/* The row of one who is gone: what it counted is kept. */
static void empty(struct metrics_process *r)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (metric_rows[i].kind == METRIC_COUNTER) atomic_fetch_add(&root->ended[i], r->v[i]);
        r->v[i] = 0;
    }
    atomic_store(&r->worker, 0);
    for (unsigned i = 0; i < KEPT; i++) atomic_store(&r->forgotten[i], 0);
}

void metrics_begin(void)
{
    static uint32_t begun;
    uint32_t pid = (uint32_t) getpid();
    if (begun == pid) return;
    for (unsigned i = 0; root && i < ROWS; i++) {
        struct metrics_process *r = &root->rows[(pid + i) % ROWS];
        uint32_t was = atomic_load(&r->pid);
        if ((was && was != pid && !is_gone(was)) || !atomic_compare_exchange_strong(&r->pid, &was, pid)) continue;
        empty(r);
        for (unsigned k = 0; k < METRIC_COUNT; k++) r->v[k] += metrics_own[k];
        metrics_own = r->v;
        mine = r;
        begun = pid;
        return;
    }
}

uint64_t metrics_sum(enum metric m)
{
    if (!root) return metrics_own[m];
    uint64_t sum = atomic_load(&root->ended[m]);
    for (unsigned i = 0; i < ROWS; i++) {
        const struct metrics_process *r = &root->rows[i];
        uint32_t pid = atomic_load(&r->pid);
        uint64_t v = pid ? read_one(&r->v[m]) : 0;
        if (v && (metric_rows[m].kind == METRIC_COUNTER || !is_gone(pid))) sum += v;
    }
    return sum;
}

void metrics_note(enum metric m)
{
    if (root) atomic_fetch_add(&root->ended[m], 1);
    else metrics_add(m, 1);
}

uint64_t metrics_since(enum metric m)
{
    uint64_t sum = metrics_sum(m), before = root ? atomic_load(&root->forgotten[m]) : 0;
    return sum > before ? sum - before : 0;
}

void metrics_forget(enum metric m)
{
    if (root) atomic_store(&root->forgotten[m], metrics_sum(m));
}

/* ---- one worker's ---- */

void metrics_name(uint32_t worker, uint64_t generation)
{
    if (!mine) return;
    atomic_store(&mine->generation, generation);
    atomic_store(&mine->worker, worker + 1);
}

size_t metrics_workers(uint64_t generation, struct metrics_process **v, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < most; i++) v[i] = NULL;
    for (unsigned i = 0; root && i < ROWS; i++) {
        struct metrics_process *r = &root->rows[i];
        uint32_t pid = atomic_load(&r->pid), worker = atomic_load(&r->worker);
        if (!worker || worker > most || atomic_load(&r->generation) != generation || is_gone(pid)) continue;
        v[worker - 1] = r;
        n = max_of(n, (size_t) worker);
    }
    return n;
}

uint32_t metrics_pid_of(const struct metrics_process *p) { return atomic_load(&p->pid); }

uint64_t metrics_of(const struct metrics_process *p, enum metric m)
{
    uint64_t sum = read_one(&p->v[m]), before = 0;
    for (unsigned i = 0; i < KEPT; i++)
        if (kept[i] == m) before = atomic_load(&p->forgotten[i]);
    return sum > before ? sum - before : 0;
}

void metrics_forget_of(struct metrics_process *p)
{
    for (unsigned i = 0; i < KEPT; i++) atomic_store(&p->forgotten[i], read_one(&p->v[kept[i]]));
}
