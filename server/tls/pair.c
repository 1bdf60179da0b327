/* pair: a certificate with its chain and its key, from where they lie; and a cache of such, for names that come with connections. */
#include "tls/pair.h"
#include "tls/vault.h"
#include "base/siphash.h"
#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif
#include <openssl/pem.h>
#include <openssl/store.h>

/* ---- where it lies ---- */

static bool is_data(struct text t) { return text_starts(t, T("data:")); }

bool tls_pair_is_path(struct text t)
{
    return !is_data(t) && !text_starts(t, T("engine:")) && !text_starts(t, T("store:"));
}

/* What it holds is not repeated in logs. */
struct text tls_pair_shown(struct text t)
{
    return is_data(t) ? text_upto(t, 5) : t;
}

BIO *tls_pair_bio(struct text t)
{
    if (is_data(t)) return BIO_new_mem_buf(t.p + 5, (int) (t.n - 5));
    char path[4096];
    struct build b = build_in_room(path, sizeof(path));
    build_text(&b, t);
    build_char(&b, 0);
    return build_ok(&b) && strlen(path) == t.n ? BIO_new_file(path, "r") : NULL;
}

/* ---- certificates ---- */

/* The end of a PEM file is told by an error. */
bool tls_pair_ended_well(void)
{
    unsigned long e = ERR_peek_last_error();
    if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE) return false;
    ERR_clear_error();
    return true;
}

static const char *read_chain(BIO *b, struct tls_loaded *out)
{
    X509 *x;
    out->leaf = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL);
    if (!out->leaf) return "PEM_read_bio_X509_AUX() failed";
    out->chain = sk_X509_new_null();
    ASSERT(out->chain != NULL);
    while ((x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) ASSERT(sk_X509_push(out->chain, x) > 0);
    return tls_pair_ended_well() ? NULL : "PEM_read_bio_X509() failed";
}

const char *tls_pair_certificate(struct text from, struct tls_loaded *out)
{
    BIO *b = tls_pair_bio(from);
    const char *wrong = b ? read_chain(b, out) : "BIO_new_file() failed";
    BIO_free(b);
    return wrong;
}

/* ---- keys ---- */

static int give_password(char *room, int size, int writing, void *arg)
{
    const struct text *password = arg;
    if (writing || !password || (size_t) size < password->n) return 0;
    memcpy(room, password->p, password->n);
    return (int) password->n;
}

/* Through a buffer that is wiped: that of a FILE would be freed as it is. */
static EVP_PKEY *read_pem(struct text from, const struct text *password, const char **wrong_out)
{
    static char room[8192];
    BIO *b = tls_pair_bio(from);
    FILE *f = NULL;
    if (b && BIO_method_type(b) == BIO_TYPE_FILE && BIO_get_fp(b, &f) == 1 && f) setvbuf(f, room, _IOFBF, sizeof(room));
    *wrong_out = b ? "PEM_read_bio_PrivateKey() failed" : "BIO_new_file() failed";
    EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, give_password, (void *) (uintptr_t) password) : NULL;
    BIO_free(b);
    OPENSSL_cleanse(room, sizeof(room));
    return key;
}

/* RFC 7512 uris, files, and whatever else a provider opens. */
static EVP_PKEY *read_store(struct text from, const struct text *password, const char **wrong_out)
{
    char uri[4096];
    struct build b = build_in_room(uri, sizeof(uri));
    build_text(&b, text_from(from, strlen("store:")));
    build_char(&b, 0);
    UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(give_password, 0);
    OSSL_STORE_CTX *store = build_ok(&b) ? OSSL_STORE_open(uri, ui, (void *) (uintptr_t) password, NULL, NULL) : NULL;
    EVP_PKEY *key = NULL;
    *wrong_out = store ? "no key in the store" : "OSSL_STORE_open() failed";
    if (store) OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
    while (store && !key && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info) key = OSSL_STORE_INFO_get1_PKEY(info);
        else if (OSSL_STORE_error(store)) break;
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    UI_destroy_method(ui);
    return key;
}

