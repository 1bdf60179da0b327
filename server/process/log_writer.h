/*
 * log_writer: lines to a log file, in batches: one write a turn of the loop, or, with a buffer of its own, when that is
 * full, when its oldest line has waited long enough, and at the end. Hangs on struct log_file.
 */
#ifndef PROCESS_LOG_WRITER_H
#define PROCESS_LOG_WRITER_H

#include "process/cycle.h"

/* buffer=size flush=time gzip=level; size 0: no buffer asked for. */
struct log_rules { size_t size; uint64_t flush_ms; int gzip; };

/* While a configuration is read. False: the file has other rules already. */
bool log_writer_rules(struct log_file *f, struct pool *pool, const struct log_rules *rules);

/* A line is built in place: room to build in, without the newline, and then log_writer_end. When the line is longer than the
 * room (!build_ok), end makes all the room there is and gives false: begin and build once more; when that fails too, the
 * line is longer than the buffer: give it whole to log_writer_put. */
struct build log_writer_begin(struct log_file *f);
bool log_writer_end(struct log_file *f, const struct build *line);
/* A whole line with its newline. */
void log_writer_put(struct log_file *f, struct text line);

#endif
