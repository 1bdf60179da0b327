#include "upstream/health.h"
#include "process/cycle.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

/* At once: enough that peers that hang do not keep others from being asked, and not all connections of the process. */
enum { RUNNING_MOST = 256, RUNNING_LEAST = 8, FOLLOW_MS = 200, FIRST_WITHIN_MS = 1000, NEW_WITHIN_MS = 20 };

/* In memory that all processes of a generation share. */
struct begun { struct shm_lock lock; uint32_t done; };

struct health_conf { struct health_check *first, *last; struct begun *begun; };

static struct health_check  *checks;
static unsigned              running;
static struct health_target *first_waiting, *last_waiting;

/* ---- chance ---- */

static uint64_t chance(uint64_t below)
{
    static uint64_t x;
    if (!x && (getrandom(&x, sizeof x, GRND_NONBLOCK) < 0 || !x)) x = clock_now.wall_ms | 1;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return below ? x % below : 0;
}

/* ---- whose turn it is ---- */

static unsigned most_running(void)
{
    return max_of(min_of(conn_figures.most / 2, (unsigned) RUNNING_MOST), (unsigned) RUNNING_LEAST);
}

static void begin(struct health_target *t)
{
    t->running = true;
    running++;
    t->check->probe->start(t);
}

static void wait_turn(struct health_target *t)
{
    t->is_waiting = true;
    t->waits = NULL;
    if (last_waiting) last_waiting->waits = t;
    else first_waiting = t;
    last_waiting = t;
}

static void leave_queue(struct health_target *t)
{
    struct health_target *before = NULL;
    if (!t->is_waiting) return;
    for (struct health_target *w = first_waiting; w && w != t; w = w->waits) before = w;
    if (before) before->waits = t->waits;
    else first_waiting = t->waits;
    if (last_waiting == t) last_waiting = before;
    t->is_waiting = false;
}

static void run_waiting(void)
{
    while (first_waiting && running < most_running()) {
        struct health_target *t = first_waiting;
        leave_queue(t);
        begin(t);
    }
}

/* Never sooner than the interval, however a peer flaps. */
static void schedule(struct health_target *t)
{
    timer_set(&t->timer, t->check->interval_ms + chance(t->check->jitter_ms + 1));
}

static bool is_down(const struct peer *p) { return atomic_load_explicit(&p->state->marks, memory_order_relaxed) & PEER_DOWN; }

static void fire(struct timer *timer)
{
    struct health_target *t = container_of(timer, struct health_target, timer);
    NEED(t, HEALTH_TARGET_MAGIC);
    if (is_down(t->peer)) schedule(t);           /* nobody asks it, and nobody expects it to answer */
    else if (running < most_running()) begin(t);
    else wait_turn(t);
}

/* ---- what is known ---- */

static struct health_target *target_of(const struct health_check *h, const uint32_t *id)
{
    return h->set ? table_get(&h->by_id, text_of((const char *) id, sizeof *id)) : NULL;
}

/* One bad verdict of any check is enough. */
static void settle(struct health_target *t)
{
    const struct health_target *bad = NULL, *new = NULL;
    for (const struct health_check *h = checks; h; h = h->next) {
        const struct health_target *other = h->group == t->check->group ? target_of(h, &t->id) : NULL;
        if (other && other->verdict == HEALTH_BAD) bad = other;
        if (other && other->verdict == HEALTH_NEW) new = other;
    }
    uint32_t want = bad ? PEER_UNHEALTHY : new ? PEER_CHECKING : 0;
    uint32_t have = atomic_load(&t->peer->state->marks) & (PEER_UNHEALTHY | PEER_CHECKING);
    if (want == have || (want == PEER_CHECKING && have & PEER_UNHEALTHY)) return;
    peer_set_health(t->peer, want, bad ? bad->why : new ? "its health is to be checked first" : "health check passed");
}

static void judge(struct health_target *t, bool passed)
{
    const struct health_check *h = t->check;
    enum health_verdict heading = passed ? HEALTH_GOOD : HEALTH_BAD;
    uint32_t *count = passed ? &t->passes : &t->fails;
    *(passed ? &t->fails : &t->passes) = 0;
    if (t->verdict == heading) *count = 0;
    else if (++*count >= (passed ? h->passes : h->fails)) {
        t->verdict = heading;
        *count = 0;
    }
}

