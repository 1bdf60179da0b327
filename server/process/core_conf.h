/*
 * core_conf: what the main context and "events" say, typed. The process layer acts on it.
 * Values come by core_conf(block) and events_conf(conf) once conf_finish has succeeded.
 */
#ifndef PROCESS_CORE_CONF_H
#define PROCESS_CORE_CONF_H

#include "config/conf.h"
#include "os/addr.h"
#include "os/syslog.h"

/* user: ids are those to take on; is_set is false where the process does not run as root (nothing to change). */
struct core_user { struct text name, group; uid_t uid; gid_t gid; bool is_set; };

/* worker_cpu_affinity: core_conf_cpus tells what a worker may run on. */
struct core_cpus { uint64_t bits[16]; };               /* 1024 cpus; spawn_affinity(cpus.bits, countof(cpus.bits)) */
struct core_affinity { bool is_auto; size_t n; struct core_cpus *sets; };

/* env: NAME keeps what the master's environment has, NAME=value sets it. TZ is kept in any case. */
struct core_env { struct text name, value; bool has_value; };
struct core_envs { struct core_env *v; size_t n, cap; };

struct core_thread_pool { struct text name; uint32_t threads, max_queue; };
struct core_thread_pools { struct core_thread_pool *v; size_t n, cap; };

enum error_log_kind { ERROR_LOG_FILE, ERROR_LOG_STDERR, ERROR_LOG_SYSLOG, ERROR_LOG_MEMORY };

/* One error_log line. Opening it is the cycle's business. */
struct error_log_spec {
    enum error_log_kind kind;
    enum log_level      level;
    struct text         path;            /* file: full path, ends with NUL */
    struct syslog      *syslog;          /* syslog: parsed, not connected */
    size_t              memory;          /* memory: bytes */
};
struct error_log_list { struct error_log_spec *v; size_t n, cap; };

struct core_conf {
    struct core_user         user;
    int64_t                  worker_processes;         /* "auto" is resolved: number of cpus */
    struct core_affinity     affinity;
    int64_t                  worker_priority;          /* for setpriority, 0: leave */
    int64_t                  rlimit_nofile;            /* -1: leave */
    struct core_limit { bool is_set; uint64_t bytes; } rlimit_core;
    span                     shutdown_timeout;         /* 0: no limit */
    struct text              working_directory;        /* empty: none; ends with NUL */
    struct text              pid;                      /* full path; ends with NUL */
    flag                     daemon;
    flag                     master_process;
    flag                     pcre_jit;
    flag                     key_isolation;
    struct core_envs         env;
    struct core_thread_pools thread_pools;             /* "default" alone where none was named */
    struct error_log_list    error_log;                /* also of http, server, location, stream … : core_conf(block) */
};

struct debug_connections { struct cidr *v; size_t n, cap; bool unix_too; };

struct events_conf {
    int64_t                  worker_connections;
    flag                     multi_accept;
    span                     stall_threshold;
    struct debug_connections debug;
};

extern struct module core_module, events_module;

/* block: any, after conf_finish; the error log is that block's own or inherited. */
static inline struct core_conf *core_conf(const struct conf_block *b) { return conf_values(b, &core_module); }
static inline struct events_conf *events_conf(const struct conf *cf) { return conf_values(cf->top, &events_module); }

/* Where the worker of this slot may run; false: anywhere. With fewer masks than workers the last one holds for the
 * rest; with "auto" each takes one cpu of those allowed, in a circle. */
bool core_conf_cpus(const struct core_affinity *a, unsigned slot, struct core_cpus *out);

#endif
