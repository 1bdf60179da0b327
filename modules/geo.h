/* geo: what its files share. A map of IPv4 is kept as pieces that do not overlap, those of each /16 in order. */
#ifndef MODULES_GEO_H
#define MODULES_GEO_H

#include "modules/module.h"

struct piece { uint16_t from, to; uint32_t value; };        /* of one /16; value: its number, from 1 */
struct pieces { struct piece *v; uint32_t n, cap; };        /* v: malloc's */

/*
 * The binary base of an included file of ranges, FILE.bin, as nginx makes and reads it too: to load it costs a tenth of the text.
 * A header (magic, size of a pointer, byte order, CRC-32 of what follows); the values, a length with a flag and where its text is,
 * then the text; 65536 offsets of the /16s' ranges (0: none); ranges, each with its value's offset, an offset 0 behind the last.
 */

/* The base of path (NUL-ended), when it is whole and not older than path itself: true, and by_high (65536, empty) has its pieces; value_of
 * gives each value its number. False, after a [warn] line if there is a base that cannot be used: the text is to be read. */
bool geo_base_read(struct conf *cf, const char *path, struct pieces *by_high, uint32_t (*value_of)(void *arg, struct text t), void *arg);
/* Makes it; values: from 1 to value_count - 1. A [warn] line when it cannot be written. */
void geo_base_write(struct conf *cf, const char *path, const struct pieces *by_high, const struct text *values, size_t value_count);

#endif
