#include "process/child.h"
#include "os/socket.h"
#include "os/spawn.h"
#include "process/keys.h"
#include "tls/vault.h"
#include <errno.h>
#include <unistd.h>

struct child *child_list;
int child_channel = -1, child_line = -1;

const char *child_name(enum child_kind kind)
{
    static const char *const names[] = { "worker process", "manager process", "new binary process", "key process" };
    return names[kind];
}

static struct child *add(enum child_kind kind, unsigned slot, const struct cycle *c)
{
    struct child *n = base_zalloc(1, sizeof *n), **end = &child_list;
    *n = (struct child) { .kind = kind, .slot = slot, .generation = c->number, .started_ms = clock_now.ms, .channel = -1, .line = -1 };
    while (*end) end = &(*end)->next;
    return *end = n;
}

void child_forget(void)
{
    while (child_list) child_end(child_list);
}

/* Who asks for keys has a line; [0] is the key process's end. False: errno. */
static bool open_line(enum child_kind kind, const struct cycle *c, int line[2])
{
    line[0] = line[1] = -1;
    bool asks = keys_are_apart(c) && (kind == CHILD_WORKER || kind == CHILD_MANAGER);
    return !asks || socket_pair(line) == 0;
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++) if (pair[i] >= 0) close(pair[i]);
}

__attribute__((noreturn)) static void be_child(enum child_kind kind, unsigned slot, struct cycle *c, int channel[2], int line[2], void (*run)(struct cycle *c, unsigned slot))
{
    close(channel[0]);
    child_channel = channel[1];
    if (line[0] >= 0) close(line[0]);
    child_line = line[1];
    if (kind != CHILD_KEYS) {
        vault_leave(false);
        child_forget();
    }
    run(c, slot);
    _exit(1);
}

/* The key process is told of lines that come after it. */
static void tell_line(const struct child *n)
{
    for (const struct child *k = child_list; n->line >= 0 && k; k = k->next)
        if (k->kind == CHILD_KEYS && k->generation == n->generation && !k->leaving) child_tell(k->channel, WORD_LINE, T(""), n->line);
}

static pid_t fork_child(enum child_kind kind)
{
    if (kind == CHILD_KEYS) vault_share(true);
    pid_t pid = signals_fork();
    if (kind == CHILD_KEYS && pid != 0) vault_share(false);
    return pid;
}

struct child *child_start(enum child_kind kind, unsigned slot, struct cycle *c, void (*run)(struct cycle *c, unsigned slot))
{
    int pair[2] = { -1, -1 }, line[2];
    if (!open_line(kind, c, line) || socket_pair(pair) != 0) {
        log_at(log_main, L_CRIT, NULL, errno, "socketpair() failed while spawning \"%s\"", child_name(kind));
        close_pair(line);
        return NULL;
    }
    pid_t pid = fork_child(kind);
    if (pid == 0) be_child(kind, slot, c, pair, line, run);
    if (pid < 0) {
        log_at(log_main, L_CRIT, NULL, errno, "fork() failed while spawning \"%s\"", child_name(kind));
        close_pair(pair);
        close_pair(line);
        return NULL;
    }
    close(pair[1]);
    if (line[1] >= 0) close(line[1]);
    struct child *n = add(kind, slot, c);
    n->pid = pid;
    n->channel = pair[0];
    n->line = line[0];
    tell_line(n);
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
    if (c->line >= 0) close(c->line);
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
