/* balance: who is asked, in which order and how often; what is shared over processes and generations. */
#include "base/clock.h"
#include "t/unit/config_test.h"
#include "upstream/balance.h"
#include "upstream/seat.h"
#include "upstream/state.h"
#include <signal.h>
#include <sys/wait.h>

struct module *module_list[] = { &upstream_groups_module, NULL };

static struct log quiet;
static struct groups *sets[EVAL_KINDS];

/* "weight" or "weight:flags" a server: b backup, d down, cN max_conns, fN max_fails */
static struct group *make(const char *name, const char *servers)
{
    struct conf *cf = read_conf("");
    conf_result why = NULL;
    sets[EVAL_HTTP] = groups_of(cf, EVAL_HTTP);
    struct group *g = group_define(cf, sets[EVAL_HTTP], text_c(name), &why);
    struct text rest = text_c(servers), word;
    for (unsigned i = 0; text_split(&rest, ' ', &word); i++) {
        struct group_server s = { .address = pool_printf(pool, "127.0.0.1:%u", 1000 + i), .weight = 0, .max_fails = 1, .fail_timeout_ms = 10000 };
        const char *p = word.p;
        while (*p >= '0' && *p <= '9') s.weight = s.weight * 10 + (unsigned) (*p++ - '0');
        for (; p < word.p + word.n; p++) {
            if (*p == 'b') s.priority = true;
            if (*p == 'd') s.down = true;
            if (*p == 'c') s.max_conns = (unsigned) (p[1] - '0');
            if (*p == 'f') s.max_fails = (unsigned) (p[1] - '0');
        }
        ok(!group_add_server(cf, g, &s), "server %.*s", TEXT_ARG(word));
    }
    ok(conf_finish(cf), "finished");
    return g;
}

static struct group *make_private(const char *servers)
{
    struct group *g = make("g", servers);
    state_private(g, pool);
    return g;
}

/* The next n picks, each ended well, as letters; "-": nobody. */
static const char *order(struct group *g, unsigned n)
{
    static char out[256];
    for (unsigned i = 0; i < n; i++) {
        struct pick p;
        pick_open(&p, g, pool, NULL);
        struct peer *peer = pick_next(&p);
        out[i] = peer ? (char) ('a' + addr_port(&peer->addr) - 1000) : '-';
        pick_done(&p, PEER_WELL, &quiet, NULL);
    }
    out[n] = 0;
    return out;
}

static void fail_one(struct group *g, char want)
{
    for (;;) {
        struct pick p;
        pick_open(&p, g, pool, NULL);
        struct peer *peer = pick_next(&p);
        bool hit = peer->addr.in.sin_port == htons((uint16_t) (1000 + want - 'a'));
        pick_done(&p, hit ? PEER_FAILED : PEER_WELL, &quiet, NULL);
        if (hit) return;
    }
}

static void test_order(void)
{
    is_str(order(make_private("5 1 1"), 14), "aabacaaaabacaa", "5, 1, 1");
    is_str(order(make_private("1 1 1"), 7), "abcabca", "equal weights");
    is_str(order(make_private("1 1d 1b"), 4), "aaaa", "down and backup are left out");
    is_str(order(make_private("1d 1b 2b"), 6), "cbccbc", "backups when nobody else is there");
    is_str(order(make_private("1d"), 2), "--", "one that is down");
    struct group *g = make_private("3 2 1");
    unsigned count[3] = { 0 };
    for (unsigned i = 0; i < 600; i++) count[order(g, 1)[0] - 'a']++;
    ok(count[0] == 300 && count[1] == 200 && count[2] == 100, "600 picks by 3, 2, 1: %u %u %u", count[0], count[1], count[2]);
}

static void test_tries(void)
{
    struct group *g = make_private("1 1 1d 1b");
    struct pick p;
    pick_open(&p, g, pool, NULL);
    is_int(p.tries, 3, "as many tries as there are peers that are not down");
    char seen[8] = "";
    for (unsigned i = 0; pick_next(&p); i++) {
        seen[i] = (char) ('a' + addr_port(&p.peer->addr) - 1000);
        pick_done(&p, PEER_PASSED, &quiet, NULL);
    }
    is_str(seen, "abd", "each once, the backup last");
    is_int(p.tries, 0, "no try is left");
    is_int(atomic_load(&g->set->peers[0].state->inflight), 0, "nothing is held");
}

