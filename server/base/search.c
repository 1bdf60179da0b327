#include "base/search.h"

/* Words are found by the byte at the end of a window as long as the shortest of them: shift tells how far the window may
 * move on; where it is 0, the words of that byte's list are compared. */
struct search {
    size_t       count, shortest, longest;
    struct text *words;                /* lower case */
    uint32_t     shift[256];
    uint32_t     from[257];            /* the words whose window ends with byte c: order[from[c] … from[c + 1]) */
    uint32_t    *order;
};

static unsigned char byte_at(struct text t, size_t i) { return text_lower((unsigned char) t.p[i]); }

static void fill_tables(struct pool *pool, struct search *s)
{
    uint32_t n = 0;
    s->order = pool_alloc(pool, s->count * sizeof *s->order);
    for (size_t c = 0; c < countof(s->shift); c++) s->shift[c] = (uint32_t) s->shortest;
    for (size_t w = 0; w < s->count; w++)
        for (size_t i = 0; i < s->shortest; i++) {
            uint32_t *shift = &s->shift[(unsigned char) s->words[w].p[i]];
            *shift = min_of(*shift, (uint32_t) (s->shortest - 1 - i));
        }
    for (size_t c = 0; c < countof(s->shift); c++) {
        s->from[c] = n;
        for (size_t w = 0; w < s->count; w++)
            if ((unsigned char) s->words[w].p[s->shortest - 1] == c) s->order[n++] = (uint32_t) w;
    }
    s->from[256] = n;
    for (unsigned c = 'A'; c <= 'Z'; c++) s->shift[c] = s->shift[text_lower((unsigned char) c)];
}

struct search *search_open(struct pool *pool, const struct text *words, size_t count)
{
    struct search *s = pool_new(pool, struct search);
    ASSERT(count);
    s->count = count;
    s->words = pool_array(pool, struct text, count);
    s->shortest = SIZE_MAX;
    for (size_t w = 0; w < count; w++) {
        ASSERT(words[w].n);
        char *p = pool_bytes(pool, words[w].n);
        for (size_t i = 0; i < words[w].n; i++) p[i] = (char) byte_at(words[w], i);
        s->words[w] = text_of(p, words[w].n);
        s->shortest = min_of(s->shortest, words[w].n);
        s->longest = max_of(s->longest, words[w].n);
    }
    fill_tables(pool, s);
    return s;
}

size_t search_longest(const struct search *s) { return s->longest; }
size_t search_length(const struct search *s, size_t word) { return s->words[word].n; }

/* As many bytes of the word as there are in t from at on are equal. */
static bool agrees(struct text word, struct text t, size_t at)
{
    size_t n = min_of(word.n, t.n - at);
    for (size_t i = 0; i < n; i++)
        if (byte_at(t, at + i) != (unsigned char) word.p[i]) return false;
    return true;
}

/* What the words order[from … to) say of place at. */
static enum search_result look(const struct search *s, const uint32_t *order, size_t count, struct text t, size_t at, bool last, const bool *off, size_t *word_out)
{
    for (size_t i = 0; i < count; i++) {
        size_t w = order ? order[i] : i;
        bool whole = s->words[w].n <= t.n - at;
        if ((off && off[w]) || (!whole && last) || !agrees(s->words[w], t, at)) continue;
        *word_out = w;
        return whole ? SEARCH_FOUND : SEARCH_MAYBE;
    }
    return SEARCH_NONE;
}

enum search_result search_next(const struct search *s, struct text t, bool last, const bool *off, size_t *at_out, size_t *word_out)
{
    size_t end = s->shortest - 1;          /* of the window */
    enum search_result r;
    while (end < t.n) {
        unsigned char c = (unsigned char) t.p[end];
        if (s->shift[c]) {
            end += s->shift[c];
            continue;
        }
        c = text_lower(c);
        *at_out = end - (s->shortest - 1);
        r = look(s, s->order + s->from[c], s->from[c + 1] - s->from[c], t, *at_out, last, off, word_out);
        if (r) return r;
        end++;
    }
    if (last) return SEARCH_NONE;
    for (*at_out = end - (s->shortest - 1); *at_out < t.n; ++*at_out) {
        r = look(s, NULL, s->count, t, *at_out, false, off, word_out);
        if (r) return r;
    }
    return SEARCH_NONE;
}
