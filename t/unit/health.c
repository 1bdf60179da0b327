/* health: verdicts, thresholds and turns, with a probe of the test's own and the tcp one. */
#include "upstream/health.h"
#include "upstream/state.h"
#include "t/unit/tap.h"
#include <arpa/inet.h>
#include <unistd.h>

static struct log quiet = { NULL, L_STDERR };

enum { PEERS = 600 };
static struct peer       peers[PEERS];
static struct peer_state states[PEERS];
static struct group      group = { .magic = GROUP_MAGIC, .name = TEXT_INIT("g"), .set = &group.base, .base = { .magic = PEER_SET_MAGIC, .group = &group, .peers = peers } };
static struct group_ref  ref = { .group = &group };

static void make_group(uint32_t n)
{
    memset(states, 0, sizeof states);
    group.base.count = n;
    for (uint32_t i = 0; i < n; i++) peers[i] = (struct peer) { .group = &group, .index = i, .id = i, .state = &states[i], .name = T("p") };
}

#define until(check) ({ unsigned left_ = 5000; while (!(check) && left_--) loop_turn(1); (check); })

/* ---- a probe that answers when it is told to ---- */

static struct health_target *asked[PEERS];
static unsigned asked_count, most, ended;

static struct group *whole(struct health_check *h)
{
    (void) h;
    return &group;
}

static void start(struct health_target *t)
{
    asked[asked_count++] = t;
    most = max_of(most, asked_count);
}

static void stop(struct health_target *t)
{
    for (unsigned i = 0; i < asked_count; i++)
        if (asked[i] == t) asked[i] = asked[--asked_count];
}

static void end(struct health_target *t)
{
    (void) t;
    ended++;
}

static const struct health_probe by_hand = { .name = "test", .group = whole, .start = start, .stop = stop, .end = end };

static void answer(bool passed)
{
    until(asked_count > 0);
    health_told(asked[--asked_count], passed, passed ? "" : "no");
}

static void test_thresholds(void)
{
    struct health_check h = { HEALTH_DEFAULTS, .probe = &by_hand };
    h.interval_ms = 5;
    h.fails = 2;
    h.passes = 3;
    make_group(1);
    health_start(&h);
    answer(false);
    is_int(states[0].marks, 0, "one failure of two");
    answer(true);
    answer(false);
    is_int(states[0].marks, 0, "not two in a row");
    answer(false);
    is_int(states[0].marks, PEER_UNHEALTHY, "two in a row");
    answer(true);
    answer(true);
    answer(false);
    answer(true);
    answer(true);
    is_int(states[0].marks, PEER_UNHEALTHY, "not three in a row");
    uint64_t before = clock_now.ms;
    answer(true);
    is_int(states[0].marks, 0, "three in a row");
    is_int(states[0].counts.unhealthy, 1, "it was unhealthy once");
    is_int(states[0].counts.checks, 10, "checks were counted");
    is_int(states[0].counts.checks_failed, 4, "and the failed ones");
    until(asked_count > 0);
    ok(clock_now.ms - before >= 5, "never sooner than the interval");
    health_stop();
    is_int(asked_count, 0, "stopped: nothing is under way");
}

static void test_two_checks(void)
{
    struct health_check second = { HEALTH_DEFAULTS, .probe = &by_hand }, first = { HEALTH_DEFAULTS, .probe = &by_hand, .next = &second };
    make_group(1);
    first.interval_ms = second.interval_ms = 5;
    health_start(&first);
    until(asked_count == 2);
    health_told(asked[0], false, "no");
    is_int(states[0].marks, PEER_UNHEALTHY, "one of two checks fails");
    health_told(asked[1], true, "");
    is_int(states[0].marks, PEER_UNHEALTHY, "it is enough, whatever the other one says");
    struct health_target *t = asked[0];
    asked_count = 0;
    until(asked_count == 2);
    health_told(t, true, "");
    is_int(states[0].marks, 0, "both pass");
    stop(t);
    health_stop();
}

static void test_known(void)
{
    struct health_check h = { HEALTH_DEFAULTS, .probe = &by_hand, .mandatory = true };
    make_group(2);
    atomic_store(&states[0].marks, PEER_UNHEALTHY);
    atomic_store(&states[1].marks, PEER_CHECKING);
    health_start(&h);
    ok(states[0].marks == PEER_UNHEALTHY && states[1].marks == PEER_CHECKING, "what was known is known");
    until(asked_count == 2);
    while (asked_count) answer(true);
    ok(!states[0].marks && !states[1].marks, "both are well");
    health_stop();
}

static void test_turns(void)
{
    struct health_check h = { HEALTH_DEFAULTS, .probe = &by_hand };
    make_group(PEERS);
    h.interval_ms = 1;
    most = ended = 0;
    health_start(&h);
    until(asked_count == 256);
    for (int i = 0; i < 50; i++) loop_turn(0);
    is_int(most, 256, "no more at once, however many are due");
    for (unsigned i = 0; i < 3000; i++) answer(true);
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < PEERS; i++) least = min_of(least, atomic_load(&states[i].counts.checks));
    is_int(most, 256, "nor later");
    ok(least > 0, "everyone has its turn");
    health_stop();
    is_int(ended, PEERS, "all targets ended");
}

static void test_tcp(void)
{
    struct health_tcp conf = { &ref, 1000 };
    struct health_check h = { HEALTH_DEFAULTS, .probe = &health_probe_tcp, .data = &conf };
    make_group(2);
    h.interval_ms = 20;
    int fds[2];
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof sa;
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(fds[i], (struct sockaddr *) &sa, n) != 0 || getsockname(fds[i], (struct sockaddr *) &sa, &n) != 0) abort();
        peers[i].addr.in = sa;
    }
    if (listen(fds[0], 8) != 0) abort();
    health_start(&h);
    ok(until(states[1].marks == PEER_UNHEALTHY), "nobody listens");
    ok(until(states[0].counts.checks > 0), "somebody does");
    is_int(states[0].marks, 0, "and is well");
    if (listen(fds[1], 8) != 0) abort();
    ok(until(states[1].marks == 0), "now the other one too");
    health_stop();
    loop_turn(0);
    is_int(conn_figures.open, 0, "no connection is left");
    for (int i = 0; i < 2; i++) close(fds[i]);
}

int main(void)
{
    log_main = &quiet;
    if (!loop_open(1024)) return 1;
    test_thresholds();
    test_two_checks();
    test_known();
    test_turns();
    test_tcp();
    loop_turn(0);
    loop_close();
    return done();
}
