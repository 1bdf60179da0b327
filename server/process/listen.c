#include "process/listen.h"
#include "os/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TRIES = 5, TRY_MS = 500, SURPLUS_MS = 60000 };

/* known: want is what the sockets have. fresh: sockets from here on were bound for the generation in the making. */
struct group {
    struct group      *next;
    struct socket_want want;
    bool               known, wanted, foreign, stuck;
    int               *fds;
    size_t             n, fresh;
    unsigned           active;
    uint64_t           retire_ms;      /* when surplus ends; 0: there is none */
};
static struct group *groups;

/* ---- groups ---- */

static struct group *find(const struct addr *a, int type)
{
    for (struct group *g = groups; g; g = g->next)
        if (g->want.type == type && addr_eq(&g->want.addr, a)) return g;
    return NULL;
}

static struct group *add(const struct addr *a, int type)
{
    struct group *g = base_zalloc(1, sizeof *g), **end = &groups;
    g->want = (struct socket_want) { .addr = *a, .type = type };
    if (a->family == AF_UNIX) g->want.addr.un.path = strdup(a->un.path);
    while (*end) end = &(*end)->next;
    *end = g;
    return g;
}

static void push(struct group *g, int fd)
{
    g->fds = base_realloc(g->fds, (g->n + 1) * sizeof *g->fds);
    g->fds[g->n++] = fd;
}

/* From the last on, so that the kernel's order stays. */
static void shrink(struct group *g, size_t n)
{
    while (g->n > n) close(g->fds[--g->n]);
    if (g->fresh > n) g->fresh = n;
}

static void end(struct group **at, bool unlink_path)
{
    struct group *g = *at;
    *at = g->next;
    shrink(g, 0);
    if (g->want.addr.family == AF_UNIX) {
        const char *path = g->want.addr.un.path;
        if (unlink_path && !g->foreign && unlink(path) != 0) log_at(log_main, L_EMERG, NULL, errno, "unlink() %s failed", path);
        free((char *) (uintptr_t) path);
    }
    free(g->fds);
    free(g);
}

static struct socket_want want_of(const struct listener *l)
{
    return (struct socket_want) {
        .addr = l->addr, .type = l->type, .backlog = l->backlog, .rcvbuf = l->rcvbuf, .sndbuf = l->sndbuf, .fastopen = l->fastopen,
        .ipv6only = l->ipv6only, .keepalive = l->keepalive, .keepidle = l->keepidle, .keepintvl = l->keepintvl, .keepcnt = l->keepcnt,
        .deferred = l->deferred, .multipath = l->multipath, .transparent = l->transparent, .reuseport = l->reuseport,
    };
}

unsigned listen_active(const struct cycle *c, const struct listener *l)
{
    return l->addr.family == AF_UNIX ? 1 : c->workers;
}

/* ---- opening ---- */

enum bound { BOUND, IN_USE, REFUSED };

static enum bound bind_group(struct group *g, const struct listener *l, unsigned n, bool testing)
{
    struct socket_want w = want_of(l);
    while (g->n < n) {
        const char *call;
        int fd = socket_bind(&w, g->n > 0, &call);
        if (fd < 0) {
            int err = errno;
            if (testing && err == EADDRINUSE) return BOUND;
            log_at(log_main, L_EMERG, NULL, err, "%s %s%.*s failed", call, strcmp(call, "bind()") ? "" : "to ", TEXT_ARG(l->name));
            return err == EADDRINUSE ? IN_USE : REFUSED;
        }
        push(g, fd);
        if (testing) break;
    }
    return BOUND;
}

static enum bound bind_all(struct cycle *c, bool testing)
{
    enum bound all = BOUND;
    for (struct listener *l = c->listeners; l; l = l->next) {
        struct group *g = find(&l->addr, l->type);
        if (g == NULL) g = add(&l->addr, l->type);
        g->wanted = true;
        enum bound one = bind_group(g, l, listen_active(c, l), testing);
        if (one == REFUSED) return REFUSED;
        if (one == IN_USE) all = IN_USE;
    }
    return all;
}

bool listen_open(struct cycle *c, bool testing)
{
    for (struct group *g = groups; g; g = g->next) {
        g->wanted = false;
        g->fresh = g->n;
    }
    enum bound got = bind_all(c, testing);
    for (int tries = 1; got == IN_USE && tries < TRIES; tries++) {
        log_at(log_main, L_NOTICE, NULL, 0, "try again to bind() after %dms", TRY_MS);
        usleep(TRY_MS * 1000);
        clock_update();
        got = bind_all(c, testing);
    }
    if (got == IN_USE) log_at(log_main, L_EMERG, NULL, 0, "still could not bind()");
    if (got != BOUND || testing) listen_rollback();
    return got == BOUND;
}

void listen_rollback(void)
{
    for (struct group **at = &groups; *at;) {
        struct group *g = *at;
        bool made = g->n > g->fresh;
        shrink(g, g->fresh);
        if (g->n == 0) end(at, made);
        else at = &g->next;
    }
}

