/*
 * straight: a long body of known length from one plain socket to the other by splice, past this process's memory: no filter
 * looks at it, the client keeps up. When the client falls behind, what is in the pipe comes back into memory and the
 * pipe room goes on as for any slow client.
 */
#ifndef GATEWAY_STRAIGHT_H
#define GATEWAY_STRAIGHT_H

#include "base/base.h"

struct exchange;

enum straight { STRAIGHT_NOT, STRAIGHT_WAIT, STRAIGHT_END };

/* NOT: the body goes the usual way from here. WAIT: for either side. END: the body is complete or broken. */
enum straight straight_run(struct exchange *x);
/* Drops what is in the pipe. */
void straight_end(struct exchange *x);

#endif
