#include "eval/policy.h"
#include "base/clock.h"
#include "eval/domains.h"
#include "eval/match.h"
#include "eval/template.h"
#include <time.h>

enum kind { ALL, PORT, METHOD, SCHEME, HOST, LIST, PATH, URL, CLIENT, USER, TIME, IF, KINDS };

struct policy_range { uint16_t from, to; };
struct hours { unsigned days, from, to; };                /* days: a bit each, Sunday first; minutes of the day */
struct policy_guard { bool allow, all; enum scope scope; struct cidr net; };      /* scope SCOPE_COUNT: net counts */

struct condition_here {
    enum kind            kind;
    bool                 negative;
    struct conf_texts    words;                           /* METHOD, SCHEME, PATH, USER; HOST: as given */
    struct names        *names;
    struct regex        *regex;
    struct list_file   **lists;
    struct policy_range *ports;
    struct cidr         *nets;
    struct hours        *hours;
    struct template     *value;
    size_t               n, cap;                          /* of the one array that is used */
};

struct policy_rule {
    bool                   allow;
    unsigned               number;
    struct text            name, words;
    struct condition_here *conditions;
    size_t                 count, cap;
    struct policy_guards   to;
};

static conf_result invalid(struct conf *cf, struct text what) { return conf_say(cf, "!invalid condition \"%.*s\"", TEXT_ARG(what)); }

/* ---- reading values ---- */

static bool read_port(struct text t, uint16_t *out)
{
    uint64_t v;
    if (!text_u64(t, &v) || !v || v > 65535) return false;
    *out = (uint16_t) v;
    return true;
}

static bool read_range(struct text t, struct policy_range *out)
{
    ssize_t dash = text_find_char(t, '-');
    if (dash < 0) return read_port(t, &out->from) && (out->to = out->from);
    return read_port(text_upto(t, (size_t) dash), &out->from) && read_port(text_from(t, (size_t) dash + 1), &out->to) && out->from <= out->to;
}

/* "a", "a-b": a place in the list, or NULL's. */
static bool read_day(struct text t, unsigned *out)
{
    static const char *const names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };
    for (*out = 0; *out < 7; ++*out)
        if (text_eq_nocase(t, text_c(names[*out]))) return true;
    return false;
}

static bool read_days(struct text t, unsigned *out)
{
    ssize_t dash = text_find_char(t, '-');
    unsigned from, to;
    if (!read_day(dash < 0 ? t : text_upto(t, (size_t) dash), &from)) return false;
    if (dash < 0) to = from;
    else if (!read_day(text_from(t, (size_t) dash + 1), &to)) return false;
    for (*out = 1u << to; from != to; from = (from + 1) % 7) *out |= 1u << from;
    return true;
}

static bool read_minute(struct text t, unsigned *out)
{
    uint64_t hour, minute;
    if (t.n != 5 || t.p[2] != ':' || !text_u64(text_upto(t, 2), &hour) || !text_u64(text_from(t, 3), &minute)) return false;
    *out = (unsigned) (hour * 60 + minute);
    return minute < 60 && *out <= 24 * 60;
}

/* "mon-fri/08:00-18:00", "sat", "22:00-06:00" */
static bool read_hours(struct text t, struct hours *out)
{
    ssize_t slash = text_find_char(t, '/');
    *out = (struct hours) { .days = 0x7f, .to = 24 * 60 };
    struct text days = slash < 0 ? t : text_upto(t, (size_t) slash), hours = slash < 0 ? t : text_from(t, (size_t) slash + 1);
    if (text_find_char(hours, ':') < 0) return slash < 0 && read_days(days, &out->days);
    if (slash >= 0 && !read_days(days, &out->days)) return false;
    ssize_t dash = text_find_char(hours, '-');
    return dash > 0 && read_minute(text_upto(hours, (size_t) dash), &out->from) && read_minute(text_from(hours, (size_t) dash + 1), &out->to) && out->from != out->to;
}

