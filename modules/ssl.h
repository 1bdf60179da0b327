/* ssl: what the ssl_… directives of one server say, for ssl and ssl_open. */
#ifndef MODULES_SSL_H
#define MODULES_SSL_H

#include "gateway/resolve.h"
#include "http/fetch.h"
#include "modules/module.h"
#include "http/vhost.h"
#include "process/tls_conf.h"
#include "upstream/resolver.h"
#include "wire/uri.h"

/* A zone of ssl_session_cache. */
struct ssl_zone { struct text name; uint64_t size; struct tls_cache *cache; };

struct ssl_cache { enum tls_caching how; size_t builtin; struct ssl_zone *zone; };

struct ssl_ocsp_zone;
enum { SSL_OCSP_OFF, SSL_OCSP_ON, SSL_OCSP_LEAF };

struct ssl_conf {
    struct tls_words    certificates, keys;
    struct conf_texts   ticket_keys;
    struct conf_texts   passwords;
    struct tls_conf_cache pairs;
    struct tls_commands commands;
    struct log_file    *key_log;
    unsigned            protocols;
    struct text         ciphers, curves, dhparam, client_ca, trusted, crl;
    flag                prefer_server, tickets, reject, early, compress, watch, stapling, staple_verify;
    struct text         staple_file, staple_responder, ocsp_responder;
    struct ssl_ocsp_zone *ocsp_zone;       /* NULL: nothing is kept */
    bytes               buffer_size;
    flag                ramp;
    bytes               ramp_low, ramp_high;
    int64_t             ramp_records;
    span                ramp_pause;
    struct ssl_cache    cache;
    span                timeout;
    int                 verify, ocsp;
    int64_t             depth;
    /* of the top alone */
    struct table       *zones, *ocsp_zones;
    struct tls_tickets *shared_tickets;
    uint64_t            longest_ms;        /* session timeout of all */
    struct ssl_certs   *certs;
    struct zone        *staples;
};

extern struct module ssl_module;

/* Makes the contexts of all servers. False after [emerg] lines. */
bool ssl_open(struct cycle *c);

/* ---- ssl_watch: certificates while the server runs ---- */

struct http;
/* Before contexts are made: lists the certificates of all servers. False after an [emerg] line. */
bool ssl_certs_open(struct cycle *c, struct ssl_conf *top, const struct http *h);
/* For the context of a server; NULL: its certificates do not change. */
struct tls_swaps *ssl_certs_swaps(const struct ssl_conf *top, const struct vhost *v);
/* The server's pair i is the one that is made for it while the server runs. */
bool ssl_certs_issued(const struct vhost *v, size_t i);
/* The master, when its time has come: hands changed pairs to the workers. Ms until it is to be called again, 0: never. */
uint64_t ssl_certs_look(struct cycle *c);
/* Each process, when it starts and each second. True: some certificate is another now. */
bool ssl_certs_take(struct cycle *c);
/* The manager, each second: warns of certificates that are about to expire. */
void ssl_certs_tell(struct cycle *c);

/* ---- ssl_ask: a question to an OCSP responder ---- */

/* done: once, never from within ssl_ask; wrong: NULL, or why there is no answer. pool is the owner's; zero the rest before. */
struct ssl_asking {
    struct pool   *pool;
    void         (*done)(struct ssl_asking *a, const char *wrong, struct text der);
    struct lookup  lookup;
    struct fetch  *fetch;
    struct text    host, name, target;
};
/* der: the request. NULL, or what is wrong with the url: then nothing is under way. */
const char *ssl_ask(struct ssl_asking *a, struct text url, struct text der, const struct resolver_values *by);
void ssl_ask_end(struct ssl_asking *a);
/* The parts of a responder's URL; NULL, or what is wrong with it. */
const char *ssl_ask_split(struct text url, struct pool *p, struct uri_host *host_out, struct text *path_out);

/* ---- ssl_ocsp: were certificates of clients revoked ---- */

extern const struct conf_type ssl_ocsp_cache_type;
/* False after an error. */
bool ssl_ocsp_fits(struct conf *cf, const struct ssl_conf *s, const struct conf_block *b);
bool ssl_ocsp_open(struct cycle *c, struct ssl_conf *top);
/* vhost->tls_check */
struct vhost;
bool ssl_ocsp_check(struct conn *c, struct vhost *v, void (*done)(struct conn *c));

/* ---- ssl_staple: OCSP responses shown with certificates ---- */

/* In the master: x was made for a server that is b; all: certificates of all servers. False after an [emerg] line. */
bool ssl_staple_open(struct cycle *c, struct ssl_conf *top, const struct vhost *v, size_t all, struct tls_context *x);
/* The manager, each second. renewed: contexts have taken other certificates. */
void ssl_staple_ask(bool renewed);

#endif
