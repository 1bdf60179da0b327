#include "process/cycle_log.h"
#include "process/core_conf.h"
#include "os/file.h"
#include "os/syslog.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(struct log_target *t, enum log_level level, struct text line)
{
    (void) level;
    const struct log_file *f = t->arg;
    if (f->fd >= 0) (void) !write(f->fd, line.p, line.n);
}

/* ---- files ---- */

static struct log_file *find(const struct cycle *c, struct text path)
{
    struct log_file *f = c->files;
    while (f && !text_eq(f->path, path)) f = f->next;
    return f;
}

static struct log_file *take(struct cycle *c, struct text path)
{
    struct log_file *f = find(c, path);
    if (f) return f;
    f = pool_new(c->pool, struct log_file);
    *f = (struct log_file) { .next = c->files, .path = text_of(pool_cstr(c->pool, path), path.n), .fd = path.n ? -1 : STDERR_FILENO };
    return c->files = f;
}

struct log_file *cycle_log_file(struct conf *cf, struct text path) { return take(cf->cycle, path); }

bool cycle_log_open_files(struct cycle *c)
{
    for (struct log_file *f = c->files; f; f = f->next) {
        if (f->fd >= 0) continue;
        f->fd = file_open_append(f->path.p);
        if (f->fd >= 0) continue;
        log_at(log_main, L_EMERG, NULL, errno, "open() \"%s\" failed", f->path.p);
        return false;
    }
    return true;
}

void cycle_log_close_files(struct cycle *c)
{
    cycle_log_flush(c);
    for (struct log_file *f = c->files; f; f = f->next) {
        if (f->path.n && f->fd >= 0) close(f->fd);
        f->fd = -1;
    }
}

void cycle_log_flush(struct cycle *c)
{
    for (struct log_file *f = c->files; f; f = f->next) if (f->flush) f->flush(f);
}

/* Was stderr sent to this file? Then it goes along. */
static bool is_stderr(int fd)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstat(STDERR_FILENO, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void replace(struct log_file *f, int fd)
{
    if (f->flush) f->flush(f);
    if (is_stderr(f->fd)) dup2(fd, STDERR_FILENO);
    close(f->fd);
    f->fd = fd;
}

void cycle_log_reopen(struct cycle *c, void (*tell)(struct log_file *f))
{
    for (struct log_file *f = c->files; f; f = f->next) {
        if (!f->path.n) continue;
        int fd = file_open_append(f->path.p);
        if (fd < 0) {
            log_at(log_main, L_EMERG, NULL, errno, "open() \"%s\" failed", f->path.p);
            continue;
        }
        replace(f, fd);
        if (tell) tell(f);
    }
}

void cycle_log_redirect_stderr(const struct cycle *c)
{
    for (const struct log_target *t = c->log->targets; t; t = t->next) {
        const struct log_file *f = t->write == write_file ? t->arg : NULL;
        if (f == NULL || f->path.n == 0 || f->fd < 0) continue;
        if (dup2(f->fd, STDERR_FILENO) < 0) log_at(c->log, L_ALERT, NULL, errno, "dup2(STDERR) failed");
        return;
    }
}

void cycle_log_replace(struct cycle *c, struct text path, int fd)
{
    struct log_file *f = find(c, path);
    if (f) replace(f, fd);
    else close(fd);
}

/* ---- error logs ---- */

static struct log_target *open_target(struct cycle *c, const struct error_log_spec *s)
{
    if (s->kind == ERROR_LOG_MEMORY) return log_ring(c->pool, s->level, s->memory);
    if (s->kind == ERROR_LOG_SYSLOG) return syslog_target(c->pool, s->level, s->syslog);
    struct log_target *t = pool_new(c->pool, struct log_target);
    struct text path = s->kind == ERROR_LOG_FILE ? s->path : T("");
    *t = (struct log_target) { .level = s->level, .write = write_file, .fd = -1, .arg = take(c, path) };
    return t;
}

/* One log for one list, however many blocks share it. */
struct made { struct made *next; const struct error_log_spec *v; size_t n; struct log *log; };

struct log *cycle_error_log(struct cycle *c, const struct error_log_list *list)
{
    for (struct made *m = c->made_logs; m; m = m->next) if (m->v == list->v && m->n == list->n) return m->log;
    struct made *m = pool_new(c->pool, struct made);
    *m = (struct made) { .next = c->made_logs, .v = list->v, .n = list->n, .log = pool_new(c->pool, struct log) };
    c->made_logs = m;
    for (size_t i = 0; i < list->n; i++) log_add_target(m->log, open_target(c, &list->v[i]));
    return m->log;
}
