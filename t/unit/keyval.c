/* keyval: a process killed at any moment while it changes a table loses none of the zone's memory. */
#include "modules/keyval.c"
#include "os/shm_zone.h"
#include "t/unit/tap.h"
#include <signal.h>
#include <sys/wait.h>

static struct keyval_zone zone;
static struct root root;

static struct text key_of(char room[16], unsigned n) { return text_of(room, (size_t) snprintf(room, 16, "key%u", n)); }

static void put_one(unsigned n, size_t size)
{
    static const char value[4000];
    char room[16];
    enter(&zone);
    put(&zone, key_of(room, n), text_of(value, size), 0);
    shm_table_leave(zone.table);
}

static void drop_all(void)
{
    struct entry *e;
    enter(&zone);
    for (uint32_t at = 0; (e = shm_table_next(zone.table, &at)) != NULL;) drop(&zone, e);
    shm_table_leave(zone.table);
}

static void change(unsigned seed)
{
    for (;;) {
        unsigned n = (seed = seed * 1103515245 + 12345) >> 16 & 255;
        char room[16];
        struct siphash d;
        unsigned length;
        put_one(n, seed % 300 ? seed % 500 : 3000);
        if (seed & 1024) continue;
        enter(&zone);
        struct entry *e = own_digest(&zone, key_of(room, n), &d, &length) ? shm_table_find(zone.table, d) : NULL;
        if (e) drop(&zone, e);
        shm_table_leave(zone.table);
    }
}

static size_t pieces(void)
{
    size_t n = 0;
    for (uint32_t i = 0; i < shm_table_zone(zone.table)->frontier;) {
        const struct page *p = &shm_table_zone(zone.table)->table[i];
        n += p->kind == PAGE_SLOTS ? p->used : p->kind == PAGE_RUN;
        i += p->kind == PAGE_SLOTS ? 1 : p->count;
    }
    return n;
}

/* The moments, one by one: a child that dies in the lock after it did part of a change. */
static void die(unsigned moment)
{
    pid_t pid = fork();
    if (pid == 0) {
        char room[16];
        struct siphash d;
        unsigned length;
        shm_table_enter(zone.table);
        if (!own_digest(&zone, key_of(room, 7), &d, &length)) _exit(1);
        struct fact *f = shm_alloc(shm_table_zone(zone.table), 100);
        struct entry *e = shm_table_find(zone.table, d);
        if (moment == 1) shm_table_add(zone.table, shm_table_key(zone.table, T("another")));
        if (moment == 2) atomic_exchange(&e->fact, f);
        if (moment == 3) shm_table_drop(zone.table, e);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    shm_release_dead(pid);
}

static void test_moments(void)
{
    static const char *const names[] = { "a fact that has no entry yet", "an entry that has no fact yet", "a fact that its entry has no more", "a fact whose entry is gone" };
    for (unsigned moment = 0; moment < countof(names); moment++) {
        drop_all();
        size_t before = pieces();
        put_one(7, 50);
        put_one(8, 50);
        die(moment);
        enter(&zone);
        uint32_t left = moment == 3 ? 1 : 2;
        is_int(shm_table_count(zone.table), left, "%s: entries", names[moment]);
        is_int(pieces(), before + left, "%s: pieces", names[moment]);
        shm_table_leave(zone.table);
        drop_all();
        is_int(pieces(), before, "%s: all back", names[moment]);
    }
}

static void test_killed(void)
{
    drop_all();
    size_t before = pieces();
    unsigned wrong = 0;
    for (unsigned round = 0; round < 150; round++) {
        pid_t pid = fork();
        if (pid == 0) change(round);
        usleep(500 + round % 13 * 70);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        shm_release_dead(pid);
        enter(&zone);
        wrong += pieces() != before + shm_table_count(zone.table);
        shm_table_leave(zone.table);
    }
    is_int(wrong, 0, "after each of 150 deaths there is a piece an entry, and no other");
    drop_all();
    is_int(pieces(), before, "and all come back");
}

int main(void)
{
    static struct log silent;
    log_main = &silent;
    shm_begin();
    zone = (struct keyval_zone) { .name = T("test"), .root = &root };
    zone.table = shm_table_open(T("keyval test"), 65536, sizeof(struct entry), 1, NULL);
    test_moments();
    test_killed();
    return done();
}
