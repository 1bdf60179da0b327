#include "event/thread.h"
#include "event/event.h"
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job_list { struct thread_job *first, **end; };

struct thread_pool {
    struct thread_pool *next;
    struct text         name;
    unsigned            threads, max_queue;
    pthread_mutex_t     lock;          /* of all below */
    pthread_cond_t      work;
    struct job_list     waiting;
    unsigned            queued, started, idle;
};

static struct thread_pool *pools;

/* Jobs that are through, of all pools. */
static pthread_mutex_t done_lock = PTHREAD_MUTEX_INITIALIZER;
static struct job_list all_done = { NULL, &all_done.first };
static struct watch    done_watch = { .fd = -1 };

static void append(struct job_list *list, struct thread_job *j)
{
    j->next = NULL;
    *list->end = j;
    list->end = &j->next;
}

/* ---- in a thread ---- */

static struct thread_job *next_job(struct thread_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->idle++;
    while (!p->waiting.first) pthread_cond_wait(&p->work, &p->lock);
    p->idle--;
    p->queued--;
    struct thread_job *j = p->waiting.first;
    if (!(p->waiting.first = j->next)) p->waiting.end = &p->waiting.first;
    pthread_mutex_unlock(&p->lock);
    return j;
}

static void hand_back(struct thread_job *j)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&done_lock);
    bool first = !all_done.first;
    append(&all_done, j);
    pthread_mutex_unlock(&done_lock);
    if (first && write(done_watch.fd, &one, sizeof one) < 0) ASSERT(errno == EAGAIN);     /* full: the loop is told already */
}

__attribute__((noreturn)) static void *run(void *arg)
{
    for (;;) {
        struct thread_job *j = next_job(arg);
        j->work(j);
        hand_back(j);
    }
}

/* ---- in the loop ---- */

static void take_back(struct watch *w, uint32_t events)
{
    uint64_t count;
    (void) events;
    if (read(w->fd, &count, sizeof count) < 0) ASSERT(errno == EAGAIN || errno == EINTR);
    pthread_mutex_lock(&done_lock);
    struct thread_job *j = all_done.first, *next;
    all_done = (struct job_list) { NULL, &all_done.first };
    pthread_mutex_unlock(&done_lock);
    for (; j; j = next) {
        next = j->next;
        j->done(j);
    }
}

static bool begin_watch(void)
{
    if (done_watch.fd >= 0) return true;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        log_at(log_main, L_CRIT, NULL, errno, "eventfd() failed");
        return false;
    }
    done_watch = (struct watch) { .fd = fd, .ready = take_back };
    if (watch_add(&done_watch, EPOLLIN)) return true;
    close(fd);
    done_watch.fd = -1;
    return false;
}

/* Signals are for the loop's thread. */
static bool start_thread(struct thread_pool *p)
{
    sigset_t all, was;
    pthread_attr_t attr;
    pthread_t t;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int err = pthread_create(&t, &attr, run, p);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (err) log_at(log_main, L_CRIT, NULL, err, "pthread_create() failed in thread pool \"%.*s\"", TEXT_ARG(p->name));
    return err == 0;
}

struct thread_pool *thread_pool_get(struct text name, unsigned threads, unsigned max_queue)
{
    for (struct thread_pool *p = pools; p; p = p->next)
        if (text_eq(p->name, name)) return p;
    struct thread_pool *p = base_zalloc(1, sizeof *p + name.n);
    char *copy = (char *) (p + 1);
    memcpy(copy, name.p, name.n);
    *p = (struct thread_pool) { .next = pools, .name = text_of(copy, name.n), .threads = threads, .max_queue = max_queue };
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->waiting.end = &p->waiting.first;
    return pools = p;
}

bool thread_post(struct thread_pool *p, struct thread_job *j)
{
    if (!begin_watch()) return false;
    pthread_mutex_lock(&p->lock);
    bool full = p->queued >= max_of(p->max_queue, 1u), more = !full && p->idle <= p->queued && p->started < p->threads;
    pthread_mutex_unlock(&p->lock);
    if (full) {
        log_at(log_main, L_ERR, NULL, 0, "thread pool \"%.*s\" queue overflow: %u tasks waiting", TEXT_ARG(p->name), p->max_queue);
        return false;
    }
    if (more && start_thread(p)) p->started++;     /* only the loop counts them */
    if (!p->started) return false;
    pthread_mutex_lock(&p->lock);
    append(&p->waiting, j);
    p->queued++;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
    return true;
}
