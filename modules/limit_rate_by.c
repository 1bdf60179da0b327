/*
 * limit_rate_by: how fast the responses of a key are sent, all of them together, over all connections and workers. A response reserves a turn
 * in the key's bucket, waits until it has come, sends it and reserves the next one; so those of a key take turns.
 */
#include "modules/module.h"
#include "http/limit_zone.h"
#include "os/shm_rate.h"

struct zones { struct limit_zone **v; size_t n, cap; };
struct limit_rate_by_conf { struct zones by; struct table *zones; };      /* zones: of the top */

struct share { const struct limit_zone *zone; struct siphash key; };
struct pace {
    struct timer    timer;
    struct request *r;
    uint64_t        turn, reserved;     /* bytes; reserved: not sent yet */
    struct chain    held;
    enum body_end   end;
    size_t          n;
    struct share    shares[];
};

extern struct module limit_rate_by_module;

static struct shm_rate rate_of(const struct limit_zone *z) { return (struct shm_rate) { z->rate, z->burst }; }

/* ---- turns ---- */

static uint64_t reserve(struct pace *p, uint64_t n)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct limit_zone *z = p->shares[i].zone;
        const struct shm_rate rate = rate_of(z);
        bool forgot = false;
        ms = max_of(ms, shm_rate_reserve(z->table, &rate, p->shares[i].key, n, clock_now.ms, &forgot));
        if (forgot && limit_zone_may_tell(z)) request_log(p->r, L_ERR, 0, "zone \"%.*s\" of limit_rate_by is full: keys are forgotten too early", TEXT_ARG(z->name));
    }
    p->reserved = n;
    return ms;
}

static void give_back(struct pace *p)
{
    for (size_t i = 0; i < p->n && p->reserved; i++) shm_rate_return(p->shares[i].zone->table, p->shares[i].key, p->reserved);
    p->reserved = 0;
}

/* ---- the filter ---- */

static void forget(void *arg)
{
    chain_clear(&((struct pace *) arg)->held);
}

static void stop(struct request *r, void *arg)
{
    struct pace *p = arg;
    (void) r;
    timer_end(&p->timer);
    give_back(p);
}

static void go_on(struct timer *t)
{
    response_more(container_of(t, struct pace, timer)->r);
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct zones *by = &((const struct limit_rate_by_conf *) request_values(r, &limit_rate_by_module))->by;
    if (!by->n || r->main != r || r->out.no_body) return false;
    struct pace *p = pool_alloc(r->pool, sizeof *p + by->n * sizeof *p->shares);
    *p = (struct pace) { .timer.fire = go_on, .r = r, .turn = UINT64_MAX };
    for (size_t i = 0; i < by->n; i++) {
        const struct shm_rate rate = rate_of(by->v[i]);
        struct share *s = &p->shares[p->n];
        s->zone = by->v[i];
        if (!limit_zone_key(s->zone, r, &s->key)) continue;
        p->turn = min_of(p->turn, shm_rate_turn(&rate));
        p->n++;
    }
    if (!p->n) return false;
    pool_cleanup(r->pool, forget, p);
    request_at_close(r, stop, p);
    at->state = p;
    return true;
}

static void run(struct request *r, struct filter_at *at)
{
    enum { AT_ONCE = 256 * 1024 };
    struct pace *p = at->state;
    struct chain out = CHAIN_EMPTY;
    uint64_t ms = 0;
    if (timer_is_set(&p->timer)) return;
    if (p->held.bytes && !filter_room(r, at)) {
        at->holds = true;
        return;
    }
    while (p->held.bytes && !ms) {
        if (out.bytes >= AT_ONCE) ms = 1;
        else if (p->reserved || !(ms = reserve(p, min_of(p->held.bytes, p->turn)))) {
            chain_move_bytes(&out, &p->held, p->reserved);
            p->reserved = 0;
        }
    }
    bool last = chain_empty(&p->held);
    at->holds = !last;
    if (!last) timer_set(&p->timer, ms);
    if (out.bytes || last) filter_pass(r, at, &out, last ? p->end : BODY_MORE);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct pace *p = at->state;
    chain_move(&p->held, in);
    p->end = end;
    if (end == BODY_BROKEN) {
        chain_clear(&p->held);
        timer_stop(&p->timer);
        give_back(p);
    }
    run(r, at);
}