#ifndef OPENSSL_NO_ENGINE
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"      /* keys in hardware of the old kind */
/* "engine:NAME:ID" */
static EVP_PKEY *read_engine(struct text from, const char **wrong_out)
{
    char room[4096];
    struct build b = build_in_room(room, sizeof(room));
    build_text(&b, text_from(from, strlen("engine:")));
    build_char(&b, 0);
    char *id = build_ok(&b) ? strchr(room, ':') : NULL;
    *wrong_out = "invalid syntax";
    if (!id) return NULL;
    *id++ = 0;
    ENGINE *engine = ENGINE_by_id(room);
    *wrong_out = "ENGINE_by_id() failed";
    if (!engine) return NULL;
    EVP_PKEY *key = NULL;
    if (!ENGINE_init(engine)) *wrong_out = "ENGINE_init() failed";
    else {
        *wrong_out = "ENGINE_load_private_key() failed";
        key = ENGINE_load_private_key(engine, id, NULL, NULL);
        ENGINE_finish(engine);
    }
    ENGINE_free(engine);
    return key;
}

static const char *use_engine(const char *name)
{
    ENGINE *engine = ENGINE_by_id(name);
    if (!engine) return "ENGINE_by_id() failed";
    bool fine = ENGINE_set_default(engine, ENGINE_METHOD_ALL) == 1;
    ENGINE_free(engine);
    return fine ? NULL : "ENGINE_set_default() failed";
}
#pragma GCC diagnostic pop
#else
static const char *use_engine(const char *name)
{
    (void) name;
    return "this OpenSSL has no engines";
}

static EVP_PKEY *read_engine(struct text from, const char **wrong_out)
{
    (void) from;
    *wrong_out = "this OpenSSL has no engines";
    return NULL;
}
#endif

bool tls_engine_use(struct text name, const char *file, unsigned line, const struct log *log)
{
    char room[256];
    struct build b = build_in_room(room, sizeof(room));
    build_text(&b, name);
    build_char(&b, 0);
    ERR_clear_error();
    const char *wrong = build_ok(&b) ? use_engine(room) : "its name is too long";
    if (wrong) tls_log(log, L_EMERG, NULL, 0, "the engine \"%.*s\" cannot be used in %s:%u: %s", TEXT_ARG(name), file, line, wrong);
    return !wrong;
}

const char *tls_pair_key(struct text from, const struct tls_keyring *ring, struct tls_loaded *out)
{
    size_t at = 0;
    const char *wrong;
    tls_wipe(true);
    do {
        const struct text *password = at < ring->password_count ? &ring->passwords[at] : NULL;
        ERR_clear_error();
        if (text_starts(from, T("store:"))) out->key = read_store(from, password, &wrong);
        else if (text_starts(from, T("engine:"))) out->key = read_engine(from, &wrong);
        else out->key = read_pem(from, password, &wrong);
    } while (!out->key && ++at < ring->password_count);
    tls_wipe(false);
    if (!out->key) return wrong;
    return vault_is_on() ? vault_take(&out->key) : NULL;
}

/* ---- both ---- */

void tls_loaded_drop(struct tls_loaded *l)
{
    X509_free(l->leaf);
    sk_X509_pop_free(l->chain, X509_free);
    EVP_PKEY_free(l->key);
    *l = (struct tls_loaded) { 0 };
}

bool tls_loaded_read(const struct tls_pair *p, const struct tls_keyring *ring, const struct tls_teller *to, struct tls_loaded *out)
{
    *out = (struct tls_loaded) { 0 };
    ERR_clear_error();
    struct text name = tls_pair_shown(p->certificate);
    const char *what = "certificate", *wrong = tls_pair_certificate(p->certificate, out);
    if (!wrong) {
        name = tls_pair_shown(p->key);
        what = "certificate key";
        wrong = tls_pair_key(p->key, ring, out);
    }
    if (!wrong && X509_check_private_key(out->leaf, out->key) != 1) wrong = "it is not that of the certificate";
    if (!wrong) return true;
    tls_log(to->log, to->level, to->about, 0, "cannot load %s \"%.*s\": %s", what, TEXT_ARG(name), wrong);
    tls_loaded_drop(out);
    return false;
}

/* ---- kept ---- */

#define PAIR_CACHE_MAGIC 0x544c5043u

struct kept {
    struct kept      *next;                    /* of its bucket */
    struct kept      *newer, *older;           /* by use */
    struct tls_loaded loaded;
    uint64_t          hash, read_ms, used_ms;
    size_t            n;
    char              name[];
};

struct tls_pair_cache {
    unsigned           magic, max, count;
    uint64_t           inactive_ms, valid_ms;
    struct siphash_key key;
    size_t             mask;
    struct kept       *newest, *oldest;
    struct kept       *buckets[];
};

