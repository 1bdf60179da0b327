#include "process/notify.h"
#include "base/build.h"
#include "base/log.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_un where;
static socklen_t where_n;

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof where.sun_path || (path[0] != '/' && path[0] != '@')) return;
    where.sun_family = AF_UNIX;
    memcpy(where.sun_path, path, n);
    if (path[0] == '@') where.sun_path[0] = '\0';       /* an abstract name */
    where_n = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n);
}

static void say(struct text t)
{
    if (where_n == 0) return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, t.p, t.n, MSG_NOSIGNAL, (struct sockaddr *) &where, where_n) < 0)
        log_at(log_main, L_WARN, NULL, errno, "NOTIFY_SOCKET cannot be told \"%.*s\"", TEXT_ARG(t));
    if (fd >= 0) close(fd);
}

void notify_ready(void) { say(T("READY=1")); }
void notify_stopping(void) { say(T("STOPPING=1")); }

void notify_reloading(void)
{
    char room[64];
    struct build b = build_in_room(room, sizeof room);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    build_lit(&b, "RELOADING=1\nMONOTONIC_USEC=");
    build_u64(&b, (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000);
    say(build_done(&b));
}

void notify_main_pid(pid_t pid)
{
    char room[32];
    struct build b = build_in_room(room, sizeof room);
    build_lit(&b, "MAINPID=");
    build_u64(&b, (uint64_t) pid);
    say(build_done(&b));
}
