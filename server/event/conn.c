/*
 * conn: connected sockets. What the kernel said is kept in readable, writable and hangup; handlers are told what is new.
 * A conn that was closed stays in memory until the turn ends, with fd -1.
 */
#include "event/turn.h"
#include "base/cell.h"
#include "os/metrics.h"
#include "os/socket.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CONN_ENDED = 0x434f4e00 };   /* magic of a closed conn */

struct conn_figures conn_figures;

static struct cells  cells = CELLS(struct conn);
static struct conn_list { struct conn *first, *last; } lists[3];      /* by enum conn_place */
static struct conn  *closed;                 /* by next */
static struct conn **wakes;
static size_t        wake_count, wake_cap;
static uint64_t      last_number;
static time_t        said;                   /* second of the last line about connections running short */

/* ---- plain sockets ---- */

static struct io_done recv_plain(struct conn *c, char *room, size_t size)
{
    ssize_t n;
    do n = recv(c->fd, room, size, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->received += (size_t) n;
        if ((size_t) n < size && !c->hangup) c->readable = c->wire = 0;     /* after a hangup the end is still to be read */
        return (struct io_done) { IO_OK, (size_t) n };
    }
    if (n == 0) return (struct io_done) { size ? IO_EOF : IO_OK, 0 };
    if (errno == EAGAIN) {
        c->readable = c->wire = 0;
        return (struct io_done) { IO_AGAIN, 0 };
    }
    c->error = errno;
    return (struct io_done) { IO_ERROR, 0 };
}

static void shutdown_plain(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

static void end_plain(struct conn *c)
{
    ASSERT(c->layer == NULL);
}

static bool is_quiet_plain(struct conn *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

const struct conn_ops conn_plain = {
    .name = "plain", .recv = recv_plain, .send = output_plain, .shutdown = shutdown_plain, .is_quiet = is_quiet_plain, .end = end_plain,
};

struct io_done conn_send(struct conn *c, struct chain *out, size_t most)
{
    NEED(c, CONN_MAGIC);
    struct io_done d = { IO_OK, 0 };
    size_t total = 0;
    if (most == 0) most = SIZE_MAX;
    while (out->bytes && total < most && d.how == IO_OK) {
        d = c->ops->send(c, out, most - total);
        chain_skip(out, d.n);
        total += d.n;
    }
    if (out->bytes == 0) chain_clear(out);       /* links that carry only a flush */
    return (struct io_done) { d.how, total };
}

void conn_shutdown(struct conn *c)
{
    NEED(c, CONN_MAGIC);
    c->ops->shutdown(c);
}

bool conn_is_quiet(struct conn *c)
{
    NEED(c, CONN_MAGIC);
    return c->ops->is_quiet(c);
}

struct io_done conn_peek(struct conn *c, char *room, size_t size)
{
    ssize_t n;
    NEED(c, CONN_MAGIC);
    ASSERT(c->ops == &conn_plain);
    do n = recv(c->fd, room, size, MSG_PEEK);
    while (n < 0 && errno == EINTR);
    if (n > 0) return (struct io_done) { IO_OK, (size_t) n };
    if (n == 0) return (struct io_done) { IO_EOF, 0 };
    if (errno == EAGAIN) return (struct io_done) { IO_AGAIN, 0 };
    c->error = errno;
    return (struct io_done) { IO_ERROR, 0 };
}

struct addr conn_original(struct conn *c)
{
    struct addr a;
    NEED(c, CONN_MAGIC);
    return socket_original(c->fd, &a) ? a : addr_unmapped(conn_local(c));
}

const struct addr *conn_local(struct conn *c)
{
    NEED(c, CONN_MAGIC);
    if (c->local.family == AF_UNSPEC) {
        struct sockaddr_storage room;
        socklen_t len = sizeof(room);
        if (getsockname(c->fd, (struct sockaddr *) &room, &len) == 0)
            addr_from_sockaddr(&c->local, (struct sockaddr *) &room, len);
    }
    return &c->local;
}

void conn_set_nodelay(struct conn *c, bool on)
{
    NEED(c, CONN_MAGIC);
    if (c->nodelay == on || (c->peer.family != AF_INET && c->peer.family != AF_INET6)) return;
    int value = on;
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)) != 0)
        log_at(c->log, L_INFO, &c->about, errno, "setsockopt(TCP_NODELAY) failed");
    c->nodelay = on;
}

/* ---- idle ones, and room ---- */

