/* Encrypted tokens: RFC 7516 in its compact form, with the algorithms of RFC 7518 4 and 5 that take a key of a set. */
#include "modules/auth_jwt.h"
#include "wire/base64.h"
#include <openssl/hmac.h>
#include <openssl/rsa.h>

enum { CEK_MOST = 64, TAG_SIZE = 16, GCM_IV = 12, HEADER_MOST = 8192 };

struct jwe_alg { const char *name; enum jwe_way way; unsigned bits; };
struct jwe_enc { const char *name; bool gcm; unsigned bits; };      /* bits of the AES key; with CBC that many are of the MAC too */

static const struct jwe_alg algs[] = {
    { "dir", JWE_DIRECT, 0 }, { "A128KW", JWE_WRAP, 128 }, { "A192KW", JWE_WRAP, 192 }, { "A256KW", JWE_WRAP, 256 }, { "A128GCMKW", JWE_GCM_WRAP, 128 },
    { "A192GCMKW", JWE_GCM_WRAP, 192 }, { "A256GCMKW", JWE_GCM_WRAP, 256 }, { "RSA-OAEP", JWE_RSA, 1 }, { "RSA-OAEP-256", JWE_RSA, 256 },
    { "RSA-OAEP-384", JWE_RSA, 384 }, { "RSA-OAEP-512", JWE_RSA, 512 },
};
static const struct jwe_enc encs[] = {
    { "A128CBC-HS256", false, 128 }, { "A192CBC-HS384", false, 192 }, { "A256CBC-HS512", false, 256 }, { "A128GCM", true, 128 }, { "A192GCM", true, 192 }, { "A256GCM", true, 256 },
};

static size_t cek_size(const struct jwe_enc *e) { return e->bits / 8 * (e->gcm ? 1 : 2); }

/* ---- reading ---- */

static bool decode(struct pool *pool, struct text t, struct text *out)
{
    struct build b = build_in_pool(pool, t.n + 4, 0);
    if (memchr(t.p ? t.p : "", '=', t.n) || !base64_decode(&b, t, true)) return false;      /* RFC 7515 2: no padding */
    *out = build_done(&b);
    return true;
}

static void free_json(void *j) { json_decref(j); }

static const char *read_algs(struct jwe *t)
{
    const char *alg = json_string_value(json_object_get(t->header, "alg")), *enc = json_string_value(json_object_get(t->header, "enc"));
    const json_t *kid = json_object_get(t->header, "kid");
    for (size_t i = 0; alg && i < countof(algs); i++)
        if (strcmp(alg, algs[i].name) == 0) t->alg = &algs[i];
    for (size_t i = 0; enc && i < countof(encs); i++)
        if (strcmp(enc, encs[i].name) == 0) t->enc = &encs[i];
    if (!t->alg) return "its key algorithm is none that is known";
    if (!t->enc) return "its encryption is none that is known";
    if (json_object_get(t->header, "crit")) return "it has critical extensions";
    if (json_object_get(t->header, "zip")) return "it is compressed";       /* what it would grow to nobody has said */
    if (kid && !json_is_string(kid)) return "its key id is no text";
    if (kid) t->kid = text_of(json_string_value(kid), json_string_length(kid));
    return NULL;
}

const char *jwe_read(struct pool *pool, struct text token, struct jwe *out)
{
    struct text rest = token, parts[5], head;
    *out = (struct jwe) { .alg = NULL };
    if (token.n > JWT_MOST) return "it is too long";
    for (size_t i = 0; i < countof(parts); i++)
        if (!text_split(&rest, '.', &parts[i])) return "it has not five parts";
    if (rest.p) return "it has not five parts";
    if (!parts[0].n || parts[0].n > HEADER_MOST || !decode(pool, parts[0], &head)) return "its header is not base64url";
    json_t *header = json_loadb(head.p, head.n, JSON_REJECT_DUPLICATES, NULL);
    pool_cleanup(pool, free_json, header);
    if (!json_is_object(header)) return "its header is no JSON object";
    out->header = header;
    out->head = parts[0];
    const char *why = read_algs(out);
    if (why) return why;
    if (!decode(pool, parts[1], &out->key) || !decode(pool, parts[2], &out->iv) || !decode(pool, parts[3], &out->cipher) || !decode(pool, parts[4], &out->tag))
        return "one of its parts is not base64url";
    return NULL;
}

