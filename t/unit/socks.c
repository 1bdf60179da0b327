#include "wire/socks.h"
#include "t/unit/tap.h"

static struct socks_greeting greeting;
static struct socks_login login;
static struct socks_request request;
static enum socks_reply reply;
static size_t used;
static const char *why;

static enum socks_result read_one(int what, const char *p, size_t n)
{
    return what == 0 ? socks_read_greeting(p, n, &greeting, &used, &why)
         : what == 1 ? socks_read_login(p, n, &login, &used, &why) : socks_read_request(p, n, &request, &used, &reply, &why);
}

/* At once; when it is one, every shorter piece must ask for more (in memory of its own: ASan looks on). */
static enum socks_result get(int what, struct text t)
{
    enum socks_result got = read_one(what, t.p, t.n);
    size_t length = used;
    for (size_t n = 0; got == SOCKS_DONE && n < length; n++) {
        char *exact = malloc(n ? n : 1);
        memcpy(exact, t.p, n);
        enum socks_result early = read_one(what, exact, n);
        free(exact);
        if (early != SOCKS_MORE) return SOCKS_BAD;
    }
    return got == SOCKS_DONE ? read_one(what, t.p, t.n) : got;
}

static void test_greeting(void)
{
    is_int(get(0, T("\5\1\0")), SOCKS_DONE, "no login");
    ok(greeting.no_login && !greeting.password && used == 3, "facts");
    is_int(get(0, T("\5\3\0\1\2rest")), SOCKS_DONE, "three methods");
    ok(greeting.no_login && greeting.password && used == 5, "facts, and what follows stays");
    is_int(get(0, T("\5\1\1")), SOCKS_DONE, "GSSAPI alone");
    ok(!greeting.no_login && !greeting.password, "is nothing of ours");
    is_int(get(0, T("\5\0")), SOCKS_BAD, "no methods");
    is_int(get(0, T("\4")), SOCKS_BAD, "SOCKS4, from its first byte");
    is_int(get(0, T("GET / HTTP/1.1\r\n")), SOCKS_BAD, "HTTP");
    is_text(text_c(why), "no SOCKS5", "in words");
}

static void test_login(void)
{
    is_int(get(1, T("\1\5alice\6wonderX")), SOCKS_DONE, "user and password");
    is_text(login.user, "alice", "user");
    is_text(login.password, "wonder", "password");
    is_int(used, 14, "length");
    is_int(get(1, T("\1\1a\0")), SOCKS_DONE, "an empty password");
    is_int(get(1, T("\1\0\0")), SOCKS_DONE, "nobody");
    is_int(get(1, T("\5")), SOCKS_BAD, "another version");
}

static void test_request(void)
{
    is_int(get(2, T("\5\1\0\1\x7f\0\0\1\x1f\x90more")), SOCKS_DONE, "IPv4");
    ok(request.kind == SOCKS_IPV4 && request.port == 8080 && request.host.n == 4 && used == 10, "facts");
    is_int(get(2, T("\5\1\0\3\x0b" "example.org\1\xbb")), SOCKS_DONE, "a name");
    is_text(request.host, "example.org", "the name");
    is_int(request.port, 443, "the port");
    is_int(get(2, T("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50")), SOCKS_DONE, "IPv6");
    ok(request.kind == SOCKS_IPV6 && request.host.n == 16 && request.port == 80 && used == 22, "facts");
    static const struct { struct text t; enum socks_reply reply; } wrong[] = {
        { TEXT_INIT("\4\1\0\1"), SOCKS_FAILED }, { TEXT_INIT("\5\2\0\1"), SOCKS_NO_COMMAND }, { TEXT_INIT("\5\3\0\1"), SOCKS_NO_COMMAND },
        { TEXT_INIT("\5\1\0\2"), SOCKS_NO_ADDRESS_TYPE }, { TEXT_INIT("\5\1\0\0"), SOCKS_NO_ADDRESS_TYPE }, { TEXT_INIT("\5\1\1\1"), SOCKS_FAILED },
        { TEXT_INIT("\5\1\0\1\x7f\0\0\1\0\0"), SOCKS_FAILED }, { TEXT_INIT("\5\1\0\3\0\0\x50"), SOCKS_FAILED }, { TEXT_INIT("\5\1\0\3\3a b\0\x50"), SOCKS_FAILED },
        { TEXT_INIT("\5\1\0\3\3a\0b\0\x50"), SOCKS_FAILED }, { TEXT_INIT("\5\1\0\3\4a:22\0\x50"), SOCKS_FAILED }, { TEXT_INIT("\5\1\0\3\5[::1]\0\x50"), SOCKS_FAILED },
        { TEXT_INIT("\5\1\0\3\4u@ho\0\x50"), SOCKS_FAILED }, { TEXT_INIT("\5\1\0\3\3a\r\n\0\x50"), SOCKS_FAILED }, { TEXT_INIT("\5\1\0\3\3a/b\0\x50"), SOCKS_FAILED },
    };
    for (size_t i = 0; i < countof(wrong); i++) {
        is_int(get(2, wrong[i].t), SOCKS_BAD, "wrong request %zu", i);
        is_int(reply, wrong[i].reply, "its reply");
    }
}

