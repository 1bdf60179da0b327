/* The least loaded of many peers: the tournament (upstream/loads.h) takes whom looking at all of them would, exactly, over processes,
 * over changes of the peers, and when a process dies in the middle of it. */
#include "base/clock.h"
#include "eval/template.h"
#include "t/unit/config_test.h"
#include "upstream/group_peer.h"
#include "upstream/loads.h"
#include "upstream/seat.h"
#include "upstream/state.h"
#include <signal.h>
#include <sys/wait.h>

struct module *module_list[] = { &eval_module, &upstream_groups_module, NULL };

enum { PEERS = 100 };
static struct log quiet;
static struct groups *sets[EVAL_KINDS];
static uint64_t generation;

/* weight_of, max_conns_of: of server i; NULL: 1, and no limit. */
static struct group *make(const char *name, unsigned peers, enum balance_time timed, uint32_t (*weight_of)(unsigned i), uint32_t max_conns)
{
    struct conf *cf = read_conf("");
    conf_result why = NULL;
    sets[EVAL_HTTP] = groups_of(cf, EVAL_HTTP);
    struct group *g = group_define(cf, sets[EVAL_HTTP], text_c(name), &why);
    for (unsigned i = 0; i < peers; i++) {
        struct group_server s = { .address = pool_printf(pool, "127.0.0.1:%u", 1000 + i), GROUP_SERVER_DEFAULTS };
        if (weight_of) s.weight = weight_of(i);
        s.max_conns = max_conns;
        ok(!group_add_server(cf, g, &s), "server %u", i);
    }
    balance_least_set(cf, g, timed, false);
    ok(conf_finish(cf), "finished");
    return g;
}

static struct group *make_private(enum balance_time timed, uint32_t (*weight_of)(unsigned i), uint32_t max_conns)
{
    struct group *g = make("g", PEERS, timed, weight_of, max_conns);
    state_private(g, pool);
    return g;
}

static struct group *serve(const char *name, uint32_t (*weight_of)(unsigned i), uint32_t max_conns)
{
    struct group *g = make(name, PEERS, BALANCE_UNTIMED, weight_of, max_conns);
    generation = state_open(sets, pool);
    ok(generation != 0, "opened");
    state_worker_start(sets, generation);
    return g;
}

static uint32_t by_three(unsigned i) { return 1 + i % 3; }

static struct peer *hold_in(struct group *g, struct pick *p)
{
    pick_open(p, g, pool, NULL);
    return pick_next(p);
}

static bool hold(struct group *g)
{
    struct pick p;
    return hold_in(g, &p) != NULL;
}

static struct peer *once(struct group *g, enum peer_verdict how)
{
    struct pick p;
    struct peer *peer = hold_in(g, &p);
    pick_done(&p, how, &quiet, NULL);
    return peer;
}

static uint32_t load(const struct group *g, unsigned i) { return atomic_load(&g->set->peers[i].state->inflight); }

/* How many peers have not `each` for each of their weight. */
static unsigned uneven(const struct group *g, unsigned each)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < g->set->count; i++) wrong += load(g, i) != each * g->set->peers[i].weight;
    return wrong;
}

/* ---- */

static void test_exact(void)
{
    struct group *g = make_private(BALANCE_UNTIMED, NULL, 0);
    for (unsigned i = 0; i < PEERS; i++) hold(g);
    is_int(uneven(g, 1), 0, "one each");
    g = make_private(BALANCE_UNTIMED, by_three, 0);
    unsigned sum = 0;
    for (unsigned i = 0; i < PEERS; i++) sum += by_three(i);
    for (unsigned i = 0; i < 3 * sum; i++) hold(g);
    is_int(uneven(g, 3), 0, "by weight, exactly");
}

/* The tournament against a look at all: whoever is taken, nobody has less for its weight. */
static void test_against_all(void)
{
    enum { HANDS = 500 };
    static struct pick p[HANDS];
    static struct pool *own[HANDS];
    struct group *g = make_private(BALANCE_UNTIMED, by_three, 0);
    unsigned wrong = 0, seed = 1;
    for (unsigned n = 0; n < 20000; n++) {
        seed = seed * 1103515245 + 12345;
        unsigned i = seed / 65536 % HANDS;
        if (own[i]) pick_done(&p[i], PEER_WELL, &quiet, NULL);
        pool_close(&own[i]);
        own[i] = pool_open(0);
        uint64_t least = UINT64_MAX;
        for (unsigned k = 0; k < PEERS; k++) least = min_of(least, (uint64_t) load(g, k) * 6 / g->set->peers[k].weight);
        pick_open(&p[i], g, own[i], NULL);
        const struct peer *peer = pick_next(&p[i]);
        wrong += !peer || (uint64_t) (load(g, peer->index) - 1) * 6 / peer->weight != least;
    }
    is_int(wrong, 0, "20000 that come and go: always the one with the least");
    for (unsigned i = 0; i < HANDS; i++) {
        if (own[i]) pick_done(&p[i], PEER_WELL, &quiet, NULL);
        pool_close(&own[i]);
    }
    is_int(uneven(g, 0), 0, "none is held in the end");
}

