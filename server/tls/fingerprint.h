/* fingerprint: JA3 and JA4 of a client hello. */
#ifndef TLS_FINGERPRINT_H
#define TLS_FINGERPRINT_H

#include "base/build.h"

/* What both are made of; slices of the message. */
struct hello_facts {
    unsigned    version;               /* legacy_version */
    struct text ciphers;               /* two bytes each */
    struct text extensions;            /* whole, type and length before each */
    struct text groups, schemes, formats, versions;   /* contents of their extensions; empty: none */
    struct text alpn;                  /* the first protocol offered; empty: none */
    bool        named;                 /* a server name was given */
};

/* hello: a handshake message of type 1, with its four bytes of type and length. False: it is malformed. */
bool fingerprint_read(struct text hello, struct hello_facts *out);
/* "771,4865-…": what JA3 hashes. */
void fingerprint_ja3(const struct hello_facts *f, struct build *b);
/* "t13d1516h2_8daaf6152771_02713d6af862" */
void fingerprint_ja4(const struct hello_facts *f, struct build *b);

#endif
