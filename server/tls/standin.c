/*
 * standin: keys without private parts, as a provider of OpenSSL's (provider(7)) that lives in a library context of its own, so that
 * nobody else gets its algorithms. What the public part can tell it tells; signatures and decryptions are asked for by keyline.
 */
#include "tls/vault.h"
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

struct standin { EVP_PKEY *known; unsigned char id[VAULT_ID]; unsigned refs; };

static OSSL_LIB_CTX *library;
#define PARAM_STANDIN "weir-standin"

/* ---- keymgmt: provider-keymgmt(7) ---- */

static void *key_new(void *provider)
{
    (void) provider;
    return OPENSSL_zalloc(sizeof(struct standin));
}

static void key_free(void *key)
{
    struct standin *s = key;
    if (!s) return;
    if (s->known) vault_release(s->id);
    EVP_PKEY_free(s->known);
    OPENSSL_free(s);
}

/* From standin_open alone. */
static int key_import(void *key, int selection, const OSSL_PARAM params[])
{
    struct standin *s = key;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_STANDIN);
    (void) selection;
    if (!p || p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != sizeof(*s)) return 0;
    memcpy(s, p->data, sizeof(*s));
    return 1;
}

/* It says that it has all: what a handshake needs of it, it does. */
static int key_has(const void *key, int selection) { (void) key, (void) selection; return 1; }

static int key_match(const void *a, const void *b, int selection)
{
    const struct standin *x = a, *y = b;
    (void) selection;
    return memcmp(x->id, y->id, VAULT_ID) == 0;
}

static int key_get_params(void *key, OSSL_PARAM params[])
{
    const struct standin *s = key;
    return EVP_PKEY_get_params(s->known, params);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL), OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL), OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0), OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0), OSSL_PARAM_END,
    };
    (void) provider;
    return list;
}

/* The private part is not there to be given: OpenSSL then comes to us for it. */
static int key_export(void *key, int selection, OSSL_CALLBACK *take, void *arg)
{
    const struct standin *s = key;
    return !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) && EVP_PKEY_export(s->known, selection, take, arg);
}

static const OSSL_PARAM *key_types(int selection)
{
    static const OSSL_PARAM list[] = { OSSL_PARAM_octet_string(PARAM_STANDIN, NULL, 0), OSSL_PARAM_END };
    (void) selection;
    return list;
}

static const char *ec_operation(int operation) { return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL; }

typedef void (*function)(void);
#define KEY_ROWS \
    { OSSL_FUNC_KEYMGMT_NEW, (function) key_new }, { OSSL_FUNC_KEYMGMT_FREE, (function) key_free }, { OSSL_FUNC_KEYMGMT_HAS, (function) key_has }, \
    { OSSL_FUNC_KEYMGMT_MATCH, (function) key_match }, { OSSL_FUNC_KEYMGMT_GET_PARAMS, (function) key_get_params }, \
    { OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (function) key_gettable }, { OSSL_FUNC_KEYMGMT_IMPORT, (function) key_import }, \
    { OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (function) key_types }, { OSSL_FUNC_KEYMGMT_EXPORT, (function) key_export }, { OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (function) key_types }

static const OSSL_DISPATCH key_functions[] = { KEY_ROWS, { 0, NULL } };
static const OSSL_DISPATCH ec_functions[] = { KEY_ROWS, { OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (function) ec_operation }, { 0, NULL } };

/* ---- signature, asym_cipher ---- */

struct work { const struct standin *key; EVP_MD_CTX *md; struct key_request ask; };

static void *work_new(void *provider, const char *properties) { (void) provider, (void) properties; return OPENSSL_zalloc(sizeof(struct work)); }
static void *cipher_new(void *provider) { return work_new(provider, NULL); }

static void work_free(void *work)
{
    struct work *w = work;
    if (!w) return;
    EVP_MD_CTX_free(w->md);
    OPENSSL_free(w);
}

static int begin(struct work *w, int32_t what, const struct standin *key)
{
    if (key) w->key = key;
    if (!w->key) return 0;
    w->ask = (struct key_request) { .what = what, .salt = RSA_PSS_SALTLEN_DIGEST, .padding = EVP_PKEY_is_a(w->key->known, "RSA-PSS") ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING };
    memcpy(w->ask.id, w->key->id, VAULT_ID);
    return 1;
}

