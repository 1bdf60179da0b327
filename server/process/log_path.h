/* log_path: log files whose names are known only when a line is written, kept open for a while. */
#ifndef PROCESS_LOG_PATH_H
#define PROCESS_LOG_PATH_H

#include "base/pool.h"
#include "base/log.h"

/* open_log_file_cache: max 0: none is kept open. */
struct log_path_rules { unsigned max, min_uses; uint64_t inactive_ms, valid_ms; };
struct log_paths;

/* Ends with the pool. */
struct log_paths *log_paths_open(struct pool *pool, const struct log_path_rules *rules);
/* Appends line (with its newline) to the file at path. */
void log_paths_write(struct log_paths *p, struct text path, struct text line, const struct log *log, const struct log_about *about);

#endif
