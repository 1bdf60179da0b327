/*
 * limit_req's sums, apart from everything else. A bucket leaks at a steady rate; each request adds its cost. All is counted in
 * whole parts (a request is LIMIT_COST of them), so that rates a second, minute, hour or day are exact.
 */
#ifndef MODULES_LIMIT_REQ_H
#define MODULES_LIMIT_REQ_H

#include "http/limit_zone.h"

#define LIMIT_COST 86400000         /* one a day leaks one part a millisecond */

struct limit_bucket { uint64_t last_ms; int64_t excess; };      /* excess: below zero only when a request was given back */

/* What it holds at now_ms, if one more came. */
int64_t limit_bucket_with(const struct limit_bucket *b, uint64_t leak, uint64_t now_ms);
/* One more came: true when it fits under burst (in parts), and then it is counted. *excess_out: what it holds, or would. last_ms 0
 * is a new bucket, whose first request is free. */
bool limit_bucket_take(struct limit_bucket *b, uint64_t leak, int64_t burst, uint64_t now_ms, int64_t *excess_out);
/* Gives back what the last take counted. */
void limit_bucket_return(struct limit_bucket *b);
/* Milliseconds until it has leaked from excess to target, rounded up. */
uint64_t limit_bucket_wait(int64_t excess, int64_t target, uint64_t leak);

/* ---- limit_req_sync.c: zones that several servers count together, in Redis ---- */

struct limit_sync;                  /* a zone's "more" */
struct limit_server;                /* a Redis server that zones name */
struct limit_question;

/* The words "sync=" and "sync_timeout=" of limit_req_zone, as limit_zone_read wants it. servers: of the configuration. */
bool limit_sync_read(struct conf *cf, struct limit_server **servers, struct text word, struct limit_zone *told, conf_result *why_out);
/* At the end of reading: a zone with sync_timeout, but no sync, is an error. */
void limit_sync_check(struct conf *cf, const struct table *zones);
/* In a worker: connects to the servers of these zones, until the generation, or limit_sync_stop, ends it. */
void limit_sync_start(struct cycle *c, const struct table *zones, struct limit_server *servers);
void limit_sync_stop(struct limit_server *servers);
/* How long a request waits for the answer. */
uint64_t limit_sync_wait_ms(const struct limit_zone *z);

/* Takes one of key's bucket, as limit_bucket_take does here. told(arg, NULL): there is no answer; else: whether it fits, and the excess. NULL:
 * the server is away, told is not called. Else it is, once, unless limit_sync_leave came before. */
struct limit_question *limit_sync_take(const struct limit_zone *z, struct text key, int64_t burst, void (*told)(void *arg, const int64_t *answer), void *arg);
/* The answer is not waited for any more. let_in: what was decided without it; if not, what comes to be counted is given back. */
void limit_sync_leave(struct limit_question *q, bool let_in);
/* Gives back what was counted there. */
void limit_sync_return(const struct limit_zone *z, struct text key);
/* For the API. */
void limit_sync_show(const struct limit_zone *z, json_t *j);

#endif
