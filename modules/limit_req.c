/*
 * limit_req: how many requests of a key may come in some time, over all workers. The buckets of a zone lie in shared memory
 * under the digests of their keys. A request that several zones count is counted in one after the other, and given back where
 * a later one refuses it. Zones that several servers count together: limit_req_sync.c.
 */
#include "modules/limit_req.h"
#include "modules/module.h"
#include "http/steps.h"
#include "os/metrics.h"

enum { ORDER_LIMIT_REQ = 0 };

struct limit { struct limit_zone *zone; int64_t burst, delay; };     /* in parts; delay: above it requests wait */
struct limits { struct limit *v; size_t n, cap; };

enum { FIELDS_RETRY_AFTER = 1, FIELDS_RATE_LIMIT = 2 };

struct limit_req_conf {
    struct limits limits;
    int64_t       status;
    int           log_level;
    flag          dry_run;
    unsigned      fields;
    struct table *zones;           /* of the top */
    struct limit_server *servers;  /* of the top */
};

extern struct module limit_req_module;

/* ---- reading ---- */

/* All zones of the configuration. */
static struct table **zones_of(struct conf *cf)
{
    struct limit_req_conf *top = conf_own_values(cf, cf->top, &limit_req_module);
    return &top->zones;
}

/* "rate=10r/s", "rate=7r/m", "rate=100r/h", "rate=5r/d" */
static bool read_rate(struct text t, struct limit_zone *told)
{
    static const struct { struct text unit; uint32_t ms; } units[] = {
        { TEXT_INIT("r/s"), 1000 }, { TEXT_INIT("r/m"), 60000 }, { TEXT_INIT("r/h"), 3600000 }, { TEXT_INIT("r/d"), 86400000 },
    };
    uint64_t n, ms = 1000;
    t = text_from(t, strlen("rate="));
    for (size_t i = 0; i < countof(units); i++) {
        if (!text_ends(t, units[i].unit)) continue;
        ms = units[i].ms;
        t.n -= units[i].unit.n;
        break;
    }
    if (!text_u64(t, &n) || n == 0 || n > INT32_MAX) return false;
    told->rate = n * (LIMIT_COST / ms);
    return true;
}

static bool read_word(struct conf *cf, struct text word, struct limit_zone *told, conf_result *why_out)
{
    struct limit_req_conf *top = conf_own_values(cf, cf->top, &limit_req_module);
    if (!text_starts(word, T("rate="))) return limit_sync_read(cf, &top->servers, word, told, why_out);
    if (!read_rate(word, told)) *why_out = conf_say(cf, "!invalid rate \"%.*s\"", TEXT_ARG(word));
    return true;
}

static conf_result parse_zone(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return limit_zone_read(cf, zones_of(cf), read_word, &(struct limit_zone) { .rate = LIMIT_COST / 1000 });
}

static bool read_count(struct text t, uint64_t *out) { return text_u64(t, out) && *out <= INT32_MAX; }

static conf_result parse_limit(struct conf *cf, const struct directive *d, void *field)
{
    struct limits *limits = field;
    struct limit_zone *z = NULL;
    uint64_t burst = 0, delay = 0;
    bool nodelay = false;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        struct text word = cf->words[i], value = text_from(word, (size_t) (text_find_char(word, '=') + 1));
        if (text_starts(word, T("zone="))) {
            if (!value.n) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
            z = limit_zone_named(cf, zones_of(cf), value);
        } else if (text_starts(word, T("burst="))) {
            if (!read_count(value, &burst) || !burst) return conf_say(cf, "!invalid burst value \"%.*s\"", TEXT_ARG(word));
        } else if (text_starts(word, T("delay="))) {
            if (!read_count(value, &delay) || !delay) return conf_say(cf, "!invalid delay value \"%.*s\"", TEXT_ARG(word));
        } else if (text_eq(word, T("nodelay"))) {
            nodelay = true;
        } else {
            return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
        }
    }
    if (!z) return conf_say(cf, "!\"limit_req\" must have \"zone\" parameter");
    for (size_t i = 0; i < limits->n; i++)
        if (limits->v[i].zone == z) return conf_duplicate;
    if (limits->n == limits->cap) limits->v = pool_grow(cf->pool, limits->v, limits->n, &limits->cap, sizeof *limits->v);
    limits->v[limits->n++] = (struct limit) { z, (int64_t) burst * LIMIT_COST, nodelay ? INT64_MAX : (int64_t) delay * LIMIT_COST };
    return NULL;
}

