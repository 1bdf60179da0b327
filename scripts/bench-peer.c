/*
 * The other ends of scripts/bench: a backend and clients that cost as little as can be, so that what is measured is the
 * proxy between them. One thread, epoll, loopback only.
 *
 *   bench-peer serve PORT                         answers GET /N with N bytes, keep-alive
 *   bench-peer ask PORT PATH CONNECTIONS TOTAL    exactly TOTAL requests, each connection one at a time; prints seconds and bytes
 *   bench-peer idle PORT PATH CONNECTIONS         one request on each connection, then "ready", then waits for stdin to end
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_MAX = 8192, FD_MAX = 65536, BODY_MAX = 8 << 20 };

struct peer {
    int      fd, close_after;
    unsigned have;              /* of in */
    size_t   left;              /* of the answer: to send, or to come */
    size_t   head_at, head_n;
    char     head[160];
    char     in[IN_MAX];
};

static struct peer *peers[FD_MAX];
static char *body;
static int ep;

static void fail(const char *what) { perror(what); exit(1); }

static struct peer *peer_of(int fd)
{
    if (fd >= FD_MAX) { fprintf(stderr, "too many descriptors\n"); exit(1); }
    struct peer *p = peers[fd];
    if (!p) p = peers[fd] = malloc(sizeof *p);
    p->fd = fd;
    p->close_after = 0;
    p->have = 0;
    p->left = p->head_at = p->head_n = 0;
    return p;
}

static void watch(int fd, unsigned events)
{
    struct epoll_event e = { .events = events, .data.fd = fd };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0) fail("epoll_ctl");
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return a;
}

/* ---- backend ---- */

static int flush(struct peer *p)        /* -1: gone; 0: more to send; 1: all sent */
{
    while (p->head_at < p->head_n || p->left) {
        ssize_t n;
        if (p->head_at < p->head_n) {
            char room[160 + 16384];
            size_t head = p->head_n - p->head_at, more = p->left < 16384 ? p->left : 16384;
            memcpy(room, p->head + p->head_at, head);
            memcpy(room + head, body, more);
            n = send(p->fd, room, head + more, MSG_NOSIGNAL);
            if (n > 0) {
                size_t of_head = (size_t) n < head ? (size_t) n : head;
                p->head_at += of_head;
                p->left -= (size_t) n - of_head;
            }
        } else {
            n = send(p->fd, body, p->left < BODY_MAX ? p->left : BODY_MAX, MSG_NOSIGNAL);
            if (n > 0) p->left -= (size_t) n;
        }
        if (n < 0) return errno == EAGAIN ? 0 : -1;
    }
    return 1;
}

static void answer(struct peer *p)
{
    const char *slash = memchr(p->in, '/', p->have);
    size_t size = slash ? strtoul(slash + 1, NULL, 10) : 0;
    p->close_after = strcasestr(p->in, "\nconnection: close") || (memmem(p->in, p->have, " HTTP/1.0\r", 10) && !strcasestr(p->in, "\nconnection: keep-alive"));
    p->head_at = 0;
    p->head_n = (size_t) snprintf(p->head, sizeof p->head, "HTTP/1.1 200 OK\r\nServer: peer\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
                                  size, p->close_after ? "Connection: close\r\n" : "");
    p->left = size;
}

static int serve_turn(struct peer *p)   /* -1: ends */
{
    for (;;) {
        int sent = flush(p);
        if (sent < 0) return -1;
        if (sent == 0) return 0;
        if (p->head_n && p->close_after) return -1;
        ssize_t n = recv(p->fd, p->in + p->have, IN_MAX - 1 - p->have, 0);
        if (n == 0) return -1;
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        p->have += (unsigned) n;
        p->in[p->have] = 0;
        char *end = strstr(p->in, "\r\n\r\n");
        if (!end) { if (p->have == IN_MAX - 1) return -1; continue; }
        answer(p);
        p->have = 0;
        sent = flush(p);
        if (sent < 0 || (sent && p->close_after)) return -1;
        if ((size_t) n < IN_MAX - 1) return 0;  /* drained; what comes next makes an event */
    }
}

static int serve(int port)
{
    int on = 1, ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = loopback(port);
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(ls, (struct sockaddr *) &a, sizeof a) != 0 || listen(ls, 4096) != 0) fail("listen");
    watch(ls, EPOLLIN);
    for (;;) {
        struct epoll_event got[256];
        int n = epoll_wait(ep, got, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = got[i].data.fd;
            if (fd != ls) {
                if (serve_turn(peers[fd]) < 0) close(fd);
                continue;
            }
            while ((fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                peer_of(fd);
                watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
            }
        }
    }
}

