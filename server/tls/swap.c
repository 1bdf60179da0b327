/*
 * swap: pairs that change at run time. Who may read them puts them into shared memory; each worker takes them from there into
 * its contexts. One list, newest first; a name stands in it once, but for an older copy that a dead holder of the lock left.
 */
#include "tls/pair.h"
#include "tls/vault.h"
#include <openssl/pem.h>
#include <sys/mman.h>

#define SWAPS_MAGIC 0x544c5357u

struct swap {
    struct swap *next;
    uint64_t     version;
    uint32_t     name_n, chain_n, key_n;
    char         bytes[];              /* name, chain, key */
};

struct tls_swaps {
    unsigned         magic;
    struct shm_lock  lock;
    struct zone     *zone;
    _Atomic uint64_t version;          /* of the newest */
    struct swap     *first;
};

static struct tls_context *contexts;   /* of this process, that follow swaps */

struct tls_swaps *tls_swaps_open(struct zone *z)
{
    bool made;
    struct tls_swaps *k = shm_object(z, T("tls-swaps"), sizeof(*k), &made);
    madvise(z, shm_figures(z).size, MADV_DONTDUMP);
    if (!k || k->magic == SWAPS_MAGIC) return k;
    k->zone = z;
    k->magic = SWAPS_MAGIC;
    return k;
}

/* ---- who follows ---- */

void tls_swaps_follow(struct tls_context *x, const struct tls_settings *s)
{
    if (!s->swaps) return;
    NEED(s->swaps, SWAPS_MAGIC);
    x->swaps = s->swaps;
    x->version = atomic_load(&s->swaps->version);
    x->names = base_zalloc(s->pair_count + 1, sizeof(*x->names));
    for (size_t i = 0; i < s->pair_count; i++) {
        struct text from = s->names && s->names[i].n ? s->names[i] : s->pairs[i].certificate;
        if (!tls_pair_is_path(from)) continue;
        char *name = base_alloc(from.n + 1);
        memcpy(name, from.p, from.n);
        x->names[x->name_count++] = text_of(name, from.n);
    }
    x->after = contexts;
    if (contexts) contexts->before = x;
    contexts = x;
}

void tls_swaps_leave(struct tls_context *x)
{
    if (!x->swaps) return;
    for (size_t i = 0; i < x->name_count; i++) free((char *) (uintptr_t) x->names[i].p);
    free(x->names);
    if (x->after) x->after->before = x->before;
    if (x->before) x->before->after = x->after;
    else contexts = x->after;
}

/* ---- putting ---- */

static void end_swap(struct tls_swaps *k, struct swap *s)
{
    OPENSSL_cleanse(s->bytes, (size_t) s->name_n + s->chain_n + s->key_n);
    shm_free(k->zone, s);
}

static bool has_name(const struct swap *s, struct text name)
{
    return s->name_n == name.n && memcmp(s->bytes, name.p, name.n) == 0;
}

/* Under the lock: the new one stands first before the old one goes, so that a death between leaves both, and the new one counts. */
static void replace(struct tls_swaps *k, struct swap *s)
{
    s->version = atomic_load(&k->version) + 1;
    s->next = k->first;
    k->first = s;
    atomic_store(&k->version, s->version);
    for (struct swap **at = &s->next; *at;) {
        struct swap *old = *at;
        if (!has_name(old, text_of(s->bytes, s->name_n))) {
            at = &old->next;
            continue;
        }
        *at = old->next;
        end_swap(k, old);
    }
}

static struct text held(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    return text_of(p, n > 0 ? (size_t) n : 0);
}

static const char *write_pem(const struct tls_loaded *l, BIO *chain, BIO *key)
{
    if (X509_cmp_time(X509_get0_notAfter(l->leaf), NULL) <= 0) return "it is expired";
    if (PEM_write_bio_X509_AUX(chain, l->leaf) != 1) return "PEM_write_bio_X509_AUX() failed";
    for (int i = 0; i < sk_X509_num(l->chain); i++)
        if (PEM_write_bio_X509(chain, sk_X509_value(l->chain, i)) != 1) return "PEM_write_bio_X509() failed";
    if (standin_is(l->key)) return NULL;         /* each makes its own, from the certificate */
    return PEM_write_bio_PrivateKey(key, l->key, NULL, NULL, 0, NULL, NULL) == 1 ? NULL : "its key cannot be handed over";
}

