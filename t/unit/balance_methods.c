/* The balancing methods besides round robin: whom each takes, how often, what they do about failures, over processes, for many peers. */
#include "base/clock.h"
#include "eval/template.h"
#include "t/unit/config_test.h"
#include "upstream/balance.h"
#include "upstream/seat.h"
#include "upstream/shares.h"
#include "upstream/state.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <zlib.h>

struct module *module_list[] = { &eval_module, &upstream_groups_module, NULL };

static struct log quiet;
static struct groups *sets[EVAL_KINDS];
static struct eval eval;
static struct text key, client;

static bool get_text(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) e, (void) name;
    *out = *(const struct text *) v->data;
    return true;
}

static const struct variable variables[] = {
    { .name = "k", .get = get_text, .flags = VAR_NO_CACHE, .data = &key, .help = "The key." },
    { .name = "binary_remote_addr", .get = get_text, .flags = VAR_NO_CACHE, .data = &client, .help = "The address." },
    { .name = NULL },
};

enum method { LEAST_CONN, IP_HASH, HASH, RING, RANDOM, RANDOM_TWO, BOUNDED, LEAST_TIME, RANDOM_TIME, METHODS };
static const char *const names[] = { "least_conn", "ip_hash", "hash", "hash consistent", "random", "random two", "hash consistent bounded", "least_time", "random two least_time" };

static void choose(struct conf *cf, struct group *g, enum method m)
{
    conf_result why = NULL;
    if (m == LEAST_CONN || m == LEAST_TIME) balance_least_set(cf, g, m == LEAST_TIME ? BALANCE_LAST_BYTE : BALANCE_UNTIMED, false);
    if (m == IP_HASH) why = balance_ip_hash_set(cf, g);
    if (m == HASH) why = balance_hash_set(cf, g, T("$k"));
    if (m == RING || m == BOUNDED) why = balance_ring_set(cf, g, T("$k"), m == BOUNDED ? 1.25 : 0);
    if (m == RANDOM || m == RANDOM_TWO || m == RANDOM_TIME) why = balance_random_set(cf, g, m != RANDOM, m == RANDOM_TIME ? BALANCE_HEADER : BALANCE_UNTIMED);
    ok(!why, "%s", names[m]);
}

static struct conf *begin(const char *name, struct group **out)
{
    struct conf *cf = read_conf("");
    conf_result why = NULL;
    ok(!variables_add_rows(cf, EVAL_HTTP, variables), "variables");
    sets[EVAL_HTTP] = groups_of(cf, EVAL_HTTP);
    *out = group_define(cf, sets[EVAL_HTTP], text_c(name), &why);
    return cf;
}

static void finish(struct conf *cf)
{
    if (!conf_finish(cf)) diag("%s", said);
    eval = (struct eval) { .kind = EVAL_HTTP, .pool = pool, .log = &quiet, .names = variables_of(cf, EVAL_HTTP) };
    eval.values = pool_array(pool, struct value, eval_value_count(eval.names));
}

/* "weight" or "weight:flags" a server: b backup, d down, cN max_conns */
static struct group *make(const char *name, enum method m, const char *servers)
{
    struct group *g;
    struct conf *cf = begin(name, &g);
    struct text rest = text_c(servers), word;
    for (unsigned i = 0; text_split(&rest, ' ', &word); i++) {
        struct group_server s = { .address = pool_printf(pool, "127.0.0.1:%u", 1000 + i), .weight = (uint32_t) atoi(word.p), .max_fails = 1, .fail_timeout_ms = 10000 };
        long long at = text_find_char(word, 'c');
        s.max_conns = at >= 0 ? (uint32_t) atoi(word.p + at + 1) : 0;
        s.priority = text_find_char(word, 'b') >= 0;
        s.down = text_find_char(word, 'd') >= 0;
        ok(!group_add_server(cf, g, &s), "server %.*s", TEXT_ARG(word));
    }
    choose(cf, g, m);
    finish(cf);
    return g;
}

static struct group *make_private(enum method m, const char *servers)
{
    struct group *g = make("g", m, servers);
    state_private(g, pool);
    return g;
}

