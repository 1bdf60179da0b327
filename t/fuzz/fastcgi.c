/* FastCGI records: the same however they are cut; what is told lies in what was given. */
#include "t/fuzz/fuzz.h"
#include "wire/fastcgi.h"

struct run { struct fastcgi_reader f; struct build out; enum fastcgi_result result; };

static void feed(struct run *r, const char *p, size_t n)
{
    char *exact = fuzz_exact(p, n);
    for (size_t at = 0;;) {
        size_t used;
        struct text data;
        r->result = fastcgi_next(&r->f, exact + at, n - at, &used, &data);
        HOLD(used <= n - at);
        at += used;
        if (r->result == FASTCGI_MORE) HOLD(at == n);
        if (r->result == FASTCGI_DATA || r->result == FASTCGI_ERROR) {
            HOLD(data.n > 0 && data.p >= exact && data.p + data.n == exact + at);
            build_text(&r->out, data);
        } else if (r->result == FASTCGI_CLOSED) {
            build_lit(&r->out, "|");
        } else {
            break;
        }
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint32_t seed = data[0];
    const char *all = (const char *) data + 1;
    struct pool *pool = pool_open(0);
    struct run whole = { .out = build_in_pool(pool, 0, 0) }, slow = { .out = build_in_pool(pool, 0, 0) };
    size--;
    feed(&whole, all, size);
    for (size_t n = 0; n < size && slow.result <= FASTCGI_MORE;) {
        size_t piece = fuzz_piece(&seed, size - n);
        feed(&slow, all + n, piece);
        n += piece;
    }
    HOLD(size == 0 || whole.result == slow.result);
    HOLD(text_eq(build_done(&whole.out), build_done(&slow.out)));
    pool_close(&pool);
    return 0;
}
