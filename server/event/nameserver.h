/*
 * nameserver: the questions on their way to DNS servers, by c-ares: sent again, to the next server, by TCP where the answer is long. For
 * resolve.c only; a test may put its own in place of nameserver.c.
 */
#ifndef EVENT_NAMESERVER_H
#define EVENT_NAMESERVER_H

#include "event/resolve.h"

struct nameserver;

bool nameserver_is_built(void);
/* Those servers; count 0: those of /etc/resolv.conf, as it is then. NULL after a log line. */
struct nameserver *nameserver_open(const struct addr *servers, size_t count);
/* Questions under way are forgotten. Not from within told. NULL is fine. */
void nameserver_close(struct nameserver **s);
/* Asks for records of that type, in the system's case by way of the search list. told is called once (also from within): LOOKUP_FOUND with the message as it
 * came, which says that there is nothing, too; LOOKUP_NONE, perhaps with one; else what went wrong. */
void nameserver_ask(struct nameserver *s, const char *name, enum dns_type type, void (*told)(void *arg, enum lookup_end how, struct text message), void *arg);
/* Questions under way. */
unsigned nameserver_load(const struct nameserver *s);
/* An address of name in /etc/hosts. */
bool nameserver_hosts(struct nameserver *s, const char *name, sa_family_t family, struct addr *out);

#endif
