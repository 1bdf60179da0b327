/* issued: a pair that is made, and made anew, while the server runs (ACME); contexts begin with what there is of it. */
#ifndef TLS_ISSUED_H
#define TLS_ISSUED_H

#include "tls/tls.h"
#include <openssl/crypto.h>

struct tls_issued {
    struct text       name;                     /* in swaps */
    struct text       certificate, key;         /* the words of a configuration that mean them: "$acme_certificate" */
    struct tls_pair   pair;                     /* "data:…", while contexts are made */
    struct tls_swaps *swaps;                    /* set by who makes contexts: newer pairs are put there; NULL: nobody shows it */
};

#endif
