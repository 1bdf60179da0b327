/*
 * scope: what kind of place an address is: the world's, or one that a stranger must not be led to. By the IANA registries of
 * special-purpose addresses (RFC 6890). Addresses of IPv6 that carry one of IPv4 are looked into.
 */
#ifndef OS_SCOPE_H
#define OS_SCOPE_H

#include "os/addr.h"

/* X(NUMBER, name, what it is) */
#define SCOPES(X) \
    X(GLOBAL,      "global",      "the world") \
    X(UNSPECIFIED, "unspecified", "this host: 0.0.0.0/8 and ::") \
    X(LOOPBACK,    "loopback",    "the proxy's own machine: 127.0.0.0/8 and ::1") \
    X(LINK_LOCAL,  "link-local",  "the link: 169.254.0.0/16 and fe80::/10") \
    X(METADATA,    "metadata",    "services of a cloud for its own machines, 169.254.169.254 and the like") \
    X(PRIVATE,     "private",     "networks of one's own: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7, fec0::/10") \
    X(MULTICAST,   "multicast",   "groups: 224.0.0.0/4 and ff00::/8") \
    X(RESERVED,    "reserved",    "what is kept for documentation, tests and times to come, 240.0.0.0/4 with the broadcast address among it") \
    X(EMBEDDED,    "embedded",    "IPv6 that carries an address of IPv4: mapped, compatible, 6to4, Teredo, NAT64, ISATAP")

enum scope {
#define X(number, name, what) SCOPE_##number,
    SCOPES(X)
#undef X
    SCOPE_COUNT
};

struct scope_row { const char *name, *what; };
extern const struct scope_row scope_rows[SCOPE_COUNT];

/* EMBEDDED: *inner_out (may be NULL) is the address of IPv4 within, with a's port. A socket of no internet family is RESERVED. */
enum scope scope_of(const struct addr *a, struct addr *inner_out);
/* SCOPE_COUNT: there is none of that name. */
enum scope scope_named(struct text name);

#endif
