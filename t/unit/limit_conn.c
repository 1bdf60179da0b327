/* limit_conn: places of processes that are no more are given back, also where another process has their id now. */
#include "modules/limit_conn.c"
#include "t/unit/tap.h"
#include <signal.h>
#include <sys/wait.h>

static struct siphash digest(const struct shm_table *t, const char *key) { return shm_table_key(t, text_c(key)); }

static unsigned count_of(struct shm_table *t, const char *key)
{
    const struct part *sum = shm_table_find(t, digest(t, key));
    return sum ? sum->count : 0;
}

static void take_some(struct shm_table *t, const char *key, unsigned n)
{
    while (n--) ok(count_one(t, digest(t, key), 100) == COUNTED, "a place of %s", key);
}

static void test_began(void)
{
    uint64_t own = spawn_began(getpid());
    ok(own != 0 && own != UINT64_MAX && own == spawn_began(getpid()), "when we began");
    pid_t pid = fork();
    if (pid == 0) for (;;) pause();
    uint64_t its = spawn_began(pid);
    ok(its >= own && its != UINT64_MAX, "when a child began");
    kill(pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT);
    ok(spawn_began(pid) == 0, "dead but not reaped is no more");
    waitpid(pid, NULL, 0);
    ok(spawn_began(pid) == 0, "reaped is no more");
}

/* The parts of a process whose id we have now. */
static void test_reused(struct shm_table *t)
{
    know_self();
    own_began--;
    take_some(t, "reused", 2);
    know_self();
    take_some(t, "reused", 1);
    is_int(count_of(t, "reused"), 3, "three places are taken");
    settle(t);
    is_int(count_of(t, "reused"), 1, "those of the one before us with our id are free");
    drop_one(t, digest(t, "reused"));
    is_int(shm_table_count(t), 0, "and nothing stays");
}

static void test_killed(struct shm_table *t)
{
    int ready[2];
    char c;
    ok(pipe(ready) == 0, "a pipe");
    pid_t pids[2];
    for (unsigned i = 0; i < countof(pids); i++) {
        if ((pids[i] = fork()) != 0) {
            ok(read(ready[0], &c, 1) == 1, "a child has its places");
            continue;
        }
        know_self();
        for (unsigned k = 0; k < 2 + i; k++) take(&(struct limit_zone) { .table = t }, digest(t, "killed"), 100);
        if (write(ready[1], "x", 1) == 1) for (;;) pause();
        _exit(1);
    }
    settle(t);
    is_int(count_of(t, "killed"), 5, "the living keep theirs");
    kill(pids[0], SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t) pids[0], &info, WEXITED | WNOWAIT);
    settle(t);
    is_int(count_of(t, "killed"), 3, "one that died gives its back before it is reaped");
    waitpid(pids[0], NULL, 0);
    kill(pids[1], SIGKILL);
    waitpid(pids[1], NULL, 0);
    settle(t);
    is_int(shm_table_count(t), 0, "and one that is gone");
}

/* Killed at any moment, over and over: what one has in hand comes back. */
static void test_any_moment(struct shm_table *t)
{
    unsigned wrong = 0;
    struct limit_zone z = { .table = t };
    for (unsigned round = 0; round < 100; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            know_self();
            for (unsigned i = round;; i++) {
                struct siphash key = digest(t, i % 3 ? "a" : "b");
                if (take(&z, key, 100) == COUNTED && i % 4) give_back(&z, key);
            }
        }
        usleep(300 + round % 7 * 90);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        shm_release_dead(pid);
        shm_table_enter(t);
        settle(t);
        wrong += shm_table_count(t) != 0;
        shm_table_leave(t);
    }
    is_int(wrong, 0, "after each of 100 deaths all places are free");
}

int main(void)
{
    static struct log silent;
    log_main = &silent;
    shm_begin();
    struct shm_table *t = shm_table_open(T("conn"), 65536, sizeof(struct part), 1, NULL);
    test_began();
    shm_table_enter(t);
    test_reused(t);
    shm_table_leave(t);
    test_killed(t);
    test_any_moment(t);
    return done();
}
