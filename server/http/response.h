/*
 * response: head and body on their way out.
 *
 *   source  --response_body-->  filters of this response  -->  protocol (h1, h2)
 *
 * The source fills r->out, calls response_head once, then response_body once each time it has something or the sink
 * has room: one call with what there is and how it ends. Nothing is sent before the first call of response_body (so that
 * head and body go in one write): a source that has a head but no body yet calls response_body with an empty chain.
 * When response_room is 0 the source stops; r->source.more is called when there is room again.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "http/request.h"

/* Lets every filter see the head, in order; then the protocol queues it. After it r->out.head_sent. False: a filter
 * answers otherwise (304, 412, 416: already done by it), or the connection is gone: the source stops and gives up its body. */
bool response_head(struct request *r);
/* From a filter's head: answer with this status instead; response_head gives false. */
void response_refuse(struct request *r, int status);
/* Takes all links of in (in is empty after). Every source ends with FINAL or BROKEN, also where r->out.no_body is true
 * (HEAD, 204, 304): bytes are dropped then. Given past the end: dropped. May be called with nothing and MORE: what waits is sent. */
void response_body(struct request *r, struct chain *in, enum body_end end);
size_t response_room(struct request *r);
static inline void response_source(struct request *r, void (*more)(struct request *r, void *arg), void *arg) { r->source.more = more; r->source.arg = arg; }

/* A whole small response: status, type (empty: by the uri's extension), text (copied when keep is false). For "return" and
 * status pages. A request body that nobody asked for is discarded. */
struct verdict response_text(struct request *r, int status, struct text type, struct text body, bool keep);
/* The usual words of a status: "Not Found"; empty: none known. */
struct text response_reason(int status);
/* nginx's built-in page of a status with weir's name, for error answers that no error_page covers. */
struct text response_page(struct request *r, int status);
/* The ETag and Last-Modified that the response has, by itself or among its fields; empty, -1: none. */
struct text response_etag(const struct request *r);
time_t      response_modified(const struct request *r);
/* Takes back what was put into r->out, for another answer; nothing was sent yet. */
void response_clear(struct request *r);
/* For who changes the body: what was said of it and is true no longer. A strong ETag becomes a weak one (anything that is no
 * etag goes); Last-Modified, ETag and leave to cut ranges (Accept-Ranges) are taken back. */
void response_weaken_etag(struct request *r);
void response_clear_etag(struct request *r);
void response_clear_modified(struct request *r);
void response_clear_ranges(struct request *r);
/* Adds a field to r->out. */
static inline void response_add(struct request *r, enum field_id id, struct text name, struct text value) { fields_add(&r->out.fields, r->pool, id, name, value); }

/* What follows its head goes both ways and is no body: an upgrade, or a CONNECT that was granted (RFC 9110 15.2.2, 9.3.6). */
static inline bool response_is_tunnel(const struct request *r)
{
    return r->out.status == 101 || (r->method == METHOD_CONNECT && r->out.status >= 200 && r->out.status < 300);
}

/* ---- filters ---- */

/*
 * A filter joins a response by its head's answer. It passes on what it makes of each call of body at once, or holds: what
 * grows (gunzip) or is paced (limit_rate) keeps its input while filter_room is 0, sets at->holds, and goes on when more is
 * called. While any filter holds, response_room is 0 for the source, so what is held stays bounded.
 */
struct filter_at;
struct filter {
    const char *name;          /* as in the one list of filters.c */
    /* Sees the head, may change it; true: the body passes through body too, with at->state its own. */
    bool (*head)(struct request *r, struct filter_at *at);
    /* Takes in; passes on by filter_pass. Must pass FINAL and BROKEN on. May hold links back. */
    void (*body)(struct request *r, struct filter_at *at, struct chain *in, enum body_end end);
    /* There is room, or the turn it asked for has come: clears at->holds unless it still holds. NULL: it never holds. */
    void (*more)(struct request *r, struct filter_at *at);
    bool bytes;                /* its body needs bytes: file ranges are read, piece by piece, before they come to it */
};
struct filter_at { const struct filter *filter; void *state; bool holds; };
/* To the next filter, or the protocol. */
void filter_pass(struct request *r, struct filter_at *at, struct chain *in, enum body_end end);
/* Bytes that those behind at take gladly now; 0: hold. */
size_t filter_room(struct request *r, const struct filter_at *at);
/* at holds, for no better reason than that others come first: its more is called in the next turn. */
void filter_later(struct request *r, struct filter_at *at);
/* For protocols and timers: there is room again. Those who hold go on, nearest the sink first, then the source. */
void response_more(struct request *r);

#endif