/* ---- reading ---- */

static struct table **zones_of(struct conf *cf)
{
    struct limit_rate_by_conf *top = conf_own_values(cf, cf->top, &limit_rate_by_module);
    return &top->zones;
}

/* "rate=100k", "burst=1m" */
static bool read_size(struct conf *cf, struct text word, struct limit_zone *z, conf_result *why_out)
{
    bool is_rate = text_starts(word, T("rate="));
    uint64_t n;
    if (!is_rate && !text_starts(word, T("burst="))) return false;
    if (!conf_read_bytes(text_from(word, strlen(is_rate ? "rate=" : "burst=")), &n) || n > SHM_RATE_MOST || (is_rate && !n))
        *why_out = conf_say(cf, "!invalid %s \"%.*s\"", is_rate ? "rate" : "parameter", TEXT_ARG(word));
    else if (is_rate) z->rate = n;
    else z->burst = n;
    return true;
}

static conf_result parse_zone(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    struct limit_zone told = { .burst = UINT64_MAX };
    conf_result why = limit_zone_read(cf, zones_of(cf), read_size, &told);
    if (!why && !told.rate) why = conf_say(cf, "!\"limit_rate_zone\" must have \"rate\" parameter");
    return why;
}

static conf_result parse_by(struct conf *cf, const struct directive *d, void *field)
{
    struct zones *by = field;
    struct text name = text_from(cf->words[1], strlen("zone="));
    (void) d;
    if (!text_starts(cf->words[1], T("zone=")) || !name.n) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[1]));
    struct limit_zone *z = limit_zone_named(cf, zones_of(cf), name);
    for (size_t i = 0; i < by->n; i++)
        if (by->v[i] == z) return conf_duplicate;
    if (by->n == by->cap) by->v = pool_grow(cf->pool, by->v, by->n, &by->cap, sizeof *by->v);
    by->v[by->n++] = z;
    return NULL;
}

/* What may go at once is a second's worth, unless it was said. */
static conf_result finish(struct conf *cf, void *values)
{
    const struct limit_rate_by_conf *top = values;
    struct text name;
    void *v;
    limit_zones_check(cf, top->zones);
    for (size_t at = 0; top->zones && table_next(top->zones, &at, &name, &v);) {
        struct limit_zone *z = v;
        if (z->burst == UINT64_MAX) z->burst = z->rate;
    }
    return NULL;
}

static bool open_zones(struct cycle *c)
{
    const struct limit_rate_by_conf *top = conf_values(c->conf->top, &limit_rate_by_module);
    return limit_zones_open(c, top->zones, "limit_rate", sizeof(struct shm_bucket));
}

static const struct conf_type type_zone = { .syntax = "key zone=name:size rate=size [burst=size] [ipv6_prefix=bits]", .flags = CONF_MULTI, .min = 3, .max = 5, .parse = parse_zone };
static const struct conf_type type_by = { .syntax = "zone=name", .size = sizeof(struct zones), .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_by };

static const struct directive rows[] = {
    { .name = "limit_rate_zone", .type = &type_zone, .where = IN_HTTP, .since = "weir",
      .help = "Shared memory that counts the bytes of each key, how many of one key may be sent a second, and how many at once after a pause (a second's worth unless said)." },
    { .name = "limit_rate_by", .type = &type_by, .where = IN_HSL, .offset = FIELD(struct limit_rate_by_conf, by, struct zones), .since = "weir",
      .help = "Limits how fast response bodies are sent by a zone: all that have the same key share its rate, over all connections and workers." },
    { .name = NULL },
};

static const struct filter limit_rate_by_filter = { .name = "limit_rate_by", .head = head, .body = body, .more = run };
static const struct filter *const filters[] = { &limit_rate_by_filter, NULL };
static const struct http_part part = { .filters = filters, .if_given = true };
static const struct process_part process = { .open = open_zones };
static const struct module zones = { .name = "limit_rate_zones", .part = &process, .part_kind = &process_part_kind };

struct module limit_rate_by_module = {
    .name = "limit_rate_by", .conf_size = sizeof(struct limit_rate_by_conf), .rows = rows, .finish = finish, .part = &part, .part_kind = &http_part_kind, .extra = &zones,
};
