/*
 * process: the master, its workers and the manager; one generation of configuration at a time.
 *
 * Glossary
 *   cycle     a generation: pool, configuration, listeners, open logs, zones. Built whole, then swapped in, or dropped.
 *   master    reads configurations, binds, opens logs, forks, reaps, upgrades. Never touches traffic.
 *   worker    one process a slot; accepts and proxies. manager: one; what is done once, not per request.
 *   slot      the place of a worker: 0 … n-1. Its listening sockets are its slot's, over all generations.
 */
#ifndef PROCESS_CYCLE_H
#define PROCESS_CYCLE_H

#include "config/conf.h"
#include "event/event.h"
#include "os/shm.h"

#define CYCLE_MAGIC 0x4359434cu

struct options;
struct cycle {
    unsigned         magic;
    uint64_t         number;             /* of the generation, from 1 */
    struct pool     *pool;
    struct conf     *conf;
    struct listener *listeners;          /* all layers' */
    struct log      *log;                /* the main error log */
    struct log_file *files;              /* every log file that is open, by full path: one descriptor each */
    struct made     *made_logs;          /* private to cycle_log.c */
    unsigned         workers;            /* resolved worker_processes */
    const struct options *options;
    struct text      file;               /* the configuration's main file, full path */
    bool             testing;
    bool             transparent;        /* set by who binds to foreign addresses (proxy_bind … transparent): workers keep CAP_NET_RAW */
};

extern struct cycle *cycle_current;      /* the generation this process serves */

/* A log file, opened once however often it is named. Reopened in place (USR1). buffered writers hang on it. */
struct log_file {
    struct log_file *next;
    struct text      path;               /* full; empty: stderr */
    int              fd;                 /* -1: not opened yet */
    void           (*flush)(struct log_file *f);   /* before reopen and at exit; set by who buffers */
    void            *data;
};
/* While a configuration is read: registers; opened when the cycle is opened. Same path, same object. */
struct log_file *cycle_log_file(struct conf *cf, struct text path);
/* Makes the log that a list of error_log lines means (core_conf.h): opened targets, ready to use. */
struct error_log_list;
struct log *cycle_error_log(struct cycle *c, const struct error_log_list *list);

/* While a configuration is read: one object for one address and type; nginx's rules on repeated options are the caller's. */
struct listener *cycle_listener(struct cycle *c, const struct addr *addr, int type);

/* What a module adds to processes (module.part with part_kind == &process_part_kind). All may be NULL. */
struct process_part {
    bool (*open)(struct cycle *c);               /* master: after the configuration is whole, before listeners are opened: zones, key files.
                                                    False after a log line: this generation is dropped. */
    bool (*explain)(struct cycle *c);            /* -t --explain: on stdout; false after a line on stderr */
    void (*worker_start)(struct cycle *c, unsigned slot);
    void (*worker_quit)(struct cycle *c);        /* graceful end asked for: nothing is accepted any more; finish, and let the next answer on a
                                                    connection be its last. Idle client connections (conn_set_idle) are not closed at once, since a
                                                    request may be on its way: a second later the process layer tells those still idle to close. */
    void (*worker_end)(struct cycle *c);         /* last words: flush logs */
    void (*manager_start)(struct cycle *c);
    void (*second)(struct cycle *c);             /* worker and manager: about once a second */
    uint64_t (*master)(struct cycle *c);         /* master, between its duties: does what is due; ms until it is asked again, 0: never. Short. */
};
extern const int process_part_kind;

/* In a worker that was asked to end gracefully: nothing is accepted any more, keep-alive must not go on. */
extern bool process_quitting;
/* Which process this is. */
enum process_kind { PROCESS_MASTER, PROCESS_WORKER, PROCESS_MANAGER, PROCESS_SINGLE, PROCESS_KEYS };
extern enum process_kind process_kind;
extern unsigned process_slot;
/* Work that must end before a quitting worker leaves (connections count by themselves). */
void process_hold(void);
void process_release(void);

/* Reads, builds and opens a generation. old: the running one or NULL. NULL after [emerg] lines, old untouched. */
struct cycle *cycle_open(const struct options *o, struct cycle *old, bool testing);
void cycle_close(struct cycle **c);

#endif
