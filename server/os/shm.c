#include "os/shm_zone.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Zones live here, far from what the system, the allocator and the sanitizers use. */
#define RANGE_BEGIN 0x200000000000u
#define RANGE_END   0x280000000000u
#define GAP         0x10000u         /* between zones, so that an overrun is met by a fault */

/* asked: wanted since shm_begin. fresh: made since shm_begin. */
struct entry { struct zone *z; int fd; bool asked, fresh; };
static struct entry *entries;        /* by address */
static size_t entry_count;

/* ---- the list ---- */

static struct text name_of(const struct zone *z) { return text_of(z->name, strnlen(z->name, SHM_NAME_MAX)); }
static bool is_own(const struct zone *z) { return z->name[0] == ' '; }    /* not the configuration's: stays */

static struct entry *add(struct zone *z, int fd)
{
    entries = base_realloc(entries, (entry_count + 1) * sizeof *entries);
    size_t i = entry_count++;
    for (; i > 0 && (uintptr_t) entries[i - 1].z > (uintptr_t) z; i--) entries[i] = entries[i - 1];
    entries[i] = (struct entry) { .z = z, .fd = fd };
    return &entries[i];
}

static struct entry *find(struct text name, size_t size, uint64_t signature)
{
    for (size_t i = 0; i < entry_count; i++) {
        const struct zone *z = entries[i].z;
        if (z->size == size && z->signature == signature && text_eq(name_of(z), name)) return &entries[i];
    }
    return NULL;
}

static void end(size_t i)
{
    munmap(entries[i].z, entries[i].z->size);
    close(entries[i].fd);
    memmove(&entries[i], &entries[i + 1], (--entry_count - i) * sizeof *entries);
    if (entry_count == 0) {
        free(entries);
        entries = NULL;
    }
}

bool shm_is_mapped(const void *p)
{
    for (size_t i = 0; i < entry_count; i++)
        if ((uintptr_t) p - (uintptr_t) entries[i].z < entries[i].z->size) return true;
    return false;
}

void shm_each(void (*fn)(struct zone *z, struct text name, void *arg), void *arg)
{
    for (size_t i = 0; i < entry_count; i++)
        if (!is_own(entries[i].z)) fn(entries[i].z, name_of(entries[i].z), arg);
}

/* ---- opening ---- */

