/* The words of a file: nginx's rules of quoting, escapes, comments and ends. */
#include "config/source.h"
#include "t/unit/tap.h"

static struct pool *pool;
static char room[20000];
static struct source source;
static struct source_words words;

static void begin_n(const char *text, size_t n, bool is_param)
{
    memcpy(room, text, n);
    source = source_of(room, n, is_param);
}

static void begin(const char *text) { begin_n(text, strlen(text), false); }

/* The words joined by "|", then how they ended: one of ; { } . ! */
static const char *next(void)
{
    static char out[12000];
    enum source_stop stop = source_read(&source, pool, &words);
    size_t n = 0;
    for (size_t i = 0; i < words.n; i++) {
        n += (size_t) snprintf(out + n, sizeof out - n, "%s|", words.v[i].p);
        if (words.v[i].p[words.v[i].n]) return "no NUL after a word";
    }
    snprintf(out + n, sizeof out - n, "%c", ";{}.!"[stop]);
    return stop == SOURCE_WRONG ? source.why : out;
}

static void one(const char *text, const char *want)
{
    begin(text);
    is_str(next(), want, "%.*s", (int) strcspn(text, "\n"), text);
}

static void test_words(void)
{
    one("a b c;", "a|b|c|;");
    one(" a\tb\r\nc ;", "a|b|c|;");
    one("a{", "a|{");
    one("a b {", "a|b|{");
    one("}", "}");
    one("", ".");
    one("  \n\t ", ".");
    one("# only a comment", ".");
    one("# a comment\na; # more", "a|;");
    one("a#b c;", "a#b|c|;");
    one("a #b;\nc;", "a|c|;");
    one("a\"b c;", "a\"b|c|;");
    one("a'b;", "a'b|;");
    one("a}b;", "a}b|;");
    one("a)b;", "a)b|;");
}

static void test_quotes(void)
{
    one("a 'b c';", "a|b c|;");
    one("a \"b c\";", "a|b c|;");
    one("a \"b;c{d}e#f\";", "a|b;c{d}e#f|;");
    one("a \"it's\" 'a \"b\"';", "a|it's|a \"b\"|;");
    one("a '';", "a||;");
    one("a \"b\nc\";", "a|b\nc|;");
    one("a \"b\"c;", "unexpected \"c\"");
    one("a \"b\"\"c\";", "unexpected \"\"\"");
    one("if (\"a\") {", "if|(\"a\")|{");
    one("if ( \"a\") {", "if|(|a|)|{");
    one("a \"b\"{", "a|b|{");
    one("a \"b", "unexpected end of file, expecting \";\" or \"}\"");
    one("a \"b\"", "unexpected end of file, expecting \";\" or \"}\"");
}

static void test_escapes(void)
{
    one("a \\\"b\\\";", "a|\"b\"|;");
    one("a \"b\\\"c\";", "a|b\"c|;");
    one("a 'b\\'c';", "a|b'c|;");
    one("a b\\\\c;", "a|b\\c|;");
    one("a b\\tc\\rd\\ne;", "a|b\tc\rd\ne|;");
    one("a b\\ c;", "a|b\\ c|;");
    one("a b\\;c;", "a|b\\;c|;");
    one("a b\\{c;", "a|b\\{c|;");
    one("a \\d+\\.php$;", "a|\\d+\\.php$|;");
    one("\\#a;", "\\#a|;");
    one("a b\\", "unexpected end of file, expecting \";\" or \"}\"");
    one("a \"b\\", "unexpected end of file, expecting \";\" or \"}\"");
    one("a \"b\\\\\";", "a|b\\|;");
}

static void test_variables(void)
{
    one("a ${b}c;", "a|${b}c|;");
    one("a $b{", "a|$b|{");
    one("a x${b}/${c};", "a|x${b}/${c}|;");
    one("a ${{b;", "a|${{b|;");
    one("a b$;", "a|b$|;");
    one("a b$ {", "a|b$|{");
}

static void test_stops(void)
{
    one(";", "unexpected \";\"");
    one("{", "unexpected \"{\"");
    one("a }", "unexpected \"}\"");
    one("a", "unexpected end of file, expecting \";\" or \"}\"");
    one("a b\n", "unexpected end of file, expecting \";\" or \"}\"");
    begin_n("a", 1, true);
    is_str(next(), "unexpected end of parameter, expecting \";\"", "the end of -g");
    begin("a; b {c;}");
    is_str(next(), "a|;", "one after the other: 1");
    is_str(next(), "b|{", "2");
    is_str(next(), "c|;", "3");
    is_str(next(), "}", "4");
    is_str(next(), ".", "5");
    is_str(next(), ".", "and the end stays");
}

static void test_lines(void)
{
    begin("a\n\n b;\n# c\nd 'e\nf' g\\\nh; i");
    next();
    is_int(source.line, 3, "a run of words ends in its own line");
    next();
    is_int(source.line, 7, "newlines in quotes and after a backslash count");
    next();
    is_int(source.line, 7, "the last line");
    begin("a\r\nb\r\n;");
    next();
    is_int(source.line, 3, "CR LF is one line");
}

static void test_long(void)
{
    char text[8300];
    size_t n = 0;
    memset(text, 'x', sizeof text);
    memcpy(text, "a\n", 2);
    n = 2 + 4095;
    text[n++] = ';';
    begin_n(text, n, false);
    ok(source_read(&source, pool, &words) == SOURCE_SEMICOLON && words.v[1].n == 4095, "the longest word");
    text[n - 1] = 'x';
    text[n++] = '\n';
    text[n++] = ';';
    begin_n(text, n, false);
    is_str(next(), "too long parameter \"xxxxxxxxxx...\" started", "one byte more");
    is_int(source.line, 2, "named by the line where it began");
    text[2] = '"';
    begin_n(text, n + 20, false);
    is_str(next(), "too long parameter, probably missing terminating \"\"\" character", "a quote that does not end");
    text[2] = '#';
    text[8000] = '\n';
    text[8001] = ';';
    begin_n(text, 8002, false);
    is_str(next(), "a|;", "a comment may be of any length");
    n = 0;
    for (int i = 0; i < 1000; i++) n += (size_t) snprintf(text + n, sizeof text - n, "w%d ", i);
    text[n++] = ';';
    begin_n(text, n, false);
    ok(source_read(&source, pool, &words) == SOURCE_SEMICOLON && words.n == 1000, "a thousand words");
    begin_n("a\0b;", 4, false);
    ok(source_read(&source, pool, &words) == SOURCE_SEMICOLON && words.v[0].n == 3, "a NUL is a byte like others");
}

int main(void)
{
    pool = pool_open(0);
    test_words();
    test_quotes();
    test_escapes();
    test_variables();
    test_stops();
    test_lines();
    test_long();
    pool_close(&pool);
    return done();
}