static bool read_guard(struct text t, struct policy_guard *out)
{
    *out = (struct policy_guard) { .scope = SCOPE_COUNT };
    if (text_eq(t, T("all"))) return out->all = true;
    out->scope = scope_named(t);
    return out->scope != SCOPE_COUNT || addr_parse_cidr(t, &out->net);
}

/* ---- reading conditions ---- */

static void *add(struct conf *cf, void *array, struct condition_here *c, size_t size)
{
    char **at = array;
    if (c->n == c->cap) *at = pool_grow(cf->pool, *at, c->n, &c->cap, size);
    return memset(*at + c->n++ * size, 0, size);
}

static void add_word(struct conf *cf, struct conf_texts *list, struct text t)
{
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = pool_text(cf->pool, t);
}

static conf_result add_host(struct conf *cf, struct condition_here *c, struct text t)
{
    add_word(cf, &c->words, t);
    if (!c->names) c->names = names_open(cf);
    return names_add(cf, c->names, t, c, NULL);
}

static conf_result add_value(struct conf *cf, struct condition_here *c, struct text t)
{
    bool good = true;
    switch (c->kind) {
    case PORT: good = read_range(t, add(cf, &c->ports, c, sizeof *c->ports)); break;
    case CLIENT: good = addr_parse_cidr(t, add(cf, &c->nets, c, sizeof *c->nets)); break;
    case TIME: good = read_hours(t, add(cf, &c->hours, c, sizeof *c->hours)); break;
    case LIST: *(struct list_file **) add(cf, &c->lists, c, sizeof *c->lists) = domains_of(cf, conf_full_path(cf, t, true)); break;
    case HOST: return add_host(cf, c, t);
    case PATH: good = t.n && t.p[0] == '/'; add_word(cf, &c->words, t); break;
    default: add_word(cf, &c->words, t);
    }
    return good && t.n ? NULL : conf_say(cf, "!invalid value \"%.*s\" of a condition", TEXT_ARG(t));
}

static conf_result read_values(struct conf *cf, struct condition_here *c, struct text values)
{
    conf_result why = NULL;
    struct text part;
    if (c->kind == IF) {
        c->value = template_compile(cf, values, &why);
        return why;
    }
    if (values.n > 1 && values.p[0] == '~' && (c->kind == PATH || c->kind == URL)) {
        bool nocase = values.p[1] == '*';
        c->regex = regex_compile(cf, text_from(values, nocase ? 2 : 1), nocase, &why);
        return why;
    }
    if (c->kind == URL || !values.n) return conf_say(cf, "!invalid value \"%.*s\" of a condition", TEXT_ARG(values));
    if (values.p[0] == '~') return add_value(cf, c, values);
    while (!why && text_split(&values, ',', &part)) why = add_value(cf, c, part);
    return why;
}

static const struct { const char *name; enum kind kind; } kinds[] = {
    { "port", PORT }, { "method", METHOD }, { "scheme", SCHEME }, { "host", HOST }, { "list", LIST }, { "path", PATH }, { "url", URL }, { "client", CLIENT },
    { "user", USER }, { "time", TIME }, { "if", IF },
};

static conf_result read_to(struct conf *cf, struct policy_rule *rule, struct text values)
{
    struct text part;
    if (!rule->allow) return "!\"to=\" is for rules that allow";
    while (text_split(&values, ',', &part)) {
        struct policy_guards *to = &rule->to;
        if (to->n == to->cap) to->v = pool_grow(cf->pool, to->v, to->n, &to->cap, sizeof *to->v);
        if (!read_guard(part, &to->v[to->n])) return conf_say(cf, "!invalid address or scope \"%.*s\"", TEXT_ARG(part));
        to->v[to->n++].allow = true;
    }
    return NULL;
}

