/*
 * acme_zone: what all processes, and the next generation, share. Writers are managers and the master; workers read. Whatever changes
 * hangs on one pointer, so that a holder of the lock who dies leaves either the old or the new.
 */
#include "modules/acme.h"
#include "base/since.h"
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SILENT_MS = 20000, STALE_S = 3600, NAME_ROOM = 300 };
static const uint64_t layout = 0x61636d6531;

/* One piece: what is told together. */
struct blob { uint32_t n[4]; char bytes[]; };       /* the lengths of its parts */

struct acme_desk { struct shm_lock lock; _Atomic int holder; _Atomic uint64_t beat_ms; struct blob *account; };     /* uri, kid, contacts, key */
struct acme_shelf {
    struct shm_lock  lock;
    _Atomic uint64_t version;
    struct blob     *pair;              /* uri, chain, key */
    struct blob     *order;             /* url, key */
    struct acme_plan plan;
};
struct shared_challenge { struct shared_challenge *next; enum acme_challenge_kind kind; int64_t until_s; struct blob *b; };      /* name, token, authorization; or name, token, chain, key */
struct acme_challenges { struct shm_lock lock; _Atomic unsigned live; struct shared_challenge *first; };

/* ---- blobs ---- */

static struct text part(const struct blob *b, unsigned i)
{
    size_t at = 0;
    for (unsigned k = 0; k < i; k++) at += b->n[k];
    return text_of(b->bytes + at, b->n[i]);
}

static size_t blob_size(const struct blob *b) { return (size_t) b->n[0] + b->n[1] + b->n[2] + b->n[3]; }

