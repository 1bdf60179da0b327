/* A group's servers changed while it serves: who sees it, what stays, what is given back; marks and what they forbid. */
#include "base/clock.h"
#include "t/unit/config_test.h"
#include "upstream/balance.h"
#include "upstream/group_peer.h"
#include "upstream/seat.h"
#include "upstream/state.h"
#include <sys/wait.h>

struct module *module_list[] = { &upstream_groups_module, NULL };

static struct log quiet;
static struct groups *sets[EVAL_KINDS];
static uint64_t generation;

/* A generation is opened: n servers, priorities as the letters say, and names to be resolved as n. */
static struct group *make(const char *name, const char *servers)
{
    struct conf *cf = read_conf("");
    conf_result why = NULL;
    sets[EVAL_HTTP] = groups_of(cf, EVAL_HTTP);
    struct group *g = group_define(cf, sets[EVAL_HTTP], text_c(name), &why);
    for (unsigned i = 0; servers[i]; i++) {
        struct group_server s = { .address = pool_printf(pool, "127.0.0.1:%u", 1000 + i), GROUP_SERVER_DEFAULTS };
        s.priority = servers[i] >= '0' && servers[i] <= '9' ? (uint32_t) (servers[i] - '0') : 0;
        s.down = servers[i] == 'd';
        if (servers[i] != 'n') {
            ok(!group_add_server(cf, g, &s), "server %u", i);
            continue;
        }
        s.address = T("backends.example");
        struct group_template *t = group_add_template(cf, g, &s);
        struct addr a;
        ok(addr_parse(pool, T("127.0.0.9:1"), 0, &a), "an address that it has now");
        group_add_resolved(cf, g, t, &a);
    }
    ok(conf_finish(cf), "finished");
    generation = state_open(sets, pool);
    ok(generation != 0, "opened");
    return g;
}

/* As a worker of it. */
static struct group *serve(const char *name, const char *servers)
{
    struct group *g = make(name, servers);
    state_worker_start(sets, generation);
    return g;
}

static struct group_record address(unsigned port)
{
    struct group_record r = { .parent = GROUP_NO_PARENT, .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000 };
    r.name = r.server = pool_printf(pool, "127.0.0.1:%u", port);
    ok(addr_parse(pool, r.name, 0, &r.addr), "address");
    return r;
}

/* The ports of n picks, each ended well. */
static const char *order(struct group *g, unsigned n)
{
    static char out[512];
    struct build b = build_in_room(out, sizeof out - 1);
    struct pool *request = pool_open(0);
    for (unsigned i = 0; i < n; i++) {
        struct pick p;
        pick_open(&p, g, request, NULL);
        struct peer *peer = pick_next(&p);
        if (i) build_char(&b, ' ');
        build_u64(&b, peer ? addr_port(&peer->addr) : 0);
        pick_done(&p, PEER_WELL, &quiet, NULL);
    }
    pool_close(&request);
    out[b.n] = 0;
    return out;
}

static const char *listed(struct group *g)
{
    static char out[512];
    size_t n;
    struct build b = build_in_room(out, sizeof out - 1);
    struct group_record *v = group_peer_list(g, pool, &n);
    for (size_t i = 0; i < n; i++) {
        if (i) build_char(&b, ' ');
        build_u64(&b, v[i].id);
        build_char(&b, '=');
        build_text(&b, v[i].name);
        if (v[i].priority) build_char(&b, 'b');
        if (v[i].down) build_char(&b, 'd');
        if (v[i].drain) build_char(&b, 'r');
    }
    out[b.n] = 0;
    return out;
}

static void test_changes(void)
{
    struct group *g = serve("changing", "001");
    uint32_t id = 99;
    is_str(listed(g), "0=127.0.0.1:1000 1=127.0.0.1:1001 2=127.0.0.1:1002b", "as configured");
    is_str(order(g, 4), "1000 1001 1000 1001", "the primary ones by turns");
    struct group_record r = address(2000);
    is_int(group_peer_add(g, &r, &id), GROUP_DONE, "one is added");
    is_int(id, 3, "with the next id");
    is_str(order(g, 3), "1000 1001 2000", "and takes its turn");
    is_int(group_peer_remove(g, 0), GROUP_DONE, "one is removed");
    is_int(group_peer_remove(g, 0), GROUP_NO_SUCH, "once");
    is_str(order(g, 4), "1001 2000 1001 2000", "and is not asked");
    r.weight = 3;
    is_int(group_peer_change(g, 3, &r, GROUP_WEIGHT), GROUP_DONE, "one is given weight");
    is_str(order(g, 4), "2000 1001 2000 2000", "and is asked more often");
    r.down = true;
    is_int(group_peer_change(g, 1, &r, GROUP_DOWN), GROUP_DONE, "one goes down");
    is_str(order(g, 2), "2000 2000", "and is not asked");
    r.priority = 2;
    is_int(group_peer_change(g, 3, &r, GROUP_PRIORITY), GROUP_DONE, "one becomes the last resort");
    is_str(order(g, 2), "1002 1002", "the backup is before it");
    is_int(group_peer_change(g, 2, &r, GROUP_DOWN), GROUP_DONE, "the backup goes down");
    is_str(order(g, 2), "2000 2000", "then it is asked");
    is_str(listed(g), "1=127.0.0.1:1001d 2=127.0.0.1:1002bd 3=127.0.0.1:2000b", "and all that is told");
    for (uint32_t i = 1; i < 4; i++) is_int(group_peer_remove(g, i), GROUP_DONE, "%u is removed", i);
    is_str(order(g, 2), "0 0", "nobody is left");
    is_str(listed(g), "", "nor listed");
    r = address(2001);
    is_int(group_peer_add(g, &r, &id), GROUP_DONE, "one is added to none");
    is_str(order(g, 2), "2001 2001", "and is asked");
    is_int(group_peer_change(g, 77, &r, GROUP_WEIGHT), GROUP_NO_SUCH, "no such id");
}

