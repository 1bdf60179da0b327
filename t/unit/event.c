/* the loop, connections, accepting: over socket pairs and loopback, by a clock that stands still where time matters. */
#include "event/event.h"
#include "t/unit/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

static struct log quiet = { NULL, L_STDERR };

/* ---- what handlers saw ---- */

static unsigned told;
static struct conn *told_conn;
static unsigned calls;

static void note(struct conn *c, unsigned what) { told |= what; told_conn = c; calls++; }

static struct conn *pair(int *far_end)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) abort();
    struct conn *c = conn_open(fds[0], &quiet);
    if (c) c->ready = note;
    *far_end = fds[1];
    return c;
}

static void turn(void)
{
    told = calls = 0;
    told_conn = NULL;
    loop_turn(0);
}

static void put_bytes(int fd, const char *bytes, size_t n)
{
    if (write(fd, bytes, n) != (ssize_t) n) abort();
}

/* ---- tests ---- */

static void test_reading(void)
{
    int far_end;
    char room[8];
    struct conn *c = pair(&far_end);
    turn();
    is_int(calls, 0, "a new connection that says nothing: nothing is told");
    put_bytes(far_end, "0123456789", 10);
    turn();
    ok(told == CONN_READ && c->readable, "bytes came");
    struct io_done d = conn_recv(c, room, 8);
    ok(d.how == IO_OK && d.n == 8 && c->readable, "a full read leaves readable");
    turn();
    is_int(calls, 0, "an edge does not come again");
    conn_wake(c, CONN_READ);
    conn_wake(c, CONN_WRITE);
    turn();
    ok(told == (CONN_READ | CONN_WRITE) && calls == 1, "a wake does");
    d = conn_recv(c, room, 8);
    ok(d.how == IO_OK && d.n == 2 && !c->readable, "a short read clears it");
    d = conn_recv(c, room, 8);
    ok(d.how == IO_AGAIN && d.n == 0, "nothing there");
    is_int(c->received, 10, "counted");
    ok(conn_is_quiet(c), "quiet");
    put_bytes(far_end, "x", 1);
    ok(!conn_is_quiet(c), "not quiet: a byte");
    shutdown(far_end, SHUT_WR);
    turn();
    ok(told == CONN_READ && c->hangup, "the other side ended");
    d = conn_recv(c, room, 8);
    ok(d.how == IO_OK && d.n == 1 && c->readable, "a short read before the end leaves readable");
    d = conn_recv(c, room, 8);
    ok(d.how == IO_EOF && c->readable, "the end");
    ok(!conn_is_quiet(c), "not quiet: ended");
    conn_shutdown(c);
    is_int(read(far_end, room, 8), 0, "our end");
    conn_close(&c);
    ok(c == NULL, "closed");
    conn_close(&c);
    turn();
    is_int(conn_figures.open, 0, "none open");
    close(far_end);
}

/* Two connections with bytes; whoever is told first closes the other (and itself). */
static struct conn *two[2];
static int two_far[2];

static void close_both(struct conn *c, unsigned what)
{
    (void) c, (void) what;
    calls++;
    conn_close(&two[0]);
    conn_close(&two[1]);
}

static void test_close_in_batch(void)
{
    for (int i = 0; i < 2; i++) {
        two[i] = pair(&two_far[i]);
        two[i]->ready = close_both;
        put_bytes(two_far[i], "x", 1);
        conn_wake(two[i], CONN_READ);
    }
    turn();
    is_int(calls, 1, "closed earlier in the same batch: not told, nor woken");
    is_int(conn_figures.open, 0, "both closed");
    turn();
    is_int(calls, 0, "nor later");
    close(two_far[0]);
    close(two_far[1]);
}

/* Asked for within a wake: next turn; closed before it comes: not at all. */
static void wake_again(struct conn *c, unsigned what)
{
    (void) what;
    calls++;
    conn_wake(c, CONN_READ);
    if (calls == 1) return;
    conn_close(&two[0]);
}

