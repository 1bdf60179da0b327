#include "os/shm_zone.h"
#include <sys/mman.h>

static const uint16_t class_size[SHM_CLASSES] = { 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1360, 2048 };
enum { GIVE_BACK = 64 };       /* free runs of so many pages and more give their memory back to the system */

/* Between two stores whose order matters should the process die there. */
#define THEN() atomic_signal_fence(memory_order_seq_cst)

static size_t slots_of(unsigned class) { return SHM_PAGE / class_size[class]; }
static char *page_at(struct zone *z, uint32_t i) { return z->first + (size_t) i * SHM_PAGE; }

static unsigned class_of(size_t n)
{
    unsigned c = 0;
    while (class_size[c] < n) c++;
    return c;
}

static unsigned bin_of(uint32_t pages) { return 31u - (unsigned) __builtin_clz(pages); }

/* ---- lists of pages ---- */

static void push(struct zone *z, uint32_t *head, uint32_t i)
{
    struct page *p = &z->table[i];
    p->prev = 0;
    p->next = *head;
    if (*head) z->table[*head - 1].prev = i + 1;
    *head = i + 1;
}

static void unlink_page(struct zone *z, uint32_t *head, uint32_t i)
{
    struct page *p = &z->table[i];
    if (p->next) z->table[p->next - 1].prev = p->prev;
    if (p->prev) z->table[p->prev - 1].next = p->next;
    else *head = p->next;
    p->next = p->prev = 0;
}

/* ---- runs ---- */

/* [i, i + count) becomes a free run and goes to its bin. */
static void mark_free(struct zone *z, uint32_t i, uint32_t count)
{
    if (count > 1) z->table[i + count - 1] = (struct page) { .kind = PAGE_TAIL, .count = count };
    z->table[i].count = count;
    THEN();
    z->table[i].kind = PAGE_FREE;
    push(z, &z->bins[bin_of(count)], i);
}

static uint32_t find_run(struct zone *z, uint32_t count)
{
    unsigned tries = 64;
    for (uint32_t at = z->bins[bin_of(count)]; at && tries--; at = z->table[at - 1].next)
        if (z->table[at - 1].count >= count) return at;
    for (unsigned b = bin_of(count) + 1; b < SHM_BINS; b++)
        if (z->bins[b]) return z->bins[b];
    return 0;
}

/* count pages; the number of the first, or UINT32_MAX. */
static uint32_t take_run(struct zone *z, uint32_t count, enum page_kind kind)
{
    uint32_t at = find_run(z, count), i;
    if (at) {
        i = at - 1;
        uint32_t whole = z->table[i].count;
        unlink_page(z, &z->bins[bin_of(whole)], i);
        if (whole > count) mark_free(z, i + count, whole - count);
    } else {
        if (z->pages - z->frontier < count) return UINT32_MAX;
        i = z->frontier;
    }
    z->table[i].count = count;
    z->table[i + count - 1].kind = PAGE_UNUSED;          /* no longer the tail of a free run */
    THEN();
    z->table[i] = (struct page) { .kind = (uint8_t) kind, .count = count };
    THEN();
    if (!at) z->frontier += count;
    z->pages_used += count;
    return i;
}

static void give_back(struct zone *z, uint32_t i, uint32_t count)
{
    if (count >= GIVE_BACK) madvise(page_at(z, i), (size_t) count * SHM_PAGE, MADV_REMOVE);
}

static void free_run(struct zone *z, uint32_t i)
{
    uint32_t count = z->table[i].count, next = i + count;
    z->pages_used -= count;
    give_back(z, i, count);
    if (next < z->frontier && z->table[next].kind == PAGE_FREE) {
        count += z->table[next].count;
        unlink_page(z, &z->bins[bin_of(z->table[next].count)], next);
    }
    const struct page *before = i ? &z->table[i - 1] : NULL;
    if (before && (before->kind == PAGE_TAIL || (before->kind == PAGE_FREE && before->count == 1))) {
        i -= before->count;
        count += before->count;
        unlink_page(z, &z->bins[bin_of(before->count)], i);
    }
    if (i + count == z->frontier) {
        z->table[i].kind = PAGE_UNUSED;
        z->frontier = i;
    } else {
        mark_free(z, i, count);
    }
}

