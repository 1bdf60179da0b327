#include "wire/chunked.h"
#include "t/unit/tap.h"

/* What came out: data, then "[name=value]" for each trailer. step: bytes given at a time. */
static struct text decode(struct text in, size_t step, size_t room_size, enum fault *fault_out, size_t *taken_out)
{
    static char out[70000], room[256];
    struct chunked c;
    size_t n = 0, at = 0, end = 0;
    chunked_begin(&c);
    *fault_out = FAULT_COUNT;     /* not at an end */
    for (;;) {
        size_t used;
        struct text data = { NULL, 0 };
        if (at == end) {
            if (end == in.n) break;
            end = min_of(end + step, in.n);
        }
        char *exact = malloc(end - at);
        memcpy(exact, in.p + at, end - at);
        enum chunked_result got = chunked_next(&c, exact, end - at, &used, &data);
        at += used;
        if (got == CHUNKED_DATA) { memcpy(out + n, data.p, data.n); n += data.n; }
        free(exact);
        if (got == CHUNKED_TRAILER) n += (size_t) snprintf(out + n, sizeof out - n, "[%.*s=%.*s]", TEXT_ARG(c.trailer.name), TEXT_ARG(c.trailer.value));
        if (got == CHUNKED_ROOM) chunked_room(&c, room, room_size);
        if (got == CHUNKED_MORE) ok(at == end || step > 0, "all used");
        if (got == CHUNKED_BAD) *fault_out = c.fault;
        if (got == CHUNKED_END) *fault_out = FAULT_NONE;
        if (got == CHUNKED_BAD || got == CHUNKED_END) break;
    }
    *taken_out = at;
    return text_of(out, n);
}

static const char *name_of(enum fault f) { return f < FAULT_COUNT ? fault_row(f)->name : "more"; }

static void check(struct text in, enum fault want, struct text want_data, size_t left)
{
    static const size_t steps[] = { 100000, 1, 2, 7 };
    for (size_t i = 0; i < countof(steps); i++) {
        enum fault f;
        size_t taken;
        struct text data = decode(in, steps[i], 256, &f, &taken);
        is_str(name_of(f), name_of(want), "\"%.24s\" by %zu", in.p, steps[i]);
        if (want == FAULT_NONE) {
            is_same(data, want_data, "  data");
            is_int(in.n - taken, left, "  left");
        }
    }
}

#define GOOD(lit, data, rest) check(T(lit rest), FAULT_NONE, T(data), sizeof(rest) - 1)
#define BAD(lit, why)         check(T(lit), FAULT_##why, T(""), 0)

static void test_reader(void)
{
    GOOD("0\r\n\r\n", "", "GET / HTTP/1.1");
    GOOD("5\r\nhello\r\n0\r\n\r\n", "hello", "GET");
    GOOD("5\r\nhello\r\n00b\r\n, big world\r\n000\r\n\r\n", "hello, big world", "");
    GOOD("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "x");
    GOOD("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x", "");
    GOOD("1;a\r\nx\r\n0;b=c;d=\"e\\\"\t;f\" ; g = h;i\r\n\r\n", "x", "");
    GOOD("1 ;a\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", "x[A=b][C=]", "rest\r\n");
    check(T("5\r\nhel"), FAULT_COUNT, T(""), 0);

    BAD("\r\n", CHUNK_SIZE);
    BAD("g\r\n", CHUNK_SIZE);
    BAD("-1\r\n", CHUNK_SIZE);
    BAD("+1\r\n", CHUNK_SIZE);
    BAD("0x1\r\n", CHUNK_SIZE);
    BAD("1g\r\n", CHUNK_SIZE);
    BAD(" 1\r\n", CHUNK_SIZE);
    BAD("1\0\r\n", CHUNK_SIZE);
    BAD(";a\r\n", CHUNK_SIZE);
    BAD("1 \r\nx\r\n", CHUNK_EXTENSION);
    BAD("00000000000000001\r\nx", CHUNK_LARGE);
    BAD("8000000000000000\r\nx", CHUNK_LARGE);
    BAD("fffffffffffffffff\r\n", CHUNK_LARGE);
    BAD("1\nx\r\n0\r\n\r\n", BARE_LF);
    BAD("1;a\nx\r\n0\r\n\r\n", BARE_LF);
    BAD("1\rx", BARE_CR);
    BAD("1\r\nx\n0\r\n\r\n", BARE_LF);
    BAD("1\r\nxy\r\n", CHUNK_END);
    BAD("1\r\nx\rY", CHUNK_END);
    BAD("1\r\nx0\r\n\r\n", CHUNK_END);
    BAD("1;\r\nx", CHUNK_EXTENSION);
    BAD("1;a=\r\nx", CHUNK_EXTENSION);
    BAD("1;a=\"b\r\n\"\r\nx", CHUNK_EXTENSION);
    BAD("1;a=\"b\0\"\r\nx", CHUNK_EXTENSION);
    BAD("1;a=b c\r\nx", CHUNK_EXTENSION);
    BAD("1;a\0\r\nx", CHUNK_EXTENSION);
    BAD("1;a \r\nx", CHUNK_EXTENSION);
    BAD("1 a\r\nx", CHUNK_EXTENSION);
    BAD("0\r\n\rX", BARE_CR);
    BAD("0\r\n\n", BARE_LF);
    BAD("0\r\nA: b\n\r\n", BARE_LF);
    BAD("0\r\nA : b\r\n\r\n", FIELD_SPACE);
    BAD("0\r\n a: b\r\n\r\n", FIELD_FOLD);
    BAD("0\r\nGET / HTTP/1.1\r\n\r\n", FIELD_SPACE);
}

static void test_limits(void)
{
    static char long_one[CHUNKED_LINE_MOST + 16], many[CHUNKED_EXTENSIONS_MOST * 3];
    enum fault f;
    size_t taken, n = 0;
    memset(long_one, 'a', sizeof long_one);
    memcpy(long_one, "1;", 2);
    decode(text_of(long_one, sizeof long_one), 999, 256, &f, &taken);
    is_int(f, FAULT_CHUNK_EXTENSIONS, "one long extension");
    while (n < sizeof many - 16) n += (size_t) snprintf(many + n, 16, "1;abcdef\r\nx\r\n");
    decode(text_of(many, n), 999, 256, &f, &taken);
    is_int(f, FAULT_CHUNK_EXTENSIONS, "many short extensions");
    decode(T("0\r\nA: 0123456789\r\n\r\n"), 3, 16, &f, &taken);
    is_int(f, FAULT_TRAILERS_LARGE, "trailers above the limit");
    decode(T("0\r\nA: 01234567\r\n\r\n"), 3, 16, &f, &taken);
    is_int(f, FAULT_NONE, "trailers at the limit");
}

static void test_writer(void)
{
    static const uint64_t sizes[] = { 1, 15, 16, 255, 256, 0xabcdef, UINT32_MAX, 1ull << 32, INT64_MAX, UINT64_MAX };
    for (size_t i = 0; i < countof(sizes); i++) {
        char room[CHUNKED_HEAD_MOST], want[32];
        size_t n = chunked_head(room, sizes[i]);
        snprintf(want, sizeof want, "%llx\r\n", (unsigned long long) sizes[i]);
        is_same(text_of(room, n), text_c(want), "head of %s", want);
    }
}

int main(void)
{
    test_reader();
    test_limits();
    test_writer();
    return done();
}
