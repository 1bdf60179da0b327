#include "os/shm_rate.h"

enum { PARTS = 1000 };       /* of a byte: a rate of n bytes a second leaks n of them a millisecond */

static uint64_t leaked(const struct shm_bucket *b, const struct shm_rate *r, uint64_t now_ms)
{
    /* Another worker's clock may be a turn ahead of ours. */
    uint64_t ms = now_ms > b->last_ms ? now_ms - b->last_ms : 0;
    return ms >= b->excess / r->rate + 1 ? 0 : b->excess - ms * r->rate;
}

uint64_t shm_rate_turn(const struct shm_rate *r)
{
    enum { A_SECOND_HAS = 20, LEAST = 1024, MOST = 256 * 1024 };
    return min_of(max_of(r->rate / A_SECOND_HAS, (uint64_t) LEAST), (uint64_t) MOST);
}

static struct shm_bucket *make_room(struct shm_table *t, const struct shm_rate *r, struct siphash key, uint64_t now_ms, bool *forgot_out)
{
    struct shm_bucket *oldest = shm_table_oldest(t);
    if (forgot_out && leaked(oldest, r, now_ms)) *forgot_out = true;
    shm_table_drop(t, oldest);
    return shm_table_add(t, key);
}

uint64_t shm_rate_reserve(struct shm_table *t, const struct shm_rate *r, struct siphash key, uint64_t bytes, uint64_t now_ms, bool *forgot_out)
{
    ASSERT(r->rate && r->rate <= SHM_RATE_MOST && r->burst <= SHM_RATE_MOST && bytes <= SHM_RATE_MOST);
    shm_table_enter(t);
    struct shm_bucket *b = shm_table_find(t, key);
    if (!b && (b = shm_table_add(t, key)) == NULL) b = make_room(t, r, key, now_ms, forgot_out);
    uint64_t excess = leaked(b, r, now_ms);
    excess += min_of(bytes * PARTS, UINT64_MAX / 2 - excess);
    if (now_ms > b->last_ms) b->last_ms = now_ms;
    /* Who dies between these two has counted too much, not too little. */
    atomic_signal_fence(memory_order_seq_cst);
    b->excess = excess;
    shm_table_leave(t);
    return excess <= r->burst * PARTS ? 0 : (excess - r->burst * PARTS + r->rate - 1) / r->rate;
}

void shm_rate_return(struct shm_table *t, struct siphash key, uint64_t bytes)
{
    shm_table_enter(t);
    struct shm_bucket *b = shm_table_find(t, key);
    if (b) b->excess -= min_of(bytes * PARTS, b->excess);
    shm_table_leave(t);
}
