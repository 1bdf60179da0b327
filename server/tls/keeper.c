#include "tls/vault.h"
#include "base/table.h"
#include "tls/pair.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_MOST = 4096, DER_MOST = 65536 };

static struct pool *pool;
static struct table keys;            /* by id */

static void add(const unsigned char *der, size_t n)
{
    unsigned char id[VAULT_ID];
    tls_wipe(true);
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, (long) n);
    if (key && vault_id_of(key, id)) {
        struct text name = text_of((char *) id, VAULT_ID);
        if (!table_get(&keys, name)) {
            table_add(&keys, pool_text(pool, name), key);
            key = NULL;
        }
    } else tls_log(log_main, L_ERR, NULL, 0, "a key cannot be read");
    EVP_PKEY_free(key);
    tls_wipe(false);
}

void keeper_open(void)
{
    pool = pool_open(0);
    table_init(&keys, pool, false);
    for (const struct vault_key *k = vault_keys; k; k = k->next) add(k->der, k->n);
}

void keeper_add(int fd)
{
    static unsigned char der[DER_MOST];
    ssize_t n = pread(fd, der, sizeof(der), 0);
    if (n > 0) add(der, (size_t) n);
    OPENSSL_cleanse(der, sizeof(der));
    close(fd);
}

/* ---- what is asked ---- */

/* Those of TLS (RFC 8446 4.2.3). Without any the key would decrypt what it is given. */
static bool is_padding(int padding) { return padding == RSA_PKCS1_PADDING || padding == RSA_PKCS1_PSS_PADDING; }

static int sign_digest(EVP_PKEY *key, const struct key_request *r, const unsigned char *digest, unsigned char *out)
{
    size_t n = OUT_MOST;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    EVP_MD *md = EVP_MD_fetch(NULL, r->md, NULL);
    bool fine = c && md && (size_t) r->n == (size_t) EVP_MD_get_size(md) && EVP_PKEY_sign_init(c) == 1;
    if (fine && EVP_PKEY_is_a(key, "RSA")) fine = is_padding(r->padding) && EVP_PKEY_CTX_set_rsa_padding(c, r->padding) == 1;
    if (fine) fine = EVP_PKEY_CTX_set_signature_md(c, md) == 1;
    if (fine && r->padding == RSA_PKCS1_PSS_PADDING && !EVP_PKEY_is_a(key, "EC")) fine = EVP_PKEY_CTX_set_rsa_pss_saltlen(c, r->salt) == 1;
    if (fine) fine = EVP_PKEY_sign(c, out, &n, digest, (size_t) r->n) == 1;
    EVP_MD_free(md);
    EVP_PKEY_CTX_free(c);
    return fine ? (int) n : -1;
}

static int sign_whole(EVP_PKEY *key, const struct key_request *r, const unsigned char *bytes, unsigned char *out)
{
    size_t n = OUT_MOST;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool fine = c && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 && EVP_DigestSign(c, out, &n, bytes, (size_t) r->n) == 1;
    EVP_MD_CTX_free(c);
    return fine ? (int) n : -1;
}

/* RFC 5246 7.4.7.1: what is no secret of the right form becomes a random one, in constant time, within OpenSSL. No other padding:
 * that would tell of it. */
static int decrypt(EVP_PKEY *key, const struct key_request *r, const unsigned char *bytes, unsigned char *out)
{
    size_t n = OUT_MOST;
    unsigned version = (unsigned) r->version, other = (unsigned) r->other_version;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &version),
        other ? OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, &other) : OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end(),
    };
    bool fine = c && EVP_PKEY_decrypt_init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_WITH_TLS_PADDING) == 1
                && EVP_PKEY_CTX_set_params(c, params) == 1 && EVP_PKEY_decrypt(c, out, &n, bytes, (size_t) r->n) == 1;
    EVP_PKEY_CTX_free(c);
    return fine ? (int) n : -1;
}

/* What a worker says is not believed: it may be in other hands. */
static int act(const struct key_request *r, const unsigned char *bytes, void (*missing)(void), unsigned char *out)
{
    EVP_PKEY *key = table_get(&keys, text_of((const char *) r->id, VAULT_ID));
    if (!key) {
        missing();
        key = table_get(&keys, text_of((const char *) r->id, VAULT_ID));
    }
    if (!key || EVP_PKEY_get_size(key) > OUT_MOST || memchr(r->md, 0, sizeof(r->md)) == NULL) return -1;
    if (r->what == KEY_DECRYPT) return EVP_PKEY_is_a(key, "RSA") ? decrypt(key, r, bytes, out) : -1;
    if (r->what != KEY_SIGN) return -1;
    return r->md[0] ? sign_digest(key, r, bytes, out) : sign_whole(key, r, bytes, out);
}

/* ---- lines ---- */

/* Who does not take its answers gets no more of them: others are not kept waiting. */
static bool send_left(struct keeper_line *l)
{
    ssize_t n;
    if (!l->left) return true;
    do n = send(l->fd, l->left, l->left_n, MSG_DONTWAIT | MSG_NOSIGNAL); while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return false;
    keeper_drop(l);
    return true;
}

static void answer(struct keeper_line *l, const void *message, size_t n)
{
    ssize_t sent;
    do sent = send(l->fd, message, n, MSG_DONTWAIT | MSG_NOSIGNAL); while (sent < 0 && errno == EINTR);
    if (sent >= 0 || errno != EAGAIN) return;
    l->left = base_alloc(n);
    l->left_n = n;
    memcpy(l->left, message, n);
}

void keeper_hello(struct keeper_line *l) { answer(l, "h", 1); }

void keeper_drop(struct keeper_line *l)
{
    if (l->left) OPENSSL_cleanse(l->left, l->left_n);
    free(l->left);
    l->left = NULL;
}

enum keeper_turn keeper_serve(struct keeper_line *l, void (*missing)(void))
{
    static struct { struct key_request head; unsigned char bytes[KEY_BYTES_MOST]; } in;
    static struct { struct key_answer head; unsigned char bytes[OUT_MOST]; } out;
    if (!send_left(l)) return KEEPER_FULL;
    ssize_t n = recv(l->fd, &in, sizeof(in), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return KEEPER_IDLE;
    if (n <= 0) return KEEPER_OVER;
    if ((size_t) n < sizeof(in.head)) return KEEPER_MORE;
    bool whole = in.head.n >= 0 && (size_t) in.head.n == (size_t) n - sizeof(in.head);
    ERR_clear_error();
    out.head = (struct key_answer) { .number = in.head.number, .n = whole ? act(&in.head, in.bytes, missing, out.bytes) : -1 };
    if (out.head.n < 0) tls_log(log_main, L_ERR, NULL, 0, "a key could not be used");
    answer(l, &out, sizeof(out.head) + (out.head.n > 0 ? (size_t) out.head.n : 0));
    OPENSSL_cleanse(&out, sizeof(out));
    OPENSSL_cleanse(&in, (size_t) n);
    return l->left ? KEEPER_FULL : KEEPER_MORE;
}
