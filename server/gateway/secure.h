/* secure: the TLS side of an exchange: from a connected conn to one with a session, and the sessions that later ones resume. */
#ifndef GATEWAY_SECURE_H
#define GATEWAY_SECURE_H

#include "tls/tls.h"

struct exchange;

/* What a request's upstream is spoken to with; in the request's pool. */
struct secure {
    struct tls_context *context;
    struct text         name;        /* server name to send; empty: none */
    struct text         verify;      /* name that the certificate must bear, where the context verifies */
    struct tls_pair    *pair;        /* to show; NULL: the context's */
    struct tls_keyring  ring;        /* for pair */
    bool                reuse;       /* sessions are resumed */
    uint64_t            params;      /* stands for all above but reuse: connections with equal ones may serve each other's requests */
};

/* For the contexts of clients: keeps what may be resumed. */
extern const struct tls_hooks secure_hooks;

/* In the master, for each generation that speaks TLS to upstreams: workers keep sessions with them each for all. False after a log line. */
bool secure_share(void);

/* Of what may be a client's: under a secret key none can be made to stand for another. Never 0. */
uint64_t secure_digest(struct text t);
/* Sets s->params. */
void secure_seal(struct secure *s);
/* Begins the handshake over x->conn, which is connected; goes on with exchange_begin, via_start, or retry. */
void secure_start(struct exchange *x);

#endif
