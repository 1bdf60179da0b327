/*
 * circle: connections that were opened for clients whom netfilter led here (transparent.h), by both of their ends, as all processes see them. A
 * client that comes with the same two ends is that connection itself: netfilter's rules do not leave out what weir opens, and it would come again
 * and again. They are known for as long as their first words are on the way, a few seconds; few of them are forgotten before when there are many.
 */
#ifndef HTTP_CIRCLE_H
#define HTTP_CIRCLE_H

#include "os/addr.h"

/* In the master, before it forks; again is fine. */
void circle_open(void);
/* A connection was opened: from is our end. */
void circle_note(const struct addr *from, const struct addr *to);
/* Was it one of ours? */
bool circle_has(const struct addr *from, const struct addr *to);

#endif
