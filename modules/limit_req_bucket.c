#include "modules/limit_req.h"

int64_t limit_bucket_with(const struct limit_bucket *b, uint64_t leak, uint64_t now_ms)
{
    /* Another worker's clock may be a turn ahead of ours. */
    uint64_t ms = now_ms > b->last_ms ? now_ms - b->last_ms : 0;
    if (!b->last_ms) return 0;
    __int128 excess = (__int128) b->excess + LIMIT_COST - (__int128) ms * leak;
    return excess > 0 ? (int64_t) excess : 0;
}

bool limit_bucket_take(struct limit_bucket *b, uint64_t leak, int64_t burst, uint64_t now_ms, int64_t *excess_out)
{
    enum { ASTRAY_MS = 60000 };
    int64_t excess = *excess_out = limit_bucket_with(b, leak, now_ms);
    if (excess > burst) return false;
    /* Who dies between these two has counted too much, not too little. */
    if (now_ms > b->last_ms || b->last_ms - now_ms > ASTRAY_MS) b->last_ms = now_ms;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    b->excess = excess;
    return true;
}

void limit_bucket_return(struct limit_bucket *b) { b->excess -= LIMIT_COST; }

uint64_t limit_bucket_wait(int64_t excess, int64_t target, uint64_t leak)
{
    return excess <= target ? 0 : ((uint64_t) (excess - target) + leak - 1) / leak;
}
