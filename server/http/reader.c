#include "http/reader.h"
#include "http/core_conf.h"
#include <errno.h>
#include <unistd.h>

enum { TURN_MOST = 4 * CHUNK_LARGE };        /* then others have their turn */

struct reader { struct chain held; enum body_end end; };

static void forget(void *arg)
{
    chain_clear(&((struct reader *) arg)->held);
}

/* The next piece of the first link's range; false: the file is not what it was. */
static bool read_piece(struct request *r, struct reader *s, struct chain *out)
{
    struct link *l = s->held.first;
    struct chunk *c = chunk_open(l->n <= CHUNK_SMALL ? CHUNK_SMALL : l->n <= CHUNK_USUAL ? CHUNK_USUAL : CHUNK_LARGE);
    ssize_t n = pread(l->file->fd, c->data, min_of(l->n, c->size), l->from);
    if (n > 0) {
        chain_add_chunk(out, c, c->data, (size_t) n);
        if ((size_t) n == l->n && chain_first_flushes(&s->held)) chain_add_flush(out);
        chain_skip(&s->held, (uint64_t) n);
    } else {
        request_log(r, L_CRIT, n ? errno : 0, n ? "pread() of a response failed" : "a file became shorter while it was sent");
    }
    chunk_drop(&c);
    return n > 0;
}

static void run(struct request *r, struct filter_at *at)
{
    struct reader *s = at->state;
    at->holds = false;
    for (uint64_t done = 0; done < TURN_MOST; ) {
        struct chain out = CHAIN_EMPTY;
        if (s->held.first && !filter_room(r, at)) {
            at->holds = true;
            return;
        }
        if (s->held.first && s->held.first->file) {
            if (!read_piece(r, s, &out)) s->end = BODY_BROKEN, chain_clear(&s->held);
        } else {
            while (s->held.first && !s->held.first->file) chain_move_bytes(&out, &s->held, s->held.first->n);
        }
        done += out.bytes;
        bool last = chain_empty(&s->held);
        filter_pass(r, at, &out, last ? s->end : BODY_MORE);
        if (last || r->closing) return;
    }
    filter_later(r, at);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct reader *s = at->state;
    chain_move(&s->held, in);
    s->end = end;
    if (!at->holds) run(r, at);
}

static const struct filter reader = { .name = "reader", .body = body, .more = run };

struct filter_at reader_open(struct request *r)
{
    struct reader *s = pool_new(r->pool, struct reader);
    pool_cleanup(r->pool, forget, s);
    return (struct filter_at) { .filter = &reader, .state = s };
}
