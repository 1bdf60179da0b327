#include "gateway/store.h"
#include "gateway/exchange.h"
#include "http/core_conf.h"
#include "http/temp.h"
#include "os/file.h"
#include "os/tree.h"
#include "os/walk.h"
#include "wire/date.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { EXECUTE_OF_READ = 2 };            /* a folder that may be read may be entered: r is x two bits to the right */

struct store {
    struct exchange   *x;
    struct chain_file *file;
    struct text        name;
    off_t              size;
    bool               broken;           /* could not be written */
};

struct store *store_open(struct exchange *x)
{
    struct request *r = x->r;
    if (x->up.status != 200 || r->head_only || (x->up.no_body && (x->up.length || r->method == METHOD_HEAD))) return NULL;
    struct store *s = pool_new(r->pool, struct store);
    s->x = x;
    s->file = temp_open(&x->conf->temp_path, true, r->pool, r->log, r->about, &s->name);
    return s->file ? s : NULL;
}

void store_take(struct store *s, const struct chain *in)
{
    struct chain copy = CHAIN_EMPTY, written = CHAIN_EMPTY;
    struct request *r = s->x->r;
    if (s->broken) return;
    chain_share(&copy, in);
    s->broken = !temp_write(s->file, s->size, &copy, &written, r->log, r->about);
    s->size += (off_t) in->bytes;
    chain_clear(&copy);
    chain_clear(&written);
}

/* ---- its place ---- */

static struct text path_of(struct exchange *x)
{
    const struct template *t = x->conf->store.path;
    if (!t) return request_map_path(x->r, 0, NULL);
    return text_c(pool_cstr(x->r->pool, template_render(t, &x->r->eval)));
}

/* The folder of path, made where it is missing. */
static int parent_of(char *path, mode_t access, const char **name_out)
{
    int fd = walk_parent(path, 0, WALK_ALL, name_out);
    char *slash = strrchr(path, '/');
    if (fd >= 0 || errno != ENOENT || !slash || slash == path) return fd;
    *slash = '\0';
    bool made = file_make_folders(path, access | (access & 0444) >> EXECUTE_OF_READ) == 0;
    *slash = '/';
    return made ? walk_parent(path, 0, WALK_ALL, name_out) : -1;
}

static int put(const struct store *s, int folder, const char *name, const char **call_out)
{
    const struct field *f = fields_find(&s->x->up.fields, FIELD_LAST_MODIFIED);
    struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
    time_t modified = clock_now.wall_ms / 1000;
    if (f && date_parse(f->value, &modified)) times[1] = (struct timespec) { .tv_sec = modified };
    mode_t mode = s->x->conf->store_access;
    *call_out = "fchmod()";
    if (fchmod(s->file->fd, mode) != 0 || futimens(s->file->fd, times) != 0) return -1;
    *call_out = "rename()";
    if (renameat(AT_FDCWD, s->name.p, folder, name) == 0) return 0;
    if (errno != EXDEV || tree_copy_file(s->file->fd, folder, name, mode, modified, call_out) != 0) return -1;
    unlink(s->name.p);
    return 0;
}

static void put_in_place(struct store *s)
{
    struct request *r = s->x->r;
    struct text path = path_of(s->x);
    const char *name, *call = "open()";
    errno = ENOENT;
    int folder = text_find_char(path, '/') >= 0 ? parent_of((char *) (uintptr_t) path.p, s->x->conf->store_access, &name) : -1;
    if (folder < 0 || put(s, folder, name, &call) != 0) {
        log_at(r->log, L_CRIT, r->about, errno, "%s \"%.*s\" failed", call, TEXT_ARG(path));
        unlink(s->name.p);
    }
    if (folder >= 0) close(folder);
}

void store_end(struct store **store, bool whole)
{
    struct store *s = *store;
    *store = NULL;
    if (!s) return;
    if (whole && !s->broken) put_in_place(s);
    else unlink(s->name.p);
    chain_file_drop(&s->file);
}
