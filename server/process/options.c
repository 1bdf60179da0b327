#include "process/options.h"
#include "base/pool.h"
#include "weir_config.h"
#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <stdio.h>

/* An option that takes a word: in the rest of its own argument, or in the next one. */
static const struct { char letter; const char *needs; } taking[] = {
    { 'p', "directory name" }, { 'e', "file name" }, { 'c', "file name" }, { 'g', "parameter" }, { 's', "parameter" },
};

struct given { const char *words[countof(taking)]; };       /* by the order of taking */

static const char *word_of(const struct given *g, char letter)
{
    for (size_t i = 0; i < countof(taking); i++)
        if (taking[i].letter == letter) return g->words[i];
    return NULL;
}

static bool refuse(const char *option)
{
    fprintf(stderr, "weir: invalid option: \"%s\"\n", option);
    return false;
}

/* A letter that takes no word. False: no such letter. */
static bool take_switch(struct options *o, char c)
{
    switch (c) {
    case '?': case 'h': o->help = o->version = true; return true;
    case 'v': o->version = true; return true;
    case 'V': o->version = o->configure = true; return true;
    case 't': o->test = true; return true;
    case 'T': o->test = o->dump = true; return true;
    case 'q': o->quiet = true; return true;
    }
    return false;
}

/* Which of taking, or -1. */
static int find_taking(char c)
{
    for (size_t i = 0; i < countof(taking); i++)
        if (taking[i].letter == c) return (int) i;
    return -1;
}

/* "-H 'Name: value'", for --explain. */
static bool take_header(struct options *o, int *at)
{
    const char *next = *at + 1 < o->argc ? o->argv[*at + 1] : NULL;
    if (!next || !strchr(next, ':') || o->header_count == countof(o->headers)) {
        fprintf(stderr, "weir: option \"-H\" requires \"Name: value\", at most %zu times\n", countof(o->headers));
        return false;
    }
    o->headers[o->header_count++] = next;
    ++*at;
    return true;
}

/* "--strict": what nginx does not have. */
static bool take_long(struct options *o, const char *arg, int *at)
{
    char *next = *at + 1 < o->argc ? o->argv[*at + 1] : NULL;
    if (strcmp(arg, "--strict") == 0) return o->strict = true;
    if (strcmp(arg, "--explain") && strcmp(arg, "--from")) return refuse(arg);
    if (!next) {
        fprintf(stderr, "weir: option \"%s\" requires %s\n", arg, arg[2] == 'e' ? "a request" : "an address");
        return false;
    }
    *(arg[2] == 'e' ? &o->explain : &o->from) = next;
    ++*at;
    return true;
}

/* The argument argv[*at], "-tq" or "-c file" or "-cfile"; *at moves over what was taken. */
static bool take_argument(struct options *o, struct given *g, int *at)
{
    const char *arg = o->argv[*at], *next = *at + 1 < o->argc ? o->argv[*at + 1] : NULL;
    if (arg[0] != '-' || !arg[1]) return refuse(arg);
    if (strcmp(arg, "-H") == 0) return take_header(o, at);
    if (arg[1] == '-') return take_long(o, arg, at);
    for (const char *p = arg + 1; *p; p++) {
        if (take_switch(o, *p)) {
            bool topic = (*p == 'h' || *p == '?') && !p[1] && next && *next != '-';
            if (topic) o->topic = o->argv[++*at];
            continue;
        }
        int i = find_taking(*p);
        if (i < 0) {
            fprintf(stderr, "weir: invalid option: \"%c\"\n", *p);
            return false;
        }
        if (p[1]) {
            g->words[i] = p + 1;
            return true;
        }
        if (next) {
            g->words[i] = o->argv[++*at];
            return true;
        }
        fprintf(stderr, "weir: option \"-%c\" requires %s\n", *p, taking[i].needs);
        return false;
    }
    return true;
}

/* Paths; those of the last reading. */
static struct pool *keep;

