#include "upstream/connect.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void tell(struct connect *c, enum connect_end how, int error)
{
    c->active = false;
    if (how != CONNECT_DONE) conn_close(&c->conn);
    else timer_stop(&c->conn->timer);
    c->done(c, how, error);
}

static void ready(struct conn *conn, unsigned what)
{
    struct connect *c = conn->owner;
    if (what & CONN_TIMEOUT) {
        tell(c, CONNECT_TIMEOUT, ETIMEDOUT);
        return;
    }
    int error = conn_connected(conn);
    if (error == EINPROGRESS) return;
    tell(c, error ? CONNECT_FAILED : CONNECT_DONE, error);
}

static void fail_later(struct task *t)
{
    struct connect *c = container_of(t, struct connect, task);
    tell(c, CONNECT_FAILED, c->error);
}

void connect_start(struct connect *c, const struct connect_want *w)
{
    ASSERT(!c->active);
    c->active = true;
    c->task.run = fail_later;
    struct conn_start how = { .from = w->from && w->from->family != AF_UNSPEC ? w->from : NULL, .transparent = w->transparent, .sndbuf = w->sndbuf, .rcvbuf = w->rcvbuf };
    c->conn = conn_connect(w->to, &how, w->log, &c->error);
    if (!c->conn) {
        task_post(&c->task);
        return;
    }
    c->conn->owner = c;
    c->conn->ready = ready;
    if (w->keepalive && w->to->family != AF_UNIX) setsockopt(c->conn->fd, SOL_SOCKET, SO_KEEPALIVE, &(int) { 1 }, sizeof(int));
    if (w->timeout_ms) timer_set(&c->conn->timer, w->timeout_ms);
}

void connect_cancel(struct connect *c)
{
    if (!c->active) return;
    c->active = false;
    task_cancel(&c->task);
    conn_close(&c->conn);
}
