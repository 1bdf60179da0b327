/* framing: how long a message's body is, by its fields (RFC 9112 6.3). What two readers might read differently is a fault. */
#ifndef WIRE_FRAMING_H
#define WIRE_FRAMING_H

#include "wire/fault.h"
#include "wire/field.h"
#include "wire/method.h"

enum framing_kind {
    FRAMING_NONE,       /* no body */
    FRAMING_LENGTH,     /* length bytes (more than 0) */
    FRAMING_CHUNKED,
    FRAMING_CLOSE,      /* up to the end of the connection */
    FRAMING_TUNNEL,     /* no HTTP any more: 101, or 2xx to CONNECT */
    FRAMING_BAD,        /* why: fault */
};

struct framing {
    enum framing_kind kind;
    enum fault        fault;
    int64_t           length;    /* what Content-Length says, also where no body follows (HEAD, 304); -1: it says nothing */
    bool              close;     /* this connection may not be used after the message: peers may disagree on its end */
};

/* version as in h1_request_line. */
struct framing framing_request(unsigned version, const struct field *fields, size_t n);
/* method: of the request that is answered. */
struct framing framing_response(unsigned version, enum method method, unsigned status, const struct field *fields, size_t n);

#endif
