/* userid: cookies that tell clients apart, as mod_uid made them. */
#include "modules/module.h"
#include "wire/base64.h"
#include "wire/value.h"
#include <arpa/inet.h>
#include <sys/time.h>
#include <unistd.h>

enum { USERID_OFF, USERID_LOG, USERID_V1, USERID_V2 };
enum { SECURE = 1, HTTPONLY = 2, SAMESITE_STRICT = 4, SAMESITE_LAX = 8, SAMESITE_NONE = 16 };
enum { ENCODED = 22, MARK_AT = 22 };         /* base64 of 16 bytes without its "==", the first of which a mark replaces */
struct userid_expires { uint64_t seconds; bool max; };
struct userid_service { uint32_t number; bool given; };

struct userid_conf {
    int                   enable;
    struct text           name, domain, path, p3p;      /* domain, path: with "; domain=" before them; empty: none */
    struct userid_expires expires;
    struct userid_service service;
    unsigned              flags;
    int                   mark;                         /* 0: none */
};

struct userid { uint32_t got[4], set[4]; struct text cookie; bool reset; };

extern struct module userid_module;

static const struct userid_conf *conf_of(const struct request *r) { return request_values(r, &userid_module); }

/* ---- what the client has, and what it gets ---- */

static bool find_cookie(const struct request *r, struct text name, struct text *out)
{
    for (unsigned i = 0; i < r->in.n; i++)
        if (r->in.v[i].id == FIELD_COOKIE && value_cookie(r->in.v[i].value, name, out)) return true;
    return false;
}

/* The first 22 characters; what the last one has beyond 16 bytes does not count (cookies with all kinds of ends are about). */
static bool decode(struct text cookie, uint32_t id[4])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char encoded[ENCODED], room[16];
    struct build b = build_in_room(room, sizeof room);
    memcpy(encoded, cookie.p, ENCODED);
    const char *last = encoded[ENCODED - 1] ? strchr(alphabet, encoded[ENCODED - 1]) : NULL;
    if (last) encoded[ENCODED - 1] = alphabet[(last - alphabet) & ~15];
    if (!base64_decode(&b, text_of(encoded, ENCODED), false) || b.n != sizeof room) return false;
    memcpy(id, room, sizeof room);
    return true;
}

static struct userid *state_of(struct request *r)
{
    struct userid **at = (struct userid **) request_context(r, &userid_module), *u = *at;
    if (u) return u;
    u = *at = pool_new(r->pool, struct userid);
    if (!find_cookie(r, conf_of(r)->name, &u->cookie)) return u;
    if (u->cookie.n < ENCODED) request_log(r, L_ERR, 0, "client sent too short userid cookie \"%.*s\"", TEXT_ARG(u->cookie));
    else if (!decode(u->cookie, u->got)) request_log(r, L_ERR, 0, "client sent invalid userid cookie \"%.*s\"", TEXT_ARG(u->cookie));
    return u;
}

static struct text show(struct request *r, const uint32_t id[4])
{
    struct text name = conf_of(r)->name;
    return pool_printf(r->pool, "%.*s=%08X%08X%08X%08X", TEXT_ARG(name), id[0], id[1], id[2], id[3]);
}

/* True: the client's own is good, nothing is to be set. */
static bool is_kept(struct request *r, struct userid *u)
{
    const struct userid_conf *c = conf_of(r);
    struct text reset = value_text(eval_get_name(&r->eval, T("uid_reset")));
    if (reset.n && !text_eq(reset, T("0"))) {
        u->reset = true;
        if (text_eq(reset, T("log"))) request_log(r, L_NOTICE, 0, "userid cookie \"%.*s\" was reset", TEXT_ARG(show(r, u->got)));
        return false;
    }
    if (!c->mark || (u->cookie.n > MARK_AT + 1 && u->cookie.p[MARK_AT] == (char) c->mark && u->cookie.p[MARK_AT + 1] == '=')) return true;
    memcpy(u->set, u->got, sizeof u->set);
    return false;
}

static uint32_t server_number(struct request *r)
{
    const struct addr *a = conn_local(r->conn);
    uint32_t n = 0;
    if (a->family == AF_INET) n = a->in.sin_addr.s_addr;
    else if (a->family == AF_INET6) memcpy(&n, a->in6.sin6_addr.s6_addr + 12, sizeof n);
    return n;
}

/* Of this process, so that no two make the same. */
static uint32_t start_value(void)
{
    static uint32_t value;
    static pid_t of;
    struct timeval tv;
    if (of == getpid()) return value;
    of = getpid();
    gettimeofday(&tv, NULL);
    return value = ((uint32_t) (tv.tv_usec / 20) << 16) | (uint32_t) of;
}

