/* eval_test: a configuration of templates, regexes, names and conditions, and an eval to try them with. */
#ifndef EVAL_TEST_H
#define EVAL_TEST_H

#include "eval/condition.h"
#include "eval/match.h"
#include "t/unit/config_test.h"

/* http { text "…"; true "…" …; test ( … ); }: what the rows made, in order. */
struct test_conf { struct templates truths; };
static struct template  *made[64];
static struct condition *conditions[64];
static unsigned made_n, conditions_n;
static unsigned asked;             /* how often a variable was asked */

static bool get_counted(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    *out = pool_printf(e->pool, "%u", ++asked);
    return true;
}

static bool get_data(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) e, (void) name;
    *out = text_c(v->data);
    return true;
}

static bool get_tail(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) e;
    *out = text_from(name, strlen(v->name));
    return out->n != 0;
}

static bool get_nothing(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) e, (void) v, (void) name, (void) out;
    return false;
}

/* Asks for itself, for ever. */
static bool get_cycle(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    asked++;
    *out = value_text(eval_get_name(e, name));
    return true;
}

static struct text last_set;
static void set_noted(struct eval *e, const struct variable *v, struct text value) { (void) e, (void) v; last_set = value; }

static const struct variable test_variables[] = {
    { .name = "counted", .get = get_counted, .help = "Counts." },
    { .name = "volatile", .get = get_counted, .flags = VAR_NO_CACHE, .help = "Counts, each time." },
    { .name = "host", .get = get_data, .data = "example.com", .help = "A host." },
    { .name = "uri", .get = get_data, .data = "/a/b", .help = "A path." },
    { .name = "zero", .get = get_data, .data = "0", .help = "Nought." },
    { .name = "empty", .get = get_data, .data = "", .help = "Nothing in it." },
    { .name = "missing", .get = get_nothing, .help = "Never there." },
    { .name = "cycle", .get = get_cycle, .help = "Asks itself." },
    { .name = "args", .get = get_data, .set = set_noted, .data = "x=1", .flags = VAR_CHANGEABLE | VAR_NO_CACHE, .help = "May be set." },
    { .name = "free", .flags = VAR_CHANGEABLE, .help = "Is in the cache only." },
    { .name = "arg_", .get = get_tail, .flags = VAR_PREFIX, .help = "A family." },
    { .name = "arg_long_", .get = get_tail, .flags = VAR_PREFIX, .help = "A family within." },
    { .name = NULL },
};

static conf_result parse_http(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why = variables_add_rows(cf, EVAL_HTTP, test_variables);
    return why ? why : conf_enter(cf, IN_HTTP, NULL, NULL);
}

static conf_result parse_stream(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return conf_enter(cf, IN_STREAM, NULL, NULL);
}

static conf_result parse_text(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why;
    made[made_n++] = template_compile(cf, cf->words[1], &why);
    return why;
}

static conf_result parse_test(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why;
    conditions[conditions_n++] = condition_compile(cf, cf->words + 1, cf->count - 1, &why);
    return why;
}

static struct regex *regexes[64];
static unsigned regexes_n;
static conf_result parse_regex(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why;
    regexes[regexes_n++] = regex_compile(cf, cf->words[1], cf->count > 2, &why);
    return why;
}

static struct names *names;
static char name_duplicates[64];
static unsigned names_n;
static conf_result parse_name(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    if (!names) names = names_open(cf);
    bool duplicate;
    conf_result why = names_add(cf, names, cf->words[1], (void *) pool_cstr(cf->pool, cf->words[1]), &duplicate);
    name_duplicates[names_n++] = duplicate;
    return why;
}

static const struct conf_type type_http = { .syntax = "", .flags = CONF_BLOCK, .parse = parse_http };
static const struct conf_type type_stream = { .syntax = "", .flags = CONF_BLOCK, .parse = parse_stream };
static const struct conf_type type_text = { .syntax = "text", .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_text };
static const struct conf_type type_test = { .syntax = "(condition)", .flags = CONF_MULTI, .min = 1, .max = 9, .parse = parse_test };
static const struct conf_type type_regex = { .syntax = "regex [i]", .flags = CONF_MULTI, .min = 1, .max = 2, .parse = parse_regex };
static const struct conf_type type_name = { .syntax = "name", .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_name };

static const struct directive test_rows[] = {
    D_DO(&type_http, "http", IN_MAIN, "", NULL, "Holds what is tested."),
    D_DO(&type_stream, "stream", IN_MAIN, "", NULL, "The other kind."),
    D_DO(&type_text, "text", IN_HTTP | IN_STREAM, "text", NULL, "A template."),
    D_DO(&type_test, "test", IN_HTTP, "(…)", NULL, "A condition."),
    D_DO(&type_regex, "regex", IN_HTTP, "regex", NULL, "A regular expression."),
    D_DO(&type_name, "name", IN_HTTP, "name", NULL, "A host name."),
    D_TYPE(struct test_conf, truths, struct templates, &conf_templates, "true", IN_HTTP, NULL, "Values to be true."),
    { .name = NULL },
};

static struct module test_module = { .name = "test", .conf_size = sizeof(struct test_conf), .rows = test_rows };
#ifndef TEST_MODULES               /* a test of modules says "&x_module," */
#define TEST_MODULES
#endif
struct module *module_list[] = { &test_module, &eval_module, TEST_MODULES NULL };

static struct pool *request_pool;

/* Reads "http { text }"; NULL: refused. */
__attribute__((unused)) static struct conf *http_conf(const char *inner)
{
    static char room[4096];
    made_n = conditions_n = regexes_n = names_n = asked = 0;
    names = NULL;
    snprintf(room, sizeof room, "http {\n%s }", inner);
    return whole_conf(room);
}

static void refused_inside(const char *inner, const char *why)
{
    static char room[4096];
    made_n = conditions_n = regexes_n = names_n = 0;
    names = NULL;
    snprintf(room, sizeof room, "http {\n%s }", inner);
    refused(room, why);
}

/* A new request. */
__attribute__((unused)) static struct eval request(struct conf *cf)
{
    pool_close(&request_pool);
    request_pool = pool_open(0);
    struct eval e = { .kind = EVAL_HTTP, .pool = request_pool, .log = log_main, .names = variables_of(cf, EVAL_HTTP) };
    e.values = pool_array(request_pool, struct value, eval_value_count(e.names));
    said_n = 0;
    said[0] = 0;
    return e;
}

#endif
