/* h1: a client's HTTP/1 connection: one request after the other. Idle, it holds no buffer and no pool. */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include "http/request.h"
#include "wire/h1.h"

/* For listeners: takes the new connection over. */
void h1_accepted(struct conn *c);
/* The same for a client that was going elsewhere; copied. */
void h1_accepted_for(struct conn *c, const struct request_original *original);
/* What a request line says of method, version and target, into r. */
void h1_head_line(struct request *r, const struct h1_request_line *line);

#endif
