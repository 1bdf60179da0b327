/*
 * credentials: who a client says it is stands in Authorization, and is asked for by 401; when it asks us as a proxy, in
 * Proxy-Authorization, and 407 (RFC 9110 11.7): the origin's own are not ours then. A client that does not know of us (listen …
 * transparent) cannot be asked.
 */
#ifndef HTTP_CREDENTIALS_H
#define HTTP_CREDENTIALS_H

#include "http/response.h"

static inline struct text credentials_of(const struct request *r) { return request_value(r, r->forward ? FIELD_PROXY_AUTHORIZATION : FIELD_AUTHORIZATION); }

/* Adds the challenge to the answer. */
static inline void credentials_challenge(struct request *r, struct text challenge)
{
    if (request_original(r)) return;
    if (r->forward) response_add(r, FIELD_PROXY_AUTHENTICATE, T("Proxy-Authenticate"), challenge);
    else response_add(r, FIELD_WWW_AUTHENTICATE, T("WWW-Authenticate"), challenge);
}

/* The refusal that goes with it. */
static inline struct verdict credentials_refused(const struct request *r) { return v_reply(request_original(r) ? 403 : r->forward ? 407 : 401); }

#endif
