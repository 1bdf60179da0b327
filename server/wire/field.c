#include "wire/field.h"

static const struct field_row rows[] = {
    { TEXT_INIT(""), "", 0 },
#define X(number, name_, facts_, section_) { TEXT_INIT(name_), section_, facts_ },
    FIELDS(X)
#undef X
};
_Static_assert(FIELD_COUNT <= 256, "a field's number fits a byte");

/* Slots by length and three letters; the factors were searched for: 6 names of 121 share a slot with another. */
enum { SLOTS = 512, NAME_MOST = 39, WORD = sizeof(uint64_t), HALF = sizeof(uint32_t) };
static uint8_t slots[SLOTS];
static struct { uint8_t n; char usual[NAME_MOST]; } names[FIELD_COUNT];

static inline unsigned slot_of(struct text name)
{
    unsigned first = (unsigned char) name.p[0] | 0x20, middle = (unsigned char) name.p[name.n / 2] | 0x20,
             last = (unsigned char) name.p[name.n - 1] | 0x20;
    return ((unsigned) name.n * 193 + first * 51 + last * 356 + middle * 19) % SLOTS;
}

__attribute__((constructor)) static void fill_slots(void)
{
    for (size_t id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct text name = rows[id].name;
        ASSERT(name.n <= NAME_MOST);
        names[id].n = (uint8_t) name.n;
        memcpy(names[id].usual, name.p, name.n);
        unsigned s = slot_of(name);
        while (slots[s]) s = (s + 1) % SLOTS;
        slots[s] = (uint8_t) id;
    }
}

static inline uint64_t word(const char *p)
{
    uint64_t v;
    memcpy(&v, p, WORD);
    return v;
}

static inline uint32_t half(const char *p)
{
    uint32_t v;
    memcpy(&v, p, HALF);
    return v;
}

/* Equal as it is usually written; n is at least 1. */
static inline bool same(const char *a, const char *b, size_t n)
{
    if (n >= WORD) {
        for (size_t i = 0; i + WORD < n; i += WORD) {
            if (word(a + i) != word(b + i)) return false;
        }
        return word(a + n - WORD) == word(b + n - WORD);
    }
    if (n >= HALF) return half(a) == half(b) && half(a + n - HALF) == half(b + n - HALF);
    return a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1];
}

/* Other cases, and slots that names share. */
__attribute__((noinline)) static enum field_id look_on(struct text name, unsigned s)
{
    for (unsigned id; (id = slots[s]) != FIELD_OTHER; s = (s + 1) % SLOTS) {
        if (text_eq_nocase(name, rows[id].name)) return (enum field_id) id;
    }
    return FIELD_OTHER;
}

enum field_id field_lookup(struct text name)
{
    if (name.n == 0 || name.n > NAME_MOST) return FIELD_OTHER;
    unsigned s = slot_of(name), id = slots[s];
    if (likely(names[id].n == name.n && same(name.p, names[id].usual, name.n))) return (enum field_id) id;
    return look_on(name, s);
}

const struct field_row *field_row(enum field_id id)
{
    ASSERT(id < FIELD_COUNT);
    return &rows[id];
}
