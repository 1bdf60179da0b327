/*
 * cache: sessions by their id, in shared memory. A table of lists, and one list by age from which the oldest go when the zone
 * is full. The list by age alone is the truth: the rest is made again from it when a holder of the lock died.
 */
#include "tls/session.h"
#include <sys/mman.h>

#define CACHE_MAGIC 0x544c4353u
#define SAVED_MAGIC 0x544c5356u
enum { ID_MAX = SSL_MAX_SSL_SESSION_ID_LENGTH, DER_MAX = TLS_SESSION_MOST, DER_USUAL = 256, EVICT_MOST = 32 };

struct saved {
    unsigned      magic;
    uint32_t      id_n, der_n;
    uint64_t      until;                  /* wall clock, seconds */
    struct saved *next;                   /* of its bucket */
    struct saved *older, *newer;
    unsigned char id[ID_MAX];
    unsigned char der[];
};

struct tls_cache {
    unsigned                 magic;
    struct shm_lock          lock;
    struct zone             *zone;
    struct saved           **buckets;
    size_t                   mask;
    struct saved            *newest, *oldest;
    struct tls_cache_figures figures;
};

struct tls_cache *tls_cache_open(struct zone *z)
{
    bool made;
    madvise(z, shm_figures(z).size, MADV_DONTDUMP);
    struct tls_cache *k = shm_object(z, T("tls-sessions"), sizeof(*k), &made);
    if (!k || k->magic == CACHE_MAGIC) return k;
    size_t count = 64;
    while (count * 2 * DER_USUAL <= shm_figures(z).size) count *= 2;
    k->buckets = shm_zalloc(z, count * sizeof(*k->buckets));
    if (!k->buckets) return NULL;
    k->mask = count - 1;
    k->zone = z;
    k->magic = CACHE_MAGIC;
    return k;
}

/* ---- under the lock ---- */

/* Ids are random. */
static struct saved **bucket_of(struct tls_cache *k, const unsigned char *id, size_t n)
{
    uint64_t hash = 0;
    memcpy(&hash, id, min_of(n, sizeof(hash)));
    return &k->buckets[(hash ^ hash >> 32) & k->mask];
}

static struct saved *find(struct tls_cache *k, const unsigned char *id, size_t n)
{
    for (struct saved *s = *bucket_of(k, id, n); s; s = s->next)
        if (s->id_n == n && memcmp(s->id, id, n) == 0) return s;
    return NULL;
}

static void link_bucket(struct tls_cache *k, struct saved *s)
{
    struct saved **bucket = bucket_of(k, s->id, s->id_n);
    s->next = *bucket;
    *bucket = s;
}

static void drop(struct tls_cache *k, struct saved *s)
{
    struct saved **at = bucket_of(k, s->id, s->id_n);
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    if (s->newer) s->newer->older = s->older;
    else k->newest = s->older;
    if (s->older) s->older->newer = s->newer;
    else k->oldest = s->newer;
    s->magic = 0;
    OPENSSL_cleanse(s->der, s->der_n);
    k->figures.now--;
    shm_free(k->zone, s);
}

static void mend(struct tls_cache *k)
{
    struct saved *newer = NULL, *s = k->newest;
    unsigned most = k->figures.now + 1, count = 0;
    memset(k->buckets, 0, (k->mask + 1) * sizeof(*k->buckets));
    for (; IS(s, SAVED_MAGIC) && count < most; s = s->older, count++) {
        s->newer = newer;
        link_bucket(k, s);
        newer = s;
    }
    if (newer) newer->older = NULL;
    else k->newest = NULL;
    k->oldest = newer;
    k->figures.now = count;
}

static void lock_cache(struct tls_cache *k)
{
    NEED(k, CACHE_MAGIC);
    if (!shm_lock(&k->lock)) mend(k);
}

struct shm_lock *tls_cache_lock(struct tls_cache *k)
{
    NEED(k, CACHE_MAGIC);
    return &k->lock;
}

static struct saved *make_room(struct tls_cache *k, size_t size)
{
    while (k->oldest && k->oldest->until <= (uint64_t) clock_now.wall) drop(k, k->oldest);
    struct saved *s = shm_alloc(k->zone, size);
    for (unsigned i = 0; !s && k->oldest && i < EVICT_MOST; i++) {
        drop(k, k->oldest);
        k->figures.evicted++;
        s = shm_alloc(k->zone, size);
    }
    return s;
}

static void store(struct tls_cache *k, const unsigned char *id, size_t id_n, struct text der, uint64_t seconds)
{
    lock_cache(k);
    struct saved *old = find(k, id, id_n), *s;
    if (old) drop(k, old);
    s = make_room(k, sizeof(*s) + der.n);
    if (s) {
        *s = (struct saved) { .magic = SAVED_MAGIC, .id_n = (uint32_t) id_n, .der_n = (uint32_t) der.n, .until = (uint64_t) clock_now.wall + seconds, .older = k->newest };
        memcpy(s->id, id, id_n);
        memcpy(s->der, der.p, der.n);
        if (k->newest) k->newest->newer = s;
        else k->oldest = s;
        k->newest = s;
        link_bucket(k, s);
        k->figures.now++;
        k->figures.stored++;
    }
    shm_unlock(&k->lock);
}

