/*
 * log: messages in nginx's error-log line format:
 *   2026/11/23 06:28:15 [error] 123#123: *45 text (2: No such file or directory), client: …, server: …
 * A log is a list of targets, each with its own least level: a file, stderr, syslog, a ring in memory.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/build.h"

enum log_level { L_STDERR, L_EMERG, L_ALERT, L_CRIT, L_ERR, L_WARN, L_NOTICE, L_INFO, L_DEBUG };

#define LOG_LINE_MAX 2048

/* Where lines go: write gets one whole line with its newline. Made by os (file, syslog) or here (stderr, ring). */
struct log_target {
    struct log_target *next;
    enum log_level     level;     /* takes lines of this level and more serious ones */
    void             (*write)(struct log_target *t, enum log_level level, struct text line);
    bool               plain;     /* lines of the form "weir: [emerg] text", without time and process */
    int                fd;        /* for files: changed in place when logs are reopened */
    void              *arg;
};

/* Who a line is about: connection number and a function that adds ", client: …" and so on. */
struct log_about {
    uint64_t    number;                                    /* 0: none; printed as *number */
    void      (*describe)(struct build *b, void *arg);     /* NULL: nothing to add */
    void       *arg;
    const char *doing;                                     /* "reading client request line" (printed after " while "), or NULL */
};

struct log { struct log_target *targets; enum log_level level; };   /* level: the most talkative target's */

/* The process's own log; before the configuration is read it is stderr at notice ("weir: [emerg] …" form). */
extern struct log *log_main;

/* The target of that first log: writes "weir: [emerg] …" to descriptor 2. It may be added to other logs, or dropped. */
extern struct log_target log_target_stderr;

/* err: an errno to explain, or 0. about may be NULL. Use the macro: it costs one compare where the level is off. */
__attribute__((format(printf, 5, 6), cold)) void log_line(const struct log *log, enum log_level level, const struct log_about *about, int err, const char *fmt, ...);
#define log_at(log_, level_, about_, err_, ...) \
    do { if (unlikely((log_)->level >= (level_))) log_line((log_), (level_), (about_), (err_), __VA_ARGS__); } while (0)

const char *log_level_name(enum log_level level);
/* "debug" … "emerg"; false: no such level. */
bool log_level_parse(struct text name, enum log_level *out);

/* Adds t (kept, not copied) and recomputes the level. */
void log_add_target(struct log *log, struct log_target *t);
/* Takes t off again, if it is there. */
void log_drop_target(struct log *log, struct log_target *t);
/* A target that writes to t->fd. */
void log_write_fd(struct log_target *t, enum log_level level, struct text line);
/* A target that keeps the newest size bytes of lines in memory (error_log memory:size). */
struct log_target *log_ring(struct pool *pool, enum log_level level, size_t size);
/* What a ring holds, oldest first, into room; bytes written. */
size_t log_ring_read(const struct log_target *t, char *room, size_t size);
/* True once a [emerg], [alert] was written by this process: tests and -t look at it. */
bool log_had(enum log_level level);

#endif