void health_told(struct health_target *t, bool passed, const char *why)
{
    NEED(t, HEALTH_TARGET_MAGIC);
    ASSERT(t->running);
    t->running = false;
    running--;
    if (!passed) {
        snprintf(t->why, sizeof t->why, "%s", why);
        log_at(t->check->log ? t->check->log : log_main, L_INFO, NULL, 0, "health check of peer %.*s of upstream \"%.*s\" failed: %s",
            TEXT_ARG(t->peer->name), TEXT_ARG(t->peer->group->name), why);
    }
    peer_count_check(t->peer, passed);
    judge(t, passed);
    settle(t);
    schedule(t);
    run_waiting();
}

/* ---- targets ---- */

/* What it was before is told by its marks: they outlive managers and generations. */
static enum health_verdict first_verdict(const struct health_check *h, const struct peer *p)
{
    uint32_t marks = atomic_load(&p->state->marks);
    if (marks & PEER_UNHEALTHY) return HEALTH_BAD;
    return h->mandatory && marks & PEER_CHECKING ? HEALTH_NEW : HEALTH_GOOD;
}

static void place(struct health_target *t, struct peer *p)
{
    t->peer = p;
    t->addr = p->addr;
    if (t->check->port && p->addr.family != AF_UNIX) addr_set_port(&t->addr, t->check->port);
    t->seen = true;
}

static struct health_target *open_target(struct health_check *h, struct peer *p)
{
    struct health_target *t = base_zalloc(1, sizeof *t);
    *t = (struct health_target) { .magic = HEALTH_TARGET_MAGIC, .id = p->id, .check = h, .next = h->targets, .timer = { .fire = fire } };
    h->targets = t;
    place(t, p);
    snprintf(t->why, sizeof t->why, "it was unhealthy before");
    return t;
}

static void close_target(struct health_target *t)
{
    NEED(t, HEALTH_TARGET_MAGIC);
    timer_end(&t->timer);
    leave_queue(t);
    if (t->running) {
        t->running = false;
        running--;
        t->check->probe->stop(t);
    }
    if (t->check->probe->end) t->check->probe->end(t);
    t->magic = 0;
    loop_free_later(free, t);
}

static void drop_unseen(struct health_check *h)
{
    for (struct health_target **at = &h->targets; *at;) {
        struct health_target *t = *at;
        if (t->seen) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        close_target(t);
    }
}

/* New targets are placed into the table before any is settled: another check's verdict counts as well. */
static void follow(struct health_check *h)
{
    struct peer_set *set = group_set(h->group);
    if (set == h->set) return;
    struct pool *pool = pool_open(0);
    struct table by_id;
    group_hold(set, pool);
    table_init(&by_id, pool, false);
    for (struct health_target *t = h->targets; t; t = t->next) t->seen = false;
    for (uint32_t i = 0; i < set->count; i++) {
        struct peer *p = &set->peers[i];
        struct health_target *t = target_of(h, &p->id);
        bool is_new = !t;
        if (t) place(t, p);
        else t = open_target(h, p);
        if (is_new) t->verdict = first_verdict(h, p);
        if (is_new) timer_set(&t->timer, 1 + chance(t->verdict == HEALTH_NEW ? NEW_WITHIN_MS : min_of(h->interval_ms, (uint64_t) FIRST_WITHIN_MS)));
        table_put(&by_id, text_of((const char *) &t->id, sizeof t->id), t);
    }
    drop_unseen(h);
    h->by_id = by_id;
    pool_close(&h->pool);
    h->pool = pool;
    h->set = set;
    for (struct health_target *t = h->targets; t; t = t->next) settle(t);
}

/* ---- groups that are not checked any more ---- */

static void forgive(struct group *g)
{
    struct peer_set *set = group_set(g);
    for (uint32_t i = 0; i < set->count; i++)
        if (atomic_load_explicit(&set->peers[i].state->marks, memory_order_relaxed) & (PEER_CHECKING | PEER_UNHEALTHY)) peer_set_health(&set->peers[i], 0, "it is not checked any more");
}

/* ---- the manager's life ---- */

static void fire_follow(struct timer *t)
{
    health_follow();
    timer_set(t, FOLLOW_MS);
}
static struct timer follow_timer = { .fire = fire_follow };

void health_follow(void)
{
    for (struct health_check *h = checks; h; h = h->next)
        if (h->group) follow(h);
}

void health_start(struct health_check *first)
{
    checks = first;
    if (!first) return;
    for (struct health_check *h = first; h; h = h->next) {
        NEED(h, HEALTH_CHECK_MAGIC);
        h->group = h->probe->group(h);
    }
    fire_follow(&follow_timer);
}

void health_stop(void)
{
    timer_end(&follow_timer);
    for (struct health_check *h = checks; h; h = h->next) {
        for (struct health_target *t; (t = h->targets) != NULL;) {
            h->targets = t->next;
            close_target(t);
        }
        h->set = NULL;
        pool_close(&h->pool);
    }
    checks = NULL;
}

