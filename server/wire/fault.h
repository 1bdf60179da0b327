/*
 * wire: pure parsers and writers. Bytes in, facts out; no descriptor, no event, no log, no memory but what the caller
 * hands in.
 *
 * Glossary
 *   fault       what is wrong with a message: a number with its words, status and RFC section.
 *   field       one header line; its name known by number (field.h).
 *   method      the request methods by number.
 *   h1          heads of requests and responses, line by line, resumable.
 *   framing     how long the body is, from the fields.
 *   chunked     the chunked coding, both ways.
 *   uri         request targets: decoded and normalised; escaping; hosts.
 *   date, value, base64, proxy_protocol   what stands in values, and before the first byte.
 */
#ifndef WIRE_FAULT_H
#define WIRE_FAULT_H

#include "base/text.h"

/* X(number, status, section, words after "client sent " or "upstream sent ") */
#define FAULTS(X) \
    X(NONE,               0, "",                "nothing wrong") \
    X(METHOD,           400, "RFC 9110 9.1",    "invalid method") \
    X(METHOD_09,        400, "RFC 1945 4.1",    "invalid method in HTTP/0.9 request") \
    X(REQUEST_LINE,     400, "RFC 9112 3",      "invalid request line") \
    X(SPACE,            400, "RFC 9112 3",      "whitespace in the wrong place of the request line") \
    X(TARGET,           400, "RFC 9112 3.2",    "invalid request target") \
    X(TARGET_CHAR,      400, "RFC 9112 3.2",    "a control character in the request target") \
    X(VERSION,          400, "RFC 9112 2.3",    "invalid version") \
    X(VERSION_MAJOR,    505, "RFC 9110 15.6.6", "a version that is not served") \
    X(STATUS_LINE,      502, "RFC 9112 4",      "invalid status line") \
    X(BARE_CR,          400, "RFC 9112 2.2",    "a CR without LF") \
    X(BARE_LF,          400, "RFC 9112 7.1",    "an LF without CR in a chunked body") \
    X(FIELD_NAME_EMPTY, 400, "RFC 9112 5",      "a header line without a name") \
    X(FIELD_NO_COLON,   400, "RFC 9112 5",      "a header line without a colon") \
    X(FIELD_SPACE,      400, "RFC 9112 5.1",    "whitespace between a header's name and the colon") \
    X(FIELD_NAME_CHAR,  400, "RFC 9110 5.1",    "a control character in a header's name") \
    X(FIELD_FOLD,       400, "RFC 9112 5.2",    "a folded header line") \
    X(FIELD_NUL,        400, "RFC 9110 5.5",    "a NUL in a header") \
    X(FIELD_CONTROL,    400, "RFC 9110 5.5",    "a control character in a header") \
    X(HOST,             400, "RFC 9112 3.2",    "invalid host") \
    X(HOST_PORT,        400, "RFC 9112 3.2",    "invalid port of a host") \
    X(LENGTH,           400, "RFC 9112 6.3",    "invalid \"Content-Length\" header") \
    X(LENGTH_TWICE,     400, "RFC 9112 6.3",    "duplicate \"Content-Length\" header") \
    X(LENGTH_LARGE,     400, "RFC 9112 6.3",    "\"Content-Length\" that is too large for a number") \
    X(LENGTH_AND_CODING, 400, "RFC 9112 6.1",   "\"Content-Length\" and \"Transfer-Encoding\" headers at the same time") \
    X(CODING,           501, "RFC 9112 6.1",    "unknown \"Transfer-Encoding\"") \
    X(CODING_TWICE,     400, "RFC 9112 6.1",    "duplicate \"Transfer-Encoding\" header") \
    X(CODING_10,        400, "RFC 9112 6.1",    "\"Transfer-Encoding\" header in an HTTP/1.0 request") \
    X(CHUNK_SIZE,       400, "RFC 9112 7.1",    "invalid chunk size") \
    X(CHUNK_LARGE,      400, "RFC 9112 7.1",    "a chunk size that is too large for a number") \
    X(CHUNK_EXTENSION,  400, "RFC 9112 7.1.1",  "invalid chunk extension") \
    X(CHUNK_EXTENSIONS, 400, "RFC 9112 7.1.1",  "too long chunk extensions") \
    X(CHUNK_END,        400, "RFC 9112 7.1",    "a chunk that does not end with CRLF") \
    X(TRAILERS_LARGE,   400, "RFC 9112 7.1.2",  "too large a trailer section") \
    X(ESCAPE,           400, "RFC 3986 2.1",    "invalid percent-encoding in the request target") \
    X(ESCAPE_NUL,       400, "RFC 3986 7.3",    "an encoded NUL in the request target") \
    X(ABOVE_ROOT,       400, "RFC 3986 5.2.4",  "a request target that leads above the root")

enum fault {
#define X(number, status, section, words) FAULT_##number,
    FAULTS(X)
#undef X
    FAULT_COUNT
};

struct fault_row { const char *name, *words, *section; int status; };

/* status: what a client deserves for it. (In a response from an upstream any fault is a 502.) */
const struct fault_row *fault_row(enum fault f);

#endif
