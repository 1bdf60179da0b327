/*
 * names: words to anything. Three shelves (exact, "*.suffix", "prefix.*"), each one hash table: a slot is one word, 16 bits
 * of the hash above a pointer to the entry. A large shelf that is complete is settled: it becomes a packed table. Wildcards are
 * found in one pass over the host, whose hash grows by a byte at a time and is looked up at each dot: from the right for suffixes,
 * from the left for prefixes.
 */
#include "eval/match.h"
#include "base/pages.h"
#include "eval/packed.h"

#define NAMES_MAGIC 0x4e414d45u

enum { BLOCK_USUAL = 65536, SETTLE_LEAST = 4096 };

/* After the key comes the value, aligned: beside bytes of it, or for 0 a pointer. */
struct entry { uint32_t n, beside; char key[]; };

struct block { struct block *next; size_t used, size; char data[]; };    /* entries in a row, to walk fast when a shelf grows */

struct shelf {
    uint64_t    *slots;
    size_t       mask, count, used;     /* used: bytes of entries */
    size_t       longest;
    struct packed *settled;             /* instead of slots and blocks; else NULL */
    struct block *first, *last;
    uint64_t   (*hash)(struct text key);
};

struct pattern { const struct regex *regex; void *value; };

struct names {
    unsigned        magic;
    struct pool    *pool;
    struct shelf    exact, suffix, prefix;
    struct pattern *patterns;
    size_t          pattern_count, pattern_cap;
};

/* ---- hashes of wildcards: each step takes one byte, so that they need one pass ---- */

static const uint64_t hash_start = 0xcbf29ce484222325u;
static inline uint64_t hash_step(uint64_t h, char c) { return (h ^ (unsigned char) c) * 0x100000001b3u; }
static inline uint64_t hash_end(uint64_t h) { return (h ^ h >> 29) * 0x9e3779b97f4a7c15u; }

static uint64_t hash_forward(struct text t)
{
    uint64_t h = hash_start;
    for (size_t i = 0; i < t.n; i++) h = hash_step(h, t.p[i]);
    return hash_end(h);
}

static uint64_t hash_backward(struct text t)
{
    uint64_t h = hash_start;
    for (size_t i = t.n; i-- > 0;) h = hash_step(h, t.p[i]);
    return hash_end(h);
}

/* ---- shelves ---- */

enum { UNIT = sizeof(void *) };
static const uint64_t pointer_bits = ((uint64_t) 1 << 48) - 1;
static inline struct entry *slot_entry(uint64_t slot) { return (struct entry *) (uintptr_t) (slot & pointer_bits); }
static inline struct text entry_key(const struct entry *e) { return text_of(e->key, e->n); }
static size_t key_end(size_t key) { return align_up(offsetof(struct entry, key) + key + 1, UNIT); }
static size_t entry_size(size_t key, size_t beside) { return key_end(key) + (beside ? align_up(beside, UNIT) : sizeof(void *)); }

static inline void *entry_value(const struct entry *e)
{
    char *at = (char *) e + key_end(e->n);
    return e->beside ? at : *(void **) (void *) at;
}

/* The value; NULL: there is no such key. */
static void *shelf_find(const struct shelf *s, uint64_t hash, struct text key)
{
    if (!s->count) return NULL;
    if (s->settled) return packed_find(s->settled, hash, key);
    for (size_t i = hash & s->mask; s->slots[i]; i = (i + 1) & s->mask)
        if (s->slots[i] >> 48 == hash >> 48 && text_eq(entry_key(slot_entry(s->slots[i])), key)) return entry_value(slot_entry(s->slots[i]));
    return NULL;
}

static void put_slot(struct shelf *s, uint64_t hash, struct entry *e)
{
    size_t i = hash & s->mask;
    while (s->slots[i]) i = (i + 1) & s->mask;
    ASSERT(((uintptr_t) e & ~pointer_bits) == 0);
    s->slots[i] = (uintptr_t) e | (hash & ~pointer_bits);
}

static void free_slots(struct shelf *s)
{
    pages_free(s->slots, (s->mask + 1) * sizeof *s->slots);
    s->slots = NULL;
}

static void grow(struct shelf *s)
{
    size_t size = s->slots ? 2 * (s->mask + 1) : 8;
    free_slots(s);
    s->slots = pages_alloc(size * sizeof *s->slots);
    s->mask = size - 1;
    for (struct block *b = s->first; b; b = b->next) {
        for (size_t at = 0; at < b->used;) {
            struct entry *e = (struct entry *) (void *) (b->data + at);
            put_slot(s, s->hash(entry_key(e)), e);
            at += entry_size(e->n, e->beside);
        }
    }
}

static bool is_huge_block(const struct block *b) { return b->size == PAGES_HUGE - sizeof *b; }

