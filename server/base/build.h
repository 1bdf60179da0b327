/*
 * build: text made by appending. It grows in a pool (or stays within room the caller gave) up to a limit;
 * past the limit nothing is written and build_ok is false. Its bounds check is the only one.
 */
#ifndef BASE_BUILD_H
#define BASE_BUILD_H

#include "base/pool.h"
#include <stdarg.h>

struct build { char *p; size_t n, cap, limit; struct pool *pool; bool over; };

/* Grows in pool; hint: bytes to begin with (0: 128); limit: most bytes (0: 1 GiB). */
struct build build_in_pool(struct pool *pool, size_t hint, size_t limit);
/* Within size bytes at room; never grows. */
struct build build_in_room(char *room, size_t size);

bool build_more(struct build *b, size_t n);   /* makes room for n; false and b->over past the limit */

static inline void build_char(struct build *b, char c)
{
    if (likely(b->n < b->cap) || build_more(b, 1)) b->p[b->n++] = c;
}

static inline void build_text(struct build *b, struct text t)
{
    if (t.n && (likely(t.n <= b->cap - b->n) || build_more(b, t.n))) { memcpy(b->p + b->n, t.p, t.n); b->n += t.n; }
}

#define build_lit(b, lit) build_text((b), T(lit))
static inline void build_c(struct build *b, const char *c_string) { build_text(b, text_c(c_string)); }
void build_u64(struct build *b, uint64_t v);
void build_i64(struct build *b, int64_t v);
void build_hex(struct build *b, uint64_t v, unsigned digits);      /* lower case, at least digits digits */
void build_bytes_hex(struct build *b, struct text bytes);          /* two lower-case digits a byte */
void build_ms(struct build *b, uint64_t ms);                       /* "12.034" */
__attribute__((format(printf, 2, 3))) void build_fmt(struct build *b, const char *fmt, ...);
void build_vfmt(struct build *b, const char *fmt, va_list args);
/* Control bytes, quote, backslash and bytes above 126 as \xHH: for log lines. */
void build_escaped(struct build *b, struct text t);
void build_html(struct build *b, struct text t);                   /* < > & and " as entities */
void build_json(struct build *b, struct text t);                   /* RFC 8259 section 7, without the quotes */

static inline bool build_ok(const struct build *b) { return !b->over; }
static inline struct text build_done(const struct build *b) { return (struct text) { b->p, b->n }; }

#endif
