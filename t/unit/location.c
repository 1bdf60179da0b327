/* location: lookups against a plain reading of nginx's rules, over many sets and uris; names; duplicates. */
#include "http/location.h"
#include "t/unit/tap.h"

static struct pool *pool;
static struct conf cf;

static struct location *add(struct locations *set, enum location_kind kind, const char *name)
{
    struct location *l = location_open(&cf, kind, text_c(name), NULL);
    l->block = pool_new(pool, struct conf_block);
    l->block->file = "x.conf";
    l->block->line = 1;
    locations_add(set, l);
    return l;
}

/* By the rules, one after the other: exact; the longest prefix. */
static struct location *plain(struct location **all, size_t n, struct text uri)
{
    struct location *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (all[i]->kind == LOCATION_EXACT && text_eq(all[i]->name, uri)) return all[i];
        if (all[i]->kind == LOCATION_EXACT || !text_starts(uri, all[i]->name)) continue;
        if (!best || all[i]->name.n > best->name.n) best = all[i];
    }
    return best;
}

static uint32_t seed = 1;
static uint32_t dice(uint32_t sides) { seed = seed * 1664525u + 1013904223u; return (seed >> 8) % sides; }

static const char *any_path(void)
{
    char room[16];
    size_t n = 1 + dice(8);
    room[0] = '/';
    for (size_t i = 1; i < n; i++) room[i] = "ab/-~"[dice(5)];
    return pool_cstr(pool, text_of(room, n));
}

static void try_set(unsigned round)
{
    struct locations *set = locations_open(&cf);
    struct location *all[64];
    size_t n = 0, wrong = 0;
    for (size_t want = 1 + dice(40); n < want;) {
        const char *name = any_path();
        enum location_kind kind = dice(4) ? dice(3) ? LOCATION_PREFIX : LOCATION_PREFIX_FINAL : LOCATION_EXACT;
        bool twice = false;
        for (size_t i = 0; i < n; i++) twice |= text_eq(all[i]->name, text_c(name)) && (all[i]->kind == LOCATION_EXACT) == (kind == LOCATION_EXACT);
        if (!twice) all[n++] = add(set, kind, name);
        else want--;
    }
    if (!locations_build(&cf, set)) wrong++;
    for (unsigned i = 0; i < 200; i++) {
        struct text uri = text_c(any_path());
        bool redirect;
        wrong += locations_find(set, uri, NULL, &redirect) != plain(all, n, uri) || redirect;
    }
    ok(wrong == 0, "set %u of %zu: as the rules say", round, n);
}

static void try_redirects(void)
{
    struct locations *set = locations_open(&cf);
    struct location *root = add(set, LOCATION_PREFIX, "/"), *a = add(set, LOCATION_PREFIX, "/a/"), *b = add(set, LOCATION_PREFIX, "/b/"),
                    *b_itself = add(set, LOCATION_EXACT, "/b"), *c = add(set, LOCATION_PREFIX, "/c/");
    bool redirect;
    a->auto_redirect = b->auto_redirect = true;
    add(set, LOCATION_PREFIX, "/a-long");
    add(set, LOCATION_PREFIX, "/a/deep/");
    ok(locations_build(&cf, set), "builds");
    ok(locations_find(set, T("/a"), NULL, &redirect) == a && redirect, "/a goes to /a/");
    ok(locations_find(set, T("/a/"), NULL, &redirect) == a && !redirect, "/a/ stays");
    ok(locations_find(set, T("/a/x"), NULL, &redirect) == a && !redirect, "/a/x stays");
    ok(locations_find(set, T("/b"), NULL, &redirect) == b_itself && !redirect, "/b is there itself");
    ok(locations_find(set, T("/c"), NULL, &redirect) == root && !redirect, "/c is not redirected");
    ok(locations_find(set, T("/c/"), NULL, &redirect) == c && !redirect, "/c/");
    ok(locations_find(set, T(""), NULL, &redirect) == NULL && !redirect, "nothing for nothing");
}

static void try_names(void)
{
    struct locations *set = locations_open(&cf);
    struct location *one = add(set, LOCATION_NAMED, "@one"), *two = add(set, LOCATION_NAMED, "@two");
    bool redirect;
    ok(locations_build(&cf, set), "named ones build");
    ok(locations_named(set, T("@one")) == one && locations_named(set, T("@two")) == two, "by name");
    ok(locations_named(set, T("@three")) == NULL && locations_named(NULL, T("@one")) == NULL, "not there");
    ok(locations_find(set, T("@one"), NULL, &redirect) == NULL, "no uri finds them");
}

static void try_duplicates(void)
{
    static struct log quiet = { .level = L_STDERR };
    struct log *was = log_main;
    struct locations *set = locations_open(&cf);
    add(set, LOCATION_PREFIX, "/a");
    add(set, LOCATION_EXACT, "/a");
    add(set, LOCATION_PREFIX_FINAL, "/a");
    log_main = &quiet;
    ok(!locations_build(&cf, set) && cf.errors == 1, "two prefixes of one name are an error");
    log_main = was;
}

int main(void)
{
    pool = pool_open(0);
    cf = (struct conf) { .pool = pool, .scratch = pool };
    for (unsigned i = 0; i < 60; i++) try_set(i);
    try_redirects();
    try_names();
    try_duplicates();
    pool_close(&pool);
    return done();
}
