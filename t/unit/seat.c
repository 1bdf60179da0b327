/* Seats: whatever a process was about when it died, afterwards the counts are those of the living; alone, and among others that are busy. */
static void step(void);
#define SEAT_STEP() step()
#include "upstream/seat.c"
#include "base/clock.h"
#include "t/unit/tap.h"
#include <sys/mman.h>
#include <sys/wait.h>

static unsigned steps, dies_at;      /* 0: never */

static void step(void)
{
    if (++steps == dies_at) kill(getpid(), SIGKILL);
}

static struct zone *zone;
static struct peer_state *peers, *private_peer;

static void counts_are(unsigned held, unsigned unfinished, uint64_t begun, const char *what, unsigned n)
{
    const struct peer_state *p = &peers[0];
    bool well = ok(atomic_load(&p->inflight) == held && atomic_load(&p->unfinished) == unfinished && atomic_load(&p->begun_ms) == begun, "%s, dead at step %u", what, n);
    if (!well) diag("inflight %u, unfinished %u, begun %" PRIu64, atomic_load(&p->inflight), atomic_load(&p->unfinished), atomic_load(&p->begun_ms));
}

/* A life with each of the things that a seat is for; step n is its last. */
static void live(uint64_t since)
{
    uint32_t hold[3], more;
    for (unsigned i = 0; i < 3; i++) {
        seat_hold(&peers[0], i == 2 ? 100 : 0, &hold[i]);
        seat_begin_unfinished(&peers[0], hold[i], since + i);
    }
    seat_hold(&peers[1], 0, &more);
    seat_end_unfinished(&peers[0], hold[1], since + 1);
    seat_release(&peers[0], hold[1]);
    seat_release(&peers[1], more);
    seat_hold(&peers[0], 0, &hold[1]);
    seat_release(&peers[0], hold[1]);
}

static pid_t born(unsigned n, uint64_t since)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid) return pid;
    steps = 0;
    dies_at = n;
    if (!seat_open(zone)) _exit(2);
    live(since);
    seat_close();
    _exit(0);
}

/* Dead of itself, or by the injected fault. */
static bool was_killed(pid_t pid)
{
    int status = 0;
    waitpid(pid, &status, 0);
    ok(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "it ended as it should");
    return WIFSIGNALED(status);
}

static void test_every_step(void)
{
    uint32_t mine[2];
    seat_open(zone);
    for (unsigned i = 0; i < 2; i++) seat_hold(&peers[0], 0, &mine[i]);
    seat_begin_unfinished(&peers[0], mine[0], 7000);
    unsigned n = 1;
    while (was_killed(born(n, 1000))) {
        seat_mend(zone);
        counts_are(2, 1, 7000, "one who died", n++);
        is_int(atomic_load(&peers[1].inflight), 0, "the other peer");
    }
    ok(n > 30, "there were %u steps", n);
    counts_are(2, 1, 7000, "one who lived", 0);

    /* The one who mends dies too; then one more. */
    for (unsigned first = 4; first < n; first += 5) {
        for (unsigned second = 1; second < 12; second += 3) {
            was_killed(born(first, 1000));
            fflush(stdout);
            pid_t pid = fork();
            if (!pid) {
                forget();
                steps = 0;
                dies_at = second;
                seat_mend(zone);
                _exit(0);
            }
            was_killed(pid);
            seat_mend(zone);
            counts_are(2, 1, 7000, "the one who died, and the one who mended", first * 100 + second);
        }
    }
    /* Several at once, in doubt about the same peer. */
    for (unsigned first = 1; first < n - 3; first++) {
        pid_t pid[3] = { born(first, 1000), born(first + 1, 1000), born(first + 2, 1000) };
        for (unsigned i = 0; i < 3; i++) was_killed(pid[i]);
        seat_mend(zone);
        counts_are(2, 1, 7000, "three who died", first);
    }
    seat_end_unfinished(&peers[0], mine[0], 7000);
    for (unsigned i = 0; i < 2; i++) seat_release(&peers[0], mine[i]);
    counts_are(0, 0, 0, "all is given back", 0);
}

/* Others are busy with the same peer meanwhile, and never more than most hold it. */
static void test_among_others(void)
{
    enum { BUSY = 2, MOST = 3 };
    _Atomic uint32_t *over = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *stop = over + 1, *turns = over + 2;
    pid_t busy[BUSY];
    seat_close();
    for (unsigned i = 0; i < BUSY; i++) {
        fflush(stdout);
        if ((busy[i] = fork())) continue;
        dies_at = 0;
        seat_open(zone);
        while (!atomic_load(stop)) {
            uint32_t h;
            if (!seat_hold(&peers[0], MOST, &h)) continue;
            if (atomic_load(&peers[0].inflight) > MOST) atomic_fetch_add(over, 1);
            seat_begin_unfinished(&peers[0], h, 500 + i);
            seat_end_unfinished(&peers[0], h, 500 + i);
            seat_release(&peers[0], h);
            atomic_fetch_add(turns, 1);
            if (atomic_load(turns) % 64 == 0) usleep(50);
        }
        seat_close();
        _exit(0);
    }
    unsigned rest = 0;
    for (unsigned round = 0; round < 60; round++) {
        fflush(stdout);
        pid_t pid = fork();
        if (!pid) {
            uint32_t h;
            steps = 0;
            dies_at = 1 + round % 9;
            seat_open(zone);
            for (;;) {
                if (!seat_hold(&peers[0], MOST, &h)) continue;
                seat_begin_unfinished(&peers[0], h, 900);
                seat_end_unfinished(&peers[0], h, 900);
                seat_release(&peers[0], h);
            }
        }
        waitpid(pid, NULL, 0);
        seat_mend(zone);
    }
    atomic_store(stop, 1);
    for (unsigned i = 0; i < BUSY; i++) waitpid(busy[i], NULL, 0);
    rest = seat_mend(zone);
    is_int(atomic_load(over), 0, "never more than most");
    ok(atomic_load(turns) > 0, "others were busy: %u turns, %u doubts were left to the end", atomic_load(turns), rest);
    counts_are(0, 0, 0, "after 60 deaths among others nothing is left", 0);
}

/* What is one process's own has no place in what all see: another has something else at that address. */
static void test_private(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        uint32_t h;
        seat_open(zone);
        if (!seat_hold(private_peer, 2, &h)) _exit(1);
        seat_begin_unfinished(private_peer, h, 5);
        kill(getpid(), SIGKILL);
    }
    atomic_store(&private_peer->inflight, 40);
    atomic_store(&private_peer->unfinished, 41);
    waitpid(pid, NULL, 0);
    is_int(seat_mend(zone), 0, "nothing that is ours to give back");
    ok(atomic_load(&private_peer->inflight) == 40 && atomic_load(&private_peer->unfinished) == 41, "what stands at its address here is not touched");
    uint32_t h;
    atomic_store(&private_peer->inflight, 0);
    seat_open(zone);
    ok(seat_hold(private_peer, 1, &h) && !seat_hold(private_peer, 1, &(uint32_t) { 0 }), "it is counted all the same");
    seat_release(private_peer, h);
    is_int(atomic_load(&private_peer->inflight), 0, "and given back");
}

int main(void)
{
    static struct peer_state here;
    private_peer = &here;
    clock_real();
    zone = shm_open_zone(T("upstreams"), 32 << 20, 1, NULL);
    peers = shm_zalloc(zone, 2 * sizeof *peers);
    ok(zone && peers, "a zone");
    test_every_step();
    test_among_others();
    test_private();
    return done();
}