/* ---- opening ---- */

static const unsigned char *bytes(struct text t) { return (const unsigned char *) (t.n ? t.p : ""); }

static const EVP_CIPHER *cipher_of(enum jwe_way way, unsigned bits)
{
    static const EVP_CIPHER *(*const ciphers[3][3])(void) = {
        { EVP_aes_128_wrap, EVP_aes_192_wrap, EVP_aes_256_wrap }, { EVP_aes_128_gcm, EVP_aes_192_gcm, EVP_aes_256_gcm }, { EVP_aes_128_cbc, EVP_aes_192_cbc, EVP_aes_256_cbc },
    };
    return ciphers[way == JWE_WRAP ? 0 : way == JWE_GCM_WRAP ? 1 : 2][bits / 64 - 2]();
}

/* in through a cipher to out, which has room for it. False: it was not made with this key. */
static bool run(const EVP_CIPHER *cipher, const unsigned char *key, struct text iv, struct text aad, struct text in, struct text tag, unsigned char *out, size_t *n_out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, more = 0;
    if (ctx) EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool good = ctx && EVP_DecryptInit_ex(ctx, cipher, NULL, key, iv.n ? bytes(iv) : NULL) == 1 && (!aad.n || EVP_DecryptUpdate(ctx, NULL, &n, bytes(aad), (int) aad.n) == 1);
    n = 0;
    good = good && (!in.n || EVP_DecryptUpdate(ctx, out, &n, bytes(in), (int) in.n) == 1)
        && (!tag.n || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int) tag.n, (void *) (uintptr_t) tag.p) == 1)
        && EVP_DecryptFinal_ex(ctx, out + n, &more) == 1;
    EVP_CIPHER_CTX_free(ctx);
    *n_out = (size_t) n + (size_t) more;
    return good;
}

static bool open_rsa(const struct jwe *t, const struct jwk *k, unsigned char *cek, size_t *n_out)
{
    static const char *const digests[] = { "SHA1", "SHA256", "SHA384", "SHA512" };
    unsigned char room[2048];           /* a key of 16384 bits */
    size_t n = sizeof room;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
    const char *digest = digests[t->alg->bits == 1 ? 0 : t->alg->bits / 128 - 1];
    bool good = ctx && (size_t) EVP_PKEY_get_size(k->pkey) <= sizeof room && EVP_PKEY_decrypt_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0
             && EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, digest, NULL) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, digest, NULL) > 0
             && EVP_PKEY_decrypt(ctx, room, &n, bytes(t->key), t->key.n) > 0 && n <= CEK_MOST;
    EVP_PKEY_CTX_free(ctx);
    if (good) memcpy(cek, room, *n_out = n);
    explicit_bzero(room, sizeof room);
    return good;
}

/* RFC 7518 4.7.1: the header has its iv and tag. */
static bool open_gcm_wrap(struct pool *pool, const struct jwe *t, const struct jwk *k, unsigned char *cek, size_t *n_out)
{
    struct text iv, tag;
    if (!decode(pool, text_c(json_string_value(json_object_get(t->header, "iv"))), &iv) || !decode(pool, text_c(json_string_value(json_object_get(t->header, "tag"))), &tag)) return false;
    return iv.n == GCM_IV && tag.n == TAG_SIZE && t->key.n <= CEK_MOST && run(cipher_of(JWE_GCM_WRAP, t->alg->bits), k->secret, iv, T(""), t->key, tag, cek, n_out);
}

