/*
 * geo: a variable whose value depends on an address. IPv4 is kept as pieces that do not overlap, in order, with an index by
 * the first two octets; IPv6 as the points at which the value changes.
 */
#include "modules/geo.h"
#include "http/forwarded.h"

typedef unsigned __int128 wide;

/* A network as it stands in the file: IPv4 in the low 32 bits. */
struct net { wide start; uint32_t value, line; uint16_t file; uint8_t bits; bool is_delete; };    /* file: place in reader's files */
struct nets { struct net *v; size_t n, cap; };

struct geo {
    struct template *address;       /* NULL: the client's */
    struct text     *values;        /* from 1 */
    size_t           value_count, value_cap;
    uint32_t         otherwise4, otherwise6;       /* 0: empty */
    struct piece    *pieces;
    uint32_t        *index;         /* 65537: pieces of a /16 begin here */
    wide            *points;        /* IPv6 */
    uint32_t        *point_values;
    size_t           point_count;
    struct forwarded proxies;
    bool             recursive;
    struct variable  variable;
};

/* While reading. */
struct reader {
    struct geo    *geo;
    bool           ranges, any;
    struct nets    v4, v6;
    struct pieces *by_high;         /* 65536 */
    struct table   known;           /* value to 1 + place */
    struct pool   *scratch;
    const char   **files;           /* that networks were read from; those beyond the 65535th count as the last */
    size_t         file_count, file_cap;
    struct conf   *cf;
    const char    *block_file;      /* where the block stands */
    const char    *base_of;         /* the file that may get a binary base: the one that all ranges came from so far; or NULL */
    size_t         range_count;
    bool           mixed;           /* something came from elsewhere, or is not a range: no base is made */
};

enum { BASE_LEAST = 100000 };       /* a base is made for more ranges than that: nginx's bound */

static const wide one = 1;

/* ---- IPv4 pieces ---- */

static struct piece *make_room(struct pieces *p, uint32_t at, uint32_t count)
{
    if (p->n + count > p->cap) {
        p->cap = max_of(p->n + count, p->cap * 2);
        p->v = base_realloc(p->v, p->cap * sizeof *p->v);
    }
    memmove(p->v + at + count, p->v + at, (p->n - at) * sizeof *p->v);
    p->n += count;
    return p->v + at;
}

/* The first piece that ends at or after low. */
static uint32_t seek(const struct piece *v, uint32_t n, unsigned low)
{
    uint32_t from = 0;
    while (n) {
        uint32_t half = n / 2;
        if (v[from + half].to < low) from += half + 1, n -= half + 1;
        else n = half;
    }
    return from;
}

enum put { PUT_DONE, PUT_SAME, PUT_OVERLAPS };

/* One /16's part of a range: into a gap, or into a piece, which it splits. Anything else overlaps; *other_out is what is there. */
static enum put put_piece(struct pieces *p, struct piece add, struct piece *other_out)
{
    uint32_t at = p->n && p->v[p->n - 1].to < add.from ? p->n : seek(p->v, p->n, add.from);
    if (at == p->n || p->v[at].from > add.to) {
        *make_room(p, at, 1) = add;
        return PUT_DONE;
    }
    struct piece old = *other_out = p->v[at];
    if (old.from > add.from || old.to < add.to) return PUT_OVERLAPS;
    if (old.from == add.from && old.to == add.to) {
        p->v[at].value = add.value;
        return PUT_SAME;
    }
    uint32_t count = (uint32_t) (old.from < add.from) + (old.to > add.to);
    struct piece *to = make_room(p, at, count);
    if (old.from < add.from) *to++ = (struct piece) { old.from, (uint16_t) (add.from - 1), old.value };
    *to++ = add;
    if (old.to > add.to) *to = (struct piece) { (uint16_t) (add.to + 1), old.to, old.value };
    return PUT_DONE;
}

struct range { uint32_t from, to, value; };

