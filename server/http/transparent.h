/*
 * transparent: a connection that netfilter led here while its client takes us for the server (listen … transparent). The first bytes are
 * looked at, and stay unread. HTTP goes on as a connection of h1, whose requests know where they were going (r->proto->original). TLS, and
 * whatever is said on a port that the server calls opaque (vhost.h), becomes one request of METHOD_CONNECT, in form REQUEST_AUTHORITY, for
 * the name in the client hello or else for the address. All else becomes such a request too, to be refused and logged.
 */
#ifndef HTTP_TRANSPARENT_H
#define HTTP_TRANSPARENT_H

#include "event/event.h"

enum { TRANSPARENT_VERSION = 6 };      /* r->version of what is not HTTP */

/* For listeners: takes the new connection over. */
void transparent_accepted(struct conn *c);

#endif
