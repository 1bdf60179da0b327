#include "upstream/resolver.h"
#include "os/shm.h"
#include "process/cycle.h"

enum { DNS_PORT = 53, ZONE_BYTES = 1 << 20 };

struct resolver_conf { struct resolver_zone *first; };

struct reading { struct resolver_want want; struct text zone; struct addr *servers; size_t cap; };

static bool starts(struct text w, struct text key, struct text *rest)
{
    if (!text_starts(w, key)) return false;
    *rest = text_from(w, key.n);
    return true;
}

/* False: it is no parameter, or *wrong. */
static bool read_parameter(struct text w, struct reading *in, bool *wrong)
{
    struct resolver_want *want = &in->want;
    struct text v;
    if (starts(w, T("valid="), &v)) *wrong = !conf_read_span(v, &want->valid_ms);
    else if (starts(w, T("ipv4="), &v)) *wrong = !conf_read_flag(v, &want->ipv4);
    else if (starts(w, T("ipv6="), &v)) *wrong = !conf_read_flag(v, &want->ipv6);
    else if (starts(w, T("status_zone="), &v)) {
        in->zone = v;
        *wrong = !v.n || v.n > 200;
    } else return false;
    return !*wrong;
}

static conf_result read_server(struct conf *cf, struct text w, struct reading *in)
{
    struct text host;
    uint16_t port;
    struct addr *all;
    const char *why;
    if (text_starts_nocase(w, T("unix:"))) return conf_say(cf, "!invalid address in resolver \"%.*s\"", TEXT_ARG(w));
    if (!addr_split(w, &host, &port, &why)) return conf_say(cf, "!%s in resolver \"%.*s\"", why, TEXT_ARG(w));
    size_t n = addr_resolve(cf->scratch, host, port ? port : DNS_PORT, &all, &why);
    if (!n) return conf_say(cf, "!%s in resolver \"%.*s\"", why, TEXT_ARG(w));
    for (size_t i = 0; i < n; i++) {
        if (in->want.count == in->cap) in->servers = pool_grow(cf->scratch, in->servers, in->want.count, &in->cap, sizeof *in->servers);
        in->servers[in->want.count++] = all[i];
    }
    return NULL;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct reading in = { .want = { .ipv4 = true, .ipv6 = true } };
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        bool wrong = false;
        if (read_parameter(cf->words[i], &in, &wrong)) continue;
        conf_result why = wrong ? conf_say(cf, "!invalid parameter: %.*s", TEXT_ARG(cf->words[i])) : read_server(cf, cf->words[i], &in);
        if (why) return why;
    }
    if (!in.want.ipv4 && !in.want.ipv6) return "!\"ipv4\" and \"ipv6\" cannot both be \"off\"";
    if (!in.want.count) return "!no name servers defined";
    in.want.servers = in.servers;
    struct resolver *r = *(struct resolver **) field = resolver_open(cf->pool, &in.want);
    if (!in.zone.n) return NULL;
    struct resolver_conf *top = conf_own_values(cf, cf->top, &upstream_resolver_module);
    struct resolver_zone *z = pool_new(cf->pool, struct resolver_zone);
    *z = (struct resolver_zone) { .next = top->first, .name = pool_text(cf->pool, in.zone), .resolver = r };
    top->first = z;
    return NULL;
}

const struct conf_type resolver_type = { "address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]", sizeof(struct resolver *), 0, 1, 64, parse };

/* ---- what is counted ---- */

const struct resolver_zone *resolver_zones(const struct conf *cf)
{
    const struct resolver_conf *c = conf_values(cf->top, &upstream_resolver_module);
    return c->first;
}

static bool open_cycle(struct cycle *c)
{
    const struct resolver_conf *conf = conf_values(c->conf->top, &upstream_resolver_module);
    struct zone *zone = conf->first ? shm_open_zone(T("resolver zones"), ZONE_BYTES, sizeof(struct resolver_counts) << 8 | 1, NULL) : NULL;
    if (!conf->first) return true;
    for (struct resolver_zone *z = conf->first; zone && z; z = z->next) {
        z->counts = shm_object(zone, z->name, sizeof *z->counts, NULL);
        if (z->counts) {
            resolver_count(z->resolver, z->counts);
            continue;
        }
        log_at(log_main, L_EMERG, NULL, 0, "there is no room for the counts of resolver zone \"%.*s\"", TEXT_ARG(z->name));
        return false;
    }
    return zone != NULL;
}

static const struct process_part part = { .open = open_cycle };

struct module upstream_resolver_module = { .name = "upstream_resolver", .conf_size = sizeof(struct resolver_conf), .part = &part, .part_kind = &process_part_kind };
