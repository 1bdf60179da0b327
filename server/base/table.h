/* table: text to pointer, open addressing, in a pool. Keys are not copied: they must live as long as the table. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/pool.h"

struct table_slot { uint64_t hash; struct text key; void *value; };
struct table { struct pool *pool; struct table_slot *slots; size_t mask, count; bool nocase; };

/* nocase: keys are equal when they are but for ASCII case. */
void  table_init(struct table *t, struct pool *pool, bool nocase);
/* The value, or NULL. */
void *table_get(const struct table *t, struct text key);
/* False (and nothing changed) when the key is there already. value may not be NULL. */
bool  table_add(struct table *t, struct text key, void *value);
/* Adds or replaces. */
void  table_put(struct table *t, struct text key, void *value);
/* True and the next entry in no special order; begin with *at 0. */
bool  table_next(const struct table *t, size_t *at, struct text *key_out, void **value_out);

#endif
