/*
 * search: several words in bytes that come in pieces, whatever the case of ASCII letters. The leftmost place counts; of
 * words that begin at the same place the one given first.
 */
#ifndef BASE_SEARCH_H
#define BASE_SEARCH_H

#include "base/pool.h"

struct search;

/* In pool; the words (none empty, at least one) are copied in lower case. */
struct search *search_open(struct pool *pool, const struct text *words, size_t count);
/* Bytes of the longest word. */
size_t search_longest(const struct search *s);
size_t search_length(const struct search *s, size_t word);

enum search_result {
    SEARCH_NONE,     /* no word begins in t */
    SEARCH_FOUND,    /* at *at_out stands *word_out, whole */
    SEARCH_MAYBE,    /* what stands from *at_out to the end may become a word: look again when more has come */
};
/* last: nothing comes after t, so there is no MAYBE. off: one flag a word, set: it is not looked for; NULL: all are. */
enum search_result search_next(const struct search *s, struct text t, bool last, const bool *off, size_t *at_out, size_t *word_out);

#endif
