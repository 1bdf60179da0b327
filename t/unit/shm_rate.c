/* shm_rate: what may be sent until a moment is exact, in one process and in four; turns come in order; a holder killed. */
#include "os/shm_rate.h"
#include "t/unit/tap.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct shm_table *table_of(uint64_t signature) { return shm_table_open(T("rate"), 32768, sizeof(struct shm_bucket), signature, NULL); }

static void test_words(void)
{
    struct shm_table *t = table_of(1);
    const struct shm_rate r = { .rate = 1000, .burst = 500 };
    struct siphash a = shm_table_key(t, T("a")), b = shm_table_key(t, T("b"));
    is_int(shm_rate_reserve(t, &r, a, 500, 5000, NULL), 0, "the burst goes at once");
    is_int(shm_rate_reserve(t, &r, a, 1, 5000, NULL), 1, "a byte more waits a millisecond");
    is_int(shm_rate_reserve(t, &r, a, 99, 5000, NULL), 100, "turns come one after the other");
    is_int(shm_rate_reserve(t, &r, b, 500, 5000, NULL), 0, "another key does not wait");
    is_int(shm_rate_reserve(t, &r, a, 100, 5100, NULL), 100, "time has passed");
    shm_rate_return(t, a, 100);
    is_int(shm_rate_reserve(t, &r, a, 100, 5100, NULL), 100, "given back, they are another's");
    is_int(shm_rate_reserve(t, &r, a, 10, 5090, NULL), 110, "a clock that is behind");
    is_int(shm_rate_reserve(t, &r, a, 500, 9999999, NULL), 0, "after a pause the burst, and no more");
    is_int(shm_rate_reserve(t, &r, a, 1, 9999999, NULL), 1, "than that");
    const struct shm_rate slow = { .rate = 1, .burst = 0 }, fast = { .rate = SHM_RATE_MOST, .burst = SHM_RATE_MOST };
    is_int(shm_rate_reserve(t, &slow, shm_table_key(t, T("slow")), 3, 5000, NULL), 3000, "a byte a second");
    bool full = false;
    for (unsigned i = 0; i < 3; i++) full = shm_rate_reserve(t, &fast, shm_table_key(t, T("fast")), SHM_RATE_MOST, 5000, NULL) == i * 1000;
    ok(full, "as fast as can be said");
    ok(shm_rate_turn(&slow) == 1024 && shm_rate_turn(&fast) == 262144 && shm_rate_turn(&(struct shm_rate) { .rate = 100000 }) == 5000, "turns");
}

static void test_full(void)
{
    struct shm_table *t = table_of(2);
    const struct shm_rate r = { .rate = 1000, .burst = 0 };
    bool forgot = false;
    for (uint32_t i = 0; i < shm_table_room(t); i++) shm_rate_reserve(t, &r, shm_table_key(t, text_of((char *) &i, sizeof i)), 100, 5000, &forgot);
    ok(!forgot, "room for all");
    is_int(shm_rate_reserve(t, &r, shm_table_key(t, T("one more")), 100, 5100, &forgot), 100, "full: one more has the place of the oldest");
    ok(!forgot, "who had nothing to wait for");
    shm_rate_reserve(t, &r, shm_table_key(t, T("another")), 100, 5050, &forgot);
    ok(forgot, "or who had, which is told");
}

/* Four processes ask as fast as they can, while the clock is ours. due: bytes whose wait ends at that time. */
enum { SPAN = 4000, TURN = 97 };
static struct { _Atomic uint64_t now, seen[4]; _Atomic uint64_t due[SPAN * 2]; } *world;

static void ask(struct shm_table *t, const struct shm_rate *r, unsigned who)
{
    for (uint64_t next = 0;;) {
        uint64_t now = atomic_load(&world->now);
        while (next <= now) {
            next = now + shm_rate_reserve(t, r, shm_table_key(t, T("the same")), TURN, now, NULL);
            if (next < SPAN * 2) atomic_fetch_add(&world->due[next], TURN);
        }
        atomic_store(&world->seen[who], now);
    }
}

static void together(uint64_t rate, uint64_t burst)
{
    const struct shm_rate r = { rate, burst };
    struct shm_table *t = table_of(rate << 20 | burst);
    pid_t pids[4];
    memset(world, 0, sizeof *world);
    atomic_store(&world->now, 1000);
    for (unsigned i = 0; i < 4; i++)
        if ((pids[i] = fork()) == 0) ask(t, &r, i);
    for (uint64_t now = 1000; now <= SPAN; now += 3) {
        atomic_store(&world->now, now);
        for (unsigned i = 0; i < 4; i++)
            while (atomic_load(&world->seen[i]) != now) usleep(10);
    }
    for (unsigned i = 0; i < 4; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        shm_release_dead(pids[i]);
    }
    uint64_t sent = 0;
    unsigned above = 0, below = 0;
    for (uint64_t now = 1000; now <= SPAN; now++) {
        sent += world->due[now];
        uint64_t most = burst + rate * (now - 1000) / 1000;
        above += sent > most;
        below += burst && sent + TURN + rate / 1000 < most;       /* a turn begins when the whole of it may go; without a burst what is late is lost */
    }
    ok(!above && !below, "four processes, %" PRIu64 " bytes a second, burst %" PRIu64 ": %" PRIu64 " sent, %u times above, %u below", rate, burst, sent, above, below);
}

static void test_killed(void)
{
    struct shm_table *t = table_of(3);
    const struct shm_rate r = { .rate = 1000000, .burst = 1000 };
    for (unsigned round = 0; round < 50; round++) {
        pid_t pid = fork();
        for (unsigned i = 0; pid == 0; i++) {
            struct siphash key = shm_table_key(t, text_of((char *) &(uint32_t) { i % 3000 }, 4));
            shm_rate_reserve(t, &r, key, 10, 5000, NULL);
            if (i % 2) shm_rate_return(t, key, 10);
        }
        usleep(500 + round % 11 * 70);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        shm_release_dead(pid);
    }
    is_int(shm_rate_reserve(t, &r, shm_table_key(t, T("new")), 1000, 5000, NULL), 0, "it goes on after 50 deaths");
}

int main(void)
{
    static struct log silent;
    log_main = &silent;
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shm_begin();
    test_words();
    test_full();
    together(100000, 0);
    together(100000, 5000);
    together(7001, 300);
    test_killed();
    return done();
}
