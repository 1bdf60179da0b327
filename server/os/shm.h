/*
 * shm: memory that all processes of all generations see at the same address.
 *
 * A zone is a memfd (sparse: pages cost only when touched) mapped at an address from a range kept for zones, with a
 * name, a size and a layout signature. The master opens zones while a configuration is made; a zone of the same name,
 * size and signature as one of the running generation, or one inherited from the previous binary, is the same zone, its contents kept. Otherwise a
 * new one begins empty. In a zone lives a slab allocator and a directory of named objects.
 *
 * Locks are short, and survive the death of their holder: the word holds the holder's pid; a waiter that finds the
 * holder dead takes over, and shm_lock tells so (repaired), as does the master when it reaps a child.
 */
#ifndef OS_SHM_H
#define OS_SHM_H

#include "base/log.h"
#include <stdatomic.h>

struct shm_lock { _Atomic uint32_t holder; };          /* zero: free */
/* Takes the lock. False: taken over from a dead holder, what it guards may be half changed and must be mended. */
bool shm_lock(struct shm_lock *l);
/* False: held by somebody. *whole_out as shm_lock's answer. */
bool shm_trylock(struct shm_lock *l, bool *whole_out);
void shm_unlock(struct shm_lock *l);

struct zone;   /* lives in the zone itself */

/* In the master, while a configuration is made (and for tests anywhere). signature: of the layout of what the user will keep
 * in it (change it when the structs change). size: bytes, rounded up to pages; at least 8 pages. reused_out (may be NULL):
 * contents are those of before. NULL after a log line. */
struct zone *shm_open_zone(struct text name, size_t size, uint64_t signature, bool *reused_out);
/* A new generation has been made: zones that no shm_open_zone since shm_begin asked for end at the next
 * shm_commit, or everything is as before at shm_rollback. */
void shm_begin(void);
void shm_commit(void);
void shm_rollback(void);
/* For a new binary: "name:fd:size:signature:address;…" for the environment (numbers and name in hex). Called in the child that will
 * exec: its descriptors stay open over it. And taking it over, before the first shm_open_zone. */
struct text shm_export(struct pool *p);
void shm_import(struct text exported);
/* Frees every lock that the dead process holds. By the master when it reaps; returns how many. */
unsigned shm_release_dead(pid_t pid);

/* Slab (aligned to 16 bytes): NULL when the zone is full (a limit reached is the world's doing). Any size up to a quarter of the zone.
 * Takes the zone's own lock. */
void *shm_alloc(struct zone *z, size_t n);
void *shm_zalloc(struct zone *z, size_t n);
void  shm_free(struct zone *z, void *p);
/* Frees all but these pieces (which it sorts) and the named objects; returns how many. For who mends what stands in the zone: a process that
 * died may have had pieces that it had not linked yet, or not any more. Nobody else may be about to link one. */
unsigned shm_keep_only(struct zone *z, void **kept, size_t n);
/* Finds, or makes (zeroed), the object called name, of n bytes; made_out tells which. An object of another size is
 * replaced. NULL: full. Objects live until shm_object_end. */
void *shm_object(struct zone *z, struct text name, size_t n, bool *made_out);
void  shm_object_end(struct zone *z, struct text name);
struct shm_figures { size_t size, used, objects; };
struct shm_figures shm_figures(struct zone *z);

/* How a zone's pages, and the slots of each size, are used. asked, refused: allocations since it began or shm_forget_asked. */
enum { SHM_SLOT_SIZES = 14 };
struct shm_slots { size_t size; uint64_t used, free, asked, refused; };
struct shm_usage { uint32_t pages_used, pages_free; struct shm_slots slots[SHM_SLOT_SIZES]; };
void shm_usage(struct zone *z, struct shm_usage *out);
void shm_forget_asked(struct zone *z);
/* Each zone of the configuration that this process sees, by address. */
void shm_each(void (*fn)(struct zone *z, struct text name, void *arg), void *arg);

#endif
