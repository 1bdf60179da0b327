/* Regular expressions and names. */
#include "t/unit/eval_test.h"

static void captures(void)
{
    struct conf *cf = http_conf("regex '^/(a)?(b)(?<tail>.*)$'; regex ABC i; regex ABC; regex '(?<one>a)(2)(3)(4)(5)(6)(7)(8)(9)(0)(?<eleven>b)';"
                                "text '[$1][$2][$3][$9]'; text '$tail $one $eleven';");
    struct eval e = request(cf);
    is_text(template_render(made[0], &e), "[][][][]", "no captures yet");
    ok(regex_match(regexes[0], T("/bcd"), &e), "matches");
    is_text(template_render(made[0], &e), "[][b][cd][]", "a group that took no part is empty");
    is_text(template_render(made[1], &e), "cd  ", "the named one");
    ok(!regex_match(regexes[0], T("/x"), &e), "does not match");
    is_text(template_render(made[0], &e), "[][b][cd][]", "what was is kept");
    ok(regex_match(regexes[1], T("xabcx"), NULL) && !regex_match(regexes[2], T("xabcx"), NULL), "any case");
    ok(regex_match(regexes[3], T("a234567890b"), &e), "many groups");
    is_text(template_render(made[0], &e), "[a][2][3][9]", "the first nine");
    is_text(template_render(made[1], &e), "cd a b", "named ones beyond the ninth");
    is_int(regex_groups(regexes[3]), 11, "groups");
    is_text(regex_source(regexes[2]), "ABC", "source");
    ok(regex_match(regexes[0], text_of(NULL, 0), &e) == false, "the empty text");
}

static void bounds(void)
{
    static char as[4096];
    memset(as, 'a', sizeof as - 1);
    struct conf *cf = http_conf("regex '^(a+)+$'; regex '(*UTF8)^.$'; regex '^(?:a|ab|b)*c';");
    struct eval e = request(cf);
    as[4000] = '!';
    ok(!regex_match(regexes[0], text_c(as), &e), "a match that never ends, ends");
    ok(strstr(said, "pcre2_match() failed: match limit exceeded on \"aaa"), "and says so");
    ok(e.failed, "and is told from a text that does not match");
    ok(regex_match(regexes[1], T("\xc3\xa9"), &e) && !regex_match(regexes[1], T("\xc3"), &e), "UTF-8 where the pattern asks for it");
    ok(strstr(said, "pcre2_match() failed: UTF-8 error"), "broken UTF-8 is noted");
    ok(!regex_match(regexes[2], text_c(as), &e), "long subject");
}

/* What a pattern begins with is looked at first: that must never change an answer. */
static void starts(void)
{
    static const char *const cases[][3] = {      /* pattern, what matches, what does not */
        { "^/ab?c", "/ac", "/bc" }, { "^/ab*", "/a", "/b" }, { "^/a{0}b", "/b", "/c" }, { "^a|b", "xb", "x" }, { "^/a\\.b", "/a.b", "/axb" },
        { "^/a\\d", "/a1", "/ab" }, { "^/\\+", "/+", "/-" }, { "^/\\.?x", "/x", "/y" }, { "^", "", NULL }, { "^$", "", "x" }, { "^/a(?i)b", "/aB", "/Ab" },
        { "^/\\Qa.b\\E", "/a.b", "/axb" }, { "(?i)^/a", "/A", "/b" }, { "^/a-b_c", "/a-b_c1", "/a-b" },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        char line[64];
        snprintf(line, sizeof line, "regex '%s';", cases[i][0]);
        struct conf *cf = http_conf(line);
        struct eval e = request(cf);
        ok(regex_match(regexes[0], text_c(cases[i][1]), &e), "%s matches %s", cases[i][0], cases[i][1]);
        if (cases[i][2]) ok(!regex_match(regexes[0], text_c(cases[i][2]), &e), "%s does not match %s", cases[i][0], cases[i][2]);
    }
}

static void regex_errors(void)
{
    refused_inside("regex '^(/';", "pcre2_compile() failed: missing closing parenthesis in \"^(/\" in test.conf:2");
    refused_inside("regex 'a)b';", "pcre2_compile() failed: unmatched closing parenthesis in \"a)b\" at \")b\" in test.conf:2");
    refused_inside("regex '(?<host>a)';", "the duplicate \"host\" variable in test.conf:2");
}

