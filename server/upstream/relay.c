#include "upstream/relay.h"

static void run(struct relay *r);

void relay_end(struct relay *r)
{
    NEED(r, RELAY_MAGIC);
    if (r->over) return;
    r->over = true;
    chain_clear(&r->out.held);
    chain_clear(&r->back.held);
    splice_close(&r->out.splice);
    splice_close(&r->back.splice);
    chunk_drop(&r->out.chunk);
    chunk_drop(&r->back.chunk);
    timer_end(&r->pace_timer);
    for (struct relay_pace *p = r->paces, *next; p; p = next) {
        next = p->next;
        p->end(p);
    }
    r->paces = NULL;
}

static void finish(struct relay *r, enum relay_end how, struct conn *fault)
{
    if (r->over) return;
    relay_end(r);
    r->fault = fault;
    r->done(r, how);
}

static void ready(struct conn *c, unsigned what)
{
    struct relay *r = c->owner;
    NEED(r, RELAY_MAGIC);
    if (r->over) return;
    if (what & CONN_TIMEOUT) finish(r, r->until_ms && clock_now.ms >= r->until_ms ? RELAY_LIMIT : RELAY_TIMEOUT, NULL);
    else run(r);
}

/* Sends what is held. False: the other end is broken. */
static bool pass_on(struct relay_way *w)
{
    if (chain_empty(&w->held)) return true;
    struct io_done done = conn_send(w->to, &w->held, 0);
    w->bytes += done.n;
    return done.how != IO_ERROR;
}

/* ---- paces ---- */

/* How many of size bytes may be read on this way now. */
static size_t may_read(struct relay *r, struct relay_way *w, size_t size)
{
    uint64_t ms = 0;
    for (struct relay_pace *p = r->paces; p; p = p->next) {
        uint64_t wait = 0;
        if (size) size = (size_t) min_of((uint64_t) size, p->ask(p, w == &r->back, size, &wait));
        ms = max_of(ms, wait);
    }
    w->paused = size == 0;
    if (size) return size;
    if (ms == PACE_NEVER) r->spent = true;
    else if (!timer_is_set(&r->pace_timer) || r->pace_timer.due > clock_now.ms + ms) timer_set(&r->pace_timer, ms);
    return 0;
}

static void has_read(struct relay *r, const struct relay_way *w, uint64_t n, bool dry)
{
    for (struct relay_pace *p = r->paces; p; p = p->next) p->took(p, w == &r->back, n, dry);
}

static void go_on(struct timer *t)
{
    struct relay *r = container_of(t, struct relay, pace_timer);
    NEED(r, RELAY_MAGIC);
    run(r);
}

void relay_set_paces(struct relay *r, struct relay_pace *paces)
{
    NEED(r, RELAY_MAGIC);
    r->paces = paces;
    r->pace_timer.fire = go_on;
    has_read(r, &r->out, r->out.held.bytes, false);
    has_read(r, &r->back, r->back.held.bytes, false);
}

/* ---- moving ---- */

/* What may still be read of either. */
static size_t left_of(const struct relay *r)
{
    uint64_t taken = r->out.taken + r->back.taken;
    return r->most ? (size_t) (r->most - min_of(r->most, taken)) : SIZE_MAX;
}

/* One read into a chunk that nothing holds any more. False: the connection is broken. */
static bool take_in(struct relay *r, struct relay_way *w, bool *moved_out)
{
    if (w->chunk && (w->chunk->refs > 1 || w->chunk->size < w->size)) chunk_drop(&w->chunk);
    if (!w->chunk) w->chunk = chunk_open(w->size);
    size_t most = min_of(w->most, left_of(r));
    most = min_of(most, w->chunk->size);
    if (r->paces) most = may_read(r, w, most);
    if (!most) return true;
    struct io_done done = conn_recv(w->from, w->chunk->data, most);
    if (r->paces) has_read(r, w, done.n, done.n < most);
    if (done.how == IO_ERROR) return false;
    if (done.how == IO_EOF) w->eof = true;
    if (done.how != IO_OK || !done.n) return true;
    *moved_out = true;
    chain_add_chunk(&w->held, w->chunk, w->chunk->data, done.n);
    w->taken += done.n;
    w->bulk = done.n == w->most;
    if (done.n == w->chunk->size) w->size = w->most;
    else if (done.n < CHUNK_USUAL) w->size = min_of((size_t) CHUNK_USUAL, w->most);
    return true;
}

enum { TURNS = 16 };

/* Was that all that this turn is for? Then w goes on in the next one. */
static bool is_enough(struct relay_way *w, uint64_t before, int turns)
{
    if (turns < TURNS && w->taken - before < RELAY_TURN_BYTES) return false;
    conn_wake(w->from, CONN_READ);
    return true;
}