static void test_turns(void)
{
    struct group *g = make_private(BALANCE_UNTIMED, NULL, 0);
    unsigned seen[PEERS] = { 0 }, wrong = 0;
    for (unsigned i = 0; i < 3 * PEERS; i++) seen[once(g, PEER_WELL)->index]++;
    for (unsigned i = 0; i < PEERS; i++) wrong += seen[i] != 3;
    is_int(wrong, 0, "equal ones take turns");
    g = make_private(BALANCE_UNTIMED, by_three, 0);
    unsigned heavy[PEERS] = { 0 }, sum = 0;
    for (unsigned i = 0; i < PEERS; i++) sum += by_three(i);
    for (unsigned i = 0; i < 10 * sum; i++) heavy[once(g, PEER_WELL)->index]++;
    for (unsigned i = 0; i < PEERS; i++) wrong += heavy[i] + 2 < 10 * by_three(i) || heavy[i] > 10 * by_three(i) + 2;
    is_int(wrong, 0, "by weight");
}

static void test_rules(void)
{
    struct group *g = make_private(BALANCE_UNTIMED, NULL, 2);
    unsigned held = 0, wrong = 0;
    for (unsigned i = 0; i < 3 * PEERS; i++) held += hold(g);
    is_int(held, 2 * PEERS, "max_conns: all have two");
    struct pick p;
    ok(!hold_in(g, &p) && p.busy, "the next one is told that they are full");
    g = make_private(BALANCE_UNTIMED, NULL, 0);
    unsigned tried = 0, twice = 0;
    bool seen[PEERS] = { false };
    pick_open(&p, g, pool, NULL);
    for (struct peer *peer; (peer = pick_next(&p)) != NULL; tried++) {
        twice += seen[peer->index];
        seen[peer->index] = true;
        pick_done(&p, PEER_PASSED, &quiet, NULL);
    }
    is_int(tried, PEERS, "all are tried");
    is_int(twice, 0, "nobody twice");
    const struct peer *bad = once(g, PEER_FAILED);
    for (unsigned i = 0; i < 2 * PEERS; i++) wrong += once(g, PEER_WELL) == bad;
    is_int(wrong, 0, "one that failed is left out");
    for (unsigned i = 0; i < PEERS; i++) if (i % 10) peer_mark(&g->set->peers[i], PEER_UNHEALTHY, 0, "test");
    for (unsigned i = 0; i < 50; i++) wrong += once(g, PEER_WELL)->index % 10 != 0;
    is_int(wrong, 0, "nine of ten are unhealthy: none of them is asked");
    for (unsigned i = 0; i < PEERS; i++) peer_mark(&g->set->peers[i], PEER_UNHEALTHY, 0, "test");
    ok(!hold_in(g, &p) && !p.busy, "nobody is left");
    peer_mark(&g->set->peers[77], 0, PEER_UNHEALTHY, "test");
    ok(once(g, PEER_WELL) == &g->set->peers[77], "one comes back: it is found at once");
}

/* What is changed behind its back is seen within a second's picks. */
static void test_renewal(void)
{
    struct group *g = make_private(BALANCE_UNTIMED, NULL, 0);
    atomic_store(&g->set->peers[5].state->inflight, 50);
    for (unsigned i = 0; i < PEERS; i++) hold(g);
    is_int(load(g, 5), 50, "it is seen to be loaded");
    atomic_store(&g->set->peers[5].state->inflight, 0);
    for (unsigned i = 0; i < 20; i++) {
        clock_now.ms += 100;
        hold(g);
    }
    is_int(load(g, 5), 1, "that it has nothing left is seen within a second");
}

static void test_time(void)
{
    struct group *g = make_private(BALANCE_LAST_BYTE, NULL, 0);
    unsigned wrong = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        peer_count_answer(g->set->peers[i].state, &(struct peer_answer) { .status = 200, .header_ms = 1, .response_ms = i == 31 || i == 62 ? 10 : 1000 });
        atomic_store(&g->set->peers[i].state->counts.selected_ms, clock_now.wall_ms);
    }
    for (unsigned i = 0; i < 100; i++) {
        const struct peer *peer = once(g, PEER_WELL);
        wrong += peer->index != 31 && peer->index != 62;
    }
    is_int(wrong, 0, "the two quick ones are asked");
    for (unsigned i = 0; i < 40; i++) hold(g);
    ok(load(g, 31) == 20 && load(g, 62) == 20, "both alike: %u %u", load(g, 31), load(g, 62));
}

/* ---- processes ---- */

static void child(struct group *g, unsigned most, int ready, int go, int end)
{
    static struct pick p[64];
    char c = 0;
    state_worker_start(sets, generation);
    for (unsigned i = 0; i < 3000; i++) {
        struct pick *q = &p[i * 7 % 64];
        if (q->peer) pick_done(q, PEER_WELL, &quiet, NULL);
        hold_in(g, q);
    }
    for (unsigned i = 0; i < 64; i++) pick_done(&p[i], PEER_WELL, &quiet, NULL);
    if (write(ready, &c, 1) != 1 || read(go, &c, 1) != 1) _exit(1);
    for (unsigned n = 0; n < most; n++) hold(g);
    if (write(ready, &c, 1) != 1 || read(end, &c, 1) != 1) _exit(1);
    seat_close();
    _exit(0);
}

