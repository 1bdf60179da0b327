#include "http/open_file_cache.h"
#include "base/clock.h"

struct cached_file {
    struct cached_file *next;            /* in its bucket */
    struct cached_file *newer, *older;
    uint64_t            hash, made_ms, used_ms, uses;
    struct open_links   links;
    struct open_file    found;           /* file: NULL when it is not kept open */
    size_t              n;
    char                path[];
};

enum { FORGOTTEN_A_TIME = 2 };

/* ---- by last use ---- */

static void unlist(struct open_file_cache *c, struct cached_file *f)
{
    *(f->newer ? &f->newer->older : &c->newest) = f->older;
    *(f->older ? &f->older->newer : &c->oldest) = f->newer;
}

static void list_first(struct open_file_cache *c, struct cached_file *f)
{
    f->newer = NULL;
    f->older = c->newest;
    *(f->older ? &f->older->newer : &c->oldest) = f;
    c->newest = f;
    f->used_ms = clock_now.ms;
}

/* ---- by path ---- */

static uint64_t hash_of(struct text path, struct open_links links)
{
    return text_hash(path) ^ (links.trusted * 4 + links.how) * 0x9e3779b97f4a7c15u;
}

static struct cached_file **place(const struct open_file_cache *c, struct text path, struct open_links links, uint64_t hash)
{
    struct cached_file **at = &c->buckets[hash & c->mask];
    for (; *at; at = &(*at)->next) {
        const struct cached_file *f = *at;
        if (f->hash == hash && f->links.how == links.how && f->links.trusted == links.trusted && text_eq(text_of(f->path, f->n), path)) break;
    }
    return at;
}

static struct cached_file *find(const struct open_file_cache *c, struct text path, struct open_links links)
{
    return c->buckets ? *place(c, path, links, hash_of(path, links)) : NULL;
}

static void forget(struct open_file_cache *c, struct cached_file *f)
{
    struct cached_file **at = &c->buckets[f->hash & c->mask];
    while (*at != f) at = &(*at)->next;
    *at = f->next;
    unlist(c, f);
    chain_file_drop(&f->found.file);
    free(f);
    c->count--;
}

/* A few of those that nobody used for long: each use pays for the sweeping. */
static void sweep(struct open_file_cache *c)
{
    for (int i = 0; i < FORGOTTEN_A_TIME && c->oldest && clock_now.ms - c->oldest->used_ms > c->inactive_ms; i++) forget(c, c->oldest);
}

static void make_buckets(struct open_file_cache *c)
{
    size_t n = 64;
    while (n < c->max && n < 1u << 20) n *= 2;
    c->buckets = base_zalloc(n, sizeof *c->buckets);
    c->mask = n - 1;
}

/* ---- what the room asks ---- */

bool open_file_cache_get(struct open_file_cache *c, struct text path, struct open_links links, enum open_want want, uint64_t valid_ms, struct open_file *out)
{
    struct cached_file *f = find(c, path, links);
    if (!f || clock_now.ms - f->used_ms > c->inactive_ms) return false;
    f->uses++;
    unlist(c, f);
    list_first(c, f);
    sweep(c);
    if (clock_now.ms - f->made_ms >= valid_ms) return false;
    if (!f->found.err && !f->found.is_folder && !f->found.file) return false;     /* as nginx: even when it is only tested */
    *out = f->found;
    if (want == OPEN_TEST) out->file = NULL;
    if (out->file) chain_file_hold(out->file);
    return true;
}

void open_file_cache_put(struct open_file_cache *c, struct text path, struct open_links links, const struct open_file *found, uint64_t min_uses)
{
    if (!c->buckets) make_buckets(c);
    struct cached_file *f = find(c, path, links);
    if (f && clock_now.ms - f->used_ms > c->inactive_ms) {
        forget(c, f);
        f = NULL;
    }
    if (!f) {
        sweep(c);
        if (c->count >= c->max) forget(c, c->oldest);
        f = base_zalloc(1, sizeof *f + path.n);
        memcpy(f->path, path.p, f->n = path.n);
        f->hash = hash_of(path, links);
        f->links = links;
        f->uses = 1;
        struct cached_file **at = &c->buckets[f->hash & c->mask];
        f->next = *at;
        *at = f;
        list_first(c, f);
        c->count++;
    }
    chain_file_drop(&f->found.file);
    f->found = *found;
    f->made_ms = clock_now.ms;
    if (f->uses < min_uses) f->found.file = NULL;
    if (f->found.file) chain_file_hold(f->found.file);
}

void open_file_cache_forget(struct open_file_cache *c, struct text path, struct open_links links)
{
    struct cached_file *f = find(c, path, links);
    if (f) forget(c, f);
}

void open_file_cache_end(void *cache)
{
    struct open_file_cache *c = cache;
    while (c->oldest) forget(c, c->oldest);
    free(c->buckets);
    c->buckets = NULL;
}
