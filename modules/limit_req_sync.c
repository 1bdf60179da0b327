/*
 * limit_req_sync: zones of limit_req that a fleet of servers counts together: limit_req_zone … sync=redis://host:port/db.
 *
 * Each bucket is a key in Redis, "weir:limit_req:ZONE:DIGEST" (of the zone's key by SHA-256, since keys may be secrets), with the value "time excess": what
 * limit_bucket holds. A script reads it, lets it leak, adds the request and writes it, all at once as Redis runs scripts, and by Redis' clock; so
 * that the sums are those of limit_req_bucket.c, exact over all that ask (doubles are exact for whole numbers to 2^53, which is 10^8 requests
 * of burst). A bucket that has run empty is forgotten by its expiry. What is answered goes through the same decisions as a bucket of our own.
 *
 * A worker has one connection to a server, whatever number of zones name it (upstream/redis.h), and what comes in one turn of the loop is sent together.
 * A request waits sync_timeout for the answer and then our own zone decides, which is kept like Redis' bucket by each answer. One that was
 * refused here, by its zone or another one, and turns out to be counted there is given back.
 *
 * While the server is away (refused, broken, silent, or answering with an error) nothing is asked: each server limits alone. The first worker to
 * see it says so, and the first to be back; the API shows it, and how many requests were decided how.
 */
#include "modules/limit_req.h"
#include "base/cell.h"
#include "upstream/redis.h"
#include <openssl/evp.h>

enum { TIMEOUT_MS = 5, DIGEST = 16, ID = 100 };

struct limit_server {
    struct limit_server     *next;
    struct text              url;            /* never shown: it may have a password */
    struct redis_target      target;
    const struct limit_zone *zone;           /* the first that names it: keeps what was told */
    struct redis            *redis;          /* in a worker */
};
struct limit_sync { struct limit_server *server; uint64_t timeout_ms; };
struct limit_question {
    const struct limit_zone *zone;
    void                   (*told)(void *arg, const int64_t *answer);    /* NULL: nobody waits */
    void                    *arg;
    bool                     give_back;
    char                     id[ID];
    size_t                   n;
};

static struct cells cells = CELLS(struct limit_question);

/* KEYS[1]: bucket. ARGV: rate (parts a millisecond), burst, cost (in parts; below zero: it is given back). */
static const char script[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local last, held = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%-?%d+)$')\n"
    "local excess = 0\n"
    "if cost < 0 then\n"
    "    if last then redis.call('SET', KEYS[1], string.format('%.0f %.0f', last, held + cost), 'KEEPTTL') end\n"
    "    return {1, 0}\n"
    "end\n"
    "if last then\n"
    "    last = tonumber(last)\n"
    "    excess = math.max(held + cost - math.max(now - last, 0) * rate, 0)\n"
    "    if last > now and last - now <= 60000 then now = last end\n"
    "end\n"
    "if excess > burst then return {0, excess} end\n"
    "redis.call('SET', KEYS[1], string.format('%.0f %.0f', now, excess), 'PX', string.format('%.0f', math.ceil((excess + cost) / rate) + 1000))\n"
    "return {1, excess}\n";

/* ---- reading ---- */

static struct limit_sync *sync_of(struct conf *cf, struct limit_zone *told)
{
    if (!told->more) told->more = pool_new(cf->pool, struct limit_sync);
    return told->more;
}

static conf_result read_server(struct conf *cf, struct limit_server **servers, struct text url, struct limit_server **out)
{
    if (!redis_is_built()) return "!\"sync=\" of limit_req_zone needs libhiredis: this weir is built without it";
    for (*out = *servers; *out && !text_eq((*out)->url, url);) *out = (*out)->next;
    if (*out) return NULL;
    struct limit_server *s = pool_new(cf->pool, struct limit_server);
    conf_result why = redis_read_target(cf, url, &s->target);
    if (why) return why;
    s->url = pool_text(cf->pool, url);
    s->next = *servers;
    *out = *servers = s;
    return NULL;
}

bool limit_sync_read(struct conf *cf, struct limit_server **servers, struct text word, struct limit_zone *told, conf_result *why_out)
{
    if (text_starts(word, T("sync="))) {
        *why_out = read_server(cf, servers, text_from(word, strlen("sync=")), &sync_of(cf, told)->server);
        return true;
    }
    if (!text_starts(word, T("sync_timeout="))) return false;
    struct limit_sync *s = sync_of(cf, told);
    if (!conf_read_span(text_from(word, strlen("sync_timeout=")), &s->timeout_ms) || !s->timeout_ms) *why_out = conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    return true;
}

void limit_sync_check(struct conf *cf, const struct table *zones)
{
    const struct limit_zone *z;
    for (size_t at = 0; (z = limit_zone_next(zones, &at)) != NULL;)
        if (z->more && !((struct limit_sync *) z->more)->server) conf_error_at(cf, z->file, z->line, "\"sync_timeout\" of zone \"%.*s\" needs \"sync\"", TEXT_ARG(z->name));
}

/* ---- the server ---- */

