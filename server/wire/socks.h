/* socks: the messages by which a client of SOCKS version 5 asks for a connection, read as a server and written as a client, and the
 * answers: RFC 1928, and RFC 1929 for user and password. */
#ifndef WIRE_SOCKS_H
#define WIRE_SOCKS_H

#include "base/build.h"

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

/* ---- as a client ---- */

enum { SOCKS_LOGIN_MOST = 255, SOCKS_NAME_MOST = 255 };

/* RFC 1928 3. login: the one way that is offered is user and password, else none. */
void socks_put_greeting(struct build *b, bool login);
/* RFC 1929 2. Each of 1 to 255 bytes, the password may be empty: false where not. */
bool socks_put_login(struct build *b, const struct socks_login *l);
/* RFC 1928 4. False: the name is empty or too long. */
bool socks_put_connect(struct build *b, const struct socks_request *q);

/* What the n bytes at p, the server's, begin with. MORE: *used_out is the least that the message takes, so that nobody need read beyond
 * its end. DONE, BAD: as above. */
enum socks_result socks_read_choice(const char *p, size_t n, unsigned *method_out, size_t *used_out, const char **why_out);
enum socks_result socks_read_login_answer(const char *p, size_t n, bool *good_out, size_t *used_out, const char **why_out);
/* DONE: *reply_out as it came, which may be none of enum socks_reply; of a refusal only the first four bytes are read. */
enum socks_result socks_read_reply(const char *p, size_t n, unsigned *reply_out, size_t *used_out, const char **why_out);
/* What a reply means, in a few words. */
const char *socks_reply_words(unsigned reply);

#endif