static enum put put_range(struct reader *rd, uint32_t from, uint32_t to, uint32_t value, struct range *other_out)
{
    enum put result = PUT_DONE;
    for (uint32_t high = from >> 16; high <= to >> 16; high++) {
        struct piece other, add = { high == from >> 16 ? (uint16_t) from : 0, high == to >> 16 ? (uint16_t) to : UINT16_MAX, value };
        enum put how = put_piece(&rd->by_high[high], add, &other);
        if (how == PUT_DONE) continue;
        *other_out = (struct range) { high << 16 | other.from, high << 16 | other.to, other.value };
        if ((result = how) == PUT_OVERLAPS) break;
    }
    return result;
}

/* Takes out pieces that are just this range; false: there are none. */
static bool delete_range(struct reader *rd, uint32_t from, uint32_t to)
{
    bool found = false;
    for (uint32_t high = from >> 16; high <= to >> 16; high++) {
        struct pieces *p = &rd->by_high[high];
        uint16_t low = high == from >> 16 ? (uint16_t) from : 0, end = high == to >> 16 ? (uint16_t) to : UINT16_MAX;
        uint32_t at = seek(p->v, p->n, low);
        if (at == p->n || p->v[at].from != low || p->v[at].to != end) continue;
        memmove(p->v + at, p->v + at + 1, (--p->n - at) * sizeof *p->v);
        found = true;
    }
    return found;
}

/* Neighbours of one value become one. */
static void settle4(struct conf *cf, struct reader *rd)
{
    struct geo *g = rd->geo;
    size_t total = 0, n = 0;
    for (unsigned high = 0; high < 65536; high++) total += rd->by_high[high].n;
    g->pieces = pool_array(cf->pool, struct piece, total);
    g->index = pool_array(cf->pool, uint32_t, 65537);
    for (unsigned high = 0; high < 65536; high++) {
        const struct pieces *p = &rd->by_high[high];
        g->index[high] = (uint32_t) n;
        for (uint32_t i = 0; i < p->n; i++) {
            struct piece *last = n > g->index[high] ? &g->pieces[n - 1] : NULL;
            if (last && last->to + 1 == p->v[i].from && last->value == p->v[i].value) last->to = p->v[i].to;
            else g->pieces[n++] = p->v[i];
        }
    }
    g->index[65536] = (uint32_t) n;
}

/* ---- networks ---- */

