/* search: against the plain way, whole and in pieces. */
#include "base/build.h"
#include "base/search.h"
#include "t/unit/tap.h"

static struct pool *pool;

static const char *show(const struct search *s, const char *where, bool last)
{
    static char room[64];
    size_t at = 0, word = 0;
    enum search_result r = search_next(s, text_c(where), last, NULL, &at, &word);
    if (r == SEARCH_NONE) return "none";
    if (r == SEARCH_FOUND) snprintf(room, sizeof room, "%zu at %zu", word, at);
    else snprintf(room, sizeof room, "maybe %zu", at);
    return room;
}

static void test_places(void)
{
    struct text one[] = { T("Abc") }, three[] = { T("abcd"), T("bc"), T("abc") }, prefix[] = { T("ab"), T("abc") };
    struct search *s = search_open(pool, one, 1);
    is_text(text_c(show(s, "xxABCxx", false)), "0 at 2", "any case");
    is_text(text_c(show(s, "xxabXab", false)), "maybe 5", "may begin at the end");
    is_text(text_c(show(s, "xxabXab", true)), "none", "not when nothing follows");
    is_text(text_c(show(s, "", false)), "none", "nothing");
    is_text(text_c(show(s, "ababc", false)), "0 at 2", "begins twice");
    s = search_open(pool, three, 3);
    is_text(text_c(show(s, "xabce", false)), "2 at 1", "leftmost");
    is_text(text_c(show(s, "xabc", false)), "maybe 1", "the first one may still come");
    is_text(text_c(show(s, "xabc", true)), "2 at 1", "it will not");
    is_text(text_c(show(s, "xbcd", false)), "1 at 1", "the short one");
    s = search_open(pool, prefix, 2);
    is_text(text_c(show(s, "xabc", false)), "0 at 1", "the one given first");
    is_int(search_longest(s), 3, "longest");
    bool off[] = { true, false };
    size_t at, word;
    is_int(search_next(s, T("ab abc"), true, off, &at, &word), SEARCH_FOUND, "one is off");
    ok(at == 3 && word == 1, "the other is found");
}

static unsigned seed = 1;
static unsigned roll(unsigned n) { seed = seed * 1103515245u + 12345u; return (seed >> 16) % n; }

/* The plain way. */
static bool find_plain(const struct text *words, size_t count, struct text t, size_t *at, size_t *word)
{
    for (*at = 0; *at < t.n; ++*at)
        for (*word = 0; *word < count; ++*word)
            if (text_starts_nocase(text_from(t, *at), words[*word])) return true;
    return false;
}

/* Replaces by "<n>" with pieces of random length. */
static struct text replace_pieces(const struct search *s, const struct text *words, struct text t)
{
    struct build b = build_in_pool(pool, 0, 0);
    char held[4096];
    size_t n = 0, at, word;
    while (t.n || n) {
        size_t more = t.n ? min_of(t.n, (size_t) 1 + roll(6)) : 0;
        memcpy(held + n, t.p, more);
        n += more;
        t = text_from(t, more);
        enum search_result r;
        while ((r = search_next(s, text_of(held, n), !t.n, NULL, &at, &word)) == SEARCH_FOUND) {
            build_text(&b, text_of(held, at));
            build_fmt(&b, "<%zu>", word);
            n -= at + words[word].n;
            memmove(held, held + at + words[word].n, n);
        }
        if (r == SEARCH_NONE) at = n;
        build_text(&b, text_of(held, at));
        n -= at;
        memmove(held, held + at, n);
    }
    return build_done(&b);
}

static struct text replace_plain(const struct text *words, size_t count, struct text t)
{
    struct build b = build_in_pool(pool, 0, 0);
    size_t at, word;
    while (t.n && find_plain(words, count, t, &at, &word)) {
        build_text(&b, text_upto(t, at));
        build_fmt(&b, "<%zu>", word);
        t = text_from(t, at + words[word].n);
    }
    build_text(&b, t);
    return build_done(&b);
}

static void test_random(void)
{
    unsigned wrong = 0;
    for (unsigned round = 0; round < 20000; round++) {
        char letters[4][8], line[64];
        struct text words[4];
        size_t count = 1 + roll(4), n = roll(sizeof line);
        for (size_t w = 0; w < count; w++) {
            words[w] = text_of(letters[w], 1 + roll(6));
            for (size_t i = 0; i < words[w].n; i++) letters[w][i] = "abAB"[roll(4)];
        }
        for (size_t i = 0; i < n; i++) line[i] = "aabbABc"[roll(7)];
        struct search *s = search_open(pool, words, count);
        wrong += !text_eq(replace_pieces(s, words, text_of(line, n)), replace_plain(words, count, text_of(line, n)));
        pool_reset(pool);
    }
    is_int(wrong, 0, "20000 random searches in pieces");
}

int main(void)
{
    pool = pool_open(0);
    test_places();
    test_random();
    pool_close(&pool);
    return done();
}
