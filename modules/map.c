/* map: a variable whose value is found by another one's, in a table, among wildcards, or by regular expressions. */
#include "modules/module.h"

enum { SHARED_MAX = 4096 };     /* different texts that are looked for among those before */

/* One byte before the text, so that a small one fits in beside its word. n COMPUTED: what is in front of it tells. */
struct result { uint8_t n; char text[]; };
struct computed { struct template *template; uint32_t n; struct result result; };      /* template NULL: text of n bytes, else its source */
enum { COMPUTED = UINT8_MAX };

struct map {
    struct template *source;
    struct names    *names;
    struct result   *otherwise;     /* default; NULL: empty */
    bool             hostnames, is_volatile, has_patterns;
    struct table     shared;        /* while reading: texts of results */
    struct variable  variable;
};

static struct result *new_result(struct conf *cf, struct text t, struct template *template)
{
    struct computed *c = pool_alloc(cf->pool, sizeof *c + t.n);
    *c = (struct computed) { template, (uint32_t) t.n, { COMPUTED } };
    if (t.n) memcpy(c->result.text, t.p, t.n);
    return &c->result;
}

static const struct computed *computed_of(const struct result *to) { return (const void *) ((const char *) to - offsetof(struct computed, result)); }

static conf_result read_result(struct conf *cf, struct map *m, struct text t, struct result **out)
{
    conf_result why = NULL;
    struct template *template = NULL;
    if ((*out = table_get(&m->shared, t))) return NULL;
    if (text_find_char(t, '$') >= 0 && !(template = template_compile(cf, t, &why))) return why;
    *out = new_result(cf, t, template);
    if (m->shared.count < SHARED_MAX) table_add(&m->shared, text_of((*out)->text, t.n), *out);
    return NULL;
}

/* In a large map of many different texts they stand beside their words: one look into memory less. */
static bool is_plain(const struct map *m, struct text word, struct text t)
{
    return m->shared.count >= SHARED_MAX && !m->hostnames && word.n && word.p[0] != '~' && word.p[0] != '\\' && t.n < COMPUTED
        && !text_eq(word, T("default")) && text_find_char(t, '$') < 0 && !table_get(&m->shared, t);
}

static conf_result add_plain(struct conf *cf, struct map *m, struct text word, struct text t)
{
    char room[offsetof(struct result, text) + COMPUTED] = { (char) t.n };
    memcpy(room + offsetof(struct result, text), t.p, t.n);
    if (names_add_copy(m->names, word, room, offsetof(struct result, text) + t.n)) return NULL;
    return conf_say(cf, "!conflicting parameter \"%.*s\"", TEXT_ARG(word));
}

static conf_result add_pattern(struct conf *cf, struct map *m, struct text word, struct result *to)
{
    conf_result why;
    bool nocase = word.n > 1 && word.p[1] == '*';
    struct regex *r = regex_compile(cf, text_from(word, nocase ? 2 : 1), nocase, &why);
    if (!r) return why;
    names_add_regex(m->names, r, to);
    m->has_patterns = true;
    return NULL;
}

static conf_result add_key(struct conf *cf, struct map *m, struct text word, struct result *to)
{
    bool duplicate = false;
    if (word.n && word.p[0] == '~') return add_pattern(cf, m, word, to);
    struct text key = word.n && word.p[0] == '\\' ? text_from(word, 1) : word;
    if (!m->hostnames) duplicate = !names_add_exact(m->names, key, to);
    else if (key.n && key.p[0] == '~') duplicate = !names_add_exact(m->names, key, to);
    else if (names_add(cf, m->names, key, to, &duplicate)) return conf_say(cf, "!invalid hostname or wildcard \"%.*s\"", TEXT_ARG(key));
    return duplicate ? conf_say(cf, "!conflicting parameter \"%.*s\"", TEXT_ARG(key)) : NULL;
}

static conf_result read_entry(struct conf *cf, void *arg)
{
    struct map *m = arg;
    struct result *to;
    if (cf->count == 1 && text_eq(cf->words[0], T("hostnames"))) {
        m->hostnames = true;
        return NULL;
    }
    if (cf->count == 1 && text_eq(cf->words[0], T("volatile"))) {
        m->is_volatile = true;
        return NULL;
    }
    if (cf->count != 2) return "!invalid number of the map parameters";
    if (is_plain(m, cf->words[0], cf->words[1])) return add_plain(cf, m, cf->words[0], cf->words[1]);
    conf_result why = read_result(cf, m, cf->words[1], &to);
    if (why) return why;
    if (!text_eq(cf->words[0], T("default"))) return add_key(cf, m, cf->words[0], to);
    if (m->otherwise) return "!duplicate default map parameter";
    m->otherwise = to;
    return NULL;
}

static struct text text_of_result(const struct result *to, struct eval *e)
{
    if (to->n != COMPUTED) return text_of(to->text, to->n);
    const struct computed *c = computed_of(to);
    return c->template ? template_render(c->template, e) : text_of(to->text, c->n);
}

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct map *m = v->data;
    struct text key = template_render(m->source, e);
    (void) name;
    if (m->hostnames && key.n && key.p[key.n - 1] == '.') key.n--;
    const struct result *to = key.n || !m->has_patterns ? names_find_nocase(m->names, key, e) : names_find_exact(m->names, key);
    *out = to ? text_of_result(to, e) : m->otherwise ? text_of_result(m->otherwise, e) : T("");
    return true;
}

static conf_result parse_map(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why;
    struct map *m = pool_new(cf->pool, struct map);
    struct text name = cf->words[2];
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(name));
    if (!(m->source = template_compile(cf, cf->words[1], &why))) return why;
    m->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(name, 1)), .flags = VAR_CHANGEABLE, .get = get, .data = m,
                                      .help = "A variable that a map gives its value." };
    if ((why = variables_add(cf, variables_kind(variables_here(cf)), &m->variable))) return why;
    m->names = names_open(cf);
    struct pool *scratch = pool_open(0);
    table_init(&m->shared, scratch, false);
    why = conf_entries(cf, read_entry, m);
    pool_close(&scratch);
    names_settle(m->names);
    if (m->is_volatile) m->variable.flags |= VAR_NO_CACHE;
    return why;
}

static const struct conf_type type_map = { .syntax = "string $variable { ... }", .flags = CONF_MULTI | CONF_BLOCK, .min = 2, .max = 2, .parse = parse_map };

static const struct directive rows[] = {
    D_DO(&type_map, "map", IN_HTTP | IN_STREAM, NULL, NULL, "Makes a variable whose value depends on another one's: by equal words in any case, host names, or regular expressions."),
    D_NONE("map_hash_bucket_size", IN_HTTP | IN_STREAM, "size", "64", "Size of a bucket of a map's table, which here has none."),
    D_NONE("map_hash_max_size", IN_HTTP | IN_STREAM, "size", "2048", "Greatest size of a map's table, which here grows by itself."),
    { .name = NULL },
};

struct module map_module = { .name = "map", .rows = rows };
