#include "http/coding.h"
#include "eval/match.h"
#include "http/core_conf.h"
#include "http/response.h"
#include "wire/date.h"
#include "wire/value.h"

enum { PROXIED_OFF = 1, PROXIED_EXPIRED = 2, PROXIED_NO_CACHE = 4, PROXIED_NO_STORE = 8, PROXIED_PRIVATE = 16, PROXIED_NO_LAST_MODIFIED = 32,
       PROXIED_NO_ETAG = 64, PROXIED_AUTH = 128, PROXIED_ANY = 256 };

struct browsers { struct regex **v; size_t n, cap; bool msie6; };
struct coding_conf { flag vary; int version; unsigned proxied; struct browsers disable; };
extern struct module http_coding_module;

static conf_result parse_disable(struct conf *cf, const struct directive *d, void *field)
{
    struct browsers *b = field;
    conf_result why = NULL;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        if (text_eq(cf->words[i], T("msie6"))) {
            b->msie6 = true;
            continue;
        }
        if (b->n == b->cap) b->v = pool_grow(cf->pool, b->v, b->n, &b->cap, sizeof *b->v);
        if (!(b->v[b->n++] = regex_compile(cf, cf->words[i], true, &why))) return why;
    }
    return NULL;
}

static const struct conf_type type_disable = { "regex ...", sizeof(struct browsers), CONF_MULTI, 1, UINT32_MAX, parse_disable };
static const struct conf_choice versions[] = { { "1.0", 1000 }, { "1.1", 1001 }, { 0 } };
static const struct conf_choice proxied[] = {
    { "off", PROXIED_OFF }, { "expired", PROXIED_EXPIRED }, { "no-cache", PROXIED_NO_CACHE }, { "no-store", PROXIED_NO_STORE }, { "private", PROXIED_PRIVATE },
    { "no_last_modified", PROXIED_NO_LAST_MODIFIED }, { "no_etag", PROXIED_NO_ETAG }, { "auth", PROXIED_AUTH }, { "any", PROXIED_ANY }, { 0 }
};

static const struct directive rows[] = {
    D_FLAG(struct coding_conf, vary, "gzip_vary", IN_HSL, "off", "Whether responses that may be compressed say \"Vary: Accept-Encoding\"."),
    D_ENUM(struct coding_conf, version, "gzip_http_version", IN_HSL, "1.1", versions, "The least version of a request whose response may be compressed."),
    { .name = "gzip_proxied", .type = &conf_bits, .where = IN_HSL, .offset = FIELD(struct coding_conf, proxied, unsigned), .dflt = "off", .syntax = "off | expired | no-cache | no-store | private | no_last_modified | no_etag | auth | any ...",
      .help = "Which responses to requests that came by a proxy (with Via) may be compressed.", .data = proxied },
    D_TYPE(struct coding_conf, disable, struct browsers, &type_disable, "gzip_disable", IN_HSL, NULL, "Browsers, by User-Agent, that no compressed response is sent to; msie6 stands for Internet Explorer 4 to 6."),
    { 0 }
};

struct module http_coding_module = { .name = "http_coding", .conf_size = sizeof(struct coding_conf), .rows = rows };

static bool is_msie6(struct text agent)
{
    ssize_t at = text_find(agent, T("MSIE "));
    if (at < 0 || agent.n < (size_t) at + 8 || agent.p[at + 6] != '.' || text_find(agent, T("Opera")) >= 0) return false;
    char version = agent.p[at + 5];
    return version == '4' || version == '5' || (version == '6' && text_find(agent, T("SV1")) < 0);
}

static bool is_disabled(struct request *r, const struct browsers *b)
{
    struct text agent = request_value(r, FIELD_USER_AGENT);
    if (!agent.n) return false;
    if (b->msie6 && is_msie6(agent)) return true;
    for (size_t i = 0; i < b->n; i++)
        if (regex_match(b->v[i], agent, NULL)) return true;
    return false;
}

/* Do gzip_proxied's conditions on the response's own fields hold? As in nginx, one without Expires and Cache-Control need only
 * lack what no_last_modified and no_etag name. */
static bool fields_hold(const struct request *r, unsigned allowed)
{
    const struct fields *f = &r->out.fields;
    const struct field *expires = fields_find(f, FIELD_EXPIRES);
    struct value_cache c = VALUE_CACHE_NONE;
    const struct field *date = fields_find(f, FIELD_DATE);
    time_t then, now = clock_now.wall;
    if (expires) {
        if (date && !date_parse(date->value, &now)) now = clock_now.wall;
        return allowed & PROXIED_EXPIRED && (!date_parse(expires->value, &then) || then < now);
    }
    for (unsigned i = 0; i < f->n; i++)
        if (f->v[i].id == FIELD_CACHE_CONTROL) value_cache_control(f->v[i].value, &c);
    if (fields_find(f, FIELD_CACHE_CONTROL))
        return (allowed & PROXIED_NO_CACHE && c.no_cache) || (allowed & PROXIED_NO_STORE && c.no_store) || (allowed & PROXIED_PRIVATE && c.is_private);
    return !(allowed & PROXIED_NO_LAST_MODIFIED && fields_find(f, FIELD_LAST_MODIFIED)) && !(allowed & PROXIED_NO_ETAG && response_etag(r).n);
}

static bool proxies_may(const struct request *r, unsigned allowed)
{
    if (!request_field(r, FIELD_VIA) || allowed & PROXIED_ANY) return true;
    if (allowed & PROXIED_OFF) return false;
    if (allowed & PROXIED_AUTH && request_field(r, FIELD_AUTHORIZATION)) return true;
    return fields_hold(r, allowed);
}

/* All lines of Accept-Encoding are one list (RFC 9110 5.3). */
static int accepted(const struct request *r, struct text coding)
{
    int best = -1;
    for (unsigned i = 0; i < r->in.n; i++)
        if (r->in.v[i].id == FIELD_ACCEPT_ENCODING) best = max_of(best, value_accepts(r->in.v[i].value, coding));
    return max_of(best, 0);
}

int coding_weight(struct request *r, struct text coding)
{
    const struct coding_conf *conf = request_values(r, &http_coding_module);
    NEED(r, REQUEST_MAGIC);
    if (r->main != r || !request_field(r, FIELD_ACCEPT_ENCODING) || r->version < (unsigned) conf->version) return 0;
    int weight = accepted(r, coding);
    if (!weight || is_disabled(r, &conf->disable) || !proxies_may(r, conf->proxied)) return 0;
    return weight;
}

bool coding_varies(const struct request *r)
{
    return ((struct coding_conf *) request_values(r, &http_coding_module))->vary.on;
}

void coding_vary(struct request *r)
{
    if (!coding_varies(r)) return;
    for (unsigned i = 0; i < r->out.fields.n; i++)
        if (r->out.fields.v[i].id == FIELD_VARY && value_has(r->out.fields.v[i].value, T("Accept-Encoding"))) return;
    response_add(r, FIELD_VARY, T("Vary"), T("Accept-Encoding"));
}
