#include "modules/geo.h"
#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { HIGHS = 65536, VALUE_MAX = (1 << 28) - 1, VALUE_VALID = 1 << 28 };

struct base_header { char magic[7]; uint8_t pointer; uint32_t order, crc; };
struct base_value { uint64_t length, text; };               /* text: its offset; it follows, padded to eight bytes */
struct base_range { uint64_t value; uint16_t from, to; uint32_t unused; };

static const struct base_header header = { "GEORNG", sizeof(void *), 0x12345678, 0 };

static uint32_t crc_of(const char *p, size_t n) { return (uint32_t) crc32_z(crc32_z(0, NULL, 0), (const unsigned char *) p, n); }

/* ---- reading ---- */

struct base { const char *p; size_t n; size_t lists; uint32_t *numbers; };     /* lists: offset of the offsets; numbers: by a value's offset / 8 */

static void *at(const struct base *b, size_t offset) { return (void *) (uintptr_t) (b->p + offset); }
static bool has(const struct base *b, uint64_t offset, uint64_t n) { return offset % 8 == 0 && offset <= b->n && n <= b->n - offset; }

/* The values' numbers, up to the empty one behind them. */
static bool read_values(struct base *b, uint32_t (*value_of)(void *arg, struct text t), void *arg)
{
    size_t offset = sizeof header;
    b->numbers = base_zalloc(b->n / 8 + 1, sizeof *b->numbers);
    for (;;) {
        if (!has(b, offset, sizeof(struct base_value))) return false;
        const struct base_value *v = at(b, offset);
        if (!v->length) break;
        size_t n = v->length & VALUE_MAX, text = offset + sizeof *v;
        if (v->text != text || !has(b, text, align_up(n, (size_t) 8))) return false;
        b->numbers[offset / 8] = value_of(arg, text_of(at(b, text), n));
        offset = text + align_up(n, (size_t) 8);
    }
    b->lists = offset + sizeof(struct base_value);
    return has(b, b->lists, HIGHS * sizeof(uint64_t));
}

/* How many there are, in order; -1: that is no list of ranges. */
static ssize_t count_ranges(const struct base *b, uint64_t offset)
{
    int last = -1;
    for (ssize_t n = 0;; n++, offset += sizeof(struct base_range)) {
        if (!has(b, offset, sizeof(uint64_t))) return -1;
        const struct base_range *r = at(b, offset);
        if (!r->value) return n;
        if (!has(b, offset, sizeof *r) || r->value % 8 || r->value >= b->lists || !b->numbers[r->value / 8]) return -1;
        if (r->from > r->to || r->from <= last) return -1;
        last = r->to;
    }
}

static bool read_lists(const struct base *b, struct pieces *by_high)
{
    const uint64_t *lists = at(b, b->lists);
    for (unsigned high = 0; high < HIGHS; high++)
        if (lists[high] && count_ranges(b, lists[high]) < 0) return false;
    for (unsigned high = 0; high < HIGHS; high++) {
        if (!lists[high]) continue;
        ssize_t n = count_ranges(b, lists[high]);
        const struct base_range *r = at(b, lists[high]);
        struct pieces *p = &by_high[high];
        *p = (struct pieces) { base_alloc((size_t) n * sizeof *p->v + 1), (uint32_t) n, (uint32_t) n };
        for (ssize_t i = 0; i < n; i++) p->v[i] = (struct piece) { r[i].from, r[i].to, b->numbers[r[i].value / 8] };
    }
    return true;
}

/* A regular file's bytes, malloc's; NULL with errno. */
static char *slurp(const char *path, size_t *n_out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    char *room = NULL;
    ssize_t got = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        room = base_alloc((size_t) st.st_size + 1);
        *n_out = 0;
        while ((got = read(fd, room + *n_out, (size_t) st.st_size - *n_out)) > 0 || (got < 0 && errno == EINTR))
            if (got > 0) *n_out += (size_t) got;
    } else {
        errno = EISDIR;
    }
    int err = errno;
    close(fd);
    if (got == 0) return room;
    free(room);
    errno = err;
    return NULL;
}