static char letter(const struct peer *peer) { return peer ? (char) ('a' + addr_port(&peer->addr) - 1000) : '-'; }

/* One more request that stays. */
static char hold(struct group *g)
{
    struct pick p;
    pick_open(&p, g, pool, &eval);
    return letter(pick_next(&p));
}

/* One that ends so. */
static char once(struct group *g, enum peer_verdict how)
{
    struct pick p;
    pick_open(&p, g, pool, &eval);
    char c = letter(pick_next(&p));
    pick_done(&p, how, &quiet, NULL);
    return c;
}

static void set_key(unsigned i)
{
    static char room[16];
    struct build b = build_in_room(room, sizeof room);
    build_u64(&b, i * 2654435761u);
    key = build_done(&b);
    static uint32_t address;
    address = i * 2654435761u;
    client = text_of((const char *) &address, 4);
}

static uint32_t load(const struct group *g, unsigned i) { return atomic_load(&g->set->peers[i].state->inflight); }

/* ---- */

static void test_shares(void)
{
    const char *cases[] = { "1 1 1", "5 5", "3 1 2", "1 100 1 7" };
    for (unsigned c = 0; c < countof(cases); c++) {
        struct group *g = make_private(RANDOM, cases[c]);
        struct shares s = shares_of(pool, g->set);
        unsigned wrong = 0;
        uint64_t at = 0;
        for (uint32_t i = 0; i < g->set->count; i++)
            for (uint32_t k = 0; k < g->set->peers[i].weight; k++) wrong += shares_peer(&s, g->set, at++) != &g->set->peers[i];
        ok(!wrong && at == s.total, "every number means its peer: %s", cases[c]);
    }
}

static void test_least_conn(void)
{
    struct group *g = make_private(LEAST_CONN, "1 1 2");
    for (int i = 0; i < 400; i++) hold(g);
    ok(load(g, 0) == 100 && load(g, 1) == 100 && load(g, 2) == 200, "by weight: %u %u %u", load(g, 0), load(g, 1), load(g, 2));
    g = make_private(LEAST_CONN, "1 1 1");
    char turns[7] = "";
    for (int i = 0; i < 6; i++) turns[i] = once(g, PEER_WELL);
    is_str(turns, "abcabc", "equal ones take turns");
    g = make_private(LEAST_CONN, "1 1 1");
    is_int(hold(g), 'a', "a is busy");
    ok(once(g, PEER_WELL) != 'a' && once(g, PEER_WELL) != 'a' && once(g, PEER_WELL) != 'a', "and is not asked while others are not");
    g = make_private(LEAST_CONN, "1c2 1d 1 1b");
    char held[9] = "";
    for (int i = 0; i < 8; i++) held[i] = hold(g);
    is_str(held, "accacccc", "max_conns, down and backup");
}

static void set_times(struct group *g, unsigned i, int64_t header_ms, int64_t response_ms)
{
    struct peer_answer a = { .status = 200, .header_ms = header_ms, .response_ms = response_ms };
    peer_count_answer(g->set->peers[i].state, &a);
    atomic_store(&g->set->peers[i].state->counts.selected_ms, clock_now.wall_ms);
}

