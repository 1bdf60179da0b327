/*
 * packed: a table of words that is made once and then only looked into, for a million of them: a look costs one visit to far memory.
 * Buckets of four places, whole cache lines each; a bucket begins with four tags (32 bits of a hash, 0: free), and word and value
 * stand in the place itself. Whose bucket is full goes to the next one; what is too long for a place stands elsewhere.
 */
#ifndef EVAL_PACKED_H
#define EVAL_PACKED_H

#include "base/pool.h"

struct packed;

/* What a table is to hold, counted before it is opened; begins zeroed. */
struct packed_sizes { size_t count, by_lines[9]; };
/* One word of key bytes, with so many bytes of value beside it; 0: a pointer. */
void packed_measure(struct packed_sizes *z, size_t key, size_t value);

/* For just these. What is too long for a place goes into pool. */
struct packed *packed_open(const struct packed_sizes *z, struct pool *pool);
void           packed_close(struct packed **p);
/* hash: all of its bits count. value: size bytes, copied; size 0: the pointer itself is kept. An equal key may not be there. */
void           packed_add(struct packed *p, uint64_t hash, struct text key, const void *value, size_t size);
/* The copy, not aligned, or the pointer that was given; NULL: there is no such key. */
void          *packed_find(const struct packed *p, uint64_t hash, struct text key);

#endif
