/* Variables, templates and conditions. */
#include "t/unit/eval_test.h"
#include <sys/stat.h>

static void dollar_rules(void)
{
    refused_inside("text 'a$';", "invalid variable name in test.conf:2");
    refused_inside("text '$host$';", "invalid variable name in test.conf:2");
    refused_inside("text '$-';", "invalid variable name in test.conf:2");
    refused_inside("text '${}';", "invalid variable name in test.conf:2");
    refused_inside("text 'a${';", "invalid variable name in test.conf:2");
    refused_inside("text '$$host';", "invalid variable name in test.conf:2");
    refused_inside("text '${host';", "the closing bracket in \"host\" variable is missing in test.conf:2");
    refused_inside("text '${ho-st}';", "the closing bracket in \"ho\" variable is missing in test.conf:2");
    refused_inside("text '${1}';", "unknown \"1\" variable in test.conf:2");
    refused_inside("text '$0';", "unknown \"0\" variable in test.conf:2");
    refused_inside("text 'x';\n text '$hots';", "unknown \"hots\" variable, did you mean \"$host\"? in test.conf:3");
    refused_inside("text '$nobody_knows';", "unknown \"nobody_knows\" variable in test.conf:2");
}

static void rendering(void)
{
    struct conf *cf = http_conf("text ''; text plain; text $host; text '$host:${uri}x'; text '[$missing]'; text $missing; text '$HOST${Host}';"
                                "text '$1abc$2'; text '${host}$uri'; text '$arg_foo-$arg_long_bar';");
    struct eval e = request(cf);
    const char *want[] = { "", "plain", "example.com", "example.com:/a/bx", "[]", "", "example.comexample.com", "abc", "example.com/a/b", "foo-bar" };
    for (unsigned i = 0; i < countof(want); i++) is_same(template_render(made[i], &e), text_c(want[i]), "renders %u", i);
    ok(template_is_constant(made[0]) && template_is_constant(made[1]) && !template_is_constant(made[2]), "constants are known");
    ok(template_render(made[1], &e).p == template_source(made[1]).p, "a constant is not copied");
    unsigned index;
    ok(template_variable(made[2], &index) && !template_variable(made[3], &index) && !template_variable(made[1], &index), "a single variable is known");
    ok(template_has_captures(made[7]) && !template_has_captures(made[3]), "captures are known");
    is_text(template_source(made[3]), "$host:${uri}x", "the source is kept");
}

static void put_marked(struct build *b, struct text value)
{
    if (value.p) build_fmt(b, "<%.*s>", TEXT_ARG(value));
    else build_char(b, '-');
}

static void building(void)
{
    struct conf *cf = http_conf("text 'a $host $missing $empty $1';");
    struct eval e = request(cf);
    struct build b = build_in_pool(e.pool, 1, 0);
    template_build_with(made[0], &e, &b, put_marked);
    is_text(build_done(&b), "a <example.com> - <> -", "values go through the writer, missing ones as nothing");
    b = build_in_pool(e.pool, 0, 0);
    template_build_captures(made[0], &e, &b, put_marked);
    is_text(build_done(&b), "a example.com   -", "only captures go through the writer");
}

static void caching(void)
{
    struct conf *cf = http_conf("text '$counted $counted'; text '$volatile $volatile'; text '$args $free';");
    struct eval e = request(cf);
    is_text(template_render(made[0], &e), "1 1", "asked once");
    is_text(template_render(made[0], &e), "1 1", "and kept");
    is_text(template_render(made[1], &e), "2 3", "asked each time");
    eval_forget(&e, variables_index(cf, T("counted")));
    is_text(template_render(made[0], &e), "4 4", "forgotten and asked again");
    is_text(template_render(made[2], &e), "x=1 ", "nothing was set yet");
    eval_set(&e, variables_index(cf, T("FREE")), T("bird"));
    eval_set(&e, variables_index(cf, T("args")), T("y=2"));
    is_text(last_set, "y=2", "the variable's own set is called");
    is_text(template_render(made[2], &e), "x=1 bird", "set goes to the cache where there is no set");
    is_text(value_text(eval_get_name(&e, T("Counted"))), "4", "by name, with the cache");
    is_text(value_text(eval_get_name(&e, T("arg_new"))), "new", "by name, of a family");
    is_int(eval_get_name(&e, T("nobody")).state, VALUE_MISSING, "by name: not known");
}

static void cycles(void)
{
    struct conf *cf = http_conf("text '$cycle';");
    struct eval e = request(cf);
    asked = 0;
    is_text(template_render(made[0], &e), "", "a cycle ends");
    is_int(asked, EVAL_DEPTH_MAX, "at the bound");
    ok(strstr(said, "cycle while evaluating variable \"cycle\""), "and says so");
    is_int(e.depth, 0, "and leaves nothing behind");
}

static void definitions(void)
{
    static const struct variable again = { .name = "HOST", .get = get_data, .help = "Is there already." };
    static const struct variable changed = { .name = "args", .get = get_data, .data = "new", .help = "Takes over." };
    static const struct variable weak = { .name = "free", .flags = VAR_CHANGEABLE, .help = "Takes over nothing." };
    struct conf *cf = read_conf("http { text $args; }");
    ok(cf != NULL, "read");
    is_str(variables_add(cf, EVAL_HTTP, &again), "!the duplicate \"HOST\" variable", "a duplicate is refused");
    ok(!variables_add(cf, EVAL_HTTP, &changed), "a changeable one is changed");
    ok(!variables_add(cf, EVAL_HTTP, &weak), "one without get does no harm");
    ok(variables_find(variables_of(cf, EVAL_HTTP), T("Arg_Long_x"))->name[4] == 'l', "the longest family");
    ok(conf_finish(cf), "finished");
    refused("http { } stream { text $host; }", "unknown \"host\" variable in test.conf:1");
    refused("http { text $bytes; } stream { text $bytes; }", "unknown \"bytes\" variable in test.conf:1");
}

static void truths(void)
{
    struct conf *cf = http_conf("true $zero; true $missing '$empty';");
    struct eval e = request(cf);
    struct test_conf *c = conf_values(cf->top->children, &test_module);
    is_int(c->truths.n, 3, "three values, two lines");
    ok(!templates_any_true(&c->truths, &e), "none is true");
    cf = http_conf("true $zero '${zero}0';");
    e = request(cf);
    c = conf_values(cf->top->children, &test_module);
    ok(templates_any_true(&c->truths, &e), "00 is true");
}

static void wrong_conditions(void)
{
    refused_inside("test $host;", "invalid condition \"$host\"");
    refused_inside("test ($host;", "invalid condition \"($host\"");
    refused_inside("test ();", "invalid condition \"()\"");
    refused_inside("test (host);", "invalid condition \"host\"");
    refused_inside("test ($host == a);", "unexpected \"==\" in condition");
    refused_inside("test ($host = );", "invalid condition \"$host\"");
    refused_inside("test ($host ! a);", "unexpected \"!\" in condition");
    refused_inside("test ($host = a b);", "invalid condition \"$host\"");
    refused_inside("test (-z a);", "invalid condition \"-z\"");
    refused_inside("test (-f a b);", "invalid condition \"-f\"");
    refused_inside("test ($host ~ '(');", "pcre2_compile() failed: missing closing parenthesis in \"(\"");
    refused_inside("test (${host} = a);", "unknown \"{host}\" variable");
}

static void look(struct eval *e, struct text path, struct condition_file *out)
{
    struct stat st;
    (void) e;
    if (stat(path.p, &st) == 0) *out = (struct condition_file) { S_ISREG(st.st_mode), S_ISDIR(st.st_mode), (st.st_mode & S_IXUSR) != 0 };
}

static void right_conditions(void)
{
    struct conf *cf = http_conf("test ($host); test ( $zero ); test ($empty); test ($missing);"
        "test ($host = example.com); test ($host != example.com); test ($host = $host ); test ($missing = '');"
        "test ($uri ~ ^/(.)/(?<second>.)); test ($uri ~ B$); test ($uri ~* B$); test ($uri !~ B$); test ($uri !~* B$);"
        "test (-f /dev/null); test (!-f /dev/null); test (-d /); test (-e /bin/sh); test (-e /bin); test (-e /dev/null); test (!-e /nowhere$uri); test (-x /bin/sh); test (-x /dev/null);"
        "text '$1-$2-$second';");
    static const bool want[] = { true, false, false, false, true, false, true, true, true, false, true, true, false,
                                 false, true, true, true, true, false, true, true, false };
    struct eval e = request(cf);
    is_int(conditions_n, countof(want), "conditions");
    for (unsigned i = 0; i < conditions_n; i++) ok(condition_test(conditions[i], &e, NULL, look) == want[i], "condition %u is %s", i, want[i] ? "true" : "false");
    ok(condition_test(conditions[8], &e, e.log, look), "with notes");
    ok(strstr(said, "\"^/(.)/(?<second>.)\" matches \"/a/b\""), "noted");
    is_text(template_render(made[0], &e), "a-b-b", "captures");
    ok(!condition_test(conditions[9], &e, e.log, look), "no match");
    ok(strstr(said, "\"B$\" does not match \"/a/b\""), "noted");
    is_text(template_render(made[0], &e), "--b", "numbered captures are forgotten, named ones stay");
}

int main(void)
{
    listen_in();
    ok(conf_register(), "rows are accepted");
    dollar_rules();
    rendering();
    building();
    caching();
    cycles();
    definitions();
    truths();
    wrong_conditions();
    right_conditions();
    pool_close(&request_pool);
    pool_close(&pool);
    return done();
}
