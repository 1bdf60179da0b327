/* Outliers of a group: who is ejected, why, for how long, how many at most, and who comes back. */
#pragma GCC diagnostic ignored "-Woverride-init"        /* the defaults, and what differs */
#include "base/clock.h"
#include "t/unit/config_test.h"
#include "upstream/outlier.h"
#include "upstream/state.h"

struct module *module_list[] = { &upstream_groups_module, NULL };

static struct log quiet;
static struct groups *sets[EVAL_KINDS];

static struct group *make(unsigned peers, const struct outlier *o)
{
    struct conf *cf = read_conf("");
    conf_result why = NULL;
    sets[EVAL_HTTP] = groups_of(cf, EVAL_HTTP);
    struct group *g = group_define(cf, sets[EVAL_HTTP], T("g"), &why);
    for (unsigned i = 0; i < peers; i++) {
        struct group_server s = { .address = pool_printf(pool, "127.0.0.1:%u", 1000 + i), .weight = 1 };
        ok(!group_add_server(cf, g, &s), "server %u", i);
    }
    struct outlier *mine = g->outlier = pool_new(pool, struct outlier);
    *mine = *o;
    ok(conf_finish(cf), "finished");
    state_private(g, pool);
    said_n = 0;
    return g;
}

/* One try of peer i, whatever the balance says. */
static void try(struct group *g, unsigned i, enum peer_verdict how, int status, int64_t header_ms)
{
    struct pick p = { .group = g, .set = g->set, .peer = &g->set->peers[i] };
    outlier_tell(&p, how, status, header_ms);
}

static void try_many(struct group *g, unsigned i, unsigned n, unsigned bad, int64_t header_ms)
{
    for (unsigned k = 0; k < n; k++) try(g, i, PEER_WELL, k % 2 && k / 2 < bad ? 500 : 200, header_ms);
}

static bool is_out(const struct group *g, unsigned i) { return atomic_load(&g->set->peers[i].state->marks) & PEER_EJECTED; }
static unsigned count_out(const struct group *g)
{
    unsigned n = 0;
    for (unsigned i = 0; i < g->set->count; i++) n += is_out(g, i);
    return n;
}

static void later(struct group *g, uint64_t ms)
{
    clock_now.ms += ms;
    outlier_let_back(g);
}

static void test_consecutive(void)
{
    struct group *g = make(4, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 70000, .consecutive = 3 });
    try(g, 1, PEER_FAILED, 0, -1);
    try(g, 1, PEER_WELL, 503, 2);
    try(g, 1, PEER_WELL, 404, 2);
    try(g, 1, PEER_FAILED, 0, -1);
    try(g, 1, PEER_UNASKED, 0, -1);
    try(g, 1, PEER_WELL, 500, 2);
    is_int(count_out(g), 0, "one that was well between them");
    try(g, 1, PEER_FAILED, 0, -1);
    ok(is_out(g, 1) && count_out(g) == 1, "three in a row");
    is_str(peer_state_history(g->set->peers[1].state).reason, "3 errors in a row; for 30s", "the reason");
    is_str(peer_state_name(g->set->peers[1].state), "ejected", "the state");
    struct pick p;
    unsigned asked = 0;
    for (unsigned i = 0; i < 12; i++) {
        pick_open(&p, g, pool, NULL);
        asked += pick_next(&p)->index == 1;
        pick_done(&p, PEER_WELL, &quiet, NULL);
    }
    is_int(asked, 0, "it is not asked");
    later(g, 29999);
    ok(is_out(g, 1), "not yet");
    later(g, 1);
    ok(!is_out(g, 1), "30 s later it is back");
    for (unsigned i = 0; i < 3; i++) try(g, 1, PEER_FAILED, 0, -1);
    later(g, 59999);
    ok(is_out(g, 1), "the second time is longer");
    later(g, 1);
    ok(!is_out(g, 1), "60 s");
    for (unsigned i = 0; i < 3; i++) try(g, 1, PEER_FAILED, 0, -1);
    later(g, 69999);
    ok(is_out(g, 1), "the third");
    later(g, 1);
    ok(!is_out(g, 1), "is at most max_ejection");
    for (unsigned i = 0; i < 2; i++) outlier_judge(g);
    for (unsigned i = 0; i < 3; i++) try(g, 1, PEER_FAILED, 0, -1);
    later(g, 60000);
    ok(!is_out(g, 1), "two intervals in service: two are forgotten, it is the second again");
}

static void fail_three(struct group *g, unsigned i)
{
    for (unsigned k = 0; k < 3; k++) try(g, i, PEER_FAILED, 0, -1);
}

