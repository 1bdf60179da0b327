/*
 * limit_quota: how many bytes of a key may go in a period (an hour, a day, a month), over all connections and workers: requests and responses as they are in
 * HTTP, heads too, and what tunnels carry, both ways. What a key has used lies in shared memory under its digest, with the end of the period that it was used in.
 *
 * Who has used its quota up is refused, after its user is known. What is under way then is broken off, or with running=finish may go on; it counts
 * as it goes, so that a quota is exceeded by no more than each connection moves at once (STEP bytes). Calendar periods begin at local midnight.
 */
#include "modules/module.h"
#include "http/core_conf.h"
#include "http/limit_zone.h"
#include "http/steps.h"
#include <time.h>

enum { ORDER_QUOTA = -1500, ORDER_COUNT = -1000, STEP = 256 * 1024 };
enum unit { UNIT_SECONDS, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH };

struct use { uint64_t ends, used; };                     /* ends: seconds since the epoch */
struct period { enum unit unit; uint64_t seconds, ends; struct text words; };      /* of a zone ("more"); ends: of the one that is now, in this process */
struct quota { struct limit_zone *zone; bool finish; };
struct quotas { struct quota *v; size_t n, cap; };
struct limit_quota_conf { struct quotas quotas; int64_t status; struct table *zones; };      /* zones: of the top */

extern struct module limit_quota_module;

static const struct quotas *quotas_for(const struct request *r) { return &((const struct limit_quota_conf *) request_values(r, &limit_quota_module))->quotas; }

/* ---- periods ---- */

static uint64_t end_after(const struct period *p, time_t now)
{
    struct tm tm;
    if (p->unit == UNIT_SECONDS) return ((uint64_t) now / p->seconds + 1) * p->seconds;
    localtime_r(&now, &tm);
    tm.tm_sec = tm.tm_min = 0;
    if (p->unit == UNIT_HOUR) tm.tm_hour++;
    else tm.tm_hour = 0;
    if (p->unit == UNIT_DAY) tm.tm_mday++;
    if (p->unit == UNIT_WEEK) tm.tm_mday += 7 - (tm.tm_wday + 6) % 7;      /* to Monday */
    if (p->unit == UNIT_MONTH) {
        tm.tm_mday = 1;
        tm.tm_mon++;
    }
    tm.tm_isdst = -1;
    time_t end = mktime(&tm);
    return (uint64_t) (end > now ? end : now + 3600);
}

static uint64_t end_of(const struct limit_zone *z)
{
    struct period *p = z->more;
    if ((uint64_t) clock_now.wall >= p->ends) p->ends = end_after(p, clock_now.wall);
    return p->ends;
}

/* ---- the table ---- */

/* Adds n to what key has used, and gives the sum. 0: only looks, and keeps nothing of a key that is new. */
static uint64_t add(const struct limit_zone *z, struct siphash key, uint64_t n)
{
    uint64_t ends = end_of(z), used = 0;
    bool forgot = false;
    shm_table_enter(z->table);
    struct use *u = shm_table_find(z->table, key);
    if (!u && n && !(u = shm_table_add(z->table, key))) {
        struct use *oldest = shm_table_oldest(z->table);
        forgot = oldest->ends > (uint64_t) clock_now.wall;
        shm_table_drop(z->table, oldest);
        u = shm_table_add(z->table, key);
    }
    if (u && u->ends <= (uint64_t) clock_now.wall) *u = (struct use) { ends, 0 };
    if (u && u->used <= INT64_MAX && n <= INT64_MAX) u->used += n;
    if (u) used = u->used;
    shm_table_leave(z->table);
    if (forgot && limit_zone_may_tell(z)) log_at(log_main, L_ERR, NULL, 0, "zone \"%.*s\" of limit_quota is full: what keys have used is forgotten before its time", TEXT_ARG(z->name));
    return used;
}

/* Of what was counted in the period that ends so, n did not go. A new one has nothing of it. */
static void give_back(const struct limit_zone *z, struct siphash key, uint64_t ends, uint64_t n)
{
    shm_table_enter(z->table);
    struct use *u = shm_table_find(z->table, key);
    if (u && u->ends == ends) u->used -= min_of(n, u->used);
    shm_table_leave(z->table);
}

