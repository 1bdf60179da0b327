/* ocsp: asking a responder whether a certificate was revoked, and what its answer is worth (RFC 6960). Of ours and of clients. */
#ifndef TLS_OCSP_H
#define TLS_OCSP_H

#include "tls/session.h"
#include <openssl/ocsp.h>

enum { OCSP_ANSWER_MOST = 16384 };       /* bytes of an answer */

struct ocsp_pair { X509 *certificate, *issuer; };

/* The request, DER; what tells the certificate from all others, DER. Both in p. */
struct text ocsp_request(const struct ocsp_pair *q, struct pool *p);
struct text ocsp_id(const struct ocsp_pair *q, struct pool *p);
/* The responder that the certificate names: the owner's to free. NULL: none. */
char       *ocsp_url(const X509 *certificate);

struct ocsp_judge {
    STACK_OF(X509) *signers;       /* who may have signed, or stand between who did and a root */
    X509_STORE     *store;
    unsigned long   flags;         /* OCSP_NOVERIFY, OCSP_TRUSTOTHER */
};
/* Status: V_OCSP_CERTSTATUS_…. valid_s: INT64_MAX: until when is not said. */
struct ocsp_answer { int status; int64_t valid_s; };
/* NULL, or what is wrong with the answer: then it says nothing of the certificate. */
const char *ocsp_read(const struct ocsp_pair *q, const struct ocsp_judge *j, struct text der, struct ocsp_answer *out);

/* From a client's good certificate to the root that it was found good by: the caller's to free. NULL: it has shown none, or one
 * that is not good; or, with *wrong_out set, a resumed session holds too little to tell. */
STACK_OF(X509) *ocsp_chain(SSL *ssl, const char **wrong_out);

#endif