/* Room for n bytes of entries. */
static struct block *new_block(struct pool *pool, const struct shelf *s, size_t n)
{
    bool huge = s->used > PAGES_HUGE && n < PAGES_HUGE / 2;
    size_t size = huge ? PAGES_HUGE - sizeof(struct block) : max_of(n, s->last ? min_of(2 * s->last->size, (size_t) BLOCK_USUAL) : (size_t) 128);
    struct block *b = huge ? pages_alloc(PAGES_HUGE) : pool_alloc(pool, sizeof *b + size);
    *b = (struct block) { .size = size };
    return b;
}

/* Blocks double up to 64 kB, few names cost little; many get huge pages. */
static struct entry *new_entry(struct pool *pool, struct shelf *s, size_t n)
{
    if (!s->last || s->last->size - s->last->used < n) {
        struct block *b = new_block(pool, s, n);
        if (s->last) s->last->next = b;
        else s->first = b;
        s->last = b;
    }
    struct entry *e = (struct entry *) (void *) (s->last->data + s->last->used);
    s->last->used += n;
    s->used += n;
    return e;
}

/* The key is lower-cased; beside: so many bytes of value are copied. False: it is there already. */
static bool shelf_add(struct pool *pool, struct shelf *s, struct text key, const void *value, size_t beside)
{
    ASSERT(!s->settled);
    struct entry *e = new_entry(pool, s, entry_size(key.n, beside));
    for (size_t i = 0; i < key.n; i++) e->key[i] = (char) text_lower((unsigned char) key.p[i]);
    e->key[key.n] = '\0';
    e->n = (uint32_t) key.n;
    e->beside = (uint32_t) beside;
    memcpy((char *) e + key_end(key.n), beside ? value : &value, beside ? beside : sizeof value);
    uint64_t hash = s->hash(entry_key(e));
    if (shelf_find(s, hash, entry_key(e))) {
        s->last->used -= entry_size(key.n, beside);
        s->used -= entry_size(key.n, beside);
        return false;
    }
    if (!s->slots || 4 * (s->count + 1) > 3 * (s->mask + 1)) grow(s);    /* walks the new entry too */
    else put_slot(s, hash, e);
    s->count++;
    s->longest = max_of(s->longest, key.n);
    return true;
}

/* Huge blocks; the others are the pool's. */
static void free_blocks(struct shelf *s)
{
    for (struct block *b = s->first, *next; b; b = next) {
        next = b->next;
        if (is_huge_block(b)) pages_free(b, PAGES_HUGE);
    }
    s->first = s->last = NULL;
}

static struct packed_sizes measure(const struct shelf *s)
{
    struct packed_sizes z = { 0 };
    for (const struct block *b = s->first; b; b = b->next)
        for (size_t at = 0; at < b->used;) {
            const struct entry *e = (const struct entry *) (const void *) (b->data + at);
            packed_measure(&z, e->n, e->beside);
            at += entry_size(e->n, e->beside);
        }
    return z;
}

static void settle(struct pool *pool, struct shelf *s)
{
    if (s->settled || s->count < SETTLE_LEAST) return;
    struct packed_sizes sizes = measure(s);
    free_slots(s);
    s->settled = packed_open(&sizes, pool);
    for (struct block *b = s->first, *next; b; b = next) {
        for (size_t at = 0; at < b->used;) {
            const struct entry *e = (const struct entry *) (const void *) (b->data + at);
            packed_add(s->settled, s->hash(entry_key(e)), entry_key(e), entry_value(e), e->beside);
            at += entry_size(e->n, e->beside);
        }
        next = s->first = b->next;
        if (is_huge_block(b)) pages_free(b, PAGES_HUGE);
    }
    s->last = NULL;
}

static void free_shelf(struct shelf *s)
{
    free_slots(s);
    free_blocks(s);
    packed_close(&s->settled);
}

static void free_shelves(void *arg)
{
    struct names *n = arg;
    free_shelf(&n->exact);
    free_shelf(&n->suffix);
    free_shelf(&n->prefix);
}

/* ---- names ---- */

struct names *names_open(struct conf *cf)
{
    struct names *n = pool_new(cf->pool, struct names);
    n->magic = NAMES_MAGIC;
    n->pool = cf->pool;
    n->exact.hash = text_hash;
    n->prefix.hash = hash_forward;
    n->suffix.hash = hash_backward;
    pool_cleanup(cf->pool, free_shelves, n);
    return n;
}

bool names_add_exact(struct names *n, struct text name, void *value)
{
    NEED(n, NAMES_MAGIC);
    ASSERT(value);
    return shelf_add(n->pool, &n->exact, name, value, 0);
}

bool names_add_copy(struct names *n, struct text name, const void *value, size_t size)
{
    NEED(n, NAMES_MAGIC);
    ASSERT(size);
    return shelf_add(n->pool, &n->exact, name, value, size);
}

void names_settle(struct names *n)
{
    NEED(n, NAMES_MAGIC);
    settle(n->pool, &n->exact);
    settle(n->pool, &n->suffix);
    settle(n->pool, &n->prefix);
}

void names_add_regex(struct names *n, const struct regex *r, void *value)
{
    NEED(n, NAMES_MAGIC);
    ASSERT(value);
    if (n->pattern_count == n->pattern_cap)
        n->patterns = pool_grow(n->pool, n->patterns, n->pattern_count, &n->pattern_cap, sizeof *n->patterns);
    n->patterns[n->pattern_count++] = (struct pattern) { r, value };
}

