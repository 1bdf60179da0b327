/* Answers of name servers, byte by byte. */
#include "wire/dns.h"
#include "t/unit/tap.h"
#include "base/build.h"

static char room[65536];
static struct build b;

static void name(const char *s)         /* "a.b", or "@12" for a pointer, "a@12" for a label and a pointer */
{
    struct text t = text_c(s), label;
    ssize_t at = text_find_char(t, '@');
    struct text rest = at < 0 ? t : text_upto(t, (size_t) at);
    while (rest.n && text_split(&rest, '.', &label)) {
        build_char(&b, (char) label.n);
        build_text(&b, label);
    }
    if (at < 0) {
        build_char(&b, 0);
        return;
    }
    uint64_t to;
    text_u64(text_from(t, (size_t) at + 1), &to);
    build_char(&b, (char) (0xc0 | to >> 8));
    build_char(&b, (char) to);
}

static void put16(unsigned v) { build_char(&b, (char) (v >> 8)); build_char(&b, (char) v); }
static void put32(uint32_t v) { put16(v >> 16); put16(v & 0xffff); }

static void head(const char *asked, unsigned type, unsigned rcode, unsigned answers, unsigned authority)
{
    b = build_in_room(room, sizeof room);
    put16(77);
    put16(0x8180 | rcode);
    put16(1);
    put16(answers);
    put16(authority);
    put16(0);
    name(asked);
    put16(type);
    put16(1);
}

static void record(const char *owner, unsigned type, uint32_t ttl) { name(owner); put16(type); put16(1); put32(ttl); }
static void a_record(const char *owner, uint32_t ttl, uint32_t ip) { record(owner, DNS_A, ttl); put16(4); put32(ip); }

static void alias(const char *owner, uint32_t ttl, const char *to)
{
    record(owner, DNS_CNAME, ttl);
    size_t at = b.n;
    put16(0);
    name(to);
    b.p[at + 1] = (char) (b.n - at - 2);
}

static struct dns_answer a;
static struct dns_record d;
static bool open_as(const char *asked, enum dns_type type) { return dns_open(&a, build_done(&b), text_c(asked), type); }
static unsigned count(void) { unsigned n = 0; while (dns_next(&a, &d)) n++; return n; }

static void test_names(void)
{
    static const char *good[] = { "a", "example.com", "Example.COM.", "_http._tcp.x-y.z9", "1.2.3", "xn--bcher-kva.example" };
    static const char *bad[] = { "", ".", "a..b", ".a", "a b", "a/b", "a:b", "b\xc3\xbc", "a.b..", "*.a", "a\\b", "a\nb" };
    struct dns_name n;
    for (size_t i = 0; i < countof(good); i++) ok(dns_name_of(text_c(good[i]), &n), "name %s", good[i]);
    for (size_t i = 0; i < countof(bad); i++) ok(!dns_name_of(text_c(bad[i]), &n), "no name: %zu", i);
    ok(dns_name_of(T("Example.COM."), &n), "as it is kept");
    is_text(dns_text(&n), "example.com", "lower case, without a dot");
    char longest[256];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 63; i < 253; i += 64) longest[i] = '.';
    ok(dns_name_of(text_of(longest, 253), &n), "253 bytes");
    ok(!dns_name_of(text_of(longest, 255), &n), "255 bytes");
    longest[63] = 'a';
    ok(!dns_name_of(text_of(longest, 100), &n), "a label of more than 63");
}

