/* networks: a table is two arrays of ranges, of IPv4 and IPv6, in order and apart from each other. */
#include "eval/networks.h"
#include <errno.h>
#include <stdlib.h>

typedef unsigned __int128 wide;

struct range { wide from, to; };                          /* of IPv4 in the low bits */
enum { V4, V6, FAMILIES };
struct area { struct { uint64_t at, count; } of[FAMILIES]; };      /* at: a place in the area, from its beginning */

enum { TABLE_ALIGN = 64 };

static struct range *ranges_of(struct area *t, unsigned family) { return (void *) ((char *) t + t->of[family].at); }

static wide wide_of(const struct in6_addr *a)
{
    wide w = 0;
    for (unsigned i = 0; i < 16; i++) w = w << 8 | a->s6_addr[i];
    return w;
}

/* ---- looking up ---- */

static bool look(const void *area, const void *arg)
{
    const struct addr *a = arg;
    const struct area t = *(const struct area *) area;
    wide ip = a->family == AF_INET ? ntohl(a->in.sin_addr.s_addr) : wide_of(&a->in6.sin6_addr);
    uint64_t at = t.of[a->family == AF_INET ? V4 : V6].at, left = t.of[a->family == AF_INET ? V4 : V6].count;
    if (at % TABLE_ALIGN || at > LIST_AREA || left > (LIST_AREA - at) / sizeof(struct range)) return false;      /* it is just written anew */
    const struct range *v = (const void *) ((const char *) area + at);
    size_t from = 0;
    while (left) {                                    /* how many ranges begin at or before ip */
        size_t half = left / 2;
        if (v[from + half].from <= ip) from += half + 1, left -= half + 1;
        else left = half;
    }
    return from && v[from - 1].to >= ip;
}

bool networks_have(const struct list_file *f, const struct addr *a)
{
    struct addr plain = addr_unmapped(a);
    return (plain.family == AF_INET || plain.family == AF_INET6) && list_file_ask(f, look, &plain);
}

size_t networks_count(const struct list_file *f)
{
    const struct area *t = list_file_table(f);
    return t ? t->of[V4].count + t->of[V6].count : 0;
}

/* ---- lines ---- */

struct span { unsigned family; struct range range; };

static bool read_net(struct text t, struct span *out)
{
    struct cidr c;
    if (!addr_parse_cidr(t, &c)) return false;
    bool v4 = c.base.family == AF_INET, mapped = !v4 && IN6_IS_ADDR_V4MAPPED(&c.base.in6.sin6_addr) && c.bits >= 96;
    unsigned free_bits = (v4 ? 32 : 128) - c.bits;
    wide from = v4 ? ntohl(c.base.in.sin_addr.s_addr) : mapped ? wide_of(&c.base.in6.sin6_addr) & UINT32_MAX : wide_of(&c.base.in6.sin6_addr);
    wide low = free_bits == 128 ? ~(wide) 0 : ((wide) 1 << free_bits) - 1;
    *out = (struct span) { v4 || mapped ? V4 : V6, { from & ~low, from | low } };
    return true;
}

static bool read_span(struct text t, struct span *out)
{
    struct span end;
    ssize_t dash = text_find_char(t, '-');
    if (dash < 0) return read_net(t, out);
    struct text first = text_trim(text_upto(t, (size_t) dash)), last = text_trim(text_from(t, (size_t) dash + 1));
    if (text_find_char(t, '/') >= 0 || !read_net(first, out) || !read_net(last, &end) || end.family != out->family || end.range.to < out->range.from) return false;
    out->range.to = end.range.to;
    return true;
}

static struct text words_of(struct text line) { return list_file_words(line, "#;"); }

static void count_line(struct list_building *b, struct text line) { b->count += words_of(line).n > 0; }

static void take_line(struct list_building *b, struct text line)
{
    enum { SHOWN = 48 };
    struct area *t = b->area;
    struct span s;
    struct text words = words_of(line);
    b->lines++;
    if (!words.n || b->bad || b->full) return;
    if (!read_span(words, &s)) {
        b->bad = 1;
        b->first_bad = b->lines;
        struct build shown = build_in_room(b->fault, sizeof b->fault - 1);
        build_char(&shown, '"');
        build_escaped(&shown, text_upto(words, min_of(words.n, (size_t) SHOWN)));
        build_c(&shown, words.n > SHOWN ? "...\"" : "\"");
        build_lit(&shown, " is no address, network or range");
        b->fault[shown.n] = '\0';
        return;
    }
    if (t->of[V4].count + t->of[V6].count == b->count) b->full = true;        /* it was shorter when it was counted */
    else ranges_of(t, s.family)[t->of[s.family].count++] = s.range;
}

/* ---- the table ---- */

static int by_start(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* Ranges that meet become one. */
static void settle(struct area *t, unsigned family)
{
    struct range *v = ranges_of(t, family);
    size_t n = t->of[family].count, kept = 0;
    if (n) qsort(v, n, sizeof *v, by_start);
    for (size_t i = 0; i < n; i++) {
        if (kept && (v[i].from <= v[kept - 1].to || v[i].from - 1 == v[kept - 1].to)) v[kept - 1].to = max_of(v[kept - 1].to, v[i].to);
        else v[kept++] = v[i];
    }
    t->of[family].count = kept;
}

/* Room for each line in either array: what is not used takes no memory. */
static bool lay_out(struct area *t, uint64_t lines)
{
    uint64_t at = align_up(sizeof *t, (size_t) TABLE_ALIGN), room = align_up(lines * sizeof(struct range), (uint64_t) TABLE_ALIGN);
    if (lines > LIST_AREA / (2 * sizeof(struct range)) - TABLE_ALIGN) return false;
    t->of[V4].at = at;
    t->of[V6].at = at + room;
    return true;
}

static const char *build(struct list_building *b, int fd)
{
    struct area *t = b->area;
    if (!list_file_lines(fd, b, count_line)) return "read() failed";
    errno = 0;
    if (!lay_out(t, b->count)) return "is too large";
    if (!list_file_lines(fd, b, take_line)) return "read() failed";
    errno = 0;
    if (b->bad) return "has a line that is none";
    if (b->full) return "grew while it was read";
    for (unsigned i = 0; i < FAMILIES; i++) settle(t, i);
    return NULL;
}

static const struct list_kind kind = { "addresses and networks", build };

struct list_file *networks_of(struct conf *cf, struct text path) { return list_file_of(cf, path, &kind); }
