/* Packed tables: words of all lengths, copies and pointers, hashes that meet. */
#include "t/unit/tap.h"
#include "eval/packed.h"

enum { WORDS = 5000 };

static struct text key_of(char *room, size_t i, size_t longest)
{
    size_t n = (size_t) snprintf(room, 16, "%zu.", i);
    size_t more = i % 7 == 0 ? i % longest : i % 20;
    memset(room + n, 'k', more);
    return text_of(room, n + more);
}

/* Every third word has a pointer, the others copies of bytes of the key. */
static size_t value_size(struct text key, size_t i) { return i % 3 == 0 ? 0 : 1 + i % key.n; }

static unsigned count_wrong(const struct packed *p, size_t longest, uint64_t hash_bits)
{
    unsigned wrong = 0;
    char room[1024];
    for (size_t i = 1; i <= WORDS; i++) {
        struct text key = key_of(room, i, longest);
        size_t size = value_size(key, i);
        const char *value = packed_find(p, text_hash(key) & hash_bits, key);
        wrong += size ? !value || memcmp(value, key.p, size) != 0 : value != (char *) i;
        room[key.n - 1] ^= 1;
        wrong += packed_find(p, text_hash(key) & hash_bits, key) != NULL;
    }
    return wrong;
}

static unsigned try(size_t longest, uint64_t hash_bits)
{
    struct packed_sizes z = { 0 };
    struct pool *pool = pool_open(0);
    char room[1024];
    for (size_t i = 1; i <= WORDS; i++) {
        struct text key = key_of(room, i, longest);
        packed_measure(&z, key.n, value_size(key, i));
    }
    struct packed *p = packed_open(&z, pool);
    for (size_t i = 1; i <= WORDS; i++) {
        struct text key = key_of(room, i, longest);
        packed_add(p, text_hash(key) & hash_bits, key, value_size(key, i) ? key.p : (void *) i, value_size(key, i));
    }
    unsigned wrong = count_wrong(p, longest, hash_bits);
    packed_close(&p);
    wrong += p != NULL;
    packed_close(&p);
    pool_close(&pool);
    return wrong;
}

int main(void)
{
    is_int(try(1, UINT64_MAX), 0, "short words");
    is_int(try(900, UINT64_MAX), 0, "some of hundreds of bytes");
    is_int(try(30, UINT32_MAX), 0, "all begin at one bucket, and fill those after it");
    is_int(try(30, (uint64_t) 0xff << 32), 0, "all have one tag");
    is_int(try(30, (uint64_t) UINT32_MAX << 32), 0, "and buckets of their own");

    struct packed_sizes none = { 0 };
    struct pool *pool = pool_open(0);
    struct packed *p = packed_open(&none, pool);
    ok(!packed_find(p, 1, T("a")) && !packed_find(p, 0, T("")), "an empty one has nothing");
    packed_close(&p);
    pool_close(&pool);
    return done();
}
