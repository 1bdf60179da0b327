/* balance: the directives of upstream blocks that say how the group's servers are chosen. */
#include "modules/module.h"
#include "upstream/balance.h"

static struct group *group_here(struct conf *cf) { return cf->block->object; }

static conf_result wrong_word(struct conf *cf, size_t i) { return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i])); }

/* "bounded=1.25" */
static bool read_bound(struct conf *cf, struct text word, double *out)
{
    if (!text_starts(word, T("bounded="))) return false;
    char *end;
    const char *number = pool_cstr(cf->scratch, text_from(word, 8));
    *out = strtod(number, &end);
    return *number >= '0' && *number <= '9' && !*end && *out > 1 && *out <= 1000;
}

static conf_result parse_hash(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    if (cf->count == 2) return balance_hash_set(cf, group_here(cf), cf->words[1]);
    if (!text_eq(cf->words[2], T("consistent"))) return wrong_word(cf, 2);
    double bound = 0;
    if (cf->count == 4 && !read_bound(cf, cf->words[3], &bound)) return wrong_word(cf, 3);
    return balance_ring_set(cf, group_here(cf), cf->words[1], bound);
}

static conf_result parse_ip_hash(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return balance_ip_hash_set(cf, group_here(cf));
}

static conf_result parse_least_conn(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    balance_least_set(cf, group_here(cf), BALANCE_UNTIMED, false);
    return NULL;
}

static enum balance_time time_named(struct text word)
{
    if (text_eq(word, T("header"))) return BALANCE_HEADER;
    return text_eq(word, T("last_byte")) ? BALANCE_LAST_BYTE : BALANCE_UNTIMED;
}

static conf_result parse_least_time(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    enum balance_time timed = time_named(cf->words[1]);
    if (!timed) return wrong_word(cf, 1);
    if (cf->count > 2 && !text_eq(cf->words[2], T("inflight"))) return wrong_word(cf, 2);
    balance_least_set(cf, group_here(cf), timed, cf->count > 2);
    return NULL;
}

static conf_result parse_random(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    if (cf->count > 1 && !text_eq(cf->words[1], T("two"))) return wrong_word(cf, 1);
    enum balance_time timed = BALANCE_UNTIMED;
    if (cf->count > 2 && text_starts(cf->words[2], T("least_time="))) timed = time_named(text_from(cf->words[2], 11));
    if (cf->count > 2 && !timed && !text_eq(cf->words[2], T("least_conn"))) return wrong_word(cf, 2);
    return balance_random_set(cf, group_here(cf), cf->count > 1, timed);
}

static conf_result parse_panic(struct conf *cf, const struct directive *d, void *field)
{
    struct text word = cf->words[1];
    uint64_t percent;
    (void) d, (void) field;
    if (text_eq(word, T("off"))) return NULL;
    if (!text_ends(word, T("%")) || !text_u64(text_upto(word, word.n - 1), &percent) || !percent || percent > 100) return conf_invalid;
    group_here(cf)->panic = (uint8_t) percent;
    return NULL;
}

static const struct conf_type panic_type = { "percent% | off", 0, 0, 1, 1, parse_panic };
static const struct conf_type hash_type = { "key [consistent [bounded=number]]", 0, CONF_MULTI, 1, 3, parse_hash };
static const struct conf_type ip_hash_type = { "", 0, CONF_MULTI, 0, 0, parse_ip_hash };
static const struct conf_type least_conn_type = { "", 0, CONF_MULTI, 0, 0, parse_least_conn };
static const struct conf_type least_time_type = { "header | last_byte [inflight]", 0, CONF_MULTI, 1, 2, parse_least_time };
static const struct conf_type random_type = { "[two [least_conn | least_time=header | least_time=last_byte]]", 0, CONF_MULTI, 0, 2, parse_random };

static const struct directive rows[] = {
    D_DO(&hash_type, "hash", IN_UPSTREAM, NULL, NULL, "Requests with the same key go to the same server; consistent: a server more or less moves few keys; bounded: none gets more than so many times its fair part of the requests in hand."),
    D_DO(&ip_hash_type, "ip_hash", IN_UPSTREAM, NULL, NULL, "Requests of one client address go to the same server; of IPv4 its first three bytes count."),
    D_DO(&least_conn_type, "least_conn", IN_UPSTREAM, NULL, NULL, "The server with the fewest requests for its weight is chosen, counted over all workers."),
    D_DO(&least_time_type, "least_time", IN_UPSTREAM, NULL, NULL, "The server with the least average time to the header, or to the last byte, times its requests in hand, for its weight; inflight: those in hand count in the average too, once they have taken longer than it."),
    D_DO(&random_type, "random", IN_UPSTREAM, NULL, NULL, "A server is chosen by chance; two: of two such, the one with fewer requests for its weight, or least_time of those."),
    { .name = "panic_threshold", .type = &panic_type, .where = IN_UPSTREAM, .dflt = "off", .since = "weir",
      .help = "When fewer of the group's servers than this are healthy (not failed of late, not found unhealthy, not ejected), all of them are asked, so that the few are not drowned." },
    { .name = NULL },
};

struct module http_balance_module = { .name = "http_balance", .rows = rows };
