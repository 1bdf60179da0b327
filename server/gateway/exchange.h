/*
 * gateway: one request answered by one upstream.
 *
 * Glossary
 *   exchange   one request with one upstream: its tries, one after the other, and what came of them. Owned by the request.
 *   try        one peer asked once; what the $upstream_* variables list.
 *   protocol   how a request is written for the upstream and its answer read: HTTP/1 (modules/proxy.c, answer.h), later FastCGI …
 *   retry      whether, and when, another peer is asked (retry.h); budget: how often (budget.h).
 *   hedge      a second try at once, when the first takes long (hedge.h).
 *   breaker    whether a group is asked at all (breaker.h).       preface  PROXY protocol header (preface.h).
 *   via        what is said to a peer that is a proxy, before the connection is one with where the request goes (via.h).
 *   target     where to: group, and the url for log lines.
 *   send       the request on its way up (send.h).      head   the answer's head, to the client's (head.h).
 *   pipe       the answer's body (pipe.h).              tunnel bytes both ways after an upgrade (tunnel.h).
 *   store      a copy of the answer on its way to be a file (store.h).
 *
 *   open ──> connecting <──> waiting ──> passing ──> over         Each change goes through exchange_move.
 *                      `─> paused <─´                ^             paused: before another try
 *                                                                  queued: until a peer has room (queue.h)
 *                               |                     ^           waiting: for the head; the request may still be going up
 *                               `──────> tunnel ──────´           passing: the body comes; the request may still be going up
 *
 * An upstream connection belongs to the exchange from connect or idle_take until idle_put or conn_close.
 */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include "gateway/breaker.h"
#include "gateway/conf.h"
#include "gateway/hedge.h"
#include "gateway/pipe.h"
#include "gateway/resolve.h"
#include "gateway/preface.h"
#include "gateway/queue.h"
#include "gateway/retry.h"
#include "gateway/secure.h"
#include "gateway/send.h"
#include "gateway/via.h"
#include "http/response.h"
#include "upstream/balance.h"
#include "upstream/connect.h"
#include "upstream/relay.h"

#define EXCHANGE_MAGIC 0x45584348u

enum exchange_state { EXCHANGE_OPEN, EXCHANGE_PAUSED, EXCHANGE_QUEUED, EXCHANGE_CONNECTING, EXCHANGE_WAITING, EXCHANGE_PASSING, EXCHANGE_TUNNEL, EXCHANGE_OVER };

/* One peer asked once. Times in ms since the try began; -1: it did not come to that. */
struct exchange_try {
    struct exchange_try *next;
    struct text          name, server;       /* the peer's address, and what the configuration calls its server */
    int                  status;             /* 0: none */
    bool                 redirected;         /* the first after an internal redirect: " : " before it */
    uint64_t             started_ms;
    int64_t              queue_ms, connect_ms, header_ms, response_ms;
    int64_t              length;             /* of the body as received */
    uint64_t             sent, received;     /* on the wire */
};

/* The answer as the protocol read it. Texts point into the head's chunk. */
struct upstream_response {
    int           status;
    unsigned      version;
    struct text   reason;
    struct fields fields;                    /* all, in order */
    struct fields trailers;
    int64_t       length;                    /* of the body as the fields tell it; -1: they do not */
    bool          no_body;                   /* nothing follows the head */
    bool          keepalive;                 /* the connection may serve again once the body is read */
    bool          nominates;                 /* Connection names fields: they go no further */
    bool          upgrade;                   /* bytes both ways from here */
    bool          own_page;                  /* nothing but a status: the client gets our page, or error_page's */
};

enum gateway_parse {
    GATEWAY_MORE,          /* all bytes are used, it goes on */
    GATEWAY_DONE,          /* complete; bytes may be left over */
    GATEWAY_INFORMATIONAL, /* parse_head only: a 1xx is in x->up, and the head is still to come */
    GATEWAY_BAD,           /* what the upstream sent is no answer; the protocol logged it */
};

