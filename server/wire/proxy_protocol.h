/* proxy_protocol: the line or block before the first byte that tells who the client is. HAProxy's specification, versions
 * 1 and 2. */
#ifndef WIRE_PROXY_PROTOCOL_H
#define WIRE_PROXY_PROTOCOL_H

#include "base/build.h"

enum { PROXY_PROTOCOL_LINE_MOST = 107, PROXY_PROTOCOL_MOST = 4096 };
enum proxy_protocol_family { PROXY_PROTOCOL_UNKNOWN, PROXY_PROTOCOL_IPV4, PROXY_PROTOCOL_IPV6, PROXY_PROTOCOL_UNIX };
enum proxy_protocol_result { PROXY_PROTOCOL_MORE, PROXY_PROTOCOL_DONE, PROXY_PROTOCOL_BAD };

/* Types of TLVs that are known by number (section 2.2). */
enum { PP2_TYPE_ALPN = 0x01, PP2_TYPE_AUTHORITY = 0x02, PP2_TYPE_CRC32C = 0x03, PP2_TYPE_NOOP = 0x04, PP2_TYPE_UNIQUE_ID = 0x05,
       PP2_TYPE_SSL = 0x20, PP2_SUBTYPE_SSL_VERSION = 0x21, PP2_SUBTYPE_SSL_CN = 0x22, PP2_SUBTYPE_SSL_CIPHER = 0x23,
       PP2_SUBTYPE_SSL_SIG_ALG = 0x24, PP2_SUBTYPE_SSL_KEY_ALG = 0x25, PP2_TYPE_NETNS = 0x30 };

struct proxy_protocol_end { unsigned char address[16]; uint16_t port; struct text path; };   /* path: of a unix socket */

struct proxy_protocol {
    unsigned                   version;     /* 1 or 2 */
    enum proxy_protocol_family family;
    bool                       local;       /* version 2 LOCAL: a health check of the sender's own; use the connection's addresses */
    bool                       datagram;
    struct proxy_protocol_end  source, target;
    struct text                tlvs;        /* version 2: for proxy_protocol_tlv */
    size_t                     length;      /* of the whole header: the data begins behind it */
};

/* What buf begins with. DONE: *out, whose slices are of buf. BAD: *why_out is a few words. */
enum proxy_protocol_result proxy_protocol_read(const char *buf, size_t n, struct proxy_protocol *out, const char **why_out);
/* Takes the next TLV off *rest. False: none is left, or the rest is broken (read has checked the top level). */
bool proxy_protocol_tlv(struct text *rest, uint8_t *type_out, struct text *value_out);

/* Version by p->version; of p's fields family, local, datagram, source, target and (version 2) tlvs are written. With
 * family UNKNOWN or, in version 1, UNIX no addresses are. */
void proxy_protocol_write(struct build *b, const struct proxy_protocol *p);
/* Adds a TLV to b, to be given as p->tlvs. */
void proxy_protocol_add_tlv(struct build *b, uint8_t type, struct text value);

#endif