static void test_wakes(void)
{
    int far_end;
    two[0] = pair(&far_end);
    two[0]->ready = wake_again;
    turn();
    conn_wake(two[0], CONN_READ);
    turn();
    is_int(calls, 1, "a wake within a wake is for the next turn");
    calls = 1;
    loop_turn(-1);
    is_int(calls, 2, "which does not sleep");
    turn();
    is_int(calls, 0, "closed after asking: not woken");
    close(far_end);
}

static char trace[64];
static struct task tasks[4];
static void run_task(struct task *t) { size_t n = strlen(trace); trace[n] = (char) ('a' + (t - tasks)); trace[n + 1] = 0; }
static void run_more(struct task *t) { run_task(t); task_post(&tasks[0]); task_cancel(&tasks[2]); task_post(t); }
static void free_note(void *p) { size_t n = strlen(trace); trace[n] = *(char *) p; trace[n + 1] = 0; }

static void test_tasks(void)
{
    static char mark = '!';
    for (unsigned i = 0; i < 4; i++) tasks[i].run = run_task;
    tasks[1].run = run_more;
    task_post(&tasks[1]);
    task_post(&tasks[2]);
    task_post(&tasks[3]);
    task_post(&tasks[3]);
    loop_free_later(free_note, &mark);
    turn();
    is_str(trace, "bd!", "in order, each once; cancelled by another: not; frees last");
    ok(task_is_posted(&tasks[0]) && !task_is_posted(&tasks[2]), "posted for the next turn");
    task_cancel(&tasks[1]);
    loop_turn(-1);
    is_str(trace, "bd!a", "a task of a task: the next turn, which does not sleep");
}

static struct watch watched[2];
static void watch_ready(struct watch *w, uint32_t events)
{
    (void) w, (void) events;
    calls++;
    for (int i = 0; i < 2; i++) {
        watch_remove(&watched[i]);
        close(watched[i].fd);
        memset(&watched[i], 0, sizeof(watched[i]));
    }
}

static unsigned polls;
static void count_poll(void) { polls++; }

static void test_watches(void)
{
    for (int i = 0; i < 2; i++) {
        watched[i] = (struct watch) { eventfd(1, EFD_NONBLOCK), watch_ready };
        ok(watch_add(&watched[i], EPOLLIN), "watched");
    }
    loop_after_poll = count_poll;
    turn();
    is_int(calls, 1, "removed by the first of a batch: not told");
    is_int(polls, 1, "the process layer looked once");
    loop_after_poll = NULL;
    turn();
    is_int(calls, 0, "nor later");
}

static void test_timeout(void)
{
    int far_end;
    struct conn *c = pair(&far_end);
    clock_fake(5000, 5000);
    turn();
    timer_set(&c->timer, 30);
    clock_fake(5029, 5029);
    turn();
    is_int(calls, 0, "not yet");
    timer_set(&c->timer, 10);
    clock_fake(5030, 5030);
    turn();
    is_int(calls, 0, "set later");
    clock_fake(5039, 5039);
    turn();
    ok(told == CONN_TIMEOUT && !c->timedout, "now");
    timer_set(&c->timer, 10);
    conn_close(&c);
    clock_fake(6000, 6000);
    turn();
    is_int(calls, 0, "closed: the timer is gone");
    clock_real();
    turn();
    close(far_end);
}

/* ---- listening and connecting ---- */

static int listen_on(struct addr *addr_out)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &in, len) != 0 || listen(fd, 64) != 0) abort();
    getsockname(fd, (struct sockaddr *) &in, &len);
    addr_from_sockaddr(addr_out, (struct sockaddr *) &in, len);
    return fd;
}

static struct conn *taken[64];
static unsigned taken_count;