static void test_failures(void)
{
    clock_fake(1000000, 1000000);
    struct group *g = make_private("1 1");
    fail_one(g, 'a');
    is_str(order(g, 3), "bbb", "a failed: b");
    clock_fake(1009999, 1009999);
    is_str(order(g, 1), "b", "still, within fail_timeout");
    clock_fake(1010001, 1010001);
    struct pick p;
    pick_open(&p, g, pool, NULL);
    while (pick_next(&p) != &g->set->peers[0]) {
        pick_done(&p, PEER_WELL, &quiet, NULL);
        pick_open(&p, g, pool, NULL);
    }
    is_str(order(g, 2), "bb", "one trial after it: others wait for what comes of it");
    pick_done(&p, PEER_WELL, &quiet, NULL);
    ok(strchr(order(g, 2), 'a') != NULL, "it went well: a is back");
    g = make_private("1f2 1");
    fail_one(g, 'a');
    ok(strchr(order(g, 4), 'a') != NULL, "max_fails=2: one failure is nothing");
    g = make_private("1f0 1");
    for (int i = 0; i < 5; i++) fail_one(g, 'a');
    ok(strchr(order(g, 2), 'a') != NULL, "max_fails=0: never");
    g = make_private("1");
    fail_one(g, 'a');
    is_str(order(g, 2), "aa", "the only one is asked whatever happened");
    clock_real();
}

/* Another worker's turn began a little later than ours: what it noted is yet to come. */
static void test_clock_behind(void)
{
    struct group *g = make_private("1 1 1");
    struct pick p;
    pick_open(&p, g, pool, NULL);
    const struct peer *bad = pick_next(&p);
    pick_done(&p, PEER_FAILED, &quiet, NULL);
    clock_now.ms -= 2;
    unsigned asked = 0;
    for (unsigned i = 0; i < 12; i++) {
        pick_open(&p, g, pool, NULL);
        asked += pick_next(&p) == bad;
        pick_done(&p, PEER_UNASKED, &quiet, NULL);
    }
    clock_now.ms += 2;
    is_int(asked, 0, "one that failed a moment from now is not asked");
}

static void test_max_conns(void)
{
    struct group *g = make_private("1c2 1c1");
    struct pick p[4];
    for (int i = 0; i < 4; i++) pick_open(&p[i], g, pool, NULL);
    for (int i = 0; i < 3; i++) ok(pick_next(&p[i]) != NULL, "place %d", i);
    ok(!pick_next(&p[3]), "all are full");
    pick_done(&p[1], PEER_WELL, &quiet, NULL);
    ok(pick_next(&p[3]) != NULL, "a place came free");
    pick_done(&p[0], PEER_WELL, &quiet, NULL);
    pick_done(&p[2], PEER_WELL, &quiet, NULL);
    pick_done(&p[3], PEER_WELL, &quiet, NULL);
    is_int(atomic_load(&g->set->peers[0].state->inflight) + atomic_load(&g->set->peers[1].state->inflight), 0, "all given back");
}

/* Workers take and give back; one of them dies with what it holds. */
static void child(struct group *g, unsigned rounds, unsigned keep)
{
    state_worker_start(sets, 1);
    static struct pick p;
    for (unsigned i = 0; i < rounds; i++) {
        pick_open(&p, g, pool, NULL);
        if (!pick_next(&p)) _exit(1);
        pick_done(&p, PEER_WELL, &quiet, NULL);
    }
    for (unsigned i = 0; i < keep; i++) {
        pick_open(&p, g, pool, NULL);
        if (!pick_next(&p)) _exit(1);
    }
    if (keep) kill(getpid(), SIGKILL);
    seat_close();
    _exit(0);
}

static void test_shared(void)
{
    struct group *g = make("shared", "2 1 1");
    ok(state_open(sets, pool) != 0, "zone");
    pid_t pids[4];
    for (unsigned i = 0; i < 4; i++) {
        fflush(stdout);
        pids[i] = fork();
        if (!pids[i]) child(g, 2000, i == 3 ? 7 : 0);
    }
    for (unsigned i = 0; i < 4; i++) waitpid(pids[i], NULL, 0);
    uint64_t picked[3], held = 0;
    for (int i = 0; i < 3; i++) {
        picked[i] = atomic_load(&g->set->peers[i].state->picked);
        held += atomic_load(&g->set->peers[i].state->inflight);
    }
    is_int(picked[0] + picked[1] + picked[2], 8007, "every pick was counted");
    ok(picked[0] >= 4003 && picked[0] <= 4004 && picked[1] >= 2001 && picked[1] <= 2002, "the turn is one for all: %u %u %u", (unsigned) picked[0], (unsigned) picked[1], (unsigned) picked[2]);
    is_int(held, 7, "the dead one's holds are still counted");
    is_int(seat_mend(state_zone()), 7, "mended");
    held = 0;
    for (int i = 0; i < 3; i++) held += atomic_load(&g->set->peers[i].state->inflight);
    is_int(held, 0, "and given back");
}

