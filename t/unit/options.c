/* The command line: every switch, joined and apart, and the paths that come of it. */
#include "process/options.h"
#include "t/unit/tap.h"
#include "weir_config.h"
#include <stdio.h>

static struct options o;

#define READ(...) read_them((const char *[]) { "weir", __VA_ARGS__, NULL })
static bool read_them(const char **argv)
{
    int argc = 0;
    while (argv[argc]) argc++;
    return options_read(argc, (char **) argv, &o);
}

int main(void)
{
    if (!freopen("/dev/null", "w", stderr)) return 1;
    ok(options_read(1, (char *[]) { (char *) "weir", NULL }, &o) && !o.test && !o.signal && !o.topic, "nothing");
    is_same(o.prefix, text_c(WEIR_PREFIX), "the prefix that was built in");
    ok(READ("-t") && o.test && !o.dump, "-t");
    ok(READ("-T") && o.test && o.dump, "-T");
    ok(READ("-tq") && o.test && o.quiet, "-tq");
    ok(READ("-v") && o.version && !o.configure && !o.help, "-v");
    ok(READ("-V") && o.version && o.configure, "-V");
    ok(READ("-h") && o.help && o.version && !o.topic, "-h");
    ok(READ("-?") && o.help, "-?");
    ok(READ("-h", "listen") && o.topic && strcmp(o.topic, "listen") == 0, "-h listen");
    ok(READ("-h", "-t") && !o.topic && o.test, "-h -t");
    ok(READ("-s", "reload") && strcmp(o.signal, "reload") == 0, "-s reload");
    ok(READ("-squit") && strcmp(o.signal, "quit") == 0, "-squit");
    ok(READ("-p", "/a/b") && o.error_log.p, "-p");
    is_text(o.prefix, "/a/b/", "a prefix ends with a slash");
    ok(READ("-p", "/a/", "-c", "x/y.conf", "-e", "z.log") && o.error_log_given, "-p -c -e");
    is_text(o.prefix, "/a/", "one slash is enough");
    is_text(o.file, "/a/x/y.conf", "-c begins at the prefix");
    is_text(o.error_log, "/a/z.log", "-e too");
    ok(READ("-tc/x.conf") && o.test, "-tc/x.conf");
    is_text(o.file, "/x.conf", "letters before a word");
    ok(READ("-e", "stderr") && !o.error_log.n, "-e stderr");
    ok(READ("-g", "daemon off;"), "-g");
    is_text(o.globals, "daemon off;", "its words");
    ok(READ("-p", "") && o.prefix.n == 0, "an empty prefix");
    ok(!READ("-x") && !READ("x") && !READ("-") && !READ("-tx"), "no such option");
    ok(!READ("-p") && !READ("-e") && !READ("-c") && !READ("-g") && !READ("-s") && !READ("-tp"), "a word is missing");
    ok(!READ("-s", "halt") && !READ("-s", ""), "no such signal");
    return done();
}
