/* vhost: server blocks, the addresses they listen on, and which one a request belongs to. */
#ifndef HTTP_VHOST_H
#define HTTP_VHOST_H

#include "eval/match.h"
#include "eval/policy.h"
#include "event/event.h"
#include "http/location.h"
#include "tls/issued.h"

#define VHOST_MAGIC 0x56485354u

struct http;           /* the http block: steps.h */

/* A server_name: lower case, or a regex. */
struct vhost_name { struct text text; struct regex *regex; };

struct vhost {
    unsigned           magic;
    bool               listens;          /* a listen directive was seen */
    bool               has_regex_name;
    bool               forwards;         /* takes CONNECT, and TRACE for others: some location of it is a forward proxy */
    struct http       *http;
    struct conf_block *block;
    struct locations  *locations;
    struct location   *self;             /* the values outside all locations; kind LOCATION_NONAME */
    struct text        name;             /* $server_name: the first server_name, without its "." ; empty: none */
    struct vhost_name *names;            /* all, while reading */
    size_t             name_count, name_cap;
    struct tls_context *tls;             /* what it agrees to over TLS; NULL: it has no certificate. Both are set by who reads ssl_… */
    enum tls_verify    verify;           /* of its clients */
    bool               rejects;          /* ssl_reject_handshake */
    struct tls_issued *issued;           /* the pair that is made for it while the server runs; NULL: none. Set by who has it made, before contexts are made */
    /* After a handshake: asks others about the client's certificate. True: nothing to wait for; else done is called, once, unless c
     * ends before. The same setter; NULL: nobody is asked. */
    bool             (*tls_check)(struct conn *c, struct vhost *v, void (*done)(struct conn *c));
    const struct policy_ports *opaque;   /* on connections that netfilter led here from these ports nobody looks at what is said; NULL: none */
    bool             (*tls_pair)(struct request *r, struct conn *c);   /* its certificates are named by variables: presents those for r. The same setter */
};

/* One address of listen directives, with the servers that stand there. */
struct vhost_addr {
    struct addr        addr;
    struct vhost      *fallback;         /* default_server, or the first */
    struct names      *names;            /* NULL: fallback takes all */
    struct vhost      *nameless;         /* for requests without a host */
    bool               proxy_protocol, tls, socks, transparent;
};

/* The owner of a listener: the addresses that its socket serves. More than one when specific addresses stand beside
 * a wildcard of the same port; then the connection's own address tells which. */
struct vhost_port { struct vhost_addr **v; size_t n; };

/* The parsers of "server" (the whole block) and of "server_name". */
conf_result vhost_read(struct conf *cf, struct http *h);
conf_result vhost_read_names(struct conf *cf, struct vhost *v);

/* Which address c came to. */
struct vhost_addr *vhost_addr_of(struct conn *c);
/* host: lower case without port; empty: none was given. e: for captures of a regex name. Never NULL. */
struct vhost *vhost_find(const struct vhost_addr *a, struct text host, struct eval *e);
bool vhost_is_opaque(const struct vhost *v, uint16_t port);

#endif
