#include "gateway/pipe.h"
#include "gateway/exchange.h"
#include "gateway/store.h"
#include "gateway/straight.h"
#include "http/temp.h"

/* ---- from the upstream ---- */

/* Bytes to be read into at least, before another chunk is taken. */
enum { LEAST_ROOM = 4096 };

/* Reads of one body in one turn: others wait as well. */
enum { READS_MOST = 16 };

static size_t clamp_size(uint64_t n) { return n > CHUNK_LARGE ? CHUNK_HUGE : n > CHUNK_USUAL ? CHUNK_LARGE : CHUNK_USUAL; }

/* What is still to come tells the best size; where it is not known, the stream's past does. */
static void choose_size(struct exchange *x, bool was_full)
{
    struct pipe *p = &x->pipe;
    if (!was_full) return;
    if (x->up.length >= 0) p->size = clamp_size((uint64_t) max_of(x->up.length - p->received, (int64_t) 0));
    else p->size = clamp_size(p->size * 2);
}

static void grow_into(struct pipe *p)
{
    if (p->chunk && p->chunk->refs == 1) p->used = 0;        /* all that was in it is gone */
    bool keep = p->chunk && p->chunk->size - p->used >= LEAST_ROOM && (p->used || p->chunk->size >= p->size);
    if (keep) return;
    chunk_drop(&p->chunk);
    p->chunk = chunk_open(p->size);
    p->used = 0;
}

/* Decodes n bytes at at. False: the upstream broke its own framing. */
static bool feed(struct exchange *x, const char *at, size_t n)
{
    struct pipe *p = &x->pipe;
    struct chain got = CHAIN_EMPTY;
    size_t used = n;
    enum gateway_parse how = x->proto->parse_body(x, p->chunk, at, n, &got, &used);
    p->received += (int64_t) got.bytes;
    p->in_memory += got.bytes;
    p->read += n;
    x->last->length = p->received;
    if (unlikely(x->store != NULL)) store_take(x->store, &got);
    chain_move(&p->ready, &got);
    if (how == GATEWAY_BAD) return false;
    if (how != GATEWAY_DONE) return true;
    p->complete = true;
    if (used < n) {
        log_at(x->r->log, L_WARN, x->r->about, 0, "upstream sent more data than its answer has");
        x->up.keepalive = false;
    }
    return true;
}

/* Bytes that may be read now; 0: a timer was set. nginx's formula: a second's worth in advance. */
static size_t allowed(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    uint64_t may = p->rate * ((clock_now.ms - p->began_ms) / 1000 + 1);
    if (may > p->read) return may - p->read;
    p->delayed = true;
    timer_set(&x->conn->timer, (p->read - may) * 1000 / p->rate + 1);
    return 0;
}

static void take_in(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    grow_into(p);
    size_t room = p->chunk->size - p->used;
    p->delayed = false;
    if (unlikely(p->rate != 0)) room = min_of(room, allowed(x));
    if (!room) return;
    struct io_done got = conn_recv(x->conn, p->chunk->data + p->used, room);
    if (got.how == IO_AGAIN) return;
    if (got.how == IO_OK) {
        const char *at = p->chunk->data + p->used;
        p->used += got.n;
        if (!feed(x, at, got.n)) p->broken = true;
        choose_size(x, got.n == room);
        return;
    }
    if (got.how == IO_EOF && x->proto->ends_at_eof(x)) {
        p->complete = true;
        return;
    }
    exchange_say_broken(x, got.how, "recv()");
    p->broken = true;
}

/* ---- to the client ---- */

/* Gives what is ready when the response takes it; true: it did, or there was nothing. */
static bool push(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    bool last = p->complete || p->broken;
    if (p->ended || (chain_empty(&p->ready) && !last && x->r->out.body_bytes)) return true;
    if (!last && response_room(x->r) == 0) return false;
    if (!x->buffering && !last) chain_add_flush(&p->ready);
    p->ended = last;
    p->in_memory = 0;
    if (p->ended) response_source(x->r, NULL, NULL);
    response_body(x->r, &p->ready, p->complete ? BODY_FINAL : p->broken ? BODY_BROKEN : BODY_MORE);
    return true;
}

/* A file that no link holds was handed to the socket in full. It is not written over: the kernel may still be sending from
 * its pages (sendfile). */
static void leave_file(struct pipe *p)
{
    if (!p->file || p->file->refs > 1) return;
    chain_file_drop(&p->file);
    p->file_bytes = 0;
}

