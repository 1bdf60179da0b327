/* fuzz: what targets share. The first byte of an input says how the rest is cut into pieces. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLD(c) do { if (!(c)) { fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #c); abort(); } } while (0)

/* The length of the next piece: 1 to left, from a seed that changes. */
static inline size_t fuzz_piece(uint32_t *seed, size_t left)
{
    *seed = *seed * 1664525u + 1013904223u;
    size_t n = 1 + (*seed >> 24) % 16;
    return n < left ? n : left;
}

/* A copy of exactly this many bytes, so that ASan sees a step beyond. To be freed. */
static inline char *fuzz_exact(const char *p, size_t n)
{
    char *copy = base_alloc(n);
    if (n) memcpy(copy, p, n);
    return copy;
}

/* No byte in it that could begin a new line, or end a C string. */
static inline bool fuzz_one_line(struct text t)
{
    return text_find_char(t, '\r') < 0 && text_find_char(t, '\n') < 0 && text_find_char(t, '\0') < 0;
}

#endif
