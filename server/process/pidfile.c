#include "process/pidfile.h"
#include "base/log.h"
#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

static bool open_as(struct text path, int flags, int *fd_out)
{
    *fd_out = open(path.p, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0644);
    if (*fd_out < 0) log_at(log_main, L_EMERG, NULL, errno, "open() \"%s\" failed", path.p);
    return *fd_out >= 0;
}

bool pidfile_write(struct text path)
{
    char room[24];
    struct build b = build_in_room(room, sizeof room);
    int fd;
    if (!open_as(path, O_TRUNC, &fd)) return false;
    build_u64(&b, (uint64_t) getpid());
    build_char(&b, '\n');
    bool written = file_write_all(fd, build_done(&b)) >= 0;
    if (!written) log_at(log_main, L_EMERG, NULL, errno, "write() to \"%s\" failed", path.p);
    close(fd);
    return written;
}

bool pidfile_try(struct text path)
{
    int fd;
    if (!open_as(path, 0, &fd)) return false;
    close(fd);
    return true;
}

static bool remove_path(const char *path)
{
    if (unlink(path) == 0) return true;
    log_at(log_main, L_ERR, NULL, errno, "unlink() \"%s\" failed", path);
    return false;
}

static const char *old_path(struct text path)
{
    static char room[PATH_MAX];
    snprintf(room, sizeof room, "%.*s.oldbin", TEXT_ARG(path));
    return room;
}

void pidfile_remove(struct text path) { remove_path(path.p); }
void pidfile_remove_old(struct text path) { remove_path(old_path(path)); }

static bool move(const char *from, const char *to, const char *when)
{
    if (rename(from, to) == 0) return true;
    log_at(log_main, L_ERR, NULL, errno, "rename() %s to %s failed %s", from, to, when);
    return false;
}

bool pidfile_set_aside(struct text path) { return move(path.p, old_path(path), "before executing new binary process"); }
bool pidfile_put_back(struct text path) { return move(old_path(path), path.p, "after the new binary process ended"); }

pid_t pidfile_read(struct text path)
{
    char room[64];
    uint64_t pid;
    if (file_read(path.p, room, sizeof room) < 0) {
        log_at(log_main, L_ERR, NULL, errno, "open() \"%s\" failed", path.p);
        return 0;
    }
    struct text t = text_c(room);
    while (t.n && (t.p[t.n - 1] == '\n' || t.p[t.n - 1] == '\r')) t.n--;
    if (text_u64(t, &pid) && pid > 0 && pid <= INT_MAX) return (pid_t) pid;
    log_at(log_main, L_ERR, NULL, 0, "invalid PID number \"%.*s\" in \"%s\"", TEXT_ARG(t), path.p);
    return 0;
}
