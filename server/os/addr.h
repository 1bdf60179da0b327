/* addr: an address of a socket, small enough to keep one per connection (32 bytes). */
#ifndef OS_ADDR_H
#define OS_ADDR_H

#include "base/build.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct addr {
    union {
        sa_family_t         family;     /* AF_UNSPEC: none */
        struct sockaddr     sa;
        struct sockaddr_in  in;
        struct sockaddr_in6 in6;
        struct { sa_family_t family; const char *path; } un;   /* path: kept by whoever made it; NULL: unnamed */
    };
};

/* "1.2.3.4:80", "[::1]:80", "unix:/path"; without_port leaves the port off (and brackets). */
void addr_print(struct build *b, const struct addr *a, bool without_port);
struct text addr_text(struct pool *p, const struct addr *a, bool without_port);
#define ADDR_TEXT_MAX 128

/* A numeric address: "1.2.3.4", "1.2.3.4:80", "[::1]", "[::1]:80", "unix:/path", "*:80", "80" (any address).
 * port: used where the text has none. pool keeps a unix path. False: not a numeric address. */
bool addr_parse(struct pool *p, struct text t, uint16_t port, struct addr *out);
/* "10.0.0.0/8", "::/0", "1.2.3.4". low_bits: the text had bits set that the mask leaves out (base has not): nginx warns. */
struct cidr { struct addr base; unsigned bits; bool low_bits; };
bool addr_parse_cidr(struct text t, struct cidr *out);
bool addr_in_cidr(const struct addr *a, const struct cidr *c);   /* IPv4-mapped IPv6 counts as IPv4 */

/* "host:port" to all its addresses by the system's resolver; waits: only while a configuration is read.
 * Returns the count, *out in the pool; 0 with *why_out set. */
size_t addr_resolve(struct pool *p, struct text host, uint16_t port, struct addr **out, const char **why_out);
/* Splits "host", "host:80", "[v6]:80", "unix:/path[:]" as nginx reads them in listen, server and proxy_pass.
 * False: malformed, *why_out. port_out is 0 where none was given. */
bool addr_split(struct text t, struct text *host_out, uint16_t *port_out, const char **why_out);

uint16_t addr_port(const struct addr *a);
void     addr_set_port(struct addr *a, uint16_t port);
bool     addr_eq(const struct addr *a, const struct addr *b);
bool     addr_is_wildcard(const struct addr *a);
/* An address of IPv4 that a socket of IPv6 shows as ::ffff:1.2.3.4, as it is; any other unchanged. */
struct addr addr_unmapped(const struct addr *a);
/* For system calls: fills *room, returns its length. */
socklen_t addr_sockaddr(const struct addr *a, struct sockaddr_storage *room);
void      addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len);

#endif
