#include "process/keys.h"
#include "os/spawn.h"
#include "process/core_conf.h"
#include "process/process.h"
#include "process/worker.h"
#include "tls/vault.h"
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TURN = 8 };        /* questions of one line before others have their turn */

bool keys_are_apart(const struct cycle *c) { return core_conf(c->conf->top)->key_isolation.on; }

/* The master reads keys, and where it is not root, workers are of its user: they may not look into it. */
void keys_use(const struct cycle *c)
{
    bool apart = c && keys_are_apart(c);
    vault_use(apart);
    if (apart && prctl(PR_SET_DUMPABLE, 0) != 0) log_at(log_main, L_ERR, NULL, errno, "prctl(PR_SET_DUMPABLE) failed");
}

/* ---- the master ---- */

static struct cycle *told;

static void added(int fd)
{
    for (const struct child *k = child_list; k; k = k->next)
        if (k->kind == CHILD_KEYS && k->generation == told->number) child_tell(k->channel, WORD_KEY, T(""), fd);
}

void keys_tell(struct cycle *c)
{
    told = c;
    vault_added = c ? added : NULL;
}

/* ---- the key process: lines ---- */

struct line { struct watch watch; struct keeper_line keeper; bool full; };

static void end_line(struct line *l)
{
    watch_remove(&l->watch);
    close(l->watch.fd);
    keeper_drop(&l->keeper);
    process_release();
    loop_free_later(free, l);
}

/* False: it is not watched any more. */
static bool wait_for(struct line *l, bool full)
{
    if (l->full == full) return true;
    l->full = full;
    watch_remove(&l->watch);
    return watch_add(&l->watch, full ? EPOLLOUT : EPOLLIN);
}

static void serve(struct watch *w, uint32_t events)
{
    struct line *l = container_of(w, struct line, watch);
    enum keeper_turn turn = KEEPER_MORE;
    (void) events;
    for (unsigned i = 0; i < TURN && turn == KEEPER_MORE; i++) turn = keeper_serve(&l->keeper, worker_hear);
    if (turn == KEEPER_OVER || !wait_for(l, turn == KEEPER_FULL)) end_line(l);
}

static void open_line(int fd)
{
    struct line *l = base_zalloc(1, sizeof *l);
    l->watch = (struct watch) { .fd = fd, .ready = serve };
    l->keeper.fd = fd;
    if (!watch_add(&l->watch, EPOLLIN)) {
        close(fd);
        free(l);
        return;
    }
    process_hold();
    keeper_hello(&l->keeper);
    if (!wait_for(l, l->keeper.left != NULL)) end_line(l);
}

void keys_hear(int word, int fd)
{
    if (word == WORD_KEY && fd >= 0) keeper_add(fd);
    else if (word == WORD_LINE && fd >= 0) open_line(fd);
    else if (fd >= 0) close(fd);
}

/* ---- its life ---- */

/* No way out but the lines and the logs: no network, no core, and nobody of the same user looks in. */
static void shut_in(void)
{
    spawn_limit(RLIMIT_CORE, "RLIMIT_CORE", 0);
    if (prctl(PR_SET_DUMPABLE, 0) != 0) {
        log_at(log_main, L_EMERG, NULL, errno, "prctl(PR_SET_DUMPABLE) failed");
        exit(2);
    }
}

static void leave_network(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET) == 0) return;
    log_at(log_main, L_NOTICE, NULL, errno, "unshare(CLONE_NEWNET) failed: the key process is not cut off from the network");
}

void keys_run(struct cycle *c, unsigned slot)
{
    keeper_open();
    vault_leave(true);
    leave_network();
    worker_begin(c, slot, PROCESS_KEYS, "weir: key process");
    shut_in();
    for (struct child *k = child_list; k; k = k->next) {
        if (k->line < 0 || k->generation != c->number) continue;
        open_line(k->line);
        k->line = -1;
    }
    child_forget();
    worker_serve(c);
}
