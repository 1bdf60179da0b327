/* listen: sockets over generations: taken over, added, steered away from, emptied, closed; dropped generations change nothing. */
#include "process/listen.h"
#include "t/unit/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>

static struct addr inet, local;
static uint64_t number;

static struct cycle *make(unsigned workers, bool with_inet, bool with_unix)
{
    struct pool *p = pool_open(0);
    struct cycle *c = pool_new(p, struct cycle);
    *c = (struct cycle) { .magic = CYCLE_MAGIC, .number = ++number, .pool = p, .workers = workers, .log = log_main };
    if (with_inet) cycle_listener(c, &inet, SOCK_STREAM);
    if (with_unix) cycle_listener(c, &local, SOCK_STREAM);
    return c;
}

static struct cycle *open_cycle(unsigned workers, bool with_inet, bool with_unix)
{
    struct cycle *c = make(workers, with_inet, with_unix);
    ok(listen_open(c, false) && listen_commit(c), "a generation of %u workers", workers);
    return c;
}

static void drop(struct cycle **c)
{
    struct pool *p = (*c)->pool;
    *c = NULL;
    pool_close(&p);
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

/* Connects n times, accepts what came; how many of them on fds[from …]. */
static unsigned come_from(const struct listener *l, size_t from, unsigned n)
{
    unsigned got = 0;
    struct sockaddr_storage sa;
    socklen_t len = addr_sockaddr(&l->addr, &sa);
    for (unsigned i = 0; i < n; i++) {
        int fd = socket(l->addr.family, SOCK_STREAM, 0), came;
        if (connect(fd, (struct sockaddr *) &sa, len) != 0) diag("connect: %s", strerror(errno));
        for (size_t k = 0; k < l->fd_count; k++) {
            while ((came = accept(l->fds[k], NULL, NULL)) >= 0) {
                got += k >= from;
                close(came);
            }
        }
        close(fd);
    }
    return got;
}

static void test_generations(void)
{
    bool closed;
    struct cycle *a = open_cycle(4, true, true);
    struct listener *l = a->listeners;
    is_int(l->fd_count, 4, "a socket for each worker");
    is_int(l->next->fd_count, 1, "one for a unix socket");
    int first = l->fds[0], last = l->fds[3];
    is_int(listen_retire(a, &closed), 0, "none is to be closed");

    struct cycle *b = open_cycle(2, true, true);
    l = b->listeners;
    ok(l->fd_count == 4 && l->fds[0] == first && l->fds[3] == last, "fewer workers: the same sockets");
    is_int(listen_active(b, l), 2, "two of them in use");
    is_int(come_from(l, 2, 50), 0, "the others get nothing new");
    ok(listen_retire(b, &closed) > 0 && !closed && is_open(last), "they stay for a while");

    struct cycle *c = open_cycle(3, true, true);
    ok(c->listeners->fds[2] == l->fds[2], "one worker more takes the next of them");
    ok(come_from(c->listeners, 2, 60) > 0 && come_from(c->listeners, 3, 60) == 0, "which gets its share again");
    clock_fake(clock_now.ms + 120000, clock_now.wall_ms);
    is_int(listen_retire(c, &closed), 0, "then");
    ok(closed && !is_open(last) && c->listeners->fd_count == 3, "the last one is closed");
    ok(come_from(c->listeners, 2, 60) > 0, "three serve");

    struct cycle *wrong = make(8, true, true);
    struct addr nowhere;
    addr_parse(wrong->pool, T("203.0.113.7:1"), 0, &nowhere);
    cycle_listener(wrong, &nowhere, SOCK_STREAM);
    ok(!listen_open(wrong, false), "an address that is not ours: the generation is dropped");
    is_int(come_from(c->listeners, 0, 30), 30, "and none of its sockets had a connection");

    struct cycle *d = open_cycle(3, false, true);
    ok(!is_open(first), "an address that is not named any more is closed");
    struct cycle *e = open_cycle(1, true, false);
    struct sockaddr_storage sa;
    addr_sockaddr(&local, &sa);
    ok(access(((struct sockaddr_un *) &sa)->sun_path, F_OK) != 0, "a path that is not named any more is removed");
    drop(&a), drop(&b), drop(&c), drop(&d), drop(&wrong);
    listen_close(true);
    ok(!is_open(e->listeners->fds[0]), "at the end all are closed");
    drop(&e);
}

static void test_testing(void)
{
    struct cycle *a = open_cycle(2, true, true), *t = make(2, true, true);
    ok(listen_open(t, true), "-t passes beside a running server");
    is_int(come_from(a->listeners, 0, 20), 20, "and takes nothing from it");
    listen_close(true);
    drop(&a), drop(&t);
    t = make(2, true, true);
    ok(listen_open(t, true), "and without one");
    struct sockaddr_storage sa;
    addr_sockaddr(&local, &sa);
    ok(access(((struct sockaddr_un *) &sa)->sun_path, F_OK) != 0, "leaving no path behind");
    drop(&t);
}

static void test_inherit(void)
{
    struct pool *p = pool_open(0);
    struct cycle *a = open_cycle(2, true, true);
    int fds[2] = { dup(a->listeners->fds[0]), dup(a->listeners->fds[1]) };
    struct text exported = listen_export(p);
    ok(text_find_char(exported, ',') > 0 && text_ends(exported, T(";")), "exported: %.*s", TEXT_ARG(exported));
    listen_close(false);
    drop(&a);
    listen_inherit(fds, 2, false);
    a = open_cycle(3, true, false);
    ok(a->listeners->fds[0] == fds[0] && a->listeners->fds[1] == fds[1] && a->listeners->fd_count == 3, "inherited sockets come first");
    ok(come_from(a->listeners, 2, 60) > 0, "a third one joins them");
    listen_close(true);
    drop(&a);
    unlink(local.un.path);
    pool_close(&p);
}

int main(void)
{
    struct pool *p = pool_open(0);
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/weir-unit-listen-%d", (int) getpid());
    clock_fake(1000000, 1700000000000);
    addr_parse(p, text_c(path), 0, &local);
    int fd = socket(AF_INET, SOCK_STREAM, 0);           /* a free port */
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    if (bind(fd, (struct sockaddr *) &in, len) == 0 && getsockname(fd, (struct sockaddr *) &in, &len) == 0) addr_from_sockaddr(&inet, (struct sockaddr *) &in, len);
    close(fd);
    test_generations();
    test_testing();
    test_inherit();
    pool_close(&p);
    return done();
}
