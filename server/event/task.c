/* task: things to run at the end of the turn, in the order they were posted. */
#include "event/turn.h"

static struct task posted = { &posted, &posted, NULL };

static void unlink_task(struct task *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = t->prev = NULL;
}

static void append(struct task *list, struct task *t)
{
    t->prev = list->prev;
    t->next = list;
    list->prev->next = t;
    list->prev = t;
}

void task_post(struct task *t)
{
    ASSERT(t->run != NULL);
    if (!task_is_posted(t)) append(&posted, t);
}

void task_cancel(struct task *t)
{
    if (task_is_posted(t)) unlink_task(t);
}

bool task_any(void)
{
    return posted.next != &posted;
}

/* A mark ends this turn's share: what tasks post stands behind it. Tasks may cancel any other. */
void task_run(void)
{
    if (!task_any()) return;
    struct task mark = { NULL, NULL, NULL };
    append(&posted, &mark);
    while (posted.next != &mark) {
        struct task *t = posted.next;
        unlink_task(t);
        t->run(t);
    }
    unlink_task(&mark);
}

void task_close(void)
{
    while (task_any()) unlink_task(posted.next);
}