/* ---- clients ---- */

static char request[1024];
static size_t request_n;
static unsigned long long bytes_in;

static struct peer *dial(int port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = loopback(port);
    if (fd < 0 || connect(fd, (struct sockaddr *) &a, sizeof a) != 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct peer *p = peer_of(fd);
    p->left = (size_t) -1;      /* the head is not here yet */
    watch(fd, EPOLLIN);
    return p;
}

static void ask(struct peer *p)
{
    p->left = (size_t) -1;
    p->have = 0;
    if (send(p->fd, request, request_n, MSG_NOSIGNAL) != (ssize_t) request_n) fail("send");
}

static int hear(struct peer *p)         /* 1: the answer is complete */
{
    static char room[1 << 18];
    for (;;) {
        if (p->left == (size_t) -1) {
            ssize_t n = recv(p->fd, p->in + p->have, IN_MAX - 1 - p->have, 0);
            if (n < 0 && errno == EAGAIN) return 0;
            if (n <= 0) { fprintf(stderr, "the server closed\n"); exit(1); }
            bytes_in += (size_t) n;
            p->have += (unsigned) n;
            p->in[p->have] = 0;
            char *end = strstr(p->in, "\r\n\r\n"), *length = strcasestr(p->in, "\ncontent-length:");
            if (!end) continue;
            if (strncmp(p->in + 8, " 200", 4) != 0 || !length) { fprintf(stderr, "not expected: %s\n", p->in); exit(1); }
            p->left = strtoul(length + 16, NULL, 10) - (p->have - (size_t) (end + 4 - p->in));
        } else if (p->left) {
            ssize_t n = recv(p->fd, room, p->left < sizeof room ? p->left : sizeof room, 0);
            if (n < 0 && errno == EAGAIN) return 0;
            if (n <= 0) { fprintf(stderr, "the server closed in a body\n"); exit(1); }
            bytes_in += (size_t) n;
            p->left -= (size_t) n;
        }
        if (p->left == 0) return 1;
    }
}

static void run(int port, const char *path, unsigned connections, unsigned long total)
{
    request_n = (size_t) snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench-peer\r\nAccept: */*\r\n\r\n", path);
    unsigned long asked = 0, answered = 0;
    for (unsigned i = 0; i < connections; i++) {
        struct peer *p = dial(port);
        if (asked < total) { ask(p); asked++; }
    }
    while (answered < total) {
        struct epoll_event got[256];
        int n = epoll_wait(ep, got, 256, 20000);
        if (n <= 0) { fprintf(stderr, "no answer in 20 s (%lu of %lu)\n", answered, total); exit(1); }
        for (int i = 0; i < n; i++) {
            struct peer *p = peers[got[i].data.fd];
            if (!hear(p)) continue;
            answered++;
            if (asked < total) { ask(p); asked++; } else p->left = (size_t) -1;
        }
    }
}

int main(int argc, char **argv)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    ep = epoll_create1(0);
    if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        body = malloc(BODY_MAX);
        memset(body, 'b', BODY_MAX);
        return serve(atoi(argv[2]));
    }
    if (argc == 6 && strcmp(argv[1], "ask") == 0) {
        struct timespec t0, t1;
        clock_gettime(CLOCK_MONOTONIC, &t0);
        run(atoi(argv[2]), argv[3], (unsigned) atoi(argv[4]), strtoul(argv[5], NULL, 10));
        clock_gettime(CLOCK_MONOTONIC, &t1);
        printf("%.3f %llu\n", (double) (t1.tv_sec - t0.tv_sec) + (double) (t1.tv_nsec - t0.tv_nsec) / 1e9, bytes_in);
        return 0;
    }
    if (argc == 5 && strcmp(argv[1], "idle") == 0) {
        run(atoi(argv[2]), argv[3], (unsigned) atoi(argv[4]), strtoul(argv[4], NULL, 10));
        puts("ready");
        fflush(stdout);
        char c;
        while (read(0, &c, 1) > 0) continue;
        return 0;
    }
    fprintf(stderr, "usage: bench-peer serve PORT | ask PORT PATH CONNECTIONS TOTAL | idle PORT PATH CONNECTIONS\n");
    return 2;
}