static bool take_padding(struct work *w, const OSSL_PARAM *p)
{
    static const struct { const char *name; int padding; } names[] = {
        { OSSL_PKEY_RSA_PAD_MODE_PKCSV15, RSA_PKCS1_PADDING }, { OSSL_PKEY_RSA_PAD_MODE_PSS, RSA_PKCS1_PSS_PADDING },
    };
    if (p->data_type != OSSL_PARAM_UTF8_STRING) return OSSL_PARAM_get_int32(p, &w->ask.padding) == 1;
    for (size_t i = 0; i < countof(names); i++)
        if (strcmp(p->data, names[i].name) == 0) w->ask.padding = names[i].padding;
    return true;
}

static bool take_salt(struct work *w, const OSSL_PARAM *p)
{
    if (p->data_type != OSSL_PARAM_UTF8_STRING) return OSSL_PARAM_get_int32(p, &w->ask.salt) == 1;
    if (strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0) w->ask.salt = RSA_PSS_SALTLEN_DIGEST;
    else if (strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_MAX) == 0) w->ask.salt = RSA_PSS_SALTLEN_MAX;
    else return sscanf(p->data, "%d", &w->ask.salt) == 1;
    return true;
}

static int work_set(void *work, const OSSL_PARAM params[])
{
    struct work *w = work;
    const OSSL_PARAM *p;
    unsigned version;
    if (!params) return 1;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PAD_MODE)) != NULL && !take_padding(w, p)) return 0;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN)) != NULL && !take_salt(w, p)) return 0;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION)) != NULL && OSSL_PARAM_get_uint(p, &version)) w->ask.version = (int32_t) version;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION)) != NULL && OSSL_PARAM_get_uint(p, &version)) w->ask.other_version = (int32_t) version;
    return 1;
}

static const OSSL_PARAM *work_settable(void *work, void *provider)
{
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_PAD_MODE, NULL, 0), OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0), OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, NULL), OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, NULL), OSSL_PARAM_END,
    };
    (void) work, (void) provider;
    return list;
}

/* RSA and ECDSA: the digest is made here, and only it is sent. */
static int sign_begin(void *work, const char *digest, void *key, const OSSL_PARAM params[])
{
    struct work *w = work;
    if (!begin(w, KEY_SIGN, key) || !work_set(w, params)) return 0;
    if (!digest || !*digest) return 1;
    if (strlen(digest) >= KEY_MD) return 0;
    memcpy(w->ask.md, digest, strlen(digest) + 1);
    EVP_MD *md = EVP_MD_fetch(NULL, digest, NULL);
    if (!w->md) w->md = EVP_MD_CTX_new();
    int fine = md && w->md && EVP_DigestInit_ex2(w->md, md, NULL) == 1;
    EVP_MD_free(md);
    return fine;
}

static int sign_update(void *work, const unsigned char *p, size_t n)
{
    struct work *w = work;
    return w->md && EVP_DigestUpdate(w->md, p, n) == 1;
}

static int ask(struct work *w, const void *bytes, size_t n, unsigned char *out, size_t *n_out, size_t size)
{
    if (n > KEY_BYTES_MOST) return 0;
    w->ask.n = (int32_t) n;
    int got = keyline_ask(&w->ask, bytes, out, size);
    if (got >= 0) *n_out = (size_t) got;
    return got >= 0;
}

static int sign_final(void *work, unsigned char *out, size_t *n_out, size_t size)
{
    struct work *w = work;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!out) {
        *n_out = (size_t) EVP_PKEY_get_size(w->key->known);
        return 1;
    }
    return w->md && EVP_DigestFinal_ex(w->md, digest, &n) == 1 && ask(w, digest, n, out, n_out, size);
}

/* Ed25519, Ed448: the whole is what is signed. */
static int sign_whole(void *work, unsigned char *out, size_t *n_out, size_t size, const unsigned char *p, size_t n)
{
    struct work *w = work;
    if (w->ask.md[0]) return (!out || sign_update(w, p, n)) && sign_final(w, out, n_out, size);
    if (out) return ask(w, p, n, out, n_out, size);
    *n_out = (size_t) EVP_PKEY_get_size(w->key->known);
    return 1;
}