struct exchange;
struct gateway_protocol {
    const char *name;
    /* The connection is made, nothing was sent: the protocol takes over (a tunnel). NULL: the request is sent. */
    void (*opened)(struct exchange *x);
    /* x->conn, to the peer in hand, is new. Nothing was said yet. May be NULL. */
    void (*connected)(struct exchange *x);
    /* Writes what goes before the body (x->send.head), once a request: later tries send it again. False: 500, logged. */
    bool (*make_request)(struct exchange *x);
    /* A try begins: the readers are at their start. */
    void (*restart)(struct exchange *x);
    /* The n bytes at p are what there is of the head so far (more is added behind, nothing moves); fills x->up. DONE and
     * INFORMATIONAL: used_out bytes of them were the head. */
    enum gateway_parse (*parse_head)(struct exchange *x, const char *p, size_t n, size_t *used_out);
    /* n bytes at p, in chunk, are what came next: body goes to out as links into the chunk. MORE, DONE or BAD. */
    enum gateway_parse (*parse_body)(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out);
    /* Bytes of the body that are still to come and need no decoding (a body with a length); and that so many of them went
     * another way. NULL: never. */
    int64_t (*raw_left)(struct exchange *x);
    void (*raw_took)(struct exchange *x, int64_t n);
    /* The peer closed: was that the regular end? */
    bool (*ends_at_eof)(struct exchange *x);
    /* Body bytes for the wire, when the body is streamed (chunked request bodies …); NULL: as they are. Takes all of in. */
    void (*frame_body)(struct exchange *x, struct chain *in, enum body_end end, struct chain *out);
    size_t hedged;          /* size of its data, which has no pointers to itself: a request may be tried twice at once (hedge.h). 0: never */
    bool frames_whole;      /* … and when it is whole, or there is none */
    /* Nobody of the group is left to be asked, and the request may still be passed to others: is there another group? Then the exchange is
     * over, and exchange_start says v_next, or the handler that called it runs again, for another exchange. May be NULL. */
    bool (*another)(struct exchange *x);
    bool unwraps;           /* parse_head keeps the head itself, within buffer_size, and uses up all that is not body */
    /* A field of the answer that the protocol changes for the client (Location …): true: the value is in *value_out. May be NULL. */
    bool (*rewrite_field)(struct exchange *x, const struct field *f, struct text *value_out);
};

struct gateway_target {
    struct group *group;
    struct text   scheme;                    /* for log lines: "http" */
    struct text   uri;                       /* for log lines: what is asked for; make_request may set it */
    struct text   host;                      /* no group yet: the name to look up, and the port */
    uint16_t      port;
    bool          secure;                    /* TLS is to be spoken */
};

struct exchange {
    unsigned                       magic;
    enum exchange_state            state;
    struct request                *r;
    const struct gateway_protocol *proto;
    void                          *data;     /* the protocol's */
    const struct gateway_conf     *conf;
    struct gateway_target          target;
    const struct secure           *secure;   /* TLS is spoken, with this; NULL: it is not. Set before exchange_start */
    const struct via              *via;      /* peers are proxies that lead on; NULL: they do not. Set before exchange_start */
    struct via_run                *via_run;
    struct text                    early;    /* in head: what came from the target before the protocol took over, where it has opened */
    struct resolving              *resolving;   /* the target's name is being looked up, or NULL */
    struct pick                    pick;
    struct connect                 connect;
    struct conn                   *conn;
    uint64_t                       conn_sent, conn_received;   /* conn's counts when this try began */
    uint32_t                       served;   /* requests that conn had before this one */
    struct group                  *keep_in;  /* whose idle connections serve; NULL: those of the group asked */
    uint64_t                       keep_tag; /* … for whom among those who share them; 0: for all */
    bool                           half_close;   /* of a tunnel: the end of one direction is not that of the other */
    uint64_t                       tunnel_ms, tunnel_bytes;   /* the most that a tunnel may last, and carry; 0: no limit */
    size_t                         tunnel_buffer;             /* of each of its directions; 0: grows with the stream */
    bool                           keep;     /* the request says that the connection may stay open */
    bool                           reused;   /* conn was idle before: a failure may be a stale one */
    bool                           fresh;    /* no idle connection is taken any more */
    bool                           asked;    /* something of the request was sent in this try */
    bool                           answered; /* a byte came from the peer in this try */
    bool                           buffering;
    bool                           starting; /* exchange_start is on the stack */
    bool                           handed_over;   /* … and another exchange is to be begun */
    int                            failed;   /* status to answer with when it is */
    struct send                    send;
    struct upstream_response       up;
    struct chunk                  *head;     /* the answer's head (and what came with it) */
    size_t                         head_at, head_have;   /* where the head in hand begins (after 1xx heads), and the bytes read */
    struct pipe                    pipe;
    struct store                  *store;    /* the copy that is made of the answer, or NULL */
    struct relay                  *relay;
    const struct addr             *bind;     /* two source addresses to choose from by family, the second perhaps AF_UNSPEC; NULL: the kernel's choice */
    uint64_t                       started_ms;
    struct retry                   retry;
    struct hedge                   hedge;
    struct preface                 preface;
    struct breaker_place           place;
    struct queue_place             queued;
    struct exchange               *before;   /* the one before an internal redirect, or NULL */
    struct exchange_try           *tries, *last;   /* in order; over internal redirects too */
};

