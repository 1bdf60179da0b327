#include "os/tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum { DEEPEST = 256, TRIES = 10 };
#define PIECE ((size_t) 1 << 30)

static int fail(const char **call_out, const char *call, int err)
{
    *call_out = call;
    errno = err;
    return -1;
}

static void close_quietly(int fd)
{
    int err = errno;
    close(fd);
    errno = err;
}

int tree_look(int folder, const char *name, struct stat *st, const char **call_out)
{
    return fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : fail(call_out, "lstat()", errno);
}

static DIR *open_folder(int folder, const char *name, const char **call_out)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir) return dir;
    fail(call_out, "opendir()", errno);
    if (fd >= 0) close_quietly(fd);
    return NULL;
}

/* The next name in dir but "." and ".."; NULL: the end (*failed_out false), or readdir failed. */
static const char *next_name(DIR *dir, bool *failed_out)
{
    const struct dirent *d;
    do {
        errno = 0;
        d = readdir(dir);
    } while (d && d->d_name[0] == '.' && (!d->d_name[1] || (d->d_name[1] == '.' && !d->d_name[2])));
    *failed_out = !d && errno;
    return d ? d->d_name : NULL;
}

/* ---- removing ---- */

static int remove_at(int folder, const char *name, unsigned depth, const char **call_out);

static int empty(DIR *dir, unsigned depth, const char **call_out)
{
    const char *name;
    bool failed;
    while ((name = next_name(dir, &failed)))
        if (remove_at(dirfd(dir), name, depth, call_out) != 0) return -1;
    return failed ? fail(call_out, "readdir()", errno) : 0;
}

static int remove_at(int folder, const char *name, unsigned depth, const char **call_out)
{
    struct stat st;
    if (tree_look(folder, name, &st, call_out) != 0) return -1;
    if (!S_ISDIR(st.st_mode)) return unlinkat(folder, name, 0) == 0 ? 0 : fail(call_out, "unlink()", errno);
    if (depth > DEEPEST) return fail(call_out, "rmdir()", ELOOP);
    DIR *dir = open_folder(folder, name, call_out);
    if (!dir) return -1;
    int result = empty(dir, depth + 1, call_out), err = errno;
    closedir(dir);
    errno = err;
    if (result != 0) return -1;
    return unlinkat(folder, name, AT_REMOVEDIR) == 0 ? 0 : fail(call_out, "rmdir()", errno);
}

int tree_remove(int folder, const char *name, const char **call_out)
{
    return remove_at(folder, name, 0, call_out);
}

/* ---- copying ---- */

static int copy_bytes(int from, int to, const char **call_out)
{
    off_t at = 0;
    for (;;) {
        ssize_t n = sendfile(to, from, &at, PIECE);
        if (n == 0) return 0;
        if (n < 0 && errno != EINTR) return fail(call_out, "sendfile()", errno);
    }
}

static int fill(int from, int to, mode_t mode, time_t modified, const char **call_out)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = modified } };
    if (copy_bytes(from, to, call_out) != 0) return -1;
    if (fchmod(to, mode) != 0) return fail(call_out, "fchmod()", errno);
    return futimens(to, times) == 0 ? 0 : fail(call_out, "futimens()", errno);
}

/* A new file in folder, of a name that nobody has; name is written. */
static int open_temporary(int folder, char *name, size_t size)
{
    int fd = -1;
    for (int i = 0; fd < 0 && i < TRIES; i++) {
        uint64_t any = (uint64_t) getpid() << 32 | (unsigned) i;
        if (getrandom(&any, sizeof any, GRND_NONBLOCK) < 0) any ^= (uint64_t) time(NULL);
        snprintf(name, size, ".weir-%016llx", (unsigned long long) any);
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) break;
    }
    return fd;
}

int tree_copy_file(int fd, int folder, const char *name, mode_t mode, time_t modified, const char **call_out)
{
    char temporary[32];
    int to = open_temporary(folder, temporary, sizeof temporary);
    if (to < 0) return fail(call_out, "open()", errno);
    int result = fill(fd, to, mode, modified, call_out);
    close_quietly(to);
    if (result == 0 && renameat(folder, temporary, folder, name) != 0) result = fail(call_out, "rename()", errno);
    if (result == 0) return 0;
    int err = errno;
    unlinkat(folder, temporary, 0);
    errno = err;
    return -1;
}

struct copying { dev_t dev; ino_t ino; const char **call_out; };     /* dev, ino: the copy itself, which is not copied */

static int copy_folder(struct copying *c, int folder, const char *name, const struct stat *st, int to_folder, const char *to_name, unsigned depth);

static int copy_one(struct copying *c, DIR *dir, const char *name, int to, unsigned depth)
{
    struct stat st;
    if (tree_look(dirfd(dir), name, &st, c->call_out) != 0) return errno == ENOENT ? 0 : -1;
    if (S_ISDIR(st.st_mode)) {
        if (st.st_dev == c->dev && st.st_ino == c->ino) return 0;
        return copy_folder(c, dirfd(dir), name, &st, to, name, depth);
    }
    if (!S_ISREG(st.st_mode)) return 0;
    int fd = openat(dirfd(dir), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return fail(c->call_out, "open()", errno);
    int result = tree_copy_file(fd, to, name, st.st_mode & 0777, st.st_mtime, c->call_out);
    close_quietly(fd);
    return result;
}

static int copy_all(struct copying *c, DIR *dir, int to, unsigned depth)
{
    const char *name;
    bool failed;
    while ((name = next_name(dir, &failed)))
        if (copy_one(c, dir, name, to, depth) != 0) return -1;
    return failed ? fail(c->call_out, "readdir()", errno) : 0;
}

static int into(struct copying *c, DIR *dir, const struct stat *st, int to, unsigned depth)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = st->st_mtime } };
    struct stat made;
    if (depth == 0) {
        if (fstat(to, &made) != 0) return fail(c->call_out, "fstat()", errno);
        c->dev = made.st_dev;
        c->ino = made.st_ino;
    }
    if (copy_all(c, dir, to, depth + 1) != 0) return -1;
    if (fchmod(to, st->st_mode & 0777) != 0) return fail(c->call_out, "fchmod()", errno);
    return futimens(to, times) == 0 ? 0 : fail(c->call_out, "futimens()", errno);
}

static int copy_folder(struct copying *c, int folder, const char *name, const struct stat *st, int to_folder, const char *to_name, unsigned depth)
{
    if (depth > DEEPEST) return fail(c->call_out, "mkdir()", ELOOP);
    DIR *dir = open_folder(folder, name, c->call_out);
    if (!dir) return -1;
    int to = -1, result = -1;
    if (mkdirat(to_folder, to_name, 0700) != 0) fail(c->call_out, "mkdir()", errno);
    else if ((to = openat(to_folder, to_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) fail(c->call_out, "opendir()", errno);
    else result = into(c, dir, st, to, depth);
    int err = errno;
    if (to >= 0) close(to);
    closedir(dir);
    errno = err;
    return result;
}

int tree_copy(int folder, const char *name, int to_folder, const char *to_name, const char **call_out)
{
    struct copying c = { .call_out = call_out };
    struct stat st;
    if (tree_look(folder, name, &st, call_out) != 0) return -1;
    if (!S_ISDIR(st.st_mode)) return fail(call_out, "opendir()", ENOTDIR);
    return copy_folder(&c, folder, name, &st, to_folder, to_name, 0);
}
