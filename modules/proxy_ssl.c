/*
 * proxy_ssl: TLS to proxied servers: the proxy_ssl_… directives, the contexts they come to, and what one request asks of one.
 * Locations that say the same share a context, and so connections.
 */
#include "modules/proxy.h"
#include "process/tls_conf.h"
#include <arpa/inet.h>

struct proxy_ssl_conf {
    struct tls_word     certificate, key;
    struct text         trusted, crl, ciphers;
    struct conf_texts   passwords;
    struct tls_conf_cache pairs;
    struct tls_commands commands;
    struct log_file    *key_log;
    unsigned            protocols;
    flag                verify, server_name, session_reuse;
    int64_t             depth;
    struct template    *name;
    struct tls_context *context;         /* made when a generation is opened, where https is passed to */
    struct proxy_pass  *passes;          /* of the top: all */
};

extern struct module proxy_ssl_module;

typedef struct proxy_ssl_conf ssl;
#define OWN(f, Ty, ty, nm, df, hp) D_TYPE(ssl, f, Ty, ty, nm, IN_HSL, df, hp)

static const struct directive rows[] = {
    OWN(certificate, struct tls_word, &tls_conf_word, "proxy_ssl_certificate", NULL, "A file with the certificate that is shown to proxied servers, or \"data:\" and the certificate; with variables it is read by a worker for each connection, and an empty one is none."),
    OWN(key, struct tls_word, &tls_conf_word, "proxy_ssl_certificate_key", NULL, "A file with the key of proxy_ssl_certificate, \"data:\" and the key, \"store:\" and a uri that a provider of OpenSSL opens, or \"engine:\", an engine's name, \":\" and its id there."),
    OWN(passwords, struct conf_texts, &tls_conf_passwords, "proxy_ssl_password_file", NULL, "A file of passwords, one a line, that are tried in turn on an encrypted key."),
    OWN(pairs, struct tls_conf_cache, &tls_conf_cache, "proxy_ssl_certificate_cache", "off", "How many certificates and keys named by variables each worker keeps; those not asked for during \"inactive\" (10s) go, and after \"valid\" (60s) they are read anew."),
    OWN(key_log, struct log_file *, &tls_conf_log, "proxy_ssl_key_log", NULL, "A file for the secrets of sessions with proxied servers, with which a recording can be read: for finding faults, never for long."),
    D_BITS(ssl, protocols, "proxy_ssl_protocols", IN_HSL, "TLSv1.2 TLSv1.3", tls_conf_protocols, "The versions of TLS that are spoken to proxied servers; SSLv2 and SSLv3 are known and never spoken."),
    D_TEXT(ssl, ciphers, "proxy_ssl_ciphers", IN_HSL, "DEFAULT", "The ciphers of TLS 1.2 and below that are offered to proxied servers, as OpenSSL writes them."),
    OWN(commands, struct tls_commands, &tls_conf_commands, "proxy_ssl_conf_command", NULL, "A command of OpenSSL's own configuration for connections to proxied servers."),
    D_FLAG(ssl, verify, "proxy_ssl_verify", IN_HSL, "off", "Whether the certificate of the proxied server must be good and bear proxy_ssl_name."),
    D_NUM(ssl, depth, "proxy_ssl_verify_depth", IN_HSL, "1", "How many certificates may stand between the proxied server's and a trusted one."),
    OWN(trusted, struct text, &tls_conf_file, "proxy_ssl_trusted_certificate", NULL, "A file of authorities that may sign certificates of proxied servers."),
    OWN(crl, struct text, &tls_conf_file, "proxy_ssl_crl", NULL, "A file of lists of revoked certificates, for those of proxied servers."),
    D_FLAG(ssl, server_name, "proxy_ssl_server_name", IN_HSL, "off", "Whether proxy_ssl_name is told to the proxied server in the handshake."),
    D_TEMPLATE(ssl, name, "proxy_ssl_name", IN_HSL, "$proxy_host", "The name that the certificate of the proxied server must bear, and that it is told."),
    D_FLAG(ssl, session_reuse, "proxy_ssl_session_reuse", IN_HSL, "on", "Whether sessions with proxied servers are resumed."),
    { .name = NULL },
};

void proxy_ssl_note(struct conf *cf, struct proxy_pass *p)
{
    struct proxy_ssl_conf *top = conf_own_values(cf, cf->top, &proxy_ssl_module);
    p->block = cf->block;
    p->file = cf->file;
    p->line = cf->line;
    p->next = top->passes;
    top->passes = p;
}

/* ---- contexts ---- */

struct opening { struct cycle *cycle; struct pool *scratch; struct table made; };

static struct text describe(struct opening *o, const struct proxy_ssl_conf *s)
{
    struct build b = build_in_pool(o->scratch, 512, 0);
    const struct text texts[] = { s->certificate.path, s->key.path, s->key_log ? s->key_log->path : T(""), s->trusted, s->crl, s->ciphers };
    for (size_t i = 0; i < countof(texts); i++) build_fmt(&b, "%zu:%.*s", texts[i].n, TEXT_ARG(texts[i]));
    for (size_t i = 0; i < s->passwords.n; i++) build_fmt(&b, "p%zu:%.*s", s->passwords.v[i].n, TEXT_ARG(s->passwords.v[i]));
    for (size_t i = 0; i < s->commands.n; i++) {
        const struct tls_command *k = &s->commands.v[i];
        build_fmt(&b, "c%zu:%.*s%zu:%.*s", k->name.n, TEXT_ARG(k->name), k->value.n, TEXT_ARG(k->value));
    }
    build_fmt(&b, "|%u %u %u %lld", s->protocols, s->verify.on, s->key_log != NULL, (long long) s->depth);
    return build_done(&b);
}