static void test_bounds(void)
{
    struct group *g = make(10, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 30000, .consecutive = 3, .share = 30 });
    for (unsigned i = 0; i < 10; i++) fail_three(g, i);
    is_int(count_out(g), 3, "30 of a hundred, of ten");
    ok(strstr(said, "is an outlier, but is not ejected, as many are ejected as may be: 3 errors in a row"), "the log tells of the others");
    g = make(4, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 30000, .consecutive = 3 });
    for (unsigned i = 0; i < 4; i++) fail_three(g, i);
    is_int(count_out(g), 1, "10 of a hundred, of four: one always");
    g = make(3, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 30000, .consecutive = 3, .share = 100 });
    for (unsigned i = 0; i < 3; i++) fail_three(g, i);
    is_int(count_out(g), 2, "all of three: not the last");
    g = make(3, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 30000, .consecutive = 3, .enforced = 0 });
    fail_three(g, 0);
    ok(!count_out(g) && strstr(said, "not ejected, \"enforced\" says so"), "not enforced: it is told, that is all");
    g = make(3, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 30000, .consecutive = 3, .share = 100 });
    peer_set_health(&g->set->peers[0], PEER_UNHEALTHY, "test");
    fail_three(g, 0);
    peer_set_health(&g->set->peers[0], 0, "test");
    ok(is_out(g, 0), "found healthy: it stays ejected until its time is over");
    peer_set_health(&g->set->peers[0], PEER_UNHEALTHY, "test");
    later(g, 30000);
    is_str(peer_state_name(g->set->peers[0].state), "unhealthy", "its time is over: it is still unhealthy");
}

/* A reload may ask for fewer than there were already; peers that are down are not among those that are left. */
static void test_changes(void)
{
    struct group *g = make(4, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 30000, .consecutive = 8 });
    for (unsigned i = 0; i < 6; i++) try(g, 1, PEER_FAILED, 0, -1);
    g->outlier->consecutive = 3;
    try(g, 1, PEER_FAILED, 0, -1);
    ok(is_out(g, 1), "more in a row than are asked for now");
    g = make(3, &(struct outlier) { OUTLIER_DEFAULTS, .most_ms = 30000, .consecutive = 3, .share = 100 });
    fail_three(g, 0);
    peer_mark(&g->set->peers[0], PEER_DOWN, 0, "test");
    fail_three(g, 1);
    ok(is_out(g, 1), "one that is down and ejected does not keep another from being ejected");
    fail_three(g, 2);
    ok(!is_out(g, 2), "the last one stays");
}

static void test_rates(void)
{
    const struct outlier o = { OUTLIER_DEFAULTS, .most_ms = 30000, .deviations = 1.5, .share = 50 };
    struct group *g = make(6, &o);
    for (unsigned i = 0; i < 6; i++) try_many(g, i, 200, i == 4 ? 60 : 2, 3);
    outlier_judge(g);
    ok(is_out(g, 4) && count_out(g) == 1, "70 %% among 99");
    is_str(peer_state_history(g->set->peers[4].state).reason, "success 70.0%, mean 94.2%; for 30s", "the reason");
    g = make(6, &o);
    for (unsigned i = 0; i < 6; i++) try_many(g, i, 200, 60 + i % 2, 3);
    outlier_judge(g);
    is_int(count_out(g), 0, "all are alike, and bad");
    for (unsigned i = 0; i < 6; i++) try_many(g, i, i == 4 ? 99 : 200, i == 4 ? 45 : 0, 3);
    outlier_judge(g);
    is_int(count_out(g), 0, "too few requests");
    for (unsigned i = 0; i < 4; i++) try_many(g, i, 200, i == 3 ? 90 : 0, 3);
    outlier_judge(g);
    is_int(count_out(g), 0, "too few peers");
    for (unsigned i = 0; i < 6; i++) try_many(g, i, 200, 0, 3);
    outlier_judge(g);
    is_int(count_out(g), 0, "the interval before is forgotten");
}

static void test_times(void)
{
    const struct outlier o = { OUTLIER_DEFAULTS, .most_ms = 30000, .times = 3, .share = 50 };
    struct group *g = make(6, &o);
    for (unsigned i = 0; i < 6; i++) try_many(g, i, 100, 0, i == 2 ? 40 : 8 + i % 2 * 4);
    outlier_judge(g);
    ok(is_out(g, 2) && count_out(g) == 1, "40 ms among 8 and 12");
    is_str(peer_state_history(g->set->peers[2].state).reason, "header in 40ms, median 12ms; for 30s", "the reason");
    g = make(6, &o);
    for (unsigned i = 0; i < 6; i++) try_many(g, i, 100, 0, i == 2 ? 3 : 0);
    outlier_judge(g);
    is_int(count_out(g), 0, "what takes no time is taken to be 1 ms");
    for (unsigned i = 0; i < 6; i++) try_many(g, i, 100, 0, i == 2 ? 30 : 10);
    outlier_judge(g);
    is_int(count_out(g), 0, "three times are not more than three");
}

int main(void)
{
    listen_in();
    ok(conf_register(), "registered");
    clock_real();
    test_consecutive();
    test_bounds();
    test_changes();
    test_rates();
    test_times();
    pool_close(&pool);
    return done();
}
