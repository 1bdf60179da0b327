/* text, pool, chunk, table, build */
#include "base/build.h"
#include "base/chunk.h"
#include "base/table.h"
#include "t/unit/tap.h"

static void test_text(void)
{
    struct text rest = T("a,b,,c"), part;
    uint64_t v;
    ok(text_eq_nocase(T("Host"), T("hOST")), "eq_nocase");
    ok(!text_eq_nocase(T("Host"), T("hOSt1")), "eq_nocase lengths differ");
    ok(!text_eq_nocase(T("@"), T("`")), "eq_nocase touches letters only");
    ok(text_starts(T("abc"), T("ab")) && !text_starts(T("a"), T("ab")), "starts");
    ok(text_starts_nocase(T("ABc"), T("ab")), "starts_nocase");
    ok(text_ends(T("abc"), T("bc")) && !text_ends(T("c"), T("bc")), "ends");
    ok(text_cmp(T("a"), T("ab")) < 0 && text_cmp(T("b"), T("ab")) > 0 && text_cmp(T("x"), T("x")) == 0, "cmp");
    is_int(text_find_char(T("a/b/c"), '/'), 1, "find_char");
    is_int(text_rfind_char(T("a/b/c"), '/'), 3, "rfind_char");
    is_int(text_find_char(text_of(NULL, 0), '/'), -1, "find_char in nothing");
    is_int(text_find(T("hello"), T("ll")), 2, "find");
    is_int(text_find(T("hello"), T("")), 0, "find empty");
    is_text(text_trim(T(" \t x y\t ")), "x y", "trim");
    char joined[32];
    struct build b = build_in_room(joined, sizeof joined);
    while (text_split(&rest, ',', &part)) { build_text(&b, part); build_char(&b, '|'); }
    is_text(build_done(&b), "a|b||c|", "split");
    ok(text_u64(T("18446744073709551615"), &v) && v == UINT64_MAX, "u64 largest");
    ok(!text_u64(T("18446744073709551616"), &v), "u64 overflow");
    ok(!text_u64(T(""), &v) && !text_u64(T("+1"), &v) && !text_u64(T("1 "), &v), "u64 refuses");
    ok(text_hex(T("fFfFfFfFfFfFfFfF"), &v) && v == UINT64_MAX, "hex largest");
    ok(!text_hex(T("10000000000000000"), &v) && !text_hex(T("0x1"), &v) && !text_hex(T("g"), &v), "hex refuses");
    ok(text_hash_nocase(T("Content-Length-[]@`{")) == text_hash_nocase(T("cONTENT-lENGTH-[]@`{")), "hash_nocase");
    ok(text_hash_nocase(T("Content-Length@")) != text_hash_nocase(T("Content-Length`")), "hash_nocase: only letters");
    ok(text_hash(T("a")) != text_hash(T("A")), "hash");
    ok(text_eq_secret(T("abc"), T("abc")) && !text_eq_secret(T("abc"), T("abd")), "eq_secret");
    is_int(text_distance(T("proxy_pas"), T("proxy_pass"), 4), 1, "distance insert");
    is_int(text_distance(T("kitten"), T("sitting"), 9), 3, "distance");
    is_int(text_distance(T("abcdef"), T("uvwxyz"), 3), 3, "distance stops at the limit");
}

static unsigned order;
static void note(void *arg) { order = order * 10 + *(unsigned *) arg; }

static void test_pool(void)
{
    static unsigned one = 1, two = 2, three = 3;
    struct pool *p = pool_open(0);
    pool_cleanup(p, note, &one);
    pool_cleanup(p, note, &two);
    pool_cleanup(p, note, &three);
    ok(pool_cleanup_cancel(p, note, &two), "cancel");
    ok(!pool_cleanup_cancel(p, note, &two), "cancel again");
    bool aligned = true, zero = true;
    for (size_t n = 0; n < 300; n++) {
        char *bytes = pool_bytes(p, n % 7);
        memset(bytes, 'x', n % 7);
        char *at = pool_zalloc(p, n);
        aligned &= ((uintptr_t) at & (POOL_ALIGN - 1)) == 0;
        for (size_t i = 0; i < n; i++) zero &= at[i] == 0;
        memset(at, 0xff, n);
    }
    ok(aligned, "aligned");
    ok(zero, "zeroed");
    char *big = pool_alloc(p, 100000);
    memset(big, 1, 100000);
    ok(pool_size(p) > 140000, "size");
    is_text(pool_printf(p, "%d-%s", 42, "x"), "42-x", "printf");
    is_str(pool_cstr(p, text_upto(T("abcdef"), 3)), "abc", "cstr");
    size_t cap = 0;
    unsigned *array = NULL;
    for (unsigned i = 0; i < 1000; i++) {
        array = pool_grow(p, array, i, &cap, sizeof *array);
        array[i] = i;
    }
    bool same = true;
    for (unsigned i = 0; i < 1000; i++) same &= array[i] == i;
    ok(same, "grow keeps");
    pool_reset(p);
    is_int(order, 31, "cleanups newest first");
    ok(pool_size(p) <= 4096, "reset gives back");
    memset(pool_alloc(p, 5000), 0, 5000);
    pool_close(&p);
    ok(p == NULL, "close nulls");
    pool_close(&p);
    pool_trim();
}

