/*
 * auth_jwt's other rooms: jwt, a token (RFC 7519 in the compact form of RFC 7515), jwe, one that is encrypted (RFC 7516), and
 * jwk_set, keys (RFC 7517). What is wrong is told in a few words, which never have anything of the token or the keys in them.
 */
#ifndef MODULES_AUTH_JWT_H
#define MODULES_AUTH_JWT_H

#include "base/log.h"
#include "base/pool.h"
#include <jansson.h>
#include <openssl/evp.h>

/* RFC 7518 3.1, RFC 8037 3.1 */
enum jwt_family { JWT_HS, JWT_RS, JWT_PS, JWT_ES, JWT_EDDSA };
struct jwt_alg { const char *name; enum jwt_family family; unsigned bits; };

struct jwt {
    const struct jwt_alg *alg;
    json_t               *header, *payload;     /* objects */
    struct text           kid;                  /* empty: none */
    struct text           payload_text;
    struct text           signed_part, signature;
};

struct jwk_set;

enum { JWT_MOST = 32768 };          /* bytes of a token */

/* NULL: read, in pool (which frees what the token has); else what is wrong. "none" is no algorithm. Nothing is verified yet. */
const char *jwt_read(struct pool *pool, struct text token, struct jwt *out);
/* NULL: a key of the set made the signature. A key fits only the algorithms of its type, and its own "alg" where it has one. */
const char *jwt_verify(const struct jwt *t, const struct jwk_set *keys);
/* NULL: exp, nbf and iat, where they are given, let it be used now; leeway in seconds. */
const char *jwt_check_times(const struct jwt *t, int64_t now, int64_t leeway);
/* The claims of a token that was encrypted and not signed, as jwt_read gives them. */
const char *jwt_read_claims(struct pool *pool, struct text json, struct jwt *out);

/* An encrypted token (RFC 7516). Its algorithms are rows of auth_jwt_open.c. */
enum jwe_way { JWE_DIRECT, JWE_WRAP, JWE_GCM_WRAP, JWE_RSA };
struct jwe { const struct jwe_alg *alg; const struct jwe_enc *enc; json_t *header; struct text kid, head, key, iv, cipher, tag; };
/* NULL: read, in pool; else what is wrong. */
const char *jwe_read(struct pool *pool, struct text token, struct jwe *out);
/* NULL: a key of the set opened it, and *out, in pool, is what was in it. */
const char *jwe_open(struct pool *pool, const struct jwe *t, const struct jwk_set *keys, struct text *out);

/* The keys of a JWKS text; NULL with *why_out. Keys that can neither verify nor decrypt, or of unknown types, are left out; *unused_out tells
 * how many. The set ends with jwk_set_end. */
struct jwk_set *jwk_set_read(struct text json, const char **why_out, unsigned *unused_out);
void jwk_set_end(struct jwk_set **s);
/* The keys of a file: read anew when it has changed (looked at no more often than every look_ms). NULL after a log line. Good until
 * the next call. path ends with NUL. */
const struct jwk_set *jwk_set_of_file(struct text path, uint64_t look_ms, const struct log *log, const struct log_about *about);

/* One key of a set, for jwt_verify and jwe_open. signs, opens: what it may be used for, as it says itself. */
struct jwk {
    struct jwk     *next;
    EVP_PKEY       *pkey;
    unsigned char  *secret;
    size_t          secret_n;
    enum jwt_family family;
    unsigned        bits;
    bool            signs, opens, private;      /* private: pkey can decrypt */
    char           *kid, *alg;
};
const struct jwk *jwk_set_first(const struct jwk_set *s);

#endif
