/* conn_send: memory and files in every mix and split, partial writes, EAGAIN and going on. */
#include "event/event.h"
#include "t/unit/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct conn *conn;
static bool reads_files;          /* as `sendfile off` */
static int far_end;
static unsigned told;

static void ready(struct conn *c, unsigned what) { (void) c; told |= what; }

static void open_pair(int sndbuf)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) abort();
    if (sndbuf) setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
    conn = conn_open(fds[0], log_main);
    conn->ready = ready;
    conn->read_size = reads_files ? 32768 : 0;
    conn->read_most = 65536;
    far_end = fds[1];
    loop_turn(0);
    told = 0;
}

/* The same over loopback. */
static void open_tcp(int sndbuf)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    int from = socket(AF_INET, SOCK_STREAM, 0), to;
    far_end = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(from, (struct sockaddr *) &in, len) != 0 || listen(from, 1) != 0) abort();
    getsockname(from, (struct sockaddr *) &in, &len);
    if (connect(far_end, (struct sockaddr *) &in, len) != 0) abort();
    to = accept4(from, NULL, NULL, SOCK_NONBLOCK);
    fcntl(far_end, F_SETFL, O_NONBLOCK);
    close(from);
    setsockopt(to, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
    conn = conn_open(to, log_main);
    conn->ready = ready;
    conn->read_size = reads_files ? 32768 : 0;
    conn->read_most = 65536;
    loop_turn(0);
}

static void close_pair(void)
{
    conn_close(&conn);
    close(far_end);
    loop_turn(0);
}

static struct chain_file *file_of(const char *bytes, size_t n)
{
    int fd = memfd_create("unit", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t) n) abort();
    return chain_file_open(fd);
}

static size_t drain(char *room, size_t size)
{
    size_t n = 0;
    ssize_t got;
    while (n < size && (got = read(far_end, room + n, size - n)) > 0) n += (size_t) got;
    return n;
}

/* Bit i of kinds: piece i of the 8 is a file range. */
static void add_pieces(struct chain *out, unsigned kinds, const char *bytes, struct chain_file *f)
{
    static const size_t at[] = { 0, 1, 3, 6, 7, 12, 20, 21, 33 };
    for (unsigned i = 0; i < 8; i++) {
        size_t n = at[i + 1] - at[i];
        if (kinds >> i & 1) chain_add_file(out, f, (off_t) at[i], n);
        else chain_add_text(out, text_of(bytes + at[i], n));
        if (i == 3) chain_add_flush(out);
    }
}

static void test_mixes(void)
{
    static const char bytes[] = "abcdefghijklmnopqrstuvwxyz0123456";
    struct chain_file *f = file_of(bytes, 33);
    unsigned wrong = 0, left = 0;
    open_pair(0);
    for (unsigned kinds = 0; kinds < 256; kinds++) {
        for (size_t most = 0; most <= 33; most++) {
            struct chain out = CHAIN_EMPTY;
            char got[64];
            size_t sent = 0;
            add_pieces(&out, kinds, bytes, f);
            do {
                struct io_done d = conn_send(conn, &out, most);
                if (d.how != IO_OK || (most && d.n > most) || d.n == 0) { wrong++; break; }
                sent += d.n;
            } while (out.bytes);
            if (!chain_empty(&out)) left++;
            if (sent != 33 || drain(got, sizeof(got)) != 33 || memcmp(got, bytes, 33) != 0) wrong++;
            chain_clear(&out);
        }
    }
    is_int(wrong, 0, "256 mixes, each at most 0 to 33 bytes a call");
    is_int(left, 0, "nothing is left in the chain, not the flush either");
    is_int(conn->sent, 256 * 34 * 33, "counted");
    is_int(f->refs, 1, "every link let go of the file");
    chain_file_drop(&f);
    close_pair();
}

static void test_many_links(void)
{
    open_pair(0);
    struct chain out = CHAIN_EMPTY;
    char got[1000];
    for (unsigned i = 0; i < 500; i++) chain_add_text(&out, i & 1 ? T("b") : T("a"));
    struct io_done d = conn_send(conn, &out, 0);
    ok(d.how == IO_OK && d.n == 500, "500 links, 64 a call");
    is_int(drain(got, sizeof(got)), 500, "all came");
    ok(memcmp(got, "abababab", 8) == 0 && got[499] == 'b', "in order");
    struct io_done none = conn_send(conn, &out, 0);
    ok(none.how == IO_OK && none.n == 0, "an empty chain is sent at once");
    chain_add_flush(&out);
    none = conn_send(conn, &out, 0);
    ok(none.how == IO_OK && none.n == 0 && chain_empty(&out), "so is a flush alone");
    close_pair();
}

