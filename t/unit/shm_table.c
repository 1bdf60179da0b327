/* shm_table: finding, order of use, the end of room, and a holder killed at any moment. */
#include "os/shm_table.h"
#include "t/unit/tap.h"
#include <signal.h>
#include <sys/wait.h>

struct value { uint64_t number, copy; };

static struct siphash key(const struct shm_table *t, uint64_t n) { return shm_table_key(t, text_of((char *) &n, sizeof n)); }

static struct value *put(struct shm_table *t, uint64_t n)
{
    struct value *v = shm_table_add(t, key(t, n));
    if (v) v->number = n, v->copy = ~n;
    return v;
}

static void test_words(void)
{
    bool reused;
    struct shm_table *t = shm_table_open(T("words"), 16384, sizeof(struct value), 1, &reused);
    ok(t && !reused, "opened");
    ok(shm_table_enter(t), "whole");
    ok(!shm_table_find(t, key(t, 1)) && !shm_table_oldest(t), "empty");
    struct value *one = put(t, 1), *two = put(t, 2), *three = put(t, 3);
    ok(one && two && three && one != two, "three are in");
    ok(shm_table_find(t, key(t, 2)) == two, "found");
    ok(shm_table_oldest(t) == one, "the oldest");
    shm_table_find(t, key(t, 1));
    ok(shm_table_oldest(t) == three, "what is found is new again");
    shm_table_drop(t, three);
    ok(!shm_table_find(t, key(t, 3)) && shm_table_oldest(t) == two, "dropped");
    is_int(shm_table_count(t), 2, "two are left");
    ok(put(t, 4) == three, "its place is taken again");
    uint32_t at = 0;
    unsigned n = 0;
    while (shm_table_next(t, &at)) n++;
    is_int(n, 3, "all are gone over");
    shm_table_leave(t);
    ok(shm_table_open(T("words"), 16384, sizeof(struct value), 1, &reused) == t && reused, "opened again, the same");
    ok(shm_table_open(T("words"), 16384, sizeof(struct value), 2, &reused) != t && !reused, "another signature, another table");
}

static void test_full(void)
{
    struct shm_table *t = shm_table_open(T("full"), 32768, sizeof(struct value), 1, NULL);
    uint64_t n = 0;
    shm_table_enter(t);
    while (put(t, n)) n++;
    is_int(n, shm_table_room(t), "full at its room");
    ok(n > 400, "room for %u", (unsigned) n);
    bool right = true;
    for (uint64_t i = 0; i < 10000; i++) {
        struct value *old = shm_table_oldest(t);
        right = right && old->number == i && old->copy == ~i;
        shm_table_drop(t, old);
        right = right && put(t, n + i);
    }
    ok(right, "the oldest goes, ten thousand times");
    shm_table_leave(t);
}

/* Changes the table without end. */
static void work(struct shm_table *t, unsigned seed)
{
    for (;;) {
        shm_table_enter(t);
        uint64_t n = (seed = seed * 1103515245 + 12345) >> 16 & 1023;
        struct value *v = shm_table_find(t, key(t, n));
        if (v && seed & 4096) shm_table_drop(t, v);
        else if (!v && !put(t, n)) {
            shm_table_drop(t, shm_table_oldest(t));
            put(t, n);
        }
        shm_table_leave(t);
    }
}

static bool is_sane(struct shm_table *t, unsigned *mended)
{
    uint32_t at = 0;
    unsigned n = 0;
    bool sane = true;
    *mended += !shm_table_enter(t);
    for (struct value *v; (v = shm_table_next(t, &at)) != NULL; n++) {
        if (v->copy != ~v->number) continue;       /* it died before it wrote the value */
        sane = sane && shm_table_find(t, key(t, v->number)) == v;
    }
    sane = sane && n == shm_table_count(t);
    shm_table_leave(t);
    return sane;
}

static void test_killed(void)
{
    struct shm_table *t = shm_table_open(T("killed"), 32768, sizeof(struct value), 1, NULL);
    unsigned mended = 0, insane = 0;
    for (unsigned round = 0; round < 150; round++) {
        pid_t pid = fork();
        if (pid == 0) work(t, round);
        usleep(500 + round % 13 * 70);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        shm_release_dead(pid);
        insane += !is_sane(t, &mended);
    }
    is_int(insane, 0, "sane after each of 150 deaths");
    ok(mended > 0, "%u of them held the lock", mended);
    unsigned n = 0;
    shm_table_enter(t);
    for (void *v; (v = shm_table_oldest(t)) != NULL; n++) shm_table_drop(t, v);
    is_int(shm_table_count(t), 0, "emptied");
    for (n = 0; put(t, n);) n++;
    is_int(n, shm_table_room(t), "nothing was lost");
    shm_table_leave(t);
}

int main(void)
{
    static struct log silent;
    log_main = &silent;
    shm_begin();
    test_words();
    test_full();
    test_killed();
    return done();
}