static void test_least_time(void)
{
    struct group *g = make_private(LEAST_TIME, "1 1 1");
    char turns[7] = "";
    for (int i = 0; i < 6; i++) turns[i] = once(g, PEER_WELL);
    is_str(turns, "abcabc", "no time is known: by turns");
    set_times(g, 0, 1, 100);
    set_times(g, 1, 90, 300);
    for (int i = 0; i < 4; i++) hold(g);
    ok(load(g, 0) == 2 && load(g, 1) == 0 && load(g, 2) == 2, "one that is not known is taken to be as quick as the quickest: %u %u %u", load(g, 0), load(g, 1), load(g, 2));
    g = make_private(LEAST_TIME, "1 1 2");
    set_times(g, 0, 1, 100);
    set_times(g, 1, 90, 300);
    set_times(g, 2, 50, 800);
    for (int i = 0; i < 64; i++) hold(g);
    ok(load(g, 0) >= 40 && load(g, 0) <= 42 && load(g, 1) >= 13 && load(g, 1) <= 15 && load(g, 2) >= 8 && load(g, 2) <= 10,
       "as many as time and weight say: %u %u %u", load(g, 0), load(g, 1), load(g, 2));
    g = make_private(LEAST_TIME, "1 1");
    set_times(g, 0, 10, 10);
    set_times(g, 1, 10, 60);
    unsigned slow = 0;
    for (int i = 0; i < 100; i++) slow += once(g, PEER_WELL) == 'b';
    is_int(slow, 0, "the slow one is not asked");
    atomic_fetch_sub(&g->set->peers[1].state->counts.selected_ms, 31000);
    is_int(once(g, PEER_WELL), 'b', "but in half a minute it is tried again");
    is_int(once(g, PEER_WELL), 'a', "once");
}

/* least_time … inflight */
static void test_unfinished(void)
{
    struct group *g = make_private(LEAST_TIME, "1 1");
    g->unfinished = true;
    set_times(g, 0, 10, 10);
    set_times(g, 1, 10, 40);
    struct pick p;
    pick_open(&p, g, pool, &eval);
    is_int(letter(pick_next(&p)), 'a', "the quick one");
    unsigned slow = 0;
    for (int i = 0; i < 20; i++) slow += once(g, PEER_WELL) == 'b';
    is_int(slow, 0, "its request has taken no time yet: 2 times 10 are less than 40");
    clock_now.ms += 8;
    for (int i = 0; i < 20; i++) slow += once(g, PEER_WELL) == 'b';
    is_int(slow, 0, "less than usual: it counts for nothing");
    clock_now.ms += 2000;
    set_times(g, 1, 10, 40);
    for (int i = 0; i < 20; i++) slow += once(g, PEER_WELL) == 'b';
    is_int(slow, 20, "it hangs for two seconds: the other one is asked");
    pick_done(&p, PEER_UNASKED, &quiet, NULL);
    is_int(once(g, PEER_WELL), 'a', "it is over, and was not answered: as before");
    is_int(atomic_load(&g->set->peers[0].state->unfinished), 0, "none is left");
    is_int(atomic_load(&g->set->peers[0].state->begun_ms), 0, "nor its time");
    g->timed = BALANCE_HEADER;
    pick_open(&p, g, pool, &eval);
    pick_next(&p);
    is_int(atomic_load(&p.peer->state->unfinished), 1, "of the header: one is not there");
    pick_headed(&p);
    is_int(atomic_load(&p.peer->state->unfinished), 0, "now it is");
    pick_done(&p, PEER_WELL, &quiet, NULL);
    is_int(atomic_load(&g->set->peers[0].state->unfinished) + atomic_load(&g->set->peers[1].state->unfinished), 0, "it ends once");
}

static void test_random_time(void)
{
    struct group *g = make_private(RANDOM_TIME, "1 1");
    set_times(g, 0, 100, 1);
    set_times(g, 1, 20, 500);
    unsigned quick = 0, wrong = 0;
    for (int i = 0; i < 100; i++) quick += once(g, PEER_WELL) == 'b';
    ok(quick >= 90, "of two by chance the one with the quicker header: %u", quick);
    g = make_private(RANDOM_TIME, "1 1");
    set_times(g, 0, 100, 1);
    for (int i = 0; i < 40; i++) wrong += !hold(g);
    ok(!wrong && load(g, 0) >= 15 && load(g, 1) >= 15, "one without a time is as the other: %u %u", load(g, 0), load(g, 1));
}