/* ---- a generation begins ---- */

static bool same_options(const struct socket_want *a, const struct socket_want *b)
{
    return a->rcvbuf == b->rcvbuf && a->sndbuf == b->sndbuf && a->fastopen == b->fastopen && a->keepalive == b->keepalive && a->keepidle == b->keepidle
        && a->keepintvl == b->keepintvl && a->keepcnt == b->keepcnt && a->deferred == b->deferred;
}

static bool start_listening(struct group *g, const struct socket_want *w)
{
    for (size_t i = 0; i < g->n; i++) {
        bool fresh = i >= g->fresh;
        if (!fresh && !(g->known && same_options(&g->want, w))) socket_set_options(g->fds[i], w, false);
        if (!fresh && g->known && g->want.backlog == w->backlog) continue;
        if (socket_listen(g->fds[i], w) != 0) {
            int err = errno;
            char room[ADDR_TEXT_MAX];
            struct build b = build_in_room(room, sizeof room);
            addr_print(&b, &w->addr, false);
            log_at(log_main, L_EMERG, NULL, err, "listen() to %.*s, backlog %d failed", (int) b.n, b.p, w->backlog);
            if (fresh) return false;
        }
    }
    const struct addr own = g->want.addr;
    g->want = *w;
    g->want.addr = own;
    g->known = true;
    return true;
}

static void steer(struct group *g)
{
    if (g->n < 2) return;
    bool done = g->active < g->n ? socket_steer(g->fds[0], &g->want, g->active) == 0 : socket_steer_all(g->fds[0]) == 0;
    if (!done) log_at(log_main, L_NOTICE, NULL, errno, "connections cannot be kept from %zu sockets of workers that are no more: they stay open", g->n - g->active);
    g->stuck = !done;
}

static void give(struct cycle *c, struct listener *l, struct group *g)
{
    g->active = listen_active(c, l);
    g->fresh = g->n;
    l->fds = pool_alloc(c->pool, g->n * sizeof *l->fds);
    memcpy(l->fds, g->fds, g->n * sizeof *l->fds);
    l->fd_count = g->n;
    steer(g);
    if (g->active == g->n) g->retire_ms = 0;
    else if (g->retire_ms == 0) g->retire_ms = clock_now.ms + SURPLUS_MS;
}

bool listen_commit(struct cycle *c)
{
    for (struct listener *l = c->listeners; l; l = l->next) {
        struct socket_want w = want_of(l);
        if (!start_listening(find(&l->addr, l->type), &w)) return false;
    }
    for (struct listener *l = c->listeners; l; l = l->next) give(c, l, find(&l->addr, l->type));
    for (struct group **at = &groups; *at;) {
        if ((*at)->wanted) at = &(*at)->next;
        else end(at, true);
    }
    return true;
}

void listen_steer(const struct cycle *c)
{
    (void) c;
    for (struct group *g = groups; g; g = g->next) if (g->active) steer(g);
}

uint64_t listen_retire(struct cycle *c, bool *closed_out)
{
    uint64_t next = 0;
    *closed_out = false;
    for (struct listener *l = c->listeners; l; l = l->next) {
        struct group *g = find(&l->addr, l->type);
        if (g == NULL || g->retire_ms == 0 || g->stuck) continue;
        if (g->retire_ms > clock_now.ms) {
            uint64_t left = g->retire_ms - clock_now.ms;
            next = next ? min_of(next, left) : left;
            continue;
        }
        shrink(g, g->active);
        l->fd_count = g->n;
        g->retire_ms = 0;
        *closed_out = true;
        steer(g);
    }
    return next;
}

/* ---- from and to other processes ---- */

void listen_inherit(const int *fds, size_t n, bool foreign)
{
    struct pool *p = pool_open(0);
    for (size_t i = 0; i < n; i++) {
        struct addr a;
        int type;
        if (fds[i] < 3 || fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0 || !socket_describe(p, fds[i], &a, &type)) {
            log_at(log_main, L_WARN, NULL, 0, "inherited descriptor %d is not a listening socket, ignored", fds[i]);
            continue;
        }
        fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
        int on = 1;
        if (a.family != AF_UNIX) setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        struct group *g = find(&a, type);
        if (g == NULL) g = add(&a, type);
        g->foreign = foreign;
        push(g, fds[i]);
        g->fresh = g->n;
    }
    pool_close(&p);
}

struct text listen_export(struct pool *p)
{
    struct build b = build_in_pool(p, 256, 0);
    for (struct group *g = groups; g; g = g->next) {
        for (size_t i = 0; i < g->n; i++) {
            fcntl(g->fds[i], F_SETFD, 0);
            if (i) build_char(&b, ',');
            build_u64(&b, (uint64_t) g->fds[i]);
        }
        build_char(&b, g->foreign ? '+' : ';');
    }
    return build_done(&b);
}

void listen_close(bool unlink_paths)
{
    while (groups) end(&groups, unlink_paths);
}