static void make(struct request *r, struct userid *u)
{
    enum { FIRST = 0x03030302, STEP = 0x100 };
    static uint32_t next_v1 = 1, next_v2 = FIRST;
    const struct userid_conf *c = conf_of(r);
    if (c->enable == USERID_V1) {
        uint32_t id[4] = { c->service.number, (uint32_t) clock_now.wall, start_value(), next_v1 };
        memcpy(u->set, id, sizeof id);
        next_v1 += STEP;
        return;
    }
    uint32_t id[4] = { c->service.given ? htonl(c->service.number) : server_number(r), htonl((uint32_t) clock_now.wall), htonl(start_value()), htonl(next_v2) };
    memcpy(u->set, id, sizeof id);
    next_v2 += STEP;
    if (next_v2 < FIRST) next_v2 = FIRST;
}

static struct userid *decide(struct request *r)
{
    struct userid *u = state_of(r);
    if (u->set[3]) return u;
    if (u->got[3] && is_kept(r, u)) return u;
    if (!u->set[3]) make(r, u);
    return u;
}

/* ---- the cookie ---- */

static void put_expires(struct build *b, const struct userid_expires *e)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t t = clock_now.wall + (time_t) e->seconds;
    struct tm tm;
    if (e->max) build_lit(b, "; expires=Thu, 31-Dec-37 23:55:55 GMT");
    if (e->max || !e->seconds || !gmtime_r(&t, &tm)) return;
    /* Browsers take two digits for years before 2038 only. */
    int year = tm.tm_year + 1900 > 2037 ? tm.tm_year + 1900 : tm.tm_year % 100;
    build_fmt(b, "; expires=%s, %02d-%s-%02d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], year, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void set_cookie(struct request *r, const struct userid *u)
{
    const struct userid_conf *c = conf_of(r);
    struct build b = build_in_pool(r->pool, 192, 0);
    build_text(&b, c->name);
    build_char(&b, '=');
    if (!u->got[3] || u->reset) {
        base64_encode(&b, text_of((const char *) u->set, sizeof u->set), false);
        if (c->mark) b.p[b.n - 2] = (char) c->mark;
    } else {
        build_text(&b, text_upto(u->cookie, ENCODED));
        build_char(&b, (char) c->mark);
        build_char(&b, '=');
    }
    put_expires(&b, &c->expires);
    build_text(&b, c->domain);
    build_text(&b, c->path);
    if (c->flags & SECURE) build_lit(&b, "; secure");
    if (c->flags & HTTPONLY) build_lit(&b, "; httponly");
    if (c->flags & SAMESITE_STRICT) build_lit(&b, "; samesite=strict");
    else if (c->flags & SAMESITE_LAX) build_lit(&b, "; samesite=lax");
    else if (c->flags & SAMESITE_NONE) build_lit(&b, "; samesite=none");
    response_add(r, FIELD_SET_COOKIE, T("Set-Cookie"), build_done(&b));
    if (c->p3p.n) response_add(r, FIELD_OTHER, T("P3P"), c->p3p);
}

static bool head(struct request *r, struct filter_at *at)
{
    (void) at;
    if (r->main != r || conf_of(r)->enable < USERID_V1) return false;
    const struct userid *u = decide(r);
    if (u->set[3]) set_cookie(r, u);
    return false;
}

/* ---- variables ---- */

static bool get_got(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    struct request *r = request_of(e)->main;
    (void) v, (void) name;
    if (conf_of(r)->enable == USERID_OFF) return false;
    const struct userid *u = state_of(r);
    *out = show(r, u->got);
    return u->got[3] != 0;
}

static bool get_set(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    struct request *r = request_of(e)->main;
    (void) v, (void) name;
    if (conf_of(r)->enable < USERID_V1) return false;
    const struct userid *u = decide(r);
    *out = show(r, u->set);
    return u->set[3] != 0;
}

static bool get_reset(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) e, (void) v, (void) name;
    *out = T("");
    return true;
}

static const struct variable variables[] = {
    { .name = "uid_got", .get = get_got, .help = "The name and number that the client's cookie has." },
    { .name = "uid_set", .get = get_set, .help = "The name and number of the cookie that the client is given." },
    { .name = "uid_reset", .flags = VAR_CHANGEABLE, .get = get_reset, .help = "Set to something: the client gets a new number; to \"log\": and that is written to the error log." },
    { .name = NULL },
};

/* ---- directives ---- */

