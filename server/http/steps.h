/* steps: the way of a request through the server, and what the http block as a whole holds. */
#ifndef HTTP_STEPS_H
#define HTTP_STEPS_H

#include "http/module.h"
#include "http/vhost.h"

#define HTTP_MAGIC 0x48545450u

enum { STEP_POST_READ, STEP_SERVER_REWRITE, STEP_FIND_LOCATION, STEP_REWRITE, STEP_POST_REWRITE, STEP_PREACCESS, STEP_ACCESS,
       STEP_POST_ACCESS, STEP_PRECONTENT, STEP_CONTENT, STEP_LOG, STEP_COUNT };

struct step {
    const char        *name;
    struct verdict   (*run)(struct request *r);
    const struct step *next;
    unsigned           index;
};

/* The http block: what the modules of this configuration added. */
struct hook_list { const struct hook **v; size_t n; };
struct http {
    unsigned              magic;
    struct conf_block    *block;
    const struct variables *names;
    size_t                value_count;
    struct hook_list      hooks[STEP_COUNT];
    const struct filter **filters;          /* in the order of filters.c */
    size_t                filter_count;
    struct relay_pace  *(**paces)(struct request *r);
    size_t                pace_count;
    struct vhost        **vhosts;
    size_t                vhost_count, vhost_cap;
    struct listen        *listens;          /* while reading: listen.h */
    const struct log     *log;
};

/* At the end of reading: the hooks and filters of all modules. False after a log line. */
bool steps_build(struct conf *cf, struct http *h);
bool filters_build(struct conf *cf, struct http *h);
/* Calls fn for every http_part of every module, in the order of modules. */
void steps_parts_each(void (*fn)(const struct http_part *p, const struct module *m, void *arg), void *arg);

/* Runs r from where it is until it waits or is over (request.c). */
void steps_run(struct request *r, struct verdict v);
/* All that limits a tunnel for r (relay_set_paces takes it); NULL: nothing does. */
struct relay_pace *steps_paces(struct request *r);
/* Changes r's location and all that follows from it: values, log, keep-alive. */
void request_enter(struct request *r, struct location *l);
/* What V_REPLY means (error_page.c): an error page's uri, or a response made here. */
struct verdict error_page_answer(struct request *r, int status);

#endif
