/*
 * domains: a list is a mapping with two areas, of which one is in force. An area: a filter of bits, a hash table whose slots are one
 * word each (where the name stands, its length, what it covers, a tag of its hash), and the names. A name is looked up from its end,
 * once at each dot; the filter, which fits a cache, answers nearly all of the looks that find nothing.
 */
#include "eval/domains.h"
#include "wire/scan.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOMAINS_MAGIC 0x444f4d4eu

/* Address space of an area, which costs nothing until it is used; and the longest name (RFC 1035 2.3.4). */
enum { AREA = 512 << 20, READ_SIZE = 1 << 18, NAME_MOST = 253, LABEL_MOST = 63 };

enum { SELF = 1, BELOW = 2 };           /* what a name covers */

struct area {
    uint64_t filter, filter_shift;      /* places in the area, from its beginning */
    uint64_t slots, mask;
    uint64_t names, end, count;
    char     data[];
};

/* What all processes see. */
struct control {
    _Atomic uint32_t turn;              /* 0: nothing was read yet; else area turn & 1 is in force */
    _Atomic uint32_t builder;           /* process that builds, or 0 */
    int64_t          size, mtime_s, mtime_ns, inode;     /* of the file that was read, or refused, last */
};

struct domains {
    unsigned        magic;
    struct domains *next;
    char           *path;
    unsigned        users;              /* configurations, and whoever reads it just now */
    struct control *control;
    char           *areas;
    struct stat     seen;               /* at the last look */
    bool            moving;             /* it was another one than the look before */
    bool            stale;              /* the area that is not in force holds the table before */
};

struct building {
    struct area *area;
    const char  *path;
    uint64_t     lines, bad, first_bad;
    bool         full;
};

/* Reading one anew. */
struct reading { struct thread_job job; struct domains *d; struct building b; struct stat st; uint32_t turn; const char *why; int err; };

static struct domains *all;

static struct area *area_of(const struct domains *d, uint32_t turn) { return (struct area *) (void *) (d->areas + (size_t) AREA * (turn & 1)); }

/* ---- looking up ---- */

static const uint64_t hash_start = 0xcbf29ce484222325u;
static inline uint64_t hash_step(uint64_t h, char c) { return (h ^ (unsigned char) c) * 0x100000001b3u; }
static inline uint64_t hash_end(uint64_t h) { return (h ^ h >> 31) * 0x9e3779b97f4a7c15u; }

/* A slot: place of the name (32 bits), length (8), cover (2), tag (22). */
static inline uint64_t make_slot(uint64_t at, size_t n, unsigned cover, uint64_t hash) { return at << 32 | n << 24 | (uint64_t) cover << 22 | (hash >> 20 & 0x3fffff); }
static inline uint64_t slot_at(uint64_t s) { return s >> 32; }
static inline size_t slot_length(uint64_t s) { return s >> 24 & 0xff; }
static inline unsigned slot_cover(uint64_t s) { return s >> 22 & 3; }
static inline bool slot_fits(uint64_t s, size_t n, uint64_t hash) { return slot_length(s) == n && (s & 0x3fffff) == (hash >> 20 & 0x3fffff); }

/* An area may be written anew under a reader who has slept since the turn before: no place that it reads is beyond the area. */
struct view { const char *base, *filter; const uint64_t *slots; uint64_t shift, mask; };

static bool view_open(struct view *v, const struct area *a)
{
    uint64_t filter = a->filter, slots = a->slots;
    *v = (struct view) { .base = (const char *) a, .shift = a->filter_shift, .mask = a->mask };
    if (v->shift < 36 || v->shift > 63 || v->mask >= AREA / 8 || filter + (1ull << (61 - v->shift)) * 8 > AREA || slots % 8 || slots + (v->mask + 1) * 8 > AREA) return false;
    v->filter = v->base + filter;
    v->slots = (const uint64_t *) (const void *) (v->base + slots);
    return true;
}

static inline bool passes_filter(const struct view *v, uint64_t hash)
{
    uint64_t bit = hash >> v->shift;
    return v->filter[bit >> 3] >> (bit & 7) & 1;
}

static unsigned find(const struct view *v, uint64_t hash, struct text name)
{
    for (uint64_t i = hash & v->mask, left = v->mask + 1; left; i = (i + 1) & v->mask, left--) {
        uint64_t s = __atomic_load_n(&v->slots[i], __ATOMIC_RELAXED);
        if (!s) return 0;
        if (slot_fits(s, name.n, hash) && slot_at(s) + name.n <= AREA && memcmp(v->base + slot_at(s), name.p, name.n) == 0) return slot_cover(s);
    }
    return 0;
}

