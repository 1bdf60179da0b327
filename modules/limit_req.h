/*
 * limit_req's sums, apart from everything else. A bucket leaks at a steady rate; each request adds its cost. All is counted in
 * whole parts (a request is LIMIT_COST of them), so that rates a second, minute, hour or day are exact.
 */
#ifndef MODULES_LIMIT_REQ_H
#define MODULES_LIMIT_REQ_H

#include "base/base.h"

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

#endif
