/* uri: request targets decoded and normalised as nginx does; escaping in nginx's sets; hosts. */
#ifndef WIRE_URI_H
#define WIRE_URI_H

#include "base/build.h"
#include "wire/fault.h"

struct uri {
    struct text path;        /* decoded, without "." and ".." segments; a slice of the target when nothing had to be done */
    struct text args;        /* as they came, without "?"; empty: none */
    struct text exten;       /* of path: after the last dot of the last segment, unless the segment begins with that dot */
    bool        has_args;    /* there was a "?" */
    bool        complex;     /* path is not just a slice of the target up to "?" */
    bool        quoted;      /* had a "%" in its path */
    bool        plus;        /* had a "+" in its path */
};

/* target: path and query (struct h1_request_line's path). Empty, or beginning with "?": the path is "/". Else it must begin
 * with "/". "#" and what follows is dropped; a NUL in the path is a fault, other characters are the caller's to check. Memory: pool, only when there is something to decode or to remove. */
enum fault uri_parse(struct text target, bool merge_slashes, struct pool *pool, struct uri *out);

enum uri_escape_kind {
    URI_ESCAPE_URI,          /* a path */
    URI_ESCAPE_ARGS,         /* an argument's value */
    URI_ESCAPE_COMPONENT,    /* all but unreserved characters (RFC 3986 2.3) */
    URI_ESCAPE_HTML,         /* a link in a page */
    URI_ESCAPE_REFRESH,      /* a link in a refresh */
    URI_ESCAPE_MEMCACHED,    /* a memcached key */
};

void uri_escape(struct build *b, struct text t, enum uri_escape_kind kind);
/* Would uri_escape change it? */
bool uri_needs_escape(struct text t, enum uri_escape_kind kind);
/* "%41" is "A"; "+" stays; a "%" that begins no valid escape goes, what follows it stays, as in nginx. */
void uri_unescape(struct build *b, struct text t);

struct uri_host { struct text name; uint16_t port; bool has_port, is_ipv6; };
/* Host and port of a Host field or an absolute target: name in lower case (in pool when it had capitals), without the port
 * and a dot at its end; IPv6 keeps its brackets. Port empty ("host:"): none. */
enum fault uri_host(struct text t, struct pool *pool, struct uri_host *out);

#endif
