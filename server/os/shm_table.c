#include "os/shm_table.h"
#include "os/shm_zone.h"

/* Numbers of records count from 1; 0 is none. */
struct record {
    struct siphash key;
    uint64_t       touched;          /* of the table's count when it was last used */
    uint32_t       used;             /* all that follows can be made again from this and touched */
    uint32_t       next;             /* in its bucket; of free ones: the next free one */
    uint32_t       newer, older;
};

struct shm_table {
    unsigned           magic;
    struct shm_lock    lock;
    struct zone       *zone;
    size_t             size;         /* of a record with its value */
    struct siphash_key secret;
    uint32_t           room, frontier;     /* records from frontier on were never used */
    uint32_t           count, free, newest, oldest, bucket_mask;
    uint64_t           uses;
    _Atomic uint64_t   told_ms;
    uint32_t          *buckets;
    char              *records;
};

/* What stands before this is written before what stands after it, for whoever finds us dead. */
#define THEN() atomic_signal_fence(memory_order_seq_cst)

static struct record *at(const struct shm_table *t, uint32_t i)
{
    ASSERT(i != 0 && i <= t->frontier);
    return (struct record *) (t->records + (i - 1) * t->size);
}
static uint32_t number_of(const struct shm_table *t, const struct record *r) { return (uint32_t) ((size_t) ((const char *) r - t->records) / t->size) + 1; }
static void *value_of(struct record *r) { return r + 1; }
static uint32_t *bucket_of(const struct shm_table *t, struct siphash key) { return &t->buckets[key.v[0] & t->bucket_mask]; }

static struct record *record_of(const struct shm_table *t, void *value)
{
    struct record *r = (struct record *) value - 1;
    ASSERT((char *) r >= t->records && (size_t) ((char *) r - t->records) % t->size == 0);
    ASSERT(number_of(t, r) <= t->frontier && r->used);
    return r;
}

/* ---- the order of use ---- */

static void link_newest(struct shm_table *t, struct record *r)
{
    uint32_t i = number_of(t, r);
    r->newer = 0;
    r->older = t->newest;
    if (t->newest) at(t, t->newest)->newer = i;
    else t->oldest = i;
    t->newest = i;
}

static void unlink_order(struct shm_table *t, const struct record *r)
{
    if (r->newer) at(t, r->newer)->older = r->older;
    else t->newest = r->older;
    if (r->older) at(t, r->older)->newer = r->newer;
    else t->oldest = r->newer;
}

/* ---- mending ---- */

static int by_touched(const void *a, const void *b)
{
    const struct record *x = *(struct record *const *) a, *y = *(struct record *const *) b;
    return x->touched < y->touched ? -1 : x->touched > y->touched;
}

/* Makes all lists again from which records are used. */
static void mend(struct shm_table *t)
{
    struct record **used = base_alloc(sizeof *used * (t->frontier + 1));
    size_t n = 0;
    memset(t->buckets, 0, sizeof *t->buckets * (t->bucket_mask + 1));
    t->count = t->free = t->newest = t->oldest = 0;
    for (uint32_t i = t->frontier; i > 0; i--) {
        struct record *r = at(t, i);
        if (r->used) {
            used[n++] = r;
            continue;
        }
        r->next = t->free;
        t->free = i;
    }
    qsort(used, n, sizeof *used, by_touched);
    for (size_t i = 0; i < n; i++) {
        uint32_t *b = bucket_of(t, used[i]->key);
        used[i]->next = *b;
        *b = number_of(t, used[i]);
        link_newest(t, used[i]);
        t->count++;
    }
    free(used);
}

bool shm_table_enter(struct shm_table *t)
{
    NEED(t, SHM_TABLE_MAGIC);
    if (shm_lock(&t->lock)) return true;
    log_at(log_main, L_WARN, NULL, 0, "the table of zone \"%s\" is mended: a process died while it changed it", t->zone->name);
    mend(t);
    return false;
}

void shm_table_leave(struct shm_table *t) { shm_unlock(&t->lock); }

/* ---- records ---- */

struct siphash shm_table_key(const struct shm_table *t, struct text bytes) { return siphash(&t->secret, bytes); }

