/* credential: certificates, keys, authorities and parameters from files, into an SSL_CTX. */
#include "tls/pair.h"
#include <openssl/dh.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* ---- pairs ---- */

static const char *use_chain(SSL_CTX *ctx, struct tls_loaded *l)
{
    if (SSL_CTX_use_certificate(ctx, l->leaf) != 1) return "SSL_CTX_use_certificate() failed";
    return SSL_CTX_set1_chain(ctx, l->chain) == 1 ? NULL : "SSL_CTX_set1_chain() failed";
}

static bool load_certificate(SSL_CTX *ctx, struct text from, struct tls_loaded *l, const struct log *log)
{
    const char *wrong = tls_pair_certificate(from, l);
    if (!wrong) wrong = use_chain(ctx, l);
    if (wrong) tls_log(log, L_EMERG, NULL, 0, "cannot load certificate \"%.*s\": %s", TEXT_ARG(tls_pair_shown(from)), wrong);
    return !wrong;
}

static bool load_key(SSL_CTX *ctx, struct text from, const struct tls_settings *s, struct tls_loaded *l, const struct log *log)
{
    const char *wrong = tls_pair_key(from, &s->ring, l);
    if (wrong) tls_log(log, L_EMERG, NULL, 0, "cannot load certificate key \"%.*s\": %s", TEXT_ARG(tls_pair_shown(from)), wrong);
    else if (SSL_CTX_use_PrivateKey(ctx, l->key) == 1) return true;
    else tls_log(log, L_EMERG, NULL, 0, "SSL_CTX_use_PrivateKey(\"%.*s\") failed", TEXT_ARG(tls_pair_shown(from)));
    return false;
}

bool tls_credential_pairs(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    bool fine = true;
    for (size_t i = 0; fine && i < s->pair_count; i++) {
        struct tls_loaded l = { 0 };
        fine = load_certificate(ctx, s->pairs[i].certificate, &l, log) && load_key(ctx, s->pairs[i].key, s, &l, log);
        tls_loaded_drop(&l);
    }
    return fine;
}

/* ---- whom we trust ---- */

/* Certificates of a file into the store; and their names into names, where there is one. */
static const char *trust_file(SSL_CTX *ctx, struct text from, STACK_OF(X509_NAME) *names)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *b = tls_pair_bio(from);
    X509 *x;
    size_t count = 0;
    if (!b) return "BIO_new_file() failed";
    while ((x = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL)) != NULL) {
        X509_NAME *name = names ? X509_NAME_dup(X509_get_subject_name(x)) : NULL;
        bool added = X509_STORE_add_cert(store, x) == 1 && (!names || (name && sk_X509_NAME_push(names, name)));
        X509_free(x);
        if (!added) break;
        count++;
    }
    BIO_free(b);
    return tls_pair_ended_well() && count ? NULL : "PEM_read_bio_X509_AUX() failed";
}

static bool trust(SSL_CTX *ctx, struct text from, bool tell, const struct log *log)
{
    if (text_empty(from)) return true;
    STACK_OF(X509_NAME) *names = tell ? sk_X509_NAME_new_null() : NULL;
    const char *wrong = trust_file(ctx, from, names);
    if (names) SSL_CTX_set_client_CA_list(ctx, names);
    if (wrong) tls_log(log, L_EMERG, NULL, 0, "cannot load trusted certificates \"%.*s\": %s", TEXT_ARG(from), wrong);
    return !wrong;
}

static bool load_crl(SSL_CTX *ctx, struct text from, const struct log *log)
{
    if (text_empty(from)) return true;
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *b = tls_pair_bio(from);
    X509_CRL *crl;
    size_t count = 0;
    while (b && (crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)) != NULL) {
        if (X509_STORE_add_crl(store, crl) == 1) count++;
        X509_CRL_free(crl);
    }
    BIO_free(b);
    if (b && tls_pair_ended_well() && count) {
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
        return true;
    }
    tls_log(log, L_EMERG, NULL, 0, "cannot load revocation lists \"%.*s\"", TEXT_ARG(from));
    return false;
}

static bool trust_system(SSL_CTX *ctx, const struct log *log)
{
    if (SSL_CTX_set_default_verify_paths(ctx) == 1) return true;
    tls_log(log, L_EMERG, NULL, 0, "the system's certificates cannot be loaded");
    return false;
}

bool tls_credential_trust(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    if (s->system_trusted && text_empty(s->trusted) && !trust_system(ctx, log)) return false;
    return trust(ctx, s->client_ca, s->server, log) && trust(ctx, s->trusted, false, log) && load_crl(ctx, s->crl, log);
}

bool tls_credential_dhparam(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    if (text_empty(s->dhparam)) return true;
    BIO *b = tls_pair_bio(s->dhparam);
    EVP_PKEY *parameters = b ? PEM_read_bio_Parameters(b, NULL) : NULL;
    BIO_free(b);
    if (parameters && SSL_CTX_set0_tmp_dh_pkey(ctx, parameters) == 1) return true;
    tls_log(log, L_EMERG, NULL, 0, "cannot load DH parameters \"%.*s\"", TEXT_ARG(s->dhparam));
    EVP_PKEY_free(parameters);
    return false;
}
