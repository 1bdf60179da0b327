/*
 * ssl: TLS to clients. The directives of a server become the context that its handshakes are made with (ssl_open.c);
 * servers that say the same share one.
 */
#include "modules/ssl.h"
#include "http/http.h"
#include "http/listen.h"
#include <openssl/opensslv.h>

enum { ZONE_LEAST = 8 * 4096 };

/* ---- ssl_session_cache ---- */

static conf_result bad_cache(struct conf *cf, struct text word) { return conf_say(cf, "!invalid session cache \"%.*s\"", TEXT_ARG(word)); }

/* "shared:name:size" */
static conf_result read_shared(struct conf *cf, struct text word, struct ssl_cache *cache)
{
    struct ssl_conf *top = conf_own_values(cf, cf->top, &ssl_module);
    struct text rest = text_from(word, strlen("shared:"));
    ssize_t colon = text_find_char(rest, ':');
    uint64_t size;
    if (colon <= 0 || !conf_read_bytes(text_from(rest, (size_t) colon + 1), &size)) return bad_cache(cf, word);
    if (size < ZONE_LEAST) return conf_say(cf, "!session cache \"%.*s\" is too small", TEXT_ARG(word));
    if (top->ocsp_zones && table_get(top->ocsp_zones, text_upto(rest, (size_t) colon))) return conf_say(cf, "!the shared memory zone \"%.*s\" is already declared for a different use", (int) colon, rest.p);
    if (!top->zones) {
        top->zones = pool_new(cf->pool, struct table);
        table_init(top->zones, cf->pool, false);
    }
    struct text name = text_upto(rest, (size_t) colon);
    struct ssl_zone *z = table_get(top->zones, name);
    if (!z) {
        z = pool_new(cf->pool, struct ssl_zone);
        *z = (struct ssl_zone) { .name = pool_text(cf->pool, name), .size = size };
        table_add(top->zones, z->name, z);
    } else if (z->size != size) {
        return conf_say(cf, "!the size %llu of shared memory zone \"%.*s\" conflicts with already declared size %llu", (unsigned long long) size, TEXT_ARG(name), (unsigned long long) z->size);
    }
    cache->how = TLS_CACHE_SHARED;
    cache->zone = z;
    return NULL;
}

/* Beside a shared cache one of the process's own would tell nothing new. */
static conf_result read_cache(struct conf *cf, struct text word, struct ssl_cache *cache)
{
    uint64_t n = 0;
    if (text_starts(word, T("shared:"))) return read_shared(cf, word, cache);
    bool valued = text_starts(word, T("builtin:"));
    if (text_eq(word, T("off"))) cache->how = TLS_CACHE_OFF;
    else if (text_eq(word, T("none"))) cache->how = TLS_CACHE_NONE;
    else if ((!valued && !text_eq(word, T("builtin"))) || (valued && !text_u64(text_from(word, strlen("builtin:")), &n))) return bad_cache(cf, word);
    else if (!cache->zone) cache->how = TLS_CACHE_BUILTIN, cache->builtin = (size_t) n;
    return NULL;
}

static conf_result parse_cache(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why = NULL;
    (void) d;
    for (size_t i = 1; !why && i < cf->count; i++) why = read_cache(cf, cf->words[i], field);
    return why;
}

/* ---- rows ---- */

/* Without it clients would tell openly which server they ask for, and not know: refused, not ignored. */
static conf_result parse_ech(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return conf_say(cf, "\"%s\" is not supported: %s has no encrypted client hello", d->name, OPENSSL_VERSION_TEXT);
}

static const struct conf_type type_ech = { .syntax = "file", .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_ech };
static const struct conf_type type_cache = { .syntax = "off | none | [builtin[:size]] [shared:name:size]", .size = sizeof(struct ssl_cache), .min = 1, .max = 2, .parse = parse_cache };

enum { HS = IN_HTTP | IN_SERVER };
static const struct conf_choice verifies[] = { { "off", TLS_VERIFY_OFF }, { "on", TLS_VERIFY_ON }, { "optional", TLS_VERIFY_OPTIONAL }, { "optional_no_ca", TLS_VERIFY_OPTIONAL_NO_CA }, { 0 } };

static const struct conf_choice ocsps[] = { { "off", SSL_OCSP_OFF }, { "on", SSL_OCSP_ON }, { "leaf", SSL_OCSP_LEAF }, { 0 } };

