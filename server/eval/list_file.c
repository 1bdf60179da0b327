/* list_file: a list is a mapping with two areas, of which one is in force. */
#include "eval/list_file.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_FILE_MAGIC 0x4c495354u

enum { READ_SIZE = 1 << 18 };

/* What all processes see. */
struct control {
    _Atomic uint32_t turn;              /* 0: nothing was read yet; else area turn & 1 is in force */
    _Atomic uint32_t builder;           /* process that builds, or 0 */
    int64_t          size, mtime_s, mtime_ns, inode;     /* of the file that was read, or refused, last */
};

struct list_file {
    unsigned                magic;
    struct list_file       *next;
    const struct list_kind *kind;
    char                   *path;
    unsigned                users;      /* configurations, and whoever reads it just now */
    struct control         *control;
    char                   *areas;
    struct stat             seen;       /* at the last look */
    bool                    moving;     /* it was another one than the look before */
    bool                    stale;      /* the area that is not in force holds the table before */
};

/* Reading one anew. */
struct reading { struct thread_job job; struct list_file *f; struct list_building b; struct stat st; uint32_t turn; const char *why; int err; };

static struct list_file *all;

static void *area_of(const struct list_file *f, uint32_t turn) { return f->areas + (size_t) LIST_AREA * (turn & 1); }

/* ---- asking ---- */

bool list_file_ask(const struct list_file *f, bool (*look)(const void *area, const void *arg), const void *arg)
{
    NEED(f, LIST_FILE_MAGIC);
    for (;;) {
        uint32_t turn = atomic_load_explicit(&f->control->turn, memory_order_acquire);
        bool found = turn && look(area_of(f, turn), arg);
        atomic_thread_fence(memory_order_acquire);
        if (likely(atomic_load_explicit(&f->control->turn, memory_order_relaxed) == turn)) return found;
    }
}

const void *list_file_table(const struct list_file *f)
{
    NEED(f, LIST_FILE_MAGIC);
    return f->control->turn ? area_of(f, f->control->turn) : NULL;
}

struct text list_file_path(const struct list_file *f) { return text_c(f->path); }

/* ---- files ---- */

bool list_file_lines(int fd, struct list_building *b, void (*fn)(struct list_building *b, struct text line))
{
    char *room = base_alloc(READ_SIZE);
    size_t have = 0;
    ssize_t n;
    off_t at = 0;
    while ((n = pread(fd, room + have, READ_SIZE - have, at)) > 0) {
        struct text rest = text_of(room, have + (size_t) n);
        const char *end;
        at += n;
        while ((end = memchr(rest.p, '\n', rest.n)) != NULL) {
            fn(b, text_of(rest.p, (size_t) (end - rest.p)));
            rest = text_from(rest, (size_t) (end - rest.p) + 1);
        }
        if (rest.n == READ_SIZE) fn(b, rest), rest.n = 0;        /* no line is so long */
        memmove(room, rest.p, have = rest.n);
    }
    if (n == 0 && have) fn(b, text_of(room, have));
    int err = errno;
    free(room);
    errno = err;
    return n == 0;
}

