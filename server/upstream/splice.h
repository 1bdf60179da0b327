/*
 * splice: bytes from one plain socket to another without passing through this process: by way of a kernel pipe (splice(2)). For
 * long straight stretches; what is held in the pipe can be taken out into memory when the way turns out not to be straight.
 */
#ifndef UPSTREAM_SPLICE_H
#define UPSTREAM_SPLICE_H

#include "event/event.h"

struct splice { int in, out; size_t held; };

/* False: no pipe is to be had (logged at debug level by nobody: the caller goes the other way). Pipes are kept for the next one. */
bool splice_open(struct splice *s);
/* Fine when it is not open. */
void splice_close(struct splice *s);
static inline bool splice_is_open(const struct splice *s) { return s->in > 0; }

/* What a pipe holds at most. It counts slots, not bytes: of the large pieces of a fast connection many times its size would fit. */
enum { SPLICE_HELD_MOST = 512 << 10 };

/* At most most bytes into the pipe. IO_AGAIN: nothing came, or the pipe is full (s->held); from->readable is cleared in the
 * first case only. */
struct io_done splice_in(struct splice *s, struct conn *from, size_t most);
/* What the socket takes of what is held. IO_AGAIN: to->writable is cleared. */
struct io_done splice_out(struct splice *s, struct conn *to);
/* Takes at most size bytes of what is held into room. */
size_t splice_take(struct splice *s, char *room, size_t size);

#endif
