/* conf_inside: what the rooms of the engine tell each other, and nobody else. */
#ifndef CONFIG_CONF_INSIDE_H
#define CONFIG_CONF_INSIDE_H

#include "config/conf.h"
#include "config/source.h"

enum { CONF_NESTING_MAX = 64, CONF_INCLUDE_MAX = 64 };

/* Rows of one name, in different modules and places. */
struct conf_row {
    const struct conf_row  *next;
    const struct module    *module;
    const struct directive *d;
    uint32_t                bit;         /* of the row, in conf_own.set */
    uint32_t                field;       /* of the field, in conf_own.set; 0 where the row has none */
};

/* A field of a module's struct, whichever and however many rows fill it. */
struct conf_field { uint32_t offset, size; };
struct conf_layout { const struct module *module; struct conf_field *fields; size_t fields_n; };

/* What was set of one module in one block. set: a bit a row, then a bit a field. */
struct conf_own {
    struct conf_own *next;               /* by slot, ascending */
    unsigned         slot;
    void            *values;
    uint8_t         *other;              /* a bit a byte of the struct: marked offsets that no row has */
    uint64_t         set[];
};

static inline bool conf_bit(const uint64_t *set, uint32_t i) { return set[i / 64] >> i % 64 & 1; }
static inline void conf_set_bit(uint64_t *set, uint32_t i) { set[i / 64] |= (uint64_t) 1 << i % 64; }

const struct conf_row    *conf_names_find(struct text name);
const struct conf_layout *conf_names_layout(unsigned slot);
/* The field at offset, or NULL; *bit_out its place in conf_own.set. */
const struct conf_field  *conf_names_field(unsigned slot, size_t offset, uint32_t *bit_out);

struct conf_own *conf_own_find(const struct conf_block *b, unsigned slot);
struct conf_own *conf_own_make(struct conf *cf, struct conf_block *b, const struct module *m);

/* What -T shows, now that the configuration has proved right. */
void conf_dump_out(struct conf *cf);
/* Runs d's parser over cf->words; a wrong count of words is found here. */
conf_result conf_apply(struct conf *cf, const struct directive *d, void *field);
/* [emerg] about the directive in hand, completed with its name and place. */
void conf_fail(struct conf *cf, conf_result why);
/* [emerg] with place only. */
__attribute__((format(printf, 2, 3))) void conf_emerg(struct conf *cf, const char *fmt, ...);

#endif