static conf_result add_pattern(struct conf *cf, struct names *n, struct text name, void *value)
{
    struct text pattern = text_from(name, 1);
    bool capitals = false;
    conf_result why;
    if (!pattern.n) return conf_say(cf, "!empty regex in server name \"%.*s\"", TEXT_ARG(name));
    for (size_t i = 0; i < pattern.n; i++) capitals |= pattern.p[i] >= 'A' && pattern.p[i] <= 'Z';
    struct regex *r = regex_compile(cf, pattern, capitals, &why);
    if (r) names_add_regex(n, r, value);
    return why;
}

static unsigned count_stars(struct text t)
{
    unsigned stars = 0;
    for (size_t i = 0; i < t.n; i++) stars += t.p[i] == '*';
    return stars;
}

conf_result names_add(struct conf *cf, struct names *n, struct text name, void *value, bool *duplicate_out)
{
    NEED(n, NAMES_MAGIC);
    ASSERT(value);
    bool added, ignored, *duplicate = duplicate_out ? duplicate_out : &ignored;
    *duplicate = false;
    if (name.n && name.p[0] == '~') return add_pattern(cf, n, name, value);
    unsigned stars = count_stars(name);
    bool head = name.n > 2 && text_starts(name, T("*.")), tail = !head && name.n > 2 && text_ends(name, T(".*"));
    if (stars != (unsigned) (head || tail) || text_find(name, T("..")) >= 0 || memchr(name.p ? name.p : "", '\0', name.n))
        return conf_say(cf, "!invalid server name or wildcard \"%.*s\"", TEXT_ARG(name));
    if (head) {
        added = shelf_add(n->pool, &n->suffix, text_from(name, 2), value, 0);
    } else if (tail) {
        added = shelf_add(n->pool, &n->prefix, text_upto(name, name.n - 2), value, 0);
    } else if (name.n > 1 && name.p[0] == '.') {
        added = shelf_add(n->pool, &n->exact, text_from(name, 1), value, 0);
        added &= shelf_add(n->pool, &n->suffix, text_from(name, 1), value, 0);
    } else {
        added = shelf_add(n->pool, &n->exact, name, value, 0);
    }
    *duplicate = !added;
    return NULL;
}

static void *find_suffix(const struct shelf *s, struct text host)
{
    void *best = NULL;
    uint64_t h = hash_start;
    for (size_t i = host.n; i-- > 0 && host.n - i - 1 <= s->longest; h = hash_step(h, host.p[i])) {
        if (host.p[i] != '.') continue;
        void *value = shelf_find(s, hash_end(h), text_from(host, i + 1));
        if (value) best = value;
    }
    return best;
}

static void *find_prefix(const struct shelf *s, struct text host)
{
    void *best = NULL;
    uint64_t h = hash_start;
    for (size_t i = 0; i + 1 < host.n && i <= s->longest; h = hash_step(h, host.p[i]), i++) {
        if (host.p[i] != '.') continue;
        void *value = shelf_find(s, hash_end(h), text_upto(host, i));
        if (value) best = value;
    }
    return best;
}

static void *find(const struct names *n, struct text low, struct text given, struct eval *e)
{
    NEED(n, NAMES_MAGIC);
    void *found = n->exact.count && low.n <= n->exact.longest ? shelf_find(&n->exact, text_hash(low), low) : NULL;
    if (!found && n->suffix.count) found = find_suffix(&n->suffix, low);
    if (!found && n->prefix.count) found = find_prefix(&n->prefix, low);
    if (found) return found;
    for (size_t i = 0; i < n->pattern_count; i++)
        if (regex_match(n->patterns[i].regex, given, e)) return n->patterns[i].value;
    return NULL;
}

void *names_find(const struct names *n, struct text host, struct eval *e) { return find(n, host, host, e); }

void *names_find_exact(const struct names *n, struct text word)
{
    return shelf_find(&n->exact, text_hash(word), word);
}

/* By words of eight bytes: what is read next in such words need not wait for single bytes. to: room for n + 8. */
static void put_low(char *to, struct text from)
{
    uint64_t v;
    size_t i = 0;
    for (; i + sizeof v <= from.n; i += sizeof v) {
        memcpy(&v, from.p + i, sizeof v);
        v = text_lower_word(v);
        memcpy(to + i, &v, sizeof v);
    }
    v = 0;
    if (i < from.n) memcpy(&v, from.p + i, from.n - i);
    v = text_lower_word(v);
    memcpy(to + i, &v, sizeof v);
}

void *names_find_nocase(const struct names *n, struct text word, struct eval *e)
{
    char room[512];
    char *p = word.n <= sizeof room - sizeof(uint64_t) ? room : base_alloc(word.n + sizeof(uint64_t));
    put_low(p, word);
    void *value = find(n, text_of(p, word.n), word, e);
    if (p != room) free(p);
    return value;
}
