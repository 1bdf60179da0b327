#include "tls/peek.h"
#include "tls/fingerprint.h"

enum { HANDSHAKE = 22, CLIENT_HELLO = 1, HOST_NAME = 0, EXT_SERVER_NAME = 0, RECORD_HEAD = 5, RECORD_MOST = 16384, MESSAGE_HEAD = 4 };

static unsigned byte(struct text t, size_t at) { return (unsigned char) t.p[at]; }
static size_t two(struct text t, size_t at) { return byte(t, at) << 8 | byte(t, at + 1); }

bool peek_name(const unsigned char *p, size_t n, char *room, struct text *name_out)
{
    if (n < 5 || (size_t) (p[0] << 8 | p[1]) != n - 2 || p[2] != HOST_NAME) return false;
    size_t size = (size_t) (p[3] << 8 | p[4]);
    if (size != n - 5 || size == 0 || size > PEEK_NAME_MAX || memchr(p + 5, 0, size)) return false;
    for (size_t i = 0; i < size; i++) room[i] = (char) text_lower(p[5 + i]);
    if (room[size - 1] == '.') size--;
    *name_out = text_of(room, size);
    return true;
}

static enum peek_result bad(const char **why_out, const char *why)
{
    *why_out = why;
    return PEEK_BAD;
}

/* RFC 8446 5.1: a message may lie in several records, none of them empty, and nothing of another type between them. What is there of the
 * message goes to room; DONE: all of it. */
static enum peek_result join(struct text rest, char *room, size_t *n_out, const char **why_out)
{
    size_t have = 0, want = MESSAGE_HEAD;
    while (have < want) {
        if (rest.n && byte(rest, 0) != HANDSHAKE) return bad(why_out, "no TLS handshake");
        if (rest.n > 1 && byte(rest, 1) != 3) return bad(why_out, "a version of TLS that is none");
        if (rest.n < RECORD_HEAD) return PEEK_MORE;
        size_t size = two(rest, 3);
        if (size == 0 || size > RECORD_MOST) return bad(why_out, "a TLS record of a length that none may have");
        struct text part = text_from(rest, RECORD_HEAD);
        bool whole = part.n >= size;
        part = text_upto(part, min_of(part.n, size));
        if (have + part.n > PEEK_MOST) return bad(why_out, "a client hello that is too long");
        memcpy(room + have, part.p, part.n);
        have += part.n;
        if (have && room[0] != CLIENT_HELLO) return bad(why_out, "a TLS handshake that begins with no client hello");
        if (have >= MESSAGE_HEAD) want = MESSAGE_HEAD + ((size_t) (unsigned char) room[1] << 16) + two(text_of(room, have), 2);
        if (want > PEEK_MOST) return bad(why_out, "a client hello that is too long");
        if (!whole && have < want) return PEEK_MORE;
        rest = text_from(rest, min_of(rest.n, RECORD_HEAD + size));
    }
    *n_out = want;
    return PEEK_DONE;
}

/* RFC 8446 4.2: an extension comes once. Of two names a server might take the other one. */
static bool find_name(struct text extensions, struct peeked *out)
{
    bool named = false;
    while (extensions.n >= 4) {
        struct text body = text_upto(text_from(extensions, 4), two(extensions, 2));
        if (two(extensions, 0) == EXT_SERVER_NAME && (named || !peek_name((const unsigned char *) body.p, body.n, out->room, &out->name))) return false;
        named |= two(extensions, 0) == EXT_SERVER_NAME;
        extensions = text_from(extensions, 4 + body.n);
    }
    return true;
}

enum peek_result peek_hello(struct text bytes, struct peeked *out, const char **why_out)
{
    char room[PEEK_MOST];
    size_t n;
    struct hello_facts f;
    *out = (struct peeked) { .name = { NULL, 0 } };
    enum peek_result how = join(bytes, room, &n, why_out);
    if (how != PEEK_DONE) return how;
    if (!fingerprint_read(text_of(room, n), &f) || !find_name(f.extensions, out)) return bad(why_out, "a client hello that is malformed");
    return PEEK_DONE;
}
