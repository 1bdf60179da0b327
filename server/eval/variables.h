/* variables: inside of the names of one configuration. For this room only. */
#ifndef EVAL_VARIABLES_H
#define EVAL_VARIABLES_H

#include "eval/eval.h"

struct variable_index {
    const struct variable *v;        /* known when the file is finished */
    struct text            name;     /* lower case */
    const char            *file;     /* of the first use; NULL: a default */
    unsigned               line;
};

struct variables {
    enum eval_kind          kind;
    bool                    resolved;
    struct table            by_name;         /* to struct variable * */
    struct table            indexed;         /* name to 1 + index */
    struct variable_index  *index;
    size_t                  count, cap;
    const struct variable **prefixes;        /* longest first */
    size_t                  prefix_count, prefix_cap;
};

/* Of a name in lower case: the variable itself, or that of the longest prefix, or NULL. */
const struct variable *variables_lookup(const struct variables *names, struct text name);

#endif
