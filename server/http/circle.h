/*
 * circle: connections that may lead back to us, by both of their ends, as all processes see them: those that were opened for clients whom
 * netfilter led here (transparent.h), and those to other proxies. A client that comes with the same two ends is that connection itself:
 * netfilter's rules do not leave out what weir opens, or the other proxy is this one, and it would come again and again. They are known for as long as their first words are on the way, a few seconds; few of them are forgotten before when there are many.
 */
#ifndef HTTP_CIRCLE_H
#define HTTP_CIRCLE_H

#include "os/addr.h"

/* In the master, before it forks; again is fine. */
void circle_open(void);
enum { CIRCLE_MOST = 8 };      /* so many of ours one behind the other may be meant: a chain of proxies in one process */

/* A connection was opened: from is our end. depth: of it, 1 if it was opened for a client who is none of ours, else one more than that one's. */
void circle_note(const struct addr *from, const struct addr *to, unsigned depth);
/* Its depth; 0: it is none of ours. */
unsigned circle_depth(const struct addr *from, const struct addr *to);

#endif