static int by_width(const void *a, const void *b)
{
    const struct net *x = a, *y = b;
    if (x->bits != y->bits) return x->bits < y->bits ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

static int by_start(const void *a, const void *b)
{
    const struct net *x = a, *y = b;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    return (int) x->bits - (int) y->bits;
}

static bool is_sorted(const struct nets *l, int (*order)(const void *a, const void *b))
{
    for (size_t i = 1; i < l->n; i++)
        if (order(&l->v[i - 1], &l->v[i]) > 0) return false;
    return true;
}

/* Merge sort: equal ones stay in the file's order. */
static void sort(struct nets *l, int (*order)(const void *a, const void *b))
{
    if (l->n < 2 || is_sorted(l, order)) return;
    struct net *from = l->v, *to = base_alloc(l->n * sizeof *to);
    for (size_t width = 1; width < l->n; width *= 2) {
        for (size_t at = 0; at < l->n; at += 2 * width) {
            size_t a = at, b = min_of(at + width, l->n), a_end = b, b_end = min_of(at + 2 * width, l->n);
            for (size_t k = at; k < b_end; k++) to[k] = b == b_end || (a < a_end && order(&from[a], &from[b]) <= 0) ? from[a++] : from[b++];
        }
        struct net *swap = from;
        from = to;
        to = swap;
    }
    l->v = from;
    l->cap = l->n;
    free(to);
}

static void print_net(struct build *b, const struct net *n, bool is_v6)
{
    struct addr a = { .family = is_v6 ? AF_INET6 : AF_INET };
    uint8_t *octets = is_v6 ? a.in6.sin6_addr.s6_addr : (uint8_t *) &a.in.sin_addr;
    unsigned size = is_v6 ? 16 : 4;
    for (unsigned i = 0; i < size; i++) octets[i] = (uint8_t) (n->start >> 8 * (size - 1 - i));
    if (!n->bits) build_lit(b, "default");
    else addr_print(b, &a, true);
    if (n->bits) build_fmt(b, "/%u", n->bits);
}

static void warn_net(struct conf *cf, struct reader *rd, const struct net *n, bool is_v6, uint32_t old)
{
    char room[128];
    struct build b = build_in_room(room, sizeof room);
    const char *file = cf->file;
    unsigned line = cf->line;
    print_net(&b, n, is_v6);
    cf->file = rd->files[n->file];
    cf->line = n->line;
    struct text net = build_done(&b), *values = rd->geo->values;
    if (n->is_delete) conf_warn(cf, "no network \"%.*s\" to delete", TEXT_ARG(net));
    else conf_warn(cf, "duplicate network \"%.*s\", value: \"%.*s\", old value: \"%.*s\"", TEXT_ARG(net), TEXT_ARG(values[n->value]), TEXT_ARG(values[old]));
    cf->file = file;
    cf->line = line;
}

/* The last word on each network stays: sorted, without deletions. */
static void settle_nets(struct conf *cf, struct reader *rd, struct nets *l, bool is_v6)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n;) {
        struct net first = l->v[i];
        uint32_t value = 0;
        for (; i < l->n && l->v[i].start == first.start && l->v[i].bits == first.bits; i++) {
            const struct net *n = &l->v[i];
            if (n->is_delete ? !value : value != 0) warn_net(cf, rd, n, is_v6, value);
            value = n->is_delete ? 0 : n->value;
        }
        first.value = value;
        if (value) l->v[kept++] = first;
    }
    l->n = kept;
}

static void place4(struct conf *cf, struct reader *rd)
{
    struct range ignored;
    sort(&rd->v4, by_width);
    settle_nets(cf, rd, &rd->v4, false);
    for (size_t i = 0; i < rd->v4.n; i++) {
        const struct net *n = &rd->v4.v[i];
        uint32_t from = (uint32_t) n->start, to = n->bits ? from | (uint32_t) ((uint64_t) UINT32_MAX >> n->bits) : UINT32_MAX;
        if (n->bits) put_range(rd, from, to, n->value, &ignored);
        else rd->geo->otherwise4 = n->value;
    }
}

static void add_point(struct geo *g, wide at, uint32_t value)
{
    if (g->point_count && g->points[g->point_count - 1] == at) g->point_count--;
    g->points[g->point_count] = at;
    g->point_values[g->point_count++] = value;
}

/* Networks in order of their starts, wider ones first, lie within each other: those we are in are a stack. */
static void place6(struct conf *cf, struct reader *rd)
{
    struct geo *g = rd->geo;
    struct { wide end; uint32_t value; } in[130];
    unsigned depth = 0;
    sort(&rd->v6, by_width);
    settle_nets(cf, rd, &rd->v6, true);
    sort(&rd->v6, by_start);
    g->points = pool_array(cf->pool, wide, 2 * rd->v6.n + 1);
    g->point_values = pool_array(cf->pool, uint32_t, 2 * rd->v6.n + 1);
    for (size_t i = 0; i <= rd->v6.n; i++) {
        const struct net *n = i < rd->v6.n ? &rd->v6.v[i] : NULL;
        while (depth && (!n || in[depth - 1].end < n->start)) {
            wide after = in[--depth].end + 1;
            if (after) add_point(g, after, depth ? in[depth - 1].value : g->otherwise6);
        }
        if (!n) break;
        if (!n->bits) g->otherwise6 = n->value;
        add_point(g, n->start, n->value);
        in[depth].end = n->start | (n->bits ? (n->bits == 128 ? 0 : (one << (128 - n->bits)) - 1) : ~(wide) 0);
        in[depth++].value = n->value;
    }
}