struct tls_pair_cache *tls_pair_cache_open(unsigned max, uint64_t inactive_ms, uint64_t valid_ms)
{
    size_t count = 16;
    while (count < max && count < 65536) count *= 2;
    struct tls_pair_cache *k = base_zalloc(1, sizeof(*k) + count * sizeof(k->buckets[0]));
    *k = (struct tls_pair_cache) { .magic = PAIR_CACHE_MAGIC, .max = max, .inactive_ms = inactive_ms, .valid_ms = valid_ms, .key = siphash_new_key(), .mask = count - 1 };
    return k;
}

static void unlink_kept(struct tls_pair_cache *k, struct kept *e)
{
    if (e->newer) e->newer->older = e->older;
    else k->newest = e->older;
    if (e->older) e->older->newer = e->newer;
    else k->oldest = e->newer;
}

static void link_newest(struct tls_pair_cache *k, struct kept *e)
{
    e->newer = NULL;
    e->older = k->newest;
    if (k->newest) k->newest->newer = e;
    else k->oldest = e;
    k->newest = e;
    e->used_ms = clock_now.ms;
}

static void forget(struct tls_pair_cache *k, struct kept *e)
{
    struct kept **at = &k->buckets[e->hash & k->mask];
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    unlink_kept(k, e);
    tls_loaded_drop(&e->loaded);
    free(e);
    k->count--;
}

void tls_pair_cache_close(struct tls_pair_cache **k)
{
    if (!*k) return;
    NEED(*k, PAIR_CACHE_MAGIC);
    while ((*k)->oldest) forget(*k, (*k)->oldest);
    (*k)->magic = 0;
    free(*k);
    *k = NULL;
}

static struct kept *find_kept(struct tls_pair_cache *k, struct text name, uint64_t hash)
{
    while (k->oldest && clock_now.ms - k->oldest->used_ms > k->inactive_ms) forget(k, k->oldest);
    struct kept *e = k->buckets[hash & k->mask];
    while (e && !(e->hash == hash && e->n == name.n && memcmp(e->name, name.p, name.n) == 0)) e = e->next;
    if (!e) return NULL;
    if (clock_now.ms - e->read_ms > k->valid_ms) {
        forget(k, e);
        return NULL;
    }
    unlink_kept(k, e);
    link_newest(k, e);
    return e;
}

static struct kept *keep(struct tls_pair_cache *k, struct text name, uint64_t hash, const struct tls_loaded *loaded)
{
    if (k->count >= k->max) forget(k, k->oldest);
    struct kept *e = base_alloc(sizeof(*e) + name.n), **bucket = &k->buckets[hash & k->mask];
    *e = (struct kept) { .next = *bucket, .loaded = *loaded, .hash = hash, .read_ms = clock_now.ms, .n = name.n };
    memcpy(e->name, name.p, name.n);
    *bucket = e;
    link_newest(k, e);
    k->count++;
    return e;
}

static bool use(SSL *ssl, const struct tls_loaded *l, const struct tls_pair *p, const struct tls_teller *to)
{
    if (SSL_use_cert_and_key(ssl, l->leaf, l->key, l->chain, 1) == 1) return true;
    tls_log(to->log, to->level, to->about, 0, "SSL_use_cert_and_key(\"%.*s\") failed", TEXT_ARG(tls_pair_shown(p->certificate)));
    return false;
}

/* Data is not kept: who gives it has it. */
bool tls_pair_present(SSL *ssl, const struct tls_pair *p, const struct tls_keyring *ring, const struct tls_teller *to)
{
    struct tls_loaded loaded;
    struct tls_pair_cache *k = ring->cache;
    if (!k || k->max == 0 || is_data(p->certificate) || is_data(p->key)) {
        bool fine = tls_loaded_read(p, ring, to, &loaded) && use(ssl, &loaded, p, to);
        tls_loaded_drop(&loaded);
        return fine;
    }
    NEED(k, PAIR_CACHE_MAGIC);
    char room[8192];
    struct build b = build_in_room(room, sizeof(room));
    build_text(&b, p->certificate);
    build_char(&b, 0);
    build_text(&b, p->key);
    struct text name = build_done(&b);
    uint64_t hash = siphash(&k->key, name).v[0];
    struct kept *e = find_kept(k, name, hash);
    if (!e && !tls_loaded_read(p, ring, to, &loaded)) return false;
    if (!e) e = keep(k, name, hash, &loaded);
    return use(ssl, &e->loaded, p, to);
}
