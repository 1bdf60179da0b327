#include "wire/proxy_protocol.h"
#include "t/unit/tap.h"

static struct proxy_protocol p;
static const char *why;

/* At once, and every shorter piece must ask for more. */
static enum proxy_protocol_result get(struct text t)
{
    struct proxy_protocol part;
    const char *unused;
    enum proxy_protocol_result got = proxy_protocol_read(t.p, t.n, &p, &why);
    for (size_t n = 0; got == PROXY_PROTOCOL_DONE && n < p.length; n++) {
        char *exact = malloc(n ? n : 1);
        if (n) memcpy(exact, t.p, n);
        enum proxy_protocol_result early = proxy_protocol_read(exact, n, &part, &unused);
        free(exact);
        if (early != PROXY_PROTOCOL_MORE) return PROXY_PROTOCOL_BAD;
    }
    return got;
}

static void test_v1(void)
{
    is_int(get(T("PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\nGET")), PROXY_PROTOCOL_DONE, "TCP4");
    ok(p.version == 1 && p.family == PROXY_PROTOCOL_IPV4 && p.source.port == 1234 && p.target.port == 80 && p.length == 38, "facts");
    is_same(text_of((char *) p.source.address, 4), T("\x0a\x00\x00\x01"), "source");
    is_int(get(T("PROXY TCP6 ::1 fe80::2 1 65535\r\n")), PROXY_PROTOCOL_DONE, "TCP6");
    ok(p.family == PROXY_PROTOCOL_IPV6 && p.source.address[15] == 1 && p.target.port == 65535, "facts");
    is_int(get(T("PROXY UNKNOWN\r\n")), PROXY_PROTOCOL_DONE, "UNKNOWN");
    is_int(get(T("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n")), PROXY_PROTOCOL_DONE, "UNKNOWN with addresses");
    is_int(p.family, PROXY_PROTOCOL_UNKNOWN, "which do not count");
    static const char *const wrong[] = {
        "GET / HTTP/1.1\r\n", "PROXY TCP4 10.0.0.1 10.0.0.2 1234\r\n", "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80 1\r\n",
        "PROXY TCP4 10.0.0.1 10.0.0.2 1234 65536\r\n", "PROXY TCP4 10.0.0.1 10.0.0.2 01234 80\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n", "PROXY TCP5 10.0.0.1 10.0.0.2 1 2\r\n", "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\n",
        "PROXY TCP4  10.0.0.1 10.0.0.2 1234 80\r\n", "PROXY\r\n", "PROXY \r\n", "proxy unknown\r\n",
    };
    for (size_t i = 0; i < countof(wrong); i++) is_int(get(text_c(wrong[i])), PROXY_PROTOCOL_BAD, "refused: %s", wrong[i]);
    char line[200];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    is_int(get(text_of(line, 107)), PROXY_PROTOCOL_BAD, "too long");
    is_int(get(text_of(line, 106)), PROXY_PROTOCOL_MORE, "not yet");
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static void test_v2(void)
{
    struct text rest, value;
    uint8_t type;
    is_int(get(T(SIGNATURE "\x21\x11\x00\x13" "\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x00\x50" "\x02\x00\x04host" "rest")), PROXY_PROTOCOL_DONE, "IPv4");
    ok(p.version == 2 && p.family == PROXY_PROTOCOL_IPV4 && p.source.port == 0x1234 && p.target.port == 80 && p.target.address[0] == 5, "facts");
    rest = p.tlvs;
    ok(proxy_protocol_tlv(&rest, &type, &value) && type == PP2_TYPE_AUTHORITY, "tlv");
    is_text(value, "host", "its value");
    ok(!proxy_protocol_tlv(&rest, &type, &value), "no more");
    is_int(get(T(SIGNATURE "\x20\x00\x00\x03" "abc")), PROXY_PROTOCOL_DONE, "LOCAL");
    ok(p.local && p.length == 19, "facts");
    is_int(get(T(SIGNATURE "\x31\x11\x00\x0c" "123456789012")), PROXY_PROTOCOL_BAD, "version 3");
    is_int(get(T(SIGNATURE "\x22\x11\x00\x0c" "123456789012")), PROXY_PROTOCOL_BAD, "unknown command");
    is_int(get(T(SIGNATURE "\x21\x41\x00\x0c" "123456789012")), PROXY_PROTOCOL_BAD, "unknown family");
    is_int(get(T(SIGNATURE "\x21\x13\x00\x0c" "123456789012")), PROXY_PROTOCOL_BAD, "unknown transport");
    is_int(get(T(SIGNATURE "\x21\x11\x00\x0b" "12345678901")), PROXY_PROTOCOL_BAD, "too short for IPv4");
    is_int(get(T(SIGNATURE "\x21\x21\x00\x0c" "123456789012")), PROXY_PROTOCOL_BAD, "too short for IPv6");
    is_int(get(T(SIGNATURE "\x21\x11\xff\xff" "123456789012")), PROXY_PROTOCOL_BAD, "too long");
    is_int(get(T(SIGNATURE "\x21\x11\x00\x10" "123456789012" "\x02\x00\x02x")), PROXY_PROTOCOL_BAD, "broken tlv");
    is_int(get(T(SIGNATURE "\x21\x11\x00\x13" "\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x00\x50" "\x03\x00\x04\0\0\0\0")), PROXY_PROTOCOL_BAD, "wrong checksum");
    /* The sum was worked out apart from this code, by a table-driven CRC32c. */
    is_int(get(T(SIGNATURE "\x21\x11\x00\x13" "\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x00\x50" "\x03\x00\x04" "\x64""\x3e""\x10""\x3b")), PROXY_PROTOCOL_DONE, "right checksum");
}

static void again(struct proxy_protocol in, const char *name)
{
    struct pool *pool = pool_open(0);
    struct build b = build_in_pool(pool, 0, 0);
    proxy_protocol_write(&b, &in);
    is_int(get(build_done(&b)), PROXY_PROTOCOL_DONE, "%s: written and read", name);
    is_int(p.length, b.n, "  length");
    is_int(p.family, in.family, "  family");
    ok(memcmp(p.source.address, in.source.address, 16) == 0 && memcmp(p.target.address, in.target.address, 16) == 0, "  addresses");
    ok(p.source.port == in.source.port && p.target.port == in.target.port, "  ports");
    is_same(p.source.path, in.source.path, "  path");
    is_same(p.tlvs, in.tlvs, "  tlvs");
    ok(p.local == in.local && p.datagram == in.datagram, "  kind");
    pool_close(&pool);
}

static void test_write(void)
{
    struct proxy_protocol v4 = { .version = 1, .family = PROXY_PROTOCOL_IPV4, .source = { { 127, 0, 0, 1 }, 1, { NULL, 0 } }, .target = { { 10, 1, 2, 3 }, 65535, { NULL, 0 } } };
    struct proxy_protocol v6 = { .version = 1, .family = PROXY_PROTOCOL_IPV6, .source = { { 0xfe, 0x80, [15] = 1 }, 99, { NULL, 0 } }, .target = { { [15] = 1 }, 443, { NULL, 0 } } };
    struct proxy_protocol unix_path = { .version = 2, .family = PROXY_PROTOCOL_UNIX, .source.path = T("/run/x") };
    again(v4, "1, IPv4");
    again(v6, "1, IPv6");
    v4.version = v6.version = 2;
    v4.datagram = true;
    v6.tlvs = T("\x02\x00\x01h\xe0\x00\x00");
    again(v4, "2, IPv4");
    again(v6, "2, IPv6");
    again(unix_path, "2, unix");
    again((struct proxy_protocol) { .version = 2, .local = true }, "2, LOCAL");
    again((struct proxy_protocol) { .version = 2 }, "2, unknown");
    again((struct proxy_protocol) { .version = 1 }, "1, unknown");
    char room[64];
    struct build b = build_in_room(room, sizeof room);
    proxy_protocol_add_tlv(&b, PP2_TYPE_UNIQUE_ID, T("id"));
    is_same(build_done(&b), T("\x05\x00\x02id"), "add a tlv");
}

int main(void)
{
    test_v1();
    test_v2();
    test_write();
    return done();
}
