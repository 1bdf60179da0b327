/*
 * panic: when so few peers of a group are healthy that the others could not bear all requests, health does not count: requests are
 * balanced over all of them, so that some are answered (panic_threshold). What an administrator says holds, and so does a mandatory
 * health check. Whether it is so is shared: one worker counts, ten times a second.
 */
#ifndef UPSTREAM_PANIC_H
#define UPSTREAM_PANIC_H

#include "upstream/group.h"

enum { PANIC_MARKS = PEER_UNHEALTHY | PEER_EJECTED | PEER_UNAVAIL };      /* that do not count then */

/* Is set's group in panic? anew: its peers are counted now. Only where g->panic is set. */
bool panic_look(struct peer_set *set, bool anew);

#endif
