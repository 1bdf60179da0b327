#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open_append(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
}

ssize_t file_write_all(int fd, struct text t)
{
    size_t done = 0;
    while (done < t.n) {
        ssize_t n = write(fd, t.p + done, t.n - done);
        if (n < 0 && errno != EINTR) return -1;
        if (n > 0) done += (size_t) n;
    }
    return (ssize_t) done;
}

int file_replace(const char *path, struct text t, mode_t mode)
{
    char temp[PATH_MAX];
    if ((size_t) snprintf(temp, sizeof temp, "%s.%d", path, (int) getpid()) >= sizeof temp) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return -1;
    bool written = file_write_all(fd, t) >= 0;
    if (close(fd) == 0 && written && rename(temp, path) == 0) return 0;
    int err = errno;
    unlink(temp);
    errno = err;
    return -1;
}

ssize_t file_read(const char *path, char *room, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t done = 0;
    ssize_t n = 1;
    while (done < size - 1 && n != 0) {
        n = read(fd, room + done, size - 1 - done);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) done += (size_t) n;
    }
    int err = errno;
    close(fd);
    errno = err;
    room[done] = '\0';
    return n < 0 ? -1 : (ssize_t) done;
}

int file_make_folders(const char *path, mode_t mode)
{
    char room[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof room) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(room, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (room[i] != '/' && room[i] != '\0') continue;
        char kept = room[i];
        room[i] = '\0';
        if (mkdir(room, mode) != 0 && errno != EEXIST) return -1;
        room[i] = kept;
    }
    return 0;
}

static int say(const char **call_out, const char *call)
{
    *call_out = call;
    return -1;
}

int file_own_folder(const char *path, uid_t uid, const char **call_out)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return say(call_out, "mkdir()");
    if (uid == (uid_t) -1) return 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return say(call_out, "open()");
    const char *failed = NULL;
    if (fstat(fd, &st) != 0) failed = "fstat()";
    else if (st.st_uid != uid && fchown(fd, uid, (gid_t) -1) != 0) failed = "chown()";
    else if ((st.st_mode & 0700) != 0700 && fchmod(fd, (st.st_mode & 07777) | 0700) != 0) failed = "chmod()";
    int err = errno;
    close(fd);
    errno = err;
    return failed ? say(call_out, failed) : 0;
}