void *shm_table_find(struct shm_table *t, struct siphash key)
{
    struct record *r;
    for (uint32_t i = *bucket_of(t, key); i; i = r->next) {
        r = at(t, i);
        if (r->key.v[0] != key.v[0] || r->key.v[1] != key.v[1]) continue;
        r->touched = ++t->uses;
        if (t->newest != i) {
            unlink_order(t, r);
            link_newest(t, r);
        }
        return value_of(r);
    }
    return NULL;
}

void *shm_table_add(struct shm_table *t, struct siphash key)
{
    uint32_t i = t->free;
    if (!i && t->frontier == t->room) return NULL;
    if (i) t->free = at(t, i)->next;
    else i = ++t->frontier;
    struct record *r = at(t, i);
    uint32_t *b = bucket_of(t, key);
    r->key = key;
    r->touched = ++t->uses;
    memset(value_of(r), 0, t->size - sizeof *r);
    THEN();
    r->used = 1;
    THEN();
    r->next = *b;
    *b = i;
    link_newest(t, r);
    t->count++;
    return value_of(r);
}

void *shm_table_oldest(struct shm_table *t) { return t->oldest ? value_of(at(t, t->oldest)) : NULL; }

void shm_table_drop(struct shm_table *t, void *value)
{
    struct record *r = record_of(t, value);
    uint32_t i = number_of(t, r), *b = bucket_of(t, r->key);
    r->used = 0;
    THEN();
    while (*b != i) b = &at(t, *b)->next;
    *b = r->next;
    unlink_order(t, r);
    r->next = t->free;
    t->free = i;
    t->count--;
}

void *shm_table_next(struct shm_table *t, uint32_t *place)
{
    while (*place < t->frontier) {
        struct record *r = at(t, ++*place);
        if (r->used) return value_of(r);
    }
    return NULL;
}

bool shm_table_may_tell(struct shm_table *t, uint64_t now_ms, uint64_t every_ms)
{
    uint64_t told = atomic_load(&t->told_ms);
    return (!told || (now_ms > told && now_ms - told > every_ms)) && atomic_compare_exchange_strong(&t->told_ms, &told, now_ms);
}

uint32_t shm_table_count(const struct shm_table *t) { return t->count; }
uint32_t shm_table_room(const struct shm_table *t) { return t->room; }
struct zone *shm_table_zone(const struct shm_table *t) { return t->zone; }

/* ---- opening ---- */

/* What of a zone may be given out in one piece is a quarter of it; pages that nobody touches cost nothing. */
static struct shm_table *make(struct zone *z, size_t bytes, size_t value_size)
{
    size_t size = sizeof(struct record) + align_up(value_size, (size_t) 8), cost = size + 2 * sizeof(uint32_t);
    uint64_t room = min_of((bytes - sizeof(struct shm_table) - 64) / cost, (uint64_t) UINT32_MAX / 2);
    uint32_t buckets = 1;
    while ((uint64_t) buckets * 2 <= room * 2) buckets *= 2;
    struct shm_table *t = shm_alloc(z, bytes);
    if (!t) return NULL;
    *t = (struct shm_table) { .zone = z, .size = size, .secret = siphash_new_key(), .room = (uint32_t) room, .bucket_mask = buckets - 1 };
    t->buckets = (uint32_t *) (t + 1);
    t->records = (char *) align_up((uintptr_t) (t->buckets + buckets), (uintptr_t) 16);
    ASSERT(t->records + room * size <= (char *) t + bytes);
    t->magic = SHM_TABLE_MAGIC;
    return t;
}

struct shm_table *shm_table_open(struct text name, size_t bytes, size_t value_size, uint64_t signature, bool *reused_out)
{
    const uint64_t layout = sizeof(struct shm_table) << 24 ^ sizeof(struct record) << 16 ^ value_size;
    bytes = max_of(bytes, (size_t) 16384);
    struct zone *z = shm_open_zone(name, bytes * 5, signature ^ layout << 32, NULL);
    bool made = false;
    struct shm_table **root = z ? shm_object(z, T("table"), sizeof *root, NULL) : NULL;
    if (!root) return NULL;
    if (!*root) {
        *root = make(z, bytes, value_size);
        made = true;
    }
    if (!*root) log_at(log_main, L_EMERG, NULL, 0, "zone \"%.*s\" has no room for its table", TEXT_ARG(name));
    if (reused_out) *reused_out = !made;
    return *root;
}
