/* h1_tls: TLS under HTTP/1 connections of clients. */
#ifndef HTTP_H1_TLS_H
#define HTTP_H1_TLS_H

#include "tls/tls.h"

/* For the contexts of servers: the name given chooses the server, which may refuse. */
extern const struct tls_hooks h1_tls_hooks;

/* A handshake that only looks whether a name is ours (RFC 8737): shows what it is to see. False: nobody asked for that. NULL: nobody does. */
extern bool (*h1_tls_challenge)(struct conn *c, struct text name);

struct vhost;
/* Where handshakes with v's clients are counted; NULL: nowhere. */
extern struct tls_counts *(*h1_tls_counts)(const struct vhost *v);

#endif
