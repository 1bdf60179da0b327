#include "process/core_conf.h"
#include "process/cycle.h"
#include "process/options.h"
#include "weir_config.h"
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <unistd.h>

enum { THREADS = 32, MAX_QUEUE = 65536, RING_LEAST = 1024 };

static struct text keep(struct conf *cf, struct text word) { return text_of(pool_cstr(cf->pool, word), word.n); }

/* ---- user ---- */

static conf_result find_ids(struct conf *cf, struct core_user *u)
{
    struct passwd *who = getpwnam(u->name.p);
    if (!who) return conf_say(cf, "!getpwnam(\"%s\") failed", u->name.p);
    u->uid = who->pw_uid;
    u->gid = who->pw_gid;
    u->is_set = true;
    if (!u->group.n) return NULL;
    struct group *group = getgrnam(u->group.p);
    if (!group) return conf_say(cf, "!getgrnam(\"%s\") failed", u->group.p);
    u->gid = group->gr_gid;
    return NULL;
}

static conf_result parse_user(struct conf *cf, const struct directive *d, void *field)
{
    struct core_user *u = field;
    (void) d;
    if (!cf->file) return NULL;         /* the default is looked up by check_user, where it is needed */
    u->name = keep(cf, cf->words[1]);
    u->group = keep(cf, cf->words[cf->count - 1]);
    if (geteuid() == 0) return find_ids(cf, u);
    conf_warn(cf, "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored");
    return NULL;
}

/* ---- workers ---- */

static unsigned count_cpus(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return (unsigned) max_of(CPU_COUNT(&allowed), 1);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned) online : 1;
}

static conf_result parse_workers(struct conf *cf, const struct directive *d, void *field)
{
    uint64_t n = count_cpus();
    (void) d;
    if (!text_eq(cf->words[1], T("auto")) && (!text_u64(cf->words[1], &n) || !n || n > 1024)) return conf_invalid;
    *(int64_t *) field = (int64_t) n;
    return NULL;
}

/* "0101": the rightmost digit is cpu 0; spaces are for the eye. */
static conf_result read_mask(struct conf *cf, struct text word, struct core_cpus *cpus)
{
    size_t cpu = 0;
    *cpus = (struct core_cpus) { 0 };
    for (size_t i = word.n; i--;) {
        char c = word.p[i];
        if (c == ' ') continue;
        if (c != '0' && c != '1') return conf_say(cf, "!invalid character \"%c\" in \"worker_cpu_affinity\"", c);
        if (cpu == sizeof *cpus * 8) return conf_say(cf, "!\"worker_cpu_affinity\" supports up to %zu CPUs only", cpu);
        if (c == '1') cpus->bits[cpu / 64] |= (uint64_t) 1 << cpu % 64;
        cpu++;
    }
    return NULL;
}

/* What the system lets this process run on. */
static void allowed_cpus(struct core_cpus *cpus)
{
    cpu_set_t allowed;
    *cpus = (struct core_cpus) { 0 };
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) memset(&allowed, 0xff, sizeof allowed);
    for (size_t i = 0; i < min_of((size_t) CPU_SETSIZE, sizeof *cpus * 8); i++)
        if (CPU_ISSET(i, &allowed)) cpus->bits[i / 64] |= (uint64_t) 1 << i % 64;
}

static conf_result parse_affinity(struct conf *cf, const struct directive *d, void *field)
{
    struct core_affinity *a = field;
    conf_result why = NULL;
    a->is_auto = text_eq(cf->words[1], T("auto"));
    if (a->is_auto && cf->count > 3) return conf_say(cf, "!invalid number of arguments in \"%s\" directive", d->name);
    size_t first = a->is_auto ? 2 : 1;
    a->n = max_of(cf->count - first, (size_t) 1);
    a->sets = pool_array(cf->pool, struct core_cpus, a->n);
    if (first == cf->count) allowed_cpus(a->sets);
    for (size_t i = first; i < cf->count && !why; i++) why = read_mask(cf, cf->words[i], &a->sets[i - first]);
    return why;
}