static void wait_for(int fd, unsigned n)
{
    char c;
    while (n && read(fd, &c, 1) == 1) n--;
    is_int(n, 0, "all have come so far");
}

static void test_processes(void)
{
    struct group *g = serve("four", by_three, 0);
    unsigned sum = 0;
    for (unsigned i = 0; i < PEERS; i++) sum += by_three(i);
    int ready[2], go[2], end[2];
    ok(!pipe(ready) && !pipe(go) && !pipe(end), "pipes");
    pid_t pids[4];
    for (unsigned i = 0; i < 4; i++) {
        fflush(stdout);
        pids[i] = fork();
        if (!pids[i]) child(g, sum, ready[1], go[0], end[0]);
    }
    wait_for(ready[0], 4);
    ok(write(go[1], "1234", 4) == 4, "go on");
    wait_for(ready[0], 4);
    is_int(uneven(g, 4), 0, "four processes, each as many as there are weights: four for each weight, exactly");
    ok(write(end[1], "1234", 4) == 4, "end");
    for (unsigned i = 0; i < 4; i++) waitpid(pids[i], NULL, 0);
    is_int(uneven(g, 0), 0, "nothing is held after them");
}

static uint32_t least_load(const struct group *g)
{
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < g->set->count; i++) least = min_of(least, load(g, i));
    return least;
}

static void restless(struct group *g)
{
    struct pool *request;
    state_worker_start(sets, generation);
    for (;;) {
        struct pick p;
        request = pool_open(0);
        pick_open(&p, g, request, NULL);
        pick_next(&p);
        pick_done(&p, PEER_WELL, &quiet, NULL);
        pool_close(&request);
    }
}

/* Killed wherever it is: the next ones find all in order. */
static void test_killed(void)
{
    struct group *g = serve("killed", NULL, 0);
    unsigned wrong = 0;
    for (unsigned n = 0; n < 40; n++) {
        fflush(stdout);
        pid_t pid = fork();
        if (!pid) restless(g);
        usleep(1000 + n * 97);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        seat_mend(state_zone());
        clock_now.ms += 1000;
        for (unsigned i = 0; i < 2; i++) once(g, PEER_WELL);       /* what it held is seen: 64 a pick */
        static struct pick p[2 * PEERS];
        struct pool *hands = pool_open(0);
        for (unsigned i = 0; i < 2 * PEERS; i++) {
            uint32_t least = least_load(g);
            pick_open(&p[i], g, hands, NULL);
            const struct peer *peer = pick_next(&p[i]);
            wrong += !peer || load(g, peer->index) != least + 1;
        }
        for (unsigned i = 0; i < 2 * PEERS; i++) pick_done(&p[i], PEER_WELL, &quiet, NULL);
        pool_close(&hands);
    }
    is_int(wrong, 0, "forty processes killed in the middle: the next picks still get the least loaded");
}

static void test_changes(void)
{
    struct group *g = serve("changing", NULL, 0);
    for (unsigned i = 0; i < 2 * PEERS; i++) hold(g);
    is_int(uneven(g, 2), 0, "two each");
    struct group_record r = { .parent = GROUP_NO_PARENT, .weight = 4, .max_fails = 1, .fail_timeout_ms = 10000, .name = T("127.0.0.1:3000"), .server = T("127.0.0.1:3000") };
    uint32_t id;
    ok(addr_parse(pool, r.name, 0, &r.addr), "address");
    struct pick before;
    pick_open(&before, g, pool, NULL);
    is_int(group_peer_add(g, &r, &id), GROUP_DONE, "one more, of weight 4");
    for (unsigned i = 0; i < 8; i++) hold(g);
    is_int(load(g, PEERS), 8, "it gets all until it has its part");
    ok(pick_next(&before) != NULL, "a request of before the change still finds a peer");
    pick_done(&before, PEER_WELL, &quiet, NULL);
    is_int(group_peer_remove(g, 0), GROUP_DONE, "one less");
    for (unsigned i = 0; i < PEERS - 1 + 4; i++) hold(g);
    is_int(g->set->count, PEERS, "as many as before");
    is_int(uneven(g, 3), 0, "three for each weight");
    struct group_record w = { .weight = 2 };
    is_int(group_peer_change(g, 1, &w, GROUP_WEIGHT), GROUP_DONE, "another weight");
    for (unsigned i = 0; i < 3; i++) hold(g);
    is_int(load(g, 0), 6, "it gets twice as many now");
    seat_close();
}

int main(void)
{
    listen_in();
    ok(conf_register(), "registered");
    clock_real();
    test_exact();
    test_against_all();
    test_turns();
    test_rules();
    test_renewal();
    test_time();
    test_processes();
    test_killed();
    test_changes();
    pool_close(&pool);
    return done();
}
