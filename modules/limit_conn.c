/*
 * limit_conn: how many requests of a key may be served at the same time, over all workers. A zone has two kinds of records: one
 * a key with the sum, and one a key and process with that process's part. What a process had when it died is given back when
 * the next one starts: its parts are dropped, and the sums are made again from the parts that are left.
 */
#include "modules/module.h"
#include "http/limit_zone.h"
#include "http/steps.h"
#include "os/metrics.h"
#include "os/spawn.h"
#include <unistd.h>

enum { ORDER_LIMIT_CONN = 10 };

/* pid 0: this is the sum. began: of the process (spawn_began), since its pid may be another's later. */
struct part { struct siphash sum; uint64_t began; uint32_t pid; uint32_t count; };

struct limit { struct limit_zone *zone; uint32_t most; };
struct limits { struct limit *v; size_t n, cap; };

struct limit_conn_conf {
    struct limits limits;
    int64_t       status;
    int           log_level;
    flag          dry_run;
    struct table *zones;           /* of the top */
};

extern struct module limit_conn_module;

/* ---- reading ---- */

static struct table **zones_of(struct conf *cf)
{
    struct limit_conn_conf *top = conf_own_values(cf, cf->top, &limit_conn_module);
    return &top->zones;
}

static conf_result parse_zone(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return limit_zone_read(cf, zones_of(cf), NULL, &(struct limit_zone) { 0 });
}

static conf_result parse_limit(struct conf *cf, const struct directive *d, void *field)
{
    struct limits *limits = field;
    uint64_t most;
    (void) d;
    struct limit_zone *z = limit_zone_named(cf, zones_of(cf), cf->words[1]);
    for (size_t i = 0; i < limits->n; i++)
        if (limits->v[i].zone == z) return conf_duplicate;
    if (!text_u64(cf->words[2], &most) || most == 0) return conf_say(cf, "!invalid number of connections \"%.*s\"", TEXT_ARG(cf->words[2]));
    if (most > 65535) return "!connection limit must be less 65536";
    if (limits->n == limits->cap) limits->v = pool_grow(cf->pool, limits->v, limits->n, &limits->cap, sizeof *limits->v);
    limits->v[limits->n++] = (struct limit) { z, (uint32_t) most };
    return NULL;
}

static conf_result finish(struct conf *cf, void *values)
{
    const struct limit_conn_conf *top = values;
    limit_zones_check(cf, top->zones);
    return NULL;
}

static bool open_zones(struct cycle *c)
{
    const struct limit_conn_conf *top = conf_values(c->conf->top, &limit_conn_module);
    return limit_zones_open(c, top->zones, "limit_conn", sizeof(struct part));
}

/* ---- the table ---- */

static uint32_t own_pid;         /* set when the worker begins */
static uint64_t own_began;

/* What was seen of processes while a table is settled: few of them have many parts. */
struct seen { uint32_t pid; uint64_t began; };
enum { SEEN = 64 };

static bool is_gone(const struct part *p, struct seen seen[SEEN])
{
    struct seen *s = &seen[p->pid % SEEN];
    if (s->pid != p->pid) *s = (struct seen) { p->pid, spawn_began((pid_t) p->pid) };
    return s->began == 0 || (s->began != UINT64_MAX && p->began != UINT64_MAX && s->began != p->began);
}

/* Drops the parts of processes that are no more, and makes the sums again. */
static void settle(struct shm_table *t)
{
    struct part *p, *sum;
    struct seen seen[SEEN] = { 0 };
    for (uint32_t at = 0; (p = shm_table_next(t, &at)) != NULL;)
        if (!p->pid) p->count = 0;
    for (uint32_t at = 0; (p = shm_table_next(t, &at)) != NULL;) {
        if (!p->pid) continue;
        if (is_gone(p, seen)) shm_table_drop(t, p);
        else if ((sum = shm_table_find(t, p->sum)) != NULL) sum->count += p->count;
    }
    for (uint32_t at = 0; (p = shm_table_next(t, &at)) != NULL;)
        if (!p->pid && !p->count) shm_table_drop(t, p);
}

static void enter(struct shm_table *t)
{
    if (!shm_table_enter(t)) settle(t);
}