bool core_conf_cpus(const struct core_affinity *a, unsigned slot, struct core_cpus *out)
{
    unsigned count = 0;
    if (!a->n) return false;
    *out = a->sets[min_of((size_t) slot, a->n - 1)];
    if (!a->is_auto) return true;
    for (size_t i = 0; i < countof(out->bits); i++) count += (unsigned) __builtin_popcountll(out->bits[i]);
    if (!count) return false;
    for (unsigned cpu = 0, nth = slot % count;; cpu++) {
        if (!(out->bits[cpu / 64] >> cpu % 64 & 1) || nth--) continue;
        *out = (struct core_cpus) { 0 };
        out->bits[cpu / 64] = (uint64_t) 1 << cpu % 64;
        return true;
    }
}

static conf_result parse_priority(struct conf *cf, const struct directive *d, void *field)
{
    struct text word = cf->words[1];
    uint64_t n;
    bool minus = word.n && word.p[0] == '-';
    if (!text_u64(text_from(word, minus), &n) || n > 1000)
        return conf_say(cf, "!invalid number \"%s\" in \"%s\" directive", word.p, d->name);
    *(int64_t *) field = minus ? -(int64_t) n : (int64_t) n;
    return NULL;
}

static conf_result parse_limit(struct conf *cf, const struct directive *d, void *field)
{
    struct core_limit *limit = field;
    (void) d;
    limit->is_set = true;
    return conf_read_bytes(cf->words[1], &limit->bytes) ? NULL : conf_invalid;
}

/* ---- env, thread_pool, load_module ---- */

static conf_result parse_env(struct conf *cf, const struct directive *d, void *field)
{
    struct core_envs *list = field;
    struct text word = keep(cf, cf->words[1]);
    ssize_t equals = text_find_char(word, '=');
    (void) d;
    if (!word.n || equals == 0) return conf_invalid;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    struct core_env *e = &list->v[list->n++];
    *e = (struct core_env) { .name = word };
    if (equals < 0) return NULL;
    e->name = keep(cf, text_upto(word, (size_t) equals));
    e->value = text_from(word, (size_t) equals + 1);
    e->has_value = true;
    return NULL;
}

static bool read_threads(struct text word, struct text key, bool zero_fine, uint32_t *out)
{
    uint64_t n;
    if (!text_u64(text_from(word, key.n), &n) || n > INT32_MAX || (!n && !zero_fine)) return false;
    *out = (uint32_t) n;
    return true;
}

static conf_result parse_threads(struct conf *cf, const struct directive *d, void *field)
{
    struct core_thread_pools *list = field;
    struct core_thread_pool pool = { keep(cf, cf->words[1]), 0, MAX_QUEUE };
    for (size_t i = 0; i < list->n; i++)
        if (text_eq(list->v[i].name, pool.name)) return conf_say(cf, "!duplicate thread pool \"%s\"", pool.name.p);
    for (size_t i = 2; i < cf->count; i++) {
        struct text word = cf->words[i];
        if (text_starts(word, T("threads="))) {
            if (!read_threads(word, T("threads="), false, &pool.threads)) return conf_say(cf, "!invalid threads value \"%s\"", word.p);
        } else if (text_starts(word, T("max_queue="))) {
            if (!read_threads(word, T("max_queue="), true, &pool.max_queue)) return conf_say(cf, "!invalid max_queue value \"%s\"", word.p);
        } else {
            return conf_say(cf, "!invalid parameter \"%s\" in \"%s\" directive", word.p, d->name);
        }
    }
    if (!pool.threads) return conf_say(cf, "!\"%s\" must have \"threads\" parameter", d->name);
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = pool;
    return NULL;
}