static conf_result finish(struct conf *cf, void *values)
{
    const struct limit_req_conf *top = values;
    limit_zones_check(cf, top->zones);
    limit_sync_check(cf, top->zones);
    return NULL;
}

static const struct limit_req_conf *top_of(const struct cycle *c) { return conf_values(c->conf->top, &limit_req_module); }

static void start(struct cycle *c, unsigned slot)
{
    (void) slot;
    limit_sync_start(c, top_of(c)->zones, top_of(c)->servers);
}

static void stop(struct cycle *c) { limit_sync_stop(top_of(c)->servers); }

static bool open_zones(struct cycle *c)
{
    return limit_zones_open(c, top_of(c)->zones, "limit_req", sizeof(struct limit_bucket));
}

/* ---- counting ---- */

/* A full zone forgets who has not come for longest. Where that one still had something to wait for, this is told. */
static struct limit_bucket *make_room(struct limit_zone *z, struct siphash key, bool *forgot_out)
{
    struct limit_bucket *oldest = shm_table_oldest(z->table);
    if (limit_bucket_with(oldest, z->rate, clock_now.ms) > 0) *forgot_out = true;
    shm_table_drop(z->table, oldest);
    return shm_table_add(z->table, key);
}

static bool take(struct limit_zone *z, struct siphash key, int64_t burst, struct request *r, int64_t *excess_out)
{
    bool forgot = false;
    shm_table_enter(z->table);
    struct limit_bucket *b = shm_table_find(z->table, key);
    if (!b) b = shm_table_add(z->table, key);
    if (!b) b = make_room(z, key, &forgot);
    bool fits = limit_bucket_take(b, z->rate, burst, clock_now.ms, excess_out);
    shm_table_leave(z->table);
    if (forgot && limit_zone_may_tell(z))
        request_log(r, L_WARN, 0, "zone \"%.*s\" of limit_req is full: the oldest keys are forgotten before their time", TEXT_ARG(z->name));
    return fits;
}

/* The bucket is as it was found elsewhere. */
static void set(struct limit_zone *z, struct siphash key, int64_t excess)
{
    bool forgot;
    shm_table_enter(z->table);
    struct limit_bucket *b = shm_table_find(z->table, key);
    if (!b) b = shm_table_add(z->table, key);
    if (!b) b = make_room(z, key, &forgot);
    *b = (struct limit_bucket) { clock_now.ms, excess };
    shm_table_leave(z->table);
}

static void give_back(struct limit_zone *z, struct siphash key)
{
    shm_table_enter(z->table);
    struct limit_bucket *b = shm_table_find(z->table, key);
    if (b) limit_bucket_return(b);
    shm_table_leave(z->table);
}

/* ---- a request ---- */

enum { STATUS_NONE, PASSED, DELAYED, REJECTED, DELAYED_DRY_RUN, REJECTED_DRY_RUN };
static const struct text status_words[] = {
    { NULL, 0 }, TEXT_INIT("PASSED"), TEXT_INIT("DELAYED"), TEXT_INIT("REJECTED"), TEXT_INIT("DELAYED_DRY_RUN"), TEXT_INIT("REJECTED_DRY_RUN"),
};

struct counted { bool counts, together; struct text text; struct siphash key; int64_t excess; };

struct outcome { const struct limit *refused, *slowest; int64_t excess, slowest_excess; uint64_t delay_ms; };

/* A request on its way through the limits. */
struct counting {
    struct timer           timer;           /* for how long it waits for answers, then its delay */
    struct request        *r;
    const struct limits   *limits;
    struct limit_question *asked;           /* waits for this, or has waited */
    bool                   late, answered, fits, delayed;
    size_t                 at, late_at;     /* late_at: whose answer is not waited for any more */
    struct outcome         o;
    struct counted         counted[];
};

static const struct limit *limit_of(const struct counting *k) { return &k->limits->v[k->at]; }

static void told(void *arg, const int64_t *answer)
{
    struct counting *k = arg;
    struct counted *c = &k->counted[k->at];
    struct limit_zone *z = limit_of(k)->zone;
    k->asked = NULL;
    if (k->late) {          /* what becomes of the request was not decided yet: it may be given back still */
        k->counted[k->late_at].together = answer && answer[0];
        return;
    }
    k->answered = true;
    limit_zone_count(z, answer ? LIMIT_COUNTED_TOGETHER : LIMIT_ALONE);
    if (answer) {
        c->together = k->fits = answer[0];
        c->excess = answer[1];
        if (k->fits) set(z, c->key, c->excess);
    } else {
        k->fits = take(z, c->key, limit_of(k)->burst, k->r, &c->excess);
    }
    request_resume(k->r);
}