static void enlist(struct conn *c, enum conn_place place)
{
    struct conn_list *l = &lists[place];
    c->place = place & 3;
    c->prev = NULL;
    c->next = l->first;
    if (l->first) l->first->prev = c;
    else l->last = c;
    l->first = c;
    if (place == CONN_IDLE) conn_figures.idle++;
}

static void delist(struct conn *c)
{
    struct conn_list *l = &lists[c->place];
    if (c->prev) c->prev->next = c->next;
    else l->first = c->next;
    if (c->next) c->next->prev = c->prev;
    else l->last = c->prev;
    c->prev = c->next = NULL;
    if (c->place == CONN_IDLE) conn_figures.idle--;
}

void conn_set_idle(struct conn *c, bool idle)
{
    enum conn_place place = idle ? CONN_IDLE : CONN_BUSY;
    NEED(c, CONN_MAGIC);
    if (c->place == place || c->place == CONN_CUT) return;
    delist(c);
    enlist(c, place);
}

bool conn_reap(void)
{
    struct conn *c = lists[CONN_IDLE].last;
    if (!c) return false;
    conn_set_idle(c, false);
    c->timedout = 1;
    c->ready(c, CONN_TIMEOUT);
    return true;
}

/* Handlers may close any conn, so each time the list is looked at anew. */
static void cut_list(enum conn_place from)
{
    for (struct conn *c; (c = lists[from].first) != NULL;) {
        delist(c);
        enlist(c, CONN_CUT);
        c->timedout = 1;
        if (c->listener) c->ready(c, CONN_TIMEOUT);
    }
}

void conn_cut_all(void)
{
    cut_list(CONN_IDLE);
    cut_list(CONN_BUSY);
}

static void say_short(const char *what)
{
    if (said == clock_now.wall) return;
    said = clock_now.wall;
    log_at(log_main, L_WARN, NULL, 0, "%u worker_connections are not enough%s", conn_figures.most, what);
}

bool conn_make_room(void)
{
    unsigned left = conn_figures.most - min_of(conn_figures.open, conn_figures.most);
    if (left > conn_figures.most / 16) return true;
    if (conn_figures.idle) {
        say_short(", reusing connections");
        for (unsigned n = max_of(min_of(conn_figures.idle / 8, 32u), 1u); n; n--)
            if (!conn_reap()) break;
    }
    if (conn_figures.open < conn_figures.most) return true;
    say_short("");
    return false;
}

/* ---- the beginning ---- */

static void fire_timer(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, timer);
    c->ready(c, CONN_TIMEOUT);
}

struct conn *conn_open(int fd, const struct log *log)
{
    if (!conn_make_room()) {
        close(fd);
        return NULL;
    }
    struct conn *c = cell_take(&cells);
    c->magic = CONN_MAGIC;
    c->fd = fd;
    c->ops = &conn_plain;
    c->timer.fire = fire_timer;
    c->log = log;
    c->about.number = ++last_number;
    c->started_ms = clock_now.ms;
    c->writable = 1;
    if (!epoll_add_conn(c)) {
        close(fd);
        cell_give(&cells, c);
        return NULL;
    }
    conn_figures.open++;
    enlist(c, CONN_BUSY);
    return c;
}

static bool bind_from(int fd, const struct addr *from, bool transparent, const struct log *log)
{
    int on = 1;
    struct sockaddr_storage room;
    socklen_t len = addr_sockaddr(from, &room);
    bool inet = from->family == AF_INET;
    if (transparent && setsockopt(fd, inet ? IPPROTO_IP : IPPROTO_IPV6, inet ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)) != 0) {
        log_at(log, L_ERR, NULL, errno, "setsockopt(IP_TRANSPARENT) failed");
        return false;
    }
    /* the port is chosen by connect, so that one local port serves many destinations */
    if (from->family != AF_UNIX && addr_port(from) == 0)
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *) &room, len) == 0) return true;
    int err = errno;
    log_at(log, L_CRIT, NULL, err, "bind() failed");
    errno = err;
    return false;
}

static int open_socket(sa_family_t family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && conn_reap())
        fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd;
}

/* Before connect: it tells the other side how far the window may grow. */
static void set_buffers(int fd, const struct conn_start *how)
{
    if (how->sndbuf) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &how->sndbuf, sizeof(how->sndbuf));
    if (how->rcvbuf) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &how->rcvbuf, sizeof(how->rcvbuf));
}