/* Modules that packages of nginx bring as files and that weir has built in, told by a directive of each. */
static const struct { const char *file, *directive; } built_in[] = {
    { "ngx_http_brotli_filter_module.so", "brotli" }, { "ngx_http_brotli_static_module.so", "brotli_static" }, { "ngx_http_zstd_filter_module.so", "zstd" },
    { "ngx_http_zstd_static_module.so", "zstd_static" }, { "ngx_http_geoip2_module.so", "geoip2" }, { "ngx_http_acme_module.so", "acme_issuer" },
};

static conf_result parse_load(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    const char *path = cf->words[1].p, *slash = strrchr(path, '/');
    for (size_t i = 0; i < countof(built_in); i++) {
        if (strcmp(slash ? slash + 1 : path, built_in[i].file) != 0) continue;
        if (!conf_knows(text_c(built_in[i].directive))) return conf_say(cf, "!this weir was built without what \"%s\" brings", path);
        conf_warn(cf, "\"load_module\" has no effect, what \"%s\" brings is part of weir", path);
        return NULL;
    }
    return conf_say(cf, "!weir loads no modules of nginx, \"%s\": remove this line if the site uses nothing of it", path);
}

/* ---- error_log ---- */

static conf_result read_level(struct conf *cf, struct text word, enum log_level *level)
{
    static const char *const parts[] = { "debug_core", "debug_alloc", "debug_mutex", "debug_event", "debug_http", "debug_mail", "debug_stream" };
    enum log_level said;
    bool known = false;
    for (size_t i = 0; i < countof(parts); i++) known |= text_eq(word, text_c(parts[i]));
    if (known && *level == L_DEBUG) return NULL;        /* several parts of debug may be named: weir has one debug level */
    if (known) said = L_DEBUG;
    else if (!log_level_parse(word, &said)) return conf_say(cf, "!invalid log level \"%s\"", word.p);
    if (*level != L_STDERR) return conf_say(cf, "!duplicate log level \"%s\"", word.p);
    *level = said;
    return NULL;
}

static conf_result read_target(struct conf *cf, struct text word, struct error_log_spec *e)
{
    uint64_t size;
    if (text_eq(word, T("stderr"))) {
        e->kind = ERROR_LOG_STDERR;
    } else if (text_starts(word, T("memory:"))) {
        struct text number = text_from(word, sizeof "memory:" - 1);
        if (!conf_read_bytes(number, &size) || size < RING_LEAST || size > INT32_MAX)
            return conf_say(cf, "!invalid buffer size \"%.*s\"", TEXT_ARG(number));
        e->kind = ERROR_LOG_MEMORY;
        e->memory = size;
    } else if (text_starts(word, T("syslog:"))) {
        e->kind = ERROR_LOG_SYSLOG;
        e->syslog = pool_new(cf->pool, struct syslog);
        const char *why = syslog_parse(cf->pool, text_from(word, sizeof "syslog:" - 1), e->syslog);
        if (why) return conf_say(cf, "!%s", why);
    } else {
        e->kind = ERROR_LOG_FILE;
        e->path = conf_full_path(cf, word, false);
    }
    return NULL;
}

static conf_result parse_error_log(struct conf *cf, const struct directive *d, void *field)
{
    struct error_log_list *list = field;
    struct error_log_spec spec = { .level = L_STDERR };
    (void) d;
    conf_result why = read_target(cf, cf->words[1], &spec);
    for (size_t i = 2; i < cf->count && !why; i++) why = read_level(cf, cf->words[i], &spec.level);
    if (why) return why;
    if (spec.level == L_STDERR) spec.level = L_ERR;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = spec;
    return NULL;
}

/* -e stands where the main context says nothing. */
static void take_error_log_option(struct conf *cf, struct core_conf *core)
{
    const struct cycle *c = cf->cycle;
    if (!c || !c->options || !c->options->error_log_given || conf_is_set(cf->top, &core_module, offsetof(struct core_conf, error_log))) return;
    struct text path = c->options->error_log;
    core->error_log.v[0] = (struct error_log_spec) { .kind = path.n ? ERROR_LOG_FILE : ERROR_LOG_STDERR, .level = L_ERR, .path = path };
}

