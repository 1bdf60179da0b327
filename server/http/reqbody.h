/*
 * reqbody: the request's own body, moved on demand. One of three ways, chosen by the handler that needs it:
 *   whole    read to the end into memory (client_body_buffer_size) and then a temporary file, before going on;
 *   stream   given to a sink as it comes, as far as the sink has room;
 *   discard  nobody wants it: read and dropped within bounds when the response is through, or the connection closed.
 * RFC 9112 6 and 7; client_max_body_size is checked on Content-Length and while chunked bytes come.
 */
#ifndef HTTP_REQBODY_H
#define HTTP_REQBODY_H

#include "http/request.h"

struct body_sink {
    size_t (*room)(struct request *r, void *arg);                                      /* 0: wait, reqbody_more is called later */
    void   (*take)(struct request *r, void *arg, struct chain *in, enum body_end end); /* takes all links */
};

struct reqbody {
    int64_t                 length;      /* decoded bytes so far (whole: of the body) */
    bool                    complete;    /* FINAL was seen */
    bool                    whole;       /* in parts: readable from chain, as often as wanted */
    bool                    broken;
    int                     status;      /* why it is broken: 400, 408, 413, 500; 0: the client is gone */
    struct chain            chain;       /* whole: memory links, then the temporary file */
    struct chain_file      *file;        /* or NULL */
    struct text             file_name;   /* or empty */
    const struct body_sink *sink;        /* streaming */
    void                   *sink_arg;
    /* private */
    enum { REQBODY_NOT_YET, REQBODY_WHOLE, REQBODY_STREAM, REQBODY_DISCARD } way;
    bool                    waited_for;
    bool                    in_file;     /* reqbody_whole_file's */
    struct chain            memory;      /* whole: not yet in the file */
};

/* No body at all is expected (then whole and complete from the start)? */
bool reqbody_none(const struct request *r);
/* v_next: the body is whole, r->body->chain has it. v_wait: coming; the step's handler is asked again. v_reply: 413, 408, 400, 500. */
struct verdict reqbody_whole(struct request *r);
/* As reqbody_whole, and all of it, even nothing, is in a file of its own, with a name. */
struct verdict reqbody_whole_file(struct request *r);
/* That file was renamed: it is not removed with the request. */
void reqbody_file_taken(struct request *r);
/* Begins (or goes on) giving the body to sink. "Expect: 100-continue" is answered here (RFC 9110 10.1.1). */
void reqbody_stream(struct request *r, const struct body_sink *sink, void *arg);
void reqbody_more(struct request *r);
/* From the protocol: decoded bytes. */
void reqbody_take(struct request *r, struct chain *in, enum body_end end);
/* How many bytes the reader may take in now. */
size_t reqbody_room(struct request *r);
void reqbody_discard(struct request *r);
/* It is too large: from now on there is none, not for an error page either, and the connection ends with the response. */
void reqbody_refuse(struct request *r);
/* Discards it unless somebody reads it (from response_head). */
void reqbody_discard_unwanted(struct request *r);
void reqbody_end(struct request *r);   /* from request_close */

#endif
