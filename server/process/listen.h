/*
 * listen: the listening sockets of this server, over all its generations.
 *
 * Glossary
 *   group   the sockets of one address and type, in the kernel's order (socket.h): the first ones belong to the worker slots; those
 *           after them (surplus) were of workers that are no more, get nothing new, and are emptied by slot 0 for a while.
 *
 * Only the master (or the single process) keeps groups; a worker has the numbers in struct listener: fds[0 … active - 1] by slot,
 * fds[active … fd_count - 1] surplus.
 */
#ifndef PROCESS_LISTEN_H
#define PROCESS_LISTEN_H

#include "process/cycle.h"

/* How many of l's sockets are in use by slots: 1 for unix sockets, else the cycle's workers. */
unsigned listen_active(const struct cycle *c, const struct listener *l);

/* For a generation in the making: takes over sockets that are there, binds what is missing (no connection comes yet). An address in
 * use is tried five times. False after [emerg] lines, and nothing has changed. testing: what was bound is closed again, an address in use is fine. */
bool listen_open(struct cycle *c, bool testing);
/* The generation begins: new sockets listen, options are applied, steering follows the number of workers, groups that no
 * listener names are closed. False after [emerg] lines: listen() was refused for a new socket. */
bool listen_commit(struct cycle *c);
/* The generation was dropped. */
void listen_rollback(void);

/* Closes surplus sockets whose time is over, of the groups and of c. Returns ms until the next is due, 0: none is left. */
uint64_t listen_retire(struct cycle *c, bool *closed_out);
/* Steering as this process wants it, once more: after another process has had its own. */
void listen_steer(const struct cycle *c);

/* Sockets that came from outside, in the order of their group; fd is closed (with a line) when it is none. foreign: its maker
 * (systemd) keeps it, and its unix path. */
void listen_inherit(const int *fds, size_t n, bool foreign);
/* "3,4;5;…" for a new binary. In the child that will exec: the descriptors stay open over it. */
struct text listen_export(struct pool *p);

/* Closes all; unlink: removes the paths of unix sockets. */
void listen_close(bool unlink_paths);

#endif
