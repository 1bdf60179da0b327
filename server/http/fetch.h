/*
 * fetch: one HTTP/1.1 request of our own to a given address, and its answer, whole and bounded, in memory. For what the server asks
 * for itself (health checks, certificates, OCSP, keys), in the manager or a worker; there is no struct request.
 *
 *   f = fetch_start(&want)      the request is on its way; want and all that it names were copied, but for what it says below
 *   want.done(f, how)           once, never from within fetch_start: f->status, fields, body (or f->why) last until fetch_close
 *   fetch_close(&f)             ends it at any time; before done: done is not called
 *
 * It follows no redirect, decodes no Content-Encoding and logs nothing: f->why has the words.
 */
#ifndef HTTP_FETCH_H
#define HTTP_FETCH_H

#include "event/event.h"
#include "http/request.h"
#include "tls/tls.h"

#define FETCH_MAGIC 0x46455443u

struct fetch;

enum fetch_end {
    FETCH_DONE,       /* there is an answer, with any status */
    FETCH_UNREACHED,  /* no connection, or no TLS session with who should be there */
    FETCH_BROKEN,     /* the connection broke, or ended, before the answer did */
    FETCH_TIMEOUT,
    FETCH_BAD,        /* what came is not HTTP; or what was to be sent is not (a control character in it) */
    FETCH_LARGE,      /* head or body above its limit */
};

/* A connection that waits for the next request to the same address with the same TLS settings: one a target, its owner's. Zero:
 * none. A fetch takes it and puts one back; meanwhile it is empty. What waits ends by itself when the peer closes it, its time is
 * over, or connections run short. */
struct fetch_kept { struct conn *conn; uint64_t until_ms; };
void fetch_kept_close(struct fetch_kept *k);

struct fetch_want {
    const struct addr  *to;
    const struct addr  *from;            /* two source addresses, of which the one of to's family counts, the second perhaps AF_UNSPEC; NULL: the kernel's choice */
    struct tls_context *tls;             /* NULL: plain. Must outlive the fetch; whether it verifies is its own matter: fetch_context */
    struct text         tls_name;        /* what the certificate must bear; and is sent (SNI), unless it is an address or no_sni */
    bool                no_sni;
    struct text         method;          /* empty: GET */
    struct text         target;          /* empty: "/" */
    unsigned            version;         /* 1000, 1001; 0: 1001 */
    struct text         host;            /* Host; empty: the address as printed */
    const struct field *fields;          /* more of them (name and value); an empty value: not sent. Host and Connection among them replace ours */
    size_t              field_count;
    struct text         body;            /* Content-Length is ours */
    uint64_t            deadline_ms;     /* for the whole; 0: none */
    uint64_t            connect_ms, send_ms, read_ms;    /* TCP and TLS each; between two writes; between two reads. 0: the deadline alone */
    size_t              head_most;       /* bytes of the answer's head; 0: 16384 */
    size_t              body_most;       /* bytes of its body; 0: 1 MiB */
    bool                cut;             /* of a longer body the first body_most bytes are an answer as well (f->is_cut) */
    struct fetch_kept  *kept;            /* where its connection comes from and stays; must outlive the fetch. NULL: closed after it */
    uint64_t            keepalive_ms;    /* how long a connection is kept in all, from its first use */
    void              (*done)(struct fetch *f, enum fetch_end how);
    void               *arg;
};

/* What the user of a fetch sees; the rest is fetch.c's. */
struct fetch {
    unsigned       magic;
    void          *arg;
    struct pool   *pool;                 /* its own: ends soon after fetch_close */
    unsigned       status, version;
    struct text    reason;
    struct fields  fields;
    struct text    body;
    bool           is_cut;
    char           why[320];             /* of any end but DONE: "connect() failed (111: Connection refused)" */
    uint64_t       started_ms, header_ms, ended_ms;    /* monotonic; header_ms: the head was complete (0: never) */
};

struct fetch *fetch_start(const struct fetch_want *w);
/* Nulls *f. NULL is fine. */
void fetch_close(struct fetch **f);

/* ---- whom to trust ---- */

struct fetch_trust {
    struct text ca;                      /* file of trusted certificates; empty: the system's */
    struct text crl;                     /* file; may be empty */
    struct text certificate, key;        /* our own, for servers that ask for one; full paths or "data:"; empty: none */
    bool        anybody;                 /* nothing is verified */
};
/* For want.tls; to be closed by tls_context_close. NULL after [emerg] lines to log. */
struct tls_context *fetch_context(const struct fetch_trust *t, const struct log *log);

#endif
