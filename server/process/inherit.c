#include "process/inherit.h"
#include "os/file.h"
#include "os/spawn.h"
#include "process/core_conf.h"
#include "process/listen.h"
#include "process/options.h"
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIRST_FD = 3, MOST_FDS = 65536 };     /* sd_listen_fds(3): SD_LISTEN_FDS_START */

extern char **environ;
pid_t inherit_from;

/* ---- taking ---- */

static void take_group(struct text list, bool foreign)
{
    struct text part;
    uint64_t fd;
    int *fds = base_alloc((list.n + 1) * sizeof *fds);
    size_t n = 0;
    while (text_split(&list, ',', &part)) if (text_u64(part, &fd) && fd <= INT_MAX) fds[n++] = (int) fd;
    listen_inherit(fds, n, foreign);
    free(fds);
}

static void take_sockets(struct text list)
{
    log_at(log_main, L_NOTICE, NULL, 0, "using inherited sockets from \"%.*s\"", (int) min_of(list.n, (size_t) 1000), list.p);
    while (list.n) {
        size_t n = 0;
        while (n < list.n && list.p[n] != ';' && list.p[n] != '+') n++;
        take_group(text_upto(list, n), n < list.n && list.p[n] == '+');
        list = text_from(list, min_of(n + 1, list.n));
    }
}

static void take_systemd(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    uint64_t who, n;
    if (pid && count && text_u64(text_c(pid), &who) && who == (uint64_t) getpid() && text_u64(text_c(count), &n) && n <= MOST_FDS)
        for (int fd = FIRST_FD; fd < FIRST_FD + (int) n; fd++) listen_inherit(&fd, 1, true);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool take_file(int fd)
{
    struct pool *p = pool_open(0);
    off_t size = lseek(fd, 0, SEEK_END);
    char *room = pool_bytes(p, size > 0 ? (size_t) size : 0);
    bool whole = size > 0 && pread(fd, room, (size_t) size, 0) == size;
    if (whole) {
        struct text rest = text_of(room, (size_t) size), sockets = T(""), zones = T("");
        text_split(&rest, '\n', &sockets);
        text_split(&rest, '\n', &zones);
        shm_import(zones);
        take_sockets(sockets);
    } else {
        log_at(log_main, L_CRIT, NULL, errno, "what the old binary left cannot be read");
    }
    close(fd);
    pool_close(&p);
    return whole;
}

bool inherit_take(void)
{
    uint64_t fd;
    const char *number = getenv("WEIR_INHERIT");
    bool taken = number && text_u64(text_c(number), &fd) && fd >= FIRST_FD && fd <= INT_MAX && take_file((int) fd);
    if (taken) inherit_from = getppid();
    else take_systemd();
    unsetenv("WEIR_INHERIT");
    return taken;
}

/* ---- the environment ---- */

struct list { struct pool *pool; char **v; size_t n, cap; };

static void push(struct list *l, char *entry)
{
    if (l->n == l->cap) l->v = pool_grow(l->pool, l->v, l->n, &l->cap, sizeof *l->v);
    l->v[l->n++] = entry;
}

static void keep(struct list *l, const char *name)
{
    const char *value = getenv(name);
    if (value) push(l, (char *) (uintptr_t) pool_printf(l->pool, "%s=%s", name, value).p);
}

static struct list make(struct cycle *c, struct pool *p)
{
    struct list l = { .pool = p };
    const struct core_envs *envs = &core_conf(c->conf->top)->env;
    bool zone = false;
    for (size_t i = 0; i < envs->n; i++) {
        const struct core_env *e = &envs->v[i];
        zone |= text_eq(e->name, T("TZ"));
        if (e->has_value) push(&l, (char *) (uintptr_t) pool_printf(p, "%.*s=%.*s", TEXT_ARG(e->name), TEXT_ARG(e->value)).p);
        else keep(&l, pool_cstr(p, e->name));
    }
    if (!zone) keep(&l, "TZ");
    return l;
}

void inherit_set_environment(struct cycle *c)
{
    struct list l = make(c, c->pool);
    push(&l, NULL);
    environ = l.v;
}

/* ---- giving ---- */

/* The path that we were started by: what lies there now is the new binary. */
static const char *binary(struct pool *p, const char *name)
{
    char room[PATH_MAX];
    if (strchr(name, '/')) return name;
    ssize_t n = readlink("/proc/self/exe", room, sizeof room);
    if (n <= 0 || (size_t) n >= sizeof room) return name;
    struct text path = text_of(room, (size_t) n);
    if (text_ends(path, T(" (deleted)"))) path.n -= sizeof " (deleted)" - 1;
    return pool_cstr(p, path);
}

static int leave_file(struct pool *p)
{
    struct build b = build_in_pool(p, 1024, 0);
    build_text(&b, listen_export(p));
    build_char(&b, '\n');
    build_text(&b, shm_export(p));
    build_char(&b, '\n');
    int fd = memfd_create("weir-inherit", 0);
    if (fd < 0 || file_write_all(fd, build_done(&b)) < 0) log_at(log_main, L_CRIT, NULL, errno, "what the new binary needs cannot be written");
    return fd;
}

void inherit_exec(struct cycle *c)
{
    struct pool *p = pool_open(0);
    struct list l = make(c, p);
    const char *path = binary(p, c->options->argv[0]);
    int fd = leave_file(p);
    keep(&l, "NOTIFY_SOCKET");
    push(&l, (char *) (uintptr_t) pool_printf(p, "WEIR_INHERIT=%d", fd).p);
    push(&l, NULL);
    signals_default();
    execve(path, c->options->argv, l.v);
    log_at(log_main, L_CRIT, NULL, errno, "execve() failed while executing new binary process \"%s\"", path);
    pool_close(&p);
}