/* Bytes of DER in room; 0: not there. */
static size_t fetch(struct tls_cache *k, const unsigned char *id, size_t n, char *room)
{
    size_t found = 0;
    lock_cache(k);
    struct saved *s = find(k, id, n);
    if (s && s->until > (uint64_t) clock_now.wall) {
        found = s->der_n;
        memcpy(room, s->der, found);
        k->figures.found++;
    } else {
        k->figures.missed++;
    }
    shm_unlock(&k->lock);
    return found;
}

struct tls_cache_figures tls_cache_figures(struct tls_cache *k)
{
    lock_cache(k);
    struct tls_cache_figures f = k->figures;
    shm_unlock(&k->lock);
    return f;
}

/* ---- sessions of ours ---- */

void tls_cache_keep(struct tls_cache *k, struct text name, struct text der, uint64_t seconds)
{
    ASSERT(name.n && name.n <= ID_MAX);
    if (der.n <= DER_MAX && seconds) store(k, (const unsigned char *) name.p, name.n, der, seconds);
}

size_t tls_cache_find(struct tls_cache *k, struct text name, char *room)
{
    return fetch(k, (const unsigned char *) name.p, name.n, room);
}

void tls_cache_forget(struct tls_cache *k, struct text name)
{
    lock_cache(k);
    struct saved *s = find(k, (const unsigned char *) name.p, name.n);
    if (s) drop(k, s);
    shm_unlock(&k->lock);
}

/* RFC 8446 4.6.1, RFC 5077 3.3: what the server says, at most seven days; else as long as ours. */
static uint64_t lasts_s(const SSL_SESSION *session)
{
    uint64_t hint = SSL_SESSION_has_ticket(session) ? SSL_SESSION_get_ticket_lifetime_hint(session) : 0;
    return hint ? min_of(hint, (uint64_t) 604800) : (uint64_t) SSL_SESSION_get_timeout(session);
}

/* ---- OpenSSL's side ---- */

static struct text serialise(SSL_SESSION *session, char *room)
{
    int n = i2d_SSL_SESSION(session, NULL);
    unsigned char *p = (unsigned char *) room;
    if (n <= 0 || n > DER_MAX) return (struct text) { NULL, 0 };
    i2d_SSL_SESSION(session, &p);
    return text_of(room, (size_t) n);
}

/* Always 0: we keep no reference. */
static int session_made(SSL *ssl, SSL_SESSION *session)
{
    struct conn *c = tls_conn_of(ssl);
    char room[DER_MAX];
    unsigned n;
    if (!c) return 0;
    struct tls *t = c->layer;
    const unsigned char *id = SSL_SESSION_get_id(session, &n);
    if (!t->context->server) {
        struct text der = t->context->hooks && t->context->hooks->session ? serialise(session, room) : (struct text) { NULL, 0 };
        if (!text_empty(der)) t->context->hooks->session(c, der, lasts_s(session));
        return 0;
    }
    /* TLS 1.3 with tickets: the client keeps it */
    if (SSL_version(ssl) == TLS1_3_VERSION && !(SSL_get_options(ssl) & SSL_OP_NO_TICKET)) return 0;
    struct text der = serialise(session, room);
    if (n && n <= ID_MAX && !text_empty(der)) store(t->first->cache, id, n, der, (uint64_t) SSL_SESSION_get_timeout(session));
    return 0;
}

static SSL_SESSION *session_wanted(SSL *ssl, const unsigned char *id, int n, int *copy)
{
    struct conn *c = tls_conn_of(ssl);
    struct tls *t = c->layer;
    char room[DER_MAX];
    *copy = 0;
    if (n <= 0 || n > ID_MAX) return NULL;
    size_t size = fetch(t->first->cache, id, (size_t) n, room);
    const unsigned char *p = (const unsigned char *) room;
    return size ? d2i_SSL_SESSION(NULL, &p, (long) size) : NULL;
}

static void session_bad(SSL_CTX *ctx, SSL_SESSION *session)
{
    struct tls_context *x = tls_context_find(ctx);
    unsigned n;
    const unsigned char *id = SSL_SESSION_get_id(session, &n);
    if (!x->cache) return;
    lock_cache(x->cache);
    struct saved *s = find(x->cache, id, n);
    if (s) drop(x->cache, s);
    shm_unlock(&x->cache->lock);
}

void tls_cache_attach(SSL_CTX *ctx)
{
    SSL_CTX_sess_set_new_cb(ctx, session_made);
    if (SSL_CTX_get_session_cache_mode(ctx) & SSL_SESS_CACHE_CLIENT) return;
    SSL_CTX_sess_set_get_cb(ctx, session_wanted);
    SSL_CTX_sess_set_remove_cb(ctx, session_bad);
}
