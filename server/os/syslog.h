/* syslog: log lines as RFC 3164 messages over UDP or a unix datagram socket, in the form nginx sends. */
#ifndef OS_SYSLOG_H
#define OS_SYSLOG_H

#include "base/log.h"
#include "os/addr.h"

/* What "syslog:server=…,facility=…,severity=…,tag=…,nohostname" means. */
struct syslog {
    struct addr server;
    struct text tag;           /* nginx's default is its name; ours "weir" */
    int         facility;      /* 0 … 23; local7 by default */
    int         severity;      /* for access logs; info by default */
    bool        nohostname;
    int         fd;            /* -1: not connected yet */
    uint64_t    retry_ms;      /* monotonic: not connected again before this */
};

/* Parses what stands after "syslog:"; the server's name is resolved now. NULL, or what is wrong (in the pool). */
const char *syslog_parse(struct pool *p, struct text words, struct syslog *out);
/* Sends one message (no newline needed) of this severity (0 … 7). Never waits; what the kernel does not take is lost. */
void syslog_send(struct syslog *s, int severity, struct text message);
/* A log target (in p) that sends its lines to s. */
struct log_target *syslog_target(struct pool *p, enum log_level level, struct syslog *s);
void syslog_close(struct syslog *s);

#endif