static void test_twice(void)
{
    struct group *g = serve("twice", "0");
    struct group_record r = address(1000);
    uint32_t a, b;
    is_int(group_peer_add(g, &r, &a), GROUP_DONE, "the same address again");
    is_int(group_peer_add(g, &r, &b), GROUP_DONE, "and again");
    struct peer_set *set = group_set(g);
    ok(set->peers[0].state != set->peers[1].state && set->peers[1].state != set->peers[2].state, "each has a state of its own");
    struct peer_state *second = set->peers[1].state;
    group_peer_remove(g, a);
    ok(atomic_load(&second->retired_ms) != 0, "the state of one that went is retired");
    group_peer_add(g, &r, &a);
    ok(group_set(g)->peers[2].state == second && !atomic_load(&second->retired_ms), "one that comes again finds it");
}

static void test_under_way(void)
{
    struct group *g = serve("held", "00");
    struct pool *request = pool_open(0);
    struct group_record r = address(2000);
    uint32_t id;
    group_peer_add(g, &r, &id);
    struct pick p, q;
    pick_open(&p, g, request, NULL);
    struct peer *peer = pick_next(&p);
    for (unsigned i = 0; i < 3; i++) group_peer_remove(g, i);
    pick_open(&q, g, request, NULL);
    ok(!pick_next(&q), "a new request finds nobody");
    is_int(atomic_load(&peer->state->inflight), 1, "the one under way keeps its peer");
    pick_done(&p, PEER_FAILED, &quiet, NULL);
    ok(pick_next(&p) != NULL && p.peer != peer, "and the others to try");
    clock_fake(clock_now.ms + 700000, 1);
    pick_done(&p, PEER_FAILED, &quiet, NULL);
    ok(!pick_next(&p), "but not ten minutes later");
    clock_real();
    pool_close(&request);
}

static void test_names(void)
{
    struct group *g = serve("named", "0n");
    is_str(listed(g), "0=127.0.0.1:1000 1=backends.example 2=127.0.0.9:1", "a name has an id, and so have its addresses");
    struct group_record v[] = { address(2000), address(2001), address(2001) };
    size_t changed;
    is_int(group_peer_replace(g, 1, v, 3, &changed), GROUP_DONE, "other addresses");
    is_int(changed, 3, "one went, two came");
    is_str(listed(g), "0=127.0.0.1:1000 1=backends.example 3=127.0.0.1:2000 4=127.0.0.1:2001", "those that are new");
    is_str(order(g, 3), "1000 2000 2001", "are asked");
    uint64_t version = atomic_load(&g->roster->version);
    is_int(group_peer_replace(g, 1, v, 2, &changed), GROUP_DONE, "the same ones");
    ok(!changed && atomic_load(&g->roster->version) == version, "nothing changes");
    v[0].weight = 2;
    group_peer_replace(g, 1, v, 1, &changed);
    is_int(changed, 2, "one has another weight, one went");
    is_str(order(g, 3), "2000 1000 2000", "that counts");
    is_int(group_peer_remove(g, 3), GROUP_LAST, "an address of a name is not removed by itself");
    is_int(group_peer_replace(g, 0, v, 1, &changed), GROUP_NO_SUCH, "and only names have any");
    v[0].drain = true;
    group_peer_change(g, 1, &v[0], GROUP_DRAIN);
    is_str(order(g, 2), "1000 1000", "a name that drains drains its addresses");
    is_str(listed(g), "0=127.0.0.1:1000 1=backends.exampler 3=127.0.0.1:2000r", "as listed");
    is_int(group_peer_remove(g, 1), GROUP_DONE, "a name is removed");
    is_str(listed(g), "0=127.0.0.1:1000", "with its addresses");
    g = make("named", "0n");
    size_t n;
    struct group_record *before = group_peer_list_before(g, pool, &n);
    ok(before && n == 1 && before[0].id == 0, "the next generation can see what was");
    state_worker_start(sets, generation);
    ok(!group_peer_list_before(g, pool, &n), "until it serves");
}