/* ---- as a client ---- */

static unsigned method, code;
static bool good;

static enum socks_result read_answer(int what, const char *p, size_t n)
{
    return what == 0 ? socks_read_choice(p, n, &method, &used, &why)
         : what == 1 ? socks_read_login_answer(p, n, &good, &used, &why) : socks_read_reply(p, n, &code, &used, &why);
}

/* Read as who never reads beyond what is asked for: what it comes to, and that it ends where the message does. */
static enum socks_result answer(int what, struct text t)
{
    size_t have = 0;
    for (;;) {
        char *exact = malloc(have ? have : 1);
        memcpy(exact, t.p, have);
        enum socks_result got = read_answer(what, exact, have);
        free(exact);
        if (got == SOCKS_BAD) return got;
        if (got == SOCKS_DONE) return used == have ? got : SOCKS_BAD;
        if (used <= have || used > t.n) return SOCKS_MORE;
        have = used;
    }
}

static void test_answers(void)
{
    is_int(answer(0, T("\5\0more")), SOCKS_DONE, "a choice");
    is_int(method, SOCKS_NO_LOGIN, "no login");
    ok(answer(0, T("\5\xff")) == SOCKS_DONE && method == SOCKS_NO_METHOD, "none of what was offered");
    is_int(answer(0, T("\4\0")), SOCKS_BAD, "SOCKS4");
    is_int(answer(0, T("HTTP/1.1 400")), SOCKS_BAD, "HTTP");
    ok(answer(1, T("\1\0")) == SOCKS_DONE && good, "a login that is good");
    ok(answer(1, T("\1\7")) == SOCKS_DONE && !good, "one that is not");
    is_int(answer(1, T("\5\0")), SOCKS_BAD, "another version");
    is_int(answer(2, T("\5\0\0\1\1\2\3\4\0\x50SSH-2.0")), SOCKS_DONE, "a reply with IPv4, and what the other end says first");
    is_int(used, 10, "stays");
    ok(answer(2, T("\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50")) == SOCKS_DONE && used == 22, "with IPv6");
    ok(answer(2, T("\5\0\0\3\3abc\0\x50")) == SOCKS_DONE && used == 10, "with a name");
    ok(answer(2, T("\5\0\0\3\0\0\x50")) == SOCKS_DONE && used == 7, "with an empty one");
    ok(answer(2, T("\5\5\0\0")) == SOCKS_DONE && code == SOCKS_REFUSED && used == 4, "a refusal, whatever stands behind it");
    is_text(text_c(socks_reply_words(code)), "connection refused", "in words");
    is_text(text_c(socks_reply_words(200)), "an unknown reply", "an unknown one");
    is_int(answer(2, T("\5\0\0\2")), SOCKS_BAD, "an unknown kind of address");
    is_int(answer(2, T("\5\0\0\1\1\2\3")), SOCKS_MORE, "a short one");
    is_int(answer(2, T("\1\0\0\1")), SOCKS_BAD, "a reply of another version");
}

static void test_words(void)
{
    char room[600], many[256];
    struct build b = build_in_room(room, sizeof room);
    memset(many, 'x', sizeof many);
    socks_put_greeting(&b, false);
    ok(get(0, build_done(&b)) == SOCKS_DONE && used == b.n && greeting.no_login && !greeting.password, "what we say as a client is read back: no login");
    b.n = 0;
    socks_put_greeting(&b, true);
    ok(get(0, build_done(&b)) == SOCKS_DONE && used == b.n && !greeting.no_login && greeting.password, "user and password alone");
    b.n = 0;
    ok(socks_put_login(&b, &(struct socks_login) { T("alice"), text_of(many, 255) }) && get(1, build_done(&b)) == SOCKS_DONE && used == b.n, "a login");
    ok(text_eq(login.user, T("alice")) && login.password.n == 255, "of the longest");
    ok(!socks_put_login(&b, &(struct socks_login) { T(""), T("x") }) && !socks_put_login(&b, &(struct socks_login) { T("x"), text_of(many, 256) }), "logins that cannot be said");
    b.n = 0;
    ok(socks_put_connect(&b, &(struct socks_request) { SOCKS_NAME, T("example.org"), 443 }) && get(2, build_done(&b)) == SOCKS_DONE && used == b.n, "a name");
    ok(request.kind == SOCKS_NAME && text_eq(request.host, T("example.org")) && request.port == 443, "as it was");
    b.n = 0;
    ok(socks_put_connect(&b, &(struct socks_request) { SOCKS_IPV4, T("\x7f\0\0\1"), 8080 }) && get(2, build_done(&b)) == SOCKS_DONE && used == 10 && request.port == 8080, "an address");
    ok(!socks_put_connect(&b, &(struct socks_request) { SOCKS_NAME, text_of(many, 256), 1 }) && !socks_put_connect(&b, &(struct socks_request) { SOCKS_NAME, T(""), 1 }), "names that cannot be said");
}

int main(void)
{
    test_answers();
    test_words();
    test_greeting();
    test_login();
    test_request();
    return done();
}
