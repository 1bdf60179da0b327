#include "gateway/straight.h"
#include "gateway/exchange.h"

/* Below this much two copies cost less than the calls. */
enum { LEAST = 128 << 10 };
/* Of one body in one turn: others wait as well. */
#define TURN_MOST ((int64_t) 2 << 20)

static struct conn *client_of(const struct exchange *x)
{
    struct request *r = x->r;
    if (r->filter_count || !r->proto->straight || x->conn->ops != &conn_plain) return NULL;
    struct conn *c = r->proto->straight(r);
    return c && c->ops == &conn_plain ? c : NULL;
}

static bool begin(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    if (splice_is_open(&p->splice)) return true;
    if (p->crooked || !x->proto->raw_left || !chain_empty(&p->ready) || x->proto->raw_left(x) < LEAST || !client_of(x)) return false;
    if (splice_open(&p->splice)) return true;
    p->crooked = true;
    return false;
}

/* Back to memory, for good. */
static enum straight leave(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    while (p->splice.held) {
        struct chunk *c = chunk_open(min_of(p->splice.held, (size_t) CHUNK_LARGE));
        size_t n = splice_take(&p->splice, c->data, c->size);
        chain_add_chunk(&p->ready, c, c->data, n);
        p->in_memory += n;
        chunk_drop(&c);
    }
    splice_close(&p->splice);
    p->crooked = true;
    return STRAIGHT_NOT;
}

/* False: the upstream broke off. */
static bool take_in(struct exchange *x, bool *full_out)
{
    struct pipe *p = &x->pipe;
    int64_t left = x->proto->raw_left(x);
    if (!left || !x->conn->readable) return true;
    struct io_done got = splice_in(&p->splice, x->conn, (size_t) left);
    if (got.how == IO_AGAIN) *full_out = p->splice.held > 0;
    if (got.how == IO_EOF || got.how == IO_ERROR) {
        exchange_say_broken(x, got.how, "splice()");
        return false;
    }
    p->received += (int64_t) got.n;
    x->last->length = p->received;
    x->proto->raw_took(x, (int64_t) got.n);
    return true;
}

/* False: the client's connection is broken; its own protocol finds that out. */
static bool give_out(struct exchange *x, struct conn *to)
{
    struct pipe *p = &x->pipe;
    if (!p->splice.held || !to->writable) return true;
    struct io_done done = splice_out(&p->splice, to);
    x->r->proto->went(x->r, done.n, done.how == IO_AGAIN);
    return done.how != IO_ERROR;
}

/* The client does not keep up: would more be read for it than the pipe holds? */
static bool buffers_more(const struct exchange *x)
{
    return x->buffering && (x->conf->max_temp_file_size.bytes || (uint64_t) x->conf->buffers.n * x->conf->buffers.size > x->pipe.splice.held);
}

enum straight straight_run(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    if (!begin(x)) return STRAIGHT_NOT;
    struct conn *to = client_of(x);
    if (!to) return leave(x);
    for (int64_t began = p->received;;) {
        bool full = false;
        if (!take_in(x, &full) || !give_out(x, to)) {
            leave(x);
            p->broken = true;
            return STRAIGHT_END;
        }
        int64_t left = x->proto->raw_left(x);
        if (!left && !p->splice.held) {
            splice_close(&p->splice);
            p->complete = true;
            return STRAIGHT_END;
        }
        if (p->splice.held && !to->writable) return full && buffers_more(x) ? leave(x) : STRAIGHT_WAIT;
        if (!p->splice.held && !x->conn->readable) return STRAIGHT_WAIT;
        if (p->received - began >= TURN_MOST) {
            conn_wake(x->conn, CONN_READ);
            return STRAIGHT_WAIT;
        }
    }
}

void straight_end(struct exchange *x) { splice_close(&x->pipe.splice); }