/* The key that the content was encrypted with. */
static bool open_key(struct pool *pool, const struct jwe *t, const struct jwk *k, unsigned char *cek)
{
    size_t n = 0;
    bool good = false;
    switch (t->alg->way) {
    case JWE_DIRECT:                    /* RFC 7518 4.5: the encrypted key is empty */
        if ((good = !t->key.n && k->secret_n <= CEK_MOST)) memcpy(cek, k->secret, n = k->secret_n);
        break;
    case JWE_WRAP:                      /* eight bytes more than what is in it */
        good = t->key.n <= CEK_MOST + 8 && t->key.n >= 24 && t->key.n % 8 == 0 && run(cipher_of(JWE_WRAP, t->alg->bits), k->secret, T(""), T(""), t->key, T(""), cek, &n);
        break;
    case JWE_GCM_WRAP: good = open_gcm_wrap(pool, t, k, cek, &n); break;
    case JWE_RSA:      good = open_rsa(t, k, cek, &n); break;
    }
    return good && n == cek_size(t->enc);
}

/* RFC 7518 5.2.2.2: the MAC is of the header, the iv, the text and the header's length in bits; half of it is the tag. */
static bool has_right_tag(struct pool *pool, const struct jwe *t, const unsigned char *key, size_t half)
{
    unsigned char out[EVP_MAX_MD_SIZE], length[8];
    unsigned n = 0;
    struct build b = build_in_pool(pool, t->head.n + t->iv.n + t->cipher.n + sizeof length, 0);
    for (unsigned i = 0; i < sizeof length; i++) length[i] = (unsigned char) ((uint64_t) t->head.n * 8 >> (56 - 8 * i));
    build_text(&b, t->head);
    build_text(&b, t->iv);
    build_text(&b, t->cipher);
    build_text(&b, text_of((const char *) length, sizeof length));
    struct text all = build_done(&b);
    const EVP_MD *md = half == 16 ? EVP_sha256() : half == 24 ? EVP_sha384() : EVP_sha512();
    return HMAC(md, key, (int) half, bytes(all), all.n, out, &n) && text_eq_secret(t->tag, text_of((const char *) out, half));
}

static bool open_content(struct pool *pool, const struct jwe *t, const unsigned char *cek, struct text *out)
{
    size_t half = t->enc->bits / 8, n = 0;
    unsigned char *room = (unsigned char *) pool_bytes(pool, t->cipher.n + 32);
    bool good;
    if (t->enc->gcm) good = t->iv.n == GCM_IV && t->tag.n == TAG_SIZE && run(cipher_of(JWE_GCM_WRAP, t->enc->bits), cek, t->iv, t->head, t->cipher, t->tag, room, &n);
    else good = t->iv.n == 16 && has_right_tag(pool, t, cek, half) && run(cipher_of(JWE_DIRECT, t->enc->bits), cek + half, t->iv, T(""), t->cipher, T(""), room, &n);
    *out = text_of((const char *) room, n);
    return good;
}

static bool may_use(const struct jwe *t, const struct jwk *k)
{
    bool fits = t->alg->way == JWE_RSA ? k->family == JWT_RS && k->private : k->family == JWT_HS && (t->alg->way == JWE_DIRECT ? k->secret_n == cek_size(t->enc) : k->secret_n == t->alg->bits / 8);
    if (!fits || !k->opens || (t->kid.n && k->kid && !text_eq(t->kid, text_c(k->kid)))) return false;
    return !k->alg || strcmp(k->alg, t->alg->name) == 0 || (t->alg->way == JWE_DIRECT && strcmp(k->alg, t->enc->name) == 0);
}

const char *jwe_open(struct pool *pool, const struct jwe *t, const struct jwk_set *keys, struct text *out)
{
    unsigned char cek[CEK_MOST + 32];
    bool any = false, good = false;
    for (const struct jwk *k = jwk_set_first(keys); k && !good; k = k->next) {
        if (!may_use(t, k)) continue;
        any = true;
        good = open_key(pool, t, k, cek) && open_content(pool, t, cek, out);
        explicit_bzero(cek, sizeof cek);
    }
    return good ? NULL : any ? "it cannot be decrypted" : "there is no key to decrypt it";
}
