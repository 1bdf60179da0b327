/* ssl_engine: an engine of OpenSSL's, of the old kind, that does what it can do for all: a card, an accelerator. */
#include "modules/module.h"
#include "tls/tls.h"

static conf_result parse_engine(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return tls_engine_use(cf->words[1], cf->file, cf->line, log_main) ? NULL : conf_said;
}

static const struct conf_type type_engine = { .syntax = "device", .min = 1, .max = 1, .parse = parse_engine };

static const struct directive rows[] = {
    D_DO(&type_engine, "ssl_engine", IN_MAIN, "device", NULL, "An engine of OpenSSL's that does all that it can do for every connection; keys of an engine, \"engine:NAME:ID\", need no such line."),
    { .name = NULL },
};

struct module ssl_engine_module = { .name = "ssl_engine", .rows = rows };
