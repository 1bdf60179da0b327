/* acme_open: the master's part: the state folder, what is kept there, and pairs that servers can begin with. */
#include "modules/acme.h"
#include "http/h1_tls.h"
#include "http/http.h"
#include "os/file.h"
#include "process/core_conf.h"
#include "wire/base64.h"
#include <errno.h>

/* ---- secrets of files ---- */

static bool read_secret(struct text path, struct acme_bytes *out)
{
    char room[ACME_SECRET_MOST];
    ssize_t n = file_read(path.p, room, sizeof room);
    if (n < 0) log_at(log_main, L_EMERG, NULL, errno, "\"%.*s\" cannot be read", TEXT_ARG(path));
    else *out = acme_bytes_copy(text_of(room, (size_t) n));
    OPENSSL_cleanse(room, sizeof room);
    return n >= 0;
}

static void end_secret(void *arg) { acme_bytes_end(arg); }

/* external_account_key: base64url, as servers give it. */
static bool read_binding(struct cycle *c, struct acme_issuer *i)
{
    char room[ACME_SECRET_MOST];
    struct acme_bytes said = { NULL, 0 };
    struct text path = i->conf->bind_path;
    if (!i->conf->kid.n) return true;
    if (text_starts(path, T("data:"))) said = acme_bytes_copy(text_from(path, 5));
    else if (!read_secret(path, &said)) return false;
    struct build b = build_in_room(room, sizeof room);
    struct text t = acme_bytes_text(said);
    while (t.n && (unsigned char) t.p[t.n - 1] <= ' ') t.n--;
    bool good = base64_decode(&b, t, true) && b.n > 0;
    if (good) i->binding = acme_bytes_copy(build_done(&b));
    else log_at(log_main, L_EMERG, NULL, 0, "external_account_key of acme_issuer \"%.*s\" is not base64url", TEXT_ARG(i->name));
    OPENSSL_cleanse(room, sizeof room);
    acme_bytes_end(&said);
    pool_cleanup(c->pool, end_secret, &i->binding);
    return good;
}

static bool read_account_key(struct cycle *c, struct acme_issuer *i)
{
    struct text path = i->conf->account_key.path;
    if (!path.n) return true;
    if (!read_secret(path, &i->account_pem)) return false;
    pool_cleanup(c->pool, end_secret, &i->account_pem);
    EVP_PKEY *key = acme_key_read(acme_bytes_text(i->account_pem));
    bool good = key && acme_jws_alg(key);
    if (!good) tls_log(log_main, L_EMERG, NULL, 0, "account_key \"%.*s\" is no key that ACME servers take", TEXT_ARG(path));
    EVP_PKEY_free(key);
    return good;
}

/* ---- pairs to begin with ---- */

/* One key for all that have none yet: it proves nothing. Of the type that the certificate will have, whose place it holds. */
static EVP_PKEY *own_key(bool rsa)
{
    static EVP_PKEY *keys[2];
    if (!keys[rsa]) keys[rsa] = acme_key_make(acme_kind_read(rsa ? T("rsa:2048") : T("ecdsa:256")));
    return keys[rsa];
}

static bool make_own(struct acme_certificate *c)
{
    struct pool *scratch = pool_open(0);
    struct build b = build_in_pool(scratch, 2048, 0);
    EVP_PKEY *key = own_key(!c->kind->group);
    bool good = key && acme_key_certificate(key, &c->names, NULL, &b);
    if (good) {
        c->chain = acme_bytes_copy(build_done(&b));
        c->key = acme_key_write(key);
    } else tls_log(log_main, L_EMERG, NULL, 0, "no certificate can be made for \"%.*s\"", TEXT_ARG(c->id));
    pool_close(&scratch);
    return good;
}

static struct acme_bytes as_data(struct acme_bytes *b)
{
    struct acme_bytes data = { base_alloc(b->n + 6), b->n + 5 };
    memcpy(data.p, "data:", 5);
    memcpy(data.p + 5, b->p, b->n);
    data.p[data.n] = 0;
    acme_bytes_end(b);
    return data;
}

static void end_pair(void *arg)
{
    struct acme_certificate *c = arg;
    acme_bytes_end(&c->chain);
    acme_bytes_end(&c->key);
}

static bool open_certificate(struct cycle *c, struct acme_conf *top, struct acme_certificate *k)
{
    if (!acme_shelf_version(k->shelf)) acme_store_load(top->zone, k);
    if (!acme_shelf_get(k->shelf, &k->chain, &k->key, &k->handed) && !make_own(k)) return false;
    k->chain = as_data(&k->chain);
    k->key = as_data(&k->key);
    pool_cleanup(c->pool, end_pair, k);
    k->issued.pair = (struct tls_pair) { acme_bytes_text(k->chain), acme_bytes_text(k->key) };
    return true;
}

/* ---- the whole ---- */

static void load_account(struct acme_conf *top, struct acme_issuer *i)
{
    struct pool *scratch = pool_open(0);
    struct acme_account a = acme_desk_account(i->desk, scratch);
    bool known = a.key.n || a.kid.n;
    acme_bytes_end(&a.key);
    if (!known && acme_store_load_account(i, scratch, &a)) acme_desk_set_account(top->zone, i->desk, &a);
    acme_bytes_end(&a.key);
    pool_close(&scratch);
}

static void close_context(void *p)
{
    struct tls_context *x = p;
    tls_context_close(&x);
}

static bool open_issuer(struct cycle *c, struct acme_conf *top, struct acme_issuer *i)
{
    const struct core_user *user = &core_conf(c->conf->top)->user;
    if (!c->testing && !acme_store_open(i, user->is_set ? user->uid : (uid_t) -1)) return false;
    if (!acme_zone_place(top, i) || !read_binding(c, i) || !read_account_key(c, i)) return false;
    i->tls = fetch_context(&(struct fetch_trust) { .ca = i->conf->trusted, .anybody = !i->conf->verify.on }, log_main);
    if (!i->tls) return false;
    pool_cleanup(c->pool, close_context, i->tls);
    load_account(top, i);
    for (struct acme_certificate *k = i->first; k; k = k->next)
        if (!open_certificate(c, top, k)) return false;
    return true;
}

/* RFC 8737 3: the handshake that looks whether a name is ours. */
static bool show_challenge(struct conn *c, struct text name)
{
    struct acme_bytes chain, key;
    struct acme_conf *top = acme_top(cycle_current->conf);
    if (!acme_challenge_pair(top, name, &chain, &key)) return false;
    chain = as_data(&chain);
    key = as_data(&key);
    struct tls_pair pair = { acme_bytes_text(chain), acme_bytes_text(key) };
    struct tls_keyring none = { .password_count = 0 };
    bool shown = tls_present_only(c, &pair, &none);
    acme_bytes_end(&chain);
    acme_bytes_end(&key);
    return shown;
}

bool acme_open(struct cycle *c)
{
    struct acme_conf *top = acme_top(c->conf);
    struct http *h = http_of(c->conf);
    bool alpn = false;
    if (top->first && !acme_zone_open(top)) return false;
    for (struct acme_issuer *i = top->first; i; i = i->next) {
        if (!open_issuer(c, top, i)) return false;
        alpn |= i->conf->challenge == ACME_TLS_ALPN_01;
    }
    h1_tls_challenge = alpn ? show_challenge : NULL;
    for (size_t i = 0; h && i < h->vhost_count; i++) {
        struct acme_conf *want = conf_values(h->vhosts[i]->block, &acme_module);
        h->vhosts[i]->issued = want->certificate ? &want->certificate->issued : NULL;
    }
    return true;
}