static struct blob *make_blob(struct zone *z, const struct text parts[4])
{
    size_t size = parts[0].n + parts[1].n + parts[2].n + parts[3].n, at = 0;
    struct blob *b = shm_zalloc(z, sizeof *b + size);
    for (unsigned i = 0; b && i < 4; i++) {
        b->n[i] = (uint32_t) parts[i].n;
        if (parts[i].n) memcpy(b->bytes + at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    return b;
}

static void end_blob(struct zone *z, struct blob *b)
{
    if (!b) return;
    OPENSSL_cleanse(b->bytes, blob_size(b));
    shm_free(z, b);
}

/* In place of what was there. b may be NULL. */
static void put_blob(struct zone *z, struct shm_lock *lock, struct blob **at, struct blob *b)
{
    shm_lock(lock);
    struct blob *old = *at;
    *at = b;
    shm_unlock(lock);
    end_blob(z, old);
}

static bool tell_full(void)
{
    log_at(log_main, L_ERR, NULL, 0, "the shared memory of acme_shared_zone is full: make it larger");
    return false;
}

static bool set_blob(struct zone *z, struct shm_lock *lock, struct blob **at, struct text a, struct text b, struct text c, struct text d)
{
    struct blob *made = make_blob(z, (struct text[4]) { a, b, c, d });
    if (!made) return tell_full();
    put_blob(z, lock, at, made);
    return true;
}

/* ---- the zone ---- */

bool acme_zone_open(struct acme_conf *top)
{
    bool made;
    top->zone = shm_open_zone(top->zone_name, top->zone_size, layout, NULL);
    top->challenges = top->zone ? shm_object(top->zone, T("challenges"), sizeof *top->challenges, &made) : NULL;
    if (top->zone) madvise(top->zone, shm_figures(top->zone).size, MADV_DONTDUMP);
    if (top->zone && !top->challenges) log_at(log_main, L_EMERG, NULL, 0, "acme_shared_zone \"%.*s\" is too small", TEXT_ARG(top->zone_name));
    return top->challenges != NULL;
}

static void *place(struct acme_conf *top, size_t size, const char *fmt, struct text a, struct text b)
{
    char room[NAME_ROOM * 2];
    bool made;
    struct build name = build_in_room(room, sizeof room);
    build_fmt(&name, fmt, TEXT_ARG(a), TEXT_ARG(b));
    void *p = build_ok(&name) ? shm_object(top->zone, build_done(&name), size, &made) : NULL;
    if (!p) log_at(log_main, L_EMERG, NULL, 0, "acme_shared_zone \"%.*s\" is too small", TEXT_ARG(top->zone_name));
    return p;
}

bool acme_zone_place(struct acme_conf *top, struct acme_issuer *i)
{
    i->desk = place(top, sizeof *i->desk, "desk %.*s%.*s", i->name, T(""));
    bool fine = i->desk != NULL;
    for (struct acme_certificate *c = i->first; fine && c; c = c->next) {
        c->shelf = place(top, sizeof *c->shelf, "shelf %.*s %.*s", i->name, c->id);
        fine = c->shelf != NULL;
    }
    return fine;
}

/* ---- desks ---- */

bool acme_desk_take(struct acme_desk *d)
{
    int me = (int) getpid(), holder = atomic_load(&d->holder);
    if (holder != me) {
        bool lost = !holder || (kill(holder, 0) != 0 && errno == ESRCH) || since_ms_of(atomic_load(&d->beat_ms)) > SILENT_MS;
        if (!lost || !atomic_compare_exchange_strong(&d->holder, &holder, me)) return false;
    }
    atomic_store(&d->beat_ms, clock_now.ms);
    return true;
}

void acme_desk_leave(struct acme_desk *d)
{
    int me = (int) getpid();
    atomic_compare_exchange_strong(&d->holder, &me, 0);
}

struct acme_account acme_desk_account(struct acme_desk *d, struct pool *pool)
{
    struct acme_account a = { .of = T("") };
    shm_lock(&d->lock);
    if (d->account) a = (struct acme_account) { pool_text(pool, part(d->account, 0)), pool_text(pool, part(d->account, 1)), pool_text(pool, part(d->account, 2)), acme_bytes_copy(part(d->account, 3)) };
    shm_unlock(&d->lock);
    return a;
}

bool acme_desk_set_account(struct zone *z, struct acme_desk *d, const struct acme_account *a)
{
    return set_blob(z, &d->lock, &d->account, a->of, a->kid, a->contacts, acme_bytes_text(a->key));
}

/* ---- shelves ---- */

struct acme_plan acme_shelf_plan(struct acme_shelf *s) { return s->plan; }
void acme_shelf_set_plan(struct acme_shelf *s, struct acme_plan p) { s->plan = p; }
uint64_t acme_shelf_version(const struct acme_shelf *s) { return atomic_load(&((struct acme_shelf *) (uintptr_t) s)->version); }

bool acme_shelf_put(struct zone *z, struct acme_shelf *s, struct text uri, struct text chain, struct text key)
{
    if (!set_blob(z, &s->lock, &s->pair, uri, chain, key, T(""))) return false;
    atomic_fetch_add(&s->version, 1);
    return true;
}

bool acme_shelf_get(struct acme_shelf *s, struct acme_bytes *chain_out, struct acme_bytes *key_out, uint64_t *version_out)
{
    shm_lock(&s->lock);
    if (version_out) *version_out = atomic_load(&s->version);
    bool there = s->pair != NULL;
    if (there && chain_out) *chain_out = acme_bytes_copy(part(s->pair, 1));
    if (there && key_out) *key_out = acme_bytes_copy(part(s->pair, 2));
    shm_unlock(&s->lock);
    return there;
}

bool acme_shelf_is_of(struct acme_shelf *s, struct text uri)
{
    shm_lock(&s->lock);
    bool same = s->pair && text_eq(part(s->pair, 0), uri);
    shm_unlock(&s->lock);
    return same;
}

bool acme_shelf_set_order(struct zone *z, struct acme_shelf *s, struct text url, struct text key)
{
    if (url.n) return set_blob(z, &s->lock, &s->order, url, key, T(""), T(""));
    put_blob(z, &s->lock, &s->order, NULL);
    return true;
}

bool acme_shelf_order(struct acme_shelf *s, struct acme_bytes *url_out, struct acme_bytes *key_out)
{
    shm_lock(&s->lock);
    bool there = s->order != NULL;
    if (there && url_out) *url_out = acme_bytes_copy(part(s->order, 0));
    if (there && key_out) *key_out = acme_bytes_copy(part(s->order, 1));
    shm_unlock(&s->lock);
    return there;
}

/* ---- challenges ---- */

enum { NAME, TOKEN, FIRST, SECOND };

static void end_challenge(struct acme_conf *top, struct shared_challenge *c)
{
    end_blob(top->zone, c->b);
    shm_free(top->zone, c);
}

/* Those of that token, and those that were forgotten. Under the lock. How many are left. */
static unsigned drop_some(struct acme_conf *top, struct text token)
{
    unsigned left = 0;
    for (struct shared_challenge **at = &top->challenges->first; *at;) {
        struct shared_challenge *c = *at;
        if (!text_eq(part(c->b, TOKEN), token) && c->until_s > (int64_t) clock_now.wall) {
            at = &c->next;
            left++;
            continue;
        }
        *at = c->next;
        end_challenge(top, c);
    }
    return left;
}

bool acme_challenge_put(struct acme_conf *top, const struct acme_challenge *c)
{
    struct acme_challenges *all = top->challenges;
    bool http = c->kind == ACME_HTTP_01;
    struct shared_challenge *s = shm_zalloc(top->zone, sizeof *s);
    if (s) *s = (struct shared_challenge) { .kind = c->kind, .until_s = (int64_t) clock_now.wall + STALE_S, .b = make_blob(top->zone, (struct text[4]) { c->name, c->token, http ? c->authorization : c->chain, http ? T("") : c->key }) };
    if (!s || !s->b) {
        if (s) shm_free(top->zone, s);
        return tell_full();
    }
    shm_lock(&all->lock);
    unsigned left = drop_some(top, c->token);
    bool room = left < ACME_CHALLENGES_MOST;
    if (room) {
        s->next = all->first;
        all->first = s;
    }
    atomic_store(&all->live, left + room);
    shm_unlock(&all->lock);
    if (!room) end_challenge(top, s);
    return room || tell_full();
}

void acme_challenge_drop(struct acme_conf *top, struct text token)
{
    shm_lock(&top->challenges->lock);
    atomic_store(&top->challenges->live, drop_some(top, token));
    shm_unlock(&top->challenges->lock);
}

struct text acme_challenge_answer(struct acme_conf *top, struct text token, struct pool *pool)
{
    struct text found = T("");
    if (!top->challenges || !atomic_load(&top->challenges->live)) return found;
    shm_lock(&top->challenges->lock);
    for (struct shared_challenge *c = top->challenges->first; c && !found.n; c = c->next)
        if (c->kind == ACME_HTTP_01 && text_eq(part(c->b, TOKEN), token)) found = pool_text(pool, part(c->b, FIRST));
    shm_unlock(&top->challenges->lock);
    return found;
}

bool acme_challenge_pair(struct acme_conf *top, struct text name, struct acme_bytes *chain_out, struct acme_bytes *key_out)
{
    bool found = false;
    if (!top->challenges || !atomic_load(&top->challenges->live)) return false;
    shm_lock(&top->challenges->lock);
    for (struct shared_challenge *c = top->challenges->first; c && !found; c = c->next) {
        if (c->kind != ACME_TLS_ALPN_01 || !text_eq(part(c->b, NAME), name)) continue;
        found = true;
        *chain_out = acme_bytes_copy(part(c->b, FIRST));
        *key_out = acme_bytes_copy(part(c->b, SECOND));
    }
    shm_unlock(&top->challenges->lock);
    return found;
}
