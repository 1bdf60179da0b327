/* conf_help: what the rows say, for people: weir -h DIRECTIVE, weir -h directives. After conf_register. */
#ifndef CONFIG_CONF_HELP_H
#define CONFIG_CONF_HELP_H

#include "config/conf.h"

/* Syntax, default, contexts, module and help of every row of this name. False (nothing printed): no such directive. */
bool conf_help(FILE *out, struct text name);
/* All rows, one a line, separated by tabs: module, name, syntax, default, contexts, help. */
void conf_help_list(FILE *out);
/* Known names like this one, nearest first, at most four, separated by commas; nothing when none is like it. */
void conf_help_nearest(struct build *b, struct text name);

#endif
