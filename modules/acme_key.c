/* acme_key: keys, requests for certificates, certificates of our own, and what those of others say. */
#include "modules/acme.h"
#include "tls/pair.h"
#include "wire/base64.h"
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { CHAIN_MOST = 20, SERIAL = 16, DIGEST = 32, OWN_DAYS = 7, OWN_BEFORE_S = 86400 };

struct acme_bytes acme_bytes_copy(struct text t)
{
    char *p = base_alloc(t.n + 1);
    if (t.n) memcpy(p, t.p, t.n);
    p[t.n] = 0;
    return (struct acme_bytes) { p, t.n };
}

void acme_bytes_end(struct acme_bytes *b)
{
    if (b->p) OPENSSL_cleanse(b->p, b->n);
    free(b->p);
    *b = (struct acme_bytes) { NULL, 0 };
}

/* ---- keys ---- */

static const struct acme_kind kinds[] = {
    { "ecdsa", "P-256", 0 }, { "ecdsa:256", "P-256", 0 }, { "ecdsa:384", "P-384", 0 }, { "ecdsa:521", "P-521", 0 },
    { "rsa", NULL, 2048 }, { "rsa:2048", NULL, 2048 }, { "rsa:3072", NULL, 3072 }, { "rsa:4096", NULL, 4096 },
};

const struct acme_kind *acme_kind_read(struct text t)
{
    for (size_t i = 0; i < countof(kinds); i++)
        if (text_eq(t, text_c(kinds[i].name))) return &kinds[i];
    return NULL;
}

EVP_PKEY *acme_key_make(const struct acme_kind *k)
{
    return k->group ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", k->group) : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) k->bits);
}

EVP_PKEY *acme_key_read(struct text pem)
{
    tls_wipe(true);
    BIO *b = BIO_new_mem_buf(pem.p, (int) pem.n);
    EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, (char[]) { "" }) : NULL;
    BIO_free(b);
    tls_wipe(false);
    return key;
}

struct acme_bytes acme_key_write(EVP_PKEY *key)
{
    char *p;
    tls_wipe(true);
    BIO *b = BIO_new(BIO_s_secmem());
    ASSERT(b && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) == 1);
    long n = BIO_get_mem_data(b, &p);
    struct acme_bytes copy = acme_bytes_copy(text_of(p, (size_t) n));
    OPENSSL_cleanse(p, (size_t) n);
    BIO_free(b);
    tls_wipe(false);
    return copy;
}

/* ---- names ---- */

static GENERAL_NAME *make_name(const struct acme_name *name)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    char *text = (char *) acme_bytes_copy(name->text).p;
    ASN1_OCTET_STRING *value = name->ip ? a2i_IPADDRESS(text) : ASN1_IA5STRING_new();
    free(text);
    ASSERT(g && value);
    if (!name->ip) ASSERT(ASN1_STRING_set(value, name->text.p, (int) name->text.n));
    GENERAL_NAME_set0_value(g, name->ip ? GEN_IPADD : GEN_DNS, value);
    return g;
}

/* A subject alternative name (RFC 5280 4.2.1.6), critical where there is no subject. */
static void add_names(STACK_OF(X509_EXTENSION) **to, const struct acme_names *names, bool critical)
{
    GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
    ASSERT(list);
    for (size_t i = 0; i < names->n; i++) ASSERT(sk_GENERAL_NAME_push(list, make_name(&names->v[i])) > 0);
    ASSERT(X509V3_add1_i2d(to, NID_subject_alt_name, list, critical, X509V3_ADD_APPEND) == 1);
    sk_GENERAL_NAME_pop_free(list, GENERAL_NAME_free);
}

enum { COMMON_NAME_MOST = 64 };      /* RFC 5280 A.1 */

static bool set_common_name(X509_NAME *subject, struct text name)
{
    return name.n > COMMON_NAME_MOST || X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *) name.p, (int) name.n, -1, 0) == 1;
}

bool acme_key_request(EVP_PKEY *key, const struct acme_names *names, bool common_name, struct build *der)
{
    unsigned char *made = NULL;
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    X509_REQ *r = X509_REQ_new();
    ASSERT(r);
    add_names(&extensions, names, false);
    bool good = (!common_name || set_common_name(X509_REQ_get_subject_name(r), names->v[0].text)) && X509_REQ_set_pubkey(r, key) == 1
        && X509_REQ_add_extensions(r, extensions) == 1 && X509_REQ_sign(r, key, EVP_sha256()) > 0;
    int n = good ? i2d_X509_REQ(r, &made) : 0;
    if (n > 0) build_text(der, text_of((char *) made, (size_t) n));
    OPENSSL_free(made);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(r);
    return n > 0 && build_ok(der);
}

/* ---- a certificate of our own ---- */

/* RFC 8737 3: id-pe-acmeIdentifier, critical, an OCTET STRING in an OCTET STRING. */
static bool add_digest(X509 *x, const unsigned char *digest)
{
    unsigned char der[2 + DIGEST] = { V_ASN1_OCTET_STRING, DIGEST };
    memcpy(der + 2, digest, DIGEST);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *name = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    bool good = value && name && ASN1_OCTET_STRING_set(value, der, sizeof der) == 1;
    X509_EXTENSION *e = good ? X509_EXTENSION_create_by_OBJ(NULL, name, 1, value) : NULL;
    good = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    ASN1_OBJECT_free(name);
    ASN1_OCTET_STRING_free(value);
    return good;
}