/* The socket on its way, or -1 with errno. */
static int start_connect(const struct addr *to, const struct conn_start *how, const struct log *log)
{
    struct sockaddr_storage room;
    socklen_t len = addr_sockaddr(to, &room);
    int fd = open_socket(to->family);
    if (fd < 0) return -1;
    if (how) set_buffers(fd, how);
    if ((!how || !how->from || bind_from(fd, how->from, how->transparent, log))
        && (connect(fd, (struct sockaddr *) &room, len) == 0 || errno == EINPROGRESS)) return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

struct conn *conn_connect(const struct addr *to, const struct conn_start *how, const struct log *log, int *error_out)
{
    *error_out = EMFILE;
    if (!conn_make_room()) return NULL;
    int fd = start_connect(to, how, log);
    if (fd < 0) {
        *error_out = errno;
        return NULL;
    }
    struct conn *c = conn_open(fd, log);
    if (!c) return NULL;
    c->peer = *to;
    c->connecting = 1;      /* a socket that is connected already is writable: epoll tells it in the next turn */
    c->writable = 0;
    return c;
}

int conn_connected(struct conn *c)
{
    NEED(c, CONN_MAGIC);
    if (c->connecting) return EINPROGRESS;
    if (c->refused) {
        socklen_t len = sizeof(c->error);
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->error, &len) != 0) c->error = errno;
        c->refused = 0;
    }
    return c->error;
}

/* ---- the end ---- */

void conn_close(struct conn **conn)
{
    struct conn *c = *conn;
    *conn = NULL;
    if (!c) return;
    NEED(c, CONN_MAGIC);
    delist(c);
    timer_end(&c->timer);
    c->ops->end(c);
    close(c->fd);
    c->fd = -1;
    c->magic = CONN_ENDED;
    c->next = closed;
    closed = c;
    conn_figures.open--;
    if (c->listener) metrics_add(METRIC_CONNECTIONS_ACTIVE, -1);
    accept_room();
}

void conn_reset(struct conn **conn)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    if (*conn) setsockopt((*conn)->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    conn_close(conn);
}

/* Wakes asked for by handlers of the last wakes and tasks are for the next turn: those of closed conns go. */
static void forget_wakes(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < wake_count; i++)
        if (wakes[i]->fd >= 0) wakes[kept++] = wakes[i];
    wake_count = kept;
}

void conn_free_closed(void)
{
    if (!closed) return;
    forget_wakes();
    while (closed) {
        struct conn *c = closed;
        closed = c->next;
        cell_give(&cells, c);
    }
}

/* ---- what the loop says ---- */

/* Edges repeat what is known (an arriving byte also says writable, a half-closed peer says so at every edge): the handler
 * is told what is news. */
void conn_event(struct conn *c, uint32_t events)
{
    if (c->fd < 0) return;      /* closed earlier in this batch */
    unsigned what = 0;
    bool broken = events & (EPOLLHUP | EPOLLERR), hangup = broken || (events & EPOLLRDHUP);
    if (hangup || (events & EPOLLIN)) {
        if (!c->readable || !c->hangup || broken) what |= CONN_READ;
        c->readable = c->wire = 1;
        c->hangup |= hangup;
    }
    if ((broken || (events & EPOLLOUT)) && !c->writable) {
        c->writable = 1;
        what |= CONN_WRITE;
        if (c->ops->flush) c->ops->flush(c);
    }
    if (c->connecting && (what & CONN_WRITE)) {
        c->connecting = 0;
        c->refused = broken;
    }
    if (what) c->ready(c, what);
}

void conn_wake(struct conn *c, unsigned what)
{
    NEED(c, CONN_MAGIC);
    if (!c->wake) {
        if (wake_count == wake_cap) {
            wake_cap = wake_cap ? wake_cap * 2 : 32;
            wakes = base_realloc(wakes, wake_cap * sizeof(*wakes));
        }
        wakes[wake_count++] = c;
    }
    c->wake |= what & 7;
}

bool conn_any_wake(void)
{
    return wake_count != 0;
}

void conn_run_wakes(void)
{
    size_t now = wake_count;
    for (size_t i = 0; i < now; i++) {
        struct conn *c = wakes[i];
        unsigned what = c->wake;
        c->wake = 0;
        if (c->fd >= 0) c->ready(c, what);
    }
    if (!now) return;
    wake_count -= now;
    memmove(wakes, wakes + now, wake_count * sizeof(*wakes));
}

void conn_init(unsigned most)
{
    conn_figures = (struct conn_figures) { .most = most };
}

void conn_shut_down(void)
{
    free(wakes);
    wakes = NULL;
    wake_count = wake_cap = 0;
}
