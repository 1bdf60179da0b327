/* dns: answers of name servers (RFC 1035): which records answer the question, by way of its aliases, and for how long. */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include "base/text.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_SOA = 6, DNS_AAAA = 28, DNS_SRV = 33 };
enum { DNS_NAME_MAX = 253, DNS_ALIASES_MAX = 16 };

/* In lower case, without a dot at the end. */
struct dns_name { uint8_t n; char s[DNS_NAME_MAX + 1]; };
static inline struct text dns_text(const struct dns_name *n) { return text_of(n->s, n->n); }

/* What a host may be called: letters, digits, hyphens and underscores in labels of 1 to 63, 253 bytes in all; one dot may end it.
 * False: not so. out may be NULL. */
bool dns_name_of(struct text t, struct dns_name *out);

struct dns_record {
    uint32_t        ttl;
    uint8_t         ip[16];                    /* of A: the first four */
    uint16_t        priority, weight, port;    /* of SRV (RFC 2782), and */
    struct dns_name target;                    /* empty: there is no such service */
};

struct dns_answer {
    struct text     message;
    uint16_t        type;
    unsigned        rcode;                     /* RFC 1035 4.1.1 */
    struct dns_name owner;                     /* of the records: the name asked for, or what it is an alias of */
    uint32_t        ttl;                       /* the least of the aliases on the way and of the records read so far */
    uint32_t        none_ttl;                  /* that there are none holds so long (RFC 2308 5); 0: not told */
    size_t          at;                        /* private */
    unsigned        left;
};

/* message is what a server said when asked for records of this type; name: the question, or empty where any will do.
 * False: that is no answer to it. */
bool dns_open(struct dns_answer *a, struct text message, struct text name, enum dns_type type);
/* The next record of the answer; false: there is none. Records of other names and types are passed over. */
bool dns_next(struct dns_answer *a, struct dns_record *out);

#endif
