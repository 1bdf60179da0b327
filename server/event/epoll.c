/*
 * epoll: who is told of what. A conn is registered once, for everything, edge-triggered; a watch level-triggered.
 * The kernel's word for either is its address, with the lowest bit set for a watch.
 */
#include "event/turn.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BATCH = 512 };

static int                 poll_fd = -1;
static struct epoll_event  batch[BATCH];
static int                 batch_at, batch_count;

static void *tag_watch(struct watch *w)
{
    return (char *) w + 1;
}

bool epoll_open(void)
{
    ASSERT(poll_fd < 0);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll_fd < 0) log_at(log_main, L_EMERG, NULL, errno, "epoll_create1() failed");
    return poll_fd >= 0;
}

void epoll_close(void)
{
    if (poll_fd >= 0) close(poll_fd);
    poll_fd = -1;
    batch_at = batch_count = 0;
}

static bool add(int fd, uint32_t events, void *who, const struct log *log)
{
    struct epoll_event e = { .events = events, .data.ptr = who };
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) == 0) return true;
    log_at(log, L_CRIT, NULL, errno, "epoll_ctl(EPOLL_CTL_ADD, %d) failed", fd);
    return false;
}

bool epoll_add_conn(struct conn *c)
{
    return add(c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, c, c->log);
}

bool epoll_add_watch(struct watch *w, uint32_t events)
{
    return add(w->fd, events, tag_watch(w), log_main);
}

/* Also out of the rest of this batch. A conn needs no such thing: it is known by its fd of -1 until the turn ends. */
void epoll_forget_watch(struct watch *w)
{
    struct epoll_event none = { .events = 0 };
    epoll_ctl(poll_fd, EPOLL_CTL_DEL, w->fd, &none);
    for (int i = batch_at; i < batch_count; i++)
        if (batch[i].data.ptr == tag_watch(w)) batch[i].data.ptr = NULL;
}

void epoll_poll(int ms)
{
    int n = loop_signals ? epoll_pwait(poll_fd, batch, BATCH, ms, loop_signals) : epoll_wait(poll_fd, batch, BATCH, ms);
    if (n < 0) {
        int err = errno;
        if (err != EINTR) log_at(log_main, L_ALERT, NULL, err, "epoll_wait() failed");
        ASSERT(err == EINTR);
        n = 0;
    }
    batch_at = 0;
    batch_count = n;
}

void epoll_handle(void)
{
    while (batch_at < batch_count) {
        struct epoll_event *e = &batch[batch_at++];
        char *who = e->data.ptr;
        if (who == NULL) continue;
        if ((uintptr_t) who & 1) {
            struct watch *w = (struct watch *) (void *) (who - 1);
            w->ready(w, e->events);
        } else {
            conn_event((struct conn *) (void *) who, e->events);
        }
    }
}
