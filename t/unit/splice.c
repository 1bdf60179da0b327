/* splice: what a pipe holds is bounded in bytes, whatever the kernel's pieces are; nothing is lost on the way. */
#include "upstream/splice.h"
#include "t/unit/tap.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUND = 256 << 10, BUFFER = 16 << 20 };

/* Two ends of a TCP connection over the loopback: its pieces are as large as they get. */
static bool pair(int *near, int *far)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int size = BUFFER, l = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(l, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(l, (struct sockaddr *) &a, n) || listen(l, 1) || getsockname(l, (struct sockaddr *) &a, &n)) return false;
    *near = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(*near, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (connect(*near, (struct sockaddr *) &a, n)) return false;
    *far = accept(l, NULL, NULL);
    close(l);
    return *far >= 0 && fcntl(*near, F_SETFL, O_NONBLOCK) == 0 && fcntl(*far, F_SETFL, O_NONBLOCK) == 0;
}

static char block[ROUND], got[ROUND];

/* The peer sends as much as it can. */
static size_t pour(int fd)
{
    size_t sent = 0;
    for (ssize_t n; (n = write(fd, block, sizeof block)) > 0;) sent += (size_t) n;
    return sent;
}

int main(void)
{
    int near, far;
    struct splice s;
    for (size_t i = 0; i < sizeof block; i++) block[i] = (char) (i % 251);
    if (!pair(&near, &far) || !splice_open(&s)) return ok(false, "a connection and a pipe"), done();
    struct conn from = { .fd = far, .readable = 1 };
    size_t sent = pour(near), taken = 0;
    struct io_done d;
    while ((d = splice_in(&s, &from, (size_t) 1 << 30)).how == IO_OK) taken += d.n;
    ok(d.how == IO_AGAIN && from.readable, "full: %zu of %zu bytes", taken, sent);
    ok(taken == s.held && taken > 0 && taken <= SPLICE_HELD_MOST, "no more than it may hold");
    ok(from.received == taken, "the connection has counted them");
    size_t at = 0;
    bool same = true;
    while (s.held) {
        size_t n = splice_take(&s, got, sizeof got);
        for (size_t i = 0; i < n; i++, at++) same &= got[i] == block[at % sizeof block];
    }
    ok(same && at == taken, "they come out as they went in");
    d = splice_in(&s, &from, 1000);
    ok(d.how == IO_OK && d.n <= 1000 && s.held == d.n, "and there is room again, for as much as is asked for");
    splice_close(&s);
    close(near);
    close(far);
    return done();
}