/* Whatever the method, all peers are tried once, then backups, and a failed one is left out. */
static void test_rules(enum method m)
{
    set_key(1);
    struct group *g = make_private(m, "1 3 1d 2 1 1b");
    struct pick p;
    unsigned seen[6] = { 0 }, n = 0;
    char last = 0;
    pick_open(&p, g, pool, &eval);
    for (; pick_next(&p); n++) {
        last = letter(p.peer);
        seen[last - 'a']++;
        pick_done(&p, PEER_PASSED, &quiet, NULL);
    }
    ok(n == 5 && last == 'f', "%s: five tries, the backup last", names[m]);
    ok(seen[0] == 1 && seen[1] == 1 && seen[2] == 0 && seen[3] == 1 && seen[4] == 1, "%s: nobody twice", names[m]);
    is_int(p.tries, 0, names[m]);
    char bad = once(g, PEER_FAILED);
    unsigned again = 0;
    for (unsigned i = 0; i < 200; i++) {
        set_key(i);
        again += once(g, PEER_WELL) == bad;
    }
    is_int(again, 0, names[m]);
    g = make_private(m, "1c3 1c4 2c5");
    unsigned held = 0;
    for (unsigned i = 0; i < 20; i++) held += hold(g) != '-';
    is_int(held, 12, names[m]);
    ok(load(g, 0) == 3 && load(g, 1) == 4 && load(g, 2) == 5, "%s: all full, none over", names[m]);
    g = make_private(m, "1b 1b");
    ok(once(g, PEER_WELL) != '-', "%s: nothing but backups", names[m]);
    pick_open(&p, g, pool, NULL);
    ok(pick_next(&p) != NULL, "%s: no key to be had", names[m]);
}

/* Picks by n keys must fall within 5 % of all by weight. */
static void test_spread(enum method m)
{
    struct group *g = make_private(m, "4 3 2 1");
    unsigned count[4] = { 0 }, wrong = 0;
    for (unsigned i = 0; i < 20000; i++) {
        set_key(i);
        count[once(g, PEER_WELL) - 'a']++;
    }
    for (int i = 0; i < 4; i++) wrong += count[i] + 1000 < 2000u * (4 - i) || count[i] > 2000u * (4 - i) + 1000;
    ok(!wrong, "%s: 20000 by 4, 3, 2, 1: %u %u %u %u", names[m], count[0], count[1], count[2], count[3]);
}

static void test_faithful(enum method m)
{
    static char first[2000];
    struct group *g = make_private(m, "1 1 1 1 1 1 1 1");
    for (unsigned i = 0; i < sizeof first; i++) {
        set_key(i);
        first[i] = once(g, PEER_WELL);
    }
    unsigned moved = 0, lost = 0;
    for (unsigned i = 0; i < sizeof first; i++) {
        set_key(i);
        moved += once(g, PEER_WELL) != first[i];
    }
    is_int(moved, 0, names[m]);
    g = make_private(m, "1 1 1 1 1 1 1");
    for (unsigned i = 0; i < sizeof first; i++) {
        set_key(i);
        bool same = once(g, PEER_WELL) == first[i];
        if (first[i] == 'h') lost++; else moved += !same;
    }
    if (m == RING) ok(!moved && lost > 100, "one server less: its %u keys move, no other", lost);
}

static void test_random_two(void)
{
    struct group *g = make_private(RANDOM_TWO, "1 1 1 1 1 1 1 1 1 1");
    uint32_t most = 0, fewest = UINT32_MAX;
    for (unsigned i = 0; i < 5000; i++) hold(g);
    for (unsigned i = 0; i < 10; i++) {
        most = max_of(most, load(g, i));
        fewest = min_of(fewest, load(g, i));
    }
    ok(most - fewest <= 12, "two choices keep 5000 requests even: %u to %u", fewest, most);
}

/* The ring as nginx has it, made the plain way: whose point is the first not below the key's hash? */
struct point { uint32_t hash, server; };

static int by_hash(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->server < y->server ? -1 : x->server > y->server;
}