static conf_result read_condition(struct conf *cf, struct policy_rule *rule, struct text word)
{
    struct condition_here c = { .kind = ALL };
    ssize_t eq = text_find_char(word, '=');
    if (text_eq(word, T("all"))) return NULL;
    if (eq <= 0) return invalid(cf, word);
    struct text name = text_upto(word, (size_t) eq), values = text_from(word, (size_t) eq + 1);
    if (text_eq(name, T("name"))) {
        rule->name = pool_text(cf->pool, values);
        return values.n ? NULL : invalid(cf, word);
    }
    if (text_eq(name, T("to"))) return read_to(cf, rule, values);
    if (name.p[name.n - 1] == '!') {
        c.negative = true;
        name.n--;
    }
    for (size_t i = 0; i < countof(kinds); i++)
        if (text_eq(name, text_c(kinds[i].name))) c.kind = kinds[i].kind;
    if (c.kind == ALL) return invalid(cf, word);
    conf_result why = read_values(cf, &c, values);
    if (rule->count == rule->cap) rule->conditions = pool_grow(cf->pool, rule->conditions, rule->count, &rule->cap, sizeof c);
    rule->conditions[rule->count++] = c;
    return why;
}

struct policy_rule *policy_rule_open(struct conf *cf) { return pool_new(cf->pool, struct policy_rule); }

conf_result policy_rule_add(struct conf *cf, struct policy_rule *rule, struct text word) { return read_condition(cf, rule, word); }

static bool read_verdict(struct text word, bool *allow_out)
{
    *allow_out = text_eq(word, T("allow"));
    return *allow_out || text_eq(word, T("deny"));
}

static conf_result parse_rule(struct conf *cf, const struct directive *d, void *field)
{
    struct policy_rules *rules = field;
    struct policy_rule *rule = pool_new(cf->pool, struct policy_rule);
    conf_result why = NULL;
    (void) d;
    if (!read_verdict(cf->words[1], &rule->allow)) return conf_invalid;
    struct build words = build_in_pool(cf->pool, 64, 0);
    for (size_t i = 1; i < cf->count; i++) {
        if (i > 1) build_char(&words, ' ');
        build_text(&words, cf->words[i]);
    }
    rule->words = build_done(&words);
    rule->number = (unsigned) rules->n + 1;
    for (size_t i = 2; i < cf->count && !why; i++) why = read_condition(cf, rule, cf->words[i]);
    if (!rule->name.n) rule->name = pool_printf(cf->pool, "%u", rule->number);
    if (rules->n == rules->cap) rules->v = pool_grow(cf->pool, rules->v, rules->n, &rules->cap, sizeof *rules->v);
    rules->v[rules->n++] = rule;
    return why;
}

static conf_result parse_ports(struct conf *cf, const struct directive *d, void *field)
{
    struct policy_ports *ports = field;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        if (ports->n == ports->cap) ports->v = pool_grow(cf->pool, ports->v, ports->n, &ports->cap, sizeof *ports->v);
        if (text_eq(cf->words[i], T("all"))) ports->v[ports->n++] = (struct policy_range) { 1, 65535 };
        else if (!read_range(cf->words[i], &ports->v[ports->n++])) return conf_say(cf, "!invalid port \"%.*s\"", TEXT_ARG(cf->words[i]));
    }
    return NULL;
}

static conf_result parse_guard(struct conf *cf, const struct directive *d, void *field)
{
    struct policy_guards *guards = field;
    bool allow;
    (void) d;
    if (!read_verdict(cf->words[1], &allow)) return conf_invalid;
    for (size_t i = 2; i < cf->count; i++) {
        if (guards->n == guards->cap) guards->v = pool_grow(cf->pool, guards->v, guards->n, &guards->cap, sizeof *guards->v);
        if (!read_guard(cf->words[i], &guards->v[guards->n])) return conf_say(cf, "!invalid address or scope \"%.*s\"", TEXT_ARG(cf->words[i]));
        guards->v[guards->n++].allow = allow;
    }
    return NULL;
}

