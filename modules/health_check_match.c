/* health_check_match: match blocks: what a healthy answer looks like. */
#include "modules/health_check.h"

struct named { struct match match; bool defined; };
struct match_conf { struct table *names; };

extern struct module http_match_module;

struct match *match_named(struct conf *cf, struct text name)
{
    struct match_conf *top = conf_own_values(cf, cf->top, &http_match_module);
    if (!top->names) {
        top->names = pool_new(cf->pool, struct table);
        table_init(top->names, cf->pool, false);
    }
    struct named *m = table_get(top->names, name);
    if (m) return &m->match;
    m = pool_new(cf->pool, struct named);
    m->match.name = pool_text(cf->pool, name);
    table_add(top->names, m->match.name, m);
    return &m->match;
}

bool match_is_defined(const struct match *m) { return container_of((struct match *) m, struct named, match)->defined; }

/* ---- reading ---- */

static conf_result invalid(struct conf *cf, struct text word) { return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word)); }

static bool read_code(struct text t, unsigned *out)
{
    uint64_t v;
    if (!text_u64(t, &v) || v < 100 || v > 999) return false;
    *out = (unsigned) v;
    return true;
}

static bool read_range(struct text t, struct match_range *out)
{
    ssize_t dash = text_find_char(t, '-');
    if (dash < 0) return read_code(t, &out->from) && (out->to = out->from);
    return read_code(text_upto(t, (size_t) dash), &out->from) && read_code(text_from(t, (size_t) dash + 1), &out->to) && out->from <= out->to;
}

/* status 200; status ! 500; status 200-399 404; */
static conf_result read_status(struct conf *cf, struct match *m)
{
    size_t at = 1;
    struct match_status s = { .not = cf->count > 1 && text_eq(cf->words[1], T("!")) };
    if (s.not) at++;
    if (at == cf->count) return conf_say(cf, "!no status code in \"status\"");
    s.v = pool_array(cf->pool, struct match_range, cf->count - at);
    for (; at < cf->count; at++)
        if (!read_range(cf->words[at], &s.v[s.n++])) return conf_say(cf, "!invalid status code \"%.*s\"", TEXT_ARG(cf->words[at]));
    if (m->status_count == m->status_cap) m->status = pool_grow(cf->pool, m->status, m->status_count, &m->status_cap, sizeof s);
    m->status[m->status_count++] = s;
    return NULL;
}

static bool read_how(struct text t, enum match_how *out)
{
    static const struct { const char *sign; enum match_how how; } signs[] = { { "=", MATCH_EQUAL }, { "!=", MATCH_UNEQUAL }, { "~", MATCH_REGEX }, { "!~", MATCH_NOT_REGEX } };
    for (size_t i = 0; i < countof(signs); i++) {
        if (!text_eq(t, text_c(signs[i].sign))) continue;
        *out = signs[i].how;
        return true;
    }
    return false;
}

static conf_result add_header(struct conf *cf, struct match *m, struct match_header h, struct text name)
{
    h.name = pool_text(cf->pool, name);
    if (m->header_count == m->header_cap) m->headers = pool_grow(cf->pool, m->headers, m->header_count, &m->header_cap, sizeof h);
    m->headers[m->header_count++] = h;
    return NULL;
}

/* header Name; header ! Name; header Name = value; header Name !~ regex; */
static conf_result read_header(struct conf *cf, struct match *m)
{
    struct match_header h = { .how = MATCH_PRESENT };
    conf_result why = NULL;
    if (cf->count == 2 && !text_eq(cf->words[1], T("!"))) return add_header(cf, m, h, cf->words[1]);
    if (cf->count == 3 && text_eq(cf->words[1], T("!"))) return add_header(cf, m, (struct match_header) { .how = MATCH_ABSENT }, cf->words[2]);
    if (cf->count != 4) return conf_say(cf, "!invalid number of parameters in \"header\"");
    if (!read_how(cf->words[2], &h.how)) return invalid(cf, cf->words[2]);
    h.value = pool_text(cf->pool, cf->words[3]);
    if (h.how >= MATCH_REGEX && !(h.regex = regex_compile(cf, cf->words[3], false, &why))) return why;
    return add_header(cf, m, h, cf->words[1]);
}

