#include "process/master.h"
#include "config/lint.h"
#include "os/metrics.h"
#include "os/spawn.h"
#include "process/child.h"
#include "process/core_conf.h"
#include "process/cycle_log.h"
#include "process/inherit.h"
#include "process/keys.h"
#include "process/listen.h"
#include "process/notify.h"
#include "process/options.h"
#include "process/pidfile.h"
#include "process/process.h"
#include "process/single.h"
#include "process/worker.h"
#include "tls/vault.h"
#include "weir_config.h"
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that lived shorter than QUICK_MS died quickly: the first two times it is replaced at once, then later and later. */
enum { QUICK_MS = 1000, FREE_DEATHS = 2, DELAY_MS = 100, DELAY_MOST_MS = 10000, KILL_AFTER_MS = 1000 };

enum stop { STOP_NOT, STOP_GRACEFUL, STOP_FAST };
struct place { unsigned quick; uint64_t due_ms; bool died; };      /* of a worker slot, or of the manager */

static struct {
    const struct options *options;
    bool          daemonized;
    struct child *binary;              /* the new binary, beside us */
    bool          without_workers;     /* WINCH came */
    bool          reloading;           /* systemd waits for READY */
    bool          changed;             /* children came or went, or said something */
    enum stop     stop;
    uint64_t      kill_ms;             /* who still lives then is killed; 0: not set */
    struct place  manager, keys, *workers;
    unsigned      places;
} m;

static const struct core_conf *core(void) { return core_conf(cycle_current->conf->top); }

/* Do an old and a new binary run side by side? */
static bool is_beside(void) { return m.binary || (inherit_from && getppid() == inherit_from); }

/* ---- starting children ---- */

static bool has_child(enum child_kind kind, unsigned slot)
{
    for (const struct child *c = child_list; c; c = c->next)
        if (c->kind == kind && c->slot == slot && c->generation == cycle_current->number && !c->leaving) return true;
    return false;
}

static struct place *place_of(enum child_kind kind, unsigned slot)
{
    if (kind == CHILD_MANAGER) return &m.manager;
    if (kind == CHILD_KEYS) return &m.keys;
    if (slot >= m.places) {
        m.workers = base_realloc(m.workers, (slot + 1) * sizeof *m.workers);
        memset(m.workers + m.places, 0, (slot + 1 - m.places) * sizeof *m.workers);
        m.places = slot + 1;
    }
    return &m.workers[slot];
}

/* Starts it if it is not there and its time has come. Returns ms to wait, 0: nothing to wait for. */
static uint64_t keep_child(enum child_kind kind, unsigned slot)
{
    struct place *p = place_of(kind, slot);
    if (has_child(kind, slot)) return 0;
    if (p->due_ms > clock_now.ms) return p->due_ms - clock_now.ms;
    if (child_start(kind, slot, cycle_current, kind == CHILD_WORKER ? worker_run : kind == CHILD_KEYS ? keys_run : manager_run)) {
        if (p->died) metrics_note(METRIC_PROCESSES_RESPAWNED);
        p->died = false;
        return 0;
    }
    p->due_ms = clock_now.ms + DELAY_MS;
    return DELAY_MS;
}

static uint64_t sooner(uint64_t a, uint64_t b) { return a == 0 ? b : b == 0 ? a : min_of(a, b); }

static uint64_t keep_children(void)
{
    if (m.stop || m.without_workers) return 0;
    uint64_t wait = keys_are_apart(cycle_current) ? keep_child(CHILD_KEYS, 0) : 0;
    for (unsigned i = 0; i < cycle_current->workers; i++) wait = sooner(wait, keep_child(CHILD_WORKER, i));
    return sooner(wait, keep_child(CHILD_MANAGER, 0));
}

static void signal_children(int number, bool old_only)
{
    for (struct child *c = child_list; c; c = c->next) {
        if (c->kind == CHILD_BINARY || (number == SIGQUIT && c->leaving)) continue;
        if (old_only && c->generation == cycle_current->number) continue;
        child_signal(c, number);
        c->leaving = true;
    }
}