static bool look_up(const struct area *a, struct text host)
{
    struct view v;
    uint64_t h = hash_start;
    if (!view_open(&v, a)) return false;
    for (size_t i = host.n; i-- > 0;) {
        h = hash_step(h, host.p[i]);
        if (i && host.p[i - 1] != '.') continue;
        uint64_t hash = hash_end(h);
        if (passes_filter(&v, hash) && find(&v, hash, text_from(host, i)) & (i ? BELOW : SELF)) return true;
    }
    return false;
}

bool domains_have(const struct domains *d, struct text host)
{
    NEED(d, DOMAINS_MAGIC);
    if (host.n && host.p[host.n - 1] == '.') host.n--;
    if (host.n > NAME_MOST) return false;
    for (;;) {
        uint32_t turn = atomic_load_explicit(&d->control->turn, memory_order_acquire);
        bool found = turn && look_up(area_of(d, turn), host);
        atomic_thread_fence(memory_order_acquire);
        if (likely(atomic_load_explicit(&d->control->turn, memory_order_relaxed) == turn)) return found;
    }
}

size_t domains_count(const struct domains *d)
{
    NEED(d, DOMAINS_MAGIC);
    return d->control->turn ? area_of(d, d->control->turn)->count : 0;
}

size_t domains_bytes(const struct domains *d)
{
    NEED(d, DOMAINS_MAGIC);
    return d->control->turn ? area_of(d, d->control->turn)->end : 0;
}

struct text domains_path(const struct domains *d) { return text_c(d->path); }

/* ---- lines ---- */

static bool add_name(struct building *b, struct text name, unsigned cover)
{
    struct area *a = b->area;
    char *base = (char *) a;
    uint64_t *slots = (uint64_t *) (void *) (base + a->slots), h = hash_start;
    if (a->count > a->mask - a->mask / 8 || a->end + name.n > AREA) {
        b->full = true;
        return false;
    }
    for (size_t i = name.n; i-- > 0;) h = hash_step(h, base[a->end + i] = (char) text_lower((unsigned char) name.p[i]));
    uint64_t hash = hash_end(h), i = hash & a->mask, bit = hash >> a->filter_shift;
    for (; slots[i]; i = (i + 1) & a->mask) {
        if (!slot_fits(slots[i], name.n, hash) || memcmp(base + slot_at(slots[i]), base + a->end, name.n) != 0) continue;
        slots[i] |= (uint64_t) cover << 22;
        return true;
    }
    slots[i] = make_slot(a->end, name.n, cover, hash);
    base[a->filter + (bit >> 3)] |= (char) (1 << (bit & 7));
    a->end += name.n;
    a->count++;
    return true;
}

/* Letters, digits, "-", "_" and what is no ASCII, in labels of a length that RFC 1035 2.3.4 allows. */
static bool is_name(struct text t)
{
    size_t label = 0;
    if (!t.n || t.n > NAME_MOST) return false;
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i], low = text_lower(c);
        if (c == '.') {
            if (!label) return false;
            label = 0;
            continue;
        }
        if ((unsigned char) (low - 'a') >= 26 && (unsigned char) (c - '0') >= 10 && c != '-' && c != '_' && c < 0x80) return false;
        if (++label > LABEL_MOST) return false;
    }
    return label > 0;
}

static struct text next_word(struct text *rest)
{
    size_t i = 0, k;
    while (i < rest->n && (rest->p[i] == ' ' || rest->p[i] == '\t')) i++;
    for (k = i; k < rest->n && rest->p[k] != ' ' && rest->p[k] != '\t'; k++) { }
    struct text word = text_of(rest->p + i, k - i);
    *rest = text_from(*rest, k);
    return word;
}

static bool take_name(struct building *b, struct text name, unsigned cover)
{
    if (text_starts(name, T("*."))) {
        name = text_from(name, 2);
        cover = BELOW;
    } else if (text_starts(name, T("."))) {
        name = text_from(name, 1);
    }
    if (name.n && name.p[name.n - 1] == '.') name.n--;
    return is_name(name) && add_name(b, name, cover);
}

/* What every hosts file says of the machine itself. */
static bool is_own(struct text name)
{
    static const struct text own[] = { TEXT_INIT("localhost"), TEXT_INIT("localhost.localdomain"), TEXT_INIT("local"), TEXT_INIT("broadcasthost"), TEXT_INIT("0.0.0.0") };
    for (size_t i = 0; i < countof(own); i++)
        if (text_eq_nocase(name, own[i])) return true;
    return text_starts_nocase(name, T("ip6-"));
}

