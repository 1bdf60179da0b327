/* staple: what a responder says of our certificates (OCSP, RFC 6960), shown to clients with them (RFC 6066 8). */
#ifndef TLS_STAPLE_H
#define TLS_STAPLE_H

#include "tls/tls.h"

struct tls_staple_settings {
    struct text file;         /* an answer, DER; empty: the responder is asked */
    struct text responder;    /* its URL; empty: the certificate's */
    bool        verify;       /* answers must be signed by whom the context trusts */
    bool        later;        /* the certificate is only until another comes: nothing is said of one that cannot be asked for */
    const void *origin;       /* the user's: tls_staple_origin tells it */
};

struct tls_staple;
extern struct tls_staple *tls_staple_list;       /* those to be asked for, of all contexts of this process */
struct tls_staple *tls_staple_after(struct tls_staple *s);

/* In the master, once a context has all its certificates. Answers lie in z. False after an [emerg] line; what stops only stapling
 * is a [warn]. */
bool tls_staple_open(struct tls_context *x, struct zone *z, const struct tls_staple_settings *t, const struct log *log);

/* "http://…" of the responder, empty: there is none to be asked yet; the request, DER, in p; words for log lines. */
struct text tls_staple_url(const struct tls_staple *s);
const void *tls_staple_origin(const struct tls_staple *s);
struct text tls_staple_request(const struct tls_staple *s, struct pool *p);
/* An answer: if it is good it is shown from now on. NULL, or what is wrong with it. *again_out: when to ask again. */
const char *tls_staple_put(struct tls_staple *s, struct text der, int64_t now_s, int64_t *again_out);
/* Contexts have taken other certificates: changed is told of each that is another one now. How many. */
unsigned tls_staple_renew(void (*changed)(struct tls_staple *s));
/* The user's; gone is told of it when its context ends. */
extern void (*tls_staple_gone)(void *data);
void *tls_staple_data(const struct tls_staple *s);
void tls_staple_set_data(struct tls_staple *s, void *data);

#endif
