/* circle: a slot is one word, tag, depth and time; a newer connection takes the slot of an older one. */
#include "http/circle.h"
#include "base/clock.h"
#include "base/siphash.h"
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum { SLOTS = 8192, TIME_BITS = 20, LOW_BITS = 24, TIMES = (1 << TIME_BITS) - 1, DEPTHS = 15, UNIT_MS = 256, KNOWN_UNITS = 40 };

struct circles { struct siphash_key key; _Atomic uint64_t slots[SLOTS]; };

static struct circles *all;

void circle_open(void)
{
    if (all) return;
    void *p = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(p != MAP_FAILED);
    all = p;
    all->key = siphash_new_key();
}

static void put_end(char *room, const struct addr *a)
{
    const struct addr plain = addr_unmapped(a);
    uint16_t port = addr_port(&plain);
    bool v4 = plain.family == AF_INET;
    room[0] = v4 ? 4 : 6;
    memcpy(room + 1, &port, sizeof port);
    memcpy(room + 3, v4 ? (const void *) &plain.in.sin_addr : &plain.in6.sin6_addr, v4 ? sizeof plain.in.sin_addr : sizeof plain.in6.sin6_addr);
}

/* Where such a connection stands, and its tag. */
static _Atomic uint64_t *slot_of(const struct addr *from, const struct addr *to, uint64_t *tag_out)
{
    enum { END = 19 };
    char room[2 * END] = { 0 };
    put_end(room, from);
    put_end(room + END, to);
    struct siphash h = siphash(&all->key, text_of(room, sizeof room));
    *tag_out = h.v[1] >> LOW_BITS << LOW_BITS;
    return &all->slots[h.v[0] % SLOTS];
}

static uint64_t now_units(void) { return clock_now.ms / UNIT_MS & TIMES; }

void circle_note(const struct addr *from, const struct addr *to, unsigned depth)
{
    uint64_t tag;
    if (!all) return;
    _Atomic uint64_t *slot = slot_of(from, to, &tag);
    atomic_store_explicit(slot, tag | (uint64_t) min_of(depth, (unsigned) DEPTHS) << TIME_BITS | now_units(), memory_order_release);
}

unsigned circle_depth(const struct addr *from, const struct addr *to)
{
    uint64_t tag;
    if (!all) return 0;
    uint64_t is = atomic_load_explicit(slot_of(from, to, &tag), memory_order_acquire);
    if (is >> LOW_BITS << LOW_BITS != tag || ((now_units() - is) & TIMES) > KNOWN_UNITS) return 0;
    return is >> TIME_BITS & DEPTHS;
}