static bool is_spent(const struct limit_zone *z, uint64_t used) { return used >= z->rate; }

/* ---- a request begins ---- */

static void build_size(struct build *b, uint64_t n)
{
    static const char units[] = { 'k', 'm', 'g', 't' };
    size_t i = 0;
    for (; i < countof(units) && n && n % 1024 == 0; i++) n /= 1024;
    build_u64(b, n);
    if (i) build_char(b, units[i - 1]);
}

static struct text page(struct request *r, const struct limit_zone *z, int status)
{
    char when[64];
    time_t ends = (time_t) end_of(z);
    struct tm tm;
    struct text reason = response_reason(status);
    struct build b = build_in_pool(r->pool, 512, 0);
    strftime(when, sizeof when, "%d %b %Y %H:%M:%S %z", localtime_r(&ends, &tm));
    build_fmt(&b, "<html>\r\n<head><title>%d %.*s</title></head>\r\n<body>\r\n<h1>%d %.*s</h1>\r\n<p>Your quota of ", status, TEXT_ARG(reason), status, TEXT_ARG(reason));
    build_size(&b, z->rate);
    build_fmt(&b, " bytes (per %.*s) is used up. It begins anew at %s.</p>\r\n</body>\r\n</html>\r\n", TEXT_ARG(((const struct period *) z->more)->words), when);
    return build_done(&b);
}

static struct verdict refuse(struct request *r, const struct limit_zone *z, uint64_t used)
{
    int status = (int) ((const struct limit_quota_conf *) request_values(r, &limit_quota_module))->status;
    const struct error_pages *pages = &http_core(r)->error_pages;
    request_log(r, L_ERR, 0, "quota of zone \"%.*s\" is used up: %llu of %llu bytes", TEXT_ARG(z->name), (unsigned long long) used, (unsigned long long) z->rate);
    limit_zone_count(z, LIMIT_REJECTED);
    response_add(r, FIELD_RETRY_AFTER, T("Retry-After"), pool_printf(r->pool, "%llu", (unsigned long long) (end_of(z) - (uint64_t) clock_now.wall)));
    for (size_t i = 0; i < pages->n; i++)
        if (pages->v[i].status == status) return v_reply(status);
    return response_text(r, status, T("text/html"), page(r, z, status), true);
}

static struct verdict decide(struct request *r)
{
    const struct quotas *q = quotas_for(r);
    struct siphash key;
    if (!q->n || r->main != r || r->err_status) return v_next();
    for (size_t i = 0; i < q->n; i++) {
        const struct limit_zone *z = q->v[i].zone;
        uint64_t used = limit_zone_key(z, r, &key) ? add(z, key, 0) : 0;
        if (is_spent(z, used)) return refuse(r, z, used);
    }
    for (size_t i = 0; i < q->n; i++) limit_zone_count(q->v[i].zone, LIMIT_PASSED);
    return v_next();
}

/* ---- what is under way ---- */

struct share { const struct limit_zone *zone; struct siphash key; bool finish; uint64_t ends; };      /* ends: the period in which it was last counted */
struct shares { size_t n; struct share *v; };

/* Room is for as many as there are quotas. */
static struct shares shares_of(struct request *r, struct share *room)
{
    const struct quotas *q = quotas_for(r);
    struct shares s = { 0, room };
    for (size_t i = 0; i < q->n; i++) {
        room[s.n] = (struct share) { .zone = q->v[i].zone, .finish = q->v[i].finish };
        s.n += limit_zone_key(room[s.n].zone, r, &room[s.n].key);
    }
    return s;
}

/* The zone of which nothing more may go, or NULL. */
static const struct limit_zone *use(const struct shares *s, uint64_t n)
{
    const struct limit_zone *spent = NULL;
    for (size_t i = 0; i < s->n; i++) {
        struct share *one = &s->v[i];
        one->ends = end_of(one->zone);
        if (is_spent(one->zone, add(one->zone, one->key, n)) && !one->finish) spent = one->zone;
    }
    return spent;
}