/* ---- reading ---- */

static uint32_t value_of(struct conf *cf, struct reader *rd, struct text t)
{
    struct geo *g = rd->geo;
    uintptr_t known = (uintptr_t) table_get(&rd->known, t);
    if (known) return (uint32_t) known;
    if (g->value_count == g->value_cap) g->values = pool_grow(cf->pool, g->values, g->value_count, &g->value_cap, sizeof *g->values);
    if (!g->value_count) g->value_count = 1;
    struct text kept = text_of(pool_cstr(cf->pool, t), t.n);
    g->values[g->value_count] = kept;
    table_add(&rd->known, kept, (void *) (uintptr_t) g->value_count);
    return (uint32_t) g->value_count++;
}

static uint16_t file_in_hand(struct conf *cf, struct reader *rd)
{
    if (!rd->file_count || (rd->files[rd->file_count - 1] != cf->file && rd->file_count < UINT16_MAX)) {
        if (rd->file_count == rd->file_cap) rd->files = pool_grow(rd->scratch, rd->files, rd->file_count, &rd->file_cap, sizeof *rd->files);
        rd->files[rd->file_count++] = cf->file;
    }
    return (uint16_t) (rd->file_count - 1);
}

static void add_net(struct conf *cf, struct reader *rd, struct nets *l, wide start, unsigned bits, uint32_t value)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->v = base_realloc(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->n++] = (struct net) { .start = start, .bits = (uint8_t) bits, .value = value, .line = cf->line, .file = file_in_hand(cf, rd), .is_delete = !value };
}

/* value 0: delete. */
static conf_result read_net(struct conf *cf, struct reader *rd, struct text word, uint32_t value)
{
    struct cidr c;
    if (text_eq(word, T("default"))) {
        add_net(cf, rd, &rd->v4, 0, 0, value);
        add_net(cf, rd, &rd->v6, 0, 0, value);
        return NULL;
    }
    if (!addr_parse_cidr(word, &c)) return conf_say(cf, "!invalid network \"%.*s\"", TEXT_ARG(word));
    if (c.low_bits) conf_warn(cf, "low address bits of %.*s are meaningless", TEXT_ARG(word));
    if (c.base.family == AF_INET) {
        add_net(cf, rd, &rd->v4, ntohl(c.base.in.sin_addr.s_addr), c.bits, value);
        return NULL;
    }
    wide start = 0;
    for (unsigned i = 0; i < 16; i++) start = start << 8 | c.base.in6.sin6_addr.s6_addr[i];
    add_net(cf, rd, &rd->v6, start, c.bits, value);
    return NULL;
}

static bool read_v4(struct text t, uint32_t *out)
{
    struct cidr c;
    if (text_find_char(t, '/') >= 0 || !addr_parse_cidr(t, &c) || c.base.family != AF_INET) return false;
    *out = ntohl(c.base.in.sin_addr.s_addr);
    return true;
}

static const char *v4_name(struct conf *cf, uint32_t ip) { return pool_printf(cf->scratch, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255).p; }

/* Another range. */
static void note_origin(struct conf *cf, struct reader *rd)
{
    if (!rd->base_of && cf->file != rd->block_file) rd->base_of = cf->file;
    rd->mixed |= cf->file != rd->base_of;
    rd->range_count++;
}

