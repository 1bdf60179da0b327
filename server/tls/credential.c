/* credential: certificates, keys, authorities and parameters from files, into an SSL_CTX. */
#include "tls/session.h"
#include <openssl/dh.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static const char data_prefix[] = "data:";

static bool is_data(struct text t)
{
    return text_starts(t, T("data:"));
}

/* Names in messages: data is not repeated in logs. */
static struct text shown(struct text t)
{
    return is_data(t) ? text_of(data_prefix, sizeof(data_prefix) - 1) : t;
}

static BIO *open_bio(struct text t)
{
    if (is_data(t)) return BIO_new_mem_buf(t.p + 5, (int) (t.n - 5));
    char path[4096];
    struct build b = build_in_room(path, sizeof(path));
    build_text(&b, t);
    build_char(&b, 0);
    return build_ok(&b) ? BIO_new_file(path, "r") : NULL;
}

/* ---- certificates ---- */

/* The end of a PEM file is told by an error. */
static bool ended_well(void)
{
    unsigned long e = ERR_peek_last_error();
    if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE) return false;
    ERR_clear_error();
    return true;
}

static const char *load_chain(SSL_CTX *ctx, BIO *b)
{
    X509 *x = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL);
    if (!x) return "PEM_read_bio_X509_AUX() failed";
    int used = SSL_CTX_use_certificate(ctx, x);
    X509_free(x);
    if (used != 1) return "SSL_CTX_use_certificate() failed";
    SSL_CTX_clear_chain_certs(ctx);
    while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, x) == 1) continue;
        X509_free(x);
        return "SSL_CTX_add0_chain_cert() failed";
    }
    return ended_well() ? NULL : "PEM_read_bio_X509() failed";
}

static bool load_certificate(SSL_CTX *ctx, struct text from, const struct log *log)
{
    struct text name = shown(from);
    BIO *b = open_bio(from);
    const char *wrong = b ? load_chain(ctx, b) : "BIO_new_file() failed";
    BIO_free(b);
    if (wrong) tls_log(log, L_EMERG, NULL, 0, "cannot load certificate \"%.*s\": %s", TEXT_ARG(name), wrong);
    return !wrong;
}

/* ---- keys ---- */

static int give_password(char *room, int size, int writing, void *arg)
{
    const struct text *password = arg;
    if (writing || !password || (size_t) size < password->n) return 0;
    memcpy(room, password->p, password->n);
    return (int) password->n;
}

static EVP_PKEY *read_key(struct text from, const struct tls_settings *s, const char **wrong_out)
{
    EVP_PKEY *key = NULL;
    size_t at = 0;
    do {
        ERR_clear_error();
        BIO *b = open_bio(from);
        *wrong_out = b ? "PEM_read_bio_PrivateKey() failed" : "BIO_new_file() failed";
        if (!b) return NULL;
        key = PEM_read_bio_PrivateKey(b, NULL, give_password, at < s->password_count ? (void *) (uintptr_t) &s->passwords[at] : NULL);
        BIO_free(b);
    } while (!key && ++at < s->password_count);
    return key;
}

static bool load_key(SSL_CTX *ctx, struct text from, const struct tls_settings *s, const struct log *log)
{
    struct text name = shown(from);
    const char *wrong;
    EVP_PKEY *key = read_key(from, s, &wrong);
    if (!key) {
        tls_log(log, L_EMERG, NULL, 0, "cannot load certificate key \"%.*s\": %s", TEXT_ARG(name), wrong);
        return false;
    }
    int used = SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    if (used != 1) tls_log(log, L_EMERG, NULL, 0, "SSL_CTX_use_PrivateKey(\"%.*s\") failed", TEXT_ARG(name));
    return used == 1;
}

bool tls_credential_pairs(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    for (size_t i = 0; i < s->pair_count; i++)
        if (!load_certificate(ctx, s->pairs[i].certificate, log) || !load_key(ctx, s->pairs[i].key, s, log)) return false;
    return true;
}

/* ---- whom we trust ---- */

/* Certificates of a file into the store; and their names into names, where there is one. */
static const char *trust_file(SSL_CTX *ctx, struct text from, STACK_OF(X509_NAME) *names)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *b = open_bio(from);
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
    return ended_well() && count ? NULL : "PEM_read_bio_X509_AUX() failed";
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
    BIO *b = open_bio(from);
    X509_CRL *crl;
    size_t count = 0;
    while (b && (crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)) != NULL) {
        if (X509_STORE_add_crl(store, crl) == 1) count++;
        X509_CRL_free(crl);
    }
    BIO_free(b);
    if (b && ended_well() && count) {
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
        return true;
    }
    tls_log(log, L_EMERG, NULL, 0, "cannot load revocation lists \"%.*s\"", TEXT_ARG(from));
    return false;
}

bool tls_credential_trust(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    return trust(ctx, s->client_ca, s->server, log) && trust(ctx, s->trusted, false, log) && load_crl(ctx, s->crl, log);
}

bool tls_credential_dhparam(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    if (text_empty(s->dhparam)) return true;
    BIO *b = open_bio(s->dhparam);
    EVP_PKEY *parameters = b ? PEM_read_bio_Parameters(b, NULL) : NULL;
    BIO_free(b);
    if (parameters && SSL_CTX_set0_tmp_dh_pkey(ctx, parameters) == 1) return true;
    tls_log(log, L_EMERG, NULL, 0, "cannot load DH parameters \"%.*s\"", TEXT_ARG(s->dhparam));
    EVP_PKEY_free(parameters);
    return false;
}
