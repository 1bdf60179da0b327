/* limit_req's sums: exact over any time, at any rate. */
#include "modules/limit_req.h"
#include "os/shm_table.h"
#include "t/unit/tap.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { SECOND = 1000, MINUTE = 60000, HOUR = 3600000, DAY = LIMIT_COST };
static uint64_t leak(uint64_t n, uint64_t per) { return n * (LIMIT_COST / per); }

static void passes(uint64_t n, uint64_t per, unsigned burst, uint64_t step_ms, uint64_t for_ms)
{
    struct limit_bucket b = { 0 };
    uint64_t passed = 0;
    int64_t excess;
    for (uint64_t t = 1; t <= for_ms; t += step_ms)
        for (unsigned k = 0; k < 3; k++) passed += limit_bucket_take(&b, leak(n, per), (int64_t) burst * LIMIT_COST, 1000000 + t, &excess);
    uint64_t last = (for_ms - 1) / step_ms * step_ms, want = 1 + burst + n * last / per;
    ok(passed == want, "%" PRIu64 " per %" PRIu64 " ms, burst %u, every %" PRIu64 " ms: %" PRIu64 " of %" PRIu64, n, per, burst, step_ms, passed, want);
}

/* Four processes ask as fast as they can, while the clock is ours. */
static struct { _Atomic uint64_t now, passed[4], seen[4]; } *world;

static void ask(struct shm_table *t, unsigned who, uint64_t n, int64_t burst)
{
    int64_t excess;
    for (;;) {
        uint64_t now = atomic_load(&world->now);
        shm_table_enter(t);
        struct siphash key = shm_table_key(t, T("the same"));
        struct limit_bucket *b = shm_table_find(t, key);
        if (!b) b = shm_table_add(t, key);
        bool taken = limit_bucket_take(b, n, burst, now, &excess);
        shm_table_leave(t);
        if (taken) atomic_fetch_add(&world->passed[who], 1);
        else atomic_store(&world->seen[who], now);       /* at this time nothing more goes */
    }
}

static void together(uint64_t n, uint64_t per, unsigned burst, uint64_t for_ms)
{
    struct shm_table *t = shm_table_open(T("together"), 32768, sizeof(struct limit_bucket), n * per, NULL);
    pid_t pids[4];
    memset(world, 0, sizeof *world);
    atomic_store(&world->now, 1000);
    for (unsigned i = 0; i < 4; i++)
        if ((pids[i] = fork()) == 0) ask(t, i, leak(n, per), (int64_t) burst * LIMIT_COST);
    for (uint64_t now = 1000; now <= 1000 + for_ms; now += 7) {
        atomic_store(&world->now, now);
        for (unsigned i = 0; i < 4; i++)
            while (atomic_load(&world->seen[i]) != now) usleep(10);
    }
    uint64_t passed = 0, want = 1 + burst + n * (for_ms / 7 * 7) / per;
    for (unsigned i = 0; i < 4; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        shm_release_dead(pids[i]);
        passed += atomic_load(&world->passed[i]);
    }
    ok(passed == want, "four processes, %" PRIu64 " per %" PRIu64 " ms, burst %u: %" PRIu64 " of %" PRIu64, n, per, burst, passed, want);
}

int main(void)
{
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shm_begin();
    together(100, SECOND, 20, 1500);
    together(7, MINUTE, 3, 3000);
    passes(1, SECOND, 0, 1, 60000);
    passes(7, SECOND, 5, 1, 60000);
    passes(333, SECOND, 20, 1, 30000);
    passes(1000, MINUTE, 0, 3, 600000);
    passes(7, MINUTE, 3, 1, 600000);
    passes(1, HOUR, 0, 100, 10 * HOUR);
    passes(7, HOUR, 2, 100, 10 * HOUR);
    passes(1, DAY, 1, 10000, 3ull * DAY);
    passes(11, DAY, 0, 10000, 3ull * DAY);

    struct limit_bucket b = { 0 };
    int64_t excess;
    const uint64_t one = leak(1, SECOND);
    ok(limit_bucket_take(&b, one, 0, 5000, &excess) && excess == 0, "the first is free");
    ok(!limit_bucket_take(&b, one, 0, 5000, &excess) && excess == LIMIT_COST, "a second at once is one too many");
    ok(!limit_bucket_take(&b, one, 0, 5999, &excess) && excess == LIMIT_COST / 1000, "a millisecond too early");
    ok(limit_bucket_take(&b, one, 0, 6000, &excess) && excess == 0, "in time");
    limit_bucket_return(&b);
    ok(limit_bucket_take(&b, one, 0, 6000, &excess) && excess == 0, "given back, it may be taken again");
    ok(!limit_bucket_take(&b, one, 0, 6000, &excess), "but once");
    struct limit_bucket fresh = { 0 };
    limit_bucket_take(&fresh, one, 0, 5000, &excess);
    limit_bucket_return(&fresh);
    ok(limit_bucket_take(&fresh, one, 0, 5000, &excess) && !limit_bucket_take(&fresh, one, 0, 5000, &excess), "the first, given back, too");
    ok(!limit_bucket_take(&b, one, 0, 5990, &excess) && b.last_ms == 6000, "a clock that is behind leaks nothing");
    ok(!limit_bucket_take(&b, one, 0, 100, &excess), "nor one that is far behind");
    b.last_ms = 100000000;
    ok(limit_bucket_take(&b, one, 5LL * LIMIT_COST, 7000, &excess) && b.last_ms == 7000, "a bucket from the future finds back");
    is_int(limit_bucket_wait(LIMIT_COST, 0, one), 1000, "how long it takes");
    is_int(limit_bucket_wait(LIMIT_COST + 1, 0, one), 1001, "rounded up");
    is_int(limit_bucket_wait(3, 5, one), 0, "no time at all");
    b = (struct limit_bucket) { 1, (int64_t) 1 << 62 };
    ok(limit_bucket_take(&b, leak(UINT32_MAX, SECOND), 0, UINT64_MAX / 2, &excess) && excess == 0, "no sum is too large");
    return done();
}