static void close_told(struct conn *c, unsigned what)
{
    calls++;
    told |= what;
    told_conn = c;
    if (!(what & CONN_TIMEOUT)) return;
    for (unsigned i = 0; i < taken_count; i++) if (taken[i] == c) taken[i] = NULL;
    conn_close(&c);
}

static void take(struct conn *c)
{
    c->ready = close_told;
    taken[taken_count++] = c;
}

static void close_taken(void)
{
    for (unsigned i = 0; i < taken_count; i++) conn_close(&taken[i]);
    taken_count = 0;
    turn();
}

/* Turns until check holds, at most a few seconds. */
#define until(check) ({ unsigned left_ = 500; while (!(check) && left_--) loop_turn(10); (check); })

static int client_of(const struct addr *to)
{
    struct sockaddr_storage room;
    socklen_t len = addr_sockaddr(to, &room);
    int fd = socket(to->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &room, len) != 0) abort();
    return fd;
}

static void test_connect(void)
{
    struct listener l = { .magic = LISTENER_MAGIC, .type = SOCK_STREAM, .accepted = take, .log = &quiet };
    int fd = listen_on(&l.addr), err = 0;
    l.addr.family = AF_INET;
    ok(accept_start(&l, fd, true), "listening");
    struct conn *c = conn_connect(&l.addr, NULL, &quiet, &err);
    ok(c && c->connecting && conn_connected(c) == EINPROGRESS, "connecting");
    c->ready = note;
    told = 0;
    ok(until(told && taken_count), "connected");
    ok(told == CONN_WRITE && conn_connected(c) == 0 && c->writable && !c->hangup, "and writable");
    ok(taken_count == 1 && taken[0]->listener == &l && taken[0]->nodelay, "accepted, TCP_NODELAY inherited");
    int on = 0;
    socklen_t len = sizeof(on);
    getsockopt(taken[0]->fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, &len);
    ok(on, "the kernel says so too");
    ok(addr_eq(&taken[0]->peer, conn_local(c)) && addr_eq(conn_local(taken[0]), &l.addr), "both know each other");
    ok(!c->nodelay, "our own side has it not");
    conn_set_nodelay(c, true);
    ok(c->nodelay, "until asked");
    told = 0;
    conn_reset(&taken[0]);
    ok(until(told & CONN_READ), "reset");
    char byte;
    ok(conn_recv(c, &byte, 1).how == IO_ERROR && c->error == ECONNRESET, "is an error for the other side");
    conn_close(&c);
    accept_stop(&l);
    close(fd);
    taken_count = 0;

    c = conn_connect(&l.addr, NULL, &quiet, &err);
    if (c) {
        c->ready = note;
        told = 0;
        ok(until(told & CONN_WRITE), "nobody listens: told");
        err = conn_connected(c);
        is_int(conn_connected(c), ECONNREFUSED, "and told again when asked again");
        conn_close(&c);
    }
    is_int(err, ECONNREFUSED, "refused");
    struct addr from = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) } };
    ok(!conn_connect(&l.addr, &(struct conn_start) { .from = &from }, &quiet, &err) && err == EADDRNOTAVAIL, "bound to an address that is not ours");
    turn();
}

static void test_unix_connect(void)
{
    struct sockaddr_un_ { sa_family_t family; char path[108]; } un = { AF_UNIX, "" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), err;
    snprintf(un.path, sizeof(un.path), "/tmp/weir-unit-%d.sock", (int) getpid());
    unlink(un.path);
    if (bind(fd, (struct sockaddr *) &un, sizeof(un)) != 0 || listen(fd, 5) != 0) abort();
    struct addr to = { .un = { AF_UNIX, un.path } };
    struct conn *c = conn_connect(&to, NULL, &quiet, &err);
    ok(c != NULL, "connected at once");
    c->ready = note;
    turn();
    ok(told == CONN_WRITE && conn_connected(c) == 0, "is told in the next turn");
    conn_close(&c);
    turn();
    close(fd);
    unlink(un.path);
}

