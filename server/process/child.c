#include "process/child.h"
#include "os/socket.h"
#include "os/spawn.h"
#include <errno.h>
#include <unistd.h>

struct child *child_list;
int child_channel = -1;

const char *child_name(enum child_kind kind)
{
    static const char *const names[] = { "worker process", "manager process", "new binary process" };
    return names[kind];
}

static struct child *add(enum child_kind kind, unsigned slot, const struct cycle *c)
{
    struct child *n = base_zalloc(1, sizeof *n), **end = &child_list;
    *n = (struct child) { .kind = kind, .slot = slot, .generation = c->number, .started_ms = clock_now.ms, .channel = -1 };
    while (*end) end = &(*end)->next;
    return *end = n;
}

/* In a new child: what was the master's is let go. */
static void forget_others(void)
{
    while (child_list) child_end(child_list);
}

struct child *child_start(enum child_kind kind, unsigned slot, struct cycle *c, void (*run)(struct cycle *c, unsigned slot))
{
    int pair[2];
    if (socket_pair(pair) != 0) {
        log_at(log_main, L_CRIT, NULL, errno, "socketpair() failed while spawning \"%s\"", child_name(kind));
        return NULL;
    }
    pid_t pid = signals_fork();
    if (pid == 0) {
        close(pair[0]);
        child_channel = pair[1];
        forget_others();
        run(c, slot);
        _exit(1);
    }
    close(pair[1]);
    if (pid < 0) {
        log_at(log_main, L_CRIT, NULL, errno, "fork() failed while spawning \"%s\"", child_name(kind));
        close(pair[0]);
        return NULL;
    }
    struct child *n = add(kind, slot, c);
    n->pid = pid;
    n->channel = pair[0];
    log_at(log_main, L_NOTICE, NULL, 0, "start %s %d", child_name(kind), (int) pid);
    return n;
}

void child_signal(const struct child *c, int number)
{
    if (kill(c->pid, number) != 0 && errno != ESRCH) log_at(log_main, L_ERR, NULL, errno, "kill(%d, %d) failed", (int) c->pid, number);
}

void child_end(struct child *c)
{
    struct child **at = &child_list;
    while (*at != c) at = &(*at)->next;
    *at = c->next;
    if (c->channel >= 0) close(c->channel);
    free(c);
}

struct child *child_find(pid_t pid)
{
    struct child *c = child_list;
    while (c && c->pid != pid) c = c->next;
    return c;
}

void child_tell(int channel, enum child_word word, struct text text, int pass)
{
    char room[4200];
    struct build b = build_in_room(room, sizeof room);
    build_char(&b, (char) word);
    build_text(&b, text);
    if (channel >= 0 && build_ok(&b) && socket_send_message(channel, build_done(&b), pass) < 0 && errno != EPIPE && errno != ECONNRESET)
        log_at(log_main, L_WARN, NULL, errno, "sendmsg() on a channel failed");
}

int child_hear(int channel, char *room, size_t size, struct text *text_out, int *passed_out)
{
    ssize_t n;
    do n = socket_recv_message(channel, room, size, passed_out); while (n < 0 && errno == EINTR);
    if (n == 0) return -1;
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    *text_out = text_of(room + 1, (size_t) n - 1);
    return (unsigned char) room[0];
}
