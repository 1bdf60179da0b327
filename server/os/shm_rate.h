/*
 * shm_rate: so many bytes a second for a key, over all processes. A key has a bucket in a shm_table that leaks at the rate; who wants to send
 * reserves first, and sends when the wait that it was told is over. So turns come in the order in which they were reserved, and until any
 * moment no more than rate * time + burst has been sent.
 */
#ifndef OS_SHM_RATE_H
#define OS_SHM_RATE_H

#include "os/shm_table.h"

/* What a table for shm_rate_reserve keeps for each key: parts of which a byte has a thousand. */
struct shm_bucket { uint64_t last_ms, excess; };

#define SHM_RATE_MOST ((uint64_t) 1 << 40)
struct shm_rate { uint64_t rate, burst; };      /* bytes a second, at least 1; what may go at once after a pause. Both up to SHM_RATE_MOST */

/* How much is best reserved at once: short turns, few locks. */
uint64_t shm_rate_turn(const struct shm_rate *r);

/* Reserves bytes for key at now_ms; milliseconds until they may be sent. *forgot_out (may be NULL): the table was full, and the key not used for
 * longest was forgotten although it had still something to wait for. */
uint64_t shm_rate_reserve(struct shm_table *t, const struct shm_rate *r, struct siphash key, uint64_t bytes, uint64_t now_ms, bool *forgot_out);
/* They will not be sent. */
void shm_rate_return(struct shm_table *t, struct siphash key, uint64_t bytes);

#endif
