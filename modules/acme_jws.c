/* acme_jws: requests as they are signed (RFC 7515, flattened JSON), and keys as they are told (RFC 7517). */
#include "modules/acme.h"
#include "wire/base64.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>

enum { COORDINATE_MOST = 66, SIGNATURE_MOST = 2048, DIGEST = 32 };

/* RFC 7518 3.1, 6.2; RFC 8037 */
static const struct alg {
    const char *type, *group, *crv, *alg, *digest;
    size_t      size;                   /* of a coordinate */
} algs[] = {
    { "EC",      "prime256v1", "P-256",   "ES256", "SHA256", 32 },
    { "EC",      "secp384r1",  "P-384",   "ES384", "SHA384", 48 },
    { "EC",      "secp521r1",  "P-521",   "ES512", "SHA512", 66 },
    { "RSA",     NULL,         NULL,      "RS256", "SHA256", 0 },
    { "ED25519", NULL,         "Ed25519", "EdDSA", NULL,     32 },
};

static const struct alg *alg_of(const EVP_PKEY *key)
{
    char group[64] = "";
    EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
    for (size_t i = 0; i < countof(algs); i++)
        if (EVP_PKEY_is_a(key, algs[i].type) && (!algs[i].group || strcmp(group, algs[i].group) == 0)) return &algs[i];
    return NULL;
}

const char *acme_jws_alg(const EVP_PKEY *key)
{
    const struct alg *a = alg_of(key);
    return a ? a->alg : NULL;
}

/* ---- the public key ---- */

static void put_bytes(struct build *b, const unsigned char *p, size_t n) { base64_encode(b, text_of((const char *) p, n), true); }

/* size: with zeros in front; 0: as long as it is. */
static bool put_number(struct build *b, const EVP_PKEY *key, const char *name, size_t size)
{
    unsigned char room[SIGNATURE_MOST];
    BIGNUM *n = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &n) != 1) return false;
    int length = size ? (int) size : BN_num_bytes(n);
    bool fits = length <= (int) sizeof room && BN_bn2binpad(n, room, length) == length;
    if (fits) put_bytes(b, room, (size_t) length);
    BN_free(n);
    return fits;
}

/* RFC 7638 3.3: required members alone, in lexicographic order. */
bool acme_jws_jwk(const EVP_PKEY *key, struct build *b)
{
    const struct alg *a = alg_of(key);
    unsigned char raw[DIGEST];
    size_t n = sizeof raw;
    if (!a) return false;
    if (strcmp(a->type, "RSA") == 0) {
        build_lit(b, "{\"e\":\"");
        bool good = put_number(b, key, OSSL_PKEY_PARAM_RSA_E, 0);
        build_lit(b, "\",\"kty\":\"RSA\",\"n\":\"");
        good = good && put_number(b, key, OSSL_PKEY_PARAM_RSA_N, 0);
        build_lit(b, "\"}");
        return good && build_ok(b);
    }
    build_fmt(b, "{\"crv\":\"%s\",\"kty\":\"%s\",\"x\":\"", a->crv, a->digest ? "EC" : "OKP");
    bool good = a->digest ? put_number(b, key, OSSL_PKEY_PARAM_EC_PUB_X, a->size) : EVP_PKEY_get_raw_public_key(key, raw, &n) == 1;
    if (good && !a->digest) put_bytes(b, raw, n);
    if (good && a->digest) build_lit(b, "\",\"y\":\"");
    if (good && a->digest) good = put_number(b, key, OSSL_PKEY_PARAM_EC_PUB_Y, a->size);
    build_lit(b, "\"}");
    return good && build_ok(b);
}

bool acme_jws_authorization(const EVP_PKEY *key, struct text token, struct build *b)
{
    char room[SIGNATURE_MOST];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    struct build jwk = build_in_room(room, sizeof room);
    if (!acme_jws_jwk(key, &jwk) || EVP_Digest(jwk.p, jwk.n, digest, &n, EVP_sha256(), NULL) != 1) return false;
    build_text(b, token);
    build_char(b, '.');
    put_bytes(b, digest, n);
    return build_ok(b);
}