/* Once every worker of this generation accepts, those before it may go. */
static void settle(void)
{
    if (m.stop || m.without_workers) return;
    unsigned ready = 0;
    for (const struct child *c = child_list; c; c = c->next)
        ready += c->kind == CHILD_WORKER && c->generation == cycle_current->number && c->ready && !c->leaving;
    if (ready < cycle_current->workers) return;
    signal_children(SIGQUIT, true);
    if (m.reloading) notify_ready();
    m.reloading = false;
}

/* ---- 1: children that died ---- */

static void note_death(const struct child *c, int status)
{
    struct place *p = place_of(c->kind, c->slot);
    bool quick = clock_now.ms - c->started_ms < QUICK_MS && status != 0;
    p->quick = quick ? p->quick + 1 : 0;
    p->due_ms = 0;
    p->died = true;
    if (p->quick <= FREE_DEATHS) return;
    unsigned doublings = min_of(p->quick - FREE_DEATHS - 1, 10u);
    uint64_t delay = min_of((uint64_t) DELAY_MS << doublings, (uint64_t) DELAY_MOST_MS);
    p->due_ms = clock_now.ms + delay;
    log_at(log_main, L_WARN, NULL, 0, "%s of slot %u ended soon after its start %u times in a row: the next one starts in %llu ms",
        child_name(c->kind), c->slot, p->quick, (unsigned long long) delay);
}

/* The new binary is no more: this one is in charge again. */
static void lose_binary(void)
{
    m.binary = NULL;
    pidfile_put_back(core()->pid);
    if (m.stop) return;
    listen_steer(cycle_current);
    m.without_workers = false;
}

/* A crash is our bug; who kills a worker (an operator, the kernel short of memory) is the world. */
static enum log_level how_bad(int status)
{
    static const int crashes[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
    if (!WIFSIGNALED(status) || m.stop == STOP_FAST) return L_NOTICE;
    for (size_t i = 0; i < countof(crashes); i++)
        if (WTERMSIG(status) == crashes[i]) return L_ALERT;
    return L_ERR;
}

static void bury(pid_t pid, int status)
{
    char room[64];
    struct build b = build_in_room(room, sizeof room);
    struct child *c = child_find(pid);
    shm_release_dead(pid);
    if (c == NULL) return;
    spawn_status(&b, status);
    log_at(log_main, how_bad(status), NULL, 0, "%s %d %.*s", child_name(c->kind), (int) pid, (int) b.n, b.p);
    if (c == m.binary) lose_binary();
    else if (!c->leaving && c->generation == cycle_current->number) note_death(c, status);
    child_end(c);
    m.changed = true;
}

static void reap(pid_t sender)
{
    int status;
    pid_t pid;
    log_at(log_main, L_NOTICE, NULL, 0, "signal %d (SIGCHLD) received from %d", SIGCHLD, (int) sender);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) bury(pid, status);
}

/* ---- 2, 3: stopping ---- */

static void stop_fast(pid_t sender)
{
    (void) sender;
    if (m.stop == STOP_FAST) return;
    if (m.stop == STOP_NOT) notify_stopping();
    m.stop = STOP_FAST;
    m.kill_ms = clock_now.ms + KILL_AFTER_MS;
    signal_children(SIGTERM, false);
}

static void stop_gracefully(pid_t sender)
{
    (void) sender;
    if (m.stop) return;
    if (m.binary) notify_main_pid(m.binary->pid);
    else notify_stopping();
    m.stop = STOP_GRACEFUL;
    signal_children(SIGQUIT, false);
}

static bool is_alone(void)
{
    for (const struct child *c = child_list; c; c = c->next) if (c->kind != CHILD_BINARY) return false;
    return true;
}

static void kill_late(void)
{
    if (m.kill_ms == 0 || m.kill_ms > clock_now.ms) return;
    m.kill_ms = clock_now.ms + KILL_AFTER_MS;
    for (const struct child *c = child_list; c; c = c->next) if (c->kind != CHILD_BINARY) child_signal(c, SIGKILL);
}

