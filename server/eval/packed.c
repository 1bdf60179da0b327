#include "eval/packed.h"
#include "base/pages.h"

enum { LINE = 64, LINES_MAX = 8, PLACES = 4, FILLED = 24 };     /* FILLED: of ten buckets' places, so that few words must go on to the next bucket */

/* What a place begins with: the key's length, and whether its value is a pointer. */
enum { IS_POINTER = 0x80, KEY_MAX = 0x7e, ELSEWHERE = 0x7f };

struct far { size_t n; void *value; char key[]; };              /* value: of the place's kind; the copy follows the key */

struct packed {
    struct pool *pool;
    char        *buckets;
    size_t       lines;         /* of a bucket */
    uint32_t     count;
};

static size_t place_size(size_t lines) { return (lines * LINE - PLACES * sizeof(uint32_t)) / PLACES; }
static size_t need(size_t key, size_t value) { return 1 + key + (value ? value : sizeof(void *)); }

void packed_measure(struct packed_sizes *z, size_t key, size_t value)
{
    size_t lines = 1;
    while (lines <= LINES_MAX && (need(key, value) > place_size(lines) || key > KEY_MAX)) lines++;
    z->by_lines[lines - 1]++;
    z->count++;
}

/* Seven of eight fit into their places. */
static size_t choose_lines(const struct packed_sizes *z)
{
    size_t fit = 0, lines = 0;
    while (lines < LINES_MAX && 8 * fit <= 7 * z->count) fit += z->by_lines[lines++];
    return 8 * fit <= 7 * z->count ? 1 : lines;
}

static size_t bytes(const struct packed *p) { return p->count * p->lines * LINE; }

struct packed *packed_open(const struct packed_sizes *z, struct pool *pool)
{
    struct packed *p = base_zalloc(1, sizeof *p);
    ASSERT(z->count <= UINT32_MAX);
    *p = (struct packed) { .pool = pool, .lines = choose_lines(z), .count = (uint32_t) (z->count * 10 / FILLED + 1) };
    p->buckets = pages_alloc(bytes(p));
    return p;
}

void packed_close(struct packed **pp)
{
    struct packed *p = *pp;
    *pp = NULL;
    if (!p) return;
    pages_free(p->buckets, bytes(p));
    free(p);
}

/* The hash's upper half says which bucket, the lower one is the tag. */
static inline uint32_t home(const struct packed *p, uint64_t hash) { return (uint32_t) ((hash >> 32) * p->count >> 32); }
static inline uint32_t tag_of(uint64_t hash) { return (uint32_t) hash | 1; }
static inline char *bucket(const struct packed *p, uint32_t at) { return p->buckets + at * p->lines * LINE; }
static inline char *place(const struct packed *p, char *b, unsigned i) { return b + PLACES * sizeof(uint32_t) + i * place_size(p->lines); }

static void *get_pointer(const char *at)
{
    void *v;
    memcpy(&v, at, sizeof v);
    return v;
}

static struct far *put_far(struct pool *pool, struct text key, const void *value, size_t size)
{
    struct far *f = pool_alloc(pool, sizeof *f + key.n + size);
    f->n = key.n;
    memcpy(f->key, key.p, key.n);
    f->value = size ? memcpy(f->key + key.n, value, size) : (void *) value;
    return f;
}

void packed_add(struct packed *p, uint64_t hash, struct text key, const void *value, size_t size)
{
    uint32_t at = home(p, hash);
    unsigned i = 0;
    for (;; at = at + 1 == p->count ? 0 : at + 1) {
        const uint32_t *tags = (void *) bucket(p, at);
        for (i = 0; i < PLACES && tags[i]; i++) { }
        if (i < PLACES) break;
    }
    char *to = place(p, bucket(p, at), i);
    ((uint32_t *) (void *) bucket(p, at))[i] = tag_of(hash);
    if (key.n > KEY_MAX || need(key.n, size) > place_size(p->lines)) {
        struct far *f = put_far(p->pool, key, value, size);
        *to = ELSEWHERE;
        memcpy(to + 1, &f, sizeof f);
        return;
    }
    *to = (char) (key.n | (size ? 0 : IS_POINTER));
    memcpy(to + 1, key.p, key.n);
    memcpy(to + 1 + key.n, size ? value : &value, size ? size : sizeof value);
}

static inline uint64_t word(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Equal lengths. */
static inline bool same(const char *a, const char *b, size_t n)
{
    if (n < sizeof(uint64_t)) return memcmp(a, b, n) == 0;
    uint64_t differ = word(a + n - sizeof differ) ^ word(b + n - sizeof differ);
    for (size_t i = 0; i + sizeof differ < n; i += sizeof differ) differ |= word(a + i) ^ word(b + i);
    return differ == 0;
}

static void *value_here(char *at, struct text key)
{
    unsigned n = *(unsigned char *) at & 0x7f;
    if (unlikely(n == ELSEWHERE)) {
        struct far *f = get_pointer(at + 1);
        return f->n == key.n && memcmp(f->key, key.p, key.n) == 0 ? f->value : NULL;
    }
    if (unlikely(n != key.n || !same(at + 1, key.p, n))) return NULL;
    return *at & (char) IS_POINTER ? get_pointer(at + 1 + n) : at + 1 + n;
}

/* Which of its places: a bit each. No branch waits for far memory before the lines that hold the word are on their way. */
static inline unsigned matches(const uint32_t *tags, uint32_t tag)
{
    return (unsigned) (tags[0] == tag) | (unsigned) (tags[1] == tag) << 1 | (unsigned) (tags[2] == tag) << 2 | (unsigned) (tags[3] == tag) << 3;
}

void *packed_find(const struct packed *p, uint64_t hash, struct text key)
{
    uint32_t tag = tag_of(hash), at = home(p, hash);
    for (;;) {
        char *b = bucket(p, at);
        for (size_t line = 1; line < p->lines; line++) __builtin_prefetch(b + line * LINE);
        const uint32_t *tags = (void *) b;
        for (unsigned found = matches(tags, tag); found; found &= found - 1) {
            void *value = value_here(place(p, b, (unsigned) __builtin_ctz(found)), key);
            if (value) return value;
        }
        if (!tags[PLACES - 1]) return NULL;
        at = at + 1 == p->count ? 0 : at + 1;
    }
}
