/* main: the command line leads to the master, or to a few words. */
#include "base/build.h"
#include "config/conf_help.h"
#include "config/lint.h"
#include "eval/eval.h"
#include "os/spawn.h"
#include "process/master.h"
#include "process/options.h"
#include <stdio.h>

/* Modules define their variables where http begins. */
static int list_variables(void)
{
    struct pool *pool = pool_open(0);
    struct conf *cf = conf_open_text(pool, "variables", T("http { }"), T(""), T(""));
    bool read = cf != NULL;
    if (read) {
        variables_list(cf, EVAL_HTTP, stdout);
        conf_close(&cf);
    }
    pool_close(&pool);
    return read ? 0 : 1;
}

static int help(const char *topic)
{
    if (strcmp(topic, "variables") == 0) return list_variables();
    if (strcmp(topic, "directives") == 0) {
        conf_help_list(stdout);
        return 0;
    }
    if (strcmp(topic, "lint") == 0) {
        lint_help_list(stdout);
        return 0;
    }
    if (conf_help(stdout, text_c(topic)) || lint_help(stdout, text_c(topic))) return 0;
    char room[256];
    struct build near = build_in_room(room, sizeof room);
    conf_help_nearest(&near, text_c(topic));
    struct text names = build_done(&near);
    fprintf(stderr, "weir: unknown directive \"%s\"", topic);
    if (names.n) fprintf(stderr, ", did you mean %.*s?", TEXT_ARG(names));
    fputc('\n', stderr);
    return 1;
}

int main(int argc, char **argv)
{
    static struct options o;
    argv = title_open(argc, argv);
    if (!options_read(argc, argv, &o)) return 1;
    if (!o.topic && o.version) {
        options_print_version(&o);
        if (o.help) options_print_usage();
        if (!o.test) return 0;
    }
    if (!conf_register()) return 1;
    if (o.topic) return help(o.topic);
    if (o.test) return master_test(&o);
    if (o.signal) return master_signal(&o);
    return master_run(&o);
}
