/*
 * shm_table: a table of small records of one size in a zone of its own, found by the digest of any bytes (which are not kept),
 * bounded, in order of use. All between shm_table_enter and shm_table_leave; the lock survives its holder: the lists are made
 * again from the records then.
 */
#ifndef OS_SHM_TABLE_H
#define OS_SHM_TABLE_H

#include "base/siphash.h"
#include "os/shm.h"

#define SHM_TABLE_MAGIC 0x53485442u

struct shm_table;

/* In the master, while a configuration is made: the zone called name with a table that fills bytes. A table of the same name, size,
 * value_size and signature is the same, with what is in it. *reused_out may be NULL. NULL after a log line. */
struct shm_table *shm_table_open(struct text name, size_t bytes, size_t value_size, uint64_t signature, bool *reused_out);
struct zone *shm_table_zone(const struct shm_table *t);

/* The digest of these bytes in this table; it holds as long as the table. */
struct siphash shm_table_key(const struct shm_table *t, struct text bytes);

/* Waits for the lock. False: the one who held it died, and the lists have been mended; a value it was about to change may be
 * as it was or half changed. */
bool  shm_table_enter(struct shm_table *t);
void  shm_table_leave(struct shm_table *t);
/* Its value, which is the one used last then; NULL: none. Values stay where they are until they are dropped. */
void *shm_table_find(struct shm_table *t, struct siphash key);
/* A new one, zeroed. NULL: the table is full. There may be none of that key yet. */
void *shm_table_add(struct shm_table *t, struct siphash key);
/* The one not used for longest; NULL: there is none. */
void *shm_table_oldest(struct shm_table *t);
void  shm_table_drop(struct shm_table *t, void *value);
/* Goes over all; begin with *at 0. Values may be dropped on the way. NULL: the end. */
void *shm_table_next(struct shm_table *t, uint32_t *at);
/* Is it time to say (again) that it is full? True at most once in every_ms, over all processes. */
bool shm_table_may_tell(struct shm_table *t, uint64_t now_ms, uint64_t every_ms);
/* How many there are, and room for how many. */
uint32_t shm_table_count(const struct shm_table *t);
uint32_t shm_table_room(const struct shm_table *t);

#endif