static void say_cut(const struct log *log, const struct log_about *about, const struct limit_zone *z, const char *what)
{
    limit_zone_count(z, LIMIT_CLOSED);
    log_at(log, L_ERR, about, 0, "quota of zone \"%.*s\" is used up: %s is closed", TEXT_ARG(z->name), what);
}

struct counting { struct shares shares; uint64_t counted, passed; bool cut; };

static bool head(struct request *r, struct filter_at *at)
{
    size_t n = quotas_for(r)->n;
    if (!n || r->main != r || r->out.no_body || response_is_tunnel(r)) return false;
    struct counting *c = pool_new(r->pool, struct counting);
    c->shares = shares_of(r, pool_array(r->pool, struct share, n));
    at->state = c;
    *request_context(r, &limit_quota_module) = c;
    return c->shares.n != 0;
}

/* Counts ahead of what the client takes; a file comes in one piece. */
static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct counting *c = at->state;
    const struct limit_zone *spent = NULL;
    struct chain out = CHAIN_EMPTY;
    while (!c->cut && !spent && in->bytes) {
        uint64_t piece = min_of(in->bytes, STEP - (c->passed - c->counted));
        chain_move_bytes(&out, in, piece);
        c->passed += piece;
        if (c->passed - c->counted < STEP) continue;
        spent = use(&c->shares, STEP);
        c->counted = c->passed;
    }
    if (spent && (in->bytes || end == BODY_MORE)) {
        say_cut(r->log, r->about, spent, "its response");
        c->cut = true;
        chain_clear(in);
        filter_pass(r, at, &out, BODY_BROKEN);
    } else if (c->cut) {
        chain_clear(in);
    } else {
        chain_move(&out, in);
        filter_pass(r, at, &out, end);
    }
}

/* At the end: what has not been counted on the way, or was and did not go. Of a tunnel the bytes were. */
static struct verdict count_rest(struct request *r)
{
    const struct counting *c = *request_context(r, &limit_quota_module);
    size_t n = quotas_for(r)->n;
    if (!n || r->main != r) return v_next();
    struct share *room = pool_array(r->pool, struct share, n);
    struct shares s = c ? c->shares : shares_of(r, room);
    uint64_t all = r->in_bytes + (response_is_tunnel(r) ? r->out.head_bytes : r->conn->sent - r->sent_at_start), counted = c ? c->counted : 0;
    if (all >= counted) use(&s, all - counted);
    for (size_t i = 0; i < s.n && all < counted; i++) give_back(s.v[i].zone, s.v[i].key, s.v[i].ends, counted - all);
    return v_next();
}

/* ---- tunnels ---- */

struct tunnel { struct relay_pace pace; bool cut; struct shares shares; char client[ADDR_TEXT_MAX]; struct share v[]; };

static uint64_t ask(struct relay_pace *p, unsigned way, uint64_t most, uint64_t *ms_out)
{
    struct tunnel *t = container_of(p, struct tunnel, pace);
    const struct limit_zone *spent = t->cut ? NULL : use(&t->shares, 0);
    (void) way;
    if (spent) {
        char what[ADDR_TEXT_MAX + 32];
        snprintf(what, sizeof what, "a tunnel of client %s", t->client);
        say_cut(log_main, NULL, spent, what);
        t->cut = true;
    }
    if (!t->cut) return min_of(most, (uint64_t) STEP);
    *ms_out = PACE_NEVER;
    return 0;
}

static void took(struct relay_pace *p, unsigned way, uint64_t n, bool dry)
{
    (void) way, (void) dry;
    if (n) use(&container_of(p, struct tunnel, pace)->shares, n);
}

static void end_tunnel(struct relay_pace *p) { free(container_of(p, struct tunnel, pace)); }

