/* main: the command line leads to the master, or to a few words. */
#include "base/build.h"
#include "config/conf_help.h"
#include "os/spawn.h"
#include "process/master.h"
#include "process/options.h"
#include <stdio.h>

static int help(const char *topic)
{
    if (strcmp(topic, "directives") == 0) {
        conf_help_list(stdout);
        return 0;
    }
    if (conf_help(stdout, text_c(topic))) return 0;
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