static const OSSL_DISPATCH signature_functions[] = {
    { OSSL_FUNC_SIGNATURE_NEWCTX, (function) work_new }, { OSSL_FUNC_SIGNATURE_FREECTX, (function) work_free },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (function) sign_begin }, { OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (function) sign_update },
    { OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (function) sign_final }, { OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (function) sign_whole },
    { OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (function) work_set }, { OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (function) work_settable }, { 0, NULL },
};

static int decrypt_begin(void *work, void *key, const OSSL_PARAM params[]) { return begin(work, KEY_DECRYPT, key) && work_set(work, params); }

static int decrypt(void *work, unsigned char *out, size_t *n_out, size_t size, const unsigned char *p, size_t n)
{
    struct work *w = work;
    if (out) return ask(w, p, n, out, n_out, size);
    *n_out = (size_t) EVP_PKEY_get_size(w->key->known);
    return 1;
}

static const OSSL_DISPATCH cipher_functions[] = {
    { OSSL_FUNC_ASYM_CIPHER_NEWCTX, (function) cipher_new }, { OSSL_FUNC_ASYM_CIPHER_FREECTX, (function) work_free },
    { OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (function) decrypt_begin }, { OSSL_FUNC_ASYM_CIPHER_DECRYPT, (function) decrypt },
    { OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, (function) work_set }, { OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, (function) work_settable }, { 0, NULL },
};

/* ---- the provider ---- */

#define OURS "provider=weir"
static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
    static const OSSL_ALGORITHM keys[] = {
        { "RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS, key_functions, NULL }, { "RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", OURS, key_functions, NULL },
        { "EC:id-ecPublicKey:1.2.840.10045.2.1", OURS, ec_functions, NULL }, { "ED25519:1.3.101.112", OURS, key_functions, NULL },
        { "ED448:1.3.101.113", OURS, key_functions, NULL }, { 0 },
    };
    static const OSSL_ALGORITHM signatures[] = {
        { "RSA:rsaEncryption", OURS, signature_functions, NULL }, { "RSA-PSS:RSASSA-PSS", OURS, signature_functions, NULL }, { "ECDSA", OURS, signature_functions, NULL },
        { "ED25519", OURS, signature_functions, NULL }, { "ED448", OURS, signature_functions, NULL }, { 0 },
    };
    static const OSSL_ALGORITHM ciphers[] = { { "RSA:rsaEncryption", OURS, cipher_functions, NULL }, { 0 } };
    (void) provider;
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signatures : operation == OSSL_OP_ASYM_CIPHER ? ciphers : NULL;
}

static int init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider_out)
{
    static const OSSL_DISPATCH functions[] = { { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (function) query }, { 0, NULL } };
    (void) core, (void) in;
    *out = functions;
    *provider_out = library;
    return 1;
}

bool standin_is(const EVP_PKEY *key)
{
    const OSSL_PROVIDER *p = EVP_PKEY_get0_provider(key);
    return p && strcmp(OSSL_PROVIDER_get0_name(p), "weir") == 0;
}

static bool open_library(void)
{
    if (library) return true;
    library = OSSL_LIB_CTX_new();
    return library && OSSL_PROVIDER_add_builtin(library, "weir", init) == 1 && OSSL_PROVIDER_load(library, "weir");
}

static EVP_PKEY *copy_public(EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    const unsigned char *p = der;
    EVP_PKEY *known = n > 0 ? d2i_PUBKEY(NULL, &p, n) : NULL;
    OPENSSL_free(der);
    return known;
}

EVP_PKEY *standin_open(EVP_PKEY *key)
{
    struct standin s = { 0 };
    if (!open_library() || !vault_id_of(key, s.id) || !(s.known = copy_public(key))) return NULL;
    vault_hold(s.id);
    OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(PARAM_STANDIN, &s, sizeof(s)), OSSL_PARAM_construct_end() };
    EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(library, EVP_PKEY_get0_type_name(key), NULL);
    EVP_PKEY *out = NULL;
    bool fine = make && EVP_PKEY_fromdata_init(make) == 1 && EVP_PKEY_fromdata(make, &out, EVP_PKEY_KEYPAIR, params) == 1;
    EVP_PKEY_CTX_free(make);
    if (fine) return out;
    vault_release(s.id);
    EVP_PKEY_free(s.known);
    return NULL;
}
