/*
 * shm_zone: how a zone looks inside; for os/shm*.c and their tests only.
 *
 *   | struct zone | page descriptors | buckets of the directory | pages … |
 *
 * Pages from frontier on were never used. Below it lie runs of pages, one after the other, each told by the descriptor of its
 * first page: free, a run given out, or a page of small slots. All lists can be made again from the descriptors alone, which is
 * what happens when a holder of the zone's lock died.
 */
#ifndef OS_SHM_ZONE_H
#define OS_SHM_ZONE_H

#include "os/shm.h"

#define ZONE_MAGIC 0x5a4f4e45u
#define SHM_VERSION 2            /* of everything below */
enum { SHM_PAGE = 4096, SHM_CLASSES = 14, SHM_BINS = 32, SHM_NAME_MAX = 64 };

enum page_kind { PAGE_UNUSED, PAGE_FREE, PAGE_RUN, PAGE_SLOTS, PAGE_TAIL };

struct page {
    uint8_t  kind, class;
    uint16_t used;             /* slots given out */
    uint16_t free;             /* first free slot, from 1; 0: none */
    uint16_t touched;          /* slots that were ever given out */
    uint32_t next, prev;       /* in the list of its bin or class: page number + 1; 0: none */
    uint32_t count;            /* pages of the run (first page, and last page of a free one) */
};

struct object {
    struct object *next;
    uint64_t       hash;
    size_t         size;       /* of the data */
    uint32_t       name_n;
    unsigned       magic;
    char          *data;
    char           name[];
};
#define OBJECT_MAGIC 0x4f424a54u

struct zone {
    unsigned        magic;
    uint32_t        version;
    uint64_t        size, signature;
    char            name[SHM_NAME_MAX];
    struct shm_lock lock;
    uint32_t        pages, frontier, pages_used, objects, bucket_mask;
    uint32_t        bins[SHM_BINS];
    uint32_t        partial[SHM_CLASSES];
    uint64_t        asked[SHM_CLASSES], refused[SHM_CLASSES];     /* allocations, and those that found no room */
    struct page    *table;
    struct object **buckets;
    char           *first;
};

/* Is it in a zone that this process has mapped? (A dead process may have held a lock of a zone that has ended, or of its own.) */
bool shm_is_mapped(const void *p);
/* The table of who holds what is there, for children to inherit. */
void shm_lock_prepare(void);

/* An empty zone of size bytes at z (zeroed memory). */
void shm_format(struct zone *z, size_t size, uint64_t signature, struct text name);

#endif
