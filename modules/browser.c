/* browser: variables that tell modern browsers from ancient ones by User-Agent, with nginx's facts of what browsers call themselves. */
#include "modules/module.h"

/* The version stands behind "find", which is looked for from skip on. */
struct browser { struct text name; size_t skip; struct text find; size_t add; };
static const struct browser browsers[] = {
    { TEXT_INIT("opera"), 0, TEXT_INIT("Opera"), sizeof "Opera " - 1 },            /* first: it used to name others too */
    { TEXT_INIT("msie"), sizeof "Mozilla/4.0 (compatible; " - 1, TEXT_INIT("MSIE "), sizeof "MSIE " - 1 },
    { TEXT_INIT("gecko"), sizeof "Mozilla/5.0 (" - 1, TEXT_INIT("rv:"), sizeof "rv:" - 1 },
    { TEXT_INIT("safari"), sizeof "Mozilla/5.0 (" - 1, TEXT_INIT("Safari/"), sizeof "Safari/" - 1 },
    { TEXT_INIT("konqueror"), sizeof "Mozilla/5.0 (compatible; " - 1, TEXT_INIT("Konqueror/"), sizeof "Konqueror/" - 1 },
};

enum { OPERA = 0 };

struct modern { bool given, unlisted, listed[countof(browsers)]; uint64_t versions[countof(browsers)]; };
struct ancient { struct text *v; size_t n, cap; bool netscape4; };
struct browser_conf { struct modern modern; struct ancient ancient; struct text modern_value, ancient_value; };

extern struct module browser_module;

/* "5.5.1" is 5050100; up to the first other byte, which *rest begins with then. */
static uint64_t read_version(struct text *rest)
{
    uint64_t version = 0, part = 0, scale = 1000000;
    for (; rest->n; *rest = text_from(*rest, 1)) {
        char c = rest->p[0];
        if (c >= '0' && c <= '9') {
            if (part < 1000000) part = part * 10 + (uint64_t) (c - '0');
        } else if (c == '.') {
            version += part * scale;
            part = 0;
            scale /= 100;
        } else {
            break;
        }
    }
    return version + part * scale;
}

static conf_result parse_modern(struct conf *cf, const struct directive *d, void *field)
{
    struct modern *m = field;
    (void) d;
    m->given = true;
    if (cf->count == 2) {
        if (!text_eq(cf->words[1], T("unlisted"))) return "!invalid number of arguments in \"modern_browser\" directive";
        m->unlisted = true;
        return NULL;
    }
    struct text version = cf->words[2];
    uint64_t v = read_version(&version);
    if (version.n) return conf_say(cf, "!invalid browser version \"%.*s\"", TEXT_ARG(cf->words[2]));
    for (size_t i = 0; i < countof(browsers); i++) {
        if (!text_eq(browsers[i].name, cf->words[1])) continue;
        m->listed[i] = true;
        m->versions[i] = v;
        return NULL;
    }
    return conf_say(cf, "!unknown browser name \"%.*s\"", TEXT_ARG(cf->words[1]));
}

static conf_result parse_ancient(struct conf *cf, const struct directive *d, void *field)
{
    struct ancient *a = field;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        if (text_eq(cf->words[i], T("netscape4"))) {
            a->netscape4 = true;
            continue;
        }
        if (a->n == a->cap) a->v = pool_grow(cf->pool, a->v, a->n, &a->cap, sizeof *a->v);
        a->v[a->n++] = pool_text(cf->pool, cf->words[i]);
    }
    return NULL;
}

enum { NOT_NAMED = -1 };

/* Is it one of those listed, and new enough? */
static int judge_listed(const struct modern *m, struct text agent)
{
    for (size_t i = 0; i < countof(browsers); i++) {
        const struct browser *b = &browsers[i];
        if (!m->listed[i] || agent.n <= b->skip) continue;
        struct text rest = text_from(agent, b->skip);
        ssize_t at = text_find(rest, b->find);
        if (at < 0 || rest.n <= (size_t) at + b->add) continue;
        rest = text_from(rest, (size_t) at + b->add);
        return read_version(&rest) >= m->versions[i];
    }
    return NOT_NAMED;
}

