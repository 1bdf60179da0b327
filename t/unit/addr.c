/* addr: parsing, printing, networks, splitting. */
#include "os/addr.h"
#include "t/unit/tap.h"
#include <sys/un.h>

static struct pool *pool;

static void reads(const char *text, uint16_t port, const char *want)
{
    struct addr a;
    bool read = addr_parse(pool, text_c(text), port, &a);
    if (want == NULL) ok(!read, "\"%s\" is no address", text);
    else is_str(read ? addr_text(pool, &a, false).p : "refused", want, "\"%s\"", text);
}

static void test_parse(void)
{
    reads("1.2.3.4", 80, "1.2.3.4:80");
    reads("1.2.3.4:8080", 80, "1.2.3.4:8080");
    reads("*:81", 80, "0.0.0.0:81");
    reads("*", 80, "0.0.0.0:80");
    reads("8000", 80, "0.0.0.0:8000");
    reads("[::1]", 80, "[::1]:80");
    reads("[::1]:8080", 80, "[::1]:8080");
    reads("::1", 80, "[::1]:80");
    reads("2001:db8::1:2", 80, "[2001:db8::1:2]:80");
    reads("unix:/tmp/x.sock", 80, "unix:/tmp/x.sock");
    const char *wrong[] = { "", ":", "1.2.3", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:8o", "256.1.1.1", "[::1", "[::1]x", "[1.2.3.4]", "[::1]:", "unix:", "name",
        "name:80", "1.2.3.4.5", "0", "65536", "01234567890", "::1::2", ":80", "-1", "+80" };
    for (size_t i = 0; i < countof(wrong); i++) reads(wrong[i], 80, NULL);
    char path[200] = "unix:/";
    memset(path + 6, 'x', 107);
    reads(path, 0, NULL);
    path[5 + 107] = '\0';
    reads(path, 0, path);
    struct addr a;
    ok(!addr_parse(pool, text_of("1.2.3.4\0", 8), 80, &a), "a NUL inside");
}

static void splits(const char *text, const char *host, int port, const char *why)
{
    struct text h = T("");
    uint16_t p = 0;
    const char *said = NULL;
    bool split = addr_split(text_c(text), &h, &p, &said);
    if (why) {
        ok(!split && strcmp(said, why) == 0, "\"%s\": %s", text, why);
        return;
    }
    ok(split && text_eq(h, text_c(host)) && p == port, "\"%s\" is \"%s\" and %d", text, host, port);
}

static void test_split(void)
{
    splits("host", "host", 0, NULL);
    splits("host:80", "host", 80, NULL);
    splits("[::1]", "[::1]", 0, NULL);
    splits("[::1]:8080", "[::1]", 8080, NULL);
    splits("unix:/a/b", "unix:/a/b", 0, NULL);
    splits("unix:/a/b:", "unix:/a/b", 0, NULL);
    splits("", NULL, 0, "no host");
    splits(":80", NULL, 0, "no host");
    splits("host:", NULL, 0, "invalid port");
    splits("host:x", NULL, 0, "invalid port");
    splits("host:70000", NULL, 0, "invalid port");
    splits("[::1", NULL, 0, "invalid host");
    splits("unix:", NULL, 0, "no path in the unix domain socket");
}

static bool is_in(const char *addr, const char *net)
{
    struct addr a;
    struct cidr c;
    return addr_parse(pool, text_c(addr), 1, &a) && addr_parse_cidr(text_c(net), &c) && addr_in_cidr(&a, &c);
}

static void test_cidr(void)
{
    struct cidr c;
    ok(is_in("10.1.2.3", "10.0.0.0/8") && !is_in("11.1.2.3", "10.0.0.0/8"), "/8");
    ok(is_in("10.1.2.3", "10.1.2.3") && !is_in("10.1.2.4", "10.1.2.3"), "one address");
    ok(is_in("10.1.2.129", "10.1.2.128/25") && !is_in("10.1.2.127", "10.1.2.128/25"), "/25");
    ok(is_in("9.9.9.9", "0.0.0.0/0") && !is_in("[::1]", "0.0.0.0/0"), "everything of IPv4");
    ok(is_in("[2001:db8::1]", "2001:db8::/32") && !is_in("[2001:db9::1]", "2001:db8::/32"), "IPv6 /32");
    ok(is_in("[::ffff:10.1.1.1]", "10.0.0.0/8") && !is_in("[::ffff:10.1.1.1]", "::/0"), "a mapped address counts as IPv4");
    ok(addr_parse_cidr(T("10.1.2.3/8"), &c) && c.low_bits && addr_parse_cidr(T("10.0.0.0/8"), &c) && !c.low_bits, "low bits are told");
    ok(!addr_parse_cidr(T("10.0.0.0/33"), &c) && !addr_parse_cidr(T("::/129"), &c) && !addr_parse_cidr(T("10.0.0.0/"), &c)
        && !addr_parse_cidr(T("x/8"), &c) && !addr_parse_cidr(T(""), &c), "what is wrong is refused");
}

static void test_rest(void)
{
    struct addr a, b, *all;
    const char *why;
    struct sockaddr_storage room;
    addr_parse(pool, T("[::1]:80"), 0, &a);
    is_text(addr_text(pool, &a, true), "::1", "without its port there are no brackets");
    socklen_t len = addr_sockaddr(&a, &room);
    addr_from_sockaddr(&b, (struct sockaddr *) &room, len);
    ok(addr_eq(&a, &b) && addr_port(&b) == 80, "through a sockaddr and back");
    addr_set_port(&b, 81);
    ok(!addr_eq(&a, &b), "another port is another address");
    addr_parse(pool, T("unix:/x"), 0, &a);
    addr_parse(pool, T("unix:/x"), 0, &b);
    ok(addr_eq(&a, &b), "equal paths are equal");
    len = addr_sockaddr(&a, &room);
    ok(len == offsetof(struct sockaddr_un, sun_path) + 3 && strcmp(((struct sockaddr_un *) &room)->sun_path, "/x") == 0, "a path in a sockaddr");
    addr_parse(pool, T("*:80"), 0, &a);
    addr_parse(pool, T("[::]:80"), 0, &b);
    ok(addr_is_wildcard(&a) && addr_is_wildcard(&b), "wildcards");
    is_int(addr_resolve(pool, T("127.0.0.1"), 99, &all, &why), 1, "a number needs no resolver");
    ok(addr_port(&all[0]) == 99, "and gets the port");
    ok(addr_resolve(pool, T("localhost"), 99, &all, &why) >= 1 && addr_port(&all[0]) == 99, "localhost resolves");
    ok(addr_resolve(pool, T("no-such-host.invalid"), 99, &all, &why) == 0 && strcmp(why, "host not found") == 0, "what does not");
    ok(addr_resolve(pool, T(""), 99, &all, &why) == 0 && addr_resolve(pool, T("[::1"), 99, &all, &why) == 0, "and what cannot");
    is_int(sizeof(struct addr) <= 32, 1, "32 bytes");
}

int main(void)
{
    pool = pool_open(0);
    test_parse();
    test_split();
    test_cidr();
    test_rest();
    pool_close(&pool);
    return done();
}
