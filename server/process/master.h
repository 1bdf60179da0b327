/*
 * master: the privileged process. Reads, binds, opens, forks, reaps, upgrades; never touches traffic.
 *
 * What each signal does, and in which order the loop acts on those that came together:
 *
 *      signal         master                                        worker, manager
 *   1  SIGCHLD        reap; replace who died                        -
 *   2  SIGTERM, INT   fast stop                                     fast stop: connections are dropped
 *   3  SIGQUIT        graceful stop                                 accept no more, finish, leave
 *   4  SIGHUP         new configuration, new workers, old ones      -
 *                     are told QUIT when the new ones accept
 *   5  SIGUSR1        log files are opened anew                     asks the master to do it
 *   6  SIGUSR2        new binary beside this one (.oldbin)          -
 *   7  SIGWINCH       workers are told QUIT, the master stays       fast stop (as nginx: for debugging)
 *
 * After WINCH, HUP starts workers again. A stop that is under way is not overtaken by what comes after it.
 */
#ifndef PROCESS_MASTER_H
#define PROCESS_MASTER_H

#include "base/text.h"

struct options;

/* main does: argv = title_open(argc, argv) (os/spawn.h); options_read; conf_register; then one of these. */

/* Serves until told to stop: as a daemon, in the foreground, or as one process, as the configuration says.
 * Returns the exit code. In children (workers) it does not return. */
int master_run(const struct options *o);

/* -t, -T: reads and checks everything, opens what can be opened without disturbing a running server, prints nginx's
 * two lines. Returns the exit code. */
int master_test(const struct options *o);

/* -s: reads the configuration for the pid file's path, and sends the signal that o->signal names. Returns the exit code. */
int master_signal(const struct options *o);

#endif
