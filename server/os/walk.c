#include "os/walk.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FOLDER = O_PATH | O_CLOEXEC };

/* A descriptor is closed, errno stays. */
static int fail(int fd, int err)
{
    if (fd >= 0) close(fd);
    errno = err;
    return -1;
}

/* In one call, where the kernel (5.6) has it; else -1 with ENOSYS. */
static int open_unlinked(int at, const char *path, int flags, mode_t mode)
{
#ifdef SYS_openat2
    struct open_how how = { .flags = (unsigned) (flags | O_CLOEXEC), .mode = flags & O_CREAT ? mode : 0, .resolve = RESOLVE_NO_SYMLINKS };
    return (int) syscall(SYS_openat2, at, path, &how, sizeof how);
#else
    (void) at, (void) path, (void) flags, (void) mode;
    errno = ENOSYS;
    return -1;
#endif
}

/* link: a descriptor of the link itself, so what is read and whose it is cannot change any more. */
static int follow_owned(int at, int link, uid_t owner, int flags)
{
    char target[PATH_MAX];
    struct stat st;
    ssize_t n = readlinkat(link, "", target, sizeof target - 1);
    if (n < 0) return -1;
    target[n] = '\0';
    int fd = openat(at, target, flags | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &st) < 0) return fail(fd, errno);
    return st.st_uid == owner ? fd : fail(fd, ELOOP);
}

/* One name below at. Nothing is made through a link. */
static int step(int at, const char *name, enum walk_links links, int flags, mode_t mode)
{
    struct stat st;
    int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT && flags & O_CREAT ? openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, mode) : -1;
    if (fstat(fd, &st) < 0) return fail(fd, errno);
    if (S_ISLNK(st.st_mode)) {
        int to = links == WALK_OWNED && !(flags & O_CREAT) ? follow_owned(at, fd, st.st_uid, flags) : (errno = ELOOP, -1);
        int err = errno;
        close(fd);
        errno = err;
        return to;
    }
    if (flags & O_PATH) return fd;
    close(fd);
    return openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

/* Name by name; rest has no slash in front. */
static int walk_on(int at, char *rest, enum walk_links links, int flags, mode_t mode)
{
    for (;;) {
        char *end = strchrnul(rest, '/');
        bool slash = *end == '/';
        while (*end == '/') *end++ = '\0';
        bool last = *end == '\0';
        int fd = step(at, *rest ? rest : ".", links, !last ? FOLDER : slash ? flags | O_DIRECTORY : flags, mode);
        int err = errno == ELOOP && links == WALK_NONE && (!last || slash) ? ENOTDIR : errno;
        close(at);
        if (fd < 0 || last) {
            errno = err;
            return fd;
        }
        at = fd;
        rest = end;
    }
}

int walk_open(const char *path, size_t trusted, enum walk_links links, int flags, mode_t mode)
{
    char room[PATH_MAX];
    size_t n = strlen(path);
    if (links == WALK_ALL) return open(path, flags | O_CLOEXEC, mode);
    if (n >= sizeof room) return fail(-1, ENAMETOOLONG);
    memcpy(room, path, n + 1);
    trusted = min_of(trusted, n);
    char kept = room[trusted];
    room[trusted] = '\0';
    int at = open(trusted ? room : "/", FOLDER | O_DIRECTORY);
    if (at < 0) return -1;
    room[trusted] = kept;
    char *rest = room + trusted;
    while (*rest == '/') rest++;
    if (links == WALK_NONE) {
        int fd = open_unlinked(at, *rest ? rest : ".", flags, mode);
        if (fd >= 0 || (errno != ENOSYS && errno != ELOOP)) return fd < 0 ? fail(at, errno) : (close(at), fd);
    }
    return walk_on(at, rest, links, flags, mode);
}

int walk_parent(const char *path, size_t trusted, enum walk_links links, const char **name_out)
{
    char room[PATH_MAX];
    const char *slash = strrchr(path, '/');
    ASSERT(slash);
    size_t n = max_of((size_t) (slash - path), (size_t) 1);
    *name_out = slash + 1;
    if (n >= sizeof room) return fail(-1, ENAMETOOLONG);
    memcpy(room, path, n);
    room[n] = '\0';
    return walk_open(room, min_of(trusted, n), links, FOLDER | O_DIRECTORY, 0);
}
