/* Round robin of many peers: who gets how many of the requests, which of them are passed by, what a pick costs. */
#include "base/clock.h"
#include "t/unit/config_test.h"
#include "upstream/balance.h"
#include "upstream/state.h"
#include <time.h>

struct module *module_list[] = { &upstream_groups_module, NULL };

static struct log quiet;

/* n peers, the i-th of weight 1 + i % weights. */
static struct group *make(uint32_t n, uint32_t weights)
{
    struct conf *cf = read_conf("");
    conf_result why = NULL;
    struct group *g = group_define(cf, groups_of(cf, EVAL_HTTP), T("many"), &why);
    for (uint32_t i = 0; i < n; i++) {
        struct group_server s = { .address = pool_printf(pool, "10.0.%u.%u:80", i >> 8, i & 255), GROUP_SERVER_DEFAULTS };
        s.weight = 1 + i % weights;
        group_add_server(cf, g, &s);
    }
    ok(conf_finish(cf), "%u peers", n);
    state_private(g, pool);
    return g;
}

static struct peer *once(struct group *g)
{
    struct pool *request = pool_open(0);
    struct pick p;
    pick_open(&p, g, request, NULL);
    struct peer *peer = pick_next(&p);
    pick_done(&p, PEER_WELL, &quiet, NULL);
    pool_close(&request);
    return peer;
}

static uint64_t picked(const struct group *g, uint32_t i) { return atomic_load(&g->set->peers[i].state->picked); }

static void test_equal(void)
{
    struct group *g = make(1000, 1);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 3000; i++) wrong += once(g) != &g->set->peers[i % 1000];
    is_int(wrong, 0, "one after the other");
    peer_mark(&g->set->peers[10], PEER_UNHEALTHY, 0, "test");
    for (unsigned i = 0; i < 2000; i++) once(g);
    is_int(picked(g, 10), 3, "one that is ill is passed by");
    ok(picked(g, 11) >= 5 && picked(g, 11) <= 6 && picked(g, 9) == 5, "its neighbours do not carry it for long");
}

static void test_weights(void)
{
    struct group *g = make(900, 3);
    unsigned wrong = 0, near = 0;
    const struct peer *before = NULL;
    for (unsigned i = 0; i < 1800 * 2; i++) {
        const struct peer *peer = once(g);
        near += peer == before;
        before = peer;
    }
    for (unsigned i = 0; i < 900; i++) wrong += picked(g, i) != 2 * (1 + i % 3);
    is_int(wrong, 0, "each as often as its weight says, exactly");
    is_int(near, 0, "and never twice in a row");
}

static void test_few_left(void)
{
    struct group *g = make(500, 2);
    for (unsigned i = 0; i < 500; i++)
        if (i != 333) peer_mark(&g->set->peers[i], PEER_DOWN, 0, "test");
    unsigned found = 0;
    for (unsigned i = 0; i < 50; i++) found += once(g) == &g->set->peers[333];
    is_int(found, 50, "the only one left is found each time");
}

static void test_slow(void)
{
    struct group *g = make(200, 1);
    g->set->peers[7].slow_start_ms = 10000;
    clock_fake(1000000, 1);
    peer_mark(&g->set->peers[7], PEER_UNHEALTHY, 0, "test");
    peer_mark(&g->set->peers[7], 0, PEER_UNHEALTHY, "test");
    clock_fake(1005000, 1);
    for (unsigned i = 0; i < 200 * 100; i++) once(g);
    ok(picked(g, 7) >= 40 && picked(g, 7) <= 60, "half of its part after half of its slow start: %u of 100", (unsigned) picked(g, 7));
    clock_real();
}

static void measure(uint32_t weights)
{
    enum { PICKS = 100000 };
    struct group *g = make(10000, weights);
    struct pool *request = pool_open(0);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < PICKS; i++) {
        struct pick p;
        pick_open(&p, g, request, NULL);
        pick_next(&p);
        pick_done(&p, PEER_WELL, &quiet, NULL);
        if (i % 100 == 99) pool_reset(request);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    pool_close(&request);
    diag("10000 peers, %s: %.0f ns a pick", weights > 1 ? "weights 1 to 3" : "equal weights", ((double) (b.tv_sec - a.tv_sec) * 1e9 + (double) (b.tv_nsec - a.tv_nsec)) / PICKS);
}

int main(void)
{
    listen_in();
    ok(conf_register(), "registered");
    test_equal();
    test_weights();
    test_few_left();
    test_slow();
    measure(1);
    measure(3);
    pool_close(&pool);
    return done();
}
