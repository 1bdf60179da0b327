/* ssi: any bytes in any pieces; text and commands are the same in one piece as byte by byte. */
#include "wire/ssi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t run(struct pool *pool, struct text t, size_t piece)
{
    struct ssi_parser s;
    uint64_t seen = 0;
    ssi_parse_open(&s, pool, 32);
    for (size_t at = 0, used; at < t.n; at += used) {
        struct text part = text_of(t.p + at, min_of(piece, t.n - at));
        enum ssi_event e = ssi_parse(&s, part, &used);
        ASSERT(used <= part.n && (used || e == SSI_SPILL));
        if (e == SSI_TEXT) seen += used;
        if (e == SSI_SPILL) seen += s.matched, s.matched = 0;
        if (e == SSI_COMMAND || e == SSI_BAD) seen += (e == SSI_BAD ? 1u << 30 : 1u << 20) + min_of(s.count, (size_t) SSI_PARAMS_MOST + 1);
    }
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_open(0);
    struct text t = text_of((const char *) data, size);
    ASSERT(run(pool, t, size ? size : 1) == run(pool, t, 1));
    pool_close(&pool);
    return 0;
}