static const char *put_texts(struct tls_swaps *k, struct text name, struct text chain, struct text key)
{
    struct swap *s = shm_alloc(k->zone, sizeof(*s) + name.n + chain.n + key.n);
    if (!s) return "the shared memory for changed certificates is full";
    *s = (struct swap) { .name_n = (uint32_t) name.n, .chain_n = (uint32_t) chain.n, .key_n = (uint32_t) key.n };
    memcpy(s->bytes, name.p, name.n);
    memcpy(s->bytes + name.n, chain.p, chain.n);
    if (key.n) memcpy(s->bytes + name.n + chain.n, key.p, key.n);      /* none: where it is another process's */
    shm_lock(&k->lock);
    replace(k, s);
    shm_unlock(&k->lock);
    return NULL;
}

bool tls_swaps_put(struct tls_swaps *k, struct text name, const struct tls_pair *p, const struct tls_keyring *ring, const struct log *log)
{
    NEED(k, SWAPS_MAGIC);
    struct tls_loaded l;
    if (!tls_loaded_read(p, ring, &(struct tls_teller) { log, L_ERR, NULL }, &l)) return false;
    BIO *chain = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
    ASSERT(chain && key);
    const char *wrong = write_pem(&l, chain, key);
    if (!wrong) wrong = put_texts(k, name, held(chain), held(key));
    if (wrong) tls_log(log, L_ERR, NULL, 0, "certificate \"%.*s\" is not taken: %s", TEXT_ARG(name), wrong);
    OPENSSL_cleanse((char *) (uintptr_t) held(key).p, held(key).n);
    BIO_free(chain);
    BIO_free(key);
    if (!wrong && standin_is(l.key)) tls_swaps_take(k, log);      /* who has the vault keeps what stands in, and with it the key */
    tls_loaded_drop(&l);
    return !wrong;
}

/* ---- taking ---- */

/* A copy of what is newer than the context's; its length, or 0. */
static char *copy_newer(struct tls_swaps *k, const struct tls_context *x, struct text name, struct text *chain_out, struct text *key_out)
{
    char *copy = NULL;
    shm_lock(&k->lock);
    const struct swap *s = k->first;
    while (s && !has_name(s, name)) s = s->next;
    if (s && s->version > x->version) {
        copy = base_alloc(5 + s->chain_n + 5 + s->key_n);
        memcpy(copy, "data:", 5);
        memcpy(copy + 5, s->bytes + s->name_n, s->chain_n);
        memcpy(copy + 5 + s->chain_n, "data:", 5);
        memcpy(copy + 5 + s->chain_n + 5, s->bytes + s->name_n + s->chain_n, s->key_n);
        *chain_out = text_of(copy, 5 + s->chain_n);
        *key_out = text_of(copy + chain_out->n, 5 + s->key_n);
    }
    shm_unlock(&k->lock);
    return copy;
}

/* The key is another process's. */
static bool read_with_standin(struct text certificate, const struct log *log, struct tls_loaded *out)
{
    *out = (struct tls_loaded) { 0 };
    const char *wrong = tls_pair_certificate(certificate, out);
    if (!wrong && !(out->key = standin_open(X509_get0_pubkey(out->leaf)))) wrong = "out of memory";
    if (!wrong) return true;
    tls_log(log, L_ERR, NULL, 0, "cannot take a certificate that has changed: %s", wrong);
    tls_loaded_drop(out);
    return false;
}

static bool take_one(struct tls_swaps *k, struct tls_context *x, struct text name, const struct log *log)
{
    struct tls_pair pair;
    struct tls_loaded l;
    char *copy = copy_newer(k, x, name, &pair.certificate, &pair.key);
    if (!copy) return false;
    bool fine = pair.key.n > strlen("data:") ? tls_loaded_read(&pair, &(struct tls_keyring) { 0 }, &(struct tls_teller) { log, L_ERR, NULL }, &l)
                                             : read_with_standin(pair.certificate, log, &l);
    OPENSSL_cleanse(copy, pair.certificate.n + pair.key.n);
    free(copy);
    if (!fine) return false;
    fine = SSL_CTX_use_cert_and_key(x->ctx, l.leaf, l.key, l.chain, 1) == 1;
    if (!fine) tls_log(log, L_ERR, NULL, 0, "SSL_CTX_use_cert_and_key(\"%.*s\") failed", TEXT_ARG(name));
    tls_loaded_drop(&l);
    return fine;
}

unsigned tls_swaps_take(struct tls_swaps *k, const struct log *log)
{
    NEED(k, SWAPS_MAGIC);
    uint64_t newest = atomic_load(&k->version);
    unsigned changed = 0;
    for (struct tls_context *x = contexts; x; x = x->after) {
        if (x->swaps != k || x->version >= newest) continue;
        for (size_t i = 0; i < x->name_count; i++) changed += take_one(k, x, x->names[i], log);
        x->version = newest;
    }
    return changed;
}