struct text list_file_words(struct text line, const char *comment)
{
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    for (; *comment; comment++) {
        ssize_t at = text_find_char(line, *comment);
        if (at >= 0) line.n = (size_t) at;
    }
    return text_trim(line);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool was_read(const struct list_file *f, const struct stat *st)
{
    const struct control *c = f->control;
    return c->inode == (int64_t) st->st_ino && c->size == (int64_t) st->st_size && c->mtime_s == (int64_t) st->st_mtim.tv_sec && c->mtime_ns == (int64_t) st->st_mtim.tv_nsec;
}

/* One process at a time; one that died while it was at it is followed by another. */
static bool begin_building(struct control *c)
{
    uint32_t was = 0, me = (uint32_t) getpid();
    if (atomic_compare_exchange_strong(&c->builder, &was, me)) return true;
    return kill((pid_t) was, 0) != 0 && errno == ESRCH && atomic_compare_exchange_strong(&c->builder, &was, me);
}

/* In a thread, perhaps. */
static void work(struct thread_job *j)
{
    struct reading *w = container_of(j, struct reading, job);
    struct list_file *f = w->f;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    w->b.area = area_of(f, w->turn + 1);
    madvise(w->b.area, LIST_AREA, MADV_REMOVE);
    w->why = fd < 0 || fstat(fd, &w->st) != 0 ? "cannot be opened" : !S_ISREG(w->st.st_mode) ? "is no file" : f->kind->build(&w->b, fd);
    w->err = errno;
    if (fd >= 0) close(fd);
}

static void tell(const struct reading *w, enum log_level level)
{
    const struct list_file *f = w->f;
    const struct list_building *b = &w->b;
    const char *stays = w->turn ? ": the one that was read before stays" : "";
    unsigned long long first = b->first_bad;
    if (w->why && b->fault[0]) log_at(log_main, level, NULL, 0, "%s:%llu: %s%s", f->path, first, b->fault, stays);
    else if (b->bad) log_at(log_main, L_WARN, NULL, 0, "%llu lines of \"%s\" are no %s, the first is line %llu", (unsigned long long) b->bad, f->path, f->kind->entries, first);
    if (w->why && !b->fault[0]) log_at(log_main, level, NULL, w->err, "the list \"%s\" %s%s", f->path, w->why, stays);
    if (!w->why) log_at(log_main, L_NOTICE, NULL, 0, "%llu %s were read from \"%s\"", (unsigned long long) b->count, f->kind->entries, f->path);
}

/* False after a log line. */
static bool publish(struct reading *w, enum log_level level)
{
    struct list_file *f = w->f;
    struct control *c = f->control;
    c->inode = (int64_t) w->st.st_ino;
    c->size = (int64_t) w->st.st_size;
    c->mtime_s = (int64_t) w->st.st_mtim.tv_sec;
    c->mtime_ns = (int64_t) w->st.st_mtim.tv_nsec;
    if (!w->why) atomic_store_explicit(&c->turn, w->turn + 1 ? w->turn + 1 : 2, memory_order_release);
    f->stale = w->turn || w->why;
    atomic_store(&c->builder, 0);
    tell(w, level);
    return !w->why;
}

static void let_go(void *arg);

static void done(struct thread_job *j)
{
    struct reading *w = container_of(j, struct reading, job);
    struct list_file *f = w->f;
    publish(w, L_ERR);
    free(w);
    let_go(f);
}

/* At once. False after a log line. */
static bool read_list(struct list_file *f, enum log_level level)
{
    struct reading w = { .f = f, .turn = f->control->turn };
    if (!begin_building(f->control)) return true;
    work(&w.job);
    return publish(&w, level);
}

/* ---- lists ---- */

static void let_go(void *arg)
{
    struct list_file *f = arg;
    if (--f->users) return;
    struct list_file **at = &all;
    while (*at != f) at = &(*at)->next;
    *at = f->next;
    munmap(f->areas, 2 * (size_t) LIST_AREA);
    munmap(f->control, sizeof *f->control);
    free(f->path);
    f->magic = 0;
    free(f);
}

static void *map_shared(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static struct list_file *make(struct text path, const struct list_kind *kind)
{
    struct list_file *f = base_zalloc(1, sizeof *f);
    *f = (struct list_file) { .magic = LIST_FILE_MAGIC, .next = all, .kind = kind, .path = base_alloc(path.n + 1), .control = map_shared(sizeof *f->control), .areas = map_shared(2 * (size_t) LIST_AREA) };
    ASSERT(f->control && f->areas);          /* address space is not what runs out */
    memcpy(f->path, path.p, path.n);
    f->path[path.n] = '\0';
    return all = f;
}

struct list_file *list_file_of(struct conf *cf, struct text path, const struct list_kind *kind)
{
    struct list_file *f = all;
    while (f && !(f->kind == kind && text_eq(text_c(f->path), path))) f = f->next;
    if (!f) f = make(path, kind);
    f->users++;
    pool_cleanup(cf->pool, let_go, f);
    return f;
}

bool list_files_load_all(void)
{
    bool fine = true;
    for (struct list_file *f = all; f; f = f->next) {
        struct stat st;
        if (f->control->turn && stat(f->path, &st) == 0 && was_read(f, &st)) continue;
        fine &= read_list(f, f->control->turn ? L_ERR : L_EMERG) || f->control->turn;
    }
    return fine;
}

static void read_anew(struct list_file *f, void (*post)(struct thread_job *j))
{
    if (!begin_building(f->control)) return;
    struct reading *w = base_zalloc(1, sizeof *w);
    *w = (struct reading) { .job = { .work = work, .done = done }, .f = f, .turn = f->control->turn };
    f->users++;
    post(&w->job);
}

void list_files_look(void (*post)(struct thread_job *j))
{
    for (struct list_file *f = all; f; f = f->next) {
        struct stat st;
        if (f->stale && begin_building(f->control)) {       /* nobody has looked at it for a second */
            madvise(area_of(f, f->control->turn + 1), LIST_AREA, MADV_REMOVE);
            atomic_store(&f->control->builder, 0);
            f->stale = false;
        }
        if (stat(f->path, &st) != 0) continue;              /* perhaps it is being replaced just now */
        f->moving = !is_same(&st, &f->seen);
        f->seen = st;
        if (!f->moving && !was_read(f, &st)) read_anew(f, post);
    }
}
