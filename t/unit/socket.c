/* socket: groups of listening sockets: who else may bind, in which order they stand, where connections are steered. */
#include "os/socket.h"
#include "base/log.h"
#include "t/unit/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { MOST = 8, TRIES = 64 };
static struct pool *pool;

static struct socket_want want(const char *addr, int type)
{
    struct socket_want w = { .type = type, .backlog = 511, .fastopen = -1, .ipv6only = 1, .keepalive = -1 };
    addr_parse(pool, text_c(addr), 0, &w.addr);
    return w;
}

/* Binds to a port that the system picks, and puts it in w. */
static int first_of(struct socket_want *w)
{
    const char *call = "";
    struct addr bound;
    int type;
    addr_set_port(&w->addr, 0);
    int fd = socket_bind(w, false, &call);
    ok(fd >= 0 && socket_listen(fd, w) == 0, "a first socket (%s)", call);
    if (socket_describe(pool, fd, &bound, &type)) w->addr = bound;
    return fd;
}

static int join(const struct socket_want *w)
{
    const char *call = "";
    int fd = socket_bind(w, true, &call);
    if (fd < 0 || socket_listen(fd, w) != 0) diag("join: %s: %s", call, strerror(errno));
    return fd;
}

static int stranger(const struct socket_want *w)
{
    const char *call;
    int fd = socket_bind(w, false, &call);
    if (fd >= 0) close(fd);
    return fd >= 0 ? 0 : errno;
}

static bool call_up(const struct socket_want *w)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_sockaddr(&w->addr, &sa);
    int fd = socket(w->addr.family, w->type, 0);
    bool done = connect(fd, (struct sockaddr *) &sa, len) == 0 && (w->type == SOCK_STREAM || send(fd, "x", 1, 0) == 1);
    close(fd);
    return done;
}

/* Connects many times; how many came to each socket. */
static void count(const struct socket_want *w, const int *fds, unsigned n, unsigned *got)
{
    memset(got, 0, MOST * sizeof *got);
    for (unsigned i = 0; i < TRIES; i++) {
        struct pollfd all[MOST];
        if (!call_up(w)) diag("connect: %s", strerror(errno));
        for (unsigned k = 0; k < n; k++) all[k] = (struct pollfd) { .fd = fds[k], .events = POLLIN };
        if (poll(all, n, 1000) != 1) diag("nobody, or more than one, was called");
        for (unsigned k = 0; k < n; k++) {
            char c;
            if (!all[k].revents) continue;
            got[k]++;
            if (w->type == SOCK_STREAM) close(accept(fds[k], NULL, NULL));
            else (void) !recv(fds[k], &c, 1, 0);
        }
    }
}

static unsigned nonzero(const unsigned *got, unsigned from, unsigned to)
{
    unsigned n = 0;
    for (unsigned i = from; i < to; i++) n += got[i] > 0;
    return n;
}

static void test_group(const char *addr, int type, const char *name)
{
    struct socket_want w = want(addr, type);
    unsigned got[MOST];
    int fds[MOST], n = 4;
    diag("%s", name);
    fds[0] = first_of(&w);
    for (int i = 1; i < n; i++) fds[i] = join(&w);
    is_int(stranger(&w), EADDRINUSE, "another server is refused");
    count(&w, fds, 4, got);
    ok(nonzero(got, 0, 4) >= 3, "connections are spread: %u %u %u %u", got[0], got[1], got[2], got[3]);

    is_int(socket_steer(fds[0], &w, 2), 0, "steered to two");
    count(&w, fds, 4, got);
    ok(nonzero(got, 0, 2) == 2 && nonzero(got, 2, 4) == 0, "those opened first get all: %u %u %u %u", got[0], got[1], got[2], got[3]);
    is_int(socket_steer(fds[3], &w, 1), 0, "through any of them, to one");
    count(&w, fds, 4, got);
    is_int(got[0], TRIES, "the first gets all");
    close(fds[3]);
    close(fds[2]);
    count(&w, fds, 2, got);
    is_int(got[0], TRIES, "also when the last were closed");

    fds[2] = join(&w);
    is_int(socket_steer(fds[0], &w, 2), 0, "one joins, steered to two");
    count(&w, fds, 3, got);
    ok(nonzero(got, 0, 2) == 2 && got[2] == 0, "the order is that of opening: %u %u %u", got[0], got[1], got[2]);
    is_int(socket_steer_all(fds[0]), 0, "to all again");
    count(&w, fds, 3, got);
    is_int(nonzero(got, 0, 3), 3, "all get some: %u %u %u", got[0], got[1], got[2]);
    is_int(socket_steer_all(fds[0]), 0, "twice is fine");
    is_int(stranger(&w), EADDRINUSE, "another server is still refused");
    for (int i = 0; i < 3; i++) close(fds[i]);
    is_int(stranger(&w), 0, "until all are closed");
}

