/* counts: what became of handshakes, with clients of a server or with a peer, as the metrics have it of all. */
#ifndef TLS_COUNTS_H
#define TLS_COUNTS_H

#include "os/metrics.h"
#include <stdatomic.h>

enum { TLS_COUNTS_FIRST = METRIC_SSL_HANDSHAKES, TLS_COUNTS = METRIC_SSL_UNVERIFIED + 1 - METRIC_SSL_HANDSHAKES };

/* In shared memory, of all workers. */
struct tls_counts { _Atomic uint64_t n[TLS_COUNTS]; };

static inline void tls_counts_add(struct tls_counts *c, enum metric m) { atomic_fetch_add_explicit(&c->n[m - TLS_COUNTS_FIRST], 1, memory_order_relaxed); }
static inline uint64_t tls_counts_of(const struct tls_counts *c, enum metric m) { return atomic_load_explicit(&c->n[m - TLS_COUNTS_FIRST], memory_order_relaxed); }
static inline void tls_counts_forget(struct tls_counts *c)
{
    for (int i = 0; i < TLS_COUNTS; i++) atomic_store_explicit(&c->n[i], 0, memory_order_relaxed);
}

#endif
