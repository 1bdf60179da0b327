/*
 * base: what every layer stands on. No descriptor is opened here, no event waited for.
 *
 * Glossary
 *   text    a pointer and a length; owns nothing.
 *   pool    an arena: memory that ends all at once, with cleanups. Owned by whoever opened it.
 *   chunk   a counted piece of memory, for bytes that may outlive the request they came with.
 *   chain   an ordered list of links: bytes in memory or a range of a file. Owns its links;
 *           a link holds its chunk or file.
 *   build   text made by appending; its bounds check is the only one.
 *   table   text to pointer, in a pool.
 *   log     where messages go, and how they are introduced.
 *   clock   the time as of this turn of the loop.
 *
 * Memory never comes back NULL: limits are checked where work is admitted, so running out below
 * them ends the process with one [emerg] line (a worker is replaced at once).
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE      /* memmem, memrchr, accept4 …: own header first, so this comes before the system's */
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>       /* these three are here because what they declare is poisoned below */
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)
#define countof(a)   (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *) ((char *) (p) - offsetof(type, member)))
#define min_of(a, b) ({ __typeof__(a) min_a_ = (a); __typeof__(b) min_b_ = (b); min_a_ < min_b_ ? min_a_ : min_b_; })
#define max_of(a, b) ({ __typeof__(a) max_a_ = (a); __typeof__(b) max_b_ = (b); max_a_ > max_b_ ? max_a_ : max_b_; })
/* Where ASan watches, nothing is recycled: recycling would hide a use after the end. */
#if defined(__SANITIZE_ADDRESS__)
#define BASE_RECYCLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BASE_RECYCLE 0
#endif
#endif
#ifndef BASE_RECYCLE
#define BASE_RECYCLE 1
#endif

#define align_up(n, a) (((n) + ((a) - 1)) & ~((__typeof__(n)) (a) - 1))

/* Long-lived objects begin with a magic; an extern that is given one checks it: NEED(r, REQUEST_MAGIC). */
#define IS(p, M)    ((p) != NULL && (p)->magic == (M))
#define NEED(p, M)  do { if (unlikely(!IS(p, M))) base_panic(__FILE__, __LINE__, __func__, "not a live " #M); } while (0)
#define ASSERT(c)   do { if (unlikely(!(c))) base_panic(__FILE__, __LINE__, __func__, #c); } while (0)

/* Ends the process: our own bug. Logs one [alert] with place and what the request in hand was doing. */
__attribute__((noreturn, cold)) void base_panic(const char *file, int line, const char *func, const char *what);

/* Called by base_panic for its context line (who was served, which step); NULL: none. */
extern void (*base_panic_context)(char *room, size_t size);

/* Buffers that went back to malloc because enough of them were kept: the loop then gives memory back to the system before long. */
extern unsigned base_slack;

/* malloc, calloc, realloc that never return NULL. */
__attribute__((malloc, alloc_size(1))) void *base_alloc(size_t n);
__attribute__((malloc, alloc_size(1, 2))) void *base_zalloc(size_t count, size_t size);
__attribute__((alloc_size(2))) void *base_realloc(void *p, size_t n);

/* Calls that have a bounded or clearer form here do not build. (In clang's hardened builds they are macros.) */
#if !defined __clang__ || !defined _FORTIFY_SOURCE
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok strncpy strncat
#endif

#endif
