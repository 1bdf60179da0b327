/* tunnel: bytes both ways between the client and the upstream after an upgrade (RFC 9110 7.8), until either side ends it. */
#ifndef GATEWAY_TUNNEL_H
#define GATEWAY_TUNNEL_H

#include "base/chain.h"

struct exchange; struct conn;

/* The head of the 101 is filled in; early: bytes in the head's chunk that came after it. */
void tunnel_start(struct exchange *x, struct text early);

/* The same once the head is sent and the client's connection taken over; up: bytes of it that were read before. */
void tunnel_go(struct exchange *x, struct conn *client, struct chain *up);

#endif
