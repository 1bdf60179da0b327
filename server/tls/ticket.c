/*
 * ticket: the keys that tickets are sealed with (RFC 5077 4). The first seals; all open. Shared ones live in a zone, so that
 * every worker of every generation has the same.
 */
#include "tls/session.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/mman.h>

enum { KEYS = 8, NAME = 16, SECRET = 32 };
#define TICKETS_MAGIC 0x544c544bu

struct ticket_key {
    unsigned char name[NAME], aes[SECRET], mac[SECRET];
    uint32_t      size;           /* of each secret: 16 or 32 */
    uint64_t      made_ms;        /* wall clock */
};

struct tls_tickets {
    unsigned          magic;
    struct shm_lock   lock;
    bool              changing;   /* under the lock: the keys are being moved */
    uint32_t          count;
    struct ticket_key keys[KEYS];
};

static void make_key(struct ticket_key *k)
{
    unsigned char room[NAME + 2 * SECRET];
    ASSERT(RAND_bytes(room, sizeof(room)) == 1);
    memcpy(k->name, room, NAME);
    memcpy(k->aes, room + NAME, SECRET);
    memcpy(k->mac, room + NAME + SECRET, SECRET);
    k->size = SECRET;
    k->made_ms = clock_now.wall_ms;
    OPENSSL_cleanse(room, sizeof(room));
}

/* A holder that died while it moved the keys leaves the first in doubt. */
static void lock_keys(struct tls_tickets *t)
{
    NEED(t, TICKETS_MAGIC);
    if (shm_lock(&t->lock) || !t->changing) return;
    make_key(&t->keys[0]);
    t->changing = false;
}

struct tls_tickets *tls_tickets_shared(struct zone *z)
{
    bool made;
    madvise(z, shm_figures(z).size, MADV_DONTDUMP);
    struct tls_tickets *t = shm_object(z, T("tls-tickets"), sizeof(*t), &made);
    if (!t || t->magic == TICKETS_MAGIC) return t;
    make_key(&t->keys[0]);
    t->count = 1;
    t->magic = TICKETS_MAGIC;
    return t;
}

bool tls_tickets_rotate(struct tls_tickets *t, uint64_t ms)
{
    lock_keys(t);
    bool old = clock_now.wall_ms >= t->keys[0].made_ms + ms;
    if (old) {
        t->changing = true;
        t->keys[1] = t->keys[0];
        make_key(&t->keys[0]);
        t->count = 2;
        t->changing = false;
    }
    shm_unlock(&t->lock);
    return old;
}

static void wipe(void *t)
{
    OPENSSL_cleanse(t, sizeof(struct tls_tickets));
}

struct tls_tickets *tls_tickets_fixed(struct pool *p, const struct text *keys, size_t count)
{
    if (count == 0 || count > KEYS) return NULL;
    struct tls_tickets *t = pool_new(p, struct tls_tickets);
    pool_cleanup(p, wipe, t);
    t->magic = TICKETS_MAGIC;
    for (size_t i = 0; i < count; i++) {
        struct ticket_key *k = &t->keys[t->count++];
        if (keys[i].n != TLS_TICKET_SHORT && keys[i].n != TLS_TICKET_LONG) return NULL;
        bool longer = keys[i].n == TLS_TICKET_LONG;
        k->size = longer ? SECRET : SECRET / 2;
        memcpy(k->name, keys[i].p, NAME);
        /* nginx's order: a long key has the HMAC's first, a short one the cipher's */
        memcpy(longer ? k->mac : k->aes, keys[i].p + NAME, k->size);
        memcpy(longer ? k->aes : k->mac, keys[i].p + NAME + k->size, k->size);
    }
    return t;
}

/* ---- sealing and opening ---- */

static const EVP_CIPHER *cipher_of(const struct ticket_key *k)
{
    static EVP_CIPHER *aes128, *aes256;       /* fetched once: a fetch costs more than the sealing */
    if (!aes128) aes128 = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    if (!aes256) aes256 = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return k->size == SECRET ? aes256 : aes128;
}

static bool key_mac(EVP_MAC_CTX *mac, struct ticket_key *k)
{
    static char sha256[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, k->size),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* The key called name, or (name NULL) the first. Its place, or -1. */
static int find_key(struct tls_tickets *t, const unsigned char *name, struct ticket_key *k_out)
{
    int at = -1;
    lock_keys(t);
    for (uint32_t i = 0; at < 0 && i < t->count; i++)
        if (!name || memcmp(t->keys[i].name, name, NAME) == 0) at = (int) i;
    if (at >= 0) *k_out = t->keys[at];
    shm_unlock(&t->lock);
    return at;
}

static int seal(struct tls_tickets *t, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key k;
    find_key(t, NULL, &k);
    const EVP_CIPHER *aes = cipher_of(&k);
    bool good = RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 && EVP_EncryptInit_ex(cipher, aes, NULL, k.aes, iv) == 1 && key_mac(mac, &k);
    memcpy(name, k.name, NAME);
    OPENSSL_cleanse(&k, sizeof(k));
    return good ? 1 : -1;
}

/* 2: it opens, and a new one is wanted: its key is not the first, or it was used (RFC 8446 C.4: not twice). */
static int unseal(SSL *ssl, struct tls_tickets *t, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key k;
    int at = find_key(t, name, &k);
    if (at < 0) return 0;
    bool good = EVP_DecryptInit_ex(cipher, cipher_of(&k), NULL, k.aes, iv) == 1 && key_mac(mac, &k);
    OPENSSL_cleanse(&k, sizeof(k));
    if (!good) return -1;
    return at > 0 || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    struct conn *c = tls_conn_of(ssl);
    struct tls *s = c->layer;
    return sealing ? seal(s->first->tickets, name, iv, cipher, mac) : unseal(ssl, s->first->tickets, name, iv, cipher, mac);
}

void tls_ticket_attach(SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
}
