/* output: the front of a chain to a socket: memory by one gathered call, a file range by sendfile, or, for connections that
 * are not to use it, read and gathered with the memory around it. */
#include "event/turn.h"
#include <errno.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IOVECS = 64, READ_MOST = 1 << 20 };
#define CALL_MOST ((size_t) 1 << 30)    /* of one call: the kernel's own bound is just below 2 GiB */

/* may_read: how much of files may be read for the call in hand, and piece: in one go; 0: none. */
struct gather { struct iovec iov[IOVECS]; size_t count, bytes, read, may_read, piece; bool follows; };

static char  *read_room;                /* what was read of files for the call in hand; for all connections */
static size_t read_size;

static void make_room(size_t n)
{
    if (n <= read_size) return;
    free(read_room);
    read_room = base_alloc(read_size = n);
}

/* The first n bytes of l as memory; *n_out fewer where the room or the file ends. */
static const char *memory_of(struct gather *g, const struct link *l, size_t n, size_t *n_out)
{
    *n_out = n;
    if (!l->file) return l->p;
    const char *room = read_room + g->read;
    n = min_of(n, g->may_read - g->read);
    for (*n_out = 0; *n_out < n;) {
        ssize_t got = pread(l->file->fd, read_room + g->read, min_of(n - *n_out, g->piece), l->from + (off_t) *n_out);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        g->read += (size_t) got;
        *n_out += (size_t) got;
    }
    return room;
}

/* What a connection reads of files, and how. */
static void may_read(struct gather *g, const struct conn *c)
{
    g->piece = min_of((size_t) c->read_size, (size_t) READ_MOST);
    g->may_read = g->piece ? min_of(max_of((size_t) c->read_most, g->piece), (size_t) READ_MOST) : 0;
    make_room(g->may_read);
}

/* The run of memory at the front, at most most bytes. follows: within most there is more after it. */
static void gather(struct gather *g, const struct chain *out, size_t most)
{
    const struct link *l = out->first;
    g->count = g->bytes = g->read = 0;
    g->follows = false;
    for (; l && (!l->file || g->may_read) && g->bytes < most; l = l->next) {
        if (l->n == 0) continue;
        if (g->count == IOVECS || (g->read && g->read == g->may_read)) break;
        size_t want = min_of(l->n, most - g->bytes), n;
        const char *p = memory_of(g, l, want, &n);
        if (n) g->iov[g->count++] = (struct iovec) { (void *) (uintptr_t) p, n };
        g->bytes += n;
        if (n < want) break;
    }
    g->follows = g->bytes < most && g->bytes < out->bytes;
}

static struct io_done refused(struct conn *c, int err)
{
    if (err == EAGAIN) {
        c->writable = 0;
        return (struct io_done) { IO_AGAIN, 0 };
    }
    c->error = err;
    return (struct io_done) { IO_ERROR, 0 };
}

/* A short write leaves the kernel waiting for room (SOCK_NOSPACE), so an edge will come. */
static struct io_done send_memory(struct conn *c, struct gather *g)
{
    struct msghdr m = { .msg_iov = g->iov, .msg_iovlen = g->count };
    ssize_t n;
    do n = sendmsg(c->fd, &m, MSG_NOSIGNAL | (g->follows ? MSG_MORE : 0));
    while (n < 0 && errno == EINTR);
    if (n < 0) return refused(c, errno);
    if ((size_t) n < g->bytes) c->writable = 0;
    return (struct io_done) { IO_OK, (size_t) n };
}

static struct io_done truncated(struct conn *c, const struct link *l, const char *call)
{
    log_at(c->log, L_ERR, &c->about, 0, "%s reported that a file was truncated at %lld", call, (long long) l->from);
    return refused(c, EIO);
}

/* sendfile may stop early for reasons of the file's, so only EAGAIN clears writable. */
static struct io_done send_file(struct conn *c, const struct link *l, size_t most)
{
    off_t from = l->from;
    ssize_t n;
    do n = sendfile(c->fd, l->file->fd, &from, min_of(l->n, most));
    while (n < 0 && errno == EINTR);
    if (n < 0) return refused(c, errno);
    if (n == 0) return truncated(c, l, "sendfile()");
    return (struct io_done) { IO_OK, (size_t) n };
}

struct io_done output_plain(struct conn *c, const struct chain *out, size_t most)
{
    if (!c->writable) return (struct io_done) { IO_AGAIN, 0 };
    const struct link *l = out->first;
    while (l && l->n == 0) l = l->next;
    if (!l) return (struct io_done) { IO_OK, 0 };

    struct io_done d;
    most = min_of(most, CALL_MOST);
    if (l->file && !c->read_size) {
        d = send_file(c, l, most);
    } else {
        struct gather g;
        may_read(&g, c);
        gather(&g, out, most);
        d = g.bytes ? send_memory(c, &g) : truncated(c, l, "pread()");
    }
    c->sent += d.n;
    return d;
}
