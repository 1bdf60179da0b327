/*
 * domains: a table is a filter of bits, a hash table whose slots are one
 * word each (where the name stands, its length, what it covers, a tag of its hash), and the names. A name is looked up from its end,
 * once at each dot; the filter, which fits a cache, answers nearly all of the looks that find nothing.
 */
#include "eval/domains.h"
#include "wire/scan.h"
#include <errno.h>

/* The longest name (RFC 1035 2.3.4). */
enum { NAME_MOST = 253, LABEL_MOST = 63 };

enum { SELF = 1, BELOW = 2 };           /* what a name covers */

struct area {
    uint64_t filter, filter_shift;      /* places in the area, from its beginning */
    uint64_t slots, mask;
    uint64_t names, end, count;
    char     data[];
};

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
    if (v->shift < 36 || v->shift > 63 || v->mask >= LIST_AREA / 8 || filter + (1ull << (61 - v->shift)) * 8 > LIST_AREA || slots % 8 || slots + (v->mask + 1) * 8 > LIST_AREA) return false;
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
        if (slot_fits(s, name.n, hash) && slot_at(s) + name.n <= LIST_AREA && memcmp(v->base + slot_at(s), name.p, name.n) == 0) return slot_cover(s);
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

/* ---- lines ---- */

static bool add_name(struct list_building *b, struct text name, unsigned cover)
{
    struct area *a = b->area;
    char *base = (char *) a;
    uint64_t *slots = (uint64_t *) (void *) (base + a->slots), h = hash_start;
    if (a->count > a->mask - a->mask / 8 || a->end + name.n > LIST_AREA) {
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

static bool take_name(struct list_building *b, struct text name, unsigned cover)
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

static bool take_line(struct list_building *b, struct text line)
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

static void read_line(struct list_building *b, struct text line)
{
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    b->lines++;
    if (take_line(b, line) || b->full) return;
    if (!b->bad++) b->first_bad = b->lines;
}

static void count_line(struct list_building *b, struct text line)
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
    if (names > LIST_AREA / 32) return false;
    *a = (struct area) { .filter = filter, .filter_shift = 64 - (unsigned) __builtin_ctzll(bits), .slots = table, .mask = slots - 1, .names = table + slots * 8, .end = table + slots * 8 };
    return true;
}

/* NULL, or what is wrong, with errno or 0. */
static const char *build(struct list_building *b, int fd)
{
    struct area *a = b->area;
    if (!list_file_lines(fd, b, count_line)) return "read() failed";
    uint64_t names = b->lines;
    *b = (struct list_building) { .area = a };
    errno = 0;
    if (!lay_out(a, names)) return "is too large";
    if (!list_file_lines(fd, b, read_line)) return "read() failed";
    errno = 0;
    b->count = a->count;
    if (b->full) return "grew while it was read";
    if (!a->count) return "has no names";
    if (b->bad > a->count / 10) return "is no list of names";
    return NULL;
}

static const struct list_kind kind = { "names", build };

/* ---- lists ---- */

struct list_file *domains_of(struct conf *cf, struct text path) { return list_file_of(cf, path, &kind); }

static bool look(const void *area, const void *arg) { return look_up(area, *(const struct text *) arg); }

bool domains_have(const struct list_file *d, struct text host)
{
    if (host.n && host.p[host.n - 1] == '.') host.n--;
    return host.n <= NAME_MOST && list_file_ask(d, look, &host);
}

size_t domains_count(const struct list_file *d)
{
    const struct area *a = list_file_table(d);
    return a ? a->count : 0;
}

size_t domains_bytes(const struct list_file *d)
{
    const struct area *a = list_file_table(d);
    return a ? a->end : 0;
}
