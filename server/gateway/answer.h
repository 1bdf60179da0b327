/*
 * answer: answers of HTTP/1 servers (RFC 9112), for every protocol that reads them: its data begins with a struct answer, and its
 * table names these functions. make_request sets method and chunked_up.
 */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "gateway/exchange.h"
#include "wire/chunked.h"
#include "wire/framing.h"

struct answer {
    enum method     method;        /* as sent up */
    bool            chunked_up;    /* the request's body goes up chunked */
    bool            in_fields;
    struct h1_parse parse;
    struct framing  framing;
    int64_t         left;          /* of a body with a length */
    struct chunked  chunked;
};

static inline struct answer *answer_of(const struct exchange *x) { return x->data; }

/* gateway_protocol's functions of these names. */
void answer_restart(struct exchange *x);
enum gateway_parse answer_parse_head(struct exchange *x, const char *p, size_t n, size_t *used_out);
enum gateway_parse answer_parse_body(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out);
int64_t answer_raw_left(struct exchange *x);
void answer_raw_took(struct exchange *x, int64_t n);
bool answer_ends_at_eof(struct exchange *x);
void answer_frame_body(struct exchange *x, struct chain *in, enum body_end end, struct chain *out);

#endif
