#include "process/worker.h"
#include "os/spawn.h"
#include "process/child.h"
#include "process/core_conf.h"
#include "process/cycle_log.h"
#include "process/inherit.h"
#include "process/keys.h"
#include "process/listen.h"
#include "process/process.h"
#include "tls/vault.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SURPLUS_TURN = 64, IDLE_GRACE_MS = 1000 };

static struct watch signals_watch, channel_watch;
static bool leaving;                     /* at once */

/* ---- listening sockets ---- */

struct surplus { struct watch watch; struct listener *l; struct surplus *next; };
static struct surplus *surplus;

static void empty_surplus(struct watch *w, uint32_t events)
{
    (void) events;
    accept_take(container_of(w, struct surplus, watch)->l, w->fd, SURPLUS_TURN);
}

static void watch_surplus(struct cycle *c, struct listener *l, int fd)
{
    struct surplus *s = pool_new(c->pool, struct surplus);
    *s = (struct surplus) { .watch = { .fd = fd, .ready = empty_surplus }, .l = l, .next = surplus };
    if (watch_add(&s->watch, EPOLLIN)) surplus = s;
}

static void end_surplus(bool close_them)
{
    for (; surplus; surplus = surplus->next) {
        watch_remove(&surplus->watch);
        if (close_them) close(surplus->watch.fd);
    }
}

static bool is_accepting(const struct listener *l) { return l->type == SOCK_STREAM && l->accepted != NULL; }

bool worker_accept(struct cycle *c, unsigned slot)
{
    bool multi = events_conf(c->conf)->multi_accept.on;
    loop_stall_ms = events_conf(c->conf)->stall_threshold.ms;
    for (struct listener *l = c->listeners; l; l = l->next) {
        unsigned active = listen_active(c, l);
        if (!is_accepting(l)) continue;
        if (!accept_start(l, l->fds[slot % active], multi)) return false;
        for (size_t i = active; slot == 0 && i < l->fd_count; i++) watch_surplus(c, l, l->fds[i]);
    }
    return true;
}

/* A socket stays open as long as anybody has it: a worker keeps its own alone. */
static void close_others(struct cycle *c, unsigned slot, bool all)
{
    for (struct listener *l = c->listeners; l; l = l->next) {
        unsigned active = listen_active(c, l);
        for (size_t i = 0; i < l->fd_count; i++)
            if (all || (i != slot % active && !(slot == 0 && i >= active))) close(l->fds[i]);
    }
}

void worker_leave_sockets(struct cycle *c, bool close_them)
{
    for (struct listener *l = c->listeners; l; l = l->next) {
        if (!is_accepting(l)) continue;
        int fd = l->watch.fd;
        accept_stop(l);
        if (close_them) close(fd);
    }
    end_surplus(close_them);
}

/* ---- the end ---- */

static void fire_leave(struct timer *t)
{
    (void) t;
    leaving = true;
}
static struct timer leave_timer = { .fire = fire_leave };

static void fire_shutdown(struct timer *t)
{
    (void) t;
    log_at(log_main, L_NOTICE, NULL, 0, "worker_shutdown_timeout: %u connections are cut off", conn_figures.open);
    conn_cut_all();
    timer_set(&leave_timer, 1);     /* requests end at the end of the turn */
}
static struct timer shutdown_timer = { .fire = fire_shutdown };

/* Clients whose next request may be on its way had their time. */
static void fire_idle(struct timer *t)
{
    (void) t;
    while (conn_reap()) { }
}
static struct timer idle_timer = { .fire = fire_idle };

void worker_quit(struct cycle *c)
{
    if (process_quitting) return;
    process_quitting = true;
    log_at(log_main, L_NOTICE, NULL, 0, "gracefully shutting down");
    if (process_kind == PROCESS_WORKER) title_set("weir: worker process is shutting down");
    if (process_kind == PROCESS_MANAGER) title_set("weir: manager process is shutting down");
    uint64_t most = core_conf(c->conf->top)->shutdown_timeout.ms;
    if (most) timer_set(&shutdown_timer, most);
    timer_set(&idle_timer, IDLE_GRACE_MS);
    if (process_kind != PROCESS_KEYS) PROCESS_EACH(worker_quit, c);
}

bool worker_is_done(void) { return leaving || (process_quitting && conn_figures.open == 0 && !process_is_held()); }

__attribute__((noreturn)) static void leave(struct cycle *c)
{
    log_at(log_main, L_NOTICE, NULL, 0, "exiting");
    if (process_kind != PROCESS_KEYS) PROCESS_EACH(worker_end, c);
    cycle_log_flush(c);
    log_at(log_main, L_NOTICE, NULL, 0, "exit");
    if (conn_figures.open) _exit(0);     /* only the kernel knows them now: leak checkers need not look */
    exit(0);
}

/* ---- seconds ---- */

static void fire_second(struct timer *t)
{
    timer_set(t, 1000);
    PROCESS_EACH(second, cycle_current);
}
static struct timer second_timer = { .fire = fire_second };

void worker_start_seconds(void)
{
    struct process_parts at = { 0 };
    for (const struct process_part *p; (p = process_next_part(&at)) != NULL;)
        if (p->second) timer_set(&second_timer, 1000);      /* else nobody is woken */
}

/* ---- signals and words ---- */

static void quit(struct cycle *c)
{
    if (process_quitting) return;
    if (process_kind == PROCESS_WORKER) worker_leave_sockets(c, true);
    worker_quit(c);
}

