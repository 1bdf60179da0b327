/*
 * aio: with "aio threads", what is not in the kernel's memory of a file that is sent is read in a thread first, a piece at
 * a time, so that sending never waits for the disk. The bytes then go the usual way, without a copy.
 * With "directio", large files are read in a thread past the kernel's memory (O_DIRECT), output_buffers at a time, and sent from here.
 */
#include "event/thread.h"
#include "http/core_conf.h"
#include "http/open_file.h"
#include "modules/module.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE = 262144, READ = 65536, PAGE = 4096, DIRECT_MOST = 1 << 20, ALIGN_MOST = 65536 };

struct directio_conf { bytes from, alignment; };      /* from: UINT64_MAX: off */

extern struct module aio_module;

struct reading;
/* The file in hand, if it is one that directio is for. */
struct direct {
    struct chain_file *file;             /* held: what was looked at; or NULL */
    bool               is_direct;
    struct chain_file *opened;           /* the same file with O_DIRECT, once a thread has opened it; or NULL */
};
struct held {
    struct request   *r;
    struct chain      chain;             /* not passed on yet */
    enum body_end     end;
    struct reading   *reading;           /* under way, or NULL */
    bool              threads;           /* "aio threads" */
    bool              warm;              /* the first piece of chain was read */
    bool              over;              /* the end was passed on */
    const struct directio_conf *directio;/* NULL: off */
    struct direct     direct;
};

