#include "wire/proxy_protocol.h"
#include <arpa/inet.h>

enum { HEAD = 16, UNIX_PATH = 108, TLV_HEAD = 3, COMMAND_LOCAL = 0, COMMAND_PROXY = 1, TRANSPORT_STREAM = 1, TRANSPORT_DATAGRAM = 2 };

static const struct text signature = TEXT_INIT("\r\n\r\n\0\r\nQUIT\n");
static const struct text keyword = TEXT_INIT("PROXY ");

/* Bytes of an address in version 2. */
static const size_t address_size[] = { [PROXY_PROTOCOL_UNKNOWN] = 0, [PROXY_PROTOCOL_IPV4] = 4, [PROXY_PROTOCOL_IPV6] = 16, [PROXY_PROTOCOL_UNIX] = UNIX_PATH };

static unsigned u16_at(const char *p) { return (unsigned) (unsigned char) p[0] << 8 | (unsigned char) p[1]; }

/* Reflected Castagnoli polynomial, bit by bit: headers are short. */
static uint32_t crc32c(uint32_t crc, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char) p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

bool proxy_protocol_tlv(struct text *rest, uint8_t *type_out, struct text *value_out)
{
    if (rest->n < TLV_HEAD) return false;
    size_t n = u16_at(rest->p + 1);
    if (n > rest->n - TLV_HEAD) return false;
    *type_out = (uint8_t) rest->p[0];
    *value_out = text_of(rest->p + TLV_HEAD, n);
    *rest = text_from(*rest, TLV_HEAD + n);
    return true;
}

/* ---- version 1 ---- */

static bool read_address(struct text t, enum proxy_protocol_family family, struct proxy_protocol_end *out)
{
    char room[64];
    if (t.n == 0 || t.n >= sizeof room) return false;
    memcpy(room, t.p, t.n);
    room[t.n] = '\0';
    return inet_pton(family == PROXY_PROTOCOL_IPV4 ? AF_INET : AF_INET6, room, out->address) == 1;
}

static bool read_port(struct text t, struct proxy_protocol_end *out)
{
    uint64_t port;
    if (!text_u64(t, &port) || port > UINT16_MAX || (t.n > 1 && t.p[0] == '0')) return false;
    out->port = (uint16_t) port;
    return true;
}

static bool read_line(struct text line, struct proxy_protocol *out)
{
    struct text rest = line, word[5];
    size_t n = 0;
    while (n < countof(word) && text_split(&rest, ' ', &word[n])) n++;
    if (n && text_eq(word[0], T("UNKNOWN"))) return true;
    if (n != countof(word) || rest.p) return false;
    out->family = text_eq(word[0], T("TCP4")) ? PROXY_PROTOCOL_IPV4 : text_eq(word[0], T("TCP6")) ? PROXY_PROTOCOL_IPV6 : PROXY_PROTOCOL_UNKNOWN;
    return out->family != PROXY_PROTOCOL_UNKNOWN
        && read_address(word[1], out->family, &out->source) && read_address(word[2], out->family, &out->target)
        && read_port(word[3], &out->source) && read_port(word[4], &out->target);
}

static enum proxy_protocol_result read_v1(struct text in, struct proxy_protocol *out, const char **why_out)
{
    ssize_t lf = text_find_char(text_upto(in, min_of(in.n, (size_t) PROXY_PROTOCOL_LINE_MOST)), '\n');
    *why_out = "the line is too long";
    if (lf < 0) return in.n >= PROXY_PROTOCOL_LINE_MOST ? PROXY_PROTOCOL_BAD : PROXY_PROTOCOL_MORE;
    *why_out = "the line is not one of version 1";
    if (in.p[lf - 1] != '\r') return PROXY_PROTOCOL_BAD;
    out->version = 1;
    out->length = (size_t) lf + 1;
    struct text line = text_of(in.p + keyword.n, (size_t) lf - 1 < keyword.n ? 0 : (size_t) lf - 1 - keyword.n);
    return read_line(line, out) ? PROXY_PROTOCOL_DONE : PROXY_PROTOCOL_BAD;
}

