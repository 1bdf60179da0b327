#include "t/unit/tap.h"
#include "event/event.h"
#include "event/thread.h"
#include <semaphore.h>

enum { JOBS = 1000 };
struct add { struct thread_job job; int a, b, sum; sem_t *wait; };

static int through;

static void add(struct thread_job *j)
{
    struct add *x = (struct add *) j;
    if (x->wait) sem_wait(x->wait);
    x->sum = x->a + x->b;
}

static void added(struct thread_job *j)
{
    (void) j;
    through++;
}

static void turn_until(int n)
{
    for (int i = 0; i < 10000 && through < n; i++) loop_turn(100);
}

int main(void)
{
    static struct add jobs[JOBS];
    sem_t gate;
    sem_init(&gate, 0, 0);
    ok(loop_open(16), "a loop");
    struct thread_pool *p = thread_pool_get(T("p"), 4, JOBS), *one = thread_pool_get(T("one"), 1, 2);
    ok(thread_pool_get(T("p"), 1, 1) == p && one != p, "a pool is known by its name");
    int posted = 0, right = 0;
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct add) { .job = { .work = add, .done = added }, .a = i, .b = 2 * i };
        posted += thread_post(p, &jobs[i].job);
    }
    is_int(posted, JOBS, "all posted");
    turn_until(JOBS);
    is_int(through, JOBS, "all through");
    for (int i = 0; i < JOBS; i++) right += jobs[i].sum == 3 * i;
    is_int(right, JOBS, "each with its work done");

    through = posted = 0;
    for (int i = 0; i < 10; i++) {
        jobs[i].wait = &gate;
        posted += thread_post(one, &jobs[i].job);
    }
    ok(posted == 2 || posted == 3, "one thread and two places: the rest is refused (%d taken)", posted);
    for (int i = 0; i < posted; i++) sem_post(&gate);
    turn_until(posted);
    is_int(through, posted, "those taken were done");
    loop_close();
    return done();
}
