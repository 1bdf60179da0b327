/* FastCGI records: written, read back in pieces of any size, and what is none. */
#include "t/unit/tap.h"
#include "base/pool.h"
#include "wire/fastcgi.h"

static struct pool *pool;

/* "D:bytes", "E:bytes", "C", "X" (the end), "B:why"; fed by so many bytes at a time */
static struct text picture(struct text in, size_t piece)
{
    struct fastcgi_reader f = { .have = 0 };
    struct build b = build_in_pool(pool, 256, 0);
    char last = 0;
    for (size_t from = 0; from < in.n;) {
        size_t n = min_of(piece, in.n - from), at = 0;
        for (;;) {
            size_t used;
            struct text data = T("");
            enum fastcgi_result how = fastcgi_next(&f, in.p + from + at, n - at, &used, &data);
            char kind = " DECXB"[how];
            at += used;
            if (how == FASTCGI_MORE) break;
            if (kind != last || (kind != 'D' && kind != 'E')) build_fmt(&b, "%s%c", b.n ? " " : "", kind);
            if (kind != last && data.n) build_char(&b, ':');
            build_text(&b, data);
            last = kind;
            if (how == FASTCGI_BAD) {
                build_fmt(&b, ":%s", f.fault);
                return build_done(&b);
            }
            if (how == FASTCGI_END) return build_done(&b);
        }
        from += n;
    }
    return build_done(&b);
}

static void reading(void)
{
    static const char answer[] = "\1\6\0\1\0\3\2\0abc\0\0" "\1\7\0\1\0\4\0\0oops" "\1\6\0\1\0\2\0\0de" "\1\6\0\1\0\0\0\0" "\1\3\0\1\0\10\1\0\0\0\0\0\0\0\0\0\0";
    struct text whole = text_of(answer, sizeof answer - 1);
    struct text all = picture(whole, whole.n);
    is_text(all, "D:abc E:oops D:de C X", "an answer in one piece");
    for (size_t piece = 1; piece < 9; piece++) ok(text_eq(picture(whole, piece), all), "the same in pieces of %zu", piece);
    is_text(picture(text_of("\2\6\0\1\0\1\0\0a", 9), 9), "B:unsupported FastCGI protocol version", "another version");
    is_text(picture(text_of("\1\6\0\2\0\1\0\0a", 9), 9), "B:unexpected FastCGI request id", "another request");
    is_text(picture(text_of("\1\6\1\1\0\1\0\0a", 9), 9), "B:unexpected FastCGI request id", "another request, above 255");
    is_text(picture(text_of("\1\5\0\1\0\1\0\0a", 9), 9), "B:invalid FastCGI record type", "a record that servers do not send");
    is_text(picture(text_of("\1\6\0\1\0\5\0\0abc", 11), 11), "D:abc", "the rest is waited for");
}

static void writing(void)
{
    struct build b = build_in_pool(pool, 64, 0);
    fastcgi_put_begin(&b, true);
    ok(text_eq(build_done(&b), text_of("\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0", 16)), "begin");
    b = build_in_pool(pool, 64, 0);
    fastcgi_put_pair(&b, T("A"), T("bc"));
    ok(text_eq(build_done(&b), text_of("\1\2Abc", 5)), "a pair");
    char *big = pool_bytes(pool, 70000);
    memset(big, 'x', 70000);
    b = build_in_pool(pool, 64, 0);
    fastcgi_put_pair(&b, T("A"), text_of(big, 70000));
    ok(b.n == 1 + 4 + 1 + 70000 && !memcmp(b.p, "\1\200\1\21\160A", 6), "a pair with a long value");
    b = build_in_pool(pool, 64, 0);
    fastcgi_put_stream(&b, FASTCGI_STDOUT, text_of(big, 70000));
    is_int(b.n, 70000 + 3 * FASTCGI_HEAD, "a long stream is two records and the empty one");
    struct text read = picture(build_done(&b), 4096);
    ok(text_ends(read, T("xxx C")) && read.n == 2 + 70000 + 2, "and reads as it was");
}

int main(void)
{
    pool = pool_open(0);
    reading();
    writing();
    pool_close(&pool);
    return done();
}
