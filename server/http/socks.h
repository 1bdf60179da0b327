/*
 * socks: a client's SOCKS5 connection (RFC 1928, RFC 1929; CONNECT alone): one request of METHOD_CONNECT, in form REQUEST_AUTHORITY, to
 * the default server of its address. User and password are the request's Proxy-Authorization. A client that gives them waits for their
 * judgement before it says where to: the request runs through access then, and waits for its target (struct protocol).
 */
#ifndef HTTP_SOCKS_H
#define HTTP_SOCKS_H

#include "event/event.h"

enum { SOCKS_VERSION = 5 };      /* r->version */

/* For listeners: takes the new connection over. */
void socks_accepted(struct conn *c);

#endif