static conf_result read_range(struct conf *cf, struct reader *rd, struct text word, struct text value, bool is_delete)
{
    ssize_t dash = text_find_char(word, '-');
    uint32_t from, to;
    struct range other = { 0 };
    if (!is_delete && text_eq(word, T("default"))) {
        rd->mixed |= cf->file != rd->block_file;
        rd->geo->otherwise4 = rd->geo->otherwise6 = value_of(cf, rd, value);
        return NULL;
    }
    if (dash < 0 || !read_v4(text_upto(word, (size_t) dash), &from) || !read_v4(text_from(word, (size_t) dash + 1), &to) || from > to)
        return conf_say(cf, "!invalid range \"%.*s\"", TEXT_ARG(word));
    note_origin(cf, rd);
    if (is_delete) {
        if (!delete_range(rd, from, to)) conf_warn(cf, "no address range \"%.*s\" to delete", TEXT_ARG(word));
        return NULL;
    }
    switch (put_range(rd, from, to, value_of(cf, rd, value), &other)) {
    case PUT_DONE: break;
    case PUT_SAME:
        conf_warn(cf, "duplicate range \"%.*s\", value: \"%.*s\", old value: \"%.*s\"", TEXT_ARG(word), TEXT_ARG(value), TEXT_ARG(rd->geo->values[other.value]));
        break;
    case PUT_OVERLAPS: return conf_say(cf, "!range \"%.*s\" overlaps \"%s-%s\"", TEXT_ARG(word), v4_name(cf, other.from), v4_name(cf, other.to));
    }
    return NULL;
}

/* "ranges;", "proxy_recursive;", "volatile;" */
static conf_result read_word(struct reader *rd, struct text word)
{
    if (text_eq(word, T("ranges"))) {
        if (rd->any) return "!the \"ranges\" directive must be the first directive inside \"geo\" block";
        rd->ranges = true;
    } else if (text_eq(word, T("proxy_recursive"))) {
        rd->geo->recursive = true;
    } else if (text_eq(word, T("volatile"))) {
        rd->geo->variable.flags |= VAR_NO_CACHE;
    } else {
        return "!invalid number of the geo parameters";
    }
    return NULL;
}

static conf_result read_entry(struct conf *cf, void *arg)
{
    struct reader *rd = arg;
    struct text word = cf->words[0];
    if (cf->count == 1 || text_eq(word, T("proxy"))) rd->mixed |= cf->file != rd->block_file;
    if (cf->count == 1) return read_word(rd, word);
    if (cf->count != 2) return "!invalid number of the geo parameters";
    struct text value = cf->words[1];
    if (text_eq(word, T("proxy"))) return forwarded_trust(cf, &rd->geo->proxies, value);
    rd->any = true;
    bool is_delete = text_eq(word, T("delete"));
    if (rd->ranges) return read_range(cf, rd, is_delete ? value : word, value, is_delete);
    return is_delete ? read_net(cf, rd, value, 0) : read_net(cf, rd, word, value_of(cf, rd, value));
}

static uint32_t number_of(void *arg, struct text t)
{
    struct reader *rd = arg;
    return value_of(rd->cf, rd, t);
}

/* An included file's ranges may stand ready beside it. Where there are ranges already, its text is read. */
static bool take_base(struct conf *cf, const char *path, void *arg)
{
    struct reader *rd = arg;
    if (!rd->ranges || rd->range_count || !geo_base_read(cf, path, rd->by_high, number_of, rd)) return false;
    rd->any = rd->mixed = true;
    rd->range_count = 1;
    return true;
}

/* ---- asking ---- */

static struct text value_text_of(const struct geo *g, uint32_t value) { return value ? g->values[value] : T(""); }

static struct text find4(const struct geo *g, uint32_t ip)
{
    uint32_t high = ip >> 16, from = g->index[high], n = g->index[high + 1] - from, low = ip & 0xffff;
    uint32_t at = seek(g->pieces + from, n, low);
    bool found = at < n && g->pieces[from + at].from <= low;
    return value_text_of(g, found ? g->pieces[from + at].value : g->otherwise4);
}

