/* watch: descriptors that are not connections. */
#include "event/turn.h"

bool watch_add(struct watch *w, uint32_t events)
{
    ASSERT(w->fd >= 0 && w->ready != NULL);
    return epoll_add_watch(w, events);
}

void watch_remove(struct watch *w)
{
    epoll_forget_watch(w);
}
