/*
 * ssl_watch: certificates while the server runs. The master notices that files of theirs have changed, and hands the new pair to all
 * workers (ssl_certificate_watch); the manager tells in time which are about to expire.
 */
#include "modules/ssl.h"
#include "http/http.h"
#include "os/shm_table.h"
#include "tls/ending.h"
#include <errno.h>
#include <sys/stat.h>

enum { CERTS_LAYOUT = 0x73736c33, TOLD_LAYOUT = 0x73736c34, ZONE_LEAST = 1 << 20, ZONE_ONE = 64 << 10, TOLD_LEAST = 128 << 10, TOLD_ONE = 256, EVERY_MS = 1000, TELL_EVERY_S = 60 };

/* What tells one state of a file from another. */
struct stamp { int err; dev_t dev; ino_t ino; off_t size; struct timespec written, changed; };

struct cert {
    struct tls_pair        pair;
    const struct ssl_conf *s;             /* whose passwords open its key */
    bool                   watched;
    bool                   moving;        /* it has changed since the last look but one: perhaps it is still being written */
    int                    kind;          /* of its key; 0: not known */
    struct stamp           seen[2];       /* certificate, key */
    _Atomic int64_t       *ends;          /* watched: in shared memory, the master's to change */
};

struct ssl_certs {
    struct tls_swaps *swaps;              /* NULL: none is watched */
    struct shm_table *told;               /* by certificate and end: the stage that was told of last; over reloads */
    struct cert      *v;
    size_t            n;
    uint64_t          look_ms;            /* when the master looks next */
    int64_t           tell_s;
};

static struct ssl_certs *certs_of(const struct cycle *c)
{
    return ((struct ssl_conf *) conf_values(c->conf->top, &ssl_module))->certs;
}

/* ---- which there are ---- */

static bool is_file(const struct tls_word *w)
{
    return !w->with && w->path.n && w->path.p[0] == '/';
}