static struct text find6(const struct geo *g, const uint8_t *octets)
{
    wide ip = 0;
    size_t from = 0, n = g->point_count;
    for (unsigned i = 0; i < 16; i++) ip = ip << 8 | octets[i];
    while (n) {                                      /* how many points are at or before ip */
        size_t half = n / 2;
        if (g->points[from + half] <= ip) from += half + 1, n -= half + 1;
        else n = half;
    }
    return value_text_of(g, from ? g->point_values[from - 1] : g->otherwise6);
}

static struct addr ask_address(const struct geo *g, struct eval *e)
{
    struct addr a = { .family = AF_UNSPEC };
    if (g->address) {
        struct cidr c;
        struct text t = template_render(g->address, e);
        if (text_find_char(t, '/') < 0 && addr_parse_cidr(t, &c)) a = c.base;
    } else {
        a = *request_of(e)->peer;
    }
    return g->proxies.n && e->kind == EVAL_HTTP ? forwarded_address(&g->proxies, g->recursive, request_of(e), a) : a;
}

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct geo *g = v->data;
    struct addr a = ask_address(g, e);
    (void) name;
    if (a.family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr)) {
        *out = find6(g, a.in6.sin6_addr.s6_addr);
        return true;
    }
    uint32_t ip = INADDR_NONE;                       /* no address: as nginx */
    if (a.family == AF_INET) ip = ntohl(a.in.sin_addr.s_addr);
    else if (a.family == AF_INET6) ip = (uint32_t) a.in6.sin6_addr.s6_addr[12] << 24 | (uint32_t) a.in6.sin6_addr.s6_addr[13] << 16
                                      | (uint32_t) a.in6.sin6_addr.s6_addr[14] << 8 | a.in6.sin6_addr.s6_addr[15];
    *out = find4(g, ip);
    return true;
}

static conf_result read_block(struct conf *cf, struct geo *g)
{
    struct reader rd = { .geo = g, .scratch = pool_open(0), .by_high = base_zalloc(65536, sizeof(struct pieces)), .cf = cf, .block_file = cf->file };
    table_init(&rd.known, rd.scratch, false);
    conf_result why = conf_entries_files(cf, read_entry, take_base, &rd);
    if (!why) {
        if (rd.range_count > BASE_LEAST && !rd.mixed) geo_base_write(cf, rd.base_of, rd.by_high, g->values, g->value_count);
        place4(cf, &rd);
        place6(cf, &rd);
        settle4(cf, &rd);
    }
    for (unsigned i = 0; i < 65536; i++) free(rd.by_high[i].v);
    free(rd.by_high);
    free(rd.v4.v);
    free(rd.v6.v);
    pool_close(&rd.scratch);
    return why;
}

static conf_result parse_geo(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why = NULL;
    struct geo *g = pool_new(cf->pool, struct geo);
    enum eval_kind kind = variables_kind(variables_here(cf));
    struct text address = cf->count == 3 ? cf->words[1] : kind == EVAL_STREAM ? T("$remote_addr") : T(""), name = cf->words[cf->count - 1];
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(name));
    if (address.n && (address.n < 2 || address.p[0] != '$')) return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(address));
    if (address.n && !(g->address = template_compile(cf, address, &why))) return why;
    g->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(name, 1)), .flags = VAR_CHANGEABLE, .get = get, .data = g,
                                      .help = "A variable that geo gives its value." };
    why = variables_add(cf, kind, &g->variable);
    return why ? why : read_block(cf, g);
}

static const struct conf_type type_geo = { .syntax = "[$address] $variable { ... }", .flags = CONF_MULTI | CONF_BLOCK, .min = 1, .max = 2, .parse = parse_geo };

static const struct directive rows[] = {
    D_DO(&type_geo, "geo", IN_HTTP | IN_STREAM, NULL, NULL, "Makes a variable whose value depends on the client's address, by networks or ranges."),
    { .name = NULL },
};

struct module geo_module = { .name = "geo", .rows = rows };