/* Bytes that come in large pieces go from socket to socket. The conn at fault, or NULL. */
static struct conn *move_by_splice(struct relay *r, struct relay_way *w, bool *moved_out)
{
    uint64_t before = w->bytes, taken = w->taken;
    for (int turns = 0; w->splice.held || (w->from->readable && !w->eof && left_of(r)); turns++) {
        if (is_enough(w, taken, turns)) return NULL;
        size_t most = min_of((size_t) SPLICE_HELD_MOST, left_of(r));
        if (r->paces && !w->splice.held && !(most = may_read(r, w, most))) break;
        struct io_done done = w->splice.held ? (struct io_done) { IO_OK, 0 } : splice_in(&w->splice, w->from, most);
        if (r->paces) has_read(r, w, done.n, done.how != IO_OK);
        if (done.how == IO_ERROR) return w->from;
        if (done.how == IO_EOF) w->eof = true;
        if (done.how != IO_OK) break;
        *moved_out |= done.n > 0;
        w->taken += done.n;
        done = splice_out(&w->splice, w->to);
        w->bytes += done.n;
        if (done.how == IO_ERROR) return w->to;
        if (done.how == IO_AGAIN) return NULL;
    }
    w->bulk = w->bytes - before >= CHUNK_LARGE;          /* else the next read shows whether it goes on so */
    splice_close(&w->splice);
    return NULL;
}

static bool may_splice(struct relay_way *w)
{
    if (splice_is_open(&w->splice)) return true;
    return w->bulk && !w->eof && w->from->readable && chain_empty(&w->held) && w->from->ops == &conn_plain && w->to->ops == &conn_plain && splice_open(&w->splice);
}

/* Moves one direction as far as it goes; the conn at fault, or NULL. */
static struct conn *move_way(struct relay *r, struct relay_way *w, bool *moved_out)
{
    struct conn *fault;
    uint64_t taken = w->taken;
    if (!pass_on(w)) return w->to;
    w->paused = false;
    if (may_splice(w) && (fault = move_by_splice(r, w, moved_out)) != NULL) return fault;
    for (int turns = 0; chain_empty(&w->held) && !splice_is_open(&w->splice) && !w->eof && !w->paused && w->from->readable && left_of(r); turns++) {
        if (is_enough(w, taken, w->bulk && may_splice(w) ? TURNS : turns)) break;
        if (!take_in(r, w, moved_out)) return w->from;
        if (!pass_on(w)) return w->to;
    }
    if (w->eof && chain_empty(&w->held) && !w->splice.held && !w->shut) {
        w->shut = true;
        if (r->half_close) conn_shutdown(w->to);
    }
    if (chain_empty(&w->held)) chunk_drop(&w->chunk);
    return NULL;
}

static void set_timer(struct relay *r)
{
    uint64_t ms = r->timeout_ms;
    if (r->back.shut && !r->out.shut) ms = min_of(ms, (uint64_t) RELAY_HALF_MS);
    if (timer_is_set(&r->pace_timer) && r->pace_timer.due > clock_now.ms) ms += r->pace_timer.due - clock_now.ms;      /* that nothing moves is our own doing */
    if (r->until_ms) ms = min_of(ms, r->until_ms > clock_now.ms ? r->until_ms - clock_now.ms : 1);
    timer_set(&r->out.from->timer, ms);
}

void relay_buffer(struct relay *r, size_t size)
{
    NEED(r, RELAY_MAGIC);
    r->out.size = r->out.most = r->back.size = r->back.most = size;
}

void relay_limit(struct relay *r, uint64_t ms, uint64_t bytes)
{
    NEED(r, RELAY_MAGIC);
    r->until_ms = ms ? clock_now.ms + ms : 0;
    r->most = bytes;
    set_timer(r);
}

static void run(struct relay *r)
{
    bool moved = false;
    uint64_t before = r->out.bytes + r->back.bytes;
    struct conn *fault = move_way(r, &r->out, &moved);
    if (!fault) fault = move_way(r, &r->back, &moved);
    if (fault) finish(r, RELAY_ERROR, fault);
    else if (r->half_close ? r->out.shut && r->back.shut : r->out.shut || r->back.shut) finish(r, RELAY_CLOSED, NULL);
    else if (r->spent || (r->most && r->out.bytes + r->back.bytes >= r->most)) finish(r, RELAY_LIMIT, NULL);
    else if (moved || r->out.paused || r->back.paused || r->back.shut || before != r->out.bytes + r->back.bytes) set_timer(r);
}

static void own(struct conn *c, struct relay *r)
{
    timer_stop(&c->timer);
    c->owner = r;
    c->ready = ready;
    conn_set_nodelay(c, true);
    conn_wake(c, CONN_READ | CONN_WRITE);
}

void relay_start(struct relay *r, struct conn *a, struct conn *b, struct chain *early_out, struct chain *early_back, uint64_t timeout_ms,
                 void (*done)(struct relay *r, enum relay_end how), void *arg)
{
    *r = (struct relay) { .magic = RELAY_MAGIC, .timeout_ms = timeout_ms, .done = done, .arg = arg };
    r->out = (struct relay_way) { .from = a, .to = b, .size = CHUNK_USUAL, .most = CHUNK_LARGE };
    r->back = (struct relay_way) { .from = b, .to = a, .size = CHUNK_USUAL, .most = CHUNK_LARGE };
    if (early_out) chain_move(&r->out.held, early_out);
    if (early_back) chain_move(&r->back.held, early_back);
    r->out.taken = r->out.held.bytes;
    r->back.taken = r->back.held.bytes;
    own(a, r);
    own(b, r);
    timer_set(&a->timer, timeout_ms);
}