const struct conf_type policy_rule_type = { "allow | deny condition ...", sizeof(struct policy_rules), CONF_MULTI, 2, 64, parse_rule };
const struct conf_type policy_ports_type = { "port | port-port | all ...", sizeof(struct policy_ports), CONF_MULTI, 1, 1024, parse_ports };
const struct conf_type policy_guard_type = { "allow | deny address | CIDR | scope | all ...", sizeof(struct policy_guards), CONF_MULTI, 2, 1024, parse_guard };

/* ---- deciding ---- */

static bool has_word(const struct conf_texts *list, struct text t)
{
    for (size_t i = 0; i < list->n; i++)
        if (text_eq(list->v[i], t)) return true;
    return false;
}

static bool has_user(const struct conf_texts *list, struct text user)
{
    return has_word(list, user) || has_word(list, T("*"));
}

static bool begins_with(const struct conf_texts *list, struct text path)
{
    for (size_t i = 0; i < list->n; i++)
        if (text_starts(path, list->v[i])) return true;
    return false;
}

static bool in_ranges(const struct policy_range *v, size_t n, uint16_t port)
{
    for (size_t i = 0; i < n; i++)
        if (port >= v[i].from && port <= v[i].to) return true;
    return false;
}

static bool in_nets(const struct condition_here *c, const struct addr *a)
{
    for (size_t i = 0; i < c->n; i++)
        if (addr_in_cidr(a, &c->nets[i])) return true;
    return false;
}

static bool in_lists(const struct condition_here *c, struct text host)
{
    for (size_t i = 0; i < c->n; i++)
        if (domains_have(c->lists[i], host)) return true;
    return false;
}

/* Local time. Hours that end before they begin go over midnight, and belong to the day on which they begin. */
static bool is_time(const struct condition_here *c)
{
    struct tm tm;
    localtime_r(&clock_now.wall, &tm);
    unsigned minute = (unsigned) (tm.tm_hour * 60 + tm.tm_min), today = 1u << tm.tm_wday, yesterday = 1u << (tm.tm_wday + 6) % 7;
    for (size_t i = 0; i < c->n; i++) {
        const struct hours *h = &c->hours[i];
        if (h->from < h->to ? h->days & today && minute >= h->from && minute < h->to
                            : (h->days & today && minute >= h->from) || (h->days & yesterday && minute < h->to)) return true;
    }
    return false;
}

static struct text url_of(const struct policy_ask *a, struct pool *pool)
{
    bool usual = a->port == (text_eq(a->scheme, T("https")) ? 443 : 80);
    if (usual) return pool_printf(pool, "%.*s://%.*s%.*s", TEXT_ARG(a->scheme), TEXT_ARG(a->host), TEXT_ARG(a->path));
    return pool_printf(pool, "%.*s://%.*s:%u%.*s", TEXT_ARG(a->scheme), TEXT_ARG(a->host), a->port, TEXT_ARG(a->path));
}

/* Is it known what the condition asks about? */
static bool is_known(const struct condition_here *c, const struct policy_ask *a)
{
    switch (c->kind) {
    case PATH: case URL: return a->path.n;
    case SCHEME: return a->scheme.n;
    case CLIENT: return a->client != NULL;
    case IF: return a->eval != NULL;
    default: return true;
    }
}

static bool holds(const struct condition_here *c, const struct policy_ask *a, struct pool *pool)
{
    switch (c->kind) {
    case ALL: case KINDS: return true;
    case PORT: return in_ranges(c->ports, c->n, a->port);
    case METHOD: return has_word(&c->words, a->method);
    case SCHEME: return has_word(&c->words, a->scheme);
    case HOST: return names_find(c->names, a->host, a->eval) != NULL;
    case LIST: return in_lists(c, a->host);
    case PATH: return c->regex ? regex_match(c->regex, a->path, a->eval) : begins_with(&c->words, a->path);
    case URL: return regex_match(c->regex, url_of(a, pool), a->eval);
    case CLIENT: return in_nets(c, a->client);
    case USER: return a->user.n && has_user(&c->words, a->user);
    case TIME: return is_time(c);
    case IF: { struct text t = template_render(c->value, a->eval); return t.n && !text_eq(t, T("0")); }
    }
    return false;
}

