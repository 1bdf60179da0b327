/* list_test: what the tests of lists in files have in common: a file that is written anew, looks at it, and what the log says. */
#ifndef T_UNIT_LIST_TEST_H
#define T_UNIT_LIST_TEST_H

#include "eval/list_file.h"
#include "t/unit/tap.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char path[64];
static struct conf cf;
static char said[4096];

static void hear(struct log_target *t, enum log_level level, struct text line)
{
    size_t n = strlen(said);
    (void) t, (void) level;
    if (n + line.n < sizeof said) memcpy(said + n, line.p, line.n), said[n + line.n] = '\0';
}

/* Each file is another one: what it was modified at tells. */
static void put(const char *content, size_t n)
{
    static time_t at = 1000000000;
    struct timespec when[2] = { { .tv_sec = ++at }, { .tv_sec = at } };
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT(fd >= 0 && write(fd, content, n) == (ssize_t) n);
    close(fd);
    utimensat(AT_FDCWD, path, when, 0);
}

static void put_text(const char *content) { put(content, strlen(content)); }
static void at_once(struct thread_job *j)
{
    j->work(j);
    j->done(j);
}

/* Two looks: one that sees that the file has changed, one that sees that it stands still. */
static void look(void)
{
    said[0] = '\0';
    list_files_look(at_once);
    list_files_look(at_once);
}

/* The log goes to said; the file is one of this process's own. */
static void begin(const char *name)
{
    static struct log_target target = { .level = L_INFO, .write = hear };
    static struct log log = { NULL, L_INFO };
    log_add_target(&log, &target);
    log_main = &log;
    snprintf(path, sizeof path, "/tmp/weir-%s-%d", name, (int) getpid());
}

#endif