/* ---- mending, after a holder of the lock died in the middle of something ---- */

static void mend_slots(struct zone *z, uint32_t i)
{
    struct page *p = &z->table[i];
    unsigned free_slots = 0, size = class_size[p->class];
    for (uint16_t at = p->free; at && free_slots < p->touched; free_slots++) memcpy(&at, page_at(z, i) + (at - 1) * (size_t) size, sizeof at);
    p->used = (uint16_t) (p->touched - free_slots);
    p->next = p->prev = 0;
    if (p->used < slots_of(p->class)) push(z, &z->partial[p->class], i);
}

static void mend_objects(struct zone *z)
{
    z->objects = 0;
    for (uint32_t b = 0; b <= z->bucket_mask; b++)
        for (struct object *o = z->buckets[b]; o; o = o->next) z->objects++;
}

static void mend(struct zone *z)
{
    memset(z->bins, 0, sizeof z->bins);
    memset(z->partial, 0, sizeof z->partial);
    z->pages_used = 0;
    uint32_t run = UINT32_MAX;                          /* first page of the free run in hand */
    for (uint32_t i = 0, count; i < z->frontier; i += count) {
        struct page *p = &z->table[i];
        ASSERT(p->kind != PAGE_UNUSED && p->kind != PAGE_TAIL);
        count = p->kind == PAGE_SLOTS ? 1 : p->count;
        ASSERT(count > 0 && count <= z->frontier - i);
        if (p->kind == PAGE_FREE) {
            if (run == UINT32_MAX) run = i;
            continue;
        }
        if (run != UINT32_MAX) mark_free(z, run, i - run);
        run = UINT32_MAX;
        z->pages_used += count;
        if (p->kind == PAGE_SLOTS) mend_slots(z, i);
    }
    if (run != UINT32_MAX) {
        z->table[run].kind = PAGE_UNUSED;
        z->frontier = run;
    }
    mend_objects(z);
}

static void enter(struct zone *z)
{
    NEED(z, ZONE_MAGIC);
    if (!shm_lock(&z->lock)) {
        log_at(log_main, L_WARN, NULL, 0, "zone \"%s\" is mended: a process died while it changed it", z->name);
        mend(z);
    }
}

/* ---- slots ---- */

static void *take_slot(struct zone *z, unsigned class)
{
    if (z->partial[class] == 0) {
        uint32_t fresh = take_run(z, 1, PAGE_SLOTS);
        if (fresh == UINT32_MAX) return NULL;
        z->table[fresh].class = (uint8_t) class;
        push(z, &z->partial[class], fresh);
    }
    uint32_t i = z->partial[class] - 1;
    struct page *p = &z->table[i];
    char *slot;
    if (p->free) {
        slot = page_at(z, i) + (p->free - 1u) * (size_t) class_size[class];
        memcpy(&p->free, slot, sizeof p->free);
    } else {
        slot = page_at(z, i) + p->touched++ * (size_t) class_size[class];
    }
    if (++p->used == slots_of(class)) unlink_page(z, &z->partial[class], i);
    return slot;
}

static void free_slot(struct zone *z, uint32_t i, char *slot)
{
    struct page *p = &z->table[i];
    size_t at = (size_t) (slot - page_at(z, i)), size = class_size[p->class];
    ASSERT(at % size == 0 && at / size < p->touched && p->used > 0);
    memcpy(slot, &p->free, sizeof p->free);
    THEN();
    p->free = (uint16_t) (at / size + 1);
    if (p->used-- == slots_of(p->class)) push(z, &z->partial[p->class], i);
    if (p->used == 0) {
        unlink_page(z, &z->partial[p->class], i);
        free_run(z, i);
    }
}

static void *alloc(struct zone *z, size_t n)
{
    if (n > z->size / 4) return NULL;
    if (n <= class_size[SHM_CLASSES - 1]) {
        unsigned class = class_of(n);
        void *slot = take_slot(z, class);
        z->asked[class]++;
        z->refused[class] += slot == NULL;
        return slot;
    }
    uint32_t i = take_run(z, (uint32_t) ((n + SHM_PAGE - 1) / SHM_PAGE), PAGE_RUN);
    return i == UINT32_MAX ? NULL : page_at(z, i);
}

