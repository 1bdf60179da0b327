/*
 * chain: an ordered list of links. A link is bytes in memory (in a chunk it holds, or in memory that outlives
 * the chain: static or the request's pool) or a range of an open file. Links come from a per-process free list.
 * A chain is a value inside its owner; moving links from one chain to another is how bodies travel.
 */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include "base/text.h"
#include "base/chunk.h"

/* An open file held by links: closed when the last hold goes. */
#define CHAIN_FILE_MAGIC 0x46494c45u
struct chain_file { unsigned magic; unsigned refs; int fd; bool keep_open; };

struct link {
    struct link       *next;
    struct chunk      *chunk;   /* held; NULL: memory that outlives the chain */
    struct chain_file *file;    /* held; not NULL: the link is the file range [from, from + n) */
    const char        *p;       /* bytes in memory, when file is NULL */
    off_t              from;
    size_t             n;       /* bytes left */
    bool               flush;   /* what is up to here should reach the client now (an empty link may carry it) */
};

struct chain { struct link *first, *last; uint64_t bytes; };

#define CHAIN_EMPTY ((struct chain) { NULL, NULL, 0 })
static inline bool chain_empty(const struct chain *c) { return c->first == NULL; }

/* Bytes that outlive the chain (static, or in a pool that does). Empty: no link is added. */
void chain_add_text(struct chain *c, struct text t);
/* n bytes at p within chunk; the link takes a hold of its own. */
void chain_add_chunk(struct chain *c, struct chunk *chunk, const char *p, size_t n);
/* Copies into chunks of the chain's own (appends to the last one while it has room and no other holder). */
void chain_add_copy(struct chain *c, struct text t);
/* A range of an open file; the link takes a hold of its own. */
void chain_add_file(struct chain *c, struct chain_file *f, off_t from, size_t n);
void chain_add_flush(struct chain *c);

/* Moves all links of from to the end of c; from is empty then. */
void chain_move(struct chain *c, struct chain *from);
/* Moves the first n bytes (all when there are fewer) of from to the end of c, splitting a link if need be. */
void chain_move_bytes(struct chain *c, struct chain *from, uint64_t n);
/* The same bytes once more: new links that hold the same chunks and files. */
void chain_share(struct chain *c, const struct chain *from);
/* Drops the first n bytes and the empty links that are first then (they go back to the free list). n may not be
 * above c->bytes. */
void chain_skip(struct chain *c, uint64_t n);
/* The end of the first link is to be flushed: it says so, or an empty link behind it does (which chain_skip drops with it). */
bool chain_first_flushes(const struct chain *c);
void chain_clear(struct chain *c);
/* Bytes in memory that lasts as long as somebody else are copied into chunks: the chain may then last longer. */
void chain_own(struct chain *c);
/* All bytes in order into room (memory links only; asserts that there is no file link); at most size. Returns bytes. */
size_t chain_copy_out(const struct chain *c, char *room, size_t size);
bool chain_has_file(const struct chain *c);
/* Gives recycled links back to the system. */
void chain_trim(void);

/* Takes over fd. One hold. */
struct chain_file *chain_file_open(int fd);
/* A file whose fd someone else closes. */
struct chain_file *chain_file_borrow(int fd);
static inline struct chain_file *chain_file_hold(struct chain_file *f) { f->refs++; return f; }
void chain_file_drop(struct chain_file **f);

#endif
