/* socks: the messages by which a client of SOCKS version 5 asks for a connection: RFC 1928, and RFC 1929 for user and password. */
#ifndef WIRE_SOCKS_H
#define WIRE_SOCKS_H

#include "base/text.h"

enum socks_result { SOCKS_MORE, SOCKS_DONE, SOCKS_BAD };

/* RFC 1928 3: how clients say who they are. */
enum { SOCKS_NO_LOGIN = 0x00, SOCKS_PASSWORD = 0x02, SOCKS_NO_METHOD = 0xff };
/* RFC 1928 6: how it went. */
enum socks_reply {
    SOCKS_SUCCEEDED = 0, SOCKS_FAILED = 1, SOCKS_NOT_ALLOWED = 2, SOCKS_NO_NETWORK = 3, SOCKS_NO_HOST = 4, SOCKS_REFUSED = 5, SOCKS_TOO_LATE = 6,
    SOCKS_NO_COMMAND = 7, SOCKS_NO_ADDRESS_TYPE = 8,
};
enum socks_kind { SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };      /* RFC 1928 5 */

struct socks_greeting { bool no_login, password; };
struct socks_login    { struct text user, password; };
/* host: the name, or 4 or 16 bytes. */
struct socks_request  { enum socks_kind kind; struct text host; uint16_t port; };

/* What the n bytes at p begin with. DONE: *out, whose slices are of p, and *used_out bytes are the message. BAD: it can be none, as
 * soon as that is certain; *why_out is a few words. */
enum socks_result socks_read_greeting(const char *p, size_t n, struct socks_greeting *out, size_t *used_out, const char **why_out);
enum socks_result socks_read_login(const char *p, size_t n, struct socks_login *out, size_t *used_out, const char **why_out);
/* BAD: *reply_out is what the client is to be told. Names are letters, digits, "-", "." and "_". */
enum socks_result socks_read_request(const char *p, size_t n, struct socks_request *out, size_t *used_out, enum socks_reply *reply_out, const char **why_out);

#endif
