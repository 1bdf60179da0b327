/*
 * thread: pools of threads, for calls that may block (opening and reading files). A job's work runs in a thread and may
 * do nothing but system calls on memory of its own: pools, chains, chunks and logs belong to the loop. Threads are started when
 * there is work for them.
 */
#ifndef EVENT_THREAD_H
#define EVENT_THREAD_H

#include "base/text.h"

struct thread_job {
    struct thread_job *next;                   /* private */
    void             (*work)(struct thread_job *j);   /* in a thread */
    void             (*done)(struct thread_job *j);   /* then, in the loop; the job is the owner's again */
};

struct thread_pool;
/* The process's pool of that name, made with these bounds when there is none yet. Never NULL; name is copied. */
struct thread_pool *thread_pool_get(struct text name, unsigned threads, unsigned max_queue);
/* False: nothing was posted, since max_queue jobs wait already (logged), or no thread could be started. */
bool thread_post(struct thread_pool *p, struct thread_job *j);

#endif