typedef struct ssl_conf ssl;
#define RAMP(f, Ty, ty, nm, df, hp) { .name = nm, .type = ty, .where = HS, .offset = FIELD(ssl, f, Ty), .dflt = df, .since = "weir", .help = hp }
#define OWN(f, Ty, ty, nm, df, hp) D_TYPE(ssl, f, Ty, ty, nm, HS, df, hp)

static const struct conf_bounds ramps = { 1, 1000000 };

static const struct directive rows[] = {
    OWN(certificates, struct tls_words, &tls_conf_words, "ssl_certificate", NULL, "A file with the server's certificate and those between it and a root, or \"data:\" and these; once for each type of key. With variables it is read for each handshake, by a worker."),
    OWN(keys, struct tls_words, &tls_conf_words, "ssl_certificate_key", NULL, "A file with the key of the certificate, \"data:\" and the key, \"store:\" and a uri that a provider of OpenSSL opens (PKCS#11, a file), or \"engine:\", an engine's name, \":\" and its id there; in the order of the certificates."),
    OWN(passwords, struct conf_texts, &tls_conf_passwords, "ssl_password_file", NULL, "A file of passwords, one a line, that are tried in turn on encrypted keys."),
    OWN(pairs, struct tls_conf_cache, &tls_conf_cache, "ssl_certificate_cache", "off", "How many certificates and keys named by variables each worker keeps; those not asked for during \"inactive\" (10s) go, and after \"valid\" (60s) they are read anew."),
    D_BITS(ssl, protocols, "ssl_protocols", HS, "TLSv1.2 TLSv1.3", tls_conf_protocols, "The versions of TLS that are spoken; SSLv2 and SSLv3 are known and never spoken."),
    D_TEXT(ssl, ciphers, "ssl_ciphers", HS, "HIGH:!aNULL:!MD5", "The ciphers of TLS 1.2 and below, as OpenSSL writes them."),
    D_FLAG(ssl, prefer_server, "ssl_prefer_server_ciphers", HS, "off", "Whether the server's order of ciphers counts, and not the client's."),
    D_TEXT(ssl, curves, "ssl_ecdh_curve", HS, "auto", "The curves that keys are agreed on with, most wanted first; auto: those of OpenSSL."),
    OWN(dhparam, struct text, &tls_conf_file, "ssl_dhparam", NULL, "A file with parameters for DHE ciphers; without it there are none."),
    OWN(commands, struct tls_commands, &tls_conf_commands, "ssl_conf_command", NULL, "A command of OpenSSL's own configuration, carried out after all else."),
    D_SIZE(ssl, buffer_size, "ssl_buffer_size", HS, "16k", "The most bytes that are sent in one record."),
    RAMP(ramp, flag, &conf_flag, "ssl_dyn_rec_enable", "off", "Whether records begin small, so that a client has the first bytes when few packets are there, and grow to ssl_buffer_size as the response goes on."),
    RAMP(ramp_low, bytes, &conf_bytes, "ssl_dyn_rec_size_lo", "1369", "With ssl_dyn_rec_enable: the most bytes in each of the first records; the default fits one packet."),
    RAMP(ramp_high, bytes, &conf_bytes, "ssl_dyn_rec_size_hi", "4229", "With ssl_dyn_rec_enable: the most bytes in each of the records after the first ones; the default fits three packets."),
    { .name = "ssl_dyn_rec_threshold", .type = &conf_num, .where = HS, .offset = FIELD(ssl, ramp_records, int64_t), .data = &ramps, .dflt = "40", .since = "weir",
      .help = "With ssl_dyn_rec_enable: how many records are of ssl_dyn_rec_size_lo, and then how many of ssl_dyn_rec_size_hi." },
    RAMP(ramp_pause, span, &conf_span, "ssl_dyn_rec_timeout", "1s", "With ssl_dyn_rec_enable: after a pause of this length records begin small again."),
    OWN(cache, struct ssl_cache, &type_cache, "ssl_session_cache", "none", "Where sessions are kept for clients that come back: in memory shared by all workers, kept over reloads; in each worker; or nowhere."),
    D_TIME(ssl, timeout, "ssl_session_timeout", HS, "5m", "How long a client may come back to a session."),
    D_FLAG(ssl, tickets, "ssl_session_tickets", HS, "on", "Whether sessions are given to clients as tickets."),
    OWN(ticket_keys, struct conf_texts, &tls_conf_files, "ssl_session_ticket_key", NULL, "A file of 80 or 48 random bytes that tickets are sealed with; those of further ones are only opened. Without it keys are made, shared by all workers and changed from time to time."),
    D_ENUM(ssl, verify, "ssl_verify_client", HS, "off", verifies, "Whether clients are asked for a certificate, and whether they must show a good one."),
    OWN(client_ca, struct text, &tls_conf_file, "ssl_client_certificate", NULL, "A file of authorities that may sign clients' certificates; their names are told to clients."),
    OWN(trusted, struct text, &tls_conf_file, "ssl_trusted_certificate", NULL, "A file of authorities that may sign clients' certificates; their names are not told."),
    OWN(crl, struct text, &tls_conf_file, "ssl_crl", NULL, "A file of lists of revoked certificates, for those of clients."),
    D_NUM(ssl, depth, "ssl_verify_depth", HS, "1", "How many certificates may stand between a client's and a trusted one."),
    D_ENUM(ssl, ocsp, "ssl_ocsp", HS, "off", ocsps, "Whether an OCSP responder is asked if a client's certificate, and those between it and a root, were revoked; leaf: the client's alone. The handshake waits for the answer; without a good one requests are answered as with a bad certificate."),
    D_TEXT(ssl, ocsp_responder, "ssl_ocsp_responder", HS, NULL, "The responder's URL for clients' certificates, \"http://\", in place of that in each certificate."),
    OWN(ocsp_zone, struct ssl_ocsp_zone *, &ssl_ocsp_cache_type, "ssl_ocsp_cache", "off", "A name and a size of memory, shared by all workers, where what responders said of clients' certificates is kept until it is over; an hour, where that is not said."),
    D_FLAG(ssl, early, "ssl_early_data", HS, "off", "Whether requests are taken from the first flight of TLS 1.3 (0-RTT), which who listens on the way may send again: pass $ssl_early_data on as \"Early-Data\", so that who must not act twice answers 425."),
    D_FLAG(ssl, compress, "ssl_certificate_compression", HS, "off", "Whether certificates are compressed, RFC 8879; OpenSSL can from 3.2 on."),
    OWN(key_log, struct log_file *, &tls_conf_log, "ssl_key_log", NULL, "A file for the secrets of sessions, with which a recording can be read: for finding faults, never for long."),
    D_DO(&type_ech, "ssl_ech_file", HS, "file", NULL, "A file with keys for encrypted client hellos; the OpenSSL that weir was built with must know them."),
    { .name = "ssl_certificate_watch", .type = &conf_flag, .where = HS, .offset = FIELD(ssl, watch, flag), .dflt = "off", .since = "weir",
      .help = "Whether files of certificates and keys that change are noticed, and taken by all workers without a reload; what is broken, does not match, or has expired is not taken." },
    D_FLAG(ssl, stapling, "ssl_stapling", HS, "off", "Whether what an OCSP responder says of the certificate is shown with it; the manager asks, and all workers have the answer."),
    OWN(staple_file, struct text, &tls_conf_file, "ssl_stapling_file", NULL, "A file with the responder's answer, DER, which is shown as it is; nobody is asked then."),
    D_TEXT(ssl, staple_responder, "ssl_stapling_responder", HS, NULL, "The responder's URL, \"http://\", in place of that in the certificate."),
    D_FLAG(ssl, staple_verify, "ssl_stapling_verify", HS, "off", "Whether answers must be signed by whom ssl_trusted_certificate trusts, the certificate's issuer and root among them."),
    D_FLAG(ssl, reject, "ssl_reject_handshake", HS, "off", "Whether handshakes that ask for this server are refused."),
    { .name = NULL },
};

