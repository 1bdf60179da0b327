/* longjmp between stacks is what we are here for: the check of _FORTIFY_SOURCE takes it for a mistake. */
#undef _FORTIFY_SOURCE
#include "os/fiber.h"
#include <errno.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define FIBER_MAGIC 0x46494252u

/* It lies at the upper end of its stack. */
struct fiber {
    unsigned      magic;
    struct fiber *next;              /* among the idle ones */
    void        (*act)(void *arg);
    void         *arg;
    bool          begun, over;
    jmp_buf       inside;
    void         *shadow;            /* what AddressSanitizer knows of the stack */
    char         *stack;
};

static struct fiber *current, *idle;
static unsigned idle_count;
static jmp_buf outside;

/* ---- AddressSanitizer is told where the stack is ---- */

#if BASE_RECYCLE
static void tell_leaving(void **shadow, const void *bottom, size_t size) { (void) shadow, (void) bottom, (void) size; }
static void tell_arrived(void *shadow, const void **bottom_out, size_t *size_out) { (void) shadow, (void) bottom_out, (void) size_out; }
static void forget_stack(const struct fiber *f) { (void) f; }
#else
void __sanitizer_start_switch_fiber(void **shadow, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *shadow, const void **bottom_out, size_t *size_out);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
static void tell_leaving(void **shadow, const void *bottom, size_t size) { __sanitizer_start_switch_fiber(shadow, bottom, size); }
static void tell_arrived(void *shadow, const void **bottom_out, size_t *size_out) { __sanitizer_finish_switch_fiber(shadow, bottom_out, size_out); }
static void forget_stack(const struct fiber *f) { __asan_unpoison_memory_region(f->stack, FIBER_STACK); }
#endif

static void *outside_shadow;
static const void *outside_bottom;
static size_t outside_size;

/* ---- to and fro ---- */

static size_t page(void) { return (size_t) sysconf(_SC_PAGESIZE); }

static void go_out(struct fiber *f)
{
    tell_leaving(&f->shadow, outside_bottom, outside_size);
    if (_setjmp(f->inside) == 0) _longjmp(outside, 1);
    tell_arrived(f->shadow, &outside_bottom, &outside_size);
}

/* One piece of work after the other, as long as the stack is there. */
static void live(void)
{
    struct fiber *f = current;
    tell_arrived(NULL, &outside_bottom, &outside_size);
    for (;;) {
        f->act(f->arg);
        f->over = true;
        go_out(f);
    }
}

static void go_in(struct fiber *f)
{
    static ucontext_t first;         /* not in this frame, which is never come back to */
    if (f->begun) _longjmp(f->inside, 1);
    f->begun = true;
    getcontext(&first);
    first.uc_stack = (stack_t) { .ss_sp = f->stack, .ss_size = (size_t) ((char *) f - f->stack) & ~(size_t) 63 };
    first.uc_link = NULL;
    makecontext(&first, live, 0);
    setcontext(&first);
    ASSERT(!"setcontext() failed");
}

bool fiber_is_inside(void) { return current != NULL; }

void fiber_wait(void)
{
    ASSERT(current != NULL);
    go_out(current);
}

/* ---- stacks ---- */

static struct fiber *make(void)
{
    char *low = mmap(NULL, page() + FIBER_STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (low == MAP_FAILED) return NULL;
    char *stack = low + page();
    if (mprotect(stack, FIBER_STACK, PROT_READ | PROT_WRITE) != 0) {
        int err = errno;
        munmap(low, page() + FIBER_STACK);
        errno = err;
        return NULL;
    }
    struct fiber *f = (struct fiber *) (void *) (stack + ((FIBER_STACK - sizeof(*f)) & ~(size_t) 63));
    f->magic = FIBER_MAGIC;
    f->stack = stack;
    return f;
}

static void keep(struct fiber *f)
{
    if (idle_count >= FIBER_IDLE_MOST) {
        forget_stack(f);
        munmap(f->stack - page(), page() + FIBER_STACK);
        return;
    }
    f->next = idle;
    idle = f;
    idle_count++;
}

struct fiber *fiber_open(void (*act)(void *arg), void *arg)
{
    struct fiber *f = idle;
    if (f) {
        idle = f->next;
        idle_count--;
    } else f = make();
    if (!f) return NULL;
    f->act = act;
    f->arg = arg;
    f->over = false;
    return f;
}

/* What longjmp may spoil is in a frame that it does not come back to. */
__attribute__((noinline)) static void switch_in(struct fiber *f)
{
    if (_setjmp(outside) == 0) go_in(f);
}

bool fiber_run(struct fiber **at)
{
    struct fiber *f = *at;
    NEED(f, FIBER_MAGIC);
    ASSERT(current == NULL);
    current = f;
    tell_leaving(&outside_shadow, f->stack, FIBER_STACK);
    switch_in(f);
    tell_arrived(outside_shadow, NULL, NULL);
    current = NULL;
    if (!f->over) return true;
    *at = NULL;
    keep(f);
    return false;
}