static void release(struct zone *z, void *p)
{
    ASSERT((uintptr_t) p >= (uintptr_t) z->first);
    size_t at = (size_t) ((char *) p - z->first);
    uint32_t i = (uint32_t) (at / SHM_PAGE);
    ASSERT(i < z->frontier);
    if (z->table[i].kind == PAGE_SLOTS) {
        free_slot(z, i, p);
        return;
    }
    ASSERT(z->table[i].kind == PAGE_RUN && at % SHM_PAGE == 0);
    free_run(z, i);
}

void *shm_alloc(struct zone *z, size_t n)
{
    enter(z);
    void *p = alloc(z, n);
    shm_unlock(&z->lock);
    return p;
}

void *shm_zalloc(struct zone *z, size_t n)
{
    void *p = shm_alloc(z, n);
    return p ? memset(p, 0, n) : NULL;
}

void shm_free(struct zone *z, void *p)
{
    if (p == NULL) return;
    enter(z);
    release(z, p);
    shm_unlock(&z->lock);
}

/* ---- the directory ---- */

/* FNV-1a: the same in every binary. */
static uint64_t hash(struct text name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < name.n; i++) h = (h ^ (unsigned char) name.p[i]) * 0x100000001b3u;
    return h;
}

static struct object **find_object(struct zone *z, struct text name, uint64_t h)
{
    struct object **at = &z->buckets[(h ^ h >> 32) & z->bucket_mask];
    for (; *at; at = &(*at)->next)
        if ((*at)->hash == h && text_eq(text_of((*at)->name, (*at)->name_n), name)) break;
    return at;
}

static void end_object(struct zone *z, struct object **at)
{
    struct object *o = *at;
    ASSERT(o->magic == OBJECT_MAGIC);
    *at = o->next;
    THEN();
    z->objects--;
    o->magic = 0;
    release(z, o->data);
    release(z, o);
}

static struct object *make_object(struct zone *z, struct object **at, struct text name, uint64_t h, size_t n)
{
    struct object *o = alloc(z, sizeof *o + name.n);
    char *data = o ? alloc(z, n) : NULL;
    if (data == NULL) {
        if (o) release(z, o);
        return NULL;
    }
    *o = (struct object) { .hash = h, .size = n, .name_n = (uint32_t) name.n, .magic = OBJECT_MAGIC, .data = memset(data, 0, n) };
    memcpy(o->name, name.p, name.n);
    THEN();
    *at = o;
    z->objects++;
    return o;
}

void *shm_object(struct zone *z, struct text name, size_t n, bool *made_out)
{
    uint64_t h = hash(name);
    bool made = false;
    enter(z);
    struct object **at = find_object(z, name, h);
    if (*at && (*at)->size != n) {
        end_object(z, at);
        at = find_object(z, name, h);
    }
    if (*at == NULL) made = make_object(z, at, name, h, n) != NULL;
    void *data = *at ? (*at)->data : NULL;
    shm_unlock(&z->lock);
    if (made_out) *made_out = made;
    return data;
}

void shm_object_end(struct zone *z, struct text name)
{
    enter(z);
    struct object **at = find_object(z, name, hash(name));
    if (*at) end_object(z, at);
    shm_unlock(&z->lock);
}

struct shm_figures shm_figures(struct zone *z)
{
    enter(z);
    struct shm_figures f = { z->size, (size_t) z->pages_used * SHM_PAGE, z->objects };
    shm_unlock(&z->lock);
    return f;
}

void shm_usage(struct zone *z, struct shm_usage *out)
{
    _Static_assert((int) SHM_SLOT_SIZES == (int) SHM_CLASSES, "one of each");
    *out = (struct shm_usage) { .pages_used = 0 };
    enter(z);
    out->pages_used = z->pages_used;
    out->pages_free = z->pages - z->pages_used;
    for (unsigned c = 0; c < SHM_CLASSES; c++) out->slots[c] = (struct shm_slots) { .size = class_size[c], .asked = z->asked[c], .refused = z->refused[c] };
    for (uint32_t i = 0; i < z->frontier; i += z->table[i].count) {
        const struct page *p = &z->table[i];
        if (p->kind != PAGE_SLOTS) continue;
        out->slots[p->class].used += p->used;
        out->slots[p->class].free += slots_of(p->class) - p->used;
    }
    shm_unlock(&z->lock);
}

