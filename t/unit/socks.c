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

int main(void)
{
    test_greeting();
    test_login();
    test_request();
    return done();
}
