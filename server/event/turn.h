/* turn: what the parts of the loop say to each other. For files of event only; a test may put its own epoll in place of epoll.c. */
#ifndef EVENT_TURN_H
#define EVENT_TURN_H

#include "event/event.h"

/* timer.c */
int  timer_wait(int most_ms);      /* ms until the first timer may fire, at most most_ms; -1: for ever */
void timer_run(void);              /* fires what is due */
void timer_close(void);            /* forgets all */

/* task.c */
bool task_any(void);
void task_run(void);               /* those posted until now */
void task_close(void);

/* epoll.c */
bool epoll_open(void);
void epoll_close(void);
bool epoll_add_conn(struct conn *c);
bool epoll_add_watch(struct watch *w, uint32_t events);
void epoll_forget_watch(struct watch *w);
void epoll_poll(int ms);           /* waits, keeps the batch */
void epoll_handle(void);           /* tells whom the batch is for */

/* conn.c */
void conn_event(struct conn *c, uint32_t events);
bool conn_any_wake(void);
void conn_run_wakes(void);         /* those asked for until now */
void conn_free_closed(void);
void conn_init(unsigned most);
void conn_shut_down(void);         /* end of the loop: closes nothing, frees its lists */

/* accept.c */
void accept_room(void);            /* a connection was closed */
void accept_close(void);

/* output.c: conn_plain's send. */
struct io_done output_plain(struct conn *c, const struct chain *out, size_t most);

#endif