static void test_ring_is_nginx(unsigned servers)
{
    struct group *g;
    struct conf *cf = begin("ring", &g);
    struct point *points = pool_alloc(pool, sizeof *points * servers * 3 * 160);
    size_t n = 0;
    unsigned wrong = 0, keys = 0;
    for (unsigned i = 0; i < servers; i++) {
        struct group_server s = { .address = pool_printf(pool, "127.0.0.1:%u", 1000 + i), .weight = 1 + i % 3, .max_fails = 1, .fail_timeout_ms = 10000 };
        group_add_server(cf, g, &s);
        char host[32];
        int size = snprintf(host, sizeof host, "127.0.0.1%c%u", 0, 1000 + i);
        uint32_t base = (uint32_t) crc32(0, (Bytef *) host, (uInt) size), before = 0;
        for (unsigned k = 0; k < s.weight * 160; k++) {
            before = (uint32_t) crc32(base, (Bytef *) &before, 4);       /* little-endian here */
            points[n++] = (struct point) { before, i };
        }
    }
    choose(cf, g, RING);
    finish(cf);
    state_private(g, pool);
    qsort(points, n, sizeof *points, by_hash);
    for (unsigned i = 0; i < 20000; i++, keys++) {
        set_key(i);
        uint32_t hash = (uint32_t) crc32(0, (const Bytef *) key.p, (uInt) key.n);
        size_t low = 0, high = n;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (points[middle].hash < hash) low = middle + 1; else high = middle;
        }
        struct pick p;
        pick_open(&p, g, pool, &eval);
        wrong += pick_next(&p) != &g->set->peers[points[low % n].server];
        pick_done(&p, PEER_WELL, &quiet, NULL);
    }
    is_int(wrong, 0, "the ring of nginx");
    diag("%u servers, %zu points, %u keys", servers, n, keys);
}

/* One key alone, and many: nobody gets more than his part and a quarter, and only who would is passed by. */
static void test_bounded(void)
{
    struct group *g = make_private(BOUNDED, "1 1 2 1 1 1 1");
    unsigned over = 0, sum = 0, moved = 0;
    for (unsigned n = 1; n <= 2000; n++) {
        set_key(n <= 1000 ? 5 : n);
        hold(g);
        for (uint32_t i = 0; i < g->set->count; i++) over += load(g, i) > 1.25 * n * g->set->peers[i].weight / 8 + 1;
    }
    is_int(over, 0, "bounded");
    for (unsigned i = 0; i < g->set->count; i++) sum += load(g, i);
    is_int(sum, 2000, "all are held");
    static char first[1000];
    struct group *unbounded = make_private(RING, "1 1 2 1 1 1 1");
    for (unsigned i = 0; i < sizeof first; i++) {
        set_key(i);
        first[i] = once(unbounded, PEER_WELL);
    }
    g = make_private(BOUNDED, "1 1 2 1 1 1 1");
    for (unsigned i = 0; i < sizeof first; i++) {
        set_key(i);
        moved += once(g, PEER_WELL) != first[i];
    }
    is_int(moved, 0, "bounded, at rest: as without a bound");
}

/* What one process with many requests in hand, after many that came and went, leaves held. */
static void child(struct group *g, unsigned most, int ready, int hold_now, int end_now)
{
    static struct pick p[64];
    char c = 0;
    unsigned n = 0;
    state_worker_start(sets, 1);
    for (unsigned i = 0; i < 4000; i++) {
        struct pick *q = &p[(i * 7) % 64];
        if (q->peer) pick_done(q, PEER_WELL, &quiet, NULL);
        pick_open(q, g, pool, &eval);
        pick_next(q);
    }
    for (unsigned i = 0; i < 64; i++) pick_done(&p[i], PEER_WELL, &quiet, NULL);
    if (write(ready, &c, 1) != 1 || read(hold_now, &c, 1) != 1) _exit(1);      /* all have given back */
    while (n < most && hold(g) != '-') n++;
    if (write(ready, &c, 1) != 1 || read(end_now, &c, 1) != 1) _exit(1);
    seat_close();
    _exit(0);
}

static void wait_for(int fd, unsigned n)
{
    char c;
    while (n && read(fd, &c, 1) == 1) n--;
    is_int(n, 0, "all have come so far");
}

