/*
 * aio: with "aio threads", what is not in the kernel's memory of a file that is sent is read in a thread first, a piece at
 * a time, so that sending never waits for the disk. The bytes then go the usual way, without a copy.
 */
#include "event/thread.h"
#include "http/open_file.h"
#include "modules/module.h"
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE = 262144, READ = 65536, PAGE = 4096 };

struct reading;
struct held {
    struct request   *r;
    struct chain      chain;             /* not passed on yet */
    enum body_end     end;
    struct reading   *reading;           /* under way, or NULL */
    bool              warm;              /* the first piece of chain was read */
    bool              over;              /* the end was passed on */
};

/* A job; it outlives the request, if need be. */
struct reading {
    struct thread_job  job;              /* first */
    struct held       *held;             /* NULL: the request is gone */
    struct chain_file *file;
    off_t              from;
    size_t             n;
};

/* ---- in a thread ---- */

static void work(struct thread_job *job)
{
    struct reading *d = (struct reading *) job;
    char *room = base_alloc(READ);
    for (size_t done = 0; done < d->n;) {
        ssize_t n = pread(d->file->fd, room, min_of((size_t) READ, d->n - done), d->from + (off_t) done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;               /* whoever sends it will see why */
        done += (size_t) n;
    }
    free(room);
}

/* ---- in the loop ---- */

static void was_read(struct thread_job *job)
{
    struct reading *d = (struct reading *) job;
    struct held *h = d->held;
    chain_file_drop(&d->file);
    free(d);
    if (!h) return;
    h->reading = NULL;
    h->warm = true;
    response_more(h->r);
}

/* Are its first, middle and last byte in memory? Of one page the last will do. */
static bool is_warm(const struct link *l, size_t n)
{
    const off_t places[] = { l->from, l->from + (off_t) (n / 2), l->from + (off_t) n - 1 };
    char byte;
    struct iovec v = { &byte, 1 };
    for (size_t i = n <= PAGE ? countof(places) - 1 : 0; i < countof(places); i++)
        if (preadv2(l->file->fd, &v, 1, places[i], RWF_NOWAIT) < 0) return false;
    return true;
}

static bool begin_reading(struct held *h, const struct link *l, size_t n)
{
    struct thread_pool *pool = open_file_threads(h->r);
    struct reading *d = base_alloc(sizeof *d);
    *d = (struct reading) { .job = { .work = work, .done = was_read }, .held = h, .file = chain_file_hold(l->file), .from = l->from, .n = n };
    if (pool && thread_post(pool, &d->job)) {
        h->reading = d;
        return true;
    }
    chain_file_drop(&d->file);
    free(d);
    return false;
}

/* What may go now, of h->chain into out. */
static void take(struct held *h, struct chain *out)
{
    size_t room = h->r->proto->room(h->r);
    for (;;) {
        chain_skip(&h->chain, 0);
        const struct link *l = h->chain.first;
        if (!l || h->reading) return;
        size_t n = l->file ? min_of(l->n, (size_t) PIECE) : l->n;
        if (l->file && out->bytes >= room) return;
        if (l->file && !h->warm && !is_warm(l, n) && begin_reading(h, l, n)) return;
        h->warm = false;
        chain_move_bytes(out, &h->chain, n);
    }
}

static void go_on(struct request *r, struct filter_at *at)
{
    struct held *h = at->state;
    struct chain out = CHAIN_EMPTY;
    if (h->over) return;
    if (h->end == BODY_BROKEN) chain_clear(&h->chain);
    take(h, &out);
    bool all = chain_empty(&h->chain);
    at->holds = !all;
    h->over = all && h->end != BODY_MORE;
    if (!chain_empty(&out) || all) filter_pass(r, at, &out, all ? h->end : BODY_MORE);
    if (!r->closing && !all && !h->reading && filter_room(r, at)) filter_later(r, at);      /* others first */
}

static void detach(struct request *r, void *arg)
{
    struct held *h = arg;
    (void) r;
    if (h->reading) h->reading->held = NULL;
    h->over = true;
    chain_clear(&h->chain);
}

static bool head(struct request *r, struct filter_at *at)
{
    if (r->main != r || r->out.no_body || !open_file_threads(r)) return false;
    struct held *h = pool_new(r->pool, struct held);
    h->r = r;
    at->state = h;
    request_at_close(r, detach, h);
    return true;
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct held *h = at->state;
    chain_move(&h->chain, in);
    h->end = end;
    go_on(r, at);
}

static const struct filter aio = { .name = "aio", .head = head, .body = body, .more = go_on };
static const struct filter *const filters[] = { &aio, NULL };
static const struct http_part part = { .filters = filters };

struct module aio_module = { .name = "aio", .part = &part, .part_kind = &http_part_kind };
