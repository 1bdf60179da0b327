/*
 * accept: from a listening socket to conns. A listener that cannot take one more stops listening to its socket, so that the
 * kernel keeps the queue, and begins again when a connection was closed or half a second went by.
 */
#include "event/turn.h"
#include "os/metrics.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { A_TURN = 512, PAUSE_MS = 500 };      /* most accepted from one socket in one turn */

static struct listener *paused;             /* by paused_next */
static time_t           said;               /* second of the last line about running short */
static void resume_task(struct task *t);
static void resume_timer(struct timer *t);
static struct task  resume_soon = { .run = resume_task };
static struct timer resume_late = { .fire = resume_timer };

/* ---- pausing ---- */

static void pause_listener(struct listener *l)
{
    if (!l->accepting || l->paused) return;
    watch_remove(&l->watch);
    l->paused = true;
    l->paused_next = paused;
    paused = l;
    timer_set(&resume_late, PAUSE_MS);
}

static bool listen_again(struct listener *l)
{
    /* where several workers share one socket, a connection wakes one of them */
    return watch_add(&l->watch, EPOLLIN | EPOLLEXCLUSIVE);
}

static void resume_all(void)
{
    struct listener *l = paused;
    paused = NULL;
    timer_stop(&resume_late);
    for (struct listener *next; l; l = next) {
        next = l->paused_next;
        l->paused = false;
        l->paused_next = NULL;
        if (!listen_again(l)) pause_listener(l);
    }
}

static void resume_task(struct task *t)
{
    (void) t;
    resume_all();
}

static void resume_timer(struct timer *t)
{
    (void) t;
    resume_all();
}

void accept_room(void)
{
    if (unlikely(paused != NULL)) task_post(&resume_soon);
}

void accept_close(void)
{
    paused = NULL;
    task_cancel(&resume_soon);
    timer_end(&resume_late);
}

/* ---- accepting ---- */

enum taken { TAKEN, EMPTY, FAILED_ONE, SHORT };

static enum taken explain(struct listener *l, int err)
{
    switch (err) {
    case EAGAIN:
        return EMPTY;
    case EINTR:
        return FAILED_ONE;
    /* accept(2): errors of the network that belong to the connection that was waiting */
    case ECONNABORTED: case EPROTO: case EPERM: case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN: case ENONET:
    case EHOSTUNREACH: case EOPNOTSUPP: case ENETUNREACH: case ETIMEDOUT:
        log_at(l->log, L_ERR, NULL, err, "accept4() failed");
        return FAILED_ONE;
    default:
        if (said != clock_now.wall) log_at(l->log, L_CRIT, NULL, err, "accept4() failed");
        said = clock_now.wall;
        return SHORT;
    }
}

static int accept_fd(int fd, struct sockaddr_storage *from, socklen_t *len)
{
    *len = sizeof(*from);
    int got = accept4(fd, (struct sockaddr *) from, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (got >= 0 || (errno != EMFILE && errno != ENFILE) || !conn_reap()) return got;
    *len = sizeof(*from);
    return accept4(fd, (struct sockaddr *) from, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static enum taken take_one(struct listener *l, int fd)
{
    struct sockaddr_storage from;
    socklen_t len;
    if (!conn_make_room()) return SHORT;
    int got = accept_fd(fd, &from, &len);
    if (got < 0) return explain(l, errno);
    conn_figures.accepted++;
    metrics_add(METRIC_CONNECTIONS_ACCEPTED, 1);
    struct conn *c = conn_open(got, l->log);
    if (!c) return SHORT;
    conn_figures.handled++;
    metrics_add(METRIC_CONNECTIONS_HANDLED, 1);
    metrics_add(METRIC_CONNECTIONS_ACTIVE, 1);
    addr_from_sockaddr(&c->peer, (struct sockaddr *) &from, len);
    c->listener = l;
    c->nodelay = 1;                 /* inherited: accept_start */
    c->readable = c->wire = l->deferred;      /* else the first edge tells */
    l->accepted(c);
    return TAKEN;
}

bool accept_take(struct listener *l, int fd, unsigned most)
{
    NEED(l, LISTENER_MAGIC);
    while (most--) {
        enum taken t = take_one(l, fd);
        if (t == EMPTY) return false;
        if (t == SHORT) {
            pause_listener(l);
            return false;
        }
    }
    return true;
}

static void accept_ready(struct watch *w, uint32_t events)
{
    (void) events;
    struct listener *l = container_of(w, struct listener, watch);
    accept_take(l, w->fd, l->multi ? A_TURN : 1);
}

bool accept_start(struct listener *l, int fd, bool multi)
{
    NEED(l, LISTENER_MAGIC);
    ASSERT(l->type == SOCK_STREAM && l->accepted != NULL && !l->accepting);
    int on = 1;
    if (l->addr.family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        log_at(l->log, L_WARN, NULL, errno, "setsockopt(TCP_NODELAY) of a listening socket failed");
    l->watch = (struct watch) { .fd = fd, .ready = accept_ready };
    l->multi = multi;
    l->paused = false;
    l->accepting = listen_again(l);
    return l->accepting;
}

void accept_stop(struct listener *l)
{
    NEED(l, LISTENER_MAGIC);
    if (!l->accepting) return;
    l->accepting = false;
    if (!l->paused) {
        watch_remove(&l->watch);
        return;
    }
    struct listener **at = &paused;
    while (*at != l) at = &(*at)->paused_next;
    *at = l->paused_next;
    l->paused = false;
}
