/* pass: "…_pass ADDRESS" of protocols that know no URL: a name of an upstream, or a host with a port, or variables. */
#ifndef GATEWAY_PASS_H
#define GATEWAY_PASS_H

#include "http/module.h"
#include "upstream/group.h"
#include "eval/template.h"

struct gateway_target;

/* What an address may begin with ("suwsgi://"). */
struct gateway_scheme { struct text prefix; bool secure; };

struct gateway_pass {
    struct text       source;         /* as given, less its scheme */
    struct template  *dynamic;        /* has variables, else NULL */
    struct text       host;           /* of source, without the port */
    bool              secure;
    struct group_ref *ref;
    struct groups    *groups;
    const struct gateway_scheme *schemes;
};

/* The address in word; the location being read is answered by content, which finds *pass_out as its content_data. schemes: those
 * known, an empty one at the end; NULL: none. */
conf_result gateway_pass_parse(struct conf *cf, struct text word, const struct gateway_scheme *schemes, struct verdict (*content)(struct request *r), struct gateway_pass **pass_out);
/* Whom r is passed to: a group, or a host and port to look up. False: *status_out, logged. */
bool gateway_pass_find(struct request *r, const struct gateway_pass *p, struct gateway_target *t, int *status_out);

#endif