static struct relay_pace *pace_tunnel(struct request *r)
{
    size_t n = quotas_for(r)->n;
    if (!n) return NULL;
    struct tunnel *t = base_zalloc(1, sizeof *t + n * sizeof *t->v);
    struct build b = build_in_room(t->client, sizeof t->client - 1);
    t->pace = (struct relay_pace) { .ask = ask, .took = took, .end = end_tunnel };
    t->shares = shares_of(r, t->v);
    addr_print(&b, r->peer, true);
    return &t->pace;
}

/* ---- variables ---- */

enum fact { FACT_USED, FACT_LEFT, FACT_RESET };
static const enum fact facts[] = { FACT_USED, FACT_LEFT, FACT_RESET };

static bool get_fact(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    struct request *r = request_of(e);
    const struct quotas *q = quotas_for(r);
    struct siphash key;
    (void) name;
    if (!q->n || !limit_zone_key(q->v[0].zone, r, &key)) return false;
    const struct limit_zone *z = q->v[0].zone;
    uint64_t used = add(z, key, 0), n = used;
    const enum fact fact = *(const enum fact *) v->data;
    if (fact == FACT_LEFT) n = z->rate - min_of(used, z->rate);
    if (fact == FACT_RESET) n = end_of(z) - (uint64_t) clock_now.wall;
    *out = pool_printf(e->pool, "%llu", (unsigned long long) n);
    return true;
}

/* ---- reading ---- */

static struct table **zones_of(struct conf *cf)
{
    struct limit_quota_conf *top = conf_own_values(cf, cf->top, &limit_quota_module);
    return &top->zones;
}

static bool read_period(struct text t, struct period *p)
{
    static const struct { struct text name; enum unit unit; } units[] = { { TEXT_INIT("hour"), UNIT_HOUR }, { TEXT_INIT("day"), UNIT_DAY }, { TEXT_INIT("week"), UNIT_WEEK }, { TEXT_INIT("month"), UNIT_MONTH } };
    uint64_t ms;
    for (size_t i = 0; i < countof(units); i++) {
        if (!text_eq(t, units[i].name)) continue;
        p->unit = units[i].unit;
        return true;
    }
    if (!conf_read_span(t, &ms) || ms < 1000) return false;
    p->unit = UNIT_SECONDS;
    p->seconds = ms / 1000;
    return true;
}

static bool read_word(struct conf *cf, struct text word, struct limit_zone *told, conf_result *why_out)
{
    struct period *p = told->more;
    struct text value = text_from(word, (size_t) (text_find_char(word, '=') + 1));
    bool is_quota = text_starts(word, T("quota=")), fits = false;
    if (!is_quota && !text_starts(word, T("per="))) return false;
    if (is_quota) fits = conf_read_bytes(value, &told->rate) && told->rate && told->rate <= INT64_MAX;
    else if ((fits = read_period(value, p))) p->words = pool_text(cf->pool, value);
    if (!fits) *why_out = conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    return true;
}

static conf_result parse_zone(struct conf *cf, const struct directive *d, void *field)
{
    struct period *p = pool_new(cf->pool, struct period);
    (void) d, (void) field;
    *p = (struct period) { .unit = UNIT_DAY, .words = T("day") };
    struct limit_zone told = { .more = p };
    conf_result why = limit_zone_read(cf, zones_of(cf), read_word, &told);
    return !why && !told.rate ? conf_say(cf, "!\"limit_quota_zone\" must have \"quota\" parameter") : why;
}

static conf_result parse_quota(struct conf *cf, const struct directive *d, void *field)
{
    struct quotas *all = field;
    struct quota q = { 0 };
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        struct text word = cf->words[i];
        if (text_starts(word, T("zone=")) && word.n > strlen("zone=")) q.zone = limit_zone_named(cf, zones_of(cf), text_from(word, strlen("zone=")));
        else if (text_eq(word, T("running=finish"))) q.finish = true;
        else if (!text_eq(word, T("running=close"))) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    }
    if (!q.zone) return "!\"limit_quota\" must have \"zone\" parameter";
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].zone == q.zone) return conf_duplicate;
    if (all->n == all->cap) all->v = pool_grow(cf->pool, all->v, all->n, &all->cap, sizeof *all->v);
    all->v[all->n++] = q;
    return NULL;
}

