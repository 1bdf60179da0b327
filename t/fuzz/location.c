/*
 * A request's target and a server's locations: the first line is the target, each line after it a location, its kind by the first
 * byte ("=", "^", "/": redirects to itself; else a plain prefix), the rest its name. Found is what a plain reading of the rules finds.
 */
#include "t/fuzz/fuzz.h"
#include "http/location.h"
#include "wire/uri.h"

enum { MOST = 64 };
struct all { struct location *v[MOST]; size_t n; };

static struct location *named(const struct all *all, struct text name, bool exact)
{
    for (size_t i = 0; i < all->n; i++)
        if (text_eq(all->v[i]->name, name) && (all->v[i]->kind == LOCATION_EXACT) == exact) return all->v[i];
    return NULL;
}

static void add(struct conf *cf, struct locations *set, struct all *all, struct text line)
{
    if (!line.n || all->n == MOST) return;
    enum location_kind kind = line.p[0] == '=' ? LOCATION_EXACT : line.p[0] == '^' ? LOCATION_PREFIX_FINAL : LOCATION_PREFIX;
    struct text name = text_from(line, 1);
    if (named(all, name, kind == LOCATION_EXACT)) return;
    struct location *l = all->v[all->n++] = location_open(cf, kind, name, NULL);
    l->block = pool_new(cf->pool, struct conf_block);
    l->auto_redirect = line.p[0] == '/' && kind == LOCATION_PREFIX && text_ends(name, T("/"));
    locations_add(set, l);
}

/* The name itself; "/name" where "/name/" redirects; the longest beginning. */
static struct location *plain(const struct all *all, struct text uri, bool *redirect)
{
    struct location *best = named(all, uri, true);
    *redirect = false;
    if (best || (best = named(all, uri, false))) return best;
    for (size_t i = 0; i < all->n; i++) {
        struct location *l = all->v[i], *itself = named(all, l->name, true);
        *redirect = l->auto_redirect && l->name.n == uri.n + 1 && text_starts(l->name, uri);
        if (*redirect) return itself ? itself : l;
    }
    for (size_t i = 0; i < all->n; i++) {
        struct location *l = all->v[i];
        if (l->kind != LOCATION_EXACT && text_starts(uri, l->name) && (!best || l->name.n > best->name.n)) best = l;
    }
    return best;
}

static void check(const struct locations *set, const struct all *all, struct text uri)
{
    bool redirect, should;
    struct location *l = locations_find(set, uri, NULL, &redirect), *want = plain(all, uri, &should);
    HOLD(l == want && redirect == should);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_open(0);
    struct conf cf = { .pool = pool, .scratch = pool };
    char *exact = fuzz_exact((const char *) data, size);
    struct text rest = text_of(exact, size), target = T("");
    struct all all = { .n = 0 };
    struct locations *set = locations_open(&cf);
    struct uri uri;
    for (bool first = true; rest.n; first = false) {
        ssize_t end = text_find_char(rest, '\n');
        struct text line = end < 0 ? rest : text_upto(rest, (size_t) end);
        rest = text_from(rest, min_of(line.n + 1, rest.n));
        if (first) target = line;
        else add(&cf, set, &all, line);
    }
    HOLD(locations_build(&cf, set));
    for (int merge = 0; merge < 2; merge++)
        if (uri_parse(target, merge, pool, &uri) == FAULT_NONE) check(set, &all, uri.path);
    for (size_t i = 0; i < all.n; i++) {        /* and those that are nearly a location's name */
        struct text name = all.v[i]->name;
        check(set, &all, name);
        if (name.n) check(set, &all, text_upto(name, name.n - 1));
    }
    free(exact);
    pool_close(&pool);
    return 0;
}