/* ---- main as a whole ---- */

static conf_result check_user(struct conf *cf, struct core_conf *core)
{
    if (geteuid() != 0 || core->user.is_set) return NULL;
    core->user.name = T(WEIR_USER);
    core->user.group = T(WEIR_GROUP);
    return find_ids(cf, &core->user);
}

static conf_result check_core(struct conf *cf, struct conf_block *b, void *values)
{
    struct core_conf *core = values;
    if (b != cf->top) return NULL;
    if (!conf_is_set(b, &core_module, offsetof(struct core_conf, rlimit_nofile))) core->rlimit_nofile = -1;
    if (!core->affinity.is_auto && core->affinity.n > 1 && (int64_t) core->affinity.n != core->worker_processes)
        conf_warn(cf, "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks, "
                  "using last mask for remaining worker processes");
    if (core->key_isolation.on && !core->master_process.on) return "!\"ssl_key_isolation\" needs a process for the keys: \"master_process\" must be on";
    take_error_log_option(cf, core);
    return check_user(cf, core);
}

static const struct conf_type type_user     = { "user [group]",              sizeof(struct core_user),         0, 1, 2, parse_user };
static const struct conf_type type_workers  = { "number | auto",             sizeof(int64_t),                  0, 1, 1, parse_workers };
static const struct conf_type type_affinity = { "cpumask ... | auto [cpumask]", sizeof(struct core_affinity),  0, 1, UINT32_MAX, parse_affinity };
static const struct conf_type type_priority = { "number",                    sizeof(int64_t),                  0, 1, 1, parse_priority };
static const struct conf_type type_limit    = { "size",                      sizeof(struct core_limit),        0, 1, 1, parse_limit };
static const struct conf_type type_env      = { "variable[=value]",          sizeof(struct core_envs),         CONF_MULTI, 1, 1, parse_env };
static const struct conf_type type_threads  = { "name threads=number [max_queue=number]", sizeof(struct core_thread_pools), CONF_MULTI, 2, 3, parse_threads };
static const struct conf_type type_load     = { "file",                      0,                                CONF_MULTI, 1, 1, parse_load };
static const struct conf_type type_errors   = { "file [level]",              sizeof(struct error_log_list),    CONF_MULTI, 1, UINT32_MAX, parse_error_log };

#define CORE(f, ty, nm, df, hp) D_TYPE(struct core_conf, f, __typeof__(((struct core_conf *) 0)->f), ty, nm, IN_MAIN, df, hp)

