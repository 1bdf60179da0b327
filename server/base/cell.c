#include "base/cell.h"
#include <sys/mman.h>

enum { SLAB = 256 * 1024 };   /* of address space: pages cost when they are first touched */

static void *carve(struct cells *c)
{
    if ((size_t) (c->end - c->at) < c->size) {
        char *slab = mmap(NULL, SLAB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (slab == MAP_FAILED) return base_zalloc(1, c->size);     /* ends the process when there is nothing left */
        c->at = slab;
        c->end = slab + SLAB;
    }
    void *p = c->at;
    c->at += c->size;
    return p;                                                       /* fresh pages are zero */
}

void *cell_take(struct cells *c)
{
    if (!BASE_RECYCLE) return base_zalloc(1, c->size);
    void *p = c->spare;
    if (!p) return carve(c);
    memcpy(&c->spare, p, sizeof(c->spare));
    return memset(p, 0, c->size);
}

void cell_give(struct cells *c, void *p)
{
    if (!p) return;
    if (!BASE_RECYCLE) {
        free(p);
        return;
    }
    memset(p, 0, c->size);                                          /* a stale pointer finds no magic */
    memcpy(p, &c->spare, sizeof(c->spare));
    c->spare = p;
}