/* Nobody waits any longer: what is known here decides. */
static void be_late(struct counting *k)
{
    const struct limit *l = limit_of(k);
    k->late = k->answered = true;
    k->late_at = k->at;
    limit_zone_count(l->zone, LIMIT_LATE);
    k->fits = take(l->zone, k->counted[k->at].key, l->burst, k->r, &k->counted[k->at].excess);
}

static bool ask(struct counting *k)
{
    const struct limit *l = limit_of(k);
    if (!l->zone->more || k->late) return false;
    k->asked = limit_sync_take(l->zone, k->counted[k->at].text, l->burst, told, k);
    if (!k->asked) limit_zone_count(l->zone, LIMIT_ALONE);
    else if (!timer_is_set(&k->timer)) timer_set(&k->timer, limit_sync_wait_ms(l->zone));
    return k->asked != NULL;
}

static void refuse(struct counting *k)
{
    k->o.refused = limit_of(k);
    k->o.excess = k->counted[k->at].excess;
    for (size_t i = 0; i <= k->at; i++) {
        const struct counted *c = &k->counted[i];
        if (c->counts && i < k->at) give_back(k->limits->v[i].zone, c->key);
        if (c->together) limit_sync_return(k->limits->v[i].zone, c->text);      /* of the one that refuses: its answer came late, and was yes */
    }
}

static void pass(struct counting *k)
{
    const struct limit *l = limit_of(k);
    int64_t excess = k->counted[k->at].excess;
    uint64_t wait = l->delay == INT64_MAX || excess <= l->delay ? 0 : (uint64_t) (excess - l->delay) / l->zone->rate;
    if (wait <= k->o.delay_ms) return;
    k->o.delay_ms = wait;
    k->o.slowest = l;
    k->o.slowest_excess = excess;
}

/* One limit after the other. False: an answer is waited for. */
static bool count(struct counting *k)
{
    for (; k->at < k->limits->n && !k->o.refused; k->at++) {
        const struct limit *l = limit_of(k);
        struct counted *c = &k->counted[k->at];
        if (!k->answered) {
            if (!(c->counts = limit_zone_text(l->zone, k->r, &c->text))) continue;
            c->key = shm_table_key(l->zone->table, c->text);
            if (ask(k)) return false;
            k->fits = take(l->zone, c->key, l->burst, k->r, &c->excess);
        }
        k->answered = false;
        if (k->fits) pass(k);
        else refuse(k);
        if (k->o.refused) break;
    }
    timer_stop(&k->timer);
    if (k->asked) limit_sync_leave(k->asked, !k->o.refused);
    k->asked = NULL;
    return true;
}

static void say(struct request *r, const struct limit_req_conf *c, bool refused, const struct limit *l, int64_t excess)
{
    enum log_level level = (enum log_level) c->log_level;
    unsigned long long thousandths = (unsigned long long) excess / (LIMIT_COST / 1000);
    if (!refused && level != L_INFO) level++;
    request_log(r, level, 0, "%s%s, excess: %llu.%03llu%s by zone \"%.*s\"", refused ? "limiting requests" : "delaying request", c->dry_run.on ? ", dry run" : "",
                thousandths / 1000, thousandths % 1000, refused ? "" : ",", TEXT_ARG(l->zone->name));
}

static uint64_t seconds(uint64_t ms) { return (ms + 999) / 1000; }

/* draft-ietf-httpapi-ratelimit-headers: the quota is what an unused bucket lets through at once, the window how long a full one
 * takes to leak. */