static conf_result finish(struct conf *cf, void *values)
{
    limit_zones_check(cf, ((const struct limit_quota_conf *) values)->zones);
    return NULL;
}

static const struct limit_quota_conf *top_of(const struct cycle *c) { return conf_values(c->conf->top, &limit_quota_module); }
static bool open_zones(struct cycle *c) { return limit_zones_open(c, top_of(c)->zones, "limit_quota", sizeof(struct use)); }

static const struct limit_count_name counts[] = { { LIMIT_PASSED, "passed" }, { LIMIT_REJECTED, "rejected" }, { LIMIT_CLOSED, "closed" }, { 0, NULL } };
static const struct limit_zones_shown shown = { counts, "limit_quota", "LimitQuotaNotFound", NULL };
static int serve(struct api_call *c) { return limit_zones_serve(c, top_of(cycle_current)->zones, &shown); }

static const struct conf_type type_zone = { .syntax = "key zone=name:size quota=size [per=hour|day|week|month|time] [ipv6_prefix=bits]", .flags = CONF_MULTI, .min = 3, .max = 5, .parse = parse_zone };
static const struct conf_type type_quota = { .syntax = "zone=name [running=close|finish]", .size = sizeof(struct quotas), .flags = CONF_MULTI, .min = 1, .max = 2, .parse = parse_quota };
static const struct conf_bounds statuses = { 400, 599 };

static const struct directive rows[] = {
    { .name = "limit_quota_zone", .type = &type_zone, .where = IN_HTTP, .since = "weir",
      .help = "Shared memory that counts the bytes of each key, requests, responses and tunnels both ways, and how many of one key may go in a period (a day unless said, from local midnight)." },
    { .name = "limit_quota", .type = &type_quota, .where = IN_HSL, .offset = FIELD(struct limit_quota_conf, quotas, struct quotas), .since = "weir",
      .help = "Refuses requests and tunnels of who has used its quota of a zone up; what runs then is closed, or with running=finish goes on to its end." },
    { .name = "limit_quota_status", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct limit_quota_conf, status, int64_t), .dflt = "429", .data = &statuses, .since = "weir", .help = "The status of requests that limit_quota refuses." },
    { .name = NULL },
};
static const struct variable variables[] = {
    { .name = "limit_quota_used", .get = get_fact, .flags = VAR_NO_CACHE, .data = &facts[0], .help = "Bytes that the key has used in this period, by the first limit_quota in force." },
    { .name = "limit_quota_left", .get = get_fact, .flags = VAR_NO_CACHE, .data = &facts[1], .help = "Bytes that are left of the quota." },
    { .name = "limit_quota_reset", .get = get_fact, .flags = VAR_NO_CACHE, .data = &facts[2], .help = "Seconds until the quota begins anew." },
    { .name = NULL },
};
static const struct hook hooks[] = {
    { .step = &step_precontent, .name = "limit_quota", .run = decide, .order = ORDER_QUOTA },
    { .step = &step_log, .name = "limit_quota_count", .run = count_rest, .order = ORDER_COUNT },
    { .step = NULL },
};
static const struct filter limit_quota_filter = { .name = "limit_quota", .head = head, .body = body };
static const struct filter *const filters[] = { &limit_quota_filter, NULL };
static const struct http_part part = { .variables = variables, .hooks = hooks, .filters = filters, .pace = pace_tunnel, .if_given = true };
static const struct api_part api[] = { { "http", "limit_quotas", 9, 1u << METHOD_DELETE, true, serve }, { 0 } };
static const struct module api_module = { .name = "limit_quota_api", .part = api, .part_kind = &api_part_kind };
static const struct process_part process = { .open = open_zones };
static const struct module zones = { .name = "limit_quota_zones", .part = &process, .part_kind = &process_part_kind, .extra = &api_module };

struct module limit_quota_module = {
    .name = "limit_quota", .conf_size = sizeof(struct limit_quota_conf), .rows = rows, .finish = finish, .part = &part, .part_kind = &http_part_kind, .extra = &zones,
};
