/* spawn: processes: fork, titles, ids, limits, and signals that become flags. */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include "base/log.h"
#include <signal.h>

/* ---- signals ---- */

/* Handlers for these are set by signals_open: they note the signal and its sender, and make signals_fd readable, nothing else. SIGPIPE is
 * ignored. In a forked child call it again: it gets its own descriptor, and nothing is noted. False after a log line. */
bool signals_open(const int *numbers, size_t count);
/* Readable when something was noted. */
extern int signals_fd;
/* True when this signal was noted since it was last asked; *sender_out (may be NULL) is a pid or 0. */
bool signals_take(int number, pid_t *sender_out);
/* fork(). The child has all signals blocked, so that none is met by its parent's handlers: until it calls signals_open, or
 * signals_default when it goes on to be another program. */
pid_t signals_fork(void);
void  signals_default(void);
/* Empties signals_fd; before the signals are asked for. */
void signals_drain(void);

/* ---- titles ---- */

/* First thing in main: makes room for a title over argv and environ. Returns a copy of argv, to be used from then on
 * (argc is as before); the environment is moved away too. */
char **title_open(int argc, char **argv);
/* What ps shows: "weir: worker process". */
void title_set(const char *title);

/* ---- who we are ---- */

struct identity { bool change; uid_t uid; gid_t gid; const char *user; };
/* Becomes it for good: groups, gid, uid, no_new_privs. keep_transparent: CAP_NET_RAW is kept for IP_TRANSPARENT. False after [emerg]. */
bool spawn_become(const struct identity *who, bool keep_transparent);
/* prctl(PR_SET_NO_NEW_PRIVS). */
void spawn_no_new_privileges(void);
/* RLIMIT_NOFILE, RLIMIT_CORE; each an [error] line when refused. -1: left alone. */
void spawn_limit(int resource, const char *name, int64_t value);
void spawn_priority(int priority);
/* This process on these CPUs only: cpu i is bit i % 64 of bits[i / 64]. */
void spawn_affinity(const uint64_t *bits, size_t words);
/* Cores may be dumped although ids were changed. */
void spawn_dumpable(void);
/* Detaches from the terminal: the parent waits until daemon_ready is called in the child or the child ends, then leaves with its exit code.
 * False after [emerg]. Returns in the child only. */
bool daemon_start(void);
void daemon_ready(void);

/* When the process began, in the system's ticks: with its id, what no other process has. 0: it is no more (or only to be reaped).
 * UINT64_MAX: there is one, but the system does not tell (no /proc, or hidden). */
uint64_t spawn_began(pid_t pid);

/* "exited with code 0" or "exited on signal 9 (core dumped)", from a wait status. */
void spawn_status(struct build *b, int status);

#endif