/* ---- version 2 ---- */

/* Section 2.2.1: the sum of the header with the sum's own place zero. */
static bool check_sum(struct text whole, struct text sum)
{
    static const char zero[4] = { 0 };
    size_t before = (size_t) (sum.p - whole.p);
    uint32_t crc = crc32c(0xffffffffu, whole.p, before), want = u16_at(sum.p) << 16 | u16_at(sum.p + 2);
    crc = crc32c(crc, zero, sizeof zero);
    crc = crc32c(crc, sum.p + 4, whole.n - before - 4);
    return (crc ^ 0xffffffffu) == want;
}

static const char *check_tlvs(struct text whole, struct text tlvs)
{
    uint8_t type;
    struct text value;
    while (tlvs.n) {
        if (!proxy_protocol_tlv(&tlvs, &type, &value)) return "a TLV is longer than the header";
        if (type == PP2_TYPE_CRC32C && (value.n != 4 || !check_sum(whole, value))) return "the checksum is wrong";
    }
    return NULL;
}

static struct text path_of(const char *p)
{
    return text_of(p, strnlen(p, UNIX_PATH));
}

static void read_addresses(const char *p, struct proxy_protocol *out)
{
    size_t n = address_size[out->family];
    if (out->family == PROXY_PROTOCOL_UNIX) {
        out->source.path = path_of(p);
        out->target.path = path_of(p + n);
        return;
    }
    memcpy(out->source.address, p, n);
    memcpy(out->target.address, p + n, n);
    out->source.port = (uint16_t) u16_at(p + 2 * n);
    out->target.port = (uint16_t) u16_at(p + 2 * n + 2);
}

static size_t addresses_size(enum proxy_protocol_family family)
{
    return address_size[family] * 2 + (family == PROXY_PROTOCOL_IPV4 || family == PROXY_PROTOCOL_IPV6 ? 4 : 0);
}

/* The 16 bytes of the head are there: what is wrong with them, or NULL. */
static const char *read_head(struct text in, struct proxy_protocol *out)
{
    unsigned version = (unsigned char) in.p[12] >> 4, command = in.p[12] & 15;
    unsigned family = (unsigned char) in.p[13] >> 4, transport = in.p[13] & 15;
    if (version != 2) return "the version is unknown";
    if (command > COMMAND_PROXY) return "the command is unknown";
    if (family > PROXY_PROTOCOL_UNIX || transport > TRANSPORT_DATAGRAM) return "the address family or transport is unknown";
    out->version = 2;
    out->local = command == COMMAND_LOCAL;
    out->family = transport ? (enum proxy_protocol_family) family : PROXY_PROTOCOL_UNKNOWN;
    out->datagram = transport == TRANSPORT_DATAGRAM;
    out->length = HEAD + u16_at(in.p + 14);
    if (out->length > PROXY_PROTOCOL_MOST) return "the header is too long";
    if (!out->local && out->length - HEAD < addresses_size(out->family)) return "the header is too short for its addresses";
    return NULL;
}

static enum proxy_protocol_result read_v2(struct text in, struct proxy_protocol *out, const char **why_out)
{
    if (in.n < HEAD) return PROXY_PROTOCOL_MORE;
    if ((*why_out = read_head(in, out))) return PROXY_PROTOCOL_BAD;
    if (in.n < out->length) return PROXY_PROTOCOL_MORE;
    if (out->local) {                        /* section 2.2: whatever follows is to be skipped */
        out->family = PROXY_PROTOCOL_UNKNOWN;
        return PROXY_PROTOCOL_DONE;
    }
    if (out->family == PROXY_PROTOCOL_UNKNOWN) return PROXY_PROTOCOL_DONE;
    read_addresses(in.p + HEAD, out);
    size_t skip = HEAD + addresses_size(out->family);
    out->tlvs = text_of(in.p + skip, out->length - skip);
    *why_out = check_tlvs(text_upto(in, out->length), out->tlvs);
    return *why_out ? PROXY_PROTOCOL_BAD : PROXY_PROTOCOL_DONE;
}