static bool open_file(struct exchange *x)
{
    struct request *r = x->r;
    struct text name;
    struct chain_file *f = temp_open(&x->conf->temp_path, false, r->pool, r->log, r->about, &name);
    if (f && !x->pipe.spilled) log_at(r->log, L_WARN, r->about, 0, "an upstream response is buffered to a temporary file %.*s", TEXT_ARG(name));
    x->pipe.spilled = true;
    x->pipe.file = f;
    return f != NULL;
}

/* The client does not keep up: what waits goes to a file. False: it cannot. */
static bool spill(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    leave_file(p);
    if (p->file_bytes + p->in_memory > x->conf->max_temp_file_size.bytes || (!p->file && !open_file(x))) return false;
    struct chain in = p->ready, out = CHAIN_EMPTY;
    p->ready = CHAIN_EMPTY;
    uint64_t n = p->in_memory;
    if (!temp_write(p->file, (off_t) p->file_bytes, &in, &out, x->r->log, x->r->about)) {
        chain_clear(&in);
        chain_clear(&out);
        p->broken = true;
        return false;
    }
    p->file_bytes += n;
    p->in_memory = 0;
    p->ready = out;
    return true;
}

/* May more be read while the client is behind? */
static bool may_read_on(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    if (!x->buffering) return false;
    uint64_t most = (uint64_t) x->conf->buffers.n * x->conf->buffers.size;
    if (p->in_memory < most) return true;
    return spill(x);
}

/* ---- both ---- */

static void more(struct request *r, void *arg)
{
    (void) r;
    pipe_run(arg);
}

void pipe_run(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    for (unsigned reads = 0;; reads++) {
        bool last = p->complete || p->broken;
        if (last && x->state == EXCHANGE_PASSING) {
            if (unlikely(x->store != NULL)) store_end(&x->store, p->complete);
            if (p->complete) exchange_done(x);
            else exchange_release(x);
        }
        bool given = push(x);
        if (last || p->ended || !x->conn || x->state != EXCHANGE_PASSING) return;
        if (!given && !may_read_on(x)) {
            if (p->broken) continue;
            timer_stop(&x->conn->timer);       /* not the upstream's fault */
            return;
        }
        if (given) {
            enum straight how = straight_run(x);
            if (how == STRAIGHT_WAIT) break;
            if (how == STRAIGHT_END || p->in_memory) continue;
        }
        if (!x->conn->readable) break;
        if (reads >= READS_MOST) {
            conn_wake(x->conn, CONN_READ);
            break;
        }
        take_in(x);
        if (p->delayed) return;
    }
    exchange_wait(x);
}

bool pipe_delayed(struct exchange *x)
{
    if (!x->pipe.delayed) return false;
    x->pipe.delayed = false;
    pipe_run(x);
    return true;
}

void pipe_break(struct exchange *x)
{
    x->pipe.broken = true;
    pipe_run(x);
}

static void begin_pace(struct exchange *x)
{
    struct request *r = x->r;
    struct text rate = template_render(x->conf->limit_rate, &r->eval);
    if (!conf_read_bytes(rate, &x->pipe.rate)) log_at(r->log, L_ERR, r->about, 0, "invalid size \"%.*s\"", TEXT_ARG(rate));
    if (!x->buffering) x->pipe.rate = 0;
    x->pipe.rate = min_of(x->pipe.rate, (uint64_t) 1 << 40);
    x->pipe.began_ms = clock_now.ms;
}

void pipe_start(struct exchange *x, struct chunk *chunk, const char *at, size_t n)
{
    struct pipe *p = &x->pipe;
    struct request *r = x->r;
    p->chunk = chunk_hold(chunk);
    p->used = (size_t) (at + n - chunk->data);
    p->size = CHUNK_USUAL;
    p->complete = x->up.no_body;
    if (unlikely(x->conf->limit_rate != NULL)) begin_pace(x);
    if (unlikely(x->conf->store.on)) x->store = store_open(x);
    p->crooked = p->rate || x->store;
    if (!p->complete && !feed(x, at, n)) p->broken = true;
    if (x->up.no_body && n) x->up.keepalive = false;
    if (p->used == chunk->size || (uint64_t) max_of(x->up.length, (int64_t) 0) > chunk->size) choose_size(x, true);
    response_source(r, more, x);
    if (!p->complete && !p->broken && !n) response_body(r, &p->ready, BODY_MORE);   /* the head need not wait */
    pipe_run(x);
}

void pipe_end(struct exchange *x)
{
    struct pipe *p = &x->pipe;
    straight_end(x);
    store_end(&x->store, false);
    chain_clear(&p->ready);
    chunk_drop(&p->chunk);
    chain_file_drop(&p->file);
}