/* body ~ regex; body !~ regex; */
static conf_result read_body(struct conf *cf, struct match *m)
{
    conf_result why = NULL;
    if (cf->count != 3) return conf_say(cf, "!invalid number of parameters in \"body\"");
    struct match_body b = { .not = text_eq(cf->words[1], T("!~")) };
    if (!b.not && !text_eq(cf->words[1], T("~"))) return invalid(cf, cf->words[1]);
    if (!(b.regex = regex_compile(cf, cf->words[2], false, &why))) return why;
    if (m->body_count == m->body_cap) m->bodies = pool_grow(cf->pool, m->bodies, m->body_count, &m->body_cap, sizeof b);
    m->bodies[m->body_count++] = b;
    return NULL;
}

static conf_result read_line(struct conf *cf, void *arg)
{
    if (text_eq(cf->words[0], T("status"))) return read_status(cf, arg);
    if (text_eq(cf->words[0], T("header"))) return read_header(cf, arg);
    if (text_eq(cf->words[0], T("body"))) return read_body(cf, arg);
    return conf_say(cf, "!unknown directive \"%.*s\" in \"match\": it has status, header and body", TEXT_ARG(cf->words[0]));
}

static conf_result parse_match(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    struct match *m = match_named(cf, cf->words[1]);
    struct named *n = container_of(m, struct named, match);
    if (n->defined) return conf_say(cf, "!duplicate match \"%.*s\"", TEXT_ARG(cf->words[1]));
    n->defined = true;
    return conf_entries(cf, read_line, m);
}

const struct conf_type match_type = { .syntax = "name { ... }", .flags = CONF_BLOCK | CONF_MULTI, .min = 1, .max = 1, .parse = parse_match };

static const struct directive rows[] = {
    D_DO(&match_type, "match", IN_HTTP, NULL, NULL, "What a healthy answer looks like: tests of its status, header and body, all of which must hold."),
    { .name = NULL },
};

struct module http_match_module = { .name = "http_match", .conf_size = sizeof(struct match_conf), .rows = rows };

/* ---- an answer ---- */

__attribute__((format(printf, 3, 4))) static bool say(char *why, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, size, fmt, args);
    va_end(args);
    return false;
}

static bool status_holds(const struct match_status *s, unsigned status)
{
    bool in = false;
    for (size_t i = 0; i < s->n; i++) in = in || (status >= s->v[i].from && status <= s->v[i].to);
    return in != s->not;
}

static bool value_holds(const struct match_header *h, struct text value)
{
    switch (h->how) {
    case MATCH_EQUAL:
    case MATCH_UNEQUAL: return text_eq(h->value, value);
    case MATCH_REGEX:
    case MATCH_NOT_REGEX: return regex_match(h->regex, value, NULL);
    default: return true;
    }
}

static bool header_holds(const struct match_header *h, const struct fetch *f)
{
    bool found = false;
    for (unsigned i = 0; i < f->fields.n && !found; i++)
        found = text_eq_nocase(f->fields.v[i].name, h->name) && value_holds(h, f->fields.v[i].value);
    return found != (h->how == MATCH_ABSENT || h->how == MATCH_UNEQUAL || h->how == MATCH_NOT_REGEX);
}

bool match_holds(const struct match *m, const struct fetch *f, char *why, size_t size)
{
    static const struct match_range usual = { 200, 399 };
    static const struct match_status usual_status = { .v = (struct match_range *) &usual, .n = 1 };
    if (!m) return status_holds(&usual_status, f->status) || say(why, size, "status %u", f->status);
    for (size_t i = 0; i < m->status_count; i++)
        if (!status_holds(&m->status[i], f->status)) return say(why, size, "status %u does not match \"%.*s\"", f->status, TEXT_ARG(m->name));
    for (size_t i = 0; i < m->header_count; i++)
        if (!header_holds(&m->headers[i], f)) return say(why, size, "header \"%.*s\" does not match \"%.*s\"", TEXT_ARG(m->headers[i].name), TEXT_ARG(m->name));
    for (size_t i = 0; i < m->body_count; i++)
        if (regex_match(m->bodies[i].regex, f->body, NULL) == m->bodies[i].not) return say(why, size, "the body does not match \"%.*s\"", TEXT_ARG(m->name));
    return true;
}