static void test_room(void)
{
    loop_close();
    ok(loop_open(8), "room for 8");
    struct listener l = { .magic = LISTENER_MAGIC, .type = SOCK_STREAM, .accepted = take, .log = &quiet };
    int fd = listen_on(&l.addr), clients[12];
    accept_start(&l, fd, true);
    for (unsigned i = 0; i < 12; i++) clients[i] = client_of(&l.addr);
    ok(until(taken_count == 8), "8 accepted");
    turn();
    is_int(taken_count, 8, "not more");
    ok(l.paused, "it pauses");
    is_int(conn_figures.accepted, 8, "the kernel keeps the others");
    struct addr to = l.addr;
    int err = 0;
    ok(!conn_connect(&to, NULL, &quiet, &err) && err == EMFILE, "nor can we connect");
    conn_set_idle(taken[3], true);
    conn_set_idle(taken[5], true);
    conn_set_idle(taken[4], true);
    conn_set_idle(taken[5], false);
    conn_set_idle(taken[5], true);
    is_int(conn_figures.idle, 3, "3 idle");
    struct conn *oldest = taken[3];
    told = 0;
    struct conn *c = conn_connect(&to, NULL, &quiet, &err);
    ok(c && told == CONN_TIMEOUT && told_conn == oldest && taken[3] == NULL, "the one idle longest made room for it");
    c->ready = note;
    ok(until(taken_count == 10), "accepting began again, as long as idle ones make room");
    ok(taken[4] == NULL && taken[5] == NULL && conn_figures.idle == 0, "the others, oldest first");
    is_int(conn_figures.open, 8, "8 open");
    ok(l.paused, "paused again");
    accept_stop(&l);
    conn_close(&c);
    turn();
    is_int(taken_count, 10, "stopped while paused: stays stopped");
    accept_start(&l, fd, false);
    ok(until(taken_count == 11), "started anew");
    for (unsigned i = 0; i < 12; i++) close(clients[i]);
    accept_stop(&l);
    close_taken();
    close(fd);
}

static void test_descriptors(void)
{
    struct rlimit was, few;
    struct listener l = { .magic = LISTENER_MAGIC, .type = SOCK_STREAM, .accepted = take, .log = &quiet };
    int fd = listen_on(&l.addr), client = client_of(&l.addr), far_end;
    getrlimit(RLIMIT_NOFILE, &was);
    int next = dup(0);
    close(next);
    struct conn *idle = pair(&far_end);
    few = was;
    few.rlim_cur = (rlim_t) (far_end > next + 1 ? far_end : next + 1) + 1;
    setrlimit(RLIMIT_NOFILE, &few);
    clock_fake(1000, 1000);
    loop_turn(0);
    accept_start(&l, fd, true);
    loop_turn(0);
    ok(taken_count == 0 && l.paused, "no descriptor: pauses");
    clock_fake(1499, 1499);
    loop_turn(0);
    ok(l.paused, "for half a second");
    idle->ready = close_told;
    conn_set_idle(idle, true);
    clock_fake(1500, 1500);
    loop_turn(0);
    ok(!l.paused, "then tries again");
    clock_real();
    ok(until(taken_count == 1) && calls, "an idle connection gives its descriptor");
    setrlimit(RLIMIT_NOFILE, &was);
    accept_stop(&l);
    close_taken();
    close(client);
    close(far_end);
    close(fd);
}

int main(void)
{
    if (!loop_open(512)) return 1;
    diag("a conn is %zu bytes, a timer %zu", sizeof(struct conn), sizeof(struct timer));
    test_reading();
    test_close_in_batch();
    test_wakes();
    test_tasks();
    test_watches();
    test_timeout();
    test_connect();
    test_unix_connect();
    test_room();
    test_descriptors();
    is_int(conn_figures.open, 0, "none left open");
    loop_close();
    ok(!log_had(L_ALERT), "no [alert]");
    return done();
}
