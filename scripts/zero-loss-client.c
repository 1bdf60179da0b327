/*
 * The clients of scripts/zero-loss: a steady load on 127.0.0.1 that tells of every request that failed, and how.
 *
 *   zero-loss-client PORT PATH KEEPALIVE CLOSE PAUSE_MS
 *
 * KEEPALIVE connections ask one request after another on the same connection and open a new one when the server has closed
 * it (which is no failure between requests, nor after an answer that says so); CLOSE others take a connection a request.
 * Each waits PAUSE_MS between requests. stdout: "failed SECONDS CLASS" at once for each failure; after SIGTERM the requests
 * in hand are finished and "done REQUESTS CONNECTIONS" is printed. "started" tells that each has had its first answer.
 *
 * Classes: refused, connect (other errors), reset, eof (the connection ended before any byte of the answer),
 * stale-reset, stale-eof (the same on a connection that had served before: the server closed as we sent),
 * cut (an answer that stopped half way), status (not 200), garbled, timeout (nothing for 5 s).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 1024, IN_MAX = 16384, TIMEOUT_MS = 5000 };

struct client {
    int      fd;                /* -1: none */
    int      keep;              /* takes many requests on one connection */
    enum { PAUSE, CONNECTING, WAITING } state;
    int      served;            /* requests on this connection */
    int      proved;            /* had an answer at all */
    long     due;               /* when the pause ends, or patience */
    unsigned have;
    char     in[IN_MAX];
};

static struct client clients[CLIENTS_MAX];
static unsigned client_count, proved;
static struct sockaddr_in server;
static char request_keep[512], request_close[512];
static long pause_ms, requests, connections;
static volatile sig_atomic_t ending;
static int ep;

static void end_soon(int number) { (void) number; ending = 1; }

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void drop(struct client *c)
{
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->served = 0;
}

static void rest(struct client *c) { c->state = PAUSE; c->due = now_ms() + pause_ms; }

static void failed(struct client *c, const char *class)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    printf("failed %ld.%03ld %s\n", (long) t.tv_sec, t.tv_nsec / 1000000, class);
    fflush(stdout);
    drop(c);
    rest(c);
}

static void watch(struct client *c, unsigned events, int op)
{
    struct epoll_event e = { .events = events, .data.ptr = c };
    if (epoll_ctl(ep, op, c->fd, &e) != 0) { perror("epoll_ctl"); exit(1); }
}

static void ask(struct client *c)
{
    const char *text = c->keep ? request_keep : request_close;
    c->have = 0;
    c->state = WAITING;
    c->due = now_ms() + TIMEOUT_MS;
    requests++;
    if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t) strlen(text)) failed(c, c->served ? "stale-reset" : "reset");
}

static void begin(struct client *c)
{
    if (c->fd >= 0) { ask(c); return; }
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) { perror("socket"); exit(1); }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections++;
    c->due = now_ms() + TIMEOUT_MS;
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *) &server, sizeof server) != 0 && errno != EINPROGRESS) {
        failed(c, errno == ECONNREFUSED ? "refused" : "connect");
        return;
    }
    watch(c, EPOLLOUT | EPOLLIN, EPOLL_CTL_ADD);
}

static void connected(struct client *c)
{
    int err = 0;
    socklen_t n = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n);
    if (err) { failed(c, err == ECONNREFUSED ? "refused" : "connect"); return; }
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    ask(c);
}

static void answered(struct client *c, int closes)
{
    if (!c->proved) { c->proved = 1; if (++proved == client_count) { puts("started"); fflush(stdout); } }
    c->served++;
    if (closes || !c->keep) drop(c);
    rest(c);
}

/* A complete answer has a head and as many bytes as its Content-Length says. */
static void look(struct client *c)
{
    c->in[c->have] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) { if (c->have == IN_MAX - 1) failed(c, "garbled"); return; }
    if (strncmp(c->in, "HTTP/1.", 7) != 0) { failed(c, "garbled"); return; }
    if (strncmp(c->in + 8, " 200", 4) != 0) { c->in[12] = 0; fprintf(stderr, "status%s\n", c->in + 8); failed(c, "status"); return; }
    char *length = strcasestr(c->in, "\ncontent-length:");
    if (!length || length > end) { failed(c, "garbled"); return; }
    size_t whole = (size_t) (end + 4 - c->in) + strtoul(length + 16, NULL, 10);
    if (c->have < whole) return;
    if (c->have > whole) { failed(c, "garbled"); return; }
    char *closes = strcasestr(c->in, "\nconnection: close");
    answered(c, closes && closes < end);
}

static void hear(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, IN_MAX - 1 - c->have, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (c->state == PAUSE) {                    /* between requests the server may close */
        if (n > 0) failed(c, "garbled"); else drop(c);
        return;
    }
    if (n > 0) { c->have += (unsigned) n; look(c); return; }
    if (c->have) { failed(c, "cut"); return; }
    if (n == 0) failed(c, c->served ? "stale-eof" : "eof");
    else failed(c, c->served ? "stale-reset" : "reset");
}

static int busy(void)
{
    for (unsigned i = 0; i < client_count; i++) if (clients[i].state != PAUSE) return 1;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 6) { fprintf(stderr, "usage: zero-loss-client PORT PATH KEEPALIVE CLOSE PAUSE_MS\n"); return 2; }
    unsigned keep = (unsigned) atoi(argv[3]);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t) atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(request_keep, sizeof request_keep, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2]);
    snprintf(request_close, sizeof request_close, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", argv[2]);
    pause_ms = atol(argv[5]);
    client_count = keep + (unsigned) atoi(argv[4]);
    if (client_count == 0 || client_count > CLIENTS_MAX) return 2;
    signal(SIGTERM, end_soon);
    ep = epoll_create1(0);
    for (unsigned i = 0; i < client_count; i++) clients[i] = (struct client) { .fd = -1, .keep = i < keep, .due = now_ms() + (long) i % (pause_ms + 1) };
    while (!ending || busy()) {
        struct epoll_event got[256];
        int n = epoll_wait(ep, got, 256, 1);
        for (int i = 0; i < n; i++) {
            struct client *c = got[i].data.ptr;
            if (c->fd < 0) continue;
            if (c->state == CONNECTING) connected(c); else hear(c);
        }
        long now = now_ms();
        for (unsigned i = 0; i < client_count; i++) {
            struct client *c = &clients[i];
            if (now < c->due) continue;
            if (c->state != PAUSE) failed(c, "timeout");
            else if (!ending) begin(c);
        }
    }
    printf("done %ld %ld\n", requests, connections);
    return 0;
}