static void test_generations(void)
{
    struct group *g = make("kept", "1 1");
    ok(state_open(sets, pool) != 0, "first generation");
    atomic_store(&g->set->peers[1].state->fails, 5);
    g = make("kept", "1 3 1");
    ok(state_open(sets, pool) != 0, "second, with another server and another weight");
    is_int(atomic_load(&g->set->peers[1].state->fails), 5, "what is known of a peer stays");
    is_int(g->set->peers[1].state->effective, 3, "its weight is the new one");
    is_int(atomic_load(&g->set->peers[2].state->fails), 0, "the new one is new");
    size_t before = shm_figures(state_zone()).objects;
    for (int i = 0; i < 3; i++) {
        make("other", "1 1");
        ok(state_open(sets, pool) != 0, "generation without it");
    }
    ok(shm_figures(state_zone()).objects < before, "what nobody uses is given back");
    g = make("kept", "1 1");
    ok(state_open(sets, pool) != 0, "it comes again");
    is_int(atomic_load(&g->set->peers[1].state->fails), 0, "and begins anew");
}

/* What other rooms keep of a group lives as long as the group does. */
static void test_extras(void)
{
    struct group *g = make("extra", "1 1");
    uint64_t generation = state_open(sets, pool);
    state_worker_start(sets, generation);
    uint64_t *kept = state_extra(g, 'x', sizeof *kept), *other = state_extra(g, 'y', 3000);
    ok(kept && other && kept != other && !*kept, "two of a group");
    *kept = 77;
    is_int(*(uint64_t *) state_extra(g, 'x', sizeof *kept), 77, "found again");
    size_t before = 0;
    for (int i = 0; i < 4; i++) {
        g = make("extra", "1 1");
        generation = state_open(sets, pool);
        state_worker_start(sets, generation);
        before = shm_figures(state_zone()).objects;
    }
    is_int(*(uint64_t *) state_extra(g, 'x', sizeof *kept), 77, "four generations in which nobody asked for it: it is there");
    is_int(shm_figures(state_zone()).objects, before, "no other was made");
    for (int i = 0; i < 3; i++) {
        g = make("else", "1 1");
        generation = state_open(sets, pool);
        state_worker_start(sets, generation);
    }
    size_t without = shm_figures(state_zone()).objects;
    g = make("extra", "1 1");
    state_worker_start(sets, state_open(sets, pool));
    size_t with = shm_figures(state_zone()).objects;
    is_int(*(uint64_t *) state_extra(g, 'x', sizeof *kept), 0, "generations without the group: it was given back");
    is_int(shm_figures(state_zone()).objects, with + 1, "and is made anew");
    ok(without < before + 1, "objects: %zu, %zu without", before, without);
}

static char once(struct group *g, enum peer_verdict how)
{
    struct pick p;
    pick_open(&p, g, pool, NULL);
    struct peer *peer = pick_next(&p);
    pick_done(&p, how, &quiet, NULL);
    return peer ? (char) ('a' + addr_port(&peer->addr) - 1000) : '-';
}

static unsigned asked(struct group *g, unsigned n, const char *who)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        char c = once(g, PEER_WELL);
        found += c != '-' && strchr(who, c);
    }
    return found;
}

static void test_panic(void)
{
    struct group *g = make_private("1 1 1 1");
    g->panic = 50;
    peer_mark(&g->set->peers[0], PEER_UNHEALTHY, 0, "test");
    peer_mark(&g->set->peers[1], PEER_EJECTED, 0, "test");
    clock_now.ms += 1000;
    is_int(asked(g, 40, "cd"), 40, "half of them are healthy: these are asked");
    once(g, PEER_FAILED);
    clock_now.ms += 100;
    unsigned all = asked(g, 40, "abcd");
    is_int(all, 40, "one more failed: somebody is asked");
    unsigned sick = asked(g, 40, "ab");
    is_int(sick, 20, "less than half: the sick ones get their part");
    peer_mark(&g->set->peers[0], PEER_DOWN, 0, "test");
    clock_now.ms += 100;
    is_int(asked(g, 40, "a"), 0, "not who is down");
    peer_mark(&g->set->peers[0], PEER_CHECKING, PEER_DOWN | PEER_UNHEALTHY, "test");
    clock_now.ms += 100;
    is_int(asked(g, 40, "a"), 0, "nor who must be found healthy first");
    peer_mark(&g->set->peers[0], 0, PEER_CHECKING, "test");
    peer_mark(&g->set->peers[1], 0, PEER_EJECTED, "test");
    clock_now.ms += 100;
    is_int(asked(g, 30, "ab"), 20, "three are healthy: these are asked again");
    for (unsigned i = 0; i < 4; i++) peer_mark(&g->set->peers[i], PEER_UNHEALTHY, 0, "test");
    ok(once(g, PEER_WELL) != '-', "all at once: at once");
    g->panic = 0;
    ok(once(g, PEER_WELL) == '-', "without a threshold: nobody");
}

int main(void)
{
    listen_in();
    ok(conf_register(), "registered");
    test_order();
    test_tries();
    test_failures();
    test_max_conns();
    test_clock_behind();
    test_shared();
    test_generations();
    test_extras();
    test_panic();
    pool_close(&pool);
    return done();
}
