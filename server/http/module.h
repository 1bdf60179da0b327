/* module: what a module adds to http (module.part with part_kind == &http_part_kind). */
#ifndef HTTP_MODULE_H
#define HTTP_MODULE_H

#include "http/response.h"
#include "http/location.h"

struct hook {
    const struct step *step;
    const char        *name;
    struct verdict   (*run)(struct request *r);
    int                order;     /* among the hooks of a step: lower first; nginx's order of modules */
    /* NULL: always. Else the hook is left out of configurations in which it never applies. */
    bool             (*wanted)(struct conf *cf);
};

struct http_part {
    const struct variable      *variables;  /* ends with name NULL; may be NULL, as all here */
    const struct hook          *hooks;      /* ends with step NULL */
    const struct filter *const *filters;    /* ends with NULL */
};
extern const int http_part_kind;

#endif
