/*
 * inherit: what passes from one binary to the next through the environment, and the environment of children.
 *
 *   WEIR_INHERIT   number of a memory file with two lines: listening sockets ("3,4;5;", in the order of their groups), and
 *                  zones (shm_export's text)
 *   LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES   sockets from systemd: sd_listen_fds(3)
 */
#ifndef PROCESS_INHERIT_H
#define PROCESS_INHERIT_H

#include "process/cycle.h"

/* Once, before the first generation. True: we were started by a running weir, to take its place. */
bool inherit_take(void);
/* Who started us to take its place; 0: nobody. */
extern pid_t inherit_from;
/* The environment becomes what "env" lines say, and TZ. */
void inherit_set_environment(struct cycle *c);
/* In the child that will be the new binary: hands everything over; returns only when execve() failed (after [crit]). */
void inherit_exec(struct cycle *c);

#endif
