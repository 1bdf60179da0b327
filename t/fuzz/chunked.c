/* Chunked bodies: the same however they are cut; what comes out, coded again, comes out again. */
#include "t/fuzz/fuzz.h"
#include "wire/chunked.h"

enum { TRAILERS_MOST = 512 };

struct run { struct chunked c; struct build out; enum chunked_result result; size_t used; char room[TRAILERS_MOST]; };

static void feed(struct run *r, const char *p, size_t n)
{
    char *exact = fuzz_exact(p, n);
    size_t at = 0;
    for (;;) {
        size_t used;
        struct text data;
        r->result = chunked_next(&r->c, exact + at, n - at, &used, &data);
        HOLD(used <= n - at);
        at += used;
        if (r->result == CHUNKED_DATA) {
            HOLD(data.n > 0 && data.p >= exact && data.p + data.n == exact + at);
            build_text(&r->out, data);
        } else if (r->result == CHUNKED_ROOM) {
            chunked_room(&r->c, r->room, sizeof r->room);
        } else if (r->result == CHUNKED_TRAILER) {
            HOLD(fuzz_one_line(r->c.trailer.name) && fuzz_one_line(r->c.trailer.value));
            build_text(&r->out, r->c.trailer.name);
            build_char(&r->out, '=');
            build_text(&r->out, r->c.trailer.value);
        } else {
            break;
        }
    }
    HOLD(r->result != CHUNKED_MORE || at == n);
    r->used += at;
    free(exact);
}

static void begin(struct run *r, struct pool *pool)
{
    chunked_begin(&r->c);
    r->out = build_in_pool(pool, 0, 0);
    r->result = CHUNKED_MORE;
    r->used = 0;
}

static void code_again(struct run *r, struct text data, struct pool *pool, uint32_t seed)
{
    struct build coded = build_in_pool(pool, 0, 0);
    begin(r, pool);
    for (struct text rest = data; rest.n;) {
        char head[CHUNKED_HEAD_MOST];
        size_t n = fuzz_piece(&seed, rest.n);
        build_text(&coded, text_of(head, chunked_head(head, n)));
        build_text(&coded, text_upto(rest, n));
        build_lit(&coded, "\r\n");
        rest = text_from(rest, n);
    }
    build_lit(&coded, CHUNKED_LAST "more");
    feed(r, coded.p, coded.n);
    HOLD(r->result == CHUNKED_END && r->used == coded.n - 4);
    HOLD(text_eq(build_done(&r->out), data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint32_t seed = data[0];
    const char *all = (const char *) data + 1;
    struct pool *pool = pool_open(0);
    struct run whole, slow, again;
    size--;
    begin(&whole, pool);
    begin(&slow, pool);
    feed(&whole, all, size);
    for (size_t n = 0; n < size && slow.result == CHUNKED_MORE;) {
        size_t piece = fuzz_piece(&seed, size - n);
        feed(&slow, all + n, piece);
        n += piece;
    }
    HOLD(size == 0 || whole.result == slow.result);
    HOLD(whole.c.fault == slow.c.fault);
    HOLD(text_eq(build_done(&whole.out), build_done(&slow.out)));
    if (whole.result == CHUNKED_END) HOLD(whole.used == slow.used && all[whole.used - 1] == '\n');
    code_again(&again, build_done(&whole.out), pool, seed);
    pool_close(&pool);
    return 0;
}