static conf_result parse_service(struct conf *cf, const struct directive *d, void *field)
{
    struct userid_service *s = field;
    uint64_t n;
    (void) d;
    if (!text_u64(cf->words[1], &n) || n > UINT32_MAX) return "invalid number";
    *s = (struct userid_service) { (uint32_t) n, true };
    return NULL;
}

static conf_result parse_expires(struct conf *cf, const struct directive *d, void *field)
{
    struct userid_expires *e = field;
    struct text t = cf->words[1];
    uint64_t ms;
    (void) d;
    if (text_eq(t, T("max"))) {
        e->max = true;
        return NULL;
    }
    if (text_eq(t, T("off"))) return NULL;
    if (!conf_read_span(t, &ms) || text_find(t, T("ms")) >= 0) return conf_invalid;
    e->seconds = ms / 1000;
    return NULL;
}

/* "none", or "; domain=…", "; path=…" */
static conf_result parse_part(struct conf *cf, const struct directive *d, void *field)
{
    struct text *t = field;
    bool domain = text_eq(text_c(d->name), T("userid_domain"));
    if (domain && text_eq(cf->words[1], T("none"))) *t = T("");
    else *t = pool_printf(cf->pool, "; %s=%.*s", domain ? "domain" : "path", TEXT_ARG(cf->words[1]));
    return NULL;
}

static conf_result parse_p3p(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(struct text *) field = text_eq(cf->words[1], T("none")) ? T("") : pool_text(cf->pool, cf->words[1]);
    return NULL;
}

static conf_result parse_mark(struct conf *cf, const struct directive *d, void *field)
{
    struct text t = cf->words[1];
    (void) d;
    if (text_eq(t, T("off"))) return NULL;
    char c = t.n == 1 ? t.p[0] : 0;
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '=') {
        *(int *) field = c;
        return NULL;
    }
    return "value must be \"off\" or a single letter, digit or \"=\"";
}

static const struct conf_choice enables[] = { { "off", USERID_OFF }, { "log", USERID_LOG }, { "v1", USERID_V1 }, { "on", USERID_V2 }, { 0 } };
static const struct conf_choice flag_words[] = {
    { "off", 0 }, { "secure", SECURE }, { "httponly", HTTPONLY }, { "samesite=strict", SAMESITE_STRICT }, { "samesite=lax", SAMESITE_LAX }, { "samesite=none", SAMESITE_NONE }, { 0 }
};
static const struct conf_type type_service = { "number", sizeof(struct userid_service), 0, 1, 1, parse_service };
static const struct conf_type type_expires = { "time | max | off", sizeof(struct userid_expires), 0, 1, 1, parse_expires };
static const struct conf_type type_part = { "string", sizeof(struct text), 0, 1, 1, parse_part };
static const struct conf_type type_p3p = { "string | none", sizeof(struct text), 0, 1, 1, parse_p3p };
static const struct conf_type type_mark = { "letter | digit | = | off", sizeof(int), 0, 1, 1, parse_mark };

typedef struct userid_conf uc;
static const struct directive rows[] = {
    D_ENUM(uc, enable, "userid", IN_HSL, "off", enables, "Whether clients get a cookie that tells them apart (on; v1: the old form), or that which they have is only known to the log."),
    D_TYPE(uc, service, struct userid_service, &type_service, "userid_service", IN_HSL, NULL, "The number of this server in cookies; without it its address."),
    D_TEXT(uc, name, "userid_name", IN_HSL, "uid", "The name of the cookie."),
    D_TYPE(uc, domain, struct text, &type_part, "userid_domain", IN_HSL, "none", "The domain that the cookie is for; none: the host alone."),
    D_TYPE(uc, path, struct text, &type_part, "userid_path", IN_HSL, "/", "The path that the cookie is for."),
    D_TYPE(uc, expires, struct userid_expires, &type_expires, "userid_expires", IN_HSL, "off", "How long browsers keep the cookie; max: until 2037, off: until they are closed."),
    D_BITS(uc, flags, "userid_flags", IN_HSL, "off", flag_words, "Attributes of the cookie: secure, httponly, samesite=strict, samesite=lax, samesite=none."),
    D_TYPE(uc, p3p, struct text, &type_p3p, "userid_p3p", IN_HSL, "none", "The value of the P3P header that goes with the cookie."),
    D_TYPE(uc, mark, int, &type_mark, "userid_mark", IN_HSL, "off", "A character at the end of cookies; a client whose cookie has another gets it again, with the new attributes."),
    { 0 }
};

static const struct filter userid_filter = { .name = "userid", .head = head };
static const struct filter *const filters[] = { &userid_filter, NULL };
static const struct http_part part = { .variables = variables, .filters = filters, .if_given = true };

struct module userid_module = { .name = "userid", .conf_size = sizeof(struct userid_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
