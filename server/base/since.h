/* since: how long ago something was, by the clock of whichever process noted it. */
#ifndef BASE_SINCE_H
#define BASE_SINCE_H

#include "base/clock.h"

/* Since ms of the monotonic clock, in shared memory: 0 when it is yet to come here, the other's turn having begun after ours. */
static inline uint64_t since_ms_of(uint64_t ms) { return clock_now.ms > ms ? clock_now.ms - ms : 0; }

#endif