static struct siphash part_key(const struct shm_table *t, struct siphash sum)
{
    struct { struct siphash sum; uint64_t pid, began; } k = { sum, own_pid, own_began };
    return shm_table_key(t, text_of((const char *) &k, sizeof k));
}

static struct part *find_or_add(struct shm_table *t, struct siphash key, struct siphash sum, uint32_t pid)
{
    struct part *p = shm_table_find(t, key);
    if (!p && (p = shm_table_add(t, key)) != NULL) *p = (struct part) { .sum = sum, .began = pid ? own_began : 0, .pid = pid };
    return p;
}

enum answer { COUNTED, TOO_MANY, FULL };

/* The sum is there before its parts and goes after them. */
static enum answer count_one(struct shm_table *t, struct siphash key, uint32_t most)
{
    struct part *sum = find_or_add(t, key, key, 0);
    if (!sum) return FULL;
    if (sum->count >= most) return TOO_MANY;
    struct part *own = find_or_add(t, part_key(t, key), key, own_pid);
    if (!own) {
        if (!sum->count) shm_table_drop(t, sum);
        return FULL;
    }
    own->count++;
    sum->count++;
    return COUNTED;
}

static void drop_one(struct shm_table *t, struct siphash key)
{
    struct part *own = shm_table_find(t, part_key(t, key)), *sum = shm_table_find(t, key);
    if (!own || !own->count) return;
    if (--own->count == 0) shm_table_drop(t, own);
    if (sum && sum->count && --sum->count == 0) shm_table_drop(t, sum);
}

static enum answer take(struct limit_zone *z, struct siphash key, uint32_t most)
{
    enter(z->table);
    enum answer a = count_one(z->table, key, most);
    shm_table_leave(z->table);
    return a;
}

static void give_back(struct limit_zone *z, struct siphash key)
{
    enter(z->table);
    drop_one(z->table, key);
    shm_table_leave(z->table);
}

static void know_self(void)
{
    own_pid = (uint32_t) getpid();
    own_began = spawn_began(getpid());
    if (!own_began) own_began = UINT64_MAX;
}

/* In a worker that begins: it may stand in for one that died. */
static void settle_all(struct cycle *c, unsigned slot)
{
    const struct limit_conn_conf *top = conf_values(c->conf->top, &limit_conn_module);
    const struct limit_zone *z;
    (void) slot;
    know_self();
    for (size_t at = 0; (z = limit_zone_next(top->zones, &at)) != NULL;) {
        shm_table_enter(z->table);
        settle(z->table);
        shm_table_leave(z->table);
    }
}

/* ---- a request ---- */

enum { STATUS_NONE, PASSED, REJECTED, REJECTED_DRY_RUN };
static const struct text status_words[] = { { NULL, 0 }, TEXT_INIT("PASSED"), TEXT_INIT("REJECTED"), TEXT_INIT("REJECTED_DRY_RUN") };

struct held { struct held *next; struct limit_zone *zone; struct siphash key; };
struct holds { struct held *first; };

static void release(struct request *r, void *arg)
{
    struct holds *all = arg;
    (void) r;
    for (; all->first; all->first = all->first->next) give_back(all->first->zone, all->first->key);
}

static struct verdict refuse(struct request *r, const struct limit_conn_conf *c, struct limit_zone *z, enum answer why)
{
    if (why == TOO_MANY)
        request_log(r, (enum log_level) c->log_level, 0, "limiting connections%s by zone \"%.*s\"", c->dry_run.on ? ", dry run," : "", TEXT_ARG(z->name));
    else if (limit_zone_may_tell(z))
        request_log(r, L_ERR, 0, "zone \"%.*s\" of limit_conn is full: requests of new keys are refused", TEXT_ARG(z->name));
    metrics_add(METRIC_LIMIT_CONN_REJECTED, 1);
    limit_zone_count(z, c->dry_run.on ? LIMIT_REJECTED_DRY_RUN : LIMIT_REJECTED);
    r->main->limit_conn_status = c->dry_run.on ? REJECTED_DRY_RUN : REJECTED;
    return c->dry_run.on ? v_next() : v_reply((int) c->status);
}

