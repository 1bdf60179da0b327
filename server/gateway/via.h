/*
 * via: what is said to a peer that is a proxy itself, before it leads on to where the request goes: CONNECT (RFC 9110 9.3.6) or SOCKS5
 * (RFC 1928). The peer's connection is one with the target then. A peer that cannot be understood, or refuses our login, has failed, and
 * another one is asked; one that says it cannot or will not lead there has answered: nobody else is asked, but it is asked for the next address
 * where there are several.
 */
#ifndef GATEWAY_VIA_H
#define GATEWAY_VIA_H

#include "wire/socks.h"

struct exchange; struct via_run;

enum via_kind { VIA_CONNECT, VIA_SOCKS };

/* Of one request, in its pool; x->via, set before exchange_start. */
struct via {
    enum via_kind        kind;
    bool                 inside;           /* TLS is with the peer, and this is said inside of it; else TLS, where there is any, is with the target */
    const struct socks_request *targets;   /* count of them, tried in turn; of CONNECT the first alone: host as in a URI, whatever its kind */
    size_t               count;
    struct socks_login   login;            /* of SOCKS; no user: none */
    struct text          authorization;    /* of CONNECT: the value of Proxy-Authorization; empty: none */
};

/* x->conn is connected (and its handshake over, where TLS is with the peer). Goes on with secure_start or exchange_begin, retry, or
 * exchange_fail. What the target has said already is x->early. */
void via_start(struct exchange *x);
/* Says no more. */
void via_stop(struct exchange *x);

#endif
