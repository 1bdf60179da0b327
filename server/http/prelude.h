/*
 * prelude: a connection whose client is heard before there is a request, and has one alone: SOCKS (socks.c), or one that netfilter led here
 * (transparent.c). What both have in common: their states, the request's end, log lines, and the way into a tunnel.
 *
 * The connection owns its request. It ends once, by prelude_end; a request is closed by a task, never on its own stack.
 */
#ifndef HTTP_PRELUDE_H
#define HTTP_PRELUDE_H

#include "base/cell.h"
#include "http/core_conf.h"
#include "http/steps.h"
#include "http/vhost.h"

struct prelude;

/* legal: for each state, from 0 on, those that may follow, as bits; over: what comes behind them all; tunnel: the connection's bytes are somebody
 * else's. reading: the last of the states in which no request is served. */
struct prelude_kind {
    unsigned        magic;
    const uint16_t *legal;
    uint8_t         over, tunnel, reading;
    const char     *doing;                       /* before there is a request, for log lines */
    struct cells   *cells;                       /* its connections'; struct prelude is their first member */
    void          (*drop)(struct prelude *p);    /* what else it holds; may be NULL */
};

struct prelude {
    unsigned                   magic;            /* the kind's */
    uint8_t                    state;
    bool                       broken : 1,       /* nothing more is said to the client */
                               finishing : 1;    /* the request is to be closed by the task */
    const struct prelude_kind *kind;
    struct conn               *conn;
    struct request            *r;
    struct vhost_addr         *at;
    struct vhost              *vhost;
    struct task                task;
    const char                *why;
};

/* A new one, in state 0, takes c over. */
void *prelude_open(const struct prelude_kind *k, struct conn *c, void (*ready)(struct conn *c, unsigned what));
/* The only change of state, but for the end. */
void prelude_move(struct prelude *p, unsigned to);
/* There is no request any more. keep_conn: the connection is somebody else's. Twice is fine. */
void prelude_end(struct prelude *p, bool keep_conn);
/* The request is through: closed later in this turn. */
void prelude_finish(struct prelude *p, const char *why);
/* Nothing more is said; the request, which gets this status unless it has answered, or the connection, ends. */
void prelude_abandon(struct prelude *p, int status, const char *why);

const struct http_core_conf *prelude_core(const struct prelude *p);
/* Its request: METHOD_CONNECT, in form REQUEST_AUTHORITY, with no target yet. */
struct request *prelude_request(struct prelude *p, const struct protocol *proto, unsigned version);

/* Reading has come to an end, or failed, before all was said; the client left while its request is served; client_header_timeout, or being cut. */
void prelude_lost(struct prelude *p, struct io_done d);
void prelude_left(struct prelude *p);
void prelude_timed_out(struct prelude *p);

/* ---- for struct protocol ---- */

void   prelude_head(struct request *r);
void   prelude_informational(struct request *r, int status, const struct fields *f);
size_t prelude_room(struct request *r);
void   prelude_want_body(struct request *r);
void   prelude_swap(void *stream, struct request *r);
/* For tunnel(): may it begin? */
bool   prelude_may_tunnel(const struct prelude *p, unsigned serving);

#endif
