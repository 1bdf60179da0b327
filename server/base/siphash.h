/* siphash: SipHash-2-4 with 128 bits (Aumasson, Bernstein): under a secret key nobody can make two texts meet, so that a
 * digest may stand for a text that a client chose. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/text.h"

struct siphash_key { uint64_t v[2]; };
struct siphash { uint64_t v[2]; };

/* Random, from the kernel. */
struct siphash_key siphash_new_key(void);
struct siphash siphash(const struct siphash_key *k, struct text t);

#endif
