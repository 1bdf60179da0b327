/*
 * limit_rate_by: how fast the responses and tunnels of a key go, all of them together, over all connections and workers. A response reserves a turn
 * in the key's bucket, waits until it has come, sends it and reserves the next one; so those of a key take turns. A tunnel does so on each of its two
 * ways before it reads.
 */
#include "modules/module.h"
#include "http/limit_zone.h"
#include "http/paced.h"
#include "os/shm_rate.h"

struct zones { struct limit_zone **v; size_t n, cap; };
struct limit_rate_by_conf { struct zones by; struct table *zones; };      /* zones: of the top */

struct share { const struct limit_zone *zone; struct siphash key; };
struct shares { size_t n; uint64_t turn; struct share *v; };            /* turn: bytes */
struct sending { struct paced paced; struct shares shares; uint64_t reserved; };      /* reserved: not sent yet */
struct way { uint64_t reserved, due_ms; };
struct tunnel { struct relay_pace pace; struct shares shares; struct way ways[2]; struct share v[]; };

extern struct module limit_rate_by_module;

static struct shm_rate rate_of(const struct limit_zone *z) { return (struct shm_rate) { z->rate, z->burst }; }

/* ---- turns ---- */

/* Those zones that count r. The room is for all of them. */
static struct shares shares_of(struct request *r, const struct zones *by, struct share *room)
{
    struct shares s = { .turn = UINT64_MAX, .v = room };
    for (size_t i = 0; i < by->n; i++) {
        const struct shm_rate rate = rate_of(by->v[i]);
        struct share *one = &room[s.n];
        one->zone = by->v[i];
        if (!limit_zone_key(one->zone, r, &one->key)) continue;
        s.turn = min_of(s.turn, shm_rate_turn(&rate));
        s.n++;
    }
    return s;
}

static uint64_t reserve(const struct shares *s, uint64_t n)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct limit_zone *z = s->v[i].zone;
        const struct shm_rate rate = rate_of(z);
        bool forgot = false;
        ms = max_of(ms, shm_rate_reserve(z->table, &rate, s->v[i].key, n, clock_now.ms, &forgot));
        if (forgot && limit_zone_may_tell(z)) log_at(log_main, L_ERR, NULL, 0, "zone \"%.*s\" of limit_rate_by is full: keys are forgotten too early", TEXT_ARG(z->name));
    }
    return ms;
}

static void give_back(const struct shares *s, uint64_t *reserved)
{
    for (size_t i = 0; i < s->n && *reserved; i++) shm_rate_return(s->v[i].zone->table, s->v[i].key, *reserved);
    *reserved = 0;
}

static const struct zones *zones_for(const struct request *r) { return &((const struct limit_rate_by_conf *) request_values(r, &limit_rate_by_module))->by; }

/* ---- tunnels ---- */

static uint64_t ask(struct relay_pace *p, unsigned way, uint64_t most, uint64_t *ms_out)
{
    struct tunnel *t = container_of(p, struct tunnel, pace);
    struct way *w = &t->ways[way];
    if (!w->reserved) {
        w->reserved = min_of(most, t->shares.turn);
        w->due_ms = clock_now.ms + reserve(&t->shares, w->reserved);
    }
    if (w->due_ms <= clock_now.ms) return min_of(most, w->reserved);
    *ms_out = w->due_ms - clock_now.ms;
    return 0;
}

static void took(struct relay_pace *p, unsigned way, uint64_t n, bool dry)
{
    struct tunnel *t = container_of(p, struct tunnel, pace);
    struct way *w = &t->ways[way];
    if (n > w->reserved) reserve(&t->shares, n - w->reserved);
    w->reserved -= min_of(n, w->reserved);
    if (dry) give_back(&t->shares, &w->reserved);
}

static void end_tunnel(struct relay_pace *p)
{
    struct tunnel *t = container_of(p, struct tunnel, pace);
    for (size_t i = 0; i < countof(t->ways); i++) give_back(&t->shares, &t->ways[i].reserved);
    free(t);
}

static struct relay_pace *pace_tunnel(struct request *r)
{
    const struct zones *by = zones_for(r);
    if (!by->n) return NULL;
    struct tunnel *t = base_zalloc(1, sizeof *t + by->n * sizeof *t->v);
    t->pace = (struct relay_pace) { .ask = ask, .took = took, .end = end_tunnel };
    t->shares = shares_of(r, by, t->v);
    if (t->shares.n) return &t->pace;
    free(t);
    return NULL;
}

/* ---- the filter ---- */

static void stop(struct request *r, void *arg)
{
    struct sending *p = arg;
    (void) r;
    give_back(&p->shares, &p->reserved);
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct zones *by = zones_for(r);
    if (!by->n || r->main != r || r->out.no_body || response_is_tunnel(r)) return false;
    struct sending *p = pool_new(r->pool, struct sending);
    p->shares = shares_of(r, by, pool_array(r->pool, struct share, by->n));
    if (!p->shares.n) return false;
    paced_begin(&p->paced, r);
    request_at_close(r, stop, p);
    at->state = p;
    return true;
}

static void run(struct request *r, struct filter_at *at)
{
    enum { AT_ONCE = 256 * 1024 };
    struct sending *p = at->state;
    struct chain out = CHAIN_EMPTY, *held = &p->paced.held;
    uint64_t ms = 0;
    (void) r;
    if (!paced_may_go(&p->paced, at)) return;
    while (held->bytes && !ms) {
        if (out.bytes >= AT_ONCE) ms = 1;
        else if (p->reserved || !(ms = reserve(&p->shares, p->reserved = min_of(held->bytes, p->shares.turn)))) {
            chain_move_bytes(&out, held, p->reserved);
            p->reserved = 0;
        }
    }
    paced_pass(&p->paced, at, &out, ms);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct sending *p = at->state;
    paced_take(&p->paced, in, end);
    if (end == BODY_BROKEN) give_back(&p->shares, &p->reserved);
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
    struct limit_zone *z;
    limit_zones_check(cf, top->zones);
    for (size_t at = 0; (z = limit_zone_next(top->zones, &at)) != NULL;)
        if (z->burst == UINT64_MAX) z->burst = z->rate;
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
      .help = "Limits by a zone how fast response bodies are sent, and the bytes of tunnels go both ways (CONNECT, SOCKS, WebSocket): all that have the same key share its rate, over all connections and workers." },
    { .name = NULL },
};

static const struct filter limit_rate_by_filter = { .name = "limit_rate_by", .head = head, .body = body, .more = run };
static const struct filter *const filters[] = { &limit_rate_by_filter, NULL };
static const struct http_part part = { .filters = filters, .pace = pace_tunnel, .if_given = true };
static const struct process_part process = { .open = open_zones };
static const struct module zones = { .name = "limit_rate_zones", .part = &process, .part_kind = &process_part_kind };

struct module limit_rate_by_module = {
    .name = "limit_rate_by", .conf_size = sizeof(struct limit_rate_by_conf), .rows = rows, .finish = finish, .part = &part, .part_kind = &http_part_kind, .extra = &zones,
};
