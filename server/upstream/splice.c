#include "upstream/splice.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Empty pipes of this process. */
enum { KEPT = 32 };
static struct { int in, out; } kept[KEPT];
static unsigned kept_count;
static pid_t kept_by;

bool splice_open(struct splice *s)
{
    int fds[2];
    if (kept_by != getpid()) {      /* a forked child makes its own */
        kept_count = 0;
        kept_by = getpid();
    }
    if (kept_count) {
        kept_count--;
        *s = (struct splice) { .in = kept[kept_count].in, .out = kept[kept_count].out };
        return true;
    }
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) return false;
    fcntl(fds[1], F_SETPIPE_SZ, SPLICE_HELD_MOST);      /* refused: as large as it is */
    *s = (struct splice) { .in = fds[1], .out = fds[0] };
    return true;
}

void splice_close(struct splice *s)
{
    if (!splice_is_open(s)) return;
    if (!s->held && kept_count < KEPT) {
        kept[kept_count].in = s->in;
        kept[kept_count++].out = s->out;
    } else {
        close(s->in);
        close(s->out);
    }
    *s = (struct splice) { .in = 0 };
}

struct io_done splice_in(struct splice *s, struct conn *from, size_t most)
{
    ssize_t n;
    if (s->held >= SPLICE_HELD_MOST) return (struct io_done) { IO_AGAIN, 0 };
    most = min_of(most, SPLICE_HELD_MOST - s->held);
    do n = splice(from->fd, NULL, s->in, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        s->held += (size_t) n;
        from->received += (uint64_t) n;
        return (struct io_done) { IO_OK, (size_t) n };
    }
    if (n == 0) return (struct io_done) { IO_EOF, 0 };
    if (errno == EAGAIN) {
        if (!s->held) from->readable = 0;
        return (struct io_done) { IO_AGAIN, 0 };
    }
    from->error = errno;
    return (struct io_done) { IO_ERROR, 0 };
}

struct io_done splice_out(struct splice *s, struct conn *to)
{
    ssize_t n;
    do n = splice(s->out, NULL, to->fd, NULL, s->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        s->held -= (size_t) n;
        to->sent += (uint64_t) n;
        return (struct io_done) { IO_OK, (size_t) n };
    }
    if (n < 0 && errno == EAGAIN) {
        to->writable = 0;
        return (struct io_done) { IO_AGAIN, 0 };
    }
    to->error = n < 0 ? errno : EPIPE;
    return (struct io_done) { IO_ERROR, 0 };
}

size_t splice_take(struct splice *s, char *room, size_t size)
{
    ssize_t n;
    do n = read(s->out, room, min_of(size, s->held));
    while (n < 0 && errno == EINTR);
    ASSERT(n >= 0);
    s->held -= (size_t) n;
    return (size_t) n;
}
