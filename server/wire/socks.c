#include "wire/socks.h"

enum { VERSION = 5, LOGIN_VERSION = 1, CONNECT = 1, HEAD = 4, PORT = 2, CHOICE = 2 };

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

/* ---- as a client ---- */

void socks_put_greeting(struct build *b, bool login)
{
    build_text(b, text_of((char[]) { VERSION, 1, login ? SOCKS_PASSWORD : SOCKS_NO_LOGIN }, 3));
}

static void put_counted(struct build *b, struct text t)
{
    build_char(b, (char) t.n);
    build_text(b, t);
}

bool socks_put_login(struct build *b, const struct socks_login *l)
{
    if (!l->user.n || l->user.n > SOCKS_LOGIN_MOST || l->password.n > SOCKS_LOGIN_MOST) return false;
    build_char(b, LOGIN_VERSION);
    put_counted(b, l->user);
    put_counted(b, l->password);
    return true;
}

bool socks_put_connect(struct build *b, const struct socks_request *q)
{
    if (!q->host.n || q->host.n > SOCKS_NAME_MOST) return false;
    build_text(b, text_of((char[]) { VERSION, CONNECT, 0, (char) q->kind }, HEAD));
    if (q->kind == SOCKS_NAME) put_counted(b, q->host);
    else build_text(b, q->host);
    build_text(b, text_of((char[]) { (char) (q->port >> 8), (char) q->port }, PORT));
    return true;
}

static enum socks_result need(size_t *used_out, size_t n)
{
    *used_out = n;
    return SOCKS_MORE;
}

enum socks_result socks_read_choice(const char *p, size_t n, unsigned *method_out, size_t *used_out, const char **why_out)
{
    if (n && byte(p, 0) != VERSION) return bad(why_out, "no SOCKS5");
    if (n < CHOICE) return need(used_out, CHOICE);
    *method_out = byte(p, 1);
    *used_out = CHOICE;
    return SOCKS_DONE;
}

/* RFC 1929 2: anything but 0 is a refusal. */
enum socks_result socks_read_login_answer(const char *p, size_t n, bool *good_out, size_t *used_out, const char **why_out)
{
    if (n && byte(p, 0) != LOGIN_VERSION) return bad(why_out, "an answer to a login of another version");
    if (n < CHOICE) return need(used_out, CHOICE);
    *good_out = !byte(p, 1);
    *used_out = CHOICE;
    return SOCKS_DONE;
}

/* RFC 1928 6. */
enum socks_result socks_read_reply(const char *p, size_t n, unsigned *reply_out, size_t *used_out, const char **why_out)
{
    if (n && byte(p, 0) != VERSION) return bad(why_out, "a reply of another version");
    if (n < HEAD) return need(used_out, HEAD);
    size_t all = HEAD + PORT;
    *reply_out = byte(p, 1);
    if (*reply_out != SOCKS_SUCCEEDED) all = HEAD;
    else if (byte(p, 3) == SOCKS_IPV4) all += 4;
    else if (byte(p, 3) == SOCKS_IPV6) all += 16;
    else if (byte(p, 3) != SOCKS_NAME) return bad(why_out, "an unknown kind of address");
    else if (n < HEAD + 1) return need(used_out, HEAD + 1);
    else all += 1 + byte(p, HEAD);
    if (n < all) return need(used_out, all);
    *used_out = all;
    return SOCKS_DONE;
}

const char *socks_reply_words(unsigned reply)
{
    static const char *const words[] = {
        [SOCKS_SUCCEEDED] = "succeeded", [SOCKS_FAILED] = "general failure", [SOCKS_NOT_ALLOWED] = "not allowed by its rules", [SOCKS_NO_NETWORK] = "network unreachable",
        [SOCKS_NO_HOST] = "host unreachable", [SOCKS_REFUSED] = "connection refused", [SOCKS_TOO_LATE] = "no answer in time", [SOCKS_NO_COMMAND] = "command not supported",
        [SOCKS_NO_ADDRESS_TYPE] = "kind of address not supported",
    };
    return reply < countof(words) ? words[reply] : "an unknown reply";
}
