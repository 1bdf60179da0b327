/* loop: one turn, and what is freed at its end. */
#include "event/turn.h"
#include "base/pool.h"
#include <malloc.h>

struct later { void (*fn)(void *p); void *p; };

void (*loop_after_poll)(void);
const sigset_t *loop_signals;
uint64_t loop_stall_ms;

enum { TRIM_AFTER_MS = 1000 };

static struct later *later;
static size_t        later_count, later_cap;

void loop_free_later(void (*fn)(void *p), void *p)
{
    if (later_count == later_cap) {
        later_cap = later_cap ? later_cap * 2 : 32;
        later = base_realloc(later, later_cap * sizeof(*later));
    }
    later[later_count++] = (struct later) { fn, p };
}

/* A burst is over, or goes on: what it left behind between long-lived objects is the system's again. */
static void trim(struct timer *t)
{
    (void) t;
    pool_trim();
    chunk_trim();
    malloc_trim(0);
    base_slack = 0;
}
static struct timer trim_timer = { .fire = trim };

/* What is freed may ask for more to be freed. */
static void free_all(void)
{
    for (size_t i = 0; i < later_count; i++) later[i].fn(later[i].p);
    later_count = 0;
    conn_free_closed();
    if (unlikely(base_slack) && !timer_is_set(&trim_timer)) timer_set(&trim_timer, TRIM_AFTER_MS);
}

bool loop_open(unsigned max_conns)
{
    conn_init(max_conns);
    if (!epoll_open()) return false;
    clock_update();
    return true;
}

void loop_close(void)
{
    free_all();
    timer_end(&trim_timer);
    accept_close();
    epoll_close();
    task_close();
    timer_close();
    conn_shut_down();
    free(later);
    later = NULL;
    later_cap = 0;
}

static void check_stall(uint64_t began)
{
    uint64_t now = clock_coarse(), took = now > began ? now - began : 0;
    if (unlikely(took > loop_stall_ms)) log_at(log_main, L_WARN, NULL, 0, "the event loop stalled: one turn took %llu ms", (unsigned long long) took);
}

void loop_turn(int most_ms)
{
    epoll_poll(task_any() || conn_any_wake() || later_count ? 0 : timer_wait(most_ms));
    clock_update();
    uint64_t began = clock_now.ms;
    if (loop_after_poll) loop_after_poll();
    epoll_handle();
    timer_run();
    conn_run_wakes();
    task_run();
    free_all();
    if (loop_stall_ms) check_stall(began);
}