static void test_addresses(void)
{
    head("www.example.com", DNS_A, 0, 4, 0);
    a_record("@12", 60, 0x0a000001);
    a_record("other.example.com", 1, 0x0a000002);
    a_record("WWW.Example.com", 30, 0x0a000003);
    record("@12", DNS_AAAA, 5);
    put16(16);
    for (int i = 0; i < 4; i++) put32(1);
    ok(open_as("www.example.com", DNS_A), "an answer");
    ok(dns_next(&a, &d) && d.ip[3] == 1, "the first");
    ok(dns_next(&a, &d) && d.ip[3] == 3, "the next, by any case; another name's is passed over");
    ok(!dns_next(&a, &d), "another type's too");
    is_int(a.ttl, 30, "the least ttl");
    ok(!open_as("www.example.org", DNS_A), "no answer to another question");
    ok(!open_as("www.example.com", DNS_AAAA), "nor to one of another type");
    ok(open_as("", DNS_A), "any question");
}

static void test_aliases(void)
{
    head("www.example.com", DNS_A, 0, 4, 0);
    a_record("c.example.net", 60, 0x0a000001);
    alias("b.example.net", 20, "c.example.net");
    a_record("@12", 60, 0x0a000009);
    alias("@12", 40, "B.example.net");
    ok(open_as("www.example.com", DNS_A), "aliases in any order");
    is_text(dns_text(&a.owner), "c.example.net", "their end");
    is_int(count(), 1, "only its addresses");
    is_int(a.ttl, 20, "the least ttl of the chain");
    head("a", DNS_A, 0, 2, 0);
    alias("a", 1, "b");
    alias("b", 1, "a");
    ok(!open_as("a", DNS_A), "a circle");
}

static void test_none(void)
{
    head("no.example.com", DNS_A, 3, 0, 1);
    record("example.com", DNS_SOA, 300);
    size_t at = b.n;
    put16(0);
    name("ns");
    name("root");
    for (uint32_t i = 1; i <= 5; i++) put32(i * 10);
    b.p[at + 1] = (char) (b.n - at - 2);
    ok(open_as("no.example.com", DNS_A), "no such name");
    is_int(a.rcode, 3, "says its code");
    is_int(a.none_ttl, 50, "holds as long as the SOA's last field");
    is_int(count(), 0, "nothing");
}

static void test_services(void)
{
    head("_http._tcp.x", DNS_SRV, 0, 2, 0);
    record("@12", DNS_SRV, 9);
    put16(6 + 3);
    put16(1); put16(5); put16(8080);
    name("h");
    record("@12", DNS_SRV, 7);
    put16(6 + 1);
    put16(1); put16(5); put16(0);
    name("");
    ok(open_as("_http._tcp.x", DNS_SRV), "services");
    ok(dns_next(&a, &d) && d.priority == 1 && d.weight == 5 && d.port == 8080, "one");
    is_text(dns_text(&d.target), "h", "its host");
    ok(dns_next(&a, &d) && !d.target.n, "and that there is none");
}

static void test_broken(void)
{
    head("www.example.com", DNS_A, 0, 2, 0);
    a_record("@12", 60, 0x0a000001);
    a_record("@12", 60, 0x0a000002);
    size_t whole = b.n;
    unsigned most = 0;
    for (size_t n = 0; n < whole; n++) {
        char *exact = malloc(n ? n : 1);
        memcpy(exact, room, n);
        if (dns_open(&a, text_of(exact, n), T(""), DNS_A)) most = max_of(most, count());
        free(exact);
    }
    is_int(most, 1, "cut anywhere: never more than is there");
    head("x", DNS_A, 0, 1, 0);
    name("@19");                       /* points to itself */
    put16(1); put16(1); put32(1); put16(4); put32(1);
    ok(open_as("x", DNS_A) && !count(), "a pointer to itself is nobody's name");
    head("x", DNS_A, 0, 1, 0);
    a_record("x", 0xffffffff, 1);
    ok(open_as("x", DNS_A) && count() == 1, "a ttl with the highest bit");
    is_int(a.ttl, 0, "is none");
    room[2] = 1;
    ok(!open_as("x", DNS_A), "a question is no answer");
}

int main(void)
{
    test_names();
    test_addresses();
    test_aliases();
    test_none();
    test_services();
    test_broken();
    return done();
}
