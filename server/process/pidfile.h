/* pidfile: the file with the master's process id, also under its name beside a new binary (".oldbin"). */
#ifndef PROCESS_PIDFILE_H
#define PROCESS_PIDFILE_H

#include "base/text.h"

/* Paths end with NUL. False after [emerg]. */
bool pidfile_write(struct text path);
void pidfile_remove(struct text path);
/* path to path.oldbin, or back. False after an [error] line. */
bool pidfile_set_aside(struct text path);
bool pidfile_put_back(struct text path);
void pidfile_remove_old(struct text path);
/* The pid in path: 0 after [error]. */
pid_t pidfile_read(struct text path);
/* May it be written (-t)? It is made when it is not there, as nginx does. False after [emerg]. */
bool pidfile_try(struct text path);

#endif