static void test_marks(void)
{
    struct group *g = serve("marked", "0d0");
    struct peer *p = &group_set(g)->peers[0];
    is_str(order(g, 2), "1000 1002", "down as configured");
    is_str(peer_state_name(g->set->peers[1].state), "down", "and says so");
    ok(peer_set_health(p, PEER_UNHEALTHY, "status 500"), "unhealthy");
    ok(!peer_set_health(p, PEER_UNHEALTHY, "status 500"), "once");
    is_str(order(g, 2), "1002 1002", "is not asked");
    struct peer_history h = peer_state_history(p->state);
    is_str(h.reason, "status 500", "reason");
    ok(h.out_since_ms != 0, "since when");
    ok(peer_set_health(p, 0, "it passed"), "healthy again");
    ok(atomic_load(&p->state->slow_from_ms) != 0, "when it came back is known");
    is_str(order(g, 2), "1000 1002", "is asked");
    peer_count_check(p, false);
    peer_count_check(p, true);
    is_int(atomic_load(&p->state->counts.checks), 2, "checks are counted");
    is_int(atomic_load(&p->state->counts.checks_failed), 1, "failed ones too");
    is_int(atomic_load(&p->state->counts.unhealthy), 1, "and how often it fell ill");
    peer_count_answer(p->state, &(struct peer_answer) { .status = 204, .sent = 10, .received = 20, .header_ms = 8, .response_ms = 16 });
    peer_count_answer(p->state, &(struct peer_answer) { .status = 0, .sent = 5, .header_ms = -1, .response_ms = -1 });
    is_int(atomic_load(&p->state->counts.responses[2]), 1, "an answer of the second class");
    is_int(atomic_load(&p->state->counts.sent), 15, "bytes sent");
    is_int(atomic_load(&p->state->header_us) / 1000, 8, "its time");
    ok(peer_mark(p, PEER_EJECTED, 0, "outlier") && peer_mark(&g->set->peers[2], PEER_CHECKING, 0, "not checked"), "others");
    is_str(order(g, 1), "0", "nobody is left");
}

/* How many of n picks a peer gets. */
static unsigned part(struct group *g, const struct peer *peer, unsigned n)
{
    uint64_t before = atomic_load(&peer->state->picked);
    order(g, n);
    return (unsigned) (atomic_load(&peer->state->picked) - before);
}

/* It comes back with a tenth of its part after a tenth of the time, and with all of it at the end. */
static void test_slow_start(void)
{
    struct group *g = serve("slow", "00");
    struct group_record r = { .slow_start_ms = 10000 };
    clock_fake(5000000, 1);
    group_peer_change(g, 0, &r, GROUP_SLOW_START);
    struct peer *p = &group_set(g)->peers[0];
    is_int(part(g, p, 20), 10, "half of the requests");
    peer_set_health(p, PEER_UNHEALTHY, "it failed");
    is_int(part(g, p, 20), 0, "none while it is ill");
    peer_set_health(p, 0, "it passed");
    is_int(part(g, p, 20), 0, "none at the moment that it comes back");
    clock_fake(5001000, 1);
    unsigned n = part(g, p, 60);
    ok(n >= 5 && n <= 6, "an eleventh after a tenth of the time: %u of 60", n);
    clock_fake(5005000, 1);
    n = part(g, p, 60);
    ok(n >= 19 && n <= 21, "a third after half of it: %u of 60", n);
    clock_fake(5010000, 1);
    n = part(g, p, 60);
    ok(n >= 29 && n <= 31, "half at the end: %u of 60", n);
    clock_real();
}

/* One process changes, another one sees it. */
static void test_processes(void)
{
    struct group *g = serve("shared", "00");
    struct group_record r = address(3000);
    uint32_t id;
    is_str(order(g, 2), "1000 1001", "as configured");
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        bool done = group_peer_add(g, &r, &id) == GROUP_DONE && group_peer_remove(g, 0) == GROUP_DONE && group_peer_remove(g, 1) == GROUP_DONE;
        _exit(done ? 0 : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    is_int(status, 0, "a child changed all");
    is_str(order(g, 2), "3000 3000", "and its parent knows");
}

static void test_given_back(void)
{
    struct group *g = serve("coming", "0");
    size_t changed, before = 0;
    struct group_record r;
    uint32_t id;
    clock_fake(1000000, 1);
    for (unsigned i = 0; i < 40; i++) {
        r = address(4000 + i);
        ok(group_peer_add(g, &r, &id) == GROUP_DONE && group_peer_remove(g, id) == GROUP_DONE, "one comes and goes");
        if (i == 20) {
            state_sweep_retired();
            before = shm_figures(state_zone()).objects;
            clock_fake(1000000 + 3700000, 1);
            state_sweep_retired();
            ok(shm_figures(state_zone()).objects + 20 <= before, "an hour later their states are given back");
        }
    }
    clock_real();
    seat_close();
    (void) changed;
}

int main(void)
{
    listen_in();
    ok(conf_register(), "registered");
    test_changes();
    test_twice();
    test_under_way();
    test_names();
    test_marks();
    test_slow_start();
    test_processes();
    test_given_back();
    pool_close(&pool);
    return done();
}