static bool is_ancient(const struct ancient *a, struct text agent)
{
    if (a->netscape4 && agent.n > strlen("Mozilla/4.72 ") && text_starts(agent, T("Mozilla/")) && agent.p[8] > '0' && agent.p[8] < '5') return true;
    for (size_t i = 0; i < a->n; i++)
        if (text_find(agent, a->v[i]) >= 0) return true;
    return false;
}

static bool is_modern(const struct request *r, const struct browser_conf *c)
{
    const struct modern *m = &c->modern;
    struct text agent = request_value(r, FIELD_USER_AGENT);
    bool any = false;
    if (!request_field(r, FIELD_USER_AGENT)) return m->unlisted;
    for (size_t i = 0; i < countof(browsers); i++) any |= m->listed[i];
    int listed = judge_listed(m, agent);
    if (listed != NOT_NAMED) return listed;
    if (any && !m->unlisted) return false;
    if (any && !m->listed[OPERA] && text_find(agent, browsers[OPERA].find) >= 0) return false;      /* which claims to be others */
    return !is_ancient(&c->ancient, agent) && m->unlisted;
}

static bool get_modern(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct browser_conf *c = request_values(request_of(e), &browser_module);
    (void) v, (void) name;
    *out = is_modern(request_of(e), c) ? c->modern_value : T("");
    return true;
}

static bool get_ancient(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct browser_conf *c = request_values(request_of(e), &browser_module);
    (void) v, (void) name;
    *out = is_modern(request_of(e), c) ? T("") : c->ancient_value;
    return true;
}

static bool get_msie(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    struct text agent = request_value(request_of(e), FIELD_USER_AGENT);
    ssize_t at = text_find(agent, T("MSIE "));
    (void) v, (void) name;
    *out = at >= 0 && (size_t) at + 7 < agent.n && text_find(agent, T("Opera")) < 0 ? T("1") : T("");
    return true;
}

static const struct variable variables[] = {
    { .name = "modern_browser", .get = get_modern, .flags = VAR_CHANGEABLE, .help = "modern_browser_value where the browser is modern, else empty." },
    { .name = "ancient_browser", .get = get_ancient, .flags = VAR_CHANGEABLE, .help = "ancient_browser_value where the browser is ancient, else empty." },
    { .name = "msie", .get = get_msie, .flags = VAR_CHANGEABLE, .help = "\"1\" for Internet Explorer, else empty." },
    { .name = NULL },
};

static const struct conf_type type_modern = { .syntax = "browser version | unlisted", .size = sizeof(struct modern), .flags = CONF_MULTI, .min = 1, .max = 2, .parse = parse_modern };
static const struct conf_type type_ancient = { .syntax = "string ...", .size = sizeof(struct ancient), .flags = CONF_MULTI, .min = 1, .max = UINT32_MAX, .parse = parse_ancient };
static const struct directive rows[] = {
    D_TYPE(struct browser_conf, modern, struct modern, &type_modern, "modern_browser", IN_HSL, NULL, "From which version on a browser (msie, gecko, opera, safari, konqueror) is modern; unlisted: those that are not listed are too."),
    D_TYPE(struct browser_conf, ancient, struct ancient, &type_ancient, "ancient_browser", IN_HSL, NULL, "What in User-Agent tells an ancient browser; netscape4 stands for all Netscapes before 5."),
    D_TEXT(struct browser_conf, modern_value, "modern_browser_value", IN_HSL, "1", "The value of $modern_browser."),
    D_TEXT(struct browser_conf, ancient_value, "ancient_browser_value", IN_HSL, "1", "The value of $ancient_browser."),
    { .name = NULL },
};
static const struct http_part part = { .variables = variables };

struct module browser_module = { .name = "browser", .conf_size = sizeof(struct browser_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