/* ---- 4: another configuration ---- */

static void swap(struct cycle *next)
{
    struct cycle *old = cycle_current;
    struct text old_pid = core()->pid, pid = core_conf(next->conf->top)->pid;
    if (!text_eq(old_pid, pid) && pidfile_write(pid)) pidfile_remove(old_pid);
    cycle_current = next;
    log_main = next->log;
    if (m.daemonized) cycle_log_redirect_stderr(next);
    cycle_close(&old);
    pool_trim();                         /* before workers are forked: what the old generation held is the system's again */
    malloc_trim(0);
}

static void reload(pid_t sender)
{
    (void) sender;
    m.changed = true;
    if (m.binary) {                      /* beside a new binary: only the workers come back */
        m.without_workers = false;
        return;
    }
    log_at(log_main, L_NOTICE, NULL, 0, "reconfiguring");
    notify_reloading();
    keys_tell(NULL);                     /* the next key process has those of the next generation when it begins */
    struct cycle *next = cycle_open(m.options, cycle_current, false);
    keys_tell(next ? next : cycle_current);
    if (next == NULL) {
        notify_ready();
        return;
    }
    swap(next);
    m.without_workers = false;
    m.reloading = true;
    memset(m.workers, 0, m.places * sizeof *m.workers);
    log_at(log_main, L_NOTICE, NULL, 0, "start worker processes");
}

/* ---- 5: logs ---- */

static void tell_file(struct log_file *f)
{
    for (const struct child *c = child_list; c; c = c->next) child_tell(c->channel, WORD_REOPEN, f->path, f->fd);
}

static void reopen(pid_t sender)
{
    (void) sender;
    log_at(log_main, L_NOTICE, NULL, 0, "reopening logs");
    cycle_log_reopen(cycle_current, tell_file);
    for (const struct child *c = child_list; c; c = c->next) child_tell(c->channel, WORD_REOPEN, T(""), -1);
}

/* ---- 6: a new binary ---- */

static void be_binary(struct cycle *c, unsigned slot)
{
    (void) slot;
    inherit_exec(c);
}

static void change_binary(pid_t sender)
{
    (void) sender;
    log_at(log_main, L_NOTICE, NULL, 0, "changing binary");
    if (!pidfile_set_aside(core()->pid)) return;
    m.binary = child_start(CHILD_BINARY, 0, cycle_current, be_binary);
    if (m.binary == NULL) pidfile_put_back(core()->pid);
}

/* ---- 7: no workers ---- */

static void let_workers_go(pid_t sender)
{
    (void) sender;
    m.without_workers = true;
    signal_children(SIGQUIT, false);
}

/* ---- the loop ---- */

/* In this order. words: as nginx logs them. */
static const struct duty {
    int         number;
    const char *name, *words;
    bool        when_stopping, when_daemon;
    void      (*act)(pid_t sender);
} duties[] = {
    { SIGCHLD,  NULL,       NULL,                true,  false, reap },
    { SIGTERM,  "SIGTERM",  ", exiting",         true,  false, stop_fast },
    { SIGINT,   "SIGINT",   ", exiting",         true,  false, stop_fast },
    { SIGQUIT,  "SIGQUIT",  ", shutting down",   false, false, stop_gracefully },
    { SIGHUP,   "SIGHUP",   ", reconfiguring",   false, false, reload },
    { SIGUSR1,  "SIGUSR1",  ", reopening logs",  true,  false, reopen },
    { SIGUSR2,  "SIGUSR2",  ", changing binary", false, false, change_binary },
    { SIGWINCH, "SIGWINCH", ", stop accepting connections", false, true, let_workers_go },
};

