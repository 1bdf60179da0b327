/*
 * secure_conf: what a configuration says of TLS to upstreams: one struct, one set of rows (SECURE_ROWS), given a prefix; the contexts
 * that it comes to, and what one request asks of one. Blocks that say the same share a context, and so connections.
 */
#ifndef GATEWAY_SECURE_CONF_H
#define GATEWAY_SECURE_CONF_H

#include "gateway/secure.h"
#include "process/cycle.h"
#include "process/tls_conf.h"

struct request;

struct secure_conf {
    struct tls_word       certificate, key;
    struct text           trusted, crl, ciphers;
    struct conf_texts     passwords;
    struct tls_conf_cache pairs;
    struct tls_commands   commands;
    struct log_file      *key_log;
    unsigned              protocols;
    flag                  verify, server_name, session_reuse;
    int64_t               depth;
    struct template      *name;
    struct tls_context   *context;       /* made by secure_conf_open */
};

#define SECURE_ROW(S, f, Ty, ty, nm, df, SINCE, hp, ...) { .name = nm, .type = ty, .where = IN_HSL, .offset = FIELD(S, f, Ty), .dflt = df, .since = SINCE, .help = hp, __VA_ARGS__ }
/* VERIFY, DEPTH, SNI: the defaults of whether certificates are looked at, how long their chains may be, and whether names are told. NAME: what
 * the name is where nothing is said, and NAME_HELP in words. SINCE: "weir", or NULL where nginx has them. */
#define SECURE_ROWS(S, s, P, SINCE, VERIFY, DEPTH, SNI, NAME, NAME_HELP) \
    SECURE_ROW(S, s.certificate, struct tls_word, &tls_conf_word, P "certificate", NULL, SINCE, "A file with the certificate that is shown to proxied servers, or \"data:\" and the certificate; with variables it is read by a worker for each connection, and an empty one is none.",), \
    SECURE_ROW(S, s.key, struct tls_word, &tls_conf_word, P "certificate_key", NULL, SINCE, "A file with the key of " P "certificate, \"data:\" and the key, \"store:\" and a uri that a provider of OpenSSL opens, or \"engine:\", an engine's name, \":\" and its id there.",), \
    SECURE_ROW(S, s.passwords, struct conf_texts, &tls_conf_passwords, P "password_file", NULL, SINCE, "A file of passwords, one a line, that are tried in turn on an encrypted key.",), \
    SECURE_ROW(S, s.pairs, struct tls_conf_cache, &tls_conf_cache, P "certificate_cache", "off", SINCE, "How many certificates and keys named by variables each worker keeps; those not asked for during \"inactive\" (10s) go, and after \"valid\" (60s) they are read anew.",), \
    SECURE_ROW(S, s.key_log, struct log_file *, &tls_conf_log, P "key_log", NULL, SINCE, "A file for the secrets of sessions with proxied servers, with which a recording can be read: for finding faults, never for long.",), \
    SECURE_ROW(S, s.protocols, unsigned, &conf_bits, P "protocols", "TLSv1.2 TLSv1.3", SINCE, "The versions of TLS that are spoken to proxied servers; SSLv2 and SSLv3 are known and never spoken.", .data = tls_conf_protocols), \
    SECURE_ROW(S, s.ciphers, struct text, &conf_text, P "ciphers", "DEFAULT", SINCE, "The ciphers of TLS 1.2 and below that are offered to proxied servers, as OpenSSL writes them.",), \
    SECURE_ROW(S, s.commands, struct tls_commands, &tls_conf_commands, P "conf_command", NULL, SINCE, "A command of OpenSSL's own configuration for connections to proxied servers.",), \
    SECURE_ROW(S, s.verify, flag, &conf_flag, P "verify", VERIFY, SINCE, "Whether the certificate of the proxied server must be good and bear " P "name.",), \
    SECURE_ROW(S, s.depth, int64_t, &conf_num, P "verify_depth", DEPTH, SINCE, "How many certificates may stand between the proxied server's and a trusted one.",), \
    SECURE_ROW(S, s.trusted, struct text, &tls_conf_file, P "trusted_certificate", NULL, SINCE, "A file of authorities that may sign certificates of proxied servers.",), \
    SECURE_ROW(S, s.crl, struct text, &tls_conf_file, P "crl", NULL, SINCE, "A file of lists of revoked certificates, for those of proxied servers.",), \
    SECURE_ROW(S, s.server_name, flag, &conf_flag, P "server_name", SNI, SINCE, "Whether " P "name is told to the proxied server in the handshake.",), \
    SECURE_ROW(S, s.name, struct template *, &conf_template, P "name", NAME, SINCE, "The name that the certificate of the proxied server must bear, and that it is told" NAME_HELP ".",), \
    SECURE_ROW(S, s.session_reuse, flag, &conf_flag, P "session_reuse", "on", SINCE, "Whether sessions with proxied servers are resumed: by any worker, whichever has made them, for as long as the server said, or until a reload.",)

/* Who makes contexts while a generation is opened: those that say the same are made once. */
struct secure_opening { struct cycle *cycle; struct pool *scratch; struct table made; };
void secure_opening_begin(struct secure_opening *o, struct cycle *c);
void secure_opening_end(struct secure_opening *o);
/* s->context, unless it is made. prefix, file, line: for messages. system: the system's authorities are trusted where none are given.
 * False after an [emerg] line. */
bool secure_conf_open(struct secure_opening *o, struct secure_conf *s, bool system, const char *prefix, const char *file, unsigned line);

/* What r's upstream is spoken to with. name: with or without a port. */
const struct secure *secure_conf_of(struct request *r, const struct secure_conf *s, struct text name);
/* A name without its port, an IPv6 address without its brackets. */
struct text secure_conf_name(struct text t, bool *is_address_out);

#endif