/* A job; it outlives the request, if need be. */
struct reading {
    struct thread_job  job;              /* first */
    struct held       *held;             /* NULL: the request is gone */
    struct chain_file *file;
    off_t              from;
    size_t             n;
    /* past the kernel's memory */
    struct chunk      *room;             /* or NULL: it is not */
    char              *at;               /* in room, aligned */
    size_t             alignment;
    int                fd;               /* with O_DIRECT; -1: to be opened, and then this job's */
    bool               opens;
    ssize_t            got;
    int                err;
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

/* Whole blocks around what is wanted. */
static off_t first_block(const struct reading *d) { return d->from / (off_t) d->alignment * (off_t) d->alignment; }
static size_t blocks(const struct reading *d) { return align_up((size_t) (d->from - first_block(d)) + d->n, d->alignment); }

static void work_directly(struct thread_job *job)
{
    struct reading *d = (struct reading *) job;
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", d->file->fd);
    if (d->opens) d->fd = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
    do d->got = d->fd < 0 ? -1 : pread(d->fd, d->at, blocks(d), first_block(d));
    while (d->got < 0 && d->fd >= 0 && errno == EINTR);
    d->err = d->got < 0 ? errno : 0;
}

/* ---- in the loop ---- */

static void forget(struct direct *d)
{
    chain_file_drop(&d->file);
    chain_file_drop(&d->opened);
    d->is_direct = false;
}

/* The bytes that were read take the place of the file's in the chain. What cannot be read so goes the usual way, which tells of what is
 * wrong with the file itself. */
static void use(struct held *h, struct reading *d)
{
    ssize_t got = d->got - (ssize_t) (d->from - first_block(d));
    if (h->over) return;                 /* broken off meanwhile */
    if (got > (ssize_t) d->n) got = (ssize_t) d->n;
    if (d->err) request_log(h->r, L_WARN, d->err, "directio is not possible for a file of this response, it is read as usual");
    if (d->err || got <= 0) {
        h->direct.is_direct = false;
        return;
    }
    struct chain made = CHAIN_EMPTY;
    chain_add_chunk(&made, d->room, d->at + (d->from - first_block(d)), (size_t) got);
    chain_skip(&h->chain, (uint64_t) got);
    chain_move(&made, &h->chain);
    h->chain = made;
}

static void was_read_directly(struct thread_job *job)
{
    struct reading *d = (struct reading *) job;
    struct held *h = d->held;
    struct chain_file *opened = d->opens && d->fd >= 0 ? chain_file_open(d->fd) : NULL;
    if (h) {
        h->reading = NULL;
        if (opened) h->direct.opened = chain_file_hold(opened);
        use(h, d);
    }
    chain_file_drop(&opened);
    chain_file_drop(&d->file);
    chunk_drop(&d->room);
    free(d);
    if (h) response_more(h->r);
}

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

/* A file of its own folder (temporary ones have no name) that is large enough. */
static bool is_direct(struct held *h, const struct link *l)
{
    struct direct *d = &h->direct;
    struct stat st;
    if (!h->directio) return false;
    if (d->file == l->file) return d->is_direct;
    forget(d);
    d->file = chain_file_hold(l->file);
    return d->is_direct = fstat(l->file->fd, &st) == 0 && st.st_nlink && (uint64_t) st.st_size >= h->directio->from.bytes;
}

static bool begin_directly(struct held *h, const struct link *l)
{
    const bufs *b = &http_core(h->r)->output_buffers;
    struct thread_pool *pool = open_file_threads(h->r);
    size_t alignment = h->directio->alignment.bytes, most = min_of((size_t) b->n * b->size, (size_t) DIRECT_MOST);
    struct reading *d = base_alloc(sizeof *d);
    *d = (struct reading) { .job = { .work = work_directly, .done = was_read_directly }, .held = h, .from = l->from, .n = min_of(l->n, most),
                            .alignment = alignment, .fd = h->direct.opened ? h->direct.opened->fd : -1, .opens = !h->direct.opened };
    d->room = chunk_open(blocks(d) + max_of(alignment, (size_t) PAGE));
    d->at = (char *) align_up((uintptr_t) d->room->data, max_of(alignment, (uintptr_t) PAGE));
    d->file = chain_file_hold(h->direct.opened ? h->direct.opened : l->file);
    if (!pool) pool = thread_pool_get(T("default"), 32, 65536);
    if (thread_post(pool, &d->job)) {
        h->reading = d;
        return true;
    }
    chain_file_drop(&d->file);
    chunk_drop(&d->room);
    free(d);
    return false;
}

/* Something is being read, or there is room for no more. */
static bool must_wait(struct held *h, const struct link *l, size_t n)
{
    if (is_direct(h, l) && begin_directly(h, l)) return true;
    return h->threads && !h->warm && !is_warm(l, n) && begin_reading(h, l, n);
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
        if (l->file && must_wait(h, l, n)) return;
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
    forget(&h->direct);
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct directio_conf *directio = request_values(r, &aio_module);
    bool threads = open_file_threads(r) != NULL;
    if (r->main != r || r->out.no_body || (!threads && directio->from.bytes == UINT64_MAX)) return false;
    struct held *h = pool_new(r->pool, struct held);
    h->r = r;
    h->threads = threads;
    if (directio->from.bytes != UINT64_MAX) h->directio = directio;
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

static conf_result parse_directio(struct conf *cf, const struct directive *d, void *field)
{
    if (!text_eq(cf->words[1], T("off"))) return conf_bytes.parse(cf, d, field);
    ((bytes *) field)->bytes = UINT64_MAX;
    return NULL;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    const struct directio_conf *c = values;
    uint64_t a = c->alignment.bytes;
    if (a >= 512 && a <= ALIGN_MOST && !(a & (a - 1))) return NULL;
    conf_error_at(cf, b->file, b->line, "\"directio_alignment\" must be a power of two from 512 to 64k");
    return conf_said;
}

static const struct conf_type type_directio = { "size | off", sizeof(bytes), 0, 1, 1, parse_directio };

static const struct directive rows[] = {
    D_TYPE(struct directio_conf, from, bytes, &type_directio, "directio", IN_HSL, "off", "Files of at least this size are read past the kernel's memory (O_DIRECT), in a thread, and not sent by sendfile(): large ones that are seldom asked for then leave the others there."),
    D_SIZE(struct directio_conf, alignment, "directio_alignment", IN_HSL, "512", "Blocks that directio reads in; some file systems need 4k."),
    { .name = NULL },
};

struct module aio_module = { .name = "aio", .conf_size = sizeof(struct directio_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind };
