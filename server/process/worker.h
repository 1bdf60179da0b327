/* worker: a process that serves one slot; the manager and the single process begin and end in the same way. */
#ifndef PROCESS_WORKER_H
#define PROCESS_WORKER_H

#include "process/cycle.h"

/* In a forked child; do not return. */
__attribute__((noreturn)) void worker_run(struct cycle *c, unsigned slot);
__attribute__((noreturn)) void manager_run(struct cycle *c, unsigned slot);

/* Their first and last parts, for who is a child of another kind. */
void worker_begin(struct cycle *c, unsigned slot, enum process_kind kind, const char *title);
__attribute__((noreturn)) void worker_serve(struct cycle *c);
/* What the master has said until now. */
void worker_hear(void);

/* For the single process: the parts of a worker's life. */
bool worker_open_loop(struct cycle *c);
bool worker_accept(struct cycle *c, unsigned slot);
/* Stops accepting, closes this process's listening sockets. */
void worker_leave_sockets(struct cycle *c, bool close_them);
/* Begins the graceful end (once): modules close what is idle, worker_shutdown_timeout starts. */
void worker_quit(struct cycle *c);
/* Nothing is open and nothing held: it may leave. */
bool worker_is_done(void);
/* Calls second() of modules, where any has it, about once a second from now on. */
void worker_start_seconds(void);

#endif