static bool set_serial(X509 *x)
{
    unsigned char room[SERIAL];
    BIGNUM *n = RAND_bytes(room, sizeof room) == 1 ? BN_bin2bn(room, sizeof room, NULL) : NULL;
    bool good = n && BN_mask_bits(n, SERIAL * 8 - 1) >= 0 && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return good;
}

bool acme_key_certificate(EVP_PKEY *key, const struct acme_names *names, const unsigned char *digest, struct build *pem)
{
    char *p;
    X509 *x = X509_new();
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    ASSERT(x);
    add_names(&extensions, names, false);
    bool good = X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && X509_gmtime_adj(X509_getm_notBefore(x), -OWN_BEFORE_S) && X509_gmtime_adj(X509_getm_notAfter(x), OWN_DAYS * 86400L)
        && X509_set_pubkey(x, key) == 1 && X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *) "weir: no certificate yet", -1, -1, 0) == 1
        && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 && X509_add_ext(x, sk_X509_EXTENSION_value(extensions, 0), -1) == 1
        && (!digest || add_digest(x, digest)) && X509_sign(x, key, EVP_sha256()) > 0;
    BIO *b = BIO_new(BIO_s_mem());
    good = good && b && PEM_write_bio_X509(b, x) == 1;
    long n = good ? BIO_get_mem_data(b, &p) : 0;
    if (good) build_text(pem, text_of(p, (size_t) n));
    BIO_free(b);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_free(x);
    return good && build_ok(pem);
}

/* ---- chains of others ---- */

static STACK_OF(X509) *read_chain(struct text pem)
{
    X509 *x = NULL;
    STACK_OF(X509) *list = sk_X509_new_null();
    BIO *b = pem.n <= ACME_PEM_MOST ? BIO_new_mem_buf(pem.p, (int) pem.n) : NULL;
    ASSERT(list);
    ERR_clear_error();
    while (b && sk_X509_num(list) < CHAIN_MOST && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) ASSERT(sk_X509_push(list, x) > 0);
    BIO_free(b);
    if (sk_X509_num(list) && !x && tls_pair_ended_well()) return list;
    ERR_clear_error();
    sk_X509_pop_free(list, X509_free);
    return NULL;
}

static bool bears(X509 *x, const struct acme_name *name)
{
    struct acme_bytes text = acme_bytes_copy(name->text);
    bool good = name->ip ? X509_check_ip_asc(x, text.p, 0) == 1 : X509_check_host(x, text.p, text.n, 0, NULL) == 1;
    acme_bytes_end(&text);
    return good;
}

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t) timegm(&tm) : 0;
}

/* RFC 9773 4.1: the authority's key identifier, a dot, the serial number as DER has it. */
static void put_id(X509 *x, char *room, size_t size)
{
    unsigned char *der = NULL;
    const ASN1_OCTET_STRING *authority = X509_get0_authority_key_id(x);
    struct build b = build_in_room(room, size - 1);
    int n = authority ? i2d_ASN1_INTEGER(X509_get0_serialNumber(x), &der) : 0;
    room[0] = 0;
    if (n > 2 && n < 128) {
        base64_encode(&b, text_of((const char *) ASN1_STRING_get0_data(authority), (size_t) ASN1_STRING_length(authority)), true);
        build_char(&b, '.');
        base64_encode(&b, text_of((char *) der + 2, (size_t) n - 2), true);      /* behind type and length */
        room[build_ok(&b) ? b.n : 0] = 0;
    }
    OPENSSL_free(der);
}

static const char *judge(X509 *x, EVP_PKEY *key, const struct acme_names *names, int64_t now_s, const struct acme_facts *f)
{
    if (key && EVP_PKEY_eq(X509_get0_pubkey(x), key) != 1) return "its key is not the one that was asked for";
    for (size_t i = 0; names && i < names->n; i++)
        if (!bears(x, &names->v[i])) return "it does not bear all names that were asked for";
    if (f->to_s <= f->from_s) return "it has no time of validity";
    return f->to_s <= now_s ? "it is expired" : NULL;
}

const char *acme_chain_read(struct text pem, EVP_PKEY *key, const struct acme_names *names, int64_t now_s, struct acme_facts *out)
{
    STACK_OF(X509) *list = read_chain(pem);
    *out = (struct acme_facts) { .from_s = 0 };
    if (!list) return "it is no chain of certificates in PEM";
    X509 *x = sk_X509_value(list, 0);
    out->from_s = seconds_of(X509_get0_notBefore(x));
    out->to_s = seconds_of(X509_get0_notAfter(x));
    put_id(x, out->id, sizeof out->id);
    const char *wrong = judge(x, key, names, now_s, out);
    ERR_clear_error();
    sk_X509_pop_free(list, X509_free);
    return wrong;
}

bool acme_chain_ends_at(struct text pem, struct text name)
{
    char room[256];
    STACK_OF(X509) *list = read_chain(pem);
    if (!list) return false;
    X509 *top = sk_X509_value(list, sk_X509_num(list) - 1);
    int n = X509_NAME_get_text_by_NID(X509_get_issuer_name(top), NID_commonName, room, sizeof room);
    bool same = n >= 0 && text_eq(text_of(room, (size_t) n), name);
    sk_X509_pop_free(list, X509_free);
    return same;
}