static void test_chunk(void)
{
    struct chunk *c = chunk_open(CHUNK_USUAL), *held = chunk_hold(c);
    memset(c->data, 7, c->size);
    chunk_drop(&c);
    ok(c == NULL && held->data[100] == 7, "held chunk stays");
    chunk_drop(&held);
    chunk_drop(&held);
    c = chunk_open(1000);
    is_int(c->size, 1000, "exact size");
    chunk_drop(&c);
    chunk_trim();
}

static void test_build(void)
{
    struct pool *p = pool_open(0);
    struct build b = build_in_pool(p, 4, 0);
    for (int i = 0; i < 1000; i++) build_lit(&b, "0123456789");
    is_int(build_done(&b).n, 10000, "grows");
    ok(build_ok(&b) && memcmp(b.p + 9990, "0123456789", 10) == 0, "grown keeps");

    b = build_in_pool(p, 0, 0);
    build_u64(&b, UINT64_MAX);
    build_char(&b, ' ');
    build_i64(&b, INT64_MIN);
    build_char(&b, ' ');
    build_hex(&b, 0xabc, 6);
    build_char(&b, ' ');
    build_hex(&b, 0, 1);
    build_char(&b, ' ');
    build_ms(&b, 12034);
    build_char(&b, ' ');
    build_bytes_hex(&b, text_of("\x01\xfe", 2));
    is_text(build_done(&b), "18446744073709551615 -9223372036854775808 000abc 0 12.034 01fe", "numbers");

    b = build_in_pool(p, 2, 0);
    build_fmt(&b, "%s-%d", "long enough to grow", 5);
    is_text(build_done(&b), "long enough to grow-5", "fmt grows");

    b = build_in_pool(p, 0, 0);
    build_escaped(&b, text_of("a\"\\\n\x7f\xff", 6));
    is_text(build_done(&b), "a\\x22\\x5C\\x0A\\x7F\\xFF", "escaped");
    b = build_in_pool(p, 0, 0);
    build_json(&b, text_of("a\"\\\n\x01\x1f\xc3\xa9", 8));
    is_text(build_done(&b), "a\\\"\\\\\\n\\u0001\\u001F\xc3\xa9", "json");

    char room[8];
    b = build_in_room(room, sizeof room);
    build_fmt(&b, "%s", "12345678");
    ok(build_ok(&b), "fmt fills the room to the last byte");
    build_lit(&b, "");
    ok(build_ok(&b), "nothing fits always");
    b = build_in_room(room, sizeof room);
    build_lit(&b, "123456");
    build_lit(&b, "789");
    build_char(&b, 'x');
    ok(!build_ok(&b), "over");
    is_text(build_done(&b), "123456", "past the limit nothing is written");
    b = build_in_pool(p, 0, 5);
    build_lit(&b, "1234");
    build_u64(&b, 56);
    ok(!build_ok(&b), "limit in a pool");
    pool_close(&p);
}

static void test_table(void)
{
    struct pool *p = pool_open(0);
    struct table t;
    int values[500];
    table_init(&t, p, true);
    ok(table_get(&t, T("x")) == NULL, "empty");
    for (int i = 0; i < 500; i++) ok(table_add(&t, pool_printf(p, "Key-%d", i), &values[i]) || i < 0, "add %d", i);
    ok(!table_add(&t, T("key-7"), &values[0]), "there already");
    bool found = true;
    for (int i = 0; i < 500; i++) found &= table_get(&t, pool_printf(p, "kEY-%d", i)) == &values[i];
    ok(found, "all found, whatever the case");
    table_put(&t, T("KEY-7"), &values[0]);
    ok(table_get(&t, T("key-7")) == &values[0] && t.count == 500, "put replaces");
    size_t at = 0, n = 0;
    struct text key;
    void *value;
    while (table_next(&t, &at, &key, &value)) n++;
    is_int(n, 500, "next");
    table_init(&t, p, false);
    table_put(&t, T("a"), &values[1]);
    ok(table_get(&t, T("A")) == NULL, "case counts");
    pool_close(&p);
}

int main(void)
{
    test_text();
    test_pool();
    test_chunk();
    test_build();
    test_table();
    return done();
}
