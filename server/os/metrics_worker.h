/* metrics_worker: what one worker alone has counted. */
#ifndef OS_METRICS_WORKER_H
#define OS_METRICS_WORKER_H

#include "os/metrics.h"

struct metrics_process;

/* In a worker, after metrics_begin: its number, from 0, and the generation that it serves, from 1. */
void metrics_name(uint32_t worker, uint64_t generation);
/* The living workers of a generation, by number, at most so many of the first numbers; NULL where there is none. Returns one more than the
 * greatest number that was found. */
size_t metrics_workers(uint64_t generation, struct metrics_process **v, size_t most);
uint32_t metrics_pid_of(const struct metrics_process *p);
/* Of connections accepted and handled and of requests: since metrics_forget_of. */
uint64_t metrics_of(const struct metrics_process *p, enum metric m);
/* These three begin anew. */
void metrics_forget_of(struct metrics_process *p);

#endif
