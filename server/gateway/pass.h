/* pass: "…_pass ADDRESS" of protocols that know no URL: a name of an upstream, or an address with a port, or variables. */
#ifndef GATEWAY_PASS_H
#define GATEWAY_PASS_H

#include "http/module.h"
#include "upstream/group.h"
#include "eval/template.h"

struct gateway_pass {
    struct text       source;         /* as given */
    struct template  *dynamic;        /* has variables, else NULL */
    struct group_ref *ref;
    struct groups    *groups;
};

/* The address in word; the location being read is answered by content, which finds *pass_out as its content_data. */
conf_result gateway_pass_parse(struct conf *cf, struct text word, struct verdict (*content)(struct request *r), struct gateway_pass **pass_out);
/* Whom r is passed to. NULL: *status_out, logged. */
struct group *gateway_pass_group(struct request *r, const struct gateway_pass *p, int *status_out);

#endif
