/*
 * h1: heads of HTTP/1 messages (RFC 9112), the same for both sides, strict where leniency would let two readers
 * disagree. The caller keeps the head in one contiguous buffer that grows and may move between calls; the state is
 * offsets into it. What comes out are slices of the buffer as it is now.
 *
 *   h1_begin(&p, H1_REQUEST);
 *   h1_request_line until H1_DONE; then h1_field: H1_FIELD for each, and H1_END. H1_MORE: read more and call again.
 *   Then the body begins at p.at.
 */
#ifndef WIRE_H1_H
#define WIRE_H1_H

#include "wire/fault.h"
#include "wire/field.h"
#include "wire/method.h"

enum h1_kind { H1_REQUEST, H1_RESPONSE, H1_TRAILERS /* of a chunked body: every line ends with CRLF */ };
enum h1_result { H1_MORE, H1_DONE, H1_FIELD, H1_END, H1_BAD /* why: p->fault */ };

struct h1_parse {
    size_t       line;            /* where the line in hand begins */
    size_t       at;              /* everything before was looked at; after H1_END: where the body begins */
    size_t       mark;            /* in the line: where what comes after the name, or the method, begins; 0: not there yet */
    enum h1_kind kind;
    enum fault   fault;
    bool         bad_name, has_underscore;
};

enum h1_form { H1_ORIGIN, H1_ABSOLUTE, H1_AUTHORITY, H1_ASTERISK };   /* RFC 9112 3.2.1 to 3.2.4 */

struct h1_request_line {
    struct text  line;            /* without its end */
    struct text  method_name;
    enum method  method;
    enum h1_form form;
    struct text  target;          /* as it came */
    struct text  scheme;          /* absolute form; else empty */
    struct text  authority;       /* absolute and authority form: host and port, to be checked by uri_host. Goes before Host */
    struct text  path;            /* origin and absolute form: path and query; may be empty or begin with "?" in absolute form */
    unsigned     version;         /* 9, 1000, 1001 (also for 1.2 and up) */
};

struct h1_status_line {
    struct text  line;
    unsigned     version;         /* 1000, 1001 (also for higher ones) */
    unsigned     status;          /* 100 to 999 */
    struct text  reason;          /* may be empty */
};

void h1_begin(struct h1_parse *p, enum h1_kind kind);
/* The caller dropped n bytes at the buffer's front (n at most p->line). */
void h1_rebase(struct h1_parse *p, size_t n);

/* H1_DONE, H1_MORE or H1_BAD. Empty lines before the line are skipped (RFC 9112 2.2); p->line is then where it begins.
 * HTTP/0.9: version 9, and no fields follow. */
enum h1_result h1_request_line(struct h1_parse *p, const char *buf, size_t len, struct h1_request_line *out);
/* H1_DONE, H1_MORE or H1_BAD. */
enum h1_result h1_status_line(struct h1_parse *p, const char *buf, size_t len, struct h1_status_line *out);
/* H1_FIELD, H1_END, H1_MORE or H1_BAD. */
enum h1_result h1_field(struct h1_parse *p, const char *buf, size_t len, struct field *out);

#endif