static void act(void)
{
    signals_drain();
    for (const struct duty *d = duties; d < duties + countof(duties); d++) {
        pid_t sender;
        if (!signals_take(d->number, &sender)) continue;
        bool ignored = (m.stop && !d->when_stopping) || (d->when_daemon && !m.daemonized) || (d->number == SIGUSR2 && is_beside());
        if (d->name) log_at(log_main, L_NOTICE, NULL, 0, "signal %d (%s) received from %d%s", d->number, d->name, (int) sender, ignored ? ", ignoring" : d->words);
        if (!ignored) d->act(sender);
        else if (d->number == SIGUSR2) log_at(log_main, L_CRIT, NULL, 0, "the binary is not changed while an old and a new one run side by side: end one of them first");
    }
}

static void hear(struct child *c)
{
    char room[64];
    struct text text;
    int fd, word;
    while ((word = child_hear(c->channel, room, sizeof room, &text, &fd)) > 0) {
        if (fd >= 0) close(fd);
        if (word == WORD_READY) c->ready = m.changed = true;
        if (word == WORD_REOPEN) reopen(c->pid);
    }
    if (word == 0) return;
    close(c->channel);
    c->channel = -1;
}

static uint64_t retire(void)
{
    bool closed;
    uint64_t wait = listen_retire(cycle_current, &closed);
    for (const struct child *c = child_list; closed && c; c = c->next)
        if (c->kind == CHILD_WORKER && c->slot == 0 && c->generation == cycle_current->number) child_tell(c->channel, WORD_RETIRE, T(""), -1);
    return wait;
}

static uint64_t ask_parts(void)
{
    uint64_t wait = 0;
    struct process_parts at = { 0 };
    for (const struct process_part *p; !m.stop && (p = process_next_part(&at)) != NULL;) if (p->master) wait = sooner(wait, p->master(cycle_current));
    return wait;
}

static void wait_for_something(uint64_t most_ms)
{
    size_t n = 1;
    for (const struct child *c = child_list; c; c = c->next) n++;
    struct pollfd *fds = base_zalloc(n, sizeof *fds);
    fds[0] = (struct pollfd) { .fd = signals_fd, .events = POLLIN };
    size_t i = 1;
    for (const struct child *c = child_list; c; c = c->next) fds[i++] = (struct pollfd) { .fd = c->channel, .events = POLLIN };
    int got = poll(fds, n, most_ms ? (int) min_of(most_ms, (uint64_t) 3600000) : -1);
    clock_update();
    i = 1;
    for (struct child *c = child_list; got > 0 && c; c = c->next) if (fds[i++].revents && c->channel >= 0) hear(c);
    free(fds);
}

static void run(void)
{
    log_at(log_main, L_NOTICE, NULL, 0, "start worker processes");
    keep_children();
    daemon_ready();
    m.reloading = true;                  /* READY goes out when the first workers accept */
    while (!(m.stop && is_alone())) {
        uint64_t wait = sooner(sooner(keep_children(), retire()), ask_parts());
        if (m.kill_ms) wait = sooner(wait, m.kill_ms > clock_now.ms ? m.kill_ms - clock_now.ms : 1);
        wait_for_something(wait);
        act();
        if (m.changed) settle();
        m.changed = false;
        kill_late();
    }
}

static int finish(void)
{
    if (m.binary) pidfile_remove_old(core()->pid);
    else pidfile_remove(core()->pid);
    listen_close(!is_beside());
    log_at(log_main, L_NOTICE, NULL, 0, "exit");
    return 0;
}

/* ---- the beginning ---- */

static void set_title(const struct options *o)
{
    char room[1024];
    struct build b = build_in_room(room, sizeof room - 1);
    build_lit(&b, "weir: master process");
    for (int i = 0; i < o->argc; i++) {
        build_char(&b, ' ');
        build_c(&b, o->argv[i]);
    }
    room[b.n] = '\0';
    title_set(room);
}

static void introduce(void)
{
    struct utsname u;
    struct rlimit limit;
    log_at(log_main, L_NOTICE, NULL, 0, "using the \"epoll\" event method");
    log_at(log_main, L_NOTICE, NULL, 0, "weir/" WEIR_VERSION);
    if (uname(&u) == 0) log_at(log_main, L_NOTICE, NULL, 0, "OS: %s %s", u.sysname, u.release);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        log_at(log_main, L_NOTICE, NULL, 0, "getrlimit(RLIMIT_NOFILE): %llu:%llu", (unsigned long long) limit.rlim_cur, (unsigned long long) limit.rlim_max);
}

