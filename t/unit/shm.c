/* shm: zones, slab, named objects, locks that outlive their holder. */
#include "os/shm_zone.h"
#include "t/unit/tap.h"
#include <signal.h>
#include <sys/wait.h>

enum { SIZE = 1 << 20 };

static void test_zone(void)
{
    bool reused;
    shm_begin();
    struct zone *a = shm_open_zone(T("a"), SIZE, 1, &reused), *b = shm_open_zone(T("b"), 1, 1, NULL);
    ok(a && b && !reused, "two zones open");
    is_int(b->size, 8 * SHM_PAGE, "a small one has eight pages");
    shm_commit();
    int *x = shm_zalloc(a, sizeof *x);
    *x = 42;
    shm_begin();
    ok(shm_open_zone(T("a"), SIZE, 1, &reused) == a && reused && *x == 42, "asked for again, it is the same");
    struct zone *other = shm_open_zone(T("a"), SIZE, 2, &reused);
    ok(other && other != a && !reused, "another signature is another zone");
    shm_rollback();
    ok(!shm_is_mapped(other) && shm_is_mapped(a) && shm_is_mapped(b), "rolled back: the new one is gone, the old ones stay");
    shm_begin();
    shm_open_zone(T("b"), 1, 1, NULL);
    shm_commit();
    ok(!shm_is_mapped(a) && shm_is_mapped(b), "committed: what was not asked for is gone");
    shm_begin();
    shm_commit();
    struct zone *huge = shm_open_zone(T("huge"), (size_t) 1 << 36, 1, NULL);
    ok(huge && shm_alloc(huge, (size_t) 1 << 30), "64 GiB, sparse");
    shm_begin();
    shm_commit();
}

static void test_limits(void)
{
    struct zone *z = shm_open_zone(T("limits"), SIZE, 1, NULL);
    ok(shm_alloc(z, SIZE / 4 + 1) == NULL, "more than a quarter is refused");
    void *p = shm_alloc(z, SIZE / 4);
    ok(p, "a quarter is given");
    shm_free(z, p);
    is_int(shm_figures(z).used, 0, "nothing is used");
    unsigned n = 0;
    void *all[SIZE / 4096];
    while (n < countof(all) && (all[n] = shm_alloc(z, 4096))) n++;
    ok(n > 240 && n < 256, "pages until it is full: %u", n);
    ok(shm_alloc(z, 16) == NULL, "full is NULL");
    for (unsigned i = 0; i < n; i += 2) shm_free(z, all[i]);
    ok(shm_alloc(z, 8192) == NULL, "no two pages side by side");
    for (unsigned i = 1; i < n; i += 2) shm_free(z, all[i]);
    is_int(shm_figures(z).used, 0, "given back");
    is_int(z->frontier, 0, "and grown together");
}

struct piece { unsigned char *p; size_t n; unsigned char mark; };

static bool is_marked(const struct piece *x)
{
    for (size_t i = 0; i < x->n; i++) if (x->p[i] != x->mark) return false;
    return true;
}

static void test_stress(struct zone *z)
{
    static struct piece pieces[2000];
    unsigned state = 12345, bad = 0, full = 0;
    for (unsigned round = 0; round < 200000; round++) {
        state = state * 1103515245 + 12345;
        struct piece *x = &pieces[(state >> 8) % countof(pieces)];
        if (x->p) {
            bad += !is_marked(x);
            shm_free(z, x->p);
            x->p = NULL;
            continue;
        }
        x->n = (state >> 20) % 100 ? 1 + (state >> 12) % 600 : 1 + (state >> 4) % 40000;
        x->mark = (unsigned char) round;
        x->p = shm_alloc(z, x->n);
        if (x->p) memset(x->p, x->mark, x->n);
        else full++;
    }
    for (unsigned i = 0; i < countof(pieces); i++) {
        if (pieces[i].p) bad += !is_marked(&pieces[i]);
        shm_free(z, pieces[i].p);
        pieces[i].p = NULL;
    }
    is_int(bad, 0, "no piece was touched by another (%u times full)", full);
    is_int(shm_figures(z).used, 0, "all came back");
}