static bool holds_of_alias(const struct condition_here *c, const struct policy_ask *a)
{
    if (!a->alias.n || c->negative) return false;
    return c->kind == HOST ? names_find(c->names, a->alias, a->eval) != NULL : c->kind == LIST && in_lists(c, a->alias);
}

/* A regex that gives up at its limits decides nothing: e->failed is set, and a rule is taken as one that denies. */
static bool fits(const struct policy_rule *rule, const struct policy_ask *a, struct pool *pool)
{
    for (size_t i = 0; i < rule->count; i++) {
        const struct condition_here *c = &rule->conditions[i];
        if (!rule->allow && holds_of_alias(c, a)) continue;
        if (!is_known(c, a) || holds(c, a, pool) == c->negative) return false;
    }
    return true;
}

bool policy_rule_fits(const struct policy_rule *rule, const struct policy_ask *a, struct pool *pool, bool *failed_out)
{
    bool was_failed = a->eval && a->eval->failed;
    if (a->eval) a->eval->failed = false;
    bool fit = fits(rule, a, pool);
    if (a->eval) {
        *failed_out |= a->eval->failed;
        fit &= !a->eval->failed;
        a->eval->failed = was_failed;
    }
    return fit;
}

bool policy_port_listed(const struct policy_ports *ports, uint16_t port) { return in_ranges(ports->v, ports->n, port); }

bool policy_port_allowed(const struct policy *p, uint16_t port)
{
    return port == 80 || port == 443 || policy_port_listed(&p->ports, port);
}

bool policy_decide(const struct policy *p, const struct policy_ask *a, struct pool *pool, struct policy_answer *out)
{
    *out = (struct policy_answer) { .rule = T("ports"), .words = T("a port that is not listed") };
    if (!policy_port_allowed(p, a->port)) return false;
    *out = (struct policy_answer) { .rule = T("default"), .words = T("no rule allows it") };
    for (size_t i = 0; i < p->rules.n; i++) {
        const struct policy_rule *rule = p->rules.v[i];
        bool failed = false;
        if (!policy_rule_fits(rule, a, pool, &failed) && !failed) continue;
        *out = (struct policy_answer) { .allowed = rule->allow && !failed, .rule = rule->name, .words = rule->words, .by = rule };
        break;
    }
    return out->allowed;
}

/* ---- addresses ---- */

/* The first that fits; NULL: none. */
static const struct policy_guard *find_guard(const struct policy_guards *g, const struct addr *a, enum scope scope)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct policy_guard *one = &g->v[i];
        bool listed = scope != SCOPE_EMBEDDED && one->scope == SCOPE_COUNT && !one->all && addr_in_cidr(a, &one->net);
        if (one->all || one->scope == scope || listed) return one;
    }
    return NULL;
}

bool policy_guard_allows(const struct policy *p, const struct policy_answer *answer, const struct addr *a, const char **why_out)
{
    struct addr inner;
    enum scope scope = scope_of(a, &inner);
    const struct policy_guard *g = answer && answer->by ? find_guard(&answer->by->to, a, scope) : NULL;
    if (!g) g = find_guard(&p->guards, a, scope);
    if (why_out) *why_out = scope == SCOPE_GLOBAL ? "listed" : scope_rows[scope].name;
    if (g ? !g->allow : scope != SCOPE_GLOBAL) return false;
    return scope != SCOPE_EMBEDDED || policy_guard_allows(p, answer, &inner, why_out);
}