static bool hear_signals(void)
{
    int numbers[countof(duties)];
    for (size_t i = 0; i < countof(duties); i++) numbers[i] = duties[i].number;
    return signals_open(numbers, countof(numbers));
}

static bool detach(void)
{
    vault_share(true);
    bool fine = daemon_start();
    vault_share(false);
    return fine;
}

int master_run(const struct options *o)
{
    m.options = o;
    clock_update();
    notify_open();
    bool upgraded = inherit_take();
    if (upgraded) log_target_stderr.plain = false;      /* the old binary's log */
    else log_target_stderr.level = L_WARN;
    struct cycle *c = cycle_open(o, NULL, false);
    if (c == NULL) return 1;
    introduce();
    cycle_current = c;
    m.daemonized = upgraded || core()->daemon.on;
    if (!hear_signals()) return 1;
    keys_tell(c);
    if (!upgraded && core()->daemon.on && !detach()) return 1;
    if (!pidfile_write(core()->pid)) return 1;
    log_drop_target(c->log, &log_target_stderr);
    if (m.daemonized) cycle_log_redirect_stderr(c);
    if (!core()->master_process.on) return single_run();
    set_title(o);
    run();
    return finish();
}

int master_test(const struct options *o)
{
    clock_update();
    struct cycle *c = cycle_open(o, NULL, true);
    bool passed = c && pidfile_try(core_conf(c->conf->top)->pid);
    unsigned found = passed ? lint_count(c->conf) : 0;
    if (found && !o->quiet)
        log_line(log_main, L_STDERR, NULL, 0, "lint: %u finding%s; \"weir -h ID\" explains one, the comment \"# lint: off ID\" silences it", found, found == 1 ? "" : "s");
    if (found && o->strict) passed = false;
    struct process_parts at = { 0 };
    for (const struct process_part *p; passed && o->explain && (p = process_next_part(&at)) != NULL;)
        if (p->explain) passed = p->explain(c);
    if (!passed) log_line(log_main, L_STDERR, NULL, 0, "configuration file %s test failed", o->file.p);
    else if (!o->quiet) log_line(log_main, L_STDERR, NULL, 0, "configuration file %s test is successful", o->file.p);
    cycle_close(&c);
    return passed ? 0 : 1;
}

static int number_of(const char *name)
{
    static const struct { const char *name; int number; } all[] = { { "stop", SIGTERM }, { "quit", SIGQUIT }, { "reopen", SIGUSR1 }, { "reload", SIGHUP } };
    for (size_t i = 0; i < countof(all); i++) if (strcmp(all[i].name, name) == 0) return all[i].number;
    ASSERT(!"options_read lets no other name through");
    return 0;
}

int master_signal(const struct options *o)
{
    struct pool *pool = pool_open(16384);
    struct cycle *c = pool_new(pool, struct cycle);
    *c = (struct cycle) { .magic = CYCLE_MAGIC, .number = 1, .pool = pool, .options = o, .file = o->file, .log = log_main };
    clock_update();
    c->conf = conf_open(pool, o->file.p, o->globals, o->prefix, c, false, NULL);
    int result = 1;
    if (c->conf && conf_finish(c->conf)) {
        log_at(log_main, L_NOTICE, NULL, 0, "signal process started");
        pid_t pid = pidfile_read(core_conf(c->conf->top)->pid);
        if (pid && kill(pid, number_of(o->signal)) == 0) result = 0;
        else if (pid) log_at(log_main, L_ERR, NULL, errno, "kill(%d, %d) failed", (int) pid, number_of(o->signal));
    }
    struct conf *reading = c->conf;
    if (reading) conf_close(&reading);
    pool_close(&pool);
    return result;
}
