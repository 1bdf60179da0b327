/* peek: what a client of TLS asks for, by a look at its first bytes: nothing is decrypted, and nothing is answered. Pure. */
#ifndef TLS_PEEK_H
#define TLS_PEEK_H

#include "base/text.h"

enum peek_result { PEEK_MORE, PEEK_DONE, PEEK_BAD };
enum { PEEK_NAME_MAX = 255, PEEK_MOST = 17408 };      /* the most bytes that a hello may take, with what its records add */

struct peeked {
    struct text name;                  /* of the server: lower case, no dot at its end; empty: none was given. In room. */
    char        room[PEEK_NAME_MAX];
};

/* bytes: what came so far. DONE: there is a whole client hello. BAD: there is none, as soon as that is certain; *why_out is a few words.
 * With ECH (RFC 9849) the name is the one that the client shows to the world: the other nobody here can read. */
enum peek_result peek_hello(struct text bytes, struct peeked *out, const char **why_out);

/* The contents of the extension server_name (RFC 6066 3): the name, into room of PEEK_NAME_MAX bytes. False: malformed. */
bool peek_name(const unsigned char *p, size_t n, char *room, struct text *name_out);

#endif
