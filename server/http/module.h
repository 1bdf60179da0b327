/* module: what a module adds to http (module.part with part_kind == &http_part_kind). */
#ifndef HTTP_MODULE_H
#define HTTP_MODULE_H

#include "http/response.h"
#include "http/location.h"
#include "upstream/relay.h"

struct hook {
    const struct step *step;
    const char        *name;
    struct verdict   (*run)(struct request *r);
    int                order;     /* among the hooks of a step: lower first; nginx's order of modules */
};

struct http_part {
    const struct variable      *variables;  /* ends with name NULL; may be NULL, as all here */
    const struct hook          *hooks;      /* ends with step NULL */
    const struct filter *const *filters;    /* ends with NULL */
    struct relay_pace        *(*pace)(struct request *r);    /* what limits a tunnel that begins for r; NULL: nothing */
    bool                        if_given;   /* hooks, filters and pace are left out where no directive of the module is given */
};
extern const int http_part_kind;

#endif