enum proxy_protocol_result proxy_protocol_read(const char *buf, size_t n, struct proxy_protocol *out, const char **why_out)
{
    struct text in = text_of(buf, n);
    *out = (struct proxy_protocol) { 0 };
    *why_out = "neither version 1 nor 2";
    if (n == 0) return PROXY_PROTOCOL_MORE;
    const struct text *start = buf[0] == 'P' ? &keyword : &signature;
    size_t seen = min_of(n, start->n);
    if (memcmp(buf, start->p, seen) != 0) return PROXY_PROTOCOL_BAD;
    if (seen < start->n) return PROXY_PROTOCOL_MORE;
    return start == &keyword ? read_v1(in, out, why_out) : read_v2(in, out, why_out);
}

/* ---- writing ---- */

static void write_v1(struct build *b, const struct proxy_protocol *p)
{
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    bool v4 = p->family == PROXY_PROTOCOL_IPV4;
    if (p->local || (!v4 && p->family != PROXY_PROTOCOL_IPV6)) {
        build_lit(b, "PROXY UNKNOWN\r\n");
        return;
    }
    inet_ntop(v4 ? AF_INET : AF_INET6, p->source.address, from, sizeof from);
    inet_ntop(v4 ? AF_INET : AF_INET6, p->target.address, to, sizeof to);
    build_fmt(b, "PROXY TCP%c %s %s %u %u\r\n", v4 ? '4' : '6', from, to, p->source.port, p->target.port);
}

static void write_u16(struct build *b, size_t v)
{
    build_char(b, (char) (v >> 8));
    build_char(b, (char) (v & 0xff));
}

static void write_address(struct build *b, enum proxy_protocol_family family, const struct proxy_protocol_end *end)
{
    char path[UNIX_PATH] = { 0 };
    if (family == PROXY_PROTOCOL_UNIX) {
        if (end->path.n) memcpy(path, end->path.p, min_of(end->path.n, sizeof path));
        build_text(b, text_of(path, sizeof path));
    } else {
        build_text(b, text_of((const char *) end->address, address_size[family]));
    }
}

static void write_v2(struct build *b, const struct proxy_protocol *p)
{
    enum proxy_protocol_family family = p->local ? PROXY_PROTOCOL_UNKNOWN : p->family;
    unsigned transport = family == PROXY_PROTOCOL_UNKNOWN ? 0 : p->datagram ? TRANSPORT_DATAGRAM : TRANSPORT_STREAM;
    bool tlvs = family != PROXY_PROTOCOL_UNKNOWN;
    build_text(b, signature);
    build_char(b, (char) (2 << 4 | (p->local ? COMMAND_LOCAL : COMMAND_PROXY)));
    build_char(b, (char) ((unsigned) family << 4 | transport));
    write_u16(b, addresses_size(family) + (tlvs ? p->tlvs.n : 0));
    write_address(b, family, &p->source);
    write_address(b, family, &p->target);
    if (family == PROXY_PROTOCOL_IPV4 || family == PROXY_PROTOCOL_IPV6) {
        write_u16(b, p->source.port);
        write_u16(b, p->target.port);
    }
    if (tlvs) build_text(b, p->tlvs);
}

void proxy_protocol_write(struct build *b, const struct proxy_protocol *p)
{
    ASSERT(p->version == 1 || p->version == 2);
    if (p->version == 1) write_v1(b, p);
    else write_v2(b, p);
}

void proxy_protocol_add_tlv(struct build *b, uint8_t type, struct text value)
{
    ASSERT(value.n <= UINT16_MAX);
    build_char(b, (char) type);
    write_u16(b, value.n);
    build_text(b, value);
}