static bool is_address(struct text t)
{
    bool colon = false, digits = t.n > 0;
    for (size_t i = 0; i < t.n; i++) {
        colon |= t.p[i] == ':';
        digits &= (unsigned char) (t.p[i] - '0') < 10 || t.p[i] == '.';
    }
    return colon || digits;
}

static bool take_line(struct building *b, struct text line)
{
    ssize_t hash = text_find_char(line, '#');
    if (hash >= 0) line.n = (size_t) hash;
    struct text first = next_word(&line), word = next_word(&line);
    if (!first.n) return true;
    if (!word.n) return take_name(b, first, SELF | BELOW);
    if (!is_address(first)) return false;
    for (; word.n; word = next_word(&line))
        if (!is_own(word) && !take_name(b, word, SELF)) return false;
    return true;
}

static void read_line(struct building *b, struct text line)
{
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    b->lines++;
    if (take_line(b, line) || b->full) return;
    if (!b->bad++) b->first_bad = b->lines;
}

/* ---- files ---- */

/* Calls fn for each line, as they stand in the file now. False: errno. */
static bool each_line(int fd, struct building *b, void (*fn)(struct building *b, struct text line))
{
    char *room = base_alloc(READ_SIZE);
    size_t have = 0;
    ssize_t n;
    off_t at = 0;
    while ((n = pread(fd, room + have, READ_SIZE - have, at)) > 0) {
        struct text rest = text_of(room, have + (size_t) n);
        const char *end;
        at += n;
        while ((end = memchr(rest.p, '\n', rest.n)) != NULL) {
            fn(b, text_of(rest.p, (size_t) (end - rest.p)));
            rest = text_from(rest, (size_t) (end - rest.p) + 1);
        }
        if (rest.n == READ_SIZE) rest.n = 0, b->bad++;        /* no line is so long */
        memmove(room, rest.p, have = rest.n);
    }
    if (n == 0 && have) fn(b, text_of(room, have));
    int err = errno;
    free(room);
    errno = err;
    return n == 0;
}

static void count_line(struct building *b, struct text line)
{
    ssize_t hash = text_find_char(line, '#');
    if (hash >= 0) line.n = (size_t) hash;
    for (next_word(&line), b->lines++; next_word(&line).n;) b->lines++;      /* of hosts files there may be many in a line */
}

static uint64_t power_above(uint64_t n)
{
    uint64_t p = 64;
    while (p < n) p *= 2;
    return p;
}