/* ---- the whole configuration ---- */

static bool has_keys(struct conf *cf, const struct ssl_conf *s, const struct conf_block *b)
{
    if (s->keys.n >= s->certificates.n) return true;
    conf_error_at(cf, b->file, b->line, "no \"ssl_certificate_key\" is defined for certificate \"%.*s\"", TEXT_ARG(s->certificates.v[s->certificates.n - 1].path));
    return false;
}

static bool hides_keys(struct conf *cf, const struct ssl_conf *s, const struct conf_block *b)
{
    const char *wrong = NULL;
    for (size_t i = 0; !wrong && i < s->keys.n; i++) wrong = tls_conf_exposes(cf, &s->keys.v[i]);
    if (wrong) conf_error_at(cf, b->file, b->line, "\"ssl_certificate_key\" %s", wrong);
    return !wrong;
}

static bool knows_whom_to_trust(struct conf *cf, const struct ssl_conf *s, const struct conf_block *b)
{
    if (s->verify == TLS_VERIFY_OFF || s->verify == TLS_VERIFY_OPTIONAL_NO_CA || s->client_ca.n || s->trusted.n) return true;
    conf_error_at(cf, b->file, b->line, "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client");
    return false;
}

/* Each server of an address that speaks TLS must have something to say, or refuse; the others may stand on the default's. */
static bool can_shake(struct conf *cf, const struct listen *l)
{
    const struct ssl_conf *s = conf_values(l->at.fallback->block, &ssl_module);
    const struct conf_block *lacking = s->certificates.n || s->reject.on ? NULL : l->at.fallback->block;
    for (size_t i = 0; !lacking && !s->certificates.n && i < l->server_count; i++) {
        const struct ssl_conf *other = conf_values(l->servers[i]->block, &ssl_module);
        if (!other->certificates.n && !other->reject.on) lacking = l->servers[i]->block;
    }
    if (lacking) conf_error_at(cf, lacking->file, lacking->line, "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
    return !lacking;
}

static conf_result check_ramp(struct conf *cf, const char *name, bytes size)
{
    return size.bytes >= 1 && size.bytes <= 16384 ? NULL : conf_say(cf, "\"%s\" must be between 1 and 16k, what a record may have", name);
}

/* nginx's words, and its answer: what is left out costs only bytes. */
static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    const struct ssl_conf *s = values;
    (void) b;
    conf_result wrong = check_ramp(cf, "ssl_dyn_rec_size_lo", s->ramp_low);
    if (!wrong) wrong = check_ramp(cf, "ssl_dyn_rec_size_hi", s->ramp_high);
    if (wrong) return wrong;
    if (s->compress.on && !tls_compresses()) conf_warn_once(cf, "ssl_certificate_compression", "\"ssl_certificate_compression\" is not supported on this platform, ignored");
    return NULL;
}

