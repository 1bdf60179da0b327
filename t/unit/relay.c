/* relay: what a turn of the loop moves is bounded, so that one fat tunnel leaves room for others; a limit in bytes is kept to the byte; so is the size of a buffer. */
#include "upstream/relay.h"
#include "t/unit/tap.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 16 << 20, PIECE = 256 << 10, MUCH = 8 << 20 };

/* A relay and what its two ends are connected to. */
struct tunnel { int left, right; struct conn *a, *b; struct relay relay; bool over; enum relay_end how; };

static void widen(int fd, int forced, int plain)
{
    int size = BUFFER;
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size) != 0) setsockopt(fd, SOL_SOCKET, plain, &size, sizeof size);
}

/* Two ends of a TCP connection with large buffers (as large as they are allowed to be, where root does not run this). */
static bool pair(int *near, int *far)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    widen(l, SO_RCVBUFFORCE, SO_RCVBUF);
    widen(l, SO_SNDBUFFORCE, SO_SNDBUF);
    if (bind(l, (struct sockaddr *) &a, n) || listen(l, 1) || getsockname(l, (struct sockaddr *) &a, &n)) return false;
    *near = socket(AF_INET, SOCK_STREAM, 0);
    widen(*near, SO_SNDBUFFORCE, SO_SNDBUF);
    widen(*near, SO_RCVBUFFORCE, SO_RCVBUF);
    if (connect(*near, (struct sockaddr *) &a, n)) return false;
    *far = accept(l, NULL, NULL);
    close(l);
    return *far >= 0 && fcntl(*near, F_SETFL, O_NONBLOCK) == 0 && fcntl(*far, F_SETFL, O_NONBLOCK) == 0;
}

static void ended(struct relay *r, enum relay_end how)
{
    struct tunnel *t = r->arg;
    t->over = true;
    t->how = how;
}

static void begin(struct tunnel *t)
{
    int a, b;
    *t = (struct tunnel) { .over = false };
    ASSERT(pair(&t->left, &a) && pair(&t->right, &b));
    t->a = conn_open(a, log_main);
    t->b = conn_open(b, log_main);
    relay_start(&t->relay, t->a, t->b, NULL, NULL, 60000, ended, t);
}

static void finish(struct tunnel *t)
{
    relay_end(&t->relay);
    conn_close(&t->a);
    conn_close(&t->b);
    close(t->left);
    close(t->right);
    loop_turn(0);
}

static char block[PIECE];

static size_t pour(int fd, size_t most)
{
    size_t sent = 0;
    for (ssize_t n; sent < most && (n = write(fd, block, min_of(sizeof block, most - sent))) > 0;) sent += (size_t) n;
    return sent;
}

static size_t drain(int fd)
{
    size_t got = 0;
    for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;) got += (size_t) n;
    return got;
}

static void is_fair(void)
{
    struct tunnel fat, thin;
    begin(&fat);
    begin(&thin);
    size_t sent = pour(fat.left, MUCH), came = 0;
    ok(write(thin.left, "hello", 5) == 5, "%zu bytes in one tunnel, 5 in another", sent);
    unsigned turns = 0;
    uint64_t most = 0, before = 0;
    while (came < sent && turns++ < 10000) {
        loop_turn(100);
        most = max_of(most, fat.relay.out.bytes - before);
        before = fat.relay.out.bytes;
        if (turns == 2) ok(thin.relay.out.bytes == 5, "the other one did not wait");
        came += drain(fat.right);
    }
    ok(came == sent, "all came, in %u turns", turns);
    ok(most <= 2 * (RELAY_TURN_BYTES + SPLICE_HELD_MOST), "at most %llu in one", (unsigned long long) most);
    finish(&fat);
    finish(&thin);
}

static void is_exact(void)
{
    static const uint64_t limits[] = { 1, 5, 65536, 100000, 1000003 };
    for (size_t i = 0; i < countof(limits); i++) {
        struct tunnel t;
        size_t came = 0;
        begin(&t);
        relay_limit(&t.relay, 0, limits[i]);
        for (unsigned turns = 0; !t.over && turns < 10000; turns++) {
            pour(t.left, PIECE);
            loop_turn(100);
            came += drain(t.right);
        }
        ok(t.over && t.how == RELAY_LIMIT, "ends at %llu bytes", (unsigned long long) limits[i]);
        ok(t.relay.out.bytes + t.relay.back.bytes == limits[i], "no more went");
        conn_close(&t.a);
        conn_close(&t.b);
        loop_turn(0);
        came += drain(t.right);
        ok(came == limits[i], "and all that came");
        close(t.left);
        close(t.right);
    }
}

/* Over what is no plain socket, bytes go through memory. */
static void keeps_its_size(void)
{
    struct conn_ops other = conn_plain;
    struct tunnel t;
    size_t sent = 0, came = 0, held = 0;
    begin(&t);
    t.a->ops = t.b->ops = &other;
    relay_buffer(&t.relay, 1000);
    for (unsigned turns = 0; turns < 20000 && !held; turns++) {      /* until the other side takes no more */
        sent += pour(t.left, PIECE);
        loop_turn(0);
        held = t.relay.out.held.bytes;
    }
    ok(held > 0 && held <= 1000 && t.relay.out.chunk && t.relay.out.chunk->size <= 1000, "a buffer of 1000 bytes: %zu were held", held);
    for (unsigned turns = 0; came < sent && turns < 100000; turns++) {
        loop_turn(0);
        came += drain(t.right);
    }
    ok(came == sent, "all %zu bytes came", sent);
    finish(&t);
}

int main(void)
{
    if (!loop_open(16)) return 1;
    is_fair();
    is_exact();
    keeps_its_size();
    return done();
}