void health_add(struct conf *cf, struct health_check *h)
{
    struct health_conf *c = conf_own_values(cf, cf->top, &upstream_health_module);
    NEED(h, HEALTH_CHECK_MAGIC);
    if (c->last) c->last->next = h;
    else c->first = h;
    c->last = h;
}

static struct health_conf *conf_of(const struct cycle *c) { return conf_values(c->conf->top, &upstream_health_module); }

static void unmap(void *p) { munmap(p, sizeof(struct begun)); }

static bool open_cycle(struct cycle *c)
{
    struct health_conf *conf = conf_of(c);
    for (struct health_check *h = conf->first; h; h = h->next) {
        struct group *g = h->probe->group(h);
        if (!g) continue;
        g->checked = true;
        g->mandatory |= h->mandatory;
    }
    if (!conf->first || c->testing) return true;
    void *p = mmap(NULL, sizeof(struct begun), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        log_at(log_main, L_EMERG, NULL, errno, "mmap() failed");
        return false;
    }
    conf->begun = p;
    pool_cleanup(c->pool, unmap, p);
    return true;
}

static void expect(const struct health_check *h, struct group *g)
{
    for (uint32_t i = 0; i < g->set->count; i++) {
        struct peer *p = &g->set->peers[i];
        bool was_good = atomic_load(&p->state->counts.check_passed) == 2;
        if (atomic_load(&p->state->marks) & PEER_UNHEALTHY || (h->persistent && was_good)) continue;
        peer_set_health(p, PEER_CHECKING, "its health is to be checked first");
    }
}

/* The first process of a generation marks the peers that must be checked before they are asked; the others wait for it. */
static void expect_all(const struct health_conf *conf)
{
    if (!conf->first) return;
    shm_lock(&conf->begun->lock);
    for (struct health_check *h = conf->begun->done ? NULL : conf->first; h; h = h->next) {
        struct group *g = h->mandatory ? h->probe->group(h) : NULL;
        if (g) expect(h, g);
    }
    conf->begun->done = 1;
    shm_unlock(&conf->begun->lock);
}

static void start_worker(struct cycle *c, unsigned slot)
{
    (void) slot;
    expect_all(conf_of(c));
}

static void start_manager(struct cycle *c)
{
    const struct health_conf *conf = conf_of(c);
    expect_all(conf);
    health_start(conf->first);
}

static void quit(struct cycle *c)
{
    (void) c;
    health_stop();
}

/* The manager of the generation before may have had a last word. */
static void second(struct cycle *c)
{
    if ((process_kind != PROCESS_MANAGER && process_kind != PROCESS_SINGLE) || process_quitting) return;
    for (unsigned kind = 0; kind < EVAL_KINDS; kind++) {
        const struct groups *gs = groups_serving(c->conf, kind);
        for (struct group *g = gs ? groups_first(gs) : NULL; g; g = g->next)
            if (!g->checked) forgive(g);
    }
}

static const struct process_part part = { .open = open_cycle, .worker_start = start_worker, .manager_start = start_manager, .worker_quit = quit, .second = second };

struct module upstream_health_module = { .name = "upstream_health", .conf_size = sizeof(struct health_conf), .part = &part, .part_kind = &process_part_kind };

/* ---- tcp ---- */

static struct group *group_tcp(struct health_check *h) { return ((struct health_tcp *) h->data)->ref->group; }

static void tell_tcp(struct connect *c, enum connect_end how, int error)
{
    struct health_target *t = container_of(c, struct health_target, connect);
    const char *words = strerrordesc_np(error);
    char why[128];
    snprintf(why, sizeof why, "connect() failed (%d: %s)", error, words ? words : "Unknown error");
    if (how == CONNECT_DONE) conn_close(&c->conn);
    health_told(t, how == CONNECT_DONE, how == CONNECT_TIMEOUT ? "timed out while connecting" : why);
}

static void start_tcp(struct health_target *t)
{
    const struct health_tcp *conf = t->check->data;
    t->connect = (struct connect) { .done = tell_tcp };
    connect_start(&t->connect, &(struct connect_want) { .to = &t->addr, .timeout_ms = conf->timeout_ms, .log = t->check->log ? t->check->log : log_main });
}

static void stop_tcp(struct health_target *t) { connect_cancel(&t->connect); }

const struct health_probe health_probe_tcp = { .name = "tcp", .group = group_tcp, .start = start_tcp, .stop = stop_tcp };