/* ---- signatures ---- */

/* RFC 7518 3.4: two numbers of the curve's size, where OpenSSL has DER. */
static bool put_ecdsa(struct build *b, const unsigned char *der, size_t n, size_t size)
{
    unsigned char raw[2 * COORDINATE_MOST];
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long) n);
    bool good = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, (int) size) == (int) size && BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + size, (int) size) == (int) size;
    if (good) put_bytes(b, raw, 2 * size);
    ECDSA_SIG_free(s);
    return good;
}

static bool put_signature(EVP_PKEY *key, const struct alg *a, struct text input, struct build *b)
{
    unsigned char room[SIGNATURE_MOST];
    size_t n = sizeof room;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestSignInit_ex(ctx, NULL, a->digest, NULL, NULL, key, NULL) == 1 && EVP_DigestSign(ctx, room, &n, (const unsigned char *) input.p, input.n) == 1;
    EVP_MD_CTX_free(ctx);
    if (!good) return false;
    if (strcmp(a->type, "EC") == 0) return put_ecdsa(b, room, n, a->size);
    put_bytes(b, room, n);
    return true;
}

/* {"protected":…,"payload":…,"signature":…}: all but the signature; *input_out: what is signed. */
static void put_parts(struct build *b, struct text header, struct text payload, struct build *input)
{
    base64_encode(input, header, true);
    size_t dot = input->n;
    build_char(input, '.');
    base64_encode(input, payload, true);
    build_lit(b, "{\"protected\":\"");
    build_text(b, text_of(input->p, dot));
    build_lit(b, "\",\"payload\":\"");
    build_text(b, text_of(input->p + dot + 1, input->n - dot - 1));
    build_lit(b, "\",\"signature\":\"");
}

static void put_member(struct build *b, const char *name, struct text value)
{
    build_fmt(b, ",\"%s\":\"", name);
    build_json(b, value);
    build_char(b, '"');
}

bool acme_jws_sign(EVP_PKEY *key, struct text kid, struct text nonce, struct text url, struct text payload, struct build *b)
{
    const struct alg *a = alg_of(key);
    if (!a) return false;
    struct pool *scratch = pool_open(0);
    struct build header = build_in_pool(scratch, 1024, 0), input = build_in_pool(scratch, 4096, 0);
    build_fmt(&header, "{\"alg\":\"%s\"", a->alg);
    if (kid.n) put_member(&header, "kid", kid);
    else build_lit(&header, ",\"jwk\":");
    bool good = kid.n || acme_jws_jwk(key, &header);
    put_member(&header, "nonce", nonce);
    put_member(&header, "url", url);
    build_char(&header, '}');
    put_parts(b, build_done(&header), payload, &input);
    good = good && put_signature(key, a, build_done(&input), b);
    build_lit(b, "\"}");
    pool_close(&scratch);
    return good && build_ok(b);
}

/* HS256, without a nonce. */
bool acme_jws_bind(const EVP_PKEY *key, struct text kid, struct text secret, struct text url, struct build *b)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct pool *scratch = pool_open(0);
    struct build header = build_in_pool(scratch, 512, 0), jwk = build_in_pool(scratch, 1024, 0), input = build_in_pool(scratch, 4096, 0);
    build_lit(&header, "{\"alg\":\"HS256\"");
    put_member(&header, "kid", kid);
    put_member(&header, "url", url);
    build_char(&header, '}');
    bool good = acme_jws_jwk(key, &jwk);
    put_parts(b, build_done(&header), build_done(&jwk), &input);
    good = good && HMAC(EVP_sha256(), secret.p, (int) secret.n, (const unsigned char *) input.p, input.n, mac, &n);
    put_bytes(b, mac, n);
    build_lit(b, "\"}");
    pool_close(&scratch);
    return good && build_ok(b);
}