/* A socket that somebody else made without thinking of groups, as systemd does. */
static void test_foreign(void)
{
    struct socket_want w = want("127.0.0.1", SOCK_STREAM);
    struct sockaddr_storage sa;
    unsigned got[MOST];
    int fds[2], on = 1;
    socklen_t len = addr_sockaddr(&w.addr, &sa);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fds[0], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ok(bind(fds[0], (struct sockaddr *) &sa, len) == 0 && listen(fds[0], 100) == 0, "a foreign socket listens");
    int type;
    ok(socket_describe(pool, fds[0], &w.addr, &type) && type == SOCK_STREAM, "it is described");
    setsockopt(fds[0], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    fds[1] = join(&w);
    ok(fds[1] >= 0, "another joins it");
    count(&w, fds, 2, got);
    is_int(nonzero(got, 0, 2), 2, "both get some: %u %u", got[0], got[1]);
    is_int(socket_steer(fds[0], &w, 1), 0, "steered to the foreign one");
    count(&w, fds, 2, got);
    is_int(got[0], TRIES, "which gets all");
    close(fds[0]);
    close(fds[1]);
}

static void test_options(void)
{
    struct socket_want w = want("127.0.0.1", SOCK_STREAM);
    w.deferred = true;
    w.keepalive = 1;
    w.keepidle = 100;
    w.rcvbuf = 65536;
    w.fastopen = 16;
    w.backlog = 7;
    int fd = first_of(&w), value = 0;
    socklen_t len = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
    is_int(value, 1, "keep-alive is on");
    w.keepalive = 0;
    w.deferred = false;
    socket_set_options(fd, &w, false);
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
    is_int(value, 0, "and off again while it listens");
    close(fd);
}

static void test_unix(void)
{
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/weir-unit-%d.sock", (int) getpid());
    struct socket_want w = want(path, SOCK_STREAM);
    const char *call;
    int fd = socket_bind(&w, false, &call), type;
    struct addr a;
    ok(fd >= 0 && socket_listen(fd, &w) == 0, "a unix socket listens");
    ok(socket_describe(pool, fd, &a, &type) && addr_eq(&a, &w.addr), "and is described");
    is_int(stranger(&w), EADDRINUSE, "its path is taken");
    ok(call_up(&w), "it is connected to");
    close(fd);
    is_int(stranger(&w), EADDRINUSE, "and taken while the file lies there");
    unlink(path + 5);
    int fds[2];
    ok(!socket_describe(pool, 0, &a, &type), "a file is no listening socket");
    if (socket_pair(fds) == 0) ok(!socket_describe(pool, fds[0], &a, &type), "nor is a connected one");
    ok(socket_send_message(fds[0], T("hello"), 1) == 5, "a message with a descriptor");
    char room[16];
    int passed;
    is_int(socket_recv_message(fds[1], room, sizeof room, &passed), 5, "arrives whole");
    ok(passed > 2 && fcntl(passed, F_GETFD) == FD_CLOEXEC, "with it");
    close(passed);
    close(fds[0]);
    is_int(socket_recv_message(fds[1], room, sizeof room, &passed), 0, "and the end is seen");
    close(fds[1]);
}

int main(void)
{
    pool = pool_open(0);
    test_group("127.0.0.1", SOCK_STREAM, "IPv4 streams");
    test_group("[::1]", SOCK_STREAM, "IPv6 streams");
    test_group("127.0.0.1", SOCK_DGRAM, "IPv4 datagrams");
    test_group("[::1]", SOCK_DGRAM, "IPv6 datagrams");
    test_foreign();
    test_options();
    test_unix();
    pool_close(&pool);
    return done();
}
