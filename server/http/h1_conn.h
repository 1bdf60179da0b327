/* h1_conn: what the rooms of the HTTP/1 connection (h1, h1_head, h1_body, h1_write) tell each other, and nobody else. */
#ifndef HTTP_H1_CONN_H
#define HTTP_H1_CONN_H

#include "http/core_conf.h"
#include "http/h1.h"
#include "http/proxied.h"
#include "http/reqbody.h"
#include "http/response.h"
#include "http/steps.h"
#include "wire/chunked.h"
#include "wire/framing.h"

#define H1_MAGIC 0x48314331u

enum h1_state {
    H1_IDLE,        /* between requests: no buffer, no request */
    H1_SECURING,    /* the TLS handshake: the connection is its own */
    H1_HEAD,        /* part of a head was read */
    H1_SERVING,     /* a request is served */
    H1_LINGER,      /* all was said; what the client still sends is dropped */
    H1_TUNNEL,      /* the connection's bytes are somebody else's */
    H1_OVER,        /* closed; freed at the end of the turn */
};

/* Reading a head: lives in the request's pool. room, used: how nginx's buffers would be filled by now. */
struct h1_reading {
    struct h1_parse        parse;
    struct h1_request_line line;
    bool                   has_line;
    uint32_t               used;
    uint64_t               room;
    size_t                 start;      /* of the line in hand, in the buffer as it is now */
    unsigned               lines;
};

/* Reading a body. */
struct h1_body {
    enum framing_kind kind;
    uint64_t          left;            /* by length */
    bool              reading;         /* h1_body_read is on the stack */
    uint32_t          trailers;        /* lines so far */
    struct chunked   *chunked;
};

/* A connection: small, since there may be many that are idle. */
struct h1 {
    unsigned            magic;
    uint8_t             state;         /* enum h1_state */
    bool                keep : 1,      /* the connection may serve another request */
                        chunked : 1,   /* the response's framing */
                        by_length : 1,
                        broken : 1,    /* the response was broken off */
                        reset : 1,     /* ends with a reset */
                        done : 1,      /* the request is to be closed by the task */
                        draining : 1,  /* the response is through, the request body is not */
                        in_task : 1,
                        starved : 1,   /* the head in the buffer is not complete: more must be read first */
                        timed : 1,     /* client_header_timeout runs */
                        final : 1,     /* the response's end is in out */
                        cut : 1,       /* and it is a broken one */
                        gone : 1,      /* the client left, and the request goes on without it */
                        body_failed : 1, /* the body that streams is broken: the task answers */
                        linger : 1,    /* the client may be sending still */
                        proxied : 1,   /* the PROXY header was read, or none is expected */
                        secured : 1,   /* the TLS handshake was made, or none is expected */
                        plain : 1;     /* no TLS came where it was expected */
    struct conn        *conn;
    struct request     *r;
    struct vhost_addr  *at;
    struct vhost       *vhost;         /* until a request says otherwise: the default, or the one that TLS was asked for */
    struct chunk       *in;            /* read buffer; NULL when nothing is read */
    uint32_t            from, to;      /* its bytes that are not done with */
    uint32_t            requests;
    uint32_t            size;          /* of the next buffer: grows while reads fill it */
    struct chain        out;           /* framed, not yet sent */
    uint64_t            left;          /* of a response by length */
    struct h1_reading  *reading;
    struct h1_body     *body;
    struct proxied     *proxy;         /* what the PROXY header said; NULL: nothing */
    struct request_original *original; /* where the client was going; NULL: here */
    struct timer        write_timer;
    struct task         task;
    uint64_t            linger_until;
    uint32_t            keep_ms, keep_min_ms, linger_ms;
    const char         *why;
};

extern const struct protocol h1_protocol;

/* h1.c */
void h1_set_state(struct h1 *h, enum h1_state s);
/* Reads once into the buffer, opening it when there is none. False: nothing came (or the connection was ended). */
bool h1_fill(struct h1 *h);
/* Ends the request in hand, and after it the connection, later in this turn. */
void h1_abandon(struct h1 *h, const char *why, bool reset);
/* The request is through: closed later in this turn. */
void h1_finish(struct h1 *h, const char *why);

/* Goes on reading after the handshake. */
void h1_take(struct h1 *h);
/* There is nothing to read: waits. */
void h1_wait(struct h1 *h);

/* h1_tls.c: what was read already is the beginning of a handshake. */
void h1_tls_begin(struct h1 *h);
/* While its client's certificate is asked about: something came, perhaps the client's end. */
void h1_tls_notice(struct h1 *h);
/* Would a request for v escape the verification that v asks of its clients (RFC 9110 15.5.20)? Logged. */
bool h1_tls_misdirected(struct h1 *h, const struct vhost *v);
/* Has the client shown what v asks for? 0, or the status of the refusal, which was logged. */
int  h1_tls_check(struct h1 *h, const struct vhost *v);

/* h1_head.c: takes what was read. True: a request is complete, and was given to request_run. */
enum h1_took { H1_TOOK_MORE, H1_TOOK_HEAD, H1_TOOK_BAD };
enum h1_took h1_head_take(struct h1 *h);
/* A buffer for the rest of a head that does not fit. */
void h1_head_move(struct h1 *h);

/* h1_body.c */
void h1_body_begin(struct h1 *h, struct framing f);
void h1_body_want(struct request *r);
/* Reads and gives as long as there is something and the reader has room. */
void h1_body_read(struct h1 *h);
void h1_body_timeout(struct h1 *h);
/* From the task, when no reader is on the stack: the answer to a body that broke while it was streamed. */
void h1_body_answer(struct h1 *h);
bool h1_body_complete(const struct h1 *h);

/* h1_write.c */
void   h1_write_head(struct request *r);
void   h1_write_informational(struct request *r, int status, const struct fields *f);
void   h1_write_body(struct request *r, struct chain *in, enum body_end end);
size_t h1_write_room(struct request *r);
struct conn *h1_write_straight(struct request *r);
void   h1_write_went(struct request *r, size_t n, bool is_blocked);
/* Sends what waits. False: the connection is gone. */
bool   h1_write_flush(struct h1 *h);

#endif
