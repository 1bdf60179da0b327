/* log_path: the files, most recently used first. */
#include "process/log_path.h"
#include "base/clock.h"
#include "os/file.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    struct file *newer, *older, *same_hash;
    uint64_t     hash, used_ms, checked_ms;
    unsigned     uses;
    int          fd;          /* -1: not used often enough to stay open */
    size_t       n;
    char         path[];
};

struct log_paths {
    struct log_path_rules rules;
    struct file          *newest, *oldest;
    struct file         **by_hash;
    size_t                mask;
    unsigned              count;
};

static void unlink_file(struct log_paths *p, struct file *f)
{
    *(f->newer ? &f->newer->older : &p->newest) = f->older;
    *(f->older ? &f->older->newer : &p->oldest) = f->newer;
}

static void link_newest(struct log_paths *p, struct file *f)
{
    f->newer = NULL;
    f->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = f;
    p->newest = f;
}

static void drop(struct log_paths *p, struct file *f)
{
    struct file **at = &p->by_hash[f->hash & p->mask];
    while (*at != f) at = &(*at)->same_hash;
    *at = f->same_hash;
    unlink_file(p, f);
    if (f->fd >= 0) close(f->fd);
    free(f);
    p->count--;
}

static void drop_all(void *arg)
{
    struct log_paths *p = arg;
    while (p->oldest) drop(p, p->oldest);
}

struct log_paths *log_paths_open(struct pool *pool, const struct log_path_rules *rules)
{
    struct log_paths *p = pool_new(pool, struct log_paths);
    p->rules = *rules;
    p->mask = 1;
    while (p->mask < rules->max && p->mask < 65535) p->mask = p->mask * 2 + 1;
    p->by_hash = pool_array(pool, struct file *, p->mask + 1);
    pool_cleanup(pool, drop_all, p);
    return p;
}

static struct file *find(struct log_paths *p, struct text path, uint64_t hash)
{
    struct file *f = p->by_hash[hash & p->mask];
    while (f && !(f->hash == hash && text_eq(text_of(f->path, f->n), path))) f = f->same_hash;
    return f;
}

static struct file *make(struct log_paths *p, struct text path, uint64_t hash)
{
    struct file *f = base_zalloc(1, sizeof *f + path.n + 1);
    if (p->count == p->rules.max) drop(p, p->oldest);
    f->hash = hash;
    f->fd = -1;
    f->n = path.n;
    memcpy(f->path, path.p, path.n);
    f->same_hash = p->by_hash[hash & p->mask];
    p->by_hash[hash & p->mask] = f;
    link_newest(p, f);
    p->count++;
    return f;
}

/* Is the open file still what its path names? */
static bool is_current(struct log_paths *p, struct file *f)
{
    struct stat by_path, by_fd;
    if (clock_now.ms - f->checked_ms < p->rules.valid_ms) return true;
    f->checked_ms = clock_now.ms;
    return stat(f->path, &by_path) == 0 && fstat(f->fd, &by_fd) == 0 && by_path.st_ino == by_fd.st_ino && by_path.st_dev == by_fd.st_dev;
}

/* The descriptor for path, or -1 with errno; *keep_out: it stays open. */
static int open_path(struct log_paths *p, struct text path, bool *keep_out)
{
    char room[4096];
    *keep_out = false;
    if (path.n >= sizeof room) { errno = ENAMETOOLONG; return -1; }
    memcpy(room, path.p, path.n);
    room[path.n] = '\0';
    if (!p->rules.max) return file_open_append(room);
    while (p->oldest && clock_now.ms - p->oldest->used_ms > p->rules.inactive_ms) drop(p, p->oldest);
    uint64_t hash = text_hash(path);
    struct file *f = find(p, path, hash);
    if (!f) f = make(p, path, hash);
    unlink_file(p, f);
    link_newest(p, f);
    f->used_ms = clock_now.ms;
    f->uses++;
    if (f->fd >= 0 && !is_current(p, f)) {
        close(f->fd);
        f->fd = -1;
    }
    if (f->fd >= 0) { *keep_out = true; return f->fd; }
    int fd = file_open_append(f->path);
    if (fd < 0 || f->uses < p->rules.min_uses) return fd;
    *keep_out = true;
    f->checked_ms = clock_now.ms;
    return f->fd = fd;
}

void log_paths_write(struct log_paths *p, struct text path, struct text line, const struct log *log, const struct log_about *about)
{
    bool keep;
    int fd = open_path(p, path, &keep);
    if (fd < 0) {
        log_at(log, L_CRIT, about, errno, "open() \"%.*s\" failed", TEXT_ARG(path));
        return;
    }
    if (file_write_all(fd, line) < 0) log_at(log, L_CRIT, about, errno, "write() to \"%.*s\" failed", TEXT_ARG(path));
    if (!keep) close(fd);
}
