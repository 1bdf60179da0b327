/*
 * send: the request on its way to the upstream: head, then the body from where it lies (whole: shared links, so that
 * another try sends it again) or as it comes from the client, as far as the upstream takes it.
 */
#ifndef GATEWAY_SEND_H
#define GATEWAY_SEND_H

#include "base/chain.h"

struct exchange;

struct send {
    struct text  head;          /* written by the protocol, in the request's pool */
    struct chain body;          /* what goes after it in every try, when the body is whole; shared, never consumed */
    struct chain out;           /* not sent yet, of this try */
    bool         body_set;      /* the protocol gave another body (proxy_set_body); it stands in head */
    bool         streaming;     /* the body comes while it goes */
    bool         ended;         /* nothing will be added to out */
    bool         broken;        /* the connection takes no more */
};

/* The body is decided: whole in r->body, or streaming, or none (chain empty). Called once, before the first try. */
void send_prepare(struct exchange *x);
/* A try begins on x->conn: sends at once what goes. False: the connection is broken (IO_ERROR), logged by nobody yet. */
bool send_start(struct exchange *x);
/* Sends what goes of what there is. False as above. */
bool send_more(struct exchange *x);
/* The connection takes more: as send_more, and the client's body is read on. */
bool send_resume(struct exchange *x);
/* All is on the wire? */
static inline bool send_done(const struct send *s) { return s->ended && !s->broken && chain_empty(&s->out); }
/* Nothing more goes up; what is left is dropped, the client's body discarded. */
void send_stop(struct exchange *x);

#endif
