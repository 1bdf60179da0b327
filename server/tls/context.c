/* context: an SSL_CTX from typed settings. */
#include "tls/session.h"
#include <openssl/conf.h>
#include <openssl/evp.h>

bool tls_early_is_used;
static int context_index = -1;      /* of our struct in an SSL_CTX */

static void free_context(void *parent, void *p, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
    (void) parent, (void) data, (void) index, (void) number, (void) arg;
    struct tls_context *x = p;
    if (!x) return;
    tls_swaps_leave(x);
    free((char *) (uintptr_t) x->curves.p);
    x->magic = 0;
    free(x);
}

struct tls_context *tls_context_find(const SSL_CTX *ctx)
{
    struct tls_context *x = SSL_CTX_get_ex_data(ctx, context_index);
    NEED(x, TLS_CONTEXT_MAGIC);
    return x;
}

SSL_CTX *tls_context_raw(struct tls_context *x)
{
    NEED(x, TLS_CONTEXT_MAGIC);
    return x->ctx;
}

/* ---- the parts of the settings ---- */

static bool set_protocols(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    static const struct { unsigned bit; uint64_t off; } protocols[] = {
        { TLS_V1, SSL_OP_NO_TLSv1 }, { TLS_V1_1, SSL_OP_NO_TLSv1_1 }, { TLS_V1_2, SSL_OP_NO_TLSv1_2 }, { TLS_V1_3, SSL_OP_NO_TLSv1_3 },
    };
    (void) log;
    unsigned wanted = s->protocols ? s->protocols : TLS_V1_2 | TLS_V1_3;
    SSL_CTX_set_min_proto_version(ctx, 0);
    SSL_CTX_set_max_proto_version(ctx, 0);
    SSL_CTX_set_options(ctx, SSL_OP_NO_SSLv3);
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3);
    for (size_t i = 0; i < countof(protocols); i++)
        if (!(wanted & protocols[i].bit)) SSL_CTX_set_options(ctx, protocols[i].off);
    return true;
}

/* Room for a text that the library wants with a NUL. */
static const char *c_string(struct text t, char *room, size_t size)
{
    struct build b = build_in_room(room, size);
    build_text(&b, t);
    build_char(&b, 0);
    return build_ok(&b) ? room : NULL;
}

static bool set_ciphers(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    char room[4096];
    const char *list = c_string(s->ciphers, room, sizeof(room));
    if (s->prefer_server) SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (text_empty(s->ciphers) || (list && SSL_CTX_set_cipher_list(ctx, list) == 1)) return true;
    tls_log(log, L_EMERG, NULL, 0, "SSL_CTX_set_cipher_list(\"%.*s\") failed", TEXT_ARG(s->ciphers));
    return false;
}

static bool set_curves(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    char room[1024];
    const char *list = c_string(s->curves, room, sizeof(room));
    if (text_empty(s->curves) || text_eq(s->curves, T("auto"))) return true;
    if (list && SSL_CTX_set1_curves_list(ctx, list) == 1) return true;
    tls_log(log, L_EMERG, NULL, 0, "SSL_CTX_set1_curves_list(\"%.*s\") failed", TEXT_ARG(s->curves));
    return false;
}

static bool set_commands(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    if (s->command_count == 0) return true;
    char name[256], value[4096];
    bool good = true;
    SSL_CONF_CTX *conf = SSL_CONF_CTX_new();
    ASSERT(conf);
    SSL_CONF_CTX_set_flags(conf, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SHOW_ERRORS | SSL_CONF_FLAG_CERTIFICATE | (s->server ? SSL_CONF_FLAG_SERVER : SSL_CONF_FLAG_CLIENT));
    SSL_CONF_CTX_set_ssl_ctx(conf, ctx);
    for (size_t i = 0; good && i < s->command_count; i++) {
        const struct tls_command *k = &s->commands[i];
        const char *n = c_string(k->name, name, sizeof(name)), *v = c_string(k->value, value, sizeof(value));
        good = n && v && SSL_CONF_cmd(conf, n, v) > 0;
        if (!good) tls_log(log, L_EMERG, NULL, 0, "SSL_CONF_cmd(\"%.*s\", \"%.*s\") failed", TEXT_ARG(k->name), TEXT_ARG(k->value));
    }
    if (good && !SSL_CONF_CTX_finish(conf)) {
        tls_log(log, L_EMERG, NULL, 0, "SSL_CONF_finish() failed");
        good = false;
    }
    SSL_CONF_CTX_free(conf);
    return good;
}

/* The handshake goes on with any certificate: what is wrong with it is asked for after it (tls_peer_fault). */
static int accept_any(int good, X509_STORE_CTX *store)
{
    (void) good, (void) store;
    return 1;
}

static bool set_verify(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    if (s->verify != TLS_VERIFY_OFF) SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
    if (s->depth || s->limit_depth) SSL_CTX_set_verify_depth(ctx, (int) s->depth);
    return tls_credential_trust(ctx, s, log);
}

static bool digest_names(EVP_MD_CTX *md, const STACK_OF(X509_NAME) *names)
{
    unsigned char one[EVP_MAX_MD_SIZE];
    unsigned n;
    for (int i = 0; i < sk_X509_NAME_num(names); i++)
        if (!X509_NAME_digest(sk_X509_NAME_value(names, i), EVP_sha256(), one, &n) || !EVP_DigestUpdate(md, one, n)) return false;
    return true;
}

