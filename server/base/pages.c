#include "base/pages.h"
#include <sys/mman.h>

static bool is_large(size_t n) { return n >= PAGES_HUGE / 4; }
static size_t whole(size_t n) { return align_up(n, (size_t) PAGES_HUGE); }

static void *map(size_t size)
{
    char *p = mmap(NULL, size + PAGES_HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(p != MAP_FAILED);
    size_t before = (size_t) -(uintptr_t) p % PAGES_HUGE;
    if (before) munmap(p, before);
    munmap(p + before + size, PAGES_HUGE - before);
    madvise(p + before, size, MADV_HUGEPAGE);
    return p + before;
}

void *pages_alloc(size_t n) { return is_large(n) ? map(whole(n)) : base_zalloc(n, 1); }

void pages_free(void *p, size_t n)
{
    if (p && is_large(n)) munmap(p, whole(n));
    else free(p);
}
