#include "base/pool.h"
#include <stdarg.h>

struct pool_block { struct pool_block *next; size_t size; };   /* size: with this head */
struct pool_cleanup { struct pool_cleanup *next; void (*fn)(void *arg); void *arg; };

enum { BLOCK_USUAL = 4096, BLOCK_LEAST = 256, SPARE_MOST = 256, BIG = BLOCK_USUAL / 2,
       HEAD = sizeof(struct pool_block), FIRST_HEAD = HEAD + sizeof(struct pool) };

static struct pool_block *spare;
static unsigned spare_count;

static struct pool_block *take_block(size_t size)
{
    struct pool_block *b = spare;
    if (BASE_RECYCLE && size == BLOCK_USUAL && b) {
        spare = b->next;
        spare_count--;
    } else {
        b = base_alloc(size);
        b->size = size;
    }
    return b;
}

static void give_block(struct pool_block *b)
{
    if (BASE_RECYCLE && b->size == BLOCK_USUAL && spare_count < SPARE_MOST) {
        b->next = spare;
        spare = b;
        spare_count++;
    } else {
        base_slack += b->size == BLOCK_USUAL;
        free(b);
    }
}

void pool_trim(void)
{
    while (spare) {
        struct pool_block *b = spare;
        spare = b->next;
        free(b);
    }
    spare_count = 0;
}

/* What of the first block comes after the pool itself is free. Under ASan every allocation is a block of its own. */
static void begin(struct pool *p, struct pool_block *first)
{
    p->blocks = first;
    p->at = (char *) first + FIRST_HEAD;
    p->end = BASE_RECYCLE ? (char *) first + first->size : p->at;
}

struct pool *pool_open(size_t first)
{
    size_t size = first == 0 ? BLOCK_USUAL : max_of(first, (size_t) BLOCK_LEAST);
    struct pool_block *b = take_block(BASE_RECYCLE ? size : FIRST_HEAD);
    b->next = NULL;
    struct pool *p = (struct pool *) (b + 1);
    p->magic = POOL_MAGIC;
    p->cleanups = NULL;
    begin(p, b);
    return p;
}

static void clean(struct pool *p)
{
    struct pool_cleanup *c;
    while ((c = p->cleanups)) {
        p->cleanups = c->next;
        c->fn(c->arg);
    }
}

void pool_reset(struct pool *p)
{
    NEED(p, POOL_MAGIC);
    clean(p);
    struct pool_block *b = p->blocks;
    while (b->next) {
        struct pool_block *next = b->next;
        give_block(b);
        b = next;
    }
    begin(p, b);
}

void pool_close(struct pool **pp)
{
    struct pool *p = *pp;
    if (p == NULL) return;
    *pp = NULL;                  /* first: the pointer may live in the pool */
    pool_reset(p);
    p->magic = 0;
    give_block(p->blocks);
}

void *pool_alloc_slow(struct pool *p, size_t n, size_t align)
{
    NEED(p, POOL_MAGIC);
    ASSERT(n < SIZE_MAX - HEAD);
    bool own = !BASE_RECYCLE || n > BIG;        /* big ones do not end the block that smaller ones still fit in */
    struct pool_block *b = take_block(own ? n + HEAD : BLOCK_USUAL);
    char *at = (char *) (b + 1);
    (void) align;                               /* a block's head leaves it aligned for all */
    if (own && BASE_RECYCLE) {
        b->next = p->blocks->next;
        if (b->next) {
            p->blocks->next = b;
            return at;
        }
    }
    b->next = p->blocks;
    p->blocks = b;
    if (!own) {
        p->at = at + n;
        p->end = (char *) b + b->size;
    }
    return at;
}

void *pool_grow(struct pool *p, void *array, size_t used, size_t *cap, size_t size)
{
    if (used < *cap) return array;
    size_t want = *cap ? *cap * 2 : 8;
    if (!pool_extend(p, array, *cap * size, (want - *cap) * size)) {
        void *old = array;
        array = pool_alloc(p, want * size);
        if (used) memcpy(array, old, used * size);
    }
    memset((char *) array + used * size, 0, (want - used) * size);
    *cap = want;
    return array;
}

struct text pool_text(struct pool *p, struct text t)
{
    char *at = pool_bytes(p, t.n);
    if (t.n) memcpy(at, t.p, t.n);
    return text_of(at, t.n);
}

char *pool_cstr(struct pool *p, struct text t)
{
    char *at = pool_bytes(p, t.n + 1);
    if (t.n) memcpy(at, t.p, t.n);
    at[t.n] = '\0';
    return at;
}

struct text pool_printf(struct pool *p, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    ASSERT(n >= 0);
    char *at = pool_bytes(p, (size_t) n + 1);
    vsnprintf(at, (size_t) n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text_of(at, (size_t) n);
}

void pool_cleanup(struct pool *p, void (*fn)(void *arg), void *arg)
{
    struct pool_cleanup *c = pool_alloc(p, sizeof *c);
    *c = (struct pool_cleanup) { p->cleanups, fn, arg };
    p->cleanups = c;
}

bool pool_cleanup_cancel(struct pool *p, void (*fn)(void *arg), void *arg)
{
    for (struct pool_cleanup **c = &p->cleanups; *c; c = &(*c)->next) {
        if ((*c)->fn == fn && (*c)->arg == arg) {
            *c = (*c)->next;
            return true;
        }
    }
    return false;
}

size_t pool_size(const struct pool *p)
{
    size_t n = 0;
    for (const struct pool_block *b = p->blocks; b; b = b->next) n += b->size;
    return n;
}

bool pool_has(const struct pool *p, const void *at)
{
    for (const struct pool_block *b = p->blocks; b; b = b->next)
        if ((const char *) at >= (const char *) b && (const char *) at < (const char *) b + b->size) return true;
    return false;
}