/* An empty table for so many names. */
static bool lay_out(struct area *a, uint64_t names)
{
    uint64_t slots = power_above(names + names / 3), bits = power_above(names * 16) > 1u << 26 ? 1u << 26 : power_above(names * 16);
    uint64_t filter = align_up(sizeof *a, (size_t) 64), table = filter + bits / 8;
    if (names > AREA / 32) return false;
    *a = (struct area) { .filter = filter, .filter_shift = 64 - (unsigned) __builtin_ctzll(bits), .slots = table, .mask = slots - 1, .names = table + slots * 8, .end = table + slots * 8 };
    return true;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool was_read(const struct domains *d, const struct stat *st)
{
    const struct control *c = d->control;
    return c->inode == (int64_t) st->st_ino && c->size == (int64_t) st->st_size && c->mtime_s == (int64_t) st->st_mtim.tv_sec && c->mtime_ns == (int64_t) st->st_mtim.tv_nsec;
}

/* NULL, or what is wrong, with errno or 0. */
static const char *build(struct domains *d, int fd, struct area *a, struct building *b)
{
    b->path = d->path;
    madvise(a, AREA, MADV_REMOVE);
    if (!each_line(fd, b, count_line)) return "read() failed";
    uint64_t names = b->lines;
    *b = (struct building) { .area = a, .path = d->path };
    errno = 0;
    if (!lay_out(a, names)) return "is too large";
    if (!each_line(fd, b, read_line)) return "read() failed";
    errno = 0;
    if (b->full) return "grew while it was read";
    if (!a->count) return "has no names";
    if (b->bad > a->count / 10) return "is no list of names";
    return NULL;
}

/* One process at a time; one that died while it was at it is followed by another. */
static bool begin_building(struct control *c)
{
    uint32_t was = 0, me = (uint32_t) getpid();
    if (atomic_compare_exchange_strong(&c->builder, &was, me)) return true;
    return kill((pid_t) was, 0) != 0 && errno == ESRCH && atomic_compare_exchange_strong(&c->builder, &was, me);
}

/* In a thread, perhaps. */
static void work(struct thread_job *j)
{
    struct reading *w = container_of(j, struct reading, job);
    struct domains *d = w->d;
    int fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    w->why = fd < 0 || fstat(fd, &w->st) != 0 ? "cannot be opened" : !S_ISREG(w->st.st_mode) ? "is no file" : build(d, fd, area_of(d, w->turn + 1), &w->b);
    w->err = errno;
    if (fd >= 0) close(fd);
}

/* False after a log line. */
static bool publish(struct reading *w, enum log_level level)
{
    struct domains *d = w->d;
    struct control *c = d->control;
    c->inode = (int64_t) w->st.st_ino;
    c->size = (int64_t) w->st.st_size;
    c->mtime_s = (int64_t) w->st.st_mtim.tv_sec;
    c->mtime_ns = (int64_t) w->st.st_mtim.tv_nsec;
    if (!w->why) atomic_store_explicit(&c->turn, w->turn + 1 ? w->turn + 1 : 2, memory_order_release);
    d->stale = w->turn || w->why;
    atomic_store(&c->builder, 0);
    if (w->b.bad) log_at(log_main, L_WARN, NULL, 0, "%llu lines of \"%s\" are no names, the first is line %llu", (unsigned long long) w->b.bad, d->path, (unsigned long long) w->b.first_bad);
    if (w->why) log_at(log_main, level, NULL, w->err, "the list \"%s\" %s%s", d->path, w->why, w->turn ? ": the one that was read before stays" : "");
    else log_at(log_main, L_NOTICE, NULL, 0, "%zu names were read from \"%s\"", domains_count(d), d->path);
    return !w->why;
}

static void let_go(void *arg);

static void done(struct thread_job *j)
{
    struct reading *w = container_of(j, struct reading, job);
    struct domains *d = w->d;
    publish(w, L_ERR);
    free(w);
    let_go(d);
}

/* At once. False after a log line. */
static bool read_list(struct domains *d, enum log_level level)
{
    struct reading w = { .d = d, .turn = d->control->turn };
    if (!begin_building(d->control)) return true;
    work(&w.job);
    return publish(&w, level);
}

/* ---- lists ---- */

static void let_go(void *arg)
{
    struct domains *d = arg;
    if (--d->users) return;
    struct domains **at = &all;
    while (*at != d) at = &(*at)->next;
    *at = d->next;
    munmap(d->areas, 2 * (size_t) AREA);
    munmap(d->control, sizeof *d->control);
    free(d->path);
    d->magic = 0;
    free(d);
}

static void *map_shared(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static struct domains *make(struct text path)
{
    struct domains *d = base_zalloc(1, sizeof *d);
    *d = (struct domains) { .magic = DOMAINS_MAGIC, .next = all, .path = base_alloc(path.n + 1), .control = map_shared(sizeof *d->control), .areas = map_shared(2 * (size_t) AREA) };
    ASSERT(d->control && d->areas);          /* address space is not what runs out */
    memcpy(d->path, path.p, path.n);
    d->path[path.n] = '\0';
    return all = d;
}

struct domains *domains_of(struct conf *cf, struct text path)
{
    struct domains *d = all;
    while (d && !text_eq(text_c(d->path), path)) d = d->next;
    if (!d) d = make(path);
    d->users++;
    pool_cleanup(cf->pool, let_go, d);
    return d;
}

bool domains_load_all(void)
{
    bool fine = true;
    for (struct domains *d = all; d; d = d->next) {
        struct stat st;
        if (d->control->turn && stat(d->path, &st) == 0 && was_read(d, &st)) continue;
        fine &= read_list(d, d->control->turn ? L_ERR : L_EMERG) || d->control->turn;
    }
    return fine;
}

static void read_anew(struct domains *d, void (*post)(struct thread_job *j))
{
    if (!begin_building(d->control)) return;
    struct reading *w = base_zalloc(1, sizeof *w);
    *w = (struct reading) { .job = { .work = work, .done = done }, .d = d, .turn = d->control->turn };
    d->users++;
    post(&w->job);
}

void domains_look(void (*post)(struct thread_job *j))
{
    for (struct domains *d = all; d; d = d->next) {
        struct stat st;
        if (d->stale && begin_building(d->control)) {       /* nobody has looked at it for a second */
            madvise(area_of(d, d->control->turn + 1), AREA, MADV_REMOVE);
            atomic_store(&d->control->builder, 0);
            d->stale = false;
        }
        if (stat(d->path, &st) != 0) continue;              /* perhaps it is being replaced just now */
        d->moving = !is_same(&st, &d->seen);
        d->seen = st;
        if (!d->moving && !was_read(d, &st)) read_anew(d, post);
    }
}
