#include "process/single.h"
#include "os/spawn.h"
#include "process/core_conf.h"
#include "process/cycle_log.h"
#include "process/listen.h"
#include "process/notify.h"
#include "process/options.h"
#include "process/pidfile.h"
#include "process/process.h"
#include "process/worker.h"
#include <sys/epoll.h>
#include <unistd.h>

/* Generations before this one: freed when no connection of theirs can be open any more. */
struct past { struct past *next; struct cycle *cycle; };
static struct past *past;
static struct watch signals_watch;
static bool over;

static void bury_past(void)
{
    if (conn_figures.open > 0 || process_is_held()) return;
    while (past) {
        struct past *p = past;
        past = p->next;
        cycle_close(&p->cycle);
        free(p);
    }
}

static void start(struct cycle *c)
{
    PROCESS_EACH(worker_start, c, 0);
    PROCESS_EACH(manager_start, c);
    if (!worker_accept(c, 0)) over = true;
}

static void reload(void)
{
    log_at(log_main, L_NOTICE, NULL, 0, "reconfiguring");
    notify_reloading();
    struct cycle *old = cycle_current, *next = cycle_open(old->options, old, false);
    if (next) {
        struct past *p = base_alloc(sizeof *p);
        *p = (struct past) { past, old };
        past = p;
        worker_leave_sockets(old, false);
        cycle_current = next;
        log_main = next->log;
        start(next);
    }
    notify_ready();
}

static void see_signals(struct watch *w, uint32_t events)
{
    (void) w, (void) events;
    signals_drain();
    if (signals_take(SIGTERM, NULL) | signals_take(SIGINT, NULL)) over = true;
    if (signals_take(SIGQUIT, NULL) && !process_quitting) {
        worker_leave_sockets(cycle_current, false);
        worker_quit(cycle_current);
    }
    if (signals_take(SIGHUP, NULL) && !process_quitting) reload();
    if (signals_take(SIGUSR1, NULL)) {
        log_at(log_main, L_NOTICE, NULL, 0, "reopening logs");
        cycle_log_reopen(cycle_current, NULL);
    }
}

int single_run(void)
{
    process_kind = PROCESS_SINGLE;
    if (!worker_open_loop(cycle_current)) return 1;
    signals_watch = (struct watch) { .fd = signals_fd, .ready = see_signals };
    if (!watch_add(&signals_watch, EPOLLIN)) return 1;
    start(cycle_current);
    worker_start_seconds();
    daemon_ready();
    notify_ready();
    while (!over && !worker_is_done()) {
        loop_turn(past ? 1000 : -1);
        bury_past();
    }
    notify_stopping();
    PROCESS_EACH(worker_end, cycle_current);
    cycle_log_flush(cycle_current);
    pidfile_remove(core_conf(cycle_current->conf->top)->pid);
    listen_close(true);
    log_at(log_main, L_NOTICE, NULL, 0, "exit");
    if (conn_figures.open) _exit(0);     /* as in a worker */
    return 0;
}