/* Why it cannot be used; NULL: it can. */
static const char *fault_of(const struct base *b)
{
    const struct base_header *h = at(b, 0);
    if (b->n < sizeof *h || memcmp(h, &header, offsetof(struct base_header, crc)) != 0) return "incompatible";
    if (h->crc != crc_of(b->p + sizeof *h, b->n - sizeof *h)) return "CRC32 mismatch in";
    return NULL;
}

static bool is_stale(const char *path, const char *base, bool *there_out)
{
    struct stat text, made;
    *there_out = stat(path, &text) == 0 && stat(base, &made) == 0;
    return *there_out && made.st_mtime < text.st_mtime;
}

bool geo_base_read(struct conf *cf, const char *path, struct pieces *by_high, uint32_t (*value_of)(void *arg, struct text t), void *arg)
{
    const char *name = pool_printf(cf->scratch, "%s.bin", path).p, *why = NULL;
    bool there;
    if (is_stale(path, name, &there)) why = "stale";
    if (!there) return false;
    struct base b = { 0 };
    if (!why && !(b.p = slurp(name, &b.n))) {
        conf_warn(cf, "the binary geo range base \"%s\" cannot be read: %s", name, strerrordesc_np(errno));
        return false;
    }
    if (!why) why = fault_of(&b);
    if (!why && !(read_values(&b, value_of, arg) && read_lists(&b, by_high))) why = "incompatible";
    free(b.numbers);
    free((void *) (uintptr_t) b.p);
    if (!why) log_at(log_main, L_NOTICE, NULL, 0, "using binary geo range base \"%s\" in %s:%u", name, cf->file, cf->line);
    else conf_warn(cf, "%s binary geo range base \"%s\"", why, name);
    return !why;
}

/* ---- writing ---- */

static void put(struct build *b, const void *p, size_t n) { build_text(b, text_of(p, n)); }

static uint64_t *put_values(struct build *b, const struct text *values, size_t count)
{
    static const char zeroes[sizeof(struct base_value)];
    uint64_t *offsets = base_zalloc(count + 1, sizeof *offsets);
    for (size_t i = 1; i < count; i++) {
        offsets[i] = b->n;
        struct base_value v = { values[i].n | VALUE_VALID, b->n + sizeof v };
        put(b, &v, sizeof v);
        put(b, values[i].p, values[i].n);
        put(b, zeroes, -values[i].n % 8);
    }
    put(b, zeroes, sizeof(struct base_value));
    return offsets;
}

static void put_lists(struct build *b, const struct pieces *by_high, const uint64_t *offsets)
{
    uint64_t begins = b->n + HIGHS * sizeof begins, none = 0;
    for (unsigned high = 0; high < HIGHS; high++) {
        put(b, by_high[high].n ? &begins : &none, sizeof none);
        if (by_high[high].n) begins += by_high[high].n * sizeof(struct base_range) + sizeof none;
    }
    for (unsigned high = 0; high < HIGHS; high++) {
        for (uint32_t i = 0; i < by_high[high].n; i++) {
            const struct piece *p = &by_high[high].v[i];
            struct base_range r = { offsets[p->value], p->from, p->to, 0 };
            put(b, &r, sizeof r);
        }
        if (by_high[high].n) put(b, &none, sizeof none);
    }
}

void geo_base_write(struct conf *cf, const char *path, const struct pieces *by_high, const struct text *values, size_t value_count)
{
    const char *name = pool_printf(cf->scratch, "%s.bin", path).p;
    size_t lists = HIGHS * sizeof(uint64_t);
    for (unsigned high = 0; high < HIGHS; high++) lists += (by_high[high].n + 1) * sizeof(struct base_range);
    struct pool *pool = pool_open(0);
    struct build b = build_in_pool(pool, lists + (1 << 20), 0);
    put(&b, &header, sizeof header);
    uint64_t *offsets = put_values(&b, values, value_count);
    put_lists(&b, by_high, offsets);
    free(offsets);
    struct text all = build_done(&b);
    struct base_header h = header;
    h.crc = crc_of(all.p + sizeof h, all.n - sizeof h);
    memcpy((char *) (uintptr_t) all.p, &h, sizeof h);
    log_at(log_main, L_NOTICE, NULL, 0, "creating binary geo range base \"%s\"", name);
    if (file_replace(name, all, 0644) < 0) conf_warn(cf, "the binary geo range base \"%s\" cannot be written: %s", name, strerrordesc_np(errno));
    pool_close(&pool);
}
