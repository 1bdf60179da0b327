/* options: the command line, as nginx has it. */
#ifndef PROCESS_OPTIONS_H
#define PROCESS_OPTIONS_H

#include "base/text.h"

struct options {
    bool                help, version, configure;   /* -h or -?, -v, -V */
    bool                test, dump, quiet;          /* -t, -T (sets test as well), -q */
    bool                strict;                     /* --strict: a finding of lint fails the test */
    const char         *explain, *from;             /* --explain: a request; --from: its client's address; NULL: none */
    const char         *headers[32];                /* -H: of that request */
    size_t              header_count;
    const char         *signal;                     /* -s: "stop", "quit", "reopen", "reload"; NULL: none */
    const char         *topic;                      /* -h TOPIC: a directive, "directives", a kind of lint finding, "lint"; NULL: none */
    struct text         prefix;                     /* -p or built in; ends with "/" unless empty; NUL-ended */
    struct text         file;                       /* -c or built in: full path, NUL-ended */
    struct text         error_log;                  /* -e or built in: full path, or empty for stderr; NUL-ended */
    bool                error_log_given;            /* -e */
    struct text         globals;                    /* -g, or empty */
    int                 argc;                       /* as main got them, for the new binary and process titles */
    char              **argv;
};

/* Reads the command line. False after a line on stderr: the process should end with 1. o lives as long as the process. */
bool options_read(int argc, char **argv, struct options *o);
/* What -h (without topic), -v and -V print; to stderr as nginx. */
void options_print_usage(void);
void options_print_version(const struct options *o);

#endif