static void turned(void *arg, bool up, const char *why)
{
    struct limit_server *s = arg;
    uint32_t was = up;
    if (!atomic_compare_exchange_strong(&s->zone->counts->alone, &was, !up)) return;      /* another worker has said it */
    if (up) log_at(log_main, L_NOTICE, NULL, 0, "limit_req: Redis server \"%.*s\" is back: its zones are counted together again", TEXT_ARG(s->target.shown));
    else log_at(log_main, L_ERR, NULL, 0, "limit_req: Redis server \"%.*s\" is away: %s; until it comes back this server limits alone", TEXT_ARG(s->target.shown), why);
}

static void open_server(struct limit_server *s)
{
    static const struct text probe[] = { TEXT_INIT("weir:limit_req:probe"), TEXT_INIT("86400000"), TEXT_INIT("9000000000000000"), TEXT_INIT("86400000") };
    s->redis = redis_open(&(struct redis_want) { &s->target, text_of(script, strlen(script)), probe, countof(probe), turned, s });
}

static void stop(void *servers) { limit_sync_stop(servers); }

void limit_sync_start(struct cycle *c, const struct table *zones, struct limit_server *servers)
{
    const struct limit_zone *z;
    for (size_t at = 0; (z = limit_zone_next(zones, &at)) != NULL;) {
        struct limit_server *s = z->more ? ((struct limit_sync *) z->more)->server : NULL;
        if (!s || s->zone) continue;
        s->zone = z;
        open_server(s);
    }
    if (servers) pool_cleanup(c->pool, stop, servers);
}

void limit_sync_stop(struct limit_server *s)
{
    for (; s; s = s->next) redis_close(&s->redis);
}

/* ---- questions ---- */

uint64_t limit_sync_wait_ms(const struct limit_zone *z)
{
    const struct limit_sync *s = z->more;
    return s->timeout_ms ? s->timeout_ms : TIMEOUT_MS;
}

static size_t print_id(char room[ID], const struct limit_zone *z, struct text key)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct build b = build_in_room(room, ID);
    ASSERT(EVP_Digest(key.p, key.n, digest, NULL, EVP_sha256(), NULL) == 1);
    build_fmt(&b, "weir:limit_req:%.*s:", TEXT_ARG(z->name));
    build_bytes_hex(&b, text_of((const char *) digest, DIGEST));
    ASSERT(build_ok(&b));
    return b.n;
}

static bool ask(const struct limit_zone *z, struct text id, int64_t burst, int64_t cost, void (*told)(void *arg, const int64_t *answer), void *arg)
{
    enum { EXACT_BITS = 53 };
    const struct limit_sync *s = z->more;
    char room[3][24];
    struct text args[4] = { id };
    const int64_t v[3] = { (int64_t) z->rate, min_of(burst, ((int64_t) 1 << EXACT_BITS) - 2 * LIMIT_COST), cost };
    for (size_t i = 0; i < countof(v); i++) args[1 + i] = text_of(room[i], (size_t) snprintf(room[i], sizeof room[i], "%lld", (long long) v[i]));
    return s->server->redis && redis_ask(s->server->redis, args, countof(args), told, arg);
}

static void nobody(void *arg, const int64_t *answer) { (void) arg, (void) answer; }

static void give_back(const struct limit_zone *z, struct text id) { ask(z, id, 0, -LIMIT_COST, nobody, NULL); }

static void answered(void *arg, const int64_t *answer)
{
    struct limit_question *q = arg;
    if (q->told) q->told(q->arg, answer);
    else if (q->give_back && answer && answer[0]) give_back(q->zone, text_of(q->id, q->n));
    cell_give(&cells, q);
}

struct limit_question *limit_sync_take(const struct limit_zone *z, struct text key, int64_t burst, void (*told)(void *arg, const int64_t *answer), void *arg)
{
    struct limit_question *q = cell_take(&cells);
    q->zone = z;
    q->told = told;
    q->arg = arg;
    q->n = print_id(q->id, z, key);
    if (ask(z, text_of(q->id, q->n), burst, LIMIT_COST, answered, q)) return q;
    cell_give(&cells, q);
    return NULL;
}

void limit_sync_leave(struct limit_question *q, bool let_in)
{
    q->told = NULL;
    q->give_back = !let_in;
}

void limit_sync_return(const struct limit_zone *z, struct text key)
{
    char id[ID];
    give_back(z, text_of(id, print_id(id, z, key)));
}

void limit_sync_show(const struct limit_zone *z, json_t *j)
{
    const struct limit_sync *s = z->more;
    if (!s || !s->server) return;
    const _Atomic uint64_t *v = z->counts->v;
    json_object_set_new(j, "sync", json_pack("{s:o,s:b,s:I,s:I,s:I}", "server", api_text(s->server->target.shown), "up", !s->server->zone || !s->server->zone->counts->alone,
                                             "answered", (json_int_t) v[LIMIT_COUNTED_TOGETHER], "late", (json_int_t) v[LIMIT_LATE], "alone", (json_int_t) v[LIMIT_ALONE]));
}