/* Sends all of out through a small socket buffer, reading when the kernel refuses. */
static void send_slowly(struct chain *out, const char *bytes, size_t size, const char *name)
{
    char *got = base_alloc(size + 1);
    size_t n = 0;
    unsigned refusals = 0, untold = 0;
    for (unsigned guard = 0; guard < 1000000; guard++) {
        struct io_done d = conn_send(conn, out, 0);
        if (d.how != IO_AGAIN) break;
        refusals++;
        if (conn->writable) untold++;
        if (conn_send(conn, out, 0).n != 0) untold++;       /* no call while the kernel refuses */
        told = 0;
        n += drain(got + n, size + 1 - n);
        loop_turn(1000);
        if (!(told & CONN_WRITE)) untold++;
    }
    n += drain(got + n, size + 1 - n);
    ok(refusals > 0 && untold == 0, "%s: %u refusals, each told by an edge when it goes on", name, refusals);
    is_int(n, size, "%s: all came", name);
    ok(n == size && memcmp(got, bytes, size) == 0, "%s: in order", name);
    free(got);
}

static void test_partial(void)
{
    enum { SIZE = 1000000 };
    char *bytes = base_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char) (i * 2654435761u >> 13);
    struct chain_file *f = file_of(bytes, SIZE);
    struct chain out = CHAIN_EMPTY;

    open_pair(8192);
    for (size_t at = 0; at < SIZE; at += 1000) chain_add_text(&out, text_of(bytes + at, 1000));
    send_slowly(&out, bytes, SIZE, "memory");
    chain_add_text(&out, text_of(bytes, 100000));
    chain_add_file(&out, f, 100000, 500000);
    chain_add_text(&out, text_of(bytes + 600000, 1));
    chain_add_file(&out, f, 600001, SIZE - 600001);
    send_slowly(&out, bytes, SIZE, "memory and files");
    is_int(f->refs, 1, "the file is let go of");
    close_pair();

    open_tcp(8192);
    chain_add_text(&out, text_of(bytes, 300));
    chain_add_file(&out, f, 300, SIZE - 305);
    chain_add_text(&out, text_of(bytes + SIZE - 5, 5));
    send_slowly(&out, bytes, SIZE, "over TCP");
    close_pair();
    chain_file_drop(&f);
    free(bytes);
}

static struct log quiet = { NULL, L_STDERR };

static void test_failures(void)
{
    struct chain out = CHAIN_EMPTY;
    struct chain_file *f = file_of("0123456789", 10);
    open_pair(0);
    conn->log = &quiet;
    chain_add_text(&out, T("head"));
    chain_add_file(&out, f, 5, 10);
    struct io_done d = conn_send(conn, &out, 0);
    ok(d.how == IO_ERROR && conn->error == EIO && d.n == 9, "a file that is shorter than its link");
    chain_clear(&out);
    chain_file_drop(&f);
    close_pair();

    open_pair(0);
    close(far_end);
    far_end = -1;
    chain_add_text(&out, T("x"));
    d = conn_send(conn, &out, 0);
    ok(d.how == IO_ERROR && conn->error == EPIPE, "nobody there: an error, no signal");
    is_int(out.bytes, 1, "and what was not sent is still in the chain");
    chain_clear(&out);
    close_pair();
}

/* One message a call, so that each shows how much was read for it. */
static void test_pieces(uint32_t size, uint32_t most, const char *want)
{
    char bytes[10000], room[20000], seen[200] = "";
    int fds[2];
    ssize_t n;
    struct chain out = CHAIN_EMPTY;
    memset(bytes, 'f', sizeof bytes);
    struct chain_file *f = file_of(bytes, sizeof bytes);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) != 0) abort();
    conn = conn_open(fds[0], log_main);
    conn->ready = ready;
    conn->read_size = size;
    conn->read_most = most;
    far_end = fds[1];
    loop_turn(0);
    chain_add_text(&out, T("head"));
    chain_add_file(&out, f, 0, sizeof bytes);
    chain_add_text(&out, T("tail"));
    ok(conn_send(conn, &out, 0).how == IO_OK, "%u at a time, %u a call", size, most);
    while ((n = recv(far_end, room, sizeof room, 0)) > 0) snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%zd ", n);
    ok(strcmp(seen, want) == 0, "as much as may be read for each call: %s", seen);
    chain_file_drop(&f);
    close_pair();
}

int main(void)
{
    if (!loop_open(64)) return 1;
    for (int reads = 0; reads < 2; reads++) {
        reads_files = reads;
        test_mixes();
        test_many_links();
        test_partial();
        test_failures();
    }
    test_pieces(4000, 4000, "4004 4000 2004 ");
    test_pieces(1000, 3000, "3004 3000 3000 1004 ");
    test_pieces(4000, 1, "4004 4000 2004 ");
    test_pieces(1 << 30, UINT32_MAX, "10008 ");
    loop_close();
    return done();
}