static void close_context(void *p)
{
    struct tls_context *x = p;
    tls_context_close(&x);
}

static bool varies(const struct proxy_ssl_conf *s) { return s->certificate.with || s->key.with; }

static struct tls_context *make_context(struct opening *o, const struct proxy_ssl_conf *s)
{
    struct tls_pair pair = { s->certificate.path, s->key.path };
    struct tls_settings settings = {
        .pairs = &pair, .pair_count = s->certificate.path.n && !varies(s) ? 1 : 0, .ring = { .passwords = s->passwords.v, .password_count = s->passwords.n },
        .key_line = s->key_log ? tls_conf_write_key : NULL, .key_arg = s->key_log,
        .commands = s->commands.v, .command_count = s->commands.n, .protocols = s->protocols, .ciphers = s->ciphers,
        .verify = s->verify.on ? TLS_VERIFY_ON : TLS_VERIFY_OFF, .depth = (unsigned) min_of(s->depth, (int64_t) INT32_MAX), .limit_depth = s->verify.on,
        .trusted = s->trusted, .crl = s->crl, .hooks = &secure_hooks,
    };
    struct tls_context *x = tls_context_open(&settings, log_main);
    if (x) pool_cleanup(o->cycle->pool, close_context, x);
    return x;
}

static bool is_complete(const struct proxy_ssl_conf *s, const struct proxy_pass *p)
{
    if (s->certificate.path.n && !s->key.path.n)
        log_at(log_main, L_EMERG, NULL, 0, "no \"proxy_ssl_certificate_key\" is defined for certificate \"%.*s\" in %s:%u", TEXT_ARG(s->certificate.path), p->file, p->line);
    else if (s->verify.on && !s->trusted.n)
        log_at(log_main, L_EMERG, NULL, 0, "no proxy_ssl_trusted_certificate for proxy_ssl_verify in %s:%u", p->file, p->line);
    else return true;
    return false;
}

static bool open_pass(struct opening *o, const struct proxy_pass *p)
{
    struct proxy_ssl_conf *s = conf_values(p->block, &proxy_ssl_module);
    if (s->context) return true;
    if (!is_complete(s, p)) return false;
    struct text said = describe(o, s);
    s->context = table_get(&o->made, said);
    if (s->context) return true;
    s->context = make_context(o, s);
    if (s->context) table_add(&o->made, said, s->context);
    return s->context != NULL;
}

static bool open_all(struct cycle *c)
{
    const struct proxy_ssl_conf *top = conf_values(c->conf->top, &proxy_ssl_module);
    struct opening o = { .cycle = c, .scratch = pool_open(0) };
    bool fine = true;
    table_init(&o.made, o.scratch, false);
    for (struct proxy_pass *p = top->passes; fine && p; p = p->next) fine = open_pass(&o, p);
    pool_close(&o.scratch);
    return fine;
}

/* ---- a request ---- */

/* Without port; an address in brackets without them. */
static struct text name_of(struct text t, bool *is_address)
{
    struct addr a;
    ssize_t end = t.n && t.p[0] == '[' ? text_find_char(t, ']') : -1;
    *is_address = end > 0;
    if (end > 0) return text_of(t.p + 1, (size_t) end - 1);
    ssize_t colon = text_find_char(t, ':');
    if (colon >= 0) t.n = (size_t) colon;
    char room[ADDR_TEXT_MAX];
    if (t.n && t.n < sizeof room) {
        memcpy(room, t.p, t.n);
        room[t.n] = '\0';
        *is_address = inet_pton(AF_INET, room, &a.in.sin_addr) == 1;
    }
    return t;
}

const struct secure *proxy_ssl_of(struct request *r)
{
    const struct proxy_ssl_conf *s = request_values(r, &proxy_ssl_module);
    struct secure *out = pool_new(r->pool, struct secure);
    bool is_address;
    struct text name = name_of(template_render(s->name, &r->eval), &is_address);
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

void proxy_ssl_prepare(const struct location *l, struct eval *e, struct fetch_want *out)
{
    const struct proxy_ssl_conf *s = conf_values(l->block, &proxy_ssl_module);
    bool is_address;
    struct text name = name_of(template_render(s->name, e), &is_address);
    ASSERT(s->context != NULL);
    out->tls = s->context;
    out->tls_name = name.n || !s->verify.on ? name : T(" ");
    out->no_sni = !s->server_name.on;
}

static const struct process_part process = { .open = open_all };

struct module proxy_ssl_module = { .name = "http_proxy_ssl", .conf_size = sizeof(struct proxy_ssl_conf), .rows = rows, .part = &process, .part_kind = &process_part_kind };
