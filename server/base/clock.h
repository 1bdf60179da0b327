/* clock: the time as of this turn of the loop. clock_update is called once a turn; everything else reads. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/text.h"
#include <time.h>

struct clock_now {
    uint64_t ms;          /* monotonic */
    uint64_t wall_ms;     /* since the epoch */
    time_t   wall;        /* seconds of wall_ms */
};
extern struct clock_now clock_now;

void clock_update(void);
/* The monotonic time of this moment, cheap and some milliseconds coarse: for who asks how long the turn took so far. */
uint64_t clock_coarse(void);
/* Tests: stands still until set again; clock_real(): as usual again. */
void clock_fake(uint64_t ms, uint64_t wall_ms);
void clock_real(void);

/* Made at most once a second, valid until the next clock_update. */
struct text clock_http(void);      /* "Mon, 23 Nov 2026 06:28:15 GMT"   RFC 9110 5.6.7 */
struct text clock_log(void);       /* "23/Nov/2026:06:28:15 +0000"     local time */
struct text clock_error(void);     /* "2026/11/23 06:28:15"            local time */
struct text clock_iso(void);       /* "2026-11-23T06:28:15+00:00"      local time */
struct text clock_syslog(void);    /* "Nov 23 06:28:15"                local time */

#endif
