/*
 * pipe: the response body from the upstream to the response. Three ways:
 *   straight    read, pass on, read again while the client keeps up; the chunk grows with the stream;
 *   buffered    a slow client: read on into memory (…_buffers) and then a temporary file, so that the upstream is free early;
 *   held        buffering off, or the limits are reached: not read on until the client has taken what there is.
 */
#ifndef GATEWAY_PIPE_H
#define GATEWAY_PIPE_H

#include "base/chain.h"
#include "upstream/splice.h"

struct exchange;

struct pipe {
    struct chunk *chunk;        /* read into; held by links too */
    size_t        used;         /* bytes of it that were read */
    size_t        size;         /* of the next chunk */
    struct chain  ready;        /* decoded, not yet taken by the response */
    uint64_t      in_memory;    /* bytes of ready that are not in the file: the last ones */
    struct chain_file *file;    /* temporary file, or NULL */
    uint64_t      file_bytes;   /* written to it */
    bool          spilled;      /* that it came to a file was logged */
    uint64_t      rate;         /* …_limit_rate; 0: none */
    uint64_t      began_ms;     /* for rate */
    uint64_t      read;         /* bytes read of the body and its framing */
    bool          delayed;      /* conn's timer is for rate */
    struct splice splice;       /* the kernel pipe of a straight way (straight.h) */
    bool          crooked;      /* no straight way is tried any more */
    int64_t       received;     /* body bytes decoded */
    bool          complete;     /* the body is all there */
    bool          broken;       /* the rest will not come */
    bool          ended;        /* the response was told */
};

/* The head is through (response_head was called); n bytes at p in chunk came with it. */
void pipe_start(struct exchange *x, struct chunk *chunk, const char *p, size_t n);
/* The upstream has something, or the client has room. */
void pipe_run(struct exchange *x);
/* The rest will not come (the line about it is logged): the client is told. */
void pipe_break(struct exchange *x);
/* conn's timer has fired. True: it was for limit_rate, and the pipe goes on; false: the upstream's time is over. */
bool pipe_delayed(struct exchange *x);
/* Drops what is held. */
void pipe_end(struct exchange *x);

#endif
