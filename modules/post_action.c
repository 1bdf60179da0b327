/* post_action: another uri is asked when a request is over. */
#include "modules/module.h"
#include "http/subrequest.h"

enum { ORDER_POST_ACTION = 10 };     /* after the access log */

struct post_action_conf { struct text uri; };
extern struct module post_action_module;

static struct verdict act(struct request *r)
{
    const struct post_action_conf *c = request_values(r, &post_action_module);
    if (!c->uri.n || r->main != r) return v_next();
    struct subrequest_want want = { .uri = c->uri, .way = SUBREQUEST_BACKGROUND, .same_method = true };
    if (c->uri.p[0] != '/') want.named = c->uri, want.uri = r->uri, want.args = r->args;
    subrequest_open(r, &want);
    return v_next();
}

static const struct directive rows[] = {
    D_TEXT(struct post_action_conf, uri, "post_action", IN_HSL | IN_IF, NULL, "The uri or named location that is asked when a request is over; its answer is not read."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_log, .name = "post_action", .run = act, .order = ORDER_POST_ACTION }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module post_action_module = { .name = "http_post_action", .conf_size = sizeof(struct post_action_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
