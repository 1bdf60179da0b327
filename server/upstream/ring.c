/*
 * Consistent hashing: each server has 160 points for each unit of weight on a ring of 32-bit hashes, the same points as
 * nginx and Perl's Cache::Memcached::Fast give it: crc32(host, NUL, port, the point before, 4 bytes, little-endian). A key
 * belongs to the first point not below its own CRC. When that point's server may not be asked the next point is looked at,
 * 20 times; then it goes by turns.
 * Bounded: a server that has its part of all requests in hand, times the bound, is passed by as if it could not be asked.
 */
#include "upstream/balance.h"
#include "base/pages.h"
#include "base/table.h"
#include "eval/template.h"
#include <zlib.h>

enum { TRIES = 20, TRIES_BOUNDED = 256, POINTS = 160, POINTS_MAX = 1 << 27, INDEX_BITS_MAX = 18, LOOK_OVER = 32 };

/* Peers in one stretch that one server line, or lines of the same text, named. */
struct run { uint32_t from, to; struct run *next; };
struct ring_conf { struct template *key; double bound; };      /* bound 0: none */
struct ring {
    uint32_t         count;
    uint64_t        *points;         /* each: hash << 32 | number of the run; sorted. Its area has the starts as well */
    size_t           area;
    unsigned         bits;           /* of a hash, the upper ones: an index of starts */
    uint32_t        *starts;         /* the first point whose hash has these bits or more; one more at the end */
    struct run      *runs;
    double           bound;
    double           fair;           /* requests in hand for one of weight, as this worker saw it last, the coming one counted */
    uint32_t         fresh;          /* so many picks until it looks again */
};
struct spot { uint32_t at; };

conf_result balance_ring_set(struct conf *cf, struct group *g, struct text key, double bound)
{
    conf_result why;
    struct ring_conf *c = pool_new(cf->pool, struct ring_conf);
    c->key = template_compile_kind(cf, g->kind, key, &why);
    if (!c->key) return why;
    c->bound = bound;
    balance_set(cf, g, &balance_ring, c);
    return NULL;
}

/* ---- the ring ---- */

/* "host:port" without its port. */
static struct text host_of(struct text server, struct text *port_out)
{
    *port_out = T("");
    if (text_starts_nocase(server, T("unix:"))) return text_from(server, 5);
    size_t at = server.n;
    while (at && server.p[at - 1] >= '0' && server.p[at - 1] <= '9') at--;
    if (!at || server.p[at - 1] != ':') return server;
    *port_out = text_from(server, at);
    return text_upto(server, at - 1);
}

static uint64_t *add_points(uint64_t *at, const struct peer *peer, uint32_t run)
{
    struct text port, host = host_of(peer->server, &port);
    uLong base = crc32_z(0, (const Bytef *) host.p, host.n);
    base = crc32_z(base, (const Bytef *) "", 1);
    if (port.n) base = crc32_z(base, (const Bytef *) port.p, port.n);
    uint32_t before = 0;
    for (uint64_t n = (uint64_t) peer->weight * POINTS; n--; ) {
        Bytef four[4] = { (Bytef) before, (Bytef) (before >> 8), (Bytef) (before >> 16), (Bytef) (before >> 24) };
        before = (uint32_t) crc32_z(base, four, 4);
        *at++ = (uint64_t) before << 32 | run;
    }
    return at;
}

/* By hash, eight bits at a time; those of the same hash stay in order. */
static void sort_points(uint64_t *points, uint64_t count)
{
    uint64_t *other = base_alloc(count * sizeof *points), *from = points, *to = other;
    for (unsigned shift = 32; shift < 64; shift += 8) {
        uint64_t at[257] = { 0 };
        for (uint64_t i = 0; i < count; i++) at[(from[i] >> shift & 255) + 1]++;
        for (unsigned i = 1; i < 256; i++) at[i] += at[i - 1];
        for (uint64_t i = 0; i < count; i++) to[at[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    free(other);
}

/* Of points with the same hash the one of the server named first stays. */
static uint32_t without_doubles(uint64_t *points, uint64_t count)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < count; i++)
        if (!kept || points[i] >> 32 != points[kept - 1] >> 32) points[kept++] = points[i];
    return (uint32_t) kept;
}

static void drop_points(void *arg)
{
    struct ring *c = arg;
    pages_free(c->points, c->area);
}

/* So many points, and their index behind them. */
static void make_room(struct ring *c, uint64_t total, struct pool *pool)
{
    c->bits = 1;
    while (c->bits < INDEX_BITS_MAX && 1u << c->bits < total) c->bits++;
    c->area = total * sizeof *c->points + ((1u << c->bits) + 1) * sizeof *c->starts;
    c->points = pages_alloc(c->area);
    c->starts = (uint32_t *) (c->points + total);
    pool_cleanup(pool, drop_points, c);
}

static void index_points(struct ring *c)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i <= 1u << c->bits; i++) {
        while (at < c->count && c->points[at] >> (64 - c->bits) < i) at++;
        c->starts[i] = at;
    }
}

