#include "modules/auth_jwt.h"
#include "wire/base64.h"
#include <math.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

static const struct jwt_alg algs[] = {
    { "HS256", JWT_HS, 256 }, { "HS384", JWT_HS, 384 }, { "HS512", JWT_HS, 512 }, { "RS256", JWT_RS, 256 }, { "RS384", JWT_RS, 384 }, { "RS512", JWT_RS, 512 },
    { "PS256", JWT_PS, 256 }, { "PS384", JWT_PS, 384 }, { "PS512", JWT_PS, 512 }, { "ES256", JWT_ES, 256 }, { "ES384", JWT_ES, 384 }, { "ES512", JWT_ES, 512 },
    { "EdDSA", JWT_EDDSA, 0 },
};

/* ---- reading ---- */

static bool decode(struct pool *pool, struct text t, struct text *out)
{
    struct build b = build_in_pool(pool, t.n + 4, 0);
    if (t.n == 0 || memchr(t.p, '=', t.n) || !base64_decode(&b, t, true)) return false;      /* RFC 7515 2: no padding */
    *out = build_done(&b);
    return true;
}

static void free_json(void *j) { json_decref(j); }

static json_t *read_object(struct pool *pool, struct text t)
{
    json_t *j = json_loadb(t.p, t.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(j)) {
        json_decref(j);
        return NULL;
    }
    pool_cleanup(pool, free_json, j);
    return j;
}

static const struct jwt_alg *find_alg(const json_t *name)
{
    for (size_t i = 0; json_is_string(name) && i < countof(algs); i++)
        if (strcmp(json_string_value(name), algs[i].name) == 0) return &algs[i];
    return NULL;
}

static const char *read_header(struct jwt *t)
{
    const json_t *kid = json_object_get(t->header, "kid");
    t->alg = find_alg(json_object_get(t->header, "alg"));
    if (!t->alg) return "its algorithm is none that is known";
    /* RFC 7515 4.1.11: extensions that must be understood are not. */
    if (json_object_get(t->header, "crit")) return "it has critical extensions";
    if (kid && !json_is_string(kid)) return "its key id is no text";
    if (kid) t->kid = text_of(json_string_value(kid), json_string_length(kid));
    return NULL;
}

const char *jwt_read(struct pool *pool, struct text token, struct jwt *out)
{
    struct text rest = token, parts[3], head;
    *out = (struct jwt) { .alg = NULL };
    if (token.n > JWT_MOST) return "it is too long";
    for (size_t i = 0; i < countof(parts); i++)
        if (!text_split(&rest, '.', &parts[i])) return "it has not three parts";
    if (rest.p) return "it has not three parts";
    if (!decode(pool, parts[0], &head)) return "its header is not base64url";
    if (!(out->header = read_object(pool, head))) return "its header is no JSON object";
    const char *why = read_header(out);
    if (why) return why;
    if (!decode(pool, parts[1], &out->payload_text)) return "its payload is not base64url";
    if (!(out->payload = read_object(pool, out->payload_text))) return "its payload is no JSON object";
    if (!decode(pool, parts[2], &out->signature)) return "its signature is not base64url";
    out->signed_part = text_of(token.p, parts[0].n + 1 + parts[1].n);
    return NULL;
}

const char *jwt_read_claims(struct pool *pool, struct text json, struct jwt *out)
{
    *out = (struct jwt) { .payload_text = json, .payload = read_object(pool, json) };
    return out->payload ? NULL : "its payload is no JSON object";
}

/* ---- verifying ---- */

static const EVP_MD *digest_of(unsigned bits) { return bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : EVP_sha512(); }

static bool verify_hmac(const struct jwt *t, const struct jwk *k)
{
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!HMAC(digest_of(t->alg->bits), k->secret, (int) k->secret_n, (const unsigned char *) t->signed_part.p, t->signed_part.n, out, &n)) return false;
    return text_eq_secret(t->signature, text_of((char *) out, n));
}

/* RFC 7518 3.4: r and s, each as long as the curve's order; OpenSSL wants DER. Returns its length, 0: it is none. */
static size_t to_der(struct text raw, unsigned bits, unsigned char *room, size_t size)
{
    int half = bits == 512 ? 66 : (int) bits / 8, n = 0;
    if (raw.n != (size_t) half * 2) return 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn((const unsigned char *) raw.p, half, NULL), *s = BN_bin2bn((const unsigned char *) raw.p + half, half, NULL);
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
        r = s = NULL;
        n = i2d_ECDSA_SIG(sig, NULL);
        unsigned char *at = room;
        n = n > 0 && (size_t) n <= size ? i2d_ECDSA_SIG(sig, &at) : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t) n : 0;
}

static bool set_padding(EVP_PKEY_CTX *ctx, enum jwt_family family)
{
    if (family == JWT_RS) return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
    /* RFC 7518 3.5: the salt is as long as the digest */
    return family != JWT_PS || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
}

static bool verify_public(const struct jwt *t, const struct jwk *k)
{
    unsigned char der[160];
    struct text sig = t->signature;
    EVP_PKEY_CTX *ctx;
    if (t->alg->family == JWT_ES) {
        sig = text_of((char *) der, to_der(sig, t->alg->bits, der, sizeof der));
        if (!sig.n) return false;
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestVerifyInit(md, &ctx, t->alg->family == JWT_EDDSA ? NULL : digest_of(t->alg->bits), NULL, k->pkey) == 1 && set_padding(ctx, t->alg->family)
             && EVP_DigestVerify(md, (const unsigned char *) sig.p, sig.n, (const unsigned char *) t->signed_part.p, t->signed_part.n) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

/* A key's type decides; RSA keys serve RS and PS. */
static bool may_use(const struct jwt *t, const struct jwk *k)
{
    enum jwt_family family = t->alg->family == JWT_PS ? JWT_RS : t->alg->family;
    if (!k->signs || k->family != family || (k->alg && strcmp(k->alg, t->alg->name) != 0)) return false;
    return family != JWT_ES || k->bits == t->alg->bits;
}

const char *jwt_verify(const struct jwt *t, const struct jwk_set *keys)
{
    bool any = false;
    for (const struct jwk *k = jwk_set_first(keys); k; k = k->next) {
        if ((t->kid.n && k->kid && !text_eq(t->kid, text_c(k->kid))) || !may_use(t, k)) continue;
        any = true;
        if (k->family == JWT_HS ? verify_hmac(t, k) : verify_public(t, k)) return NULL;
    }
    return any ? "its signature is wrong" : "there is no key for it";
}

/* ---- times ---- */

/* RFC 7519 2, NumericDate: seconds, perhaps with a fraction. False: it is there and is none. */
static bool read_time(const json_t *payload, const char *name, double *out, bool *given)
{
    const json_t *j = json_object_get(payload, name);
    *given = j != NULL;
    if (!j) return true;
    if (!json_is_number(j)) return false;
    *out = json_number_value(j);
    return isfinite(*out);
}

const char *jwt_check_times(const struct jwt *t, int64_t now, int64_t leeway)
{
    double exp = 0, nbf = 0, iat = 0;
    bool has_exp, has_nbf, has_iat;
    if (!read_time(t->payload, "exp", &exp, &has_exp) || !read_time(t->payload, "nbf", &nbf, &has_nbf) || !read_time(t->payload, "iat", &iat, &has_iat))
        return "one of its times is no number";
    if (has_exp && (double) now >= exp + (double) leeway) return "it has expired";
    if (has_nbf && (double) now < nbf - (double) leeway) return "it is not valid yet";
    if (has_iat && (double) now < iat - (double) leeway) return "it was issued in the future";
    return NULL;
}
