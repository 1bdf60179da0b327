#include "gateway/secure_conf.h"
#include "http/request.h"
#include <arpa/inet.h>

/* ---- contexts ---- */

static struct text describe(struct secure_opening *o, const struct secure_conf *s, bool system)
{
    struct build b = build_in_pool(o->scratch, 512, 0);
    const struct text texts[] = { s->certificate.path, s->key.path, s->key_log ? s->key_log->path : T(""), s->trusted, s->crl, s->ciphers };
    for (size_t i = 0; i < countof(texts); i++) build_fmt(&b, "%zu:%.*s", texts[i].n, TEXT_ARG(texts[i]));
    for (size_t i = 0; i < s->passwords.n; i++) build_fmt(&b, "p%zu:%.*s", s->passwords.v[i].n, TEXT_ARG(s->passwords.v[i]));
    for (size_t i = 0; i < s->commands.n; i++) {
        const struct tls_command *k = &s->commands.v[i];
        build_fmt(&b, "c%zu:%.*s%zu:%.*s", k->name.n, TEXT_ARG(k->name), k->value.n, TEXT_ARG(k->value));
    }
    build_fmt(&b, "|%u %u %u %u %lld", system, s->protocols, s->verify.on, s->key_log != NULL, (long long) s->depth);
    return build_done(&b);
}

static void close_context(void *p)
{
    struct tls_context *x = p;
    tls_context_close(&x);
}

static bool varies(const struct secure_conf *s) { return s->certificate.with || s->key.with; }

static struct tls_context *make_context(struct secure_opening *o, const struct secure_conf *s, bool system)
{
    struct tls_pair pair = { s->certificate.path, s->key.path };
    struct tls_settings settings = {
        .pairs = &pair, .pair_count = s->certificate.path.n && !varies(s) ? 1 : 0, .ring = { .passwords = s->passwords.v, .password_count = s->passwords.n },
        .key_line = s->key_log ? tls_conf_write_key : NULL, .key_arg = s->key_log,
        .commands = s->commands.v, .command_count = s->commands.n, .protocols = s->protocols, .ciphers = s->ciphers,
        .verify = s->verify.on ? TLS_VERIFY_ON : TLS_VERIFY_OFF, .depth = (unsigned) min_of(s->depth, (int64_t) INT32_MAX), .limit_depth = s->verify.on,
        .trusted = s->trusted, .system_trusted = system && s->verify.on, .crl = s->crl, .hooks = &secure_hooks,
    };
    struct tls_context *x = tls_context_open(&settings, log_main);
    if (x) pool_cleanup(o->cycle->pool, close_context, x);
    return x;
}

static bool is_complete(const struct cycle *c, const struct secure_conf *s, bool system, const char *prefix, const char *file, unsigned line)
{
    if (s->certificate.path.n && !s->key.path.n)
        log_at(log_main, L_EMERG, NULL, 0, "no \"%scertificate_key\" is defined for certificate \"%.*s\" in %s:%u", prefix, TEXT_ARG(s->certificate.path), file, line);
    else if (s->verify.on && !s->trusted.n && !system)
        log_at(log_main, L_EMERG, NULL, 0, "no %strusted_certificate for %sverify in %s:%u", prefix, prefix, file, line);
    else if (tls_conf_exposes(c->conf, &s->key))
        log_at(log_main, L_EMERG, NULL, 0, "\"%scertificate_key\" %s in %s:%u", prefix, tls_conf_exposes(c->conf, &s->key), file, line);
    else return true;
    return false;
}

void secure_opening_begin(struct secure_opening *o, struct cycle *c)
{
    *o = (struct secure_opening) { .cycle = c, .scratch = pool_open(0) };
    table_init(&o->made, o->scratch, false);
}

void secure_opening_end(struct secure_opening *o) { pool_close(&o->scratch); }

bool secure_conf_open(struct secure_opening *o, struct secure_conf *s, bool system, const char *prefix, const char *file, unsigned line)
{
    if (s->context) return true;
    if (!is_complete(o->cycle, s, system, prefix, file, line)) return false;
    struct text said = describe(o, s, system);
    s->context = table_get(&o->made, said);
    if (s->context) return true;
    s->context = secure_share() ? make_context(o, s, system) : NULL;
    if (s->context) table_add(&o->made, said, s->context);
    return s->context != NULL;
}

/* ---- a request ---- */

struct text secure_conf_name(struct text t, bool *is_address_out)
{
    struct addr a;
    ssize_t end = t.n && t.p[0] == '[' ? text_find_char(t, ']') : -1;
    *is_address_out = end > 0;
    if (end > 0) return text_of(t.p + 1, (size_t) end - 1);
    ssize_t colon = text_find_char(t, ':');
    if (colon >= 0) t.n = (size_t) colon;
    char room[ADDR_TEXT_MAX];
    if (t.n && t.n < sizeof room) {
        memcpy(room, t.p, t.n);
        room[t.n] = '\0';
        *is_address_out = inet_pton(AF_INET, room, &a.in.sin_addr) == 1;
    }
    return t;
}

const struct secure *secure_conf_of(struct request *r, const struct secure_conf *s, struct text name)
{
    struct secure *out = pool_new(r->pool, struct secure);
    bool is_address;
    name = secure_conf_name(name, &is_address);
    ASSERT(s->context != NULL);
    *out = (struct secure) { .context = s->context, .reuse = s->session_reuse.on };
    if (s->verify.on) out->verify = name.n ? name : T(" ");      /* an empty name is borne by none */
    if (s->server_name.on && !is_address) out->name = name;       /* RFC 6066 3 */
    if (varies(s)) {
        struct tls_pair pair = { tls_conf_render(&s->certificate, &r->eval), tls_conf_render(&s->key, &r->eval) };
        out->pair = pair.certificate.n ? pool_new(r->pool, struct tls_pair) : NULL;
        if (out->pair) *out->pair = pair;
        out->ring = (struct tls_keyring) { s->passwords.v, s->passwords.n, s->pairs.cache };
    }
    secure_seal(out);
    return out;
}
