/*
 * fastcgi: records of FastCGI 1.0 (its specification's sections 3.3, 3.4, 5 and 8), for the side of the web server.
 * One request a connection at a time, so every record is of request 1.
 */
#ifndef WIRE_FASTCGI_H
#define WIRE_FASTCGI_H

#include "base/build.h"

enum { FASTCGI_HEAD = 8, FASTCGI_MOST = 65535 };
enum fastcgi_type { FASTCGI_BEGIN_REQUEST = 1, FASTCGI_ABORT_REQUEST = 2, FASTCGI_END_REQUEST = 3, FASTCGI_PARAMS = 4, FASTCGI_STDIN = 5, FASTCGI_STDOUT = 6, FASTCGI_STDERR = 7 };

/* ---- writing ---- */

/* A record's head: n bytes of content follow. */
void fastcgi_put_head(struct build *b, enum fastcgi_type type, size_t n);
/* "Begin", in the role of a responder. keep: the connection stays open when the answer is through. */
void fastcgi_put_begin(struct build *b, bool keep);
/* A name and its value, as PARAMS have them. */
void fastcgi_put_pair(struct build *b, struct text name, struct text value);
/* content as records of this type, as many as it needs; and the empty one that ends the stream. */
void fastcgi_put_stream(struct build *b, enum fastcgi_type type, struct text content);

/* ---- reading ---- */

struct fastcgi_reader {
    unsigned char head[FASTCGI_HEAD];
    unsigned      have;               /* of head */
    unsigned      left, padding;      /* of the record in hand */
    enum fastcgi_type type;
    const char   *fault;              /* after BAD: what is wrong */
};

enum fastcgi_result {
    FASTCGI_MORE,      /* all n bytes are used */
    FASTCGI_DATA,      /* *data_out is a piece of what was written to standard output */
    FASTCGI_ERROR,     /* … to standard error */
    FASTCGI_CLOSED,    /* standard output was closed */
    FASTCGI_END,       /* the request is over, the record's padding included */
    FASTCGI_BAD,
};

/* Begins with a reader of zeroes. */
enum fastcgi_result fastcgi_next(struct fastcgi_reader *f, const char *p, size_t n, size_t *used_out, struct text *data_out);

#endif