static const char *found(const char *host)
{
    const char *name = names_find(names, text_c(host), NULL);
    return name ? name : "none";
}

static void precedence(void)
{
    ok(http_conf("name example.com; name *.example.com; name .example.org; name www.*; name www.example.*; name *.b.example.com;"
                 "name ~^www\\d+\\.; name '~^(?<All>.*)\\.net$'; name ''; name Upper.Com; name *.com; name xn--a.de;") != NULL, "names");
    is_str(found("example.com"), "example.com", "exact");
    is_str(found("a.example.com"), "*.example.com", "head wildcard");
    is_str(found("b.example.com"), "*.example.com", "head wildcard, not the longer one");
    is_str(found("a.b.example.com"), "*.b.example.com", "the longest head wildcard");
    is_str(found("x.y.a.b.example.com"), "*.b.example.com", "over several labels");
    is_str(found("www.example.com"), "*.example.com", "head before tail");
    is_str(found("other.com"), "*.com", "the shortest head");
    is_str(found("example.org"), ".example.org", "dot: exact");
    is_str(found("a.example.org"), ".example.org", "dot: wildcard");
    is_str(found("www.example.de"), "www.example.*", "the longest tail");
    is_str(found("www.example.co.uk"), "www.example.*", "tail over labels");
    is_str(found("www.other.de"), "www.*", "the shorter tail");
    is_str(found("www."), "none", "a tail needs something");
    is_str(found("www"), "none", "and its dot");
    is_str(found("www1.de"), "~^www\\d+\\.", "regex");
    is_str(found("a.net"), "~^(?<All>.*)\\.net$", "second regex");
    is_str(found(""), "", "the empty name");
    is_str(found("upper.com"), "Upper.Com", "lower case inside");
    is_str(names_find_nocase(names, T("A.B.Example.Com"), NULL), "*.b.example.com", "any case");
    is_str(found("badexample.com"), "*.com", "whole labels only");
    is_str(found("nobody.info"), "none", "none");
}

static void wrong_names(void)
{
    static const char *const wrong[] = { "*", "a.*.b", "*a.b", "a.b*", "*.a.*", "a..b", "**.a", "*.*" };
    for (unsigned i = 0; i < countof(wrong); i++) {
        char inner[64], why[64];
        snprintf(inner, sizeof inner, "name %s;", wrong[i]);
        snprintf(why, sizeof why, "invalid server name or wildcard \"%s\"", wrong[i]);
        refused_inside(inner, why);
    }
    refused_inside("name '~';", "empty regex in server name \"~\"");
    ok(http_conf("name a.b; name A.B; name .a.b; name *.a.b; name c.*; name c.*; name c;") != NULL, "duplicates are no error");
    static const char want[] = { 0, 1, 1, 1, 0, 1, 0 };
    for (unsigned i = 0; i < countof(want); i++) is_int(name_duplicates[i], want[i], "duplicate %u", i);
}

static void many(void)
{
    struct conf *cf = http_conf("text x;");
    struct names *n = names_open(cf);
    unsigned wrong = 0;
    for (uintptr_t i = 1; i <= 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "host%u.example.com", (unsigned) i);
        wrong += !names_add_exact(n, text_c(name), (void *) i);
        wrong += names_add_exact(n, text_c(name), (void *) 7);
    }
    for (uintptr_t i = 1; i <= 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "host%u.example.com", (unsigned) i);
        wrong += names_find(n, text_c(name), NULL) != (void *) i;
    }
    is_int(wrong, 0, "twenty thousand names, each found");
    wrong += !names_add_copy(n, T("beside"), "a copy", 7);
    names_settle(n);
    for (uintptr_t i = 1; i <= 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "HOST%u.example.com", (unsigned) i);
        wrong += names_find_nocase(n, text_c(name), NULL) != (void *) i;
    }
    is_int(wrong, 0, "and each once they are settled");
    is_str(names_find_exact(n, T("beside")), "a copy", "with a value beside it");
    ok(!names_find(n, T("host0.example.com"), NULL) && !names_find(n, T("*.example.com"), NULL), "no others");
}

int main(void)
{
    listen_in();
    ok(conf_register(), "rows are accepted");
    captures();
    bounds();
    starts();
    regex_errors();
    precedence();
    wrong_names();
    many();
    pool_close(&request_pool);
    pool_close(&pool);
    return done();
}
