#include "http/limit_zone.h"

enum { NAME_MOST = 45, TOLD_EVERY_MS = 3600000 };
#define SIZE_LEAST ((uint64_t) 8 * 4096)
#define SIZE_MOST  ((uint64_t) 1 << 36)

/* ---- reading ---- */

struct limit_zone *limit_zone_named(struct conf *cf, struct table **zones, struct text name)
{
    if (!*zones) {
        *zones = pool_new(cf->pool, struct table);
        table_init(*zones, cf->pool, false);
    }
    struct limit_zone *z = table_get(*zones, name);
    if (z) return z;
    z = pool_new(cf->pool, struct limit_zone);
    *z = (struct limit_zone) { .name = pool_text(cf->pool, name), .file = cf->file, .line = cf->line };
    table_add(*zones, z->name, z);
    return z;
}

static conf_result read_zone(struct conf *cf, struct table **zones, struct text word, struct limit_zone **out)
{
    struct text value = text_from(word, strlen("zone="));
    ssize_t colon = text_find_char(value, ':');
    uint64_t size;
    if (colon <= 0 || colon > NAME_MOST || memchr(value.p, '\0', (size_t) colon) || !conf_read_bytes(text_from(value, (size_t) colon + 1), &size) || size > SIZE_MOST)
        return conf_say(cf, "!invalid zone size \"%.*s\"", TEXT_ARG(word));
    if (size < SIZE_LEAST) return conf_say(cf, "!zone \"%.*s\" is too small", TEXT_ARG(word));
    struct limit_zone *z = *out = limit_zone_named(cf, zones, text_upto(value, (size_t) colon));
    if (z->key) return conf_say(cf, "!%.*s \"%.*s\" is already bound to key \"%.*s\"", TEXT_ARG(cf->words[0]), TEXT_ARG(z->name), TEXT_ARG(template_source(z->key)));
    z->size = size;
    return NULL;
}

static bool is_client_address(const struct template *key)
{
    struct text s = template_source(key);
    return text_eq(s, T("$binary_remote_addr")) || text_eq(s, T("${binary_remote_addr}"));
}

conf_result limit_zone_read(struct conf *cf, struct table **zones, bool (*read)(struct conf *cf, struct text word, struct limit_zone *told, conf_result *why_out), struct limit_zone *told)
{
    conf_result why;
    struct limit_zone *z = NULL;
    uint64_t prefix = 0;
    struct template *key = template_compile(cf, cf->words[1], &why);
    if (!key) return why;
    for (size_t i = 2; i < cf->count; i++) {
        struct text word = cf->words[i];
        if (text_starts(word, T("zone="))) {
            if ((why = read_zone(cf, zones, word, &z))) return why;
        } else if (text_starts(word, T("ipv6_prefix="))) {
            if (!text_u64(text_from(word, strlen("ipv6_prefix=")), &prefix) || prefix == 0 || prefix > 128)
                return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
            if (!is_client_address(key)) return conf_say(cf, "!parameter \"%.*s\" is for the key \"$binary_remote_addr\"", TEXT_ARG(word));
        } else if (read && read(cf, word, told, &why)) {
            if (why) return why;
        } else {
            return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
        }
    }
    if (!z) return conf_say(cf, "!\"%.*s\" must have \"zone\" parameter", TEXT_ARG(cf->words[0]));
    z->key = key;
    z->rate = told->rate;
    z->burst = told->burst;
    z->more = told->more;
    z->ipv6_prefix = (unsigned) prefix;
    return NULL;
}

struct limit_zone *limit_zone_next(const struct table *zones, size_t *at)
{
    struct text name;
    void *v;
    return zones && table_next(zones, at, &name, &v) ? v : NULL;
}

void limit_zones_check(struct conf *cf, const struct table *zones)
{
    const struct limit_zone *z;
    for (size_t at = 0; (z = limit_zone_next(zones, &at)) != NULL;)
        if (!z->key) conf_error_at(cf, z->file, z->line, "zero size shared memory zone \"%.*s\"", TEXT_ARG(z->name));
}

/* ---- the tables ---- */

bool limit_zones_open(struct cycle *c, const struct table *zones, const char *kind, size_t value_size)
{
    struct limit_zone *z;
    for (size_t at = 0; (z = limit_zone_next(zones, &at)) != NULL;) {
        z->table = shm_table_open(pool_printf(c->pool, "%s %.*s", kind, TEXT_ARG(z->name)), z->size, value_size, 1, NULL);
        if (!z->table || !(z->counts = shm_object(shm_table_zone(z->table), T("counts"), sizeof *z->counts, NULL))) return false;
    }
    return true;
}

bool limit_zone_text(const struct limit_zone *z, struct request *r, struct text *out)
{
    enum { ADDRESS = 16 };
    *out = template_render(z->key, &r->eval);
    if (z->ipv6_prefix && out->n == ADDRESS && r->peer->family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&r->peer->in6.sin6_addr)) {
        char *p = pool_bytes(r->pool, ADDRESS);
        memcpy(p, out->p, ADDRESS);
        for (unsigned bit = z->ipv6_prefix; bit < 128; bit++) p[bit / 8] = (char) (p[bit / 8] & ~(0x80 >> bit % 8));
        out->p = p;
    }
    return out->n != 0;
}

bool limit_zone_key(const struct limit_zone *z, struct request *r, struct siphash *out)
{
    struct text key;
    if (!limit_zone_text(z, r, &key)) return false;
    *out = shm_table_key(z->table, key);
    return true;
}

bool limit_zone_may_tell(const struct limit_zone *z) { return shm_table_may_tell(z->table, clock_now.ms, TOLD_EVERY_MS); }

/* ---- for the API ---- */

static json_t *show(const struct limit_zone *z, const struct limit_zones_shown *shown)
{
    json_t *j = json_object();
    for (size_t i = 0; shown->counts[i].name; i++)
        json_object_set_new(j, shown->counts[i].name, json_integer((json_int_t) atomic_load_explicit(&z->counts->v[shown->counts[i].what], memory_order_relaxed)));
    if (shown->more) shown->more(z, j);
    return j;
}

int limit_zones_serve(struct api_call *c, const struct table *zones, const struct limit_zones_shown *shown)
{
    const struct limit_zone *z;
    if (c->depth > 1) return api_refuse(c, 404, "PathNotFound", "path not found");
    if (!c->depth && c->method != METHOD_GET) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    if (!c->depth) {
        c->answer = json_object();
        for (size_t at = 0; (z = limit_zone_next(zones, &at)) != NULL;) json_object_setn_new(c->answer, z->name.p, z->name.n, show(z, shown));
        return 200;
    }
    z = zones ? table_get(zones, c->rest[0]) : NULL;
    if (!z) return api_refuse(c, 404, shown->code, "%s not found", shown->kind);
    if (c->method == METHOD_GET) {
        c->answer = show(z, shown);
        return 200;
    }
    for (size_t i = 0; i < LIMIT_COUNTS; i++) atomic_store(&z->counts->v[i], 0);
    return 204;
}
