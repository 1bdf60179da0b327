/*
 * redis: a Redis server as one process uses it: one connection, pipelined, through libhiredis' asynchronous API on the loop. What is asked
 * is one script, atomic there, by its digest (EVALSHA; by its text where the server does not know it, or no more).
 *
 *   begin      the name is looked up, connected, AUTH, SELECT, and the script run on a key of its own: only who can do that is up.
 *   up         questions go out together at the end of a turn. At most REDIS_PENDING_MOST wait for an answer.
 *   down       by an error, by what the script should not have answered, or by silence: REDIS_SILENT_MS without an answer to what was asked.
 *              Begins again after a pause that doubles. A server that ends an idle connection is not down: it is connected again at once.
 */
#ifndef UPSTREAM_REDIS_H
#define UPSTREAM_REDIS_H

#include "config/conf.h"

#define REDIS_MAGIC 0x52444953u

enum {
    REDIS_PENDING_MOST = 1024, REDIS_SILENT_MS = 500, REDIS_BEGIN_MS = 1000, REDIS_PAUSE_LEAST_MS = 100, REDIS_PAUSE_MOST_MS = 10000,
    REDIS_ARGS_MOST = 4, REDIS_ARG_BYTES = 384,        /* of one question: the key first */
};

struct redis_target {
    struct text shown;               /* without user and password, for people */
    struct text user, password;      /* empty: none */
    struct text host;                /* a name or an address; "unix:/path" */
    uint16_t    port;
    unsigned    db;
};

/* Is there libhiredis at all? */
bool redis_is_built(void);
/* "redis://[[user]:password@]host[:port][/db]", "redis://[[user]:password@]unix:/path[:/db]"; user and password may be %-encoded. In the pool. The error names no
 * secret. */
conf_result redis_read_target(struct conf *cf, struct text url, struct redis_target *out);

struct redis;
struct redis_want {
    const struct redis_target *target;                      /* all of this stays as long as the connection */
    struct text                script;                      /* answers with two numbers */
    const struct text         *probe;                       /* its key and arguments when it is tried */
    size_t                     probe_count;
    void                     (*turned)(void *arg, bool up, const char *why);     /* it came up; it went down, and why */
    void                      *arg;
};

/* In a worker: begins to connect. Never NULL. */
struct redis *redis_open(const struct redis_want *w);
/* Those who wait are told that there is no answer. Nulls; NULL is fine. */
void redis_close(struct redis **s);
/* Runs the script; args are copied, the key first. told is called once, never from within: with the two numbers, or NULL: no answer. False: it is not up,
 * or too many wait; told is not called. */
bool redis_ask(struct redis *s, const struct text *args, size_t count, void (*told)(void *arg, const int64_t *answer), void *arg);

#endif
