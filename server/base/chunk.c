#include "base/chunk.h"

/* A megabyte of each size, of the largest four, at most is kept for the next taker. */
static struct shelf { size_t size; unsigned most, count; struct chunk *first; } shelves[] = {
    { CHUNK_SMALL, 256, 0, NULL }, { CHUNK_USUAL, 64, 0, NULL }, { CHUNK_LARGE, 16, 0, NULL }, { CHUNK_HUGE, 16, 0, NULL },
};

static struct shelf *find(size_t size)
{
    for (struct shelf *s = shelves; BASE_RECYCLE && s < shelves + countof(shelves); s++) {
        if (s->size == size) return s;
    }
    return NULL;
}

struct chunk *chunk_open(size_t size)
{
    struct shelf *s = find(size);
    struct chunk *c;
    if (s && s->first) {
        c = s->first;
        s->first = c->next;
        s->count--;
    } else {
        c = base_alloc(sizeof *c + size);
        c->size = size;
    }
    c->magic = CHUNK_MAGIC;
    c->refs = 1;
    c->next = NULL;
    return c;
}

void chunk_drop(struct chunk **cp)
{
    struct chunk *c = *cp;
    if (c == NULL) return;
    NEED(c, CHUNK_MAGIC);
    ASSERT(c->refs > 0);
    *cp = NULL;
    if (--c->refs) return;
    c->magic = 0;
    struct shelf *s = find(c->size);
    if (s && s->count < s->most) {
        c->next = s->first;
        s->first = c;
        s->count++;
    } else {
        base_slack += s != NULL;
        free(c);
    }
}

void chunk_trim(void)
{
    for (struct shelf *s = shelves; s < shelves + countof(shelves); s++) {
        while (s->first) {
            struct chunk *c = s->first;
            s->first = c->next;
            free(c);
        }
        s->count = 0;
    }
}
