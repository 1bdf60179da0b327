#include "base/chain.h"
#include <unistd.h>

enum { SPARE_MOST = 1024 };

static struct link *spare;
static unsigned spare_count;

static struct link *take_link(void)
{
    struct link *l = spare;
    if (l) {
        spare = l->next;
        spare_count--;
    } else {
        l = base_alloc(sizeof *l);
    }
    *l = (struct link) { 0 };
    return l;
}

static void give_link(struct link *l)
{
    if (l->chunk) chunk_drop(&l->chunk);
    if (l->file) chain_file_drop(&l->file);
    if (BASE_RECYCLE && spare_count < SPARE_MOST) {
        l->next = spare;
        spare = l;
        spare_count++;
    } else {
        free(l);
    }
}

void chain_trim(void)
{
    while (spare) {
        struct link *l = spare;
        spare = l->next;
        free(l);
    }
    spare_count = 0;
}

static void append(struct chain *c, struct link *l)
{
    l->next = NULL;
    if (c->last) c->last->next = l;
    else c->first = l;
    c->last = l;
    c->bytes += l->n;
}

static struct link *detach_first(struct chain *c)
{
    struct link *l = c->first;
    c->first = l->next;
    if (c->first == NULL) c->last = NULL;
    c->bytes -= l->n;
    return l;
}

void chain_add_text(struct chain *c, struct text t)
{
    if (t.n == 0) return;
    struct link *l = take_link();
    l->p = t.p;
    l->n = t.n;
    append(c, l);
}

void chain_add_chunk(struct chain *c, struct chunk *chunk, const char *p, size_t n)
{
    NEED(chunk, CHUNK_MAGIC);
    ASSERT(p >= chunk->data && n <= chunk->size && p + n <= chunk->data + chunk->size);
    if (n == 0) return;
    struct link *l = c->last;
    if (l && l->chunk == chunk && l->p + l->n == p && !l->flush) {     /* goes on where the last link ends */
        l->n += n;
        c->bytes += n;
        return;
    }
    l = take_link();
    l->chunk = chunk_hold(chunk);
    l->p = p;
    l->n = n;
    append(c, l);
}

/* As much of t as fits behind the last link's bytes, where nobody else looks; bytes taken. */
static size_t fill_last(struct chain *c, struct text t)
{
    struct link *l = c->last;
    if (l == NULL || l->chunk == NULL || l->chunk->refs != 1 || l->flush) return 0;
    size_t used = (size_t) (l->p - l->chunk->data) + l->n;
    size_t n = min_of(t.n, l->chunk->size - used);
    memcpy(l->chunk->data + used, t.p, n);
    l->n += n;
    c->bytes += n;
    return n;
}

void chain_add_copy(struct chain *c, struct text t)
{
    while (t.n) {
        t = text_from(t, fill_last(c, t));
        if (t.n == 0) return;
        struct link *l = take_link();
        l->chunk = chunk_open(t.n <= CHUNK_SMALL ? CHUNK_SMALL : t.n <= CHUNK_USUAL ? CHUNK_USUAL : CHUNK_LARGE);
        l->p = l->chunk->data;
        append(c, l);
    }
}

void chain_add_file(struct chain *c, struct chain_file *f, off_t from, size_t n)
{
    NEED(f, CHAIN_FILE_MAGIC);
    if (n == 0) return;
    struct link *l = take_link();
    l->file = chain_file_hold(f);
    l->from = from;
    l->n = n;
    append(c, l);
}

void chain_add_flush(struct chain *c)
{
    if (c->last == NULL) append(c, take_link());
    c->last->flush = true;
}

void chain_move(struct chain *c, struct chain *from)
{
    if (from->first == NULL) return;
    if (c->last) c->last->next = from->first;
    else c->first = from->first;
    c->last = from->last;
    c->bytes += from->bytes;
    *from = CHAIN_EMPTY;
}

/* The first n bytes of l as a link of their own; l goes on after them. */
static struct link *split(struct link *l, size_t n)
{
    struct link *head = take_link();
    *head = *l;
    head->n = n;
    head->flush = false;
    if (head->chunk) chunk_hold(head->chunk);
    if (head->file) chain_file_hold(head->file);
    if (l->file) l->from += (off_t) n;
    else l->p += n;
    l->n -= n;
    return head;
}

void chain_move_bytes(struct chain *c, struct chain *from, uint64_t n)
{
    if (n >= from->bytes) {
        chain_move(c, from);
        return;
    }
    while (n > 0 || (from->first && from->first->n == 0)) {
        if (from->first->n <= n) {
            struct link *l = detach_first(from);
            n -= l->n;
            append(c, l);
        } else {
            append(c, split(from->first, (size_t) n));
            from->bytes -= n;
            return;
        }
    }
}

void chain_share(struct chain *c, const struct chain *from)
{
    for (const struct link *l = from->first; l; l = l->next) {
        struct link *copy = take_link();
        *copy = *l;
        if (copy->chunk) chunk_hold(copy->chunk);
        if (copy->file) chain_file_hold(copy->file);
        append(c, copy);
    }
}

void chain_skip(struct chain *c, uint64_t n)
{
    ASSERT(n <= c->bytes);
    while (c->first && c->first->n <= n) {
        n -= c->first->n;
        give_link(detach_first(c));
    }
    if (n == 0) return;
    struct link *l = c->first;
    if (l->file) l->from += (off_t) n;
    else l->p += n;
    l->n -= (size_t) n;
    c->bytes -= n;
}

bool chain_first_flushes(const struct chain *c)
{
    const struct link *l = c->first;
    while (l && !l->flush && l->next && l->next->n == 0) l = l->next;
    return l && l->flush;
}

void chain_clear(struct chain *c)
{
    while (c->first) give_link(detach_first(c));
}

void chain_own(struct chain *c)
{
    for (struct link *l = c->first; l; l = l->next) {
        if (l->chunk || l->file || !l->n) continue;
        l->chunk = chunk_open(l->n);
        memcpy(l->chunk->data, l->p, l->n);
        l->p = l->chunk->data;
    }
}

size_t chain_copy_out(const struct chain *c, char *room, size_t size)
{
    size_t n = 0;
    for (const struct link *l = c->first; l && n < size; l = l->next) {
        ASSERT(l->file == NULL);
        size_t part = min_of(l->n, size - n);
        if (part) memcpy(room + n, l->p, part);
        n += part;
    }
    return n;
}

bool chain_has_file(const struct chain *c)
{
    for (const struct link *l = c->first; l; l = l->next) {
        if (l->file) return true;
    }
    return false;
}

static struct chain_file *make_file(int fd, bool keep_open)
{
    struct chain_file *f = base_alloc(sizeof *f);
    *f = (struct chain_file) { CHAIN_FILE_MAGIC, 1, fd, keep_open };
    return f;
}

struct chain_file *chain_file_open(int fd) { return make_file(fd, false); }
struct chain_file *chain_file_borrow(int fd) { return make_file(fd, true); }

void chain_file_drop(struct chain_file **fp)
{
    struct chain_file *f = *fp;
    if (f == NULL) return;
    NEED(f, CHAIN_FILE_MAGIC);
    *fp = NULL;
    if (--f->refs) return;
    if (!f->keep_open) close(f->fd);
    f->magic = 0;
    free(f);
}
