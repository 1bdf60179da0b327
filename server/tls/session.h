/* session: the TLS side of a conn, as the files of tls see it. */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include "tls/tls.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

#define TLS_MAGIC 0x544c5331u
#define TLS_CONTEXT_MAGIC 0x544c5843u

enum { TLS_RECORD = 16384, TLS_OVERHEAD = 512 };     /* of plain text; more than what a record adds to it */

/* Lives as long as its SSL_CTX, whose count every SSL keeps. */
struct tls_context {
    unsigned                magic;
    bool                    server;
    enum tls_verify         verify;
    size_t                  record;
    struct tls_ramp         ramp;
    bool                    early;
    SSL_CTX                *ctx;
    const struct tls_hooks *hooks;
    struct tls_cache       *cache;
    struct tls_tickets     *tickets;
    struct text             curves;             /* for sessions that come to this context by name */
    void                  (*key_line)(void *arg, struct text line);
    void                   *key_arg;
    struct tls_swaps       *swaps;              /* swap.c */
    uint64_t                version;            /* of the swaps, that this context has taken */
    struct text            *names;              /* of its pairs */
    size_t                  name_count;
    struct tls_context     *before, *after;     /* in the list of contexts with swaps */
};

struct tls {
    unsigned            magic;
    unsigned            unsent_at, unsent_n;   /* in unsent */
    int                 error;                 /* errno of the socket */
    SSL                *ssl;                   /* NULL until a client's first record is there */
    struct tls_context *context;               /* that the server name chose */
    struct tls_context *first;                 /* it began with: caches and tickets are this one's, as OpenSSL has it */
    unsigned            given_at, given_n;
    unsigned            early_at, early_n;
    struct chunk       *given;                 /* a first record, as far as it is read; or what the owner read before us */
    struct chunk       *early;                 /* 0-RTT data that the owner has not read */
    struct chunk       *unsent;                /* records that the kernel refused */
    void              (*owner_ready)(struct conn *c, unsigned what);   /* during the handshake */
    tls_done           *done;
    const char         *doing;                 /* c->about.doing of before */
    uint64_t            tag;
    uint64_t            wrote_ms;              /* where the context has a ramp */
    unsigned            ramped;                /* records sent since the pause; up to twice the ramp's */
    const char         *distrusted;            /* by whom the owner asked of the peer's certificate: why */
    struct tls_guest   *guest;
    char               *verify;                /* client side, until it is checked */
    struct fiber       *fiber;                 /* the handshake's, while it waits for a key */
    int                 went;                  /* how its last step went, as SSL_get_error says */
    struct tls_prints  *prints;                /* hello.c; NULL: not wanted */
    bool                ready,                 /* the handshake is over */
                        held,                  /* the first byte of the owner's chain is in unsent already */
                        eof,                   /* the socket ended */
                        refused,               /* by the server_name hook */
                        challenge,             /* acme-tls/1 was agreed on */
                        early_open,            /* 0-RTT data may still come */
                        broken,                /* of no more use: nothing is said at the end */
                        closed;                /* close_notify was sent */
};

/* ---- wire.c: between OpenSSL and the socket ---- */

BIO *tls_wire_bio(struct conn *c);                       /* NULL: out of memory */
void tls_wire_begin(struct conn *c);                     /* before a call that may write */
/* Sends what was gathered since, and what was refused before. IO_AGAIN: some of it is kept. */
enum io tls_wire_flush(struct conn *c, struct tls *t);
size_t tls_wire_room(void);                              /* bytes that can still be gathered */

/* ---- io.c ---- */

void tls_settle(struct conn *c);                         /* readable, by what the session and the socket hold */

/* ---- handshake.c ---- */

/* c ends: where its handshake waits for a key, that fails. */
void tls_handshake_abandon(struct conn *c, struct tls *t);

/* ---- context.c ---- */

static inline struct conn *tls_conn_of(const SSL *ssl) { return SSL_get_app_data(ssl); }
struct tls_context *tls_context_find(const SSL_CTX *ctx);
extern bool tls_early_is_used;                           /* some context takes 0-RTT data */

/* ---- hello.c: what the client asked for ---- */

void tls_hello_attach(SSL_CTX *ctx, bool late);
/* Watches for the hello, where fingerprints are wanted. */
void tls_hello_watch(struct tls *t);

/* ---- credential.c: what a context is made of, from files ---- */

bool tls_credential_pairs(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log);
bool tls_credential_trust(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log);
bool tls_credential_dhparam(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log);

/* ---- swap.c ---- */

void tls_swaps_follow(struct tls_context *x, const struct tls_settings *s);
void tls_swaps_leave(struct tls_context *x);

/* ---- cache.c, ticket.c: OpenSSL's callbacks ---- */

void tls_cache_attach(SSL_CTX *ctx);
struct shm_lock *tls_cache_lock(struct tls_cache *cache);     /* for tests of a holder's death */
void tls_ticket_attach(SSL_CTX *ctx);

#endif
