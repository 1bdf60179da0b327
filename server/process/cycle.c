#include "process/cycle.h"
#include "process/core_conf.h"
#include "process/cycle_log.h"
#include "process/keys.h"
#include "process/listen.h"
#include "process/options.h"
#include "process/process.h"

struct cycle *cycle_current;

struct listener *cycle_listener(struct cycle *c, const struct addr *addr, int type)
{
    struct listener **end = &c->listeners;
    for (; *end; end = &(*end)->next)
        if ((*end)->type == type && addr_eq(&(*end)->addr, addr)) return *end;
    struct listener *l = *end = pool_new(c->pool, struct listener);
    *l = (struct listener) {
        .magic = LISTENER_MAGIC, .addr = *addr, .type = type, .name = addr_text(c->pool, addr, false),
        .backlog = 511, .fastopen = -1, .ipv6only = 1, .keepalive = -1, .log = log_main,
    };
    return l;
}

static bool open_parts(struct cycle *c)
{
    struct process_parts at = { 0 };
    for (const struct process_part *p; (p = process_next_part(&at)) != NULL;)
        if (p->open && !p->open(c)) return false;
    return true;
}

static bool read_conf(struct cycle *c)
{
    const struct options *o = c->options;
    c->conf = conf_open(c->pool, o->file.p, o->globals, o->prefix, c, c->testing, o->dump ? stdout : NULL);
    if (c->conf == NULL) return false;
    if (c->testing && !o->quiet) log_line(log_main, L_STDERR, NULL, 0, "the configuration file %s syntax is ok", o->file.p);
    if (!conf_finish(c->conf)) return false;
    const struct core_conf *core = core_conf(c->conf->top);
    c->workers = core->master_process.on ? (unsigned) core->worker_processes : 1;
    return true;
}

/* At a start, lines go from here on where the configuration says, and to stderr where somebody reads it; later they stay in the
 * running generation's log. */
static bool open_logs(struct cycle *c, bool first)
{
    c->log = cycle_error_log(c, &core_conf(c->conf->top)->error_log);
    if (!cycle_log_open_files(c)) return false;
    if (!first) return true;
    if (log_target_stderr.plain) log_add_target(c->log, &log_target_stderr);
    log_main = c->log;
    return true;
}

static bool open_all(struct cycle *c, bool first)
{
    if (!read_conf(c) || !open_logs(c, first)) return false;
    keys_use(c);
    if (!open_parts(c) || !cycle_log_open_files(c)) return false;
    for (struct listener *l = c->listeners; l; l = l->next) if (l->log == log_main) l->log = c->log;
    return listen_open(c, c->testing);
}

struct cycle *cycle_open(const struct options *o, struct cycle *old, bool testing)
{
    struct pool *pool = pool_open(16384);
    struct cycle *c = pool_new(pool, struct cycle);
    *c = (struct cycle) {
        .magic = CYCLE_MAGIC, .number = old ? old->number + 1 : 1, .pool = pool, .options = o, .file = o->file, .testing = testing, .log = log_main,
    };
    shm_begin();
    struct log *before = log_main;
    bool opened = open_all(c, old == NULL && !testing);
    if (opened && !testing && !(opened = listen_commit(c))) listen_rollback();
    struct conf *reading = c->conf;
    if (reading) conf_close(&reading);
    if (opened && !testing) shm_commit();
    else shm_rollback();
    if (opened) return c;
    if (log_main != before) log_drop_target(c->log, &log_target_stderr);
    log_main = before;
    keys_use(old);
    cycle_close(&c);
    return NULL;
}

void cycle_close(struct cycle **c)
{
    if (*c == NULL) return;
    NEED(*c, CYCLE_MAGIC);
    struct pool *pool = (*c)->pool;
    if (cycle_current == *c) cycle_current = NULL;
    cycle_log_close_files(*c);
    (*c)->magic = 0;
    *c = NULL;
    pool_close(&pool);
}