static void *map_at(uintptr_t at, size_t size, int fd)
{
    void *p = mmap((void *) at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
    if (p == MAP_FAILED) return NULL;
    if ((uintptr_t) p == at) return p;
    munmap(p, size);                 /* a kernel that takes the address for a hint */
    errno = EEXIST;
    return NULL;
}

/* The first gap that is wide enough. */
static void *map_somewhere(size_t size, int fd)
{
    uintptr_t at = RANGE_BEGIN;
    for (size_t i = 0; i <= entry_count; i++) {
        uintptr_t next = i < entry_count ? (uintptr_t) entries[i].z : RANGE_END;
        if (next > at && next - at >= size + GAP) {
            void *p = map_at(at, size, fd);
            if (p || errno != EEXIST) return p;
        }
        if (i < entry_count) at = align_up((uintptr_t) entries[i].z + entries[i].z->size + GAP, (uintptr_t) GAP);
    }
    errno = ENOMEM;
    return NULL;
}

static struct zone *make(struct text name, size_t size, uint64_t signature)
{
    char label[SHM_NAME_MAX + 8];
    snprintf(label, sizeof label, "weir:%.*s", (int) min_of(name.n, (size_t) SHM_NAME_MAX), name.p);
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        log_at(log_main, L_EMERG, NULL, errno, "memfd_create() of zone \"%.*s\" failed", TEXT_ARG(name));
        return NULL;
    }
    struct zone *z = NULL;
    if (ftruncate(fd, (off_t) size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) z = map_somewhere(size, fd);
    if (z == NULL) {
        log_at(log_main, L_EMERG, NULL, errno, "zone \"%.*s\" of %zu bytes cannot be mapped", TEXT_ARG(name), size);
        close(fd);
        return NULL;
    }
    shm_format(z, size, signature, name);
    struct entry *e = add(z, fd);
    e->asked = e->fresh = true;
    return z;
}

struct zone *shm_open_zone(struct text name, size_t size, uint64_t signature, bool *reused_out)
{
    ASSERT(name.n > 0 && name.n < SHM_NAME_MAX && memchr(name.p, '\0', name.n) == NULL);
    size = align_up(max_of(size, (size_t) 8 * SHM_PAGE), (size_t) SHM_PAGE);
    shm_lock_prepare();
    struct entry *e = find(name, size, signature);
    if (reused_out) *reused_out = e != NULL;
    if (e == NULL) return make(name, size, signature);
    e->asked = true;
    return e->z;
}

/* ---- generations ---- */

void shm_begin(void)
{
    for (size_t i = 0; i < entry_count; i++) entries[i].asked = entries[i].fresh = false;
}

void shm_commit(void)
{
    for (size_t i = entry_count; i-- > 0;)
        if (!entries[i].asked && !is_own(entries[i].z)) end(i);
}

void shm_rollback(void)
{
    for (size_t i = entry_count; i-- > 0;)
        if (entries[i].fresh && !is_own(entries[i].z)) end(i);
}

/* ---- over exec ---- */

struct text shm_export(struct pool *p)
{
    struct build b = build_in_pool(p, 256, 0);
    for (size_t i = 0; i < entry_count; i++) {
        const struct zone *z = entries[i].z;
        if (fcntl(entries[i].fd, F_SETFD, 0) != 0) continue;
        build_bytes_hex(&b, name_of(z));
        uint64_t numbers[] = { (uint64_t) entries[i].fd, z->size, z->signature, (uintptr_t) z };
        for (size_t k = 0; k < countof(numbers); k++) {
            build_char(&b, ':');
            build_hex(&b, numbers[k], 1);
        }
        build_char(&b, ';');
    }
    return build_done(&b);
}

/* Is what was mapped the zone that was announced? */
static bool is_whole(const struct zone *z, size_t size, uint64_t signature)
{
    return z->magic == ZONE_MAGIC && z->version == SHM_VERSION && z->size == size && z->signature == signature
        && (uintptr_t) z->table == (uintptr_t) z + align_up(sizeof *z, (size_t) 64);
}

static void take(uint64_t fd, uint64_t size, uint64_t signature, uint64_t at)
{
    struct stat st;
    if (fd < 3 || fd > INT32_MAX || fcntl((int) fd, F_SETFD, FD_CLOEXEC) != 0) return;
    if (at < RANGE_BEGIN || at >= RANGE_END || size > RANGE_END - at || size < 8 * SHM_PAGE || size % SHM_PAGE || at % SHM_PAGE
        || fstat((int) fd, &st) != 0 || (uint64_t) st.st_size != size) {
        log_at(log_main, L_WARN, NULL, 0, "inherited zone is not what it was announced to be, ignored");
        close((int) fd);
        return;
    }
    struct zone *z = map_at(at, size, (int) fd);
    if (z && is_whole(z, size, signature)) {
        add(z, (int) fd);
        return;
    }
    log_at(log_main, L_WARN, NULL, z ? 0 : errno, "inherited zone cannot be used here, it begins empty");
    if (z) munmap(z, size);
    close((int) fd);
}

void shm_import(struct text exported)
{
    struct text row, part;
    while (text_split(&exported, ';', &row)) {
        uint64_t v[4];
        size_t n = 0;
        if (!text_split(&row, ':', &part)) continue;       /* the name: it stands in the zone too */
        while (n < countof(v) && text_split(&row, ':', &part) && text_hex(part, &v[n])) n++;
        if (n == countof(v)) take(v[0], v[1], v[2], v[3]);
    }
    shm_lock_prepare();
}