/* Was it noted? Logged when somebody else than the master sent it. */
static bool was_told(int number, const char *name, const char *words)
{
    pid_t sender;
    if (!signals_take(number, &sender)) return false;
    if (sender != getppid()) log_at(log_main, L_NOTICE, NULL, 0, "signal %d (%s) received from %d%s", number, name, (int) sender, words);
    return true;
}

static void see_signals(struct watch *w, uint32_t events)
{
    (void) w, (void) events;
    signals_drain();
    if (was_told(SIGTERM, "SIGTERM", ", exiting") | was_told(SIGINT, "SIGINT", ", exiting") | was_told(SIGWINCH, "SIGWINCH", ", exiting")) leaving = true;
    if (was_told(SIGQUIT, "SIGQUIT", ", shutting down")) quit(cycle_current);
    if (was_told(SIGUSR1, "SIGUSR1", ", reopening logs")) child_tell(child_channel, WORD_REOPEN, T(""), -1);
}

static void reopen(struct text path, int fd)
{
    if (fd < 0) {
        log_at(log_main, L_NOTICE, NULL, 0, "reopening logs");
        return;
    }
    cycle_log_replace(cycle_current, path, fd);
}

static void hear(struct watch *w, uint32_t events)
{
    char room[4200];
    struct text text;
    int fd, word;
    (void) events;
    if (child_channel < 0) return;
    while ((word = child_hear(w->fd, room, sizeof room, &text, &fd)) > 0) {
        if (process_kind == PROCESS_KEYS && word != WORD_REOPEN) keys_hear(word, fd);
        else if (word == WORD_REOPEN) reopen(text, fd);
        else if (word == WORD_RETIRE) end_surplus(true);
    }
    if (word == 0) return;
    watch_remove(w);
    close(w->fd);
    child_channel = -1;
    if (process_kind == PROCESS_KEYS) quit(cycle_current);       /* for as long as there are workers */
    /* The master is gone: we go on, unless it was a new binary that never took over: the old one is in charge. */
    if (inherit_from && (kill(inherit_from, 0) == 0 || errno == EPERM)) quit(cycle_current);
}

void worker_hear(void) { hear(&channel_watch, EPOLLIN); }

/* ---- the beginning ---- */

static void take_limits(const struct core_conf *core)
{
    spawn_limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", core->rlimit_nofile);
    spawn_limit(RLIMIT_CORE, "RLIMIT_CORE", core->rlimit_core.is_set ? (int64_t) core->rlimit_core.bytes : -1);
}

/* From the master's child to what the configuration says that it should be. */
static void become(struct cycle *c, unsigned slot)
{
    const struct core_conf *core = core_conf(c->conf->top);
    struct identity who = { core->user.is_set, core->user.uid, core->user.gid, core->user.name.p };
    struct core_cpus cpus;
    if (process_kind == PROCESS_WORKER) spawn_priority((int) core->worker_priority);
    take_limits(core);
    if (process_kind == PROCESS_WORKER && core_conf_cpus(&core->affinity, slot, &cpus)) spawn_affinity(cpus.bits, countof(cpus.bits));
    if (!spawn_become(&who, c->transparent)) exit(2);
    if (process_kind != PROCESS_KEYS) spawn_dumpable();
    if (core->working_directory.n && chdir(core->working_directory.p) != 0) {
        log_at(log_main, L_CRIT, NULL, errno, "chdir(\"%s\") failed", core->working_directory.p);
        exit(2);
    }
}

bool worker_open_loop(struct cycle *c)
{
    if (!loop_open((unsigned) events_conf(c->conf)->worker_connections)) return false;
    loop_stall_ms = events_conf(c->conf)->stall_threshold.ms;
    signals_watch = (struct watch) { .fd = signals_fd, .ready = see_signals };
    if (process_kind == PROCESS_SINGLE) return true;
    channel_watch = (struct watch) { .fd = child_channel, .ready = hear };
    return watch_add(&signals_watch, EPOLLIN) && watch_add(&channel_watch, EPOLLIN);
}

void worker_begin(struct cycle *c, unsigned slot, enum process_kind kind, const char *title)
{
    static const int heard[] = { SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGWINCH };
    process_kind = kind;
    process_slot = slot;
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (!signals_open(heard, countof(heard))) exit(2);
    title_set(title);
    inherit_set_environment(c);
    become(c, slot);
    close_others(c, slot, kind != PROCESS_WORKER);
    clock_update();
    if (!worker_open_loop(c)) exit(2);
    if (child_line >= 0 && !keyline_open(child_line)) exit(2);
    if (kind != PROCESS_KEYS) worker_start_seconds();
}

void worker_serve(struct cycle *c)
{
    while (!worker_is_done()) loop_turn(-1);
    leave(c);
}

void worker_run(struct cycle *c, unsigned slot)
{
    worker_begin(c, slot, PROCESS_WORKER, "weir: worker process");
    PROCESS_EACH(worker_start, c, slot);
    if (!worker_accept(c, slot)) exit(2);
    child_tell(child_channel, WORD_READY, T(""), -1);
    worker_serve(c);
}

void manager_run(struct cycle *c, unsigned slot)
{
    worker_begin(c, slot, PROCESS_MANAGER, "weir: manager process");
    PROCESS_EACH(manager_start, c);
    child_tell(child_channel, WORD_READY, T(""), -1);
    worker_serve(c);
}