/* Of r, or NULL. */
static inline struct exchange *exchange_of(const struct request *r) { return r->exchange; }

/* A new exchange of r in state open (its tries go on behind those of the one before). data: the protocol's. Never NULL. */
struct exchange *exchange_open(struct request *r, const struct gateway_protocol *proto, const struct gateway_conf *conf, const struct gateway_target *target, void *data);
/* For a target opened without a group: here it is. */
void exchange_set_group(struct exchange *x, struct group *g);
/* Asks the first peer, once the target's name is looked up. The request's body is whole, or none, or goes up as it comes. v_over: the exchange answers, or fails
 * by request_fail; v_reply: it failed at once; v_next: it is over, and protocol->another knows of another group. */
struct verdict exchange_start(struct exchange *x);
/* What was: an exchange of r that is over, with this one try, for the log. */
struct exchange *exchange_remember(struct request *r, const struct gateway_conf *conf, const struct exchange_try *t);
/* Nobody is left, the reason allows others: is there another group? Then x is over. */
bool exchange_hand_over(struct exchange *x);
/* x's peer can be asked over c, which is x's from now on. */
void exchange_begin(struct exchange *x, struct conn *c);
/* The only change of state. */
void exchange_move(struct exchange *x, enum exchange_state to);
/* Another exchange of x's request with x's group, in state open: its try is listed behind x's; it holds a peer that x has not tried.
 * It is not the request's (exchange_of). NULL: there is no such peer, or the breaker says no. */
struct exchange *exchange_open_second(struct exchange *x);
/* Asks the peer in hand. */
void exchange_ask(struct exchange *x);
/* The next peer is asked, or nobody is left. */
void exchange_next(struct exchange *x);
/* What the try in hand came to; its connection is closed unless it was put away before. Without one: nothing. */
void exchange_end_try(struct exchange *x, enum peer_verdict how);
/* The peer in hand had closed a kept connection: it is asked again, over a new one. */
void exchange_replay(struct exchange *x);
/* The same without a word: what was said over the connection came to nothing. */
void exchange_again(struct exchange *x);
/* The connection broke (conn->error), or the peer closed it before its answer was complete. */
void exchange_broken(struct exchange *x, enum io how, const char *call);
/* The line about that alone. */
void exchange_say_broken(const struct exchange *x, enum io how, const char *call);
/* No peer is in hand, and none will be: as exchange_fail, with a try of no peer's for the log. */
void exchange_give_up(struct exchange *x, int status);
/* The upstream is let go, and the client answered with this status (or broken off). */
void exchange_fail(struct exchange *x, int status);
/* The answer is complete: conn is kept when the upstream and the request allow it. The response's end is the pipe's. */
void exchange_done(struct exchange *x);
/* Lets go of the connection and of what goes up; the response is somebody else's business. Twice is fine. */
void exchange_release(struct exchange *x);
/* Waits for the upstream within read_timeout, or send_timeout while it takes nothing. */
void exchange_wait(struct exchange *x);
/* For log lines: what the upstream is being asked, as " while …" */
void exchange_doing(struct exchange *x, const char *what);

#endif
