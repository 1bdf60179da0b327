/*
 * chunk: counted memory in a few fixed sizes, recycled per process. The count is kept by chains and by
 * chunk_hold/chunk_drop pairs in the owner's open and close; nobody else touches it. Not shared over processes.
 */
#ifndef BASE_CHUNK_H
#define BASE_CHUNK_H

#include "base/base.h"

#define CHUNK_MAGIC 0x43484e4bu

/* A read buffer grows through these as its stream proves busy, and goes back when idle. */
enum { CHUNK_SMALL = 4096, CHUNK_USUAL = 16384, CHUNK_LARGE = 65536, CHUNK_HUGE = 262144 };

struct chunk {
    unsigned      magic;
    unsigned      refs;
    size_t        size;     /* usable bytes in data */
    struct chunk *next;     /* for the owner's lists */
    char          data[];
};

/* At least size bytes usable, one reference; other sizes than the enum's are allocated exactly. Never NULL. */
struct chunk *chunk_open(size_t size);
static inline struct chunk *chunk_hold(struct chunk *c) { c->refs++; return c; }
/* Lets go of one reference and nulls *c; the last one gives the memory back. NULL is fine. */
void chunk_drop(struct chunk **c);
/* Gives recycled chunks back to the system. */
void chunk_trim(void);

#endif
