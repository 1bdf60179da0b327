/* method: request methods by number. Case counts (RFC 9110 9.1). */
#ifndef WIRE_METHOD_H
#define WIRE_METHOD_H

#include "base/text.h"

/* X(name, is safe, is idempotent): RFC 9110 9.2, RFC 4918 9, RFC 5789 */
#define METHODS(X) \
    X(GET, true, true) X(HEAD, true, true) X(POST, false, false) X(PUT, false, true) X(DELETE, false, true) \
    X(MKCOL, false, true) X(COPY, false, true) X(MOVE, false, true) X(OPTIONS, true, true) X(PROPFIND, true, true) \
    X(PROPPATCH, false, true) X(LOCK, false, false) X(UNLOCK, false, true) X(PATCH, false, false) X(TRACE, true, true) \
    X(CONNECT, false, false)

enum method {
    METHOD_OTHER,
#define X(name, safe, idempotent) METHOD_##name,
    METHODS(X)
#undef X
    METHOD_COUNT
};

struct method_row { struct text name; bool safe, idempotent; };

/* METHOD_OTHER when the name is not known. */
enum method method_lookup(struct text name);
/* OTHER: an empty name, neither safe nor idempotent. */
const struct method_row *method_row(enum method m);

#endif
