/* text: a pointer and a length. Owns nothing, need not end with NUL; NULL with length 0 is the empty text. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/base.h"
#include <string.h>

struct text { const char *p; size_t n; };

/* A literal as a text: T("on") */
#define T(lit) ((struct text) { "" lit, sizeof(lit) - 1 })
/* For initialisers of static objects: { TEXT_INIT("on") } */
#define TEXT_INIT(lit) { "" lit, sizeof(lit) - 1 }
/* For printf's "%.*s" */
#define TEXT_ARG(t) (int) (t).n, (t).p

static inline struct text text_of(const char *p, size_t n) { return (struct text) { p, n }; }
static inline struct text text_c(const char *c_string) { return (struct text) { c_string, c_string ? strlen(c_string) : 0 }; }
static inline bool text_empty(struct text t) { return t.n == 0; }
static inline bool text_eq(struct text a, struct text b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline struct text text_from(struct text t, size_t at) { return (struct text) { t.p + at, t.n - at }; }
static inline struct text text_upto(struct text t, size_t n) { return (struct text) { t.p, n }; }

/* ASCII only, as protocols mean it; locale never matters. */
static inline unsigned char text_lower(unsigned char c) { return (unsigned char) (c - 'A') < 26 ? c | 0x20 : c; }
/* The same for the eight bytes of a word at once. */
static inline uint64_t text_lower_word(uint64_t v)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t seven = v & 0x7f * ones;
    uint64_t from_a = seven + (0x80 - 'A') * ones, past_z = seven + (0x80 - 'Z' - 1) * ones;
    return v | (from_a & ~past_z & ~v & 0x80 * ones) >> 2;
}
bool text_eq_nocase(struct text a, struct text b);
bool text_starts(struct text t, struct text prefix);
bool text_starts_nocase(struct text t, struct text prefix);
bool text_ends(struct text t, struct text suffix);
/* memcmp order, shorter first. */
int  text_cmp(struct text a, struct text b);

/* Index of the first c, or -1. */
ssize_t text_find_char(struct text t, char c);
ssize_t text_rfind_char(struct text t, char c);
/* Index of the first occurrence of sub, or -1; sub empty: 0. */
ssize_t text_find(struct text t, struct text sub);

/* Without spaces and tabs at both ends. */
struct text text_trim(struct text t);
/* Takes the part up to sep off *rest (which then begins after sep); false when *rest is spent (p NULL). */
bool text_split(struct text *rest, char sep, struct text *part_out);

/* The whole text is a decimal number that fits: true and *out. Sign, space, or nothing at all: false. */
bool text_u64(struct text t, uint64_t *out);
bool text_hex(struct text t, uint64_t *out);

/* 64-bit hashes for tables in one process (not stable over versions, not for shared layouts). */
uint64_t text_hash(struct text t);
uint64_t text_hash_nocase(struct text t);

/* Compares secrets: time depends on the lengths only. */
bool text_eq_secret(struct text a, struct text b);

/* How alike two names are, for "did you mean": number of edits, stops counting at limit. */
unsigned text_distance(struct text a, struct text b, unsigned limit);

#endif