static void take_stamp(struct text path, struct stamp *out)
{
    struct stat st;
    *out = (struct stamp) { 0 };
    if (stat(path.p, &st) != 0) out->err = errno;
    else *out = (struct stamp) { 0, st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->err == b->err && a->dev == b->dev && a->ino == b->ino && a->size == b->size
           && a->written.tv_sec == b->written.tv_sec && a->written.tv_nsec == b->written.tv_nsec
           && a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static const struct ssl_conf *values_of(const struct vhost *v) { return conf_values(v->block, &ssl_module); }

bool ssl_certs_issued(const struct vhost *v, size_t i)
{
    const struct ssl_conf *s = values_of(v);
    return v->issued && text_eq(s->certificates.v[i].path, v->issued->certificate) && text_eq(s->keys.v[i].path, v->issued->key);
}

static void add_cert(struct ssl_certs *k, struct table *found, struct pool *scratch, const struct ssl_conf *s, size_t i)
{
    const struct tls_word *certificate = &s->certificates.v[i], *key = &s->keys.v[i];
    if (certificate->with) return;
    bool watched = s->watch.on && is_file(certificate) && is_file(key);
    struct text name = pool_printf(scratch, "%d %.*s%c%.*s", watched, TEXT_ARG(certificate->path), 0, TEXT_ARG(key->path));
    if (table_get(found, name)) return;
    struct cert *x = &k->v[k->n++];
    *x = (struct cert) { .pair = { certificate->path, key->path }, .s = s, .watched = watched };
    table_add(found, name, x);
    if (!watched) return;
    take_stamp(x->pair.certificate, &x->seen[0]);
    take_stamp(x->pair.key, &x->seen[1]);
}

/* Says what it found: how many are watched, and *issued_out of those that are made while the server runs. */
static size_t list_certs(struct ssl_certs *k, const struct http *h, struct pool *pool, size_t *issued_out)
{
    struct pool *scratch = pool_open(0);
    struct table found;
    size_t most = 0, watched = 0;
    table_init(&found, scratch, false);
    for (size_t i = 0; i < h->vhost_count; i++) most += values_of(h->vhosts[i])->certificates.n;
    k->v = pool_array(pool, struct cert, most + 1);
    for (size_t i = 0; i < h->vhost_count; i++) {
        const struct ssl_conf *s = values_of(h->vhosts[i]);
        for (size_t j = 0; j < s->certificates.n; j++) {
            add_cert(k, &found, scratch, s, j);
            *issued_out += ssl_certs_issued(h->vhosts[i], j);
        }
    }
    for (size_t i = 0; i < k->n; i++) watched += k->v[i].watched;
    pool_close(&scratch);
    return watched;
}

static size_t room_for(size_t n, size_t each, size_t least)
{
    size_t size = least;
    while (size < n * each) size *= 2;
    return size;
}

/* A zone for each generation: what was swapped for an older one is in the files of this one, and stays with the workers of that. */
static bool open_swaps(struct ssl_certs *k, struct cycle *c, size_t watched, size_t issued, _Atomic int64_t **ends_out)
{
    bool made;
    struct zone *z = shm_open_zone(pool_printf(c->pool, "ssl certificates %llu", (unsigned long long) c->number), room_for(watched + issued, ZONE_ONE, ZONE_LEAST), CERTS_LAYOUT, NULL);
    k->swaps = z ? tls_swaps_open(z) : NULL;
    *ends_out = k->swaps ? shm_object(z, T("ends"), (watched + 1) * sizeof(int64_t), &made) : NULL;
    if (z && !*ends_out) log_at(log_main, L_EMERG, NULL, 0, "no room for changed certificates");
    return *ends_out != NULL;
}

bool ssl_certs_open(struct cycle *c, struct ssl_conf *top, const struct http *h)
{
    struct ssl_certs *k = top->certs = pool_new(c->pool, struct ssl_certs);
    size_t issued = 0, watched = list_certs(k, h, c->pool, &issued);
    _Atomic int64_t *shared = NULL, *own = pool_array(c->pool, _Atomic int64_t, k->n + 1);
    if (watched + issued && !open_swaps(k, c, watched, issued, &shared)) return false;
    if (!k->n) return true;
    k->told = shm_table_open(T("ssl expiry"), room_for(k->n, TOLD_ONE, TOLD_LEAST), sizeof(uint32_t), TOLD_LAYOUT, NULL);
    for (size_t i = 0; i < k->n; i++) {
        struct cert *x = &k->v[i];
        struct tls_ending e = { INT64_MAX, 0 };
        tls_ending_read(x->pair.certificate, &e);       /* where it cannot be read, who makes the context says so */
        x->ends = x->watched ? shared++ : own++;
        x->kind = e.kind;
        atomic_store(x->ends, e.s);
    }
    return k->told != NULL;
}

struct tls_swaps *ssl_certs_swaps(const struct ssl_conf *top, const struct vhost *v)
{
    const struct ssl_conf *s = values_of(v);
    bool follows = s->watch.on;
    for (size_t i = 0; i < s->certificates.n; i++) follows |= ssl_certs_issued(v, i);
    return follows && top->certs ? top->certs->swaps : NULL;
}

/* ---- the master: files that change ---- */

static void hand_over(struct ssl_certs *k, struct cert *x)
{
    struct tls_ending e;
    struct tls_keyring ring = { x->s->passwords.v, x->s->passwords.n, NULL };
    bool known = tls_ending_read(x->pair.certificate, &e);
    if (known && x->kind && e.kind != x->kind) {
        log_at(log_main, L_ERR, NULL, 0, "certificate \"%.*s\" is not taken: its key is of another type (%s) than before (%s): reload to change it",
            TEXT_ARG(x->pair.certificate), tls_ending_kind(e.kind), tls_ending_kind(x->kind));
        return;
    }
    if (!tls_swaps_put(k->swaps, x->pair.certificate, &x->pair, &ring, log_main)) return;
    if (known) atomic_store(x->ends, e.s);
    log_at(log_main, L_NOTICE, NULL, 0, "certificate \"%.*s\" has changed, and is taken", TEXT_ARG(x->pair.certificate));
}

/* Taken once both files have been the same for two looks: who writes them writes one after the other. */
static void look_at(struct ssl_certs *k, struct cert *x)
{
    struct stamp now[2];
    take_stamp(x->pair.certificate, &now[0]);
    take_stamp(x->pair.key, &now[1]);
    bool same = same_stamp(&now[0], &x->seen[0]) && same_stamp(&now[1], &x->seen[1]);
    if (same && x->moving) hand_over(k, x);
    x->moving = !same;
    memcpy(x->seen, now, sizeof(now));
}

/* Many certificates are looked at less often. */
uint64_t ssl_certs_look(struct cycle *c)
{
    struct ssl_certs *k = certs_of(c);
    if (!k || !k->swaps) return 0;
    if (!k->look_ms) k->look_ms = clock_now.ms + EVERY_MS;
    if (clock_now.ms >= k->look_ms) {
        for (size_t i = 0; i < k->n; i++) if (k->v[i].watched) look_at(k, &k->v[i]);
        k->look_ms = clock_now.ms + EVERY_MS + k->n;
    }
    return k->look_ms - clock_now.ms;
}

/* ---- workers ---- */

bool ssl_certs_take(struct cycle *c)
{
    struct ssl_certs *k = certs_of(c);
    return k && k->swaps && tls_swaps_take(k->swaps, log_main) > 0;
}

/* ---- the manager: when they expire ---- */

static struct text shown(struct text t) { return text_starts(t, T("data:")) ? T("data:") : t; }

static void tell(struct ssl_certs *k, const struct cert *x)
{
    int64_t ends = atomic_load(x->ends);
    if (tls_ending_stage(ends, clock_now.wall) == 0) return;
    struct pool *scratch = pool_open(0);
    struct siphash key = shm_table_key(k->told, pool_printf(scratch, "%lld %.*s", (long long) ends, TEXT_ARG(x->pair.certificate)));
    pool_close(&scratch);
    uint32_t before, *told;
    shm_table_enter(k->told);
    while (!(told = shm_table_find(k->told, key)) && !(told = shm_table_add(k->told, key))) shm_table_drop(k->told, shm_table_oldest(k->told));
    before = *told;
    *told = tls_ending_stage(ends, clock_now.wall);
    shm_table_leave(k->told);
    tls_ending_tell(shown(x->pair.certificate), ends, clock_now.wall, &before, log_main);
}

void ssl_certs_tell(struct cycle *c)
{
    struct ssl_certs *k = certs_of(c);
    if (!k || !k->n || clock_now.wall < k->tell_s) return;
    k->tell_s = clock_now.wall + TELL_EVERY_S;
    for (size_t i = 0; i < k->n; i++) tell(k, &k->v[i]);
}
