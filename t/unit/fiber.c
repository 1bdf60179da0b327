/* fiber: work that waits on a stack of its own. */
#include "os/fiber.h"
#include "t/unit/tap.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[256];
static size_t said_n;
static void hush(void) { said[said_n = 0] = 0; }
static void say(const char *word)
{
    for (; *word && said_n < sizeof said - 1; word++) said[said_n++] = *word;
    said[said_n] = 0;
}

/* Uses some of its stack, so that one that were shared would be seen. */
static void count(void *arg)
{
    volatile char room[20000];
    memset((char *) (uintptr_t) room, *(char *) arg, sizeof room);
    for (int i = 0; i < 3; i++) {
        char word[] = { *(char *) arg, (char) ('0' + i), ' ', 0 };
        say(word);
        fiber_wait();
    }
    for (size_t i = 0; i < sizeof room; i++) if (room[i] != *(char *) arg) say("spoilt ");
}

static void test_two(void)
{
    hush();
    struct fiber *a = fiber_open(count, "a"), *b = fiber_open(count, "b");
    ok(a && b && a != b, "two");
    ok(!fiber_is_inside(), "none runs yet");
    for (int i = 0; i < 3; i++) ok(fiber_run(&a) && fiber_run(&b), "both wait");
    ok(!fiber_run(&b) && !b, "one ends");
    ok(!fiber_run(&a) && !a, "and the other");
    is_str(said, "a0 b0 a1 b1 a2 b2 ", "in turn, each on its own stack");
    ok(!fiber_is_inside(), "none runs");
}

static void at_once(void *arg) { *(bool *) arg = fiber_is_inside(); }

static void test_many(void)
{
    bool inside = false;
    struct fiber *f[3 * FIBER_IDLE_MOST];
    for (size_t round = 0; round < 3; round++) {
        hush();
        size_t waiting = 0;
        for (size_t i = 0; i < countof(f); i++) f[i] = fiber_open(count, "x");
        for (size_t i = 0; i < countof(f); i++) {
            hush();
            waiting += fiber_run(&f[i]);
        }
        is_int(waiting, countof(f), "many wait at once");
        hush();
        for (size_t i = 0; i < countof(f); i++) while (fiber_run(&f[i])) hush();
        is_str(said, "", "and end");
    }
    f[0] = fiber_open(at_once, &inside);
    ok(!fiber_run(&f[0]) && inside && !f[0], "one that does not wait");
}

static int dig(int depth)
{
    volatile char room[4096];
    room[0] = room[4095] = (char) depth;
    return depth ? dig(depth - 1) + room[0] + room[4095] : 0;
}
static void too_deep(void *arg) { *(int *) arg = dig(1000); }

static void test_guard(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        int n;
        close(2);
        signal(SIGSEGV, SIG_DFL);
        struct fiber *f = fiber_open(too_deep, &n);
        fiber_run(&f);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ok(WIFSIGNALED(status) || WEXITSTATUS(status) != 0, "a stack that is too small ends the process, and spoils nothing");
}

int main(void)
{
    test_two();
    test_many();
    test_guard();
    return done();
}