static void add_fields(struct request *r, const struct limit_req_conf *c, const struct counted *counted, const struct outcome *o)
{
    struct build policy = build_in_pool(r->pool, 64, 0), state = build_in_pool(r->pool, 64, 0);
    if (o->refused && c->fields & FIELDS_RETRY_AFTER) {
        uint64_t wait = max_of(seconds(limit_bucket_wait(o->excess, o->refused->burst, o->refused->zone->rate)), (uint64_t) 1);
        response_add(r, FIELD_RETRY_AFTER, T("Retry-After"), pool_printf(r->pool, "%llu", (unsigned long long) wait));
    }
    if (!(c->fields & FIELDS_RATE_LIMIT)) return;
    for (size_t i = 0; i < c->limits.n; i++) {
        const struct limit *l = &c->limits.v[i];
        if (!counted[i].counts) continue;
        bool refused = l == o->refused;
        int64_t left = refused ? 0 : (l->burst - counted[i].excess) / LIMIT_COST;
        uint64_t reset = seconds(limit_bucket_wait(refused ? counted[i].excess - LIMIT_COST : counted[i].excess, 0, l->zone->rate));
        uint64_t window = max_of(seconds(limit_bucket_wait(l->burst + LIMIT_COST, 0, l->zone->rate)), (uint64_t) 1);
        build_fmt(&policy, "%s\"%.*s\";q=%lld;w=%llu", policy.n ? ", " : "", TEXT_ARG(l->zone->name), (long long) (l->burst / LIMIT_COST + 1), (unsigned long long) window);
        build_fmt(&state, "%s\"%.*s\";r=%lld;t=%llu", state.n ? ", " : "", TEXT_ARG(l->zone->name), (long long) left, (unsigned long long) reset);
        if (refused) break;
    }
    if (!policy.n) return;
    response_add(r, FIELD_OTHER, T("RateLimit-Policy"), build_done(&policy));
    response_add(r, FIELD_OTHER, T("RateLimit"), build_done(&state));
}

static void fire(struct timer *t)
{
    struct counting *k = container_of(t, struct counting, timer);
    if (k->asked && !k->late) be_late(k);
    request_resume(k->r);
}

static void stop_waiting(struct request *r, void *arg)
{
    struct counting *k = arg;
    (void) r;
    timer_end(&k->timer);
    if (k->asked) limit_sync_leave(k->asked, true);
    k->asked = NULL;
}

/* What each zone did with it, for the API. */
static void keep_counts(const struct counting *k, bool dry_run)
{
    const struct outcome *o = &k->o;
    if (o->refused) limit_zone_count(o->refused->zone, dry_run ? LIMIT_REJECTED_DRY_RUN : LIMIT_REJECTED);
    for (size_t i = 0; i < k->limits->n && !o->refused; i++)
        if (k->counted[i].counts) limit_zone_count(k->limits->v[i].zone, &k->limits->v[i] != o->slowest ? LIMIT_PASSED : dry_run ? LIMIT_DELAYED_DRY_RUN : LIMIT_DELAYED);
}

static struct verdict decide(struct request *r, const struct limit_req_conf *c, struct counting *k)
{
    const struct outcome *o = &k->o;
    bool any = false;
    for (size_t i = 0; i < c->limits.n; i++) any |= k->counted[i].counts;
    if (!any) return v_next();
    if (c->fields) add_fields(r, c, k->counted, o);
    keep_counts(k, c->dry_run.on);
    if (o->refused) {
        say(r, c, true, o->refused, o->excess);
        metrics_add(METRIC_LIMIT_REQ_REJECTED, 1);
        r->main->limit_req_status = c->dry_run.on ? REJECTED_DRY_RUN : REJECTED;
        return c->dry_run.on ? v_next() : v_reply((int) c->status);
    }
    r->main->limit_req_status = !o->delay_ms ? PASSED : c->dry_run.on ? DELAYED_DRY_RUN : DELAYED;
    metrics_add(o->delay_ms ? METRIC_LIMIT_REQ_DELAYED : METRIC_LIMIT_REQ_PASSED, 1);
    if (!o->delay_ms) return v_next();
    say(r, c, false, o->slowest, o->slowest_excess);
    if (c->dry_run.on) return v_next();
    k->delayed = true;
    timer_set(&k->timer, o->delay_ms);
    return v_wait();
}

static struct counting *begin(struct request *r, const struct limit_req_conf *c)
{
    struct counting *k = pool_zalloc(r->pool, sizeof *k + c->limits.n * sizeof *k->counted);
    k->r = r;
    k->limits = &c->limits;
    k->timer.fire = fire;
    return k;
}

static struct verdict limit(struct request *r)
{
    const struct limit_req_conf *c = request_values(r, &limit_req_module);
    if (!c->limits.n) return v_next();
    void **context = request_context(r, &limit_req_module);
    struct counting *k = *context;
    if (k && ((k->asked && !k->late) || (k->delayed && timer_is_set(&k->timer)))) return v_wait();
    if (r->main->limit_req_status || (k && k->delayed)) return v_next();
    if (!k) k = begin(r, c);
    if (count(k)) {
        struct verdict v = decide(r, c, k);
        if (v.what != V_WAIT) return v;
    }
    if (!*context) {
        *context = k;
        request_at_close(r, stop_waiting, k);
    }
    return v_wait();
}