static const struct directive core_rows[] = {
    D_NONE("include", UINT32_MAX, "file | mask", NULL,
        "Reads another file, or all files that match a mask, in sorted order, as if their text stood here; relative names start at the folder of the main configuration file."),
    CORE(user, &type_user, "user", WEIR_USER " " WEIR_GROUP,
        "The user and group that worker processes run as; the group is by default the one called like the user."),
    CORE(worker_processes, &type_workers, "worker_processes", "1",
        "How many worker processes there are; auto is one for each CPU that weir may run on."),
    CORE(affinity, &type_affinity, "worker_cpu_affinity", NULL,
        "Binds workers to CPUs: one bit mask a worker, the rightmost digit being the first CPU, or auto for one CPU each."),
    CORE(worker_priority, &type_priority, "worker_priority", "0",
        "The nice value of workers, from -20 (served first) to 20."),
    D_NUM(struct core_conf, rlimit_nofile, "worker_rlimit_nofile", IN_MAIN, NULL,
        "The most descriptors (connections, files) that a worker may have open."),
    CORE(rlimit_core, &type_limit, "worker_rlimit_core", NULL,
        "The largest core file that a crashing worker may leave."),
    D_TIME(struct core_conf, shutdown_timeout, "worker_shutdown_timeout", IN_MAIN, NULL,
        "How long a worker that was asked to end gracefully may take; then it closes the connections that are left."),
    D_TEXT(struct core_conf, working_directory, "working_directory", IN_MAIN, NULL,
        "The folder that workers run in: where core files are written."),
    D_PATH(struct core_conf, pid, "pid", IN_MAIN, "\"" WEIR_PID_PATH "\"",
        "The file that holds the process id of the master."),
    D_FLAG(struct core_conf, daemon, "daemon", IN_MAIN, "on",
        "Whether weir detaches from the terminal and runs in the background."),
    D_FLAG(struct core_conf, master_process, "master_process", IN_MAIN, "on",
        "Whether there are a master and workers; off serves everything in one process, for debugging."),
    { .name = "ssl_key_isolation", .type = &conf_flag, .where = IN_MAIN, .offset = FIELD(struct core_conf, key_isolation, flag), .dflt = "off", .since = "weir",
      .help = "Whether private keys are in one process alone, which signs and decrypts for the workers: who breaks into a worker does not have them. "
              "They must be in files. A full handshake takes about 20 % more CPU with an ECDSA key, 15 % with RSA, a resumed one no more; one core's worth of signatures is the most." },
    { .name = "error_log", .type = &type_errors, .where = IN_MAIN | IN_HSL | IN_STREAM | IN_STREAM_SERVER,
      .offset = FIELD(struct core_conf, error_log, struct error_log_list), .dflt = "\"" WEIR_ERROR_LOG_PATH "\" error",
      .help = "Where errors are written, and from which level (debug, info, notice, warn, error, crit, alert, emerg): a file, stderr, "
              "syslog:server=address[,facility=,severity=,tag=,nohostname], or memory:size; may be given several times." },
    CORE(env, &type_env, "env", "TZ",
        "An environment variable that workers keep, or are given with a value; all others are removed, but for TZ."),
    D_FLAG(struct core_conf, pcre_jit, "pcre_jit", IN_MAIN, "off",
        "Whether regular expressions of the configuration are compiled to machine code."),
    CORE(thread_pools, &type_threads, "thread_pool", "default threads=32 max_queue=65536",
        "A named pool of threads for reading and sending files, and how many tasks may wait for it."),
    D_DO(&type_load, "load_module", IN_MAIN, NULL, NULL,
        "Loads a dynamic module of nginx. weir's are all built in: what it has anyway (brotli, zstd, geoip2, acme) is passed over with a warning, another is refused."),
    D_NONE("lock_file", IN_MAIN, "file", "\"" WEIR_LOCK_PATH "\"",
        "Prefix of lock files; weir's processes lock in shared memory and need none."),
    D_NONE("ssl_object_cache_inheritable", IN_MAIN, "on | off", "on",
        "Whether certificates and keys whose files have not changed are taken over by a reload; weir reads them all anew, so that what stands in the files is what counts."),
    D_NONE("timer_resolution", IN_MAIN, "interval", NULL,
        "How often the clock is read; weir reads it once each turn of its event loop."),
    D_NONE("debug_points", IN_MAIN, "abort | stop", NULL,
        "What happens at an internal error; weir always ends the process at one, and the master replaces it."),
    { 0 }
};

/* ---- events ---- */

static conf_result parse_events(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return conf_enter(cf, IN_EVENTS, NULL, NULL);
}

static conf_result parse_use(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return text_eq(cf->words[1], T("epoll")) ? NULL : conf_say(cf, "!invalid event type \"%s\"", cf->words[1].p);
}

static void add_debug(struct conf *cf, struct debug_connections *list, struct cidr c)
{
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = c;
}