/* The run of peer i, begun or made longer. Its points are those of the first run of the same text: *number_out. */
static void add_run(struct ring *c, struct table *by_name, const struct peer_set *set, uint32_t i, uint32_t *runs, uint32_t *number_out)
{
    struct text name = set->peers[i].server;
    struct run *first = table_get(by_name, name), *last = first;
    while (last && last->next) last = last->next;
    if (last && last->to == i) {
        last->to++;
    } else {
        struct run *made = &c->runs[(*runs)++];
        *made = (struct run) { i, i + 1, NULL };
        if (last) last->next = made;
        else table_add(by_name, name, first = made);
    }
    *number_out = (uint32_t) (first - c->runs);
}

static conf_result prepare(const struct group *g, struct peer_set *set, struct pool *pool)
{
    const struct ring_conf *conf = g->balance_conf;
    struct ring *c = pool_new(pool, struct ring);
    uint64_t total = 0;
    for (uint32_t i = 0; i < set->primary; i++) total += (uint64_t) set->peers[i].weight * POINTS;
    if (total > POINTS_MAX) return "the weights of an upstream with consistent hashing are too large in sum";
    struct pool *scratch = pool_open(0);
    struct table by_name;
    table_init(&by_name, scratch, false);
    c->runs = pool_array(pool, struct run, set->primary);
    make_room(c, total, pool);
    uint64_t *end = c->points;
    uint32_t runs = 0, number;
    for (uint32_t i = 0; i < set->primary; i++) {
        add_run(c, &by_name, set, i, &runs, &number);
        end = add_points(end, &set->peers[i], number);
    }
    sort_points(c->points, total);
    c->count = without_doubles(c->points, total);
    index_points(c);
    pool_close(&scratch);
    c->bound = conf->bound;
    set->prepared = c;
    return NULL;
}

/* ---- a request ---- */

/* The first point not below hash. Hashes are spread evenly: it stands where its place between two starts says, give or take a few. */
static uint32_t find_point(const struct ring *c, uint32_t hash)
{
    uint64_t want = (uint64_t) hash << 32;
    uint32_t low = c->starts[want >> (64 - c->bits)], high = c->starts[(want >> (64 - c->bits)) + 1], step = 1;
    if (low == high) return low;
    uint32_t at = low + (uint32_t) ((uint64_t) (uint32_t) (hash << c->bits) * (high - low) >> 32);
    if (c->points[at] < want) {
        for (low = at + 1; at + step < high && c->points[at + step] < want; step *= 2) low = at + step + 1;
        high = min_of(high, at + step);
    } else {
        for (high = at; at >= low + step && c->points[at - step] >= want; step *= 2) high = at - step;
        if (at >= low + step) low = at - step + 1;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->points[middle] < want) low = middle + 1; else high = middle;
    }
    return low;
}

/* A group of many is not looked over for each request: that would cost more than it is worth. */
static void look_over(struct pick *p, struct ring *c)
{
    uint64_t requests = 1, weight = 0;
    for (uint32_t i = 0; i < p->set->primary; i++) {
        const struct peer *peer = &p->set->peers[i];
        requests += atomic_load_explicit(&peer->state->inflight, memory_order_relaxed);
        if (pick_may(p, peer)) weight += peer->weight;
    }
    c->fair = weight ? (double) requests / (double) weight : 0;
    c->fresh = p->set->primary / LOOK_OVER;
}

static bool is_loaded(const struct ring *c, const struct peer *peer)
{
    return atomic_load_explicit(&peer->state->inflight, memory_order_relaxed) >= c->bound * c->fair * peer->weight;
}

static void begin(struct pick *p)
{
    const struct ring_conf *conf = p->group->balance_conf;
    struct ring *c = p->set->prepared;
    struct text key = p->eval && c && c->count ? template_render(conf->key, p->eval) : T("");
    if (!key.n) return;
    if (c->bound > 0 && (!c->fresh || !--c->fresh)) look_over(p, c);
    struct spot *s = p->data = pool_new(p->pool, struct spot);
    s->at = find_point(c, (uint32_t) crc32_z(0, (const Bytef *) key.p, key.n));
}

static struct peer *take_light(struct pick *p, const struct ring *c, const struct run *run)
{
    for (uint32_t i = run->from; i < run->to; i++) {
        struct peer *peer = &p->set->peers[i];
        if (!is_loaded(c, peer) && pick_take(p, peer)) return peer;
    }
    return NULL;
}

/* Several peers of one name take turns. */
static struct peer *take_of(struct pick *p, const struct ring *c, const struct run *run)
{
    struct peer *found = NULL;
    for (; run && !found; run = run->next) {
        struct peer *one = &p->set->peers[run->from];
        if (c->bound > 0) found = take_light(p, c, run);
        else if (run->to - run->from > 1) found = round_robin_next(p, run->from, run->to);
        else if (pick_take(p, one)) found = one;
    }
    return found;
}

static struct peer *next(struct pick *p, uint32_t from, uint32_t to)
{
    const struct ring *c = p->set->prepared;
    struct spot *s = p->data;
    uint32_t most = c->bound > 0 ? TRIES_BOUNDED : TRIES;      /* one key may fill many a server */
    while (s && !p->from && p->looks <= most) {
        struct peer *peer = take_of(p, c, &c->runs[(uint32_t) c->points[s->at % c->count]]);
        if (peer) return peer;
        s->at++;
        p->looks++;
    }
    return round_robin_next(p, from, to);
}

const struct balance balance_ring = { .name = "hash consistent", .no_backup = true, .prepare = prepare, .open = begin, .next = next, .done = round_robin_done };
