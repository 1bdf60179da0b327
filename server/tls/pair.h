/* pair: certificates and keys as OpenSSL has them, for the files of tls. */
#ifndef TLS_PAIR_H
#define TLS_PAIR_H

#include "tls/session.h"

struct tls_loaded { X509 *leaf; STACK_OF(X509) *chain; EVP_PKEY *key; };
struct tls_teller { const struct log *log; enum log_level level; const struct log_about *about; };

/* From now on what OpenSSL frees is wiped; or no more. */
void        tls_wipe(bool on);
bool        tls_pair_is_path(struct text t);
/* For log lines. */
struct text tls_pair_shown(struct text t);
/* A file or "data:…". NULL: it cannot be opened. */
BIO        *tls_pair_bio(struct text t);
/* Is OpenSSL's last error only that a PEM file has ended? Then it is forgotten. */
bool        tls_pair_ended_well(void);
/* NULL, or what failed; OpenSSL's queue of errors tells more. */
const char *tls_pair_certificate(struct text from, struct tls_loaded *out);
const char *tls_pair_key(struct text from, const struct tls_keyring *ring, struct tls_loaded *out);
/* Both; false after one line, *out holds nothing then. */
bool        tls_loaded_read(const struct tls_pair *p, const struct tls_keyring *ring, const struct tls_teller *to, struct tls_loaded *out);
void        tls_loaded_drop(struct tls_loaded *l);
/* For one session. False after one line. */
bool        tls_pair_present(SSL *ssl, const struct tls_pair *p, const struct tls_keyring *ring, const struct tls_teller *to);

#endif