/* Four processes, each holding at most most; returns what each peer has then. */
static void run_four(struct group *g, unsigned most, uint32_t *loads)
{
    int ready[2], go[2][2];
    pid_t pids[4];
    ok(!pipe(ready) && !pipe(go[0]) && !pipe(go[1]), "pipes");
    for (unsigned i = 0; i < 4; i++) {
        fflush(stdout);
        pids[i] = fork();
        if (!pids[i]) child(g, most, ready[1], go[0][0], go[1][0]);
    }
    for (unsigned turn = 0; turn < 2; turn++) {
        wait_for(ready[0], 4);
        for (uint32_t i = 0; turn && i < g->set->count; i++) loads[i] = load(g, i);
        ok(write(go[turn][1], "1234", 4) == 4, "go on");
    }
    for (unsigned i = 0; i < 4; i++) waitpid(pids[i], NULL, 0);
    for (unsigned i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[0][i]);
        close(go[1][i]);
    }
    uint32_t left = 0;
    for (uint32_t i = 0; i < g->set->count; i++) left += load(g, i);
    is_int(left, 0, "nothing is held after them");
}

static void test_shared(void)
{
    uint32_t loads[5];
    struct group *g = make("even", LEAST_CONN, "1 1 2 1 5");
    ok(state_open(sets, pool) != 0, "zone");
    run_four(g, 250, loads);
    ok(loads[0] == 100 && loads[1] == 100 && loads[2] == 200 && loads[3] == 100 && loads[4] == 500, "least_conn by four processes, exactly: %u %u %u %u %u",
       loads[0], loads[1], loads[2], loads[3], loads[4]);
    for (enum method m = LEAST_CONN; m < METHODS; m++) {
        set_key(m);
        g = make(names[m], m, "1c10 1c20 2c30 1c40 5c50");
        ok(state_open(sets, pool) != 0, "zone");
        run_four(g, 500, loads);
        ok(loads[0] == 10 && loads[1] == 20 && loads[2] == 30 && loads[3] == 40 && loads[4] == 50, "%s: max_conns by four processes, exactly: %u %u %u %u %u", names[m],
           loads[0], loads[1], loads[2], loads[3], loads[4]);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static bool asks_one(struct group *g, unsigned i)
{
    struct pick p;
    struct pool *request = pool_open(0);
    set_key(i);
    pick_open(&p, g, request, &eval);
    bool found = pick_next(&p) != NULL;
    pick_done(&p, PEER_WELL, &quiet, NULL);
    pool_close(&request);
    return found;
}

/* Figures only: sanitizers make them too large here. */
static void test_many(enum method m)
{
    enum { MANY = 10000, PICKS = 2000, ROUNDS = 5 };
    struct group *g;
    double since = now();
    struct conf *cf = begin("many", &g);
    for (unsigned i = 0; i < MANY; i++) {
        struct group_server s = { .address = pool_printf(pool, "10.0.%u.%u:80", i >> 8, i & 255), .weight = 1 + i % 3, .max_fails = 1, .fail_timeout_ms = 10000 };
        group_add_server(cf, g, &s);
    }
    choose(cf, g, m);
    finish(cf);
    state_private(g, pool);
    double made = now(), best = 1e12;
    unsigned found = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double began = now();
        for (unsigned i = 0; i < PICKS; i++) found += asks_one(g, round * PICKS + i);
        best = min_of(best, (now() - began) / PICKS);
    }
    ok(found == PICKS * ROUNDS, "%s: %u peers", names[m], MANY);
    diag("%s: %u peers: made in %.0f ms, %.0f ns a request", names[m], MANY, (made - since) / 1e6, best);
}

int main(void)
{
    listen_in();
    ok(conf_register(), "registered");
    clock_real();
    test_shares();
    test_least_conn();
    test_least_time();
    test_unfinished();
    test_random_two();
    test_random_time();
    test_bounded();
    for (unsigned n = 1; n <= 700; n = n * 3 + 1) test_ring_is_nginx(n);
    for (enum method m = LEAST_CONN; m < METHODS; m++) test_rules(m);
    for (enum method m = IP_HASH; m < RANDOM_TWO; m++) test_spread(m);
    for (enum method m = IP_HASH; m < RANDOM; m++) test_faithful(m);
    test_shared();
    for (enum method m = LEAST_CONN; m < METHODS; m++) test_many(m);
    pool_close(&pool);
    return done();
}
