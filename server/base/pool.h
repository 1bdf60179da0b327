/* pool: an arena. Everything in it ends at pool_close or pool_reset, cleanups first, newest first. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/text.h"

#define POOL_MAGIC 0x504f4f4cu

/* Public for the sake of the fast path of pool_alloc; nobody else touches the fields. */
struct pool {
    unsigned             magic;
    char                *at, *end;     /* what is free of the newest block of the usual kind */
    struct pool_block   *blocks;       /* newest first; the last one holds the pool itself */
    struct pool_cleanup *cleanups;     /* newest first */
};

/* first: bytes of the first block (0: 4096). Blocks of the usual size are recycled per process. Never NULL. */
struct pool *pool_open(size_t first);
/* Runs cleanups, ends all memory, nulls *p. NULL is fine. */
void pool_close(struct pool **p);
/* As pool_close, but keeps the first block for another round. */
void pool_reset(struct pool *p);

enum { POOL_ALIGN = 16 };

/* Where the fast path ends: a new block. align: 1 or POOL_ALIGN. */
__attribute__((malloc, alloc_size(2))) void *pool_alloc_slow(struct pool *p, size_t n, size_t align);

/* Aligned for any object. zalloc: zeroed. Never NULL; n of 0 is fine. */
__attribute__((malloc, alloc_size(2))) static inline void *pool_alloc(struct pool *p, size_t n)
{
    char *at = (char *) align_up((uintptr_t) p->at, POOL_ALIGN);
    if (unlikely(at > p->end || n > (size_t) (p->end - at))) return pool_alloc_slow(p, n, POOL_ALIGN);
    p->at = at + n;
    return at;
}

__attribute__((malloc, alloc_size(2))) static inline void *pool_zalloc(struct pool *p, size_t n)
{
    void *at = pool_alloc(p, n);
    memset(at, 0, n);
    return at;
}

/* Unaligned, for bytes. */
__attribute__((malloc, alloc_size(2))) static inline char *pool_bytes(struct pool *p, size_t n)
{
    char *at = p->at;
    if (unlikely(n > (size_t) (p->end - at))) return pool_alloc_slow(p, n, 1);
    p->at = at + n;
    return at;
}

/* Makes the newest allocation, old bytes at at, longer by more in place; false: there is no room, nothing changed. */
static inline bool pool_extend(struct pool *p, const char *at, size_t old, size_t more)
{
    if (at == NULL || at + old != p->at || more > (size_t) (p->end - p->at)) return false;
    p->at += more;
    return true;
}

#define pool_new(p, type)        ((type *) pool_zalloc((p), sizeof(type)))
#define pool_array(p, type, n)   ((type *) pool_zalloc((p), sizeof(type) * (n)))
/* Array growth by doubling: room for one more; *array and *cap change. Old memory stays in the pool. */
void *pool_grow(struct pool *p, void *array, size_t used, size_t *cap, size_t size);

struct text pool_text(struct pool *p, struct text t);          /* a copy */
char *pool_cstr(struct pool *p, struct text t);                /* a copy that ends with NUL */
__attribute__((format(printf, 2, 3))) struct text pool_printf(struct pool *p, const char *fmt, ...); /* also NUL-ended */

/* Calls fn(arg) when the pool ends. */
void pool_cleanup(struct pool *p, void (*fn)(void *arg), void *arg);
/* Forgets a cleanup added before; false when there was none. */
bool pool_cleanup_cancel(struct pool *p, void (*fn)(void *arg), void *arg);

/* Is p in memory of the pool? */
bool pool_has(const struct pool *p, const void *at);

/* Bytes held now, for the memory figures. */
size_t pool_size(const struct pool *p);
/* Gives recycled blocks back to the system. */
void pool_trim(void);

#endif
