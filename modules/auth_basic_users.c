#include "modules/auth_basic.h"
#include "base/table.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files that are kept, and the largest one: both far beyond what a password file is for. */
enum { KEPT = 32, SIZE_MOST = 64 << 20 };

struct users {
    struct users *next;
    struct pool  *pool;
    struct text   path;
    struct stat   stat;
    struct table  hashes;        /* to struct text * */
    struct text   any;
};

static struct users *kept;       /* the last one used first */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec
        && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* "name:hash" or "name:hash:comment"; "#" begins a comment. The first line of a name counts. */
static void read_line(struct users *u, struct text line)
{
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    ssize_t colon = text_find_char(line, ':');
    if (!line.n || line.p[0] == '#' || colon <= 0) return;
    struct text *hash = pool_new(u->pool, struct text);
    *hash = text_from(line, (size_t) colon + 1);
    ssize_t end = text_find_char(*hash, ':');
    if (end >= 0) hash->n = (size_t) end;
    if (table_add(&u->hashes, text_upto(line, (size_t) colon), hash) && !u->any.n) u->any = *hash;
}

static struct users *read_users(struct text path, int fd, const struct stat *st)
{
    struct pool *pool = pool_open(0);
    struct users *u = pool_new(pool, struct users);
    size_t n = 0, size = (size_t) st->st_size;
    char *bytes = pool_bytes(pool, size + 1);
    *u = (struct users) { .pool = pool, .path = pool_text(pool, path), .stat = *st };
    table_init(&u->hashes, pool, false);
    for (ssize_t got; n < size && (got = pread(fd, bytes + n, size - n, (off_t) n)) != 0; n += (size_t) got) {
        if (got > 0) continue;
        pool_close(&pool);
        return NULL;
    }
    struct text rest = { bytes, n }, line;
    while (n && text_split(&rest, '\n', &line)) read_line(u, line);
    return u;
}

static void forget(struct users **at)
{
    struct users *u = *at;
    *at = u->next;
    pool_close(&u->pool);
}

/* Takes it out of the list. */
static struct users *find(struct text path, const struct stat *st)
{
    unsigned n = 0;
    for (struct users **at = &kept; *at; at = &(*at)->next) {
        struct users *u = *at;
        if (text_eq(u->path, path)) {
            if (!is_same(&u->stat, st)) {
                forget(at);
                return NULL;
            }
            *at = u->next;
            return u;
        }
        if (++n < KEPT) continue;
        forget(at);
        break;
    }
    return NULL;
}

static enum users_result fail(const char *call, struct text path, int err, const struct log *log, const struct log_about *about)
{
    bool missing = err == ENOENT;
    log_at(log, missing ? L_ERR : L_CRIT, about, err, "%s \"%.*s\" failed", call, TEXT_ARG(path));
    return missing ? USERS_MISSING : USERS_ERROR;
}

enum users_result users_get(struct text path, const struct log *log, const struct log_about *about, const struct users **out)
{
    struct stat st;
    if (stat(path.p, &st) != 0) return fail("open()", path, errno, log, about);
    struct users *u = find(path, &st);
    if (!u) {
        int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) return fail("open()", path, errno, log, about);
        int err = fstat(fd, &st) != 0 ? errno : !S_ISREG(st.st_mode) ? EISDIR : st.st_size > SIZE_MOST ? EFBIG : 0;
        if (!err && !(u = read_users(path, fd, &st))) err = errno;
        close(fd);
        if (err) return fail("pread()", path, err, log, about);
    }
    u->next = kept;
    *out = kept = u;
    return USERS_FINE;
}

bool users_find(const struct users *u, struct text name, struct text *hash_out)
{
    const struct text *hash = table_get(&u->hashes, name);
    *hash_out = hash ? *hash : u->any;
    return hash != NULL;
}
