/*
 * fiber: a stack of its own for what must wait in the midst of code that cannot (a library's). One at a time runs, on the thread that
 * has the loop; below each stack lies a page that nobody may touch.
 */
#ifndef OS_FIBER_H
#define OS_FIBER_H

#include "base/base.h"

enum { FIBER_STACK = 256 << 10, FIBER_IDLE_MOST = 32 };      /* bytes; only what is used is memory. Those that are kept for the next */

struct fiber;

/* One that will do act(arg) when it runs. NULL: errno. */
struct fiber *fiber_open(void (*act)(void *arg), void *arg);
/* Goes on with it until it waits or has ended; not from within one. True: it waits; false: it has ended, and *f is NULL. */
bool fiber_run(struct fiber **f);

/* Within a fiber: back to who called fiber_run, until that is done again. */
void fiber_wait(void);
bool fiber_is_inside(void);

#endif
