/* log_writer: a buffer, and when it is written. */
#include "process/log_writer.h"
#include "os/file.h"
#include <errno.h>
#include <zlib.h>

#define WRITER_MAGIC 0x4c575249u

enum { TURN_SIZE = 16384 };     /* without buffer=: what one turn may gather */

struct writer {
    unsigned         magic;
    struct log_file *file;
    struct log_rules rules;
    char            *room;      /* NULL until the first line */
    size_t           n, size;
    struct task      task;
    struct timer     timer;
    time_t           full;      /* the second in which the disk was full */
    time_t           told;
};

static void complain(struct writer *w, int err)
{
    if (err == ENOSPC) w->full = clock_now.wall;
    if (clock_now.wall - w->told < 60) return;
    w->told = clock_now.wall;
    log_at(log_main, L_CRIT, NULL, err, "write() to \"%.*s\" failed", TEXT_ARG(w->file->path));
}

static void write_now(struct writer *w, struct text t)
{
    if (w->full && w->full == clock_now.wall) return;
    if (file_write_all(w->file->fd, t) < 0) complain(w, errno);
}

/* Each batch is a gzip member of its own; members in a row are a gzip file (RFC 1952 2.2). */
static void write_gzip(struct writer *w, struct text t)
{
    z_stream z = { 0 };
    if (deflateInit2(&z, w->rules.gzip, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY) != Z_OK) {
        log_at(log_main, L_CRIT, NULL, 0, "deflateInit2() failed");
        return;
    }
    size_t size = deflateBound(&z, t.n);
    char *out = base_alloc(size);
    z.next_in = (unsigned char *) (uintptr_t) t.p;
    z.avail_in = (unsigned) t.n;
    z.next_out = (unsigned char *) out;
    z.avail_out = (unsigned) size;
    ASSERT(deflate(&z, Z_FINISH) == Z_STREAM_END);
    write_now(w, text_of(out, size - z.avail_out));
    deflateEnd(&z);
    free(out);
}

static void flush(struct writer *w)
{
    NEED(w, WRITER_MAGIC);
    timer_stop(&w->timer);
    if (!w->n) return;
    if (w->rules.gzip) write_gzip(w, text_of(w->room, w->n));
    else write_now(w, text_of(w->room, w->n));
    w->n = 0;
}

static void flush_file(struct log_file *f) { flush(f->data); }
static void turn_ends(struct task *t) { flush(container_of(t, struct writer, task)); }
static void is_due(struct timer *t) { flush(container_of(t, struct writer, timer)); }

static void end(void *arg)
{
    struct writer *w = arg;
    task_cancel(&w->task);
    timer_end(&w->timer);
    free(w->room);
}

static struct writer *attach(struct log_file *f, struct pool *pool, const struct log_rules *rules)
{
    struct writer *w = pool_new(pool, struct writer);
    *w = (struct writer) { .magic = WRITER_MAGIC, .file = f, .rules = *rules, .size = rules->size ? rules->size : TURN_SIZE,
                           .task.run = turn_ends, .timer.fire = is_due };
    f->data = w;
    f->flush = flush_file;
    pool_cleanup(pool, end, w);
    return w;
}

bool log_writer_rules(struct log_file *f, struct pool *pool, const struct log_rules *rules)
{
    struct writer *w = f->data;
    if (!w) {
        attach(f, pool, rules);
        return true;
    }
    if (!rules->size) return true;
    if (!w->rules.size) {
        w->rules = *rules;
        w->size = rules->size;
        return true;
    }
    return w->rules.size == rules->size && w->rules.flush_ms == rules->flush_ms && w->rules.gzip == rules->gzip;
}

struct build log_writer_begin(struct log_file *f)
{
    struct writer *w = f->data;
    NEED(w, WRITER_MAGIC);
    if (unlikely(!w->room)) w->room = base_alloc(w->size);
    if (unlikely(w->n == w->size)) flush(w);
    return build_in_room(w->room + w->n, w->size - w->n - 1);    /* the newline's place is kept */
}

static void wait(struct writer *w)
{
    if (!w->rules.size) task_post(&w->task);
    else if (w->rules.flush_ms && !timer_is_set(&w->timer)) timer_set(&w->timer, w->rules.flush_ms);
}

bool log_writer_end(struct log_file *f, const struct build *line)
{
    struct writer *w = f->data;
    if (unlikely(!build_ok(line))) {
        flush(w);
        return false;
    }
    w->n += line->n;
    w->room[w->n++] = '\n';
    wait(w);
    return true;
}

void log_writer_put(struct log_file *f, struct text line)
{
    struct writer *w = f->data;
    NEED(w, WRITER_MAGIC);
    flush(w);
    if (w->rules.gzip) write_gzip(w, line);
    else write_now(w, line);
}
