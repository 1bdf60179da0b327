/* map, geo and split_clients. */
#define TEST_MODULES &map_module, &geo_module, &split_clients_module,
#include "config/conf.h"
extern struct module map_module, geo_module, split_clients_module;
#include "t/unit/eval_test.h"

static struct conf *conf;

/* What $name is when $free is input. */
static struct text asked_for(const char *name, const char *input)
{
    struct eval e = request(conf);
    eval_set(&e, variables_index(conf, T("free")), text_c(input));
    return value_text(eval_get_name(&e, text_c(name)));
}

static void answers(const char *inner, const char *const (*pairs)[2], size_t n)
{
    conf = http_conf(inner);
    if (!ok(conf != NULL, "%.50s…", inner)) {
        diag("%s", said);
        return;
    }
    for (size_t i = 0; i < n; i++) is_same(asked_for("x", pairs[i][0]), text_c(pairs[i][1]), "\"%s\" gives \"%s\"", pairs[i][0], pairs[i][1]);
}

#define ANSWERS(inner, ...) do { static const char *const p_[][2] = { __VA_ARGS__ }; answers(inner, p_, countof(p_)); } while (0)

static void maps(void)
{
    ANSWERS("map $free $x { default d; a 1; B 2; \\~x 3; '' empty; \\default 4; \\hostnames 5; v $host-$uri; ~^r(.)$ got-$1; ~*^Q(?<tail>.*) tail=$tail; *.com no; }",
            { "a", "1" }, { "A", "1" }, { "b", "2" }, { "~x", "3" }, { "", "empty" }, { "default", "4" }, { "hostnames", "5" }, { "v", "example.com-/a/b" },
            { "rz", "got-z" }, { "RZ", "d" }, { "qrs", "tail=rs" }, { "x.com", "d" }, { "*.com", "no" }, { "other", "d" });
    ANSWERS("map $free $x { a 1; }", { "a", "1" }, { "b", "" });
    ANSWERS("map $free $x { hostnames; default d; .a.com 1; *.b.com 2; c.* 3; d.com 4; ~^e 5; }",
            { "a.com", "1" }, { "x.A.com.", "1" }, { "b.com", "d" }, { "x.b.com", "2" }, { "c.com", "3" }, { "d.com.", "4" }, { "e", "5" }, { "", "d" });
    ANSWERS("map $free$free $x { aa yes; ~. some; }", { "a", "yes" }, { "b", "some" }, { "", "" });
    refused_inside("map $free x { }", "invalid variable name \"x\"");
    refused_inside("map $free $host { }", "the duplicate \"host\" variable");
    refused_inside("map $free $x { a; }", "invalid number of the map parameters");
    refused_inside("map $free $x { a 1; A 2; }", "conflicting parameter \"A\"");
    refused_inside("map $free $x { default 1; default 2; }", "duplicate default map parameter");
    refused_inside("map $free $x { hostnames; a.*.b 2; }", "invalid hostname or wildcard \"a.*.b\"");
    refused_inside("map $free $x { ~( 2; }", "pcre2_compile() failed: missing closing parenthesis in \"(\"");
    refused_inside("map $free $x { a $nobody; }", "unknown \"nobody\" variable");
}

static void caches(void)
{
    conf = http_conf("map $volatile $x { default $volatile; } map $volatile $y { volatile; default $volatile; }");
    ok(conf != NULL, "maps of a variable that changes");
    unsigned x = variables_index(conf, T("x")), y = variables_index(conf, T("y"));
    struct eval e = request(conf);
    struct text first = value_text(eval_get(&e, x)), second = value_text(eval_get(&e, x));
    is_same(first, second, "asked once");
    first = value_text(eval_get(&e, y));
    second = value_text(eval_get(&e, y));
    ok(!text_eq(first, second), "volatile: asked each time");
}

static void networks(void)
{
    ANSWERS("geo $free $x { default d; 10.0.0.0/8 a; 10.0.0.0/30 b; 10.0.0.5 c; 10.0.0.8/29 e; 10.0.0.8/29 f; ::1 six; 2001:db8::/32 l; 2001:db8:1::/48 m; 10.255.0.0/16 g; }",
            { "10.0.0.0", "b" }, { "10.0.0.3", "b" }, { "10.0.0.4", "a" }, { "10.0.0.5", "c" }, { "10.0.0.6", "a" }, { "10.0.0.8", "f" }, { "10.0.0.15", "f" },
            { "10.0.0.16", "a" }, { "10.200.1.1", "a" }, { "10.255.1.1", "g" }, { "11.0.0.0", "d" }, { "9.255.255.255", "d" }, { "::1", "six" }, { "::2", "d" },
            { "2001:db8::5", "l" }, { "2001:db8:1::5", "m" }, { "2001:db8:2::5", "l" }, { "2001:db9::", "d" }, { "::ffff:10.0.0.5", "c" }, { "junk", "d" }, { "", "d" });
    ANSWERS("geo $free $x { default d; 10.0.0.0/8 a; 10.0.0.0/30 b; delete 10.0.0.0/30; delete 11.0.0.0/8; default e; }",
            { "10.0.0.1", "a" }, { "11.0.0.1", "e" }, { "::1", "e" });
    ok(http_conf("geo $free $x { default d; 1.0.0.0/8 a;\n 1.0.0.0/8 b;\n delete 2.0.0.0/8;\n 1.2.3.4/8 c; }") != NULL, "doubtful networks");
    ok(strstr(said, "low address bits of 1.2.3.4/8 are meaningless in test.conf:5"), "low bits");
    ok(strstr(said, "duplicate network \"1.0.0.0/8\", value: \"b\", old value: \"a\" in test.conf:3"), "duplicates");
    ok(strstr(said, "no network \"2.0.0.0/8\" to delete in test.conf:4"), "nothing to delete");
    ANSWERS("geo $free $x { default d; 0.0.0.0/0 a; 255.255.255.255 z; ::/0 s; ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff last; }",
            { "1.2.3.4", "a" }, { "255.255.255.255", "z" }, { "::1", "s" }, { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "last" }, { "junk", "z" });
    ANSWERS("geo $free $x { 10.0.0.0/30 $uri; }", { "10.0.0.1", "$uri" }, { "1.1.1.1", "" }, { "::1", "" });
    refused_inside("geo $free $x { 10.0.0.0/33 a; }", "invalid network \"10.0.0.0/33\"");
    refused_inside("geo $free $x { localhost a; }", "invalid network \"localhost\"");
    refused_inside("geo $free $x { default a b; }", "invalid number of the geo parameters");
    refused_inside("geo $free x { }", "invalid variable name \"x\"");
}

static void ranges(void)
{
    ANSWERS("geo $free $x { ranges; default d; 10.0.0.0-10.0.0.20 a; 10.0.0.5-10.0.0.10 b; 10.1.0.0-10.3.255.255 w; 10.2.0.7-10.2.0.7 n; }",
            { "10.0.0.0", "a" }, { "10.0.0.4", "a" }, { "10.0.0.5", "b" }, { "10.0.0.10", "b" }, { "10.0.0.11", "a" }, { "10.0.0.20", "a" }, { "10.0.0.21", "d" },
            { "10.1.0.0", "w" }, { "10.2.0.6", "w" }, { "10.2.0.7", "n" }, { "10.2.0.8", "w" }, { "10.3.255.255", "w" }, { "10.4.0.0", "d" }, { "::1", "d" });
    ANSWERS("geo $free $x { ranges; default d; 10.0.0.0-10.0.0.30 a; 10.0.0.5-10.0.0.20 b; delete 10.0.0.5-10.0.0.20; delete 10.0.0.5-10.0.0.20; }",
            { "10.0.0.0", "a" }, { "10.0.0.5", "d" }, { "10.0.0.20", "d" }, { "10.0.0.21", "a" });
    ok(http_conf("geo $free $x { ranges; 1.0.0.0-1.0.0.9 a;\n 1.0.0.0-1.0.0.9 b;\n delete 2.0.0.0-2.0.0.1; }") != NULL, "doubtful ranges");
    ok(strstr(said, "duplicate range \"1.0.0.0-1.0.0.9\", value: \"b\", old value: \"a\" in test.conf:3"), "duplicates");
    ok(strstr(said, "no address range \"2.0.0.0-2.0.0.1\" to delete in test.conf:4"), "nothing to delete");
    refused_inside("geo $free $x { ranges; 10.0.0.5-10.0.0.10 b; 10.0.0.0-10.0.0.20 a; }", "range \"10.0.0.0-10.0.0.20\" overlaps \"10.0.0.5-10.0.0.10\"");
    refused_inside("geo $free $x { ranges; 10.0.0.20-10.0.0.6 b; }", "invalid range \"10.0.0.20-10.0.0.6\"");
    refused_inside("geo $free $x { ranges; 10.0.0.1 b; }", "invalid range \"10.0.0.1\"");
    refused_inside("geo $free $x { ranges; ::1-::5 b; }", "invalid range \"::1-::5\"");
    refused_inside("geo $free $x { default d; ranges; }", "the \"ranges\" directive must be the first directive inside \"geo\" block");
}

static void shares(void)
{
    ANSWERS("split_clients $free $x { 0.5% a; 20% b; 50.25% c; * d; }", 
            { "1", "c" }, { "2", "b" }, { "3", "c" }, { "hello", "d" }, { "10.0.0.1", "c" }, { "a", "c" }, { "ab", "b" }, { "abc", "b" }, { "abcde", "c" });
    ANSWERS("split_clients $free $x { 100% a; }", { "1", "a" }, { "", "a" });
    unsigned few = 0;
    conf = http_conf("split_clients $free $x { 10% a; }");
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof name, "client%u", i);
        few += asked_for("x", name).n != 0;
    }
    ok(few > 140 && few < 260, "a tenth of the clients: %u of 2000", few);
    refused_inside("split_clients $free $x { 60% a; 41% b; }", "percent total is greater than 100%");
    refused_inside("split_clients $free $x { 0% a; }", "invalid percent value \"0%\"");
    refused_inside("split_clients $free $x { 5 a; }", "invalid percent value \"5\"");
    refused_inside("split_clients $free $x { 0.005% a; }", "invalid percent value \"0.005%\"");
}

int main(void)
{
    listen_in();
    ok(conf_register(), "rows are accepted");
    maps();
    caches();
    networks();
    ranges();
    shares();
    pool_close(&request_pool);
    pool_close(&pool);
    return done();
}