/* What a session was made under: it is resumed under the same only. The same in all workers and after a reload. */
static bool set_session_id_context(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    unsigned char one[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int verify = s->verify;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, s->id.p, s->id.n) && EVP_DigestUpdate(md, &verify, sizeof(verify));
    for (int more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); good && more; more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
        good = X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), one, &n) && EVP_DigestUpdate(md, one, n);
    const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(ctx);
    good = good && digest_names(md, names) && EVP_DigestFinal_ex(md, one, &n)
           && SSL_CTX_set_session_id_context(ctx, one, min_of(n, (unsigned) SSL_MAX_SSL_SESSION_ID_LENGTH)) == 1;
    EVP_MD_CTX_free(md);
    if (!good) tls_log(log, L_EMERG, NULL, 0, "SSL_CTX_set_session_id_context() failed");
    return good;
}

static bool set_sessions(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    uint64_t ms = s->session_ms ? s->session_ms : 300000;
    SSL_CTX_set_timeout(ctx, (long) (ms / 1000));
    if (!s->server) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        tls_cache_attach(ctx);
        return true;
    }
    if (s->no_tickets) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    if (s->tickets) tls_ticket_attach(ctx);
    switch (s->caching) {
    case TLS_CACHE_OFF:
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        break;
    case TLS_CACHE_NONE:
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
        break;
    case TLS_CACHE_BUILTIN:
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
        if (s->builtin) SSL_CTX_sess_set_cache_size(ctx, (long) s->builtin);
        break;
    case TLS_CACHE_SHARED:
        ASSERT(s->cache != NULL);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
        tls_cache_attach(ctx);
        break;
    }
    return set_session_id_context(ctx, s, log);
}

/* ---- what is told, and taken, beside ---- */

enum { PROTECTED_LEAST = 2 << 20, PROTECTED_MOST = 256 << 20, PROTECTED_KEY = 8192, PROTECTED_UNIT = 32 };      /* an RSA key of 4096 bits: 2 kB */

void tls_protect_keys(size_t keys)
{
    size_t size = PROTECTED_LEAST;
    if (CRYPTO_secure_malloc_initialized()) return;
    while (size < PROTECTED_MOST && size / PROTECTED_KEY < keys) size *= 2;
    if (!CRYPTO_secure_malloc_init(size, PROTECTED_UNIT)) ERR_clear_error();     /* then keys lie where all lies */
}

static void tell_key(const SSL *ssl, const char *line)
{
    struct tls_context *x = tls_context_find(SSL_get_SSL_CTX(ssl));
    if (x->key_line) x->key_line(x->key_arg, text_c(line));
}

#if OPENSSL_VERSION_NUMBER >= 0x30200000L
bool tls_compresses(void) { return true; }
static void compress(SSL_CTX *ctx, bool on) { if (on) SSL_CTX_compress_certs(ctx, 0); else SSL_CTX_set_options(ctx, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION); }
#else
bool tls_compresses(void) { return false; }
static void compress(SSL_CTX *ctx, bool on) { (void) ctx, (void) on; }
#endif

/* RFC 8446 8: what is taken early may be a replay. OpenSSL's own guard knows one process only; who asks for early data has the
 * variable that tells of it. */
static bool set_rest(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    (void) log;
    if (s->key_line) SSL_CTX_set_keylog_callback(ctx, tell_key);
    if (s->server) SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY);
    if (s->early) SSL_CTX_set_max_early_data(ctx, TLS_RECORD);
    if (s->early) tls_early_is_used = true;
    compress(ctx, s->compress);
    return true;
}

/* ---- the whole ---- */

static SSL_CTX *make_raw(const struct tls_settings *s)
{
    SSL_CTX *ctx = SSL_CTX_new(s->server ? TLS_server_method() : TLS_client_method());
    if (!ctx) return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_SINGLE_DH_USE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

static bool fill(SSL_CTX *ctx, const struct tls_settings *s, const struct log *log)
{
    static bool (*const steps[])(SSL_CTX *, const struct tls_settings *, const struct log *) = {
        set_protocols, tls_credential_pairs, set_ciphers, set_curves, tls_credential_dhparam, set_verify, set_commands, set_sessions, set_rest,
    };
    for (size_t i = 0; i < countof(steps); i++)
        if (!steps[i](ctx, s, log)) return false;
    if (s->server) tls_hello_attach(ctx, s->late);
    return true;
}

static struct text copy(struct text t)
{
    char *p = t.n ? base_alloc(t.n + 1) : NULL;
    if (!p) return (struct text) { NULL, 0 };
    memcpy(p, t.p, t.n);
    p[t.n] = 0;
    return text_of(p, t.n);
}

struct tls_context *tls_context_open(const struct tls_settings *s, const struct log *log)
{
    if (context_index < 0) context_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_context);
    ERR_clear_error();
    SSL_CTX *ctx = make_raw(s);
    if (!ctx) {
        tls_log(log, L_EMERG, NULL, 0, "SSL_CTX_new() failed");
        return NULL;
    }
    struct tls_context *x = base_zalloc(1, sizeof(*x));
    *x = (struct tls_context) {
        .magic = TLS_CONTEXT_MAGIC, .server = s->server, .verify = s->verify, .ctx = ctx, .hooks = s->hooks, .early = s->early, .curves = copy(s->curves),
        .key_line = s->key_line, .key_arg = s->key_arg,
        .record = s->record ? min_of(s->record, (size_t) TLS_RECORD) : TLS_RECORD, .ramp = s->ramp,
        .cache = s->caching == TLS_CACHE_SHARED ? s->cache : NULL, .tickets = s->tickets,
    };
    SSL_CTX_set_ex_data(ctx, context_index, x);
    tls_swaps_follow(x, s);
    if (!fill(ctx, s, log)) tls_context_close(&x);
    return x;
}

void tls_context_close(struct tls_context **x)
{
    if (!*x) return;
    NEED(*x, TLS_CONTEXT_MAGIC);
    SSL_CTX_free((*x)->ctx);
    *x = NULL;
}