/* folder and name joined, with a "/" at the end if asked for. */
static struct text join(struct text folder, const char *name, bool as_folder)
{
    size_t n = strlen(name);
    bool slash = as_folder && n && name[n - 1] != '/';
    return pool_printf(keep, "%.*s%s%s", name[0] == '/' ? 0 : (int) folder.n, folder.n ? folder.p : "", name, slash ? "/" : "");
}

static bool take_signal(struct options *o, const char *name)
{
    static const char *const names[] = { "stop", "quit", "reopen", "reload" };
    for (size_t i = 0; name && i < countof(names); i++)
        if (strcmp(name, names[i]) == 0) o->signal = names[i];
    if (!name || o->signal) return true;
    fprintf(stderr, "weir: invalid option: \"-s %s\"\n", name);
    return false;
}

static void take_paths(struct options *o, const struct given *g)
{
    const char *prefix = word_of(g, 'p'), *file = word_of(g, 'c'), *log = word_of(g, 'e');
    o->prefix = join(T(""), prefix ? prefix : WEIR_PREFIX, true);
    o->file = join(o->prefix, file ? file : WEIR_CONF_PATH, false);
    o->error_log_given = log != NULL;
    if (!log) log = WEIR_ERROR_LOG_PATH;
    o->error_log = !*log || strcmp(log, "stderr") == 0 ? T("") : join(o->prefix, log, false);
    o->globals = text_c(word_of(g, 'g'));
}

bool options_read(int argc, char **argv, struct options *o)
{
    struct given given = { { NULL } };
    *o = (struct options) { .argc = argc, .argv = argv };
    pool_close(&keep);
    keep = pool_open(0);
    for (int at = 1; at < argc; at++)
        if (!take_argument(o, &given, &at)) return false;
    take_paths(o, &given);
    return take_signal(o, word_of(&given, 's'));
}

void options_print_usage(void)
{
    fprintf(stderr,
        "Usage: weir [-?hvVtTq] [-s signal] [-p prefix]\n"
        "            [-e filename] [-c filename] [-g directives]\n"
        "       weir -t [--strict] [--explain request [-H header] [--from address]]\n"
        "       weir -h directive | lint\n"
        "\n"
        "Options:\n"
        "  -?,-h         : this help\n"
        "  -h directive  : show syntax, default and contexts of a directive and exit\n"
        "  -h directives : list all directives and exit\n"
        "  -h variables  : list all variables of http and exit\n"
        "  -h lint       : list what -t warns of and exit; -h with one of these explains it\n"
        "  -v            : show version and exit\n"
        "  -V            : show version and configure options then exit\n"
        "  -t            : test configuration and exit; classic mistakes in it are warned of\n"
        "  --strict      : with -t: such a warning fails the test\n"
        "  --explain request : with -t: say what 'GET http://host/uri' would come to, and why\n"
        "  -H header     : a header of that request, \"Name: value\"; may be repeated\n"
        "  --from address : the client of that request (default: 127.0.0.1)\n"
        "  -T            : test configuration, dump it and exit\n"
        "  -q            : suppress non-error messages during configuration testing\n"
        "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
        "  -p prefix     : set prefix path (default: %s)\n"
        "  -e filename   : set error log file (default: %s)\n"
        "  -c filename   : set configuration file (default: %s)\n"
        "  -g directives : set global directives out of configuration file\n"
        "\n", WEIR_PREFIX, WEIR_ERROR_LOG_PATH, WEIR_CONF_PATH);
}

static void print_build(void)
{
    const char *running = OpenSSL_version(OPENSSL_VERSION);
    fprintf(stderr, "built by %s\nbuilt with %s", WEIR_COMPILER, OPENSSL_VERSION_TEXT);
    if (strcmp(running, OPENSSL_VERSION_TEXT)) fprintf(stderr, " (running with %s)", running);
    fprintf(stderr, "\nTLS SNI support enabled\nconfigure arguments:%s%s\n", *WEIR_CONFIGURE ? " " : "", WEIR_CONFIGURE);
}

void options_print_version(const struct options *o)
{
    fprintf(stderr, "weir version: weir/%s%s%s%s\n", WEIR_VERSION, *WEIR_BUILD ? " (" : "", WEIR_BUILD, *WEIR_BUILD ? ")" : "");
    if (o->configure) print_build();
}