static conf_result parse_debug(struct conf *cf, const struct directive *d, void *field)
{
    struct debug_connections *list = field;
    struct cidr c;
    struct addr *found;
    const char *why;
#ifndef WEIR_DEBUG
    conf_warn_once(cf, d->name, "\"%s\" is ignored, you need to rebuild weir using --with-debug option to enable it", d->name);
#endif
    if (text_eq(cf->words[1], T("unix:"))) {
        list->unix_too = true;
    } else if (addr_parse_cidr(cf->words[1], &c)) {
        if (c.low_bits) conf_warn(cf, "low address bits of %s are meaningless", cf->words[1].p);
        add_debug(cf, list, c);
    } else {
        size_t n = addr_resolve(cf->pool, cf->words[1], 0, &found, &why);
        if (!n) return conf_say(cf, "!%s in %s \"%s\"", why, d->name, cf->words[1].p);
        for (size_t i = 0; i < n; i++)
            add_debug(cf, list, (struct cidr) { .base = found[i], .bits = found[i].family == AF_INET6 ? 128 : 32 });
    }
    return NULL;
}

/* The block's directives are set in the block; they hold for the whole process, so they are moved to the top. */
static conf_result check_events(struct conf *cf, struct conf_block *b, void *values)
{
    if (b->kind == IN_EVENTS) *(struct events_conf *) conf_values(cf->top, &events_module) = *(struct events_conf *) values;
    return NULL;
}

static conf_result finish_events(struct conf *cf, void *values)
{
    (void) values;
    for (const struct conf_block *b = cf->top->children; b; b = b->next)
        if (b->kind == IN_EVENTS) return NULL;
    return conf_say(cf, "!no \"events\" section in configuration");
}

static const struct conf_type type_events = { "{ ... }", 0, CONF_BLOCK, 0, 0, parse_events };
static const struct conf_type type_use    = { "method",  0, 0, 1, 1, parse_use };
static const struct conf_type type_debug  = { "address | CIDR | unix:", sizeof(struct debug_connections), CONF_MULTI, 1, 1, parse_debug };

static const struct conf_bounds one_or_more = { 1, INT32_MAX };

static const struct directive events_rows[] = {
    D_DO(&type_events, "events", IN_MAIN, NULL, NULL,
        "Holds the directives about connections and how events are waited for."),
    { .name = "worker_connections", .type = &conf_num, .where = IN_EVENTS, .offset = FIELD(struct events_conf, worker_connections, int64_t),
      .dflt = "512", .data = &one_or_more,
      .help = "The most connections that one worker may have at once: those of clients and those to upstream servers." },
    D_FLAG(struct events_conf, multi_accept, "multi_accept", IN_EVENTS, "off",
        "Whether a worker accepts all waiting connections at once, or one a turn."),
    D_TIME(struct events_conf, stall_threshold, "stall_threshold", IN_EVENTS, "1000ms",
        "A turn of a worker's loop that takes longer than this is logged at warn: meanwhile nobody was served. 0: none is."),
    D_TYPE(struct events_conf, debug, struct debug_connections, &type_debug, "debug_connection", IN_EVENTS, NULL,
        "Logs connections of these clients at level debug; needs weir built --with-debug."),
    D_DO(&type_use, "use", IN_EVENTS, NULL, NULL,
        "How events are waited for; on Linux this is always epoll."),
    D_NONE("accept_mutex", IN_EVENTS, "on | off", "off",
        "Whether workers take turns at accepting; weir's workers have a listening socket each."),
    D_NONE("accept_mutex_delay", IN_EVENTS, "time", "500ms",
        "How long a worker waits for its turn at accepting; weir's workers take no turns."),
    D_NONE("worker_aio_requests", IN_EVENTS, "number", "32",
        "The most asynchronous file operations of a worker; weir does not use this interface of the kernel."),
    { 0 }
};

struct module core_module = {
    .name = "core", .conf_size = sizeof(struct core_conf), .rows = core_rows, .check = check_core,
};
struct module events_module = {
    .name = "events", .conf_size = sizeof(struct events_conf), .rows = events_rows, .check = check_events, .finish = finish_events,
};
