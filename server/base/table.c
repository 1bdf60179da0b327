#include "base/table.h"

enum { SLOTS_FIRST = 8 };

void table_init(struct table *t, struct pool *pool, bool nocase)
{
    *t = (struct table) { .pool = pool, .nocase = nocase };
}

static uint64_t hash_of(const struct table *t, struct text key)
{
    return t->nocase ? text_hash_nocase(key) : text_hash(key);
}

/* The slot that has key, or the free one where it would go. There is always a free one. */
static struct table_slot *find(const struct table *t, struct text key, uint64_t hash)
{
    for (size_t i = hash & t->mask;; i = (i + 1) & t->mask) {
        struct table_slot *s = &t->slots[i];
        if (s->value == NULL) return s;
        if (s->hash == hash && (t->nocase ? text_eq_nocase(s->key, key) : text_eq(s->key, key))) return s;
    }
}

void *table_get(const struct table *t, struct text key)
{
    return t->slots ? find(t, key, hash_of(t, key))->value : NULL;
}

/* At most three quarters are in use. */
static void grow_for_one(struct table *t)
{
    size_t old_n = t->slots ? t->mask + 1 : 0;
    if (t->slots && (t->count + 1) * 4 <= old_n * 3) return;
    struct table_slot *old = t->slots;
    size_t n = old_n ? old_n * 2 : SLOTS_FIRST;
    t->slots = pool_array(t->pool, struct table_slot, n);
    t->mask = n - 1;
    for (size_t i = 0; i < old_n; i++) {
        if (old[i].value) *find(t, old[i].key, old[i].hash) = old[i];
    }
}

static bool set(struct table *t, struct text key, void *value, bool replace)
{
    ASSERT(value != NULL);
    grow_for_one(t);
    uint64_t hash = hash_of(t, key);
    struct table_slot *s = find(t, key, hash);
    if (s->value) {
        if (replace) s->value = value;
        return replace;
    }
    *s = (struct table_slot) { hash, key, value };
    t->count++;
    return true;
}

bool table_add(struct table *t, struct text key, void *value) { return set(t, key, value, false); }
void table_put(struct table *t, struct text key, void *value) { set(t, key, value, true); }

bool table_next(const struct table *t, size_t *at, struct text *key_out, void **value_out)
{
    for (; t->slots && *at <= t->mask; ++*at) {
        const struct table_slot *s = &t->slots[*at];
        if (s->value == NULL) continue;
        *key_out = s->key;
        *value_out = s->value;
        ++*at;
        return true;
    }
    return false;
}