static bool get_status(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    *out = status_words[request_of(e)->main->limit_req_status];
    return out->n != 0;
}

static const struct variable variables[] = {
    { .name = "limit_req_status", .get = get_status, .flags = VAR_NO_CACHE, .help = "What limit_req decided: PASSED, DELAYED, REJECTED, DELAYED_DRY_RUN or REJECTED_DRY_RUN." },
    { .name = NULL },
};

static const struct limit_count_name counts[] = {
    { LIMIT_PASSED, "passed" }, { LIMIT_DELAYED, "delayed" }, { LIMIT_REJECTED, "rejected" }, { LIMIT_DELAYED_DRY_RUN, "delayed_dry_run" }, { LIMIT_REJECTED_DRY_RUN, "rejected_dry_run" }, { 0, NULL },
};
static const struct limit_zones_shown shown = { counts, "limit_req", "LimitReqNotFound", limit_sync_show };

static int serve(struct api_call *c)
{
    return limit_zones_serve(c, top_of(cycle_current)->zones, &shown);
}

static const struct conf_type type_zone = {
    .syntax = "key zone=name:size [rate=rate] [ipv6_prefix=bits] [sync=redis://[user:password@]host[:port][/db]] [sync_timeout=time]", .flags = CONF_MULTI, .min = 2, .max = 6, .parse = parse_zone,
};
static const struct conf_type type_limit = { .syntax = "zone=name [burst=number] [nodelay | delay=number]", .size = sizeof(struct limits), .flags = CONF_MULTI, .min = 1, .max = 3, .parse = parse_limit };
static const struct conf_choice levels[] = { { "info", L_INFO }, { "notice", L_NOTICE }, { "warn", L_WARN }, { "error", L_ERR }, { NULL, 0 } };
static const struct conf_choice field_choices[] = { { "off", 0 }, { "retry_after", FIELDS_RETRY_AFTER }, { "rate_limit", FIELDS_RATE_LIMIT }, { NULL, 0 } };
static const struct conf_bounds statuses = { 400, 599 };

static const struct directive rows[] = {
    D_DO(&type_zone, "limit_req_zone", IN_HTTP, NULL, NULL, "Shared memory that counts the requests of each key, and how many of one key may come a second (r/s), minute (r/m), hour (r/h) or day (r/d). With sync all servers that name the same zone of a Redis server count together; a request waits sync_timeout (5ms) for its answer, then this server decides alone."),
    D_TYPE(struct limit_req_conf, limits, struct limits, &type_limit, "limit_req", IN_HSL, NULL, "Limits requests by a zone: what comes too fast waits, or above the burst is refused."),
    { .name = "limit_req_status", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct limit_req_conf, status, int64_t), .dflt = "503", .data = &statuses, .help = "The status of requests that limit_req refuses." },
    D_ENUM(struct limit_req_conf, log_level, "limit_req_log_level", IN_HSL, "error", levels, "The level at which refused requests are logged; delayed ones are logged one level below."),
    D_FLAG(struct limit_req_conf, dry_run, "limit_req_dry_run", IN_HSL, "off", "Whether requests are only counted and logged, and none is delayed or refused."),
    { .name = "limit_req_fields", .type = &conf_bits, .where = IN_HSL, .offset = FIELD(struct limit_req_conf, fields, unsigned), .dflt = "off", .data = field_choices, .since = "weir",
      .help = "Whether responses tell clients about the limit: Retry-After where a request is refused, RateLimit and RateLimit-Policy always." },
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_preaccess, .name = "limit_req", .run = limit, .order = ORDER_LIMIT_REQ }, { .step = NULL } };
static const struct http_part part = { .variables = variables, .hooks = hooks, .if_given = true };
static const struct api_part api[] = { { "http", "limit_reqs", 6, 1u << METHOD_DELETE, true, serve }, { 0 } };
static const struct module api_module = { .name = "limit_req_api", .part = api, .part_kind = &api_part_kind };
static const struct process_part process = { .open = open_zones, .worker_start = start, .worker_end = stop };
static const struct module zones = { .name = "limit_req_zones", .part = &process, .part_kind = &process_part_kind, .extra = &api_module };

struct module limit_req_module = {
    .name = "limit_req", .conf_size = sizeof(struct limit_req_conf), .rows = rows, .finish = finish, .part = &part, .part_kind = &http_part_kind, .extra = &zones,
};