static void test_objects(void)
{
    bool made;
    struct zone *z = shm_open_zone(T("objects"), SIZE, 1, NULL);
    int *x = shm_object(z, T("one"), 100, &made);
    ok(x && made && *x == 0, "an object is made, zeroed");
    *x = 1;
    ok(shm_object(z, T("one"), 100, &made) == x && !made && *x == 1, "and found");
    x = shm_object(z, T("one"), 200, &made);
    ok(x && made && *x == 0, "another size replaces it");
    char name[16];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "o%d", i);
        *(int *) shm_object(z, text_c(name), sizeof(int), NULL) = i;
    }
    int wrong = 0;
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "o%d", i);
        wrong += *(int *) shm_object(z, text_c(name), sizeof(int), &made) != i || made;
    }
    is_int(wrong, 0, "500 more keep their contents");
    is_int(shm_figures(z).objects, 501, "and are counted");
    shm_object_end(z, T("one"));
    shm_object_end(z, T("none"));
    is_int(shm_figures(z).objects, 500, "one is ended");
}

/* A child that dies with the zone's lock held, after doing what half does. */
static pid_t die_holding(struct zone *z, void (*half)(struct zone *z))
{
    pid_t pid = fork();
    if (pid == 0) {
        shm_lock(&z->lock);
        if (half) half(z);
        kill(getpid(), SIGKILL);
    }
    siginfo_t info;
    waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT);       /* dead, but not reaped */
    return pid;
}

static void break_lists(struct zone *z)
{
    memset(z->bins, 0xff, sizeof z->bins);
    memset(z->partial, 0xff, sizeof z->partial);
}

static void test_death(void)
{
    struct zone *z = shm_open_zone(T("death"), SIZE, 1, NULL);
    void *kept = shm_alloc(z, 100), *run = shm_alloc(z, 10000), *gone = shm_alloc(z, 20000);
    shm_alloc(z, 5000);
    shm_free(z, gone);
    pid_t pid = die_holding(z, NULL);
    ok(z->lock.holder == (uint32_t) pid, "a dead child holds the lock");
    bool whole = true;
    ok(!shm_trylock(&z->lock, &whole), "and keeps it until it is reaped");
    is_int(shm_release_dead(pid), 1, "the master frees it");
    waitpid(pid, NULL, 0);
    ok(shm_trylock(&z->lock, &whole) && !whole, "who comes next is told");
    shm_unlock(&z->lock);
    ok(shm_lock(&z->lock), "and the next after that is not");
    shm_unlock(&z->lock);

    size_t used = shm_figures(z).used;
    pid = die_holding(z, break_lists);
    waitpid(pid, NULL, 0);                                     /* reaped, and nobody told */
    is_int(shm_figures(z).used, used, "lists are made again from the pages");
    ok(shm_alloc(z, 20000) == gone, "with the free run that was there");
    shm_free(z, run);
    shm_free(z, kept);
    test_stress(shm_open_zone(T("stress"), 4 * SIZE, 1, NULL));
}

static void test_contention(void)
{
    struct zone *z = shm_open_zone(T("contention"), SIZE, 1, NULL);
    struct { struct shm_lock lock; unsigned long count; } *x = shm_object(z, T("x"), sizeof *x, NULL);
    pid_t pids[4];
    for (unsigned i = 0; i < countof(pids); i++) {
        if ((pids[i] = fork()) != 0) continue;
        for (unsigned k = 0; k < 50000; k++) {
            shm_lock(&x->lock);
            x->count++;
            shm_unlock(&x->lock);
            if (k % 100 == 0) shm_free(z, shm_alloc(z, 10 + k % 3000));
        }
        _exit(0);
    }
    for (unsigned i = 0; i < countof(pids); i++) {
        waitpid(pids[i], NULL, 0);
        shm_release_dead(pids[i]);
    }
    is_int(x->count, 200000, "four processes count to 200000 under the lock");
}

static void test_export(void)
{
    struct pool *p = pool_open(0);
    struct zone *z = shm_open_zone(T("travel: 1;"), SIZE, 7, NULL);
    *(int *) shm_object(z, T("x"), sizeof(int), NULL) = 5;
    struct text t = shm_export(p);
    char *env = pool_cstr(p, t);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("ZONES", env, 1);
        execl("/proc/self/exe", "shm", "import", NULL);
        _exit(9);
    }
    int status;
    waitpid(pid, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a new binary finds the zone and its object (%d)", status);
    pool_close(&p);
}

static int import(void)
{
    bool reused, made;
    shm_import(text_c(getenv("ZONES")));
    struct zone *z = shm_open_zone(T("travel: 1;"), SIZE, 7, &reused);
    if (!z || !reused) return 1;
    int *x = shm_object(z, T("x"), sizeof *x, &made);
    return made || *x != 5;
}

int main(int argc, char **argv)
{
    (void) argv;
    if (argc > 1) return import();
    test_zone();
    test_limits();
    test_objects();
    test_death();
    test_contention();
    test_export();
    return done();
}
