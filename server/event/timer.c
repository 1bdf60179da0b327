/*
 * timer: a 4-ary heap of deadlines, by the time each was last put right. Setting a timer later, and stopping it, only
 * store: when its old time comes it is moved, or dropped. So a timer costs the heap something once per its own length,
 * however often it is set anew.
 */
#include "event/turn.h"

struct place { uint64_t key; struct timer *timer; };   /* key <= timer->due, or due is 0 */

static struct place *heap;      /* from 1; the children of i are 4i - 2 … 4i + 1 */
static uint32_t      count, cap;

static void put(uint32_t i, struct place p)
{
    heap[i] = p;
    p.timer->index = i;
}

static void rise(uint32_t i, struct place p)
{
    while (i > 1) {
        uint32_t parent = (i + 2) / 4;
        if (heap[parent].key <= p.key) break;
        put(i, heap[parent]);
        i = parent;
    }
    put(i, p);
}

static void sink(uint32_t i, struct place p)
{
    for (;;) {
        uint32_t first = 4 * i - 2, least = first;
        if (first > count) break;
        for (uint32_t child = first + 1; child <= min_of(first + 3, count); child++)
            if (heap[child].key < heap[least].key) least = child;
        if (heap[least].key >= p.key) break;
        put(i, heap[least]);
        i = least;
    }
    put(i, p);
}

static void take_out(uint32_t i)
{
    ASSERT(i >= 1 && i <= count);
    heap[i].timer->index = 0;
    struct place last = heap[count--];
    if (i > count) return;
    if (i > 1 && last.key < heap[(i + 2) / 4].key) rise(i, last);
    else sink(i, last);
}

static void grow(void)
{
    cap = cap ? cap * 2 : 64;
    heap = base_realloc(heap, (cap + 1) * sizeof(*heap));
}

void timer_set(struct timer *t, uint64_t ms)
{
    ASSERT(t->fire != NULL);
    t->due = clock_now.ms + (ms ? ms : 1);
    if (t->index == 0) {
        if (count == cap) grow();
        rise(++count, (struct place) { t->due, t });
    } else if (t->due < heap[t->index].key) {
        rise(t->index, (struct place) { t->due, t });
    }
}

void timer_end(struct timer *t)
{
    t->due = 0;
    if (t->index) take_out(t->index);
}

int timer_wait(int most_ms)
{
    if (count == 0) return most_ms;
    uint64_t gap = heap[1].key > clock_now.ms ? heap[1].key - clock_now.ms : 0;
    if (most_ms >= 0 && gap > (uint64_t) most_ms) return most_ms;
    return (int) min_of(gap, (uint64_t) INT32_MAX);
}

/* What is set while this runs is due after now, so it ends. */
void timer_run(void)
{
    while (count && heap[1].key <= clock_now.ms) {
        struct timer *t = heap[1].timer;
        if (t->due > clock_now.ms) {
            sink(1, (struct place) { t->due, t });
            continue;
        }
        take_out(1);
        if (t->due == 0) continue;
        t->due = 0;
        t->fire(t);
    }
}

void timer_close(void)
{
    for (uint32_t i = 1; i <= count; i++) heap[i].timer->index = 0;
    free(heap);
    heap = NULL;
    count = cap = 0;
}