static struct verdict limit(struct request *r)
{
    const struct limit_conn_conf *c = request_values(r, &limit_conn_module);
    struct holds *holds = NULL;
    if (!c->limits.n || r->main->limit_conn_status) return v_next();
    for (size_t i = 0; i < c->limits.n; i++) {
        const struct limit *l = &c->limits.v[i];
        struct siphash key;
        if (!limit_zone_key(l->zone, r, &key)) continue;
        enum answer a = take(l->zone, key, l->most);
        if (a != COUNTED) {
            if (holds) release(r, holds);
            return refuse(r, c, l->zone, a);
        }
        r->main->limit_conn_status = PASSED;
        if (!holds) {
            holds = pool_new(r->main->pool, struct holds);
            request_at_close(r->main, release, holds);
        }
        struct held *h = pool_new(r->main->pool, struct held);
        *h = (struct held) { holds->first, l->zone, key };
        holds->first = h;
    }
    if (holds) metrics_add(METRIC_LIMIT_CONN_PASSED, 1);
    for (const struct held *h = holds ? holds->first : NULL; h; h = h->next) limit_zone_count(h->zone, LIMIT_PASSED);
    return v_next();
}

static bool get_status(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    *out = status_words[request_of(e)->main->limit_conn_status];
    return out->n != 0;
}

static const struct variable variables[] = {
    { .name = "limit_conn_status", .get = get_status, .flags = VAR_NO_CACHE, .help = "What limit_conn decided: PASSED, REJECTED or REJECTED_DRY_RUN." },
    { .name = NULL },
};

static const struct limit_count_name counts[] = { { LIMIT_PASSED, "passed" }, { LIMIT_REJECTED, "rejected" }, { LIMIT_REJECTED_DRY_RUN, "rejected_dry_run" }, { 0, NULL } };
static const struct limit_zones_shown shown = { counts, "limit_conn", "LimitConnNotFound", NULL };

static int serve(struct api_call *c)
{
    return limit_zones_serve(c, ((const struct limit_conn_conf *) conf_values(cycle_current->conf->top, &limit_conn_module))->zones, &shown);
}

static const struct conf_type type_zone = { .syntax = "key zone=name:size [ipv6_prefix=bits]", .flags = CONF_MULTI, .min = 2, .max = 3, .parse = parse_zone };
static const struct conf_type type_limit = { .syntax = "zone number", .size = sizeof(struct limits), .flags = CONF_MULTI, .min = 2, .max = 2, .parse = parse_limit };
static const struct conf_choice levels[] = { { "info", L_INFO }, { "notice", L_NOTICE }, { "warn", L_WARN }, { "error", L_ERR }, { NULL, 0 } };
static const struct conf_bounds statuses = { 400, 599 };

static const struct directive rows[] = {
    D_DO(&type_zone, "limit_conn_zone", IN_HTTP, NULL, NULL, "Shared memory that counts the requests of each key that are being served."),
    D_TYPE(struct limit_conn_conf, limits, struct limits, &type_limit, "limit_conn", IN_HSL, NULL, "How many requests of one key of a zone may be served at the same time."),
    { .name = "limit_conn_status", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct limit_conn_conf, status, int64_t), .dflt = "503", .data = &statuses, .help = "The status of requests that limit_conn refuses." },
    D_ENUM(struct limit_conn_conf, log_level, "limit_conn_log_level", IN_HSL, "error", levels, "The level at which requests that limit_conn refuses are logged."),
    D_FLAG(struct limit_conn_conf, dry_run, "limit_conn_dry_run", IN_HSL, "off", "Whether requests are only counted and logged, and none is refused."),
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_preaccess, .name = "limit_conn", .run = limit, .order = ORDER_LIMIT_CONN }, { .step = NULL } };
static const struct http_part part = { .variables = variables, .hooks = hooks, .if_given = true };
static const struct process_part process = { .open = open_zones, .worker_start = settle_all };
static const struct api_part api[] = { { "http", "limit_conns", 6, 1u << METHOD_DELETE, true, serve }, { 0 } };
static const struct module api_module = { .name = "limit_conn_api", .part = api, .part_kind = &api_part_kind };
static const struct module zones = { .name = "limit_conn_zones", .part = &process, .part_kind = &process_part_kind, .extra = &api_module };

struct module limit_conn_module = {
    .name = "limit_conn", .conf_size = sizeof(struct limit_conn_conf), .rows = rows, .finish = finish, .part = &part, .part_kind = &http_part_kind, .extra = &zones,
};