static conf_result finish(struct conf *cf, void *values)
{
    struct http *h = http_of(cf);
    bool fine = true;
    (void) values;
    for (size_t i = 0; h && i < h->vhost_count; i++) {
        const struct ssl_conf *s = conf_values(h->vhosts[i]->block, &ssl_module);
        if (s->certificates.n || s->reject.on) fine &= has_keys(cf, s, h->vhosts[i]->block) && hides_keys(cf, s, h->vhosts[i]->block) && knows_whom_to_trust(cf, s, h->vhosts[i]->block) && ssl_ocsp_fits(cf, s, h->vhosts[i]->block);
    }
    for (struct listen *l = h ? h->listens : NULL; fine && l; l = l->next)
        if (l->at.tls) fine &= can_shake(cf, l);
    return fine ? NULL : conf_said;
}

static void start_worker(struct cycle *c, unsigned slot)
{
    (void) slot;
    ssl_certs_take(c);
}

/* By the manager: tickets of before stay good for as long as a session may. */
static void each_second(struct cycle *c)
{
    const struct ssl_conf *top = conf_values(c->conf->top, &ssl_module);
    if (process_kind == PROCESS_SINGLE) ssl_certs_look(c);
    bool renewed = ssl_certs_take(c);
    if (process_kind == PROCESS_WORKER) return;
    if (top->shared_tickets) tls_tickets_rotate(top->shared_tickets, top->longest_ms);
    ssl_certs_tell(c);
    ssl_staple_ask(renewed);
}

static void start_manager(struct cycle *c)
{
    ssl_certs_take(c);
    ssl_staple_ask(true);
}

static const struct process_part process = { .open = ssl_open, .worker_start = start_worker, .manager_start = start_manager, .master = ssl_certs_look, .second = each_second };

struct module ssl_module = { .name = "http_ssl", .conf_size = sizeof(struct ssl_conf), .rows = rows, .check = check, .finish = finish, .part = &process, .part_kind = &process_part_kind };
