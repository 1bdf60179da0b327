#include "wire/socks.h"

enum { VERSION = 5, LOGIN_VERSION = 1, CONNECT = 1, HEAD = 4, PORT = 2 };

static unsigned byte(const char *p, size_t at) { return (unsigned char) p[at]; }

static enum socks_result bad(const char **why_out, const char *why)
{
    *why_out = why;
    return SOCKS_BAD;
}

/* RFC 1928 3: version, count, methods. */
enum socks_result socks_read_greeting(const char *p, size_t n, struct socks_greeting *out, size_t *used_out, const char **why_out)
{
    if (n && byte(p, 0) != VERSION) return bad(why_out, "no SOCKS5");
    if (n < 2) return SOCKS_MORE;
    size_t count = byte(p, 1);
    if (!count) return bad(why_out, "a greeting without methods");
    if (n < 2 + count) return SOCKS_MORE;
    *out = (struct socks_greeting) { false, false };
    for (size_t i = 2; i < 2 + count; i++) {
        out->no_login |= byte(p, i) == SOCKS_NO_LOGIN;
        out->password |= byte(p, i) == SOCKS_PASSWORD;
    }
    *used_out = 2 + count;
    return SOCKS_DONE;
}

/* RFC 1929 2: version, user, password, a length before each. */
enum socks_result socks_read_login(const char *p, size_t n, struct socks_login *out, size_t *used_out, const char **why_out)
{
    if (n && byte(p, 0) != LOGIN_VERSION) return bad(why_out, "a login of another version");
    if (n < 2) return SOCKS_MORE;
    size_t user = byte(p, 1), at = 2 + user;
    if (n <= at) return SOCKS_MORE;
    size_t password = byte(p, at);
    if (n < at + 1 + password) return SOCKS_MORE;
    *out = (struct socks_login) { text_of(p + 2, user), text_of(p + at + 1, password) };
    *used_out = at + 1 + password;
    return SOCKS_DONE;
}

static bool is_name(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i], low = (char) (c | 0x20);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_') return false;
    }
    return t.n > 0;
}

/* RFC 1928 4: version, command, nothing, kind, and by kind the address. */
static enum socks_result read_head(const char *p, size_t n, enum socks_reply *reply_out, const char **why_out)
{
    *reply_out = SOCKS_FAILED;
    if (n && byte(p, 0) != VERSION) return bad(why_out, "a request of another version");
    if (n < HEAD) return SOCKS_MORE;
    if (byte(p, 1) != CONNECT) {
        *reply_out = SOCKS_NO_COMMAND;
        return bad(why_out, "a command other than CONNECT");
    }
    if (byte(p, 2)) return bad(why_out, "a reserved byte that is not zero");
    if (byte(p, 3) == SOCKS_IPV4 || byte(p, 3) == SOCKS_NAME || byte(p, 3) == SOCKS_IPV6) return SOCKS_DONE;
    *reply_out = SOCKS_NO_ADDRESS_TYPE;
    return bad(why_out, "an unknown kind of address");
}

enum socks_result socks_read_request(const char *p, size_t n, struct socks_request *out, size_t *used_out, enum socks_reply *reply_out, const char **why_out)
{
    enum socks_result how = read_head(p, n, reply_out, why_out);
    if (how != SOCKS_DONE) return how;
    size_t at = HEAD, length = byte(p, 3) == SOCKS_IPV4 ? 4 : 16;
    out->kind = (enum socks_kind) byte(p, 3);
    if (out->kind == SOCKS_NAME) {
        if (n < HEAD + 1) return SOCKS_MORE;
        length = byte(p, at++);
    }
    if (n < at + length + PORT) return SOCKS_MORE;
    out->host = text_of(p + at, length);
    out->port = (uint16_t) (byte(p, at + length) << 8 | byte(p, at + length + 1));
    if (out->kind == SOCKS_NAME && !is_name(out->host)) return bad(why_out, "a name that is none");
    if (!out->port) return bad(why_out, "port 0");
    *used_out = at + length + PORT;
    return SOCKS_DONE;
}
