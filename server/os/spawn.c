#include "os/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- signals ---- */

int signals_fd = -1;
static struct { volatile sig_atomic_t noted; volatile pid_t sender; } seen[NSIG];

static void note(int number, siginfo_t *info, void *context)
{
    (void) context;
    int err = errno;
    uint64_t one = 1;
    seen[number].sender = info ? info->si_pid : 0;
    seen[number].noted = 1;
    (void) !write(signals_fd, &one, sizeof one);
    errno = err;
}

static void unblock(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

bool signals_open(const int *numbers, size_t count)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), old = signals_fd;
    if (fd < 0) {
        log_at(log_main, L_EMERG, NULL, errno, "eventfd() failed");
        return false;
    }
    signals_fd = fd;
    if (old >= 0) close(old);
    struct sigaction act = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigfillset(&act.sa_mask);
    for (size_t i = 0; i < count; i++) {
        seen[numbers[i]].noted = 0;
        sigaction(numbers[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    unblock();
    return true;
}

pid_t signals_fork(void)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid != 0) sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

void signals_default(void)
{
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    unblock();
}

bool signals_take(int number, pid_t *sender_out)
{
    if (!seen[number].noted) return false;
    seen[number].noted = 0;
    if (sender_out) *sender_out = seen[number].sender;
    return true;
}

void signals_drain(void)
{
    uint64_t count;
    (void) !read(signals_fd, &count, sizeof count);
}

/* ---- titles ---- */

extern char **environ;
static char *title_room;
static size_t title_size;
__attribute__((used)) static char **first_environ;         /* what getenv's callers may still point to when environ is another one */

/* The list and its strings in one piece, since environ loses entries without freeing them. */
static char **copy_strings(char **from, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += strlen(from[i]) + 1;
    char **to = base_zalloc(1, (n + 1) * sizeof *to + bytes), *room = (char *) (to + n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(from[i]) + 1;
        to[i] = memcpy(room, from[i], size);
        room += size;
    }
    return to;
}

char **title_open(int argc, char **argv)
{
    char *end = NULL;
    for (int i = 0; i < argc; i++) if (end == NULL || argv[i] == end) end = argv[i] + strlen(argv[i]) + 1;
    size_t n = 0;
    for (; environ[n]; n++) if (environ[n] == end) end = environ[n] + strlen(environ[n]) + 1;
    environ = first_environ = copy_strings(environ, n);
    title_room = argv[0];
    title_size = end ? (size_t) (end - argv[0]) : 0;
    return copy_strings(argv, (size_t) argc);
}

void title_set(const char *title)
{
    if (title_size == 0) return;
    memset(title_room, 0, title_size);
    memcpy(title_room, title, min_of(strlen(title), title_size - 1));
}

/* ---- who we are ---- */

static bool refuse(int err, const char *call)
{
    log_at(log_main, L_EMERG, NULL, err, "%s failed", call);
    return false;
}

/* What is left of root's rights in a worker: CAP_NET_RAW, for sockets with foreign addresses. */
static bool keep_net_raw(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_1 };
    struct __user_cap_data_struct data = { .effective = 1u << CAP_NET_RAW, .permitted = 1u << CAP_NET_RAW };
    return syscall(SYS_capset, &head, &data) == 0;
}

bool spawn_become(const struct identity *who, bool keep_transparent)
{
    if (who->change && geteuid() == 0) {
        bool keep = keep_transparent && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0;
        if (initgroups(who->user, who->gid) != 0) {
            log_at(log_main, L_EMERG, NULL, errno, "initgroups(%s, %d) failed", who->user, (int) who->gid);
            return false;
        }
        if (setgid(who->gid) != 0) {
            log_at(log_main, L_EMERG, NULL, errno, "setgid(%d) failed", (int) who->gid);
            return false;
        }
        if (setuid(who->uid) != 0) {
            log_at(log_main, L_EMERG, NULL, errno, "setuid(%d) failed", (int) who->uid);
            return false;
        }
        if (keep && !keep_net_raw()) return refuse(errno, "capset()");
    }
    spawn_no_new_privileges();
    return true;
}

void spawn_no_new_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) log_at(log_main, L_WARN, NULL, errno, "prctl(PR_SET_NO_NEW_PRIVS) failed");
}

void spawn_limit(int resource, const char *name, int64_t value)
{
    if (value < 0) return;
    struct rlimit limit = { (rlim_t) value, (rlim_t) value };
    if (setrlimit((__rlimit_resource_t) resource, &limit) != 0) log_at(log_main, L_ERR, NULL, errno, "setrlimit(%s, %lld) failed", name, (long long) value);
}

void spawn_priority(int priority)
{
    if (priority && setpriority(PRIO_PROCESS, 0, priority) != 0) log_at(log_main, L_ERR, NULL, errno, "setpriority(%d) failed", priority);
}

void spawn_affinity(const uint64_t *bits, size_t words)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < words * 64 && i < CPU_SETSIZE; i++)
        if (bits[i / 64] >> i % 64 & 1) CPU_SET(i, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) log_at(log_main, L_ERR, NULL, errno, "sched_setaffinity() failed");
}

void spawn_dumpable(void)
{
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) log_at(log_main, L_ERR, NULL, errno, "prctl(PR_SET_DUMPABLE) failed");
}

static int ready_pipe = -1;

/* The parent: leaves when the child says so, or with the child's exit code when that ends first. */
__attribute__((noreturn)) static void wait_until_ready(int fd, pid_t child)
{
    char c;
    int status = 0;
    ssize_t n;
    do n = read(fd, &c, 1); while (n < 0 && errno == EINTR);
    if (n == 1) _exit(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) { }
    _exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

bool daemon_start(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return refuse(errno, "pipe2()");
    pid_t pid = fork();
    if (pid < 0) return refuse(errno, "fork()");
    if (pid > 0) {
        close(fds[1]);
        wait_until_ready(fds[0], pid);
    }
    close(fds[0]);
    ready_pipe = fds[1];
    if (setsid() < 0) return refuse(errno, "setsid()");
    umask(0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return refuse(errno, "open(\"/dev/null\")");
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (null > STDERR_FILENO) close(null);
    return true;
}

void daemon_ready(void)
{
    if (ready_pipe < 0) return;
    (void) !write(ready_pipe, "1", 1);
    close(ready_pipe);
    ready_pipe = -1;
}

void spawn_status(struct build *b, int status)
{
    if (WIFSIGNALED(status)) build_fmt(b, "exited on signal %d%s", WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    else build_fmt(b, "exited with code %d", WEXITSTATUS(status));
}

/* The name, in brackets, may hold anything: the third word counts from the last bracket, the 22nd is the time. */
uint64_t spawn_began(pid_t pid)
{
    char path[32], room[1024];
    unsigned long long began;
    char state;
    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, room, sizeof room - 1);
    if (fd >= 0) close(fd);
    room[max_of(n, (ssize_t) 0)] = '\0';
    const char *after = strrchr(room, ')');
    if (!after || sscanf(after, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &began) != 2)
        return kill(pid, 0) != 0 && errno == ESRCH ? 0 : UINT64_MAX;
    return state == 'Z' || state == 'X' ? 0 : began;
}
