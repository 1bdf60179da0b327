/* cycle_log: the log files of a generation and the error logs that write to them. cycle_log_file and cycle_error_log stand in cycle.h. */
#ifndef PROCESS_CYCLE_LOG_H
#define PROCESS_CYCLE_LOG_H

#include "process/cycle.h"

/* Opens what is registered and not open yet. False after [emerg]. */
bool cycle_log_open_files(struct cycle *c);
void cycle_log_close_files(struct cycle *c);
void cycle_log_flush(struct cycle *c);
/* In the master: every file is opened anew by its path, and each one handed to tell (NULL: nobody); who cannot be opened stays as it is ([emerg]). */
void cycle_log_reopen(struct cycle *c, void (*tell)(struct log_file *f));
/* Descriptor 2 goes where the main error log's first file is (what libraries and sanitizers print). */
void cycle_log_redirect_stderr(const struct cycle *c);
/* In a child: the master opened path anew. Takes over fd. */
void cycle_log_replace(struct cycle *c, struct text path, int fd);

#endif