void shm_forget_asked(struct zone *z)
{
    enter(z);
    memset(z->asked, 0, sizeof z->asked);
    memset(z->refused, 0, sizeof z->refused);
    shm_unlock(&z->lock);
}

/* ---- sweeping ---- */

struct pieces { void **v; size_t n, cap; };

static int by_address(const void *a, const void *b)
{
    const char *x = *(char *const *) a, *y = *(char *const *) b;
    return x < y ? -1 : x > y;
}

static bool has(void **sorted, size_t n, void *p) { return n && bsearch(&p, sorted, n, sizeof p, by_address); }

static void collect(struct pieces *all, void *p)
{
    if (all->n == all->cap) all->v = base_realloc(all->v, (all->cap = all->cap * 2 + 64) * sizeof p);
    all->v[all->n++] = p;
}

static void collect_slots(const struct zone *z, uint32_t i, struct pieces *all)
{
    const struct page *p = &z->table[i];
    bool is_free[SHM_PAGE / 16] = { false };
    char *page = z->first + (size_t) i * SHM_PAGE;
    for (uint16_t at = p->free; at && !is_free[at - 1]; memcpy(&at, page + (at - 1) * (size_t) class_size[p->class], sizeof at)) is_free[at - 1] = true;
    for (unsigned k = 0; k < p->touched; k++)
        if (!is_free[k]) collect(all, page + k * (size_t) class_size[p->class]);
}

static struct pieces pieces_of(const struct zone *z)
{
    struct pieces all = { 0 };
    for (uint32_t i = 0; i < z->frontier; i += z->table[i].kind == PAGE_SLOTS ? 1 : z->table[i].count) {
        if (z->table[i].kind == PAGE_SLOTS) collect_slots(z, i, &all);
        else if (z->table[i].kind == PAGE_RUN) collect(&all, z->first + (size_t) i * SHM_PAGE);
    }
    return all;
}

static struct pieces objects_of(const struct zone *z)
{
    struct pieces all = { 0 };
    for (uint32_t b = 0; b <= z->bucket_mask; b++)
        for (struct object *o = z->buckets[b]; o; o = o->next) {
            collect(&all, o);
            collect(&all, o->data);
        }
    if (all.n) qsort(all.v, all.n, sizeof *all.v, by_address);
    return all;
}

unsigned shm_keep_only(struct zone *z, void **kept, size_t n)
{
    unsigned freed = 0;
    if (n) qsort(kept, n, sizeof *kept, by_address);
    enter(z);
    struct pieces all = pieces_of(z), objects = objects_of(z);
    for (size_t i = 0; i < all.n; i++) {
        if (has(kept, n, all.v[i]) || has(objects.v, objects.n, all.v[i])) continue;
        release(z, all.v[i]);
        freed++;
    }
    shm_unlock(&z->lock);
    free(all.v);
    free(objects.v);
    return freed;
}

/* ---- an empty zone ---- */

void shm_format(struct zone *z, size_t size, uint64_t signature, struct text name)
{
    uint32_t buckets = 64;
    while (buckets < 65536 && (uint64_t) buckets * SHM_PAGE * 4 < size) buckets *= 2;
    size_t table_at = align_up(sizeof *z, (size_t) 64), pages = size / SHM_PAGE, head;
    do {                                  /* what the head takes, the pages lack */
        size_t buckets_at = align_up(table_at + pages * sizeof(struct page), (size_t) 64);
        head = align_up(buckets_at + buckets * sizeof(struct object *), (size_t) SHM_PAGE);
        z->buckets = (struct object **) ((char *) z + buckets_at);
    } while (head + pages * SHM_PAGE > size && pages--);
    *z = (struct zone) {
        .version = SHM_VERSION, .size = size, .signature = signature, .pages = (uint32_t) pages, .bucket_mask = buckets - 1,
        .table = (struct page *) ((char *) z + table_at), .buckets = z->buckets, .first = (char *) z + head,
    };
    memcpy(z->name, name.p, name.n);
    z->magic = ZONE_MAGIC;
}
