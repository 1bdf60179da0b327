#include "wire/framing.h"
#include "t/unit/tap.h"

static struct field fields[8];
static size_t count;

static void set(struct text names_and_values)
{
    struct text part, name;
    count = 0;
    while (text_split(&names_and_values, '|', &part)) {
        if (!part.n) continue;
        text_split(&part, ':', &name);
        fields[count++] = (struct field) { .name = name, .value = part, .id = field_lookup(name) };
    }
}

static void request(unsigned version, const char *said, enum framing_kind kind, enum fault fault, int64_t length)
{
    set(text_c(said));
    struct framing f = framing_request(version, fields, count);
    is_int(f.kind, kind, "request %u \"%s\"", version, said);
    is_str(fault_row(f.fault)->name, fault_row(fault)->name, "  fault");
    is_int(f.length, length, "  length");
}

static void response(unsigned version, enum method m, unsigned status, const char *said, enum framing_kind kind, enum fault fault, int64_t length, bool close)
{
    set(text_c(said));
    struct framing f = framing_response(version, m, status, fields, count);
    is_int(f.kind, kind, "response %u %u \"%s\"", version, status, said);
    is_str(fault_row(f.fault)->name, fault_row(fault)->name, "  fault");
    is_int(f.length, length, "  length");
    is_int(f.close, close, "  close");
}

static void test_requests(void)
{
    request(1001, "", FRAMING_NONE, FAULT_NONE, -1);
    request(1001, "Host:a|Content-Length:5", FRAMING_LENGTH, FAULT_NONE, 5);
    request(1001, "Content-Length:0", FRAMING_NONE, FAULT_NONE, 0);
    request(1001, "Content-Length:00010", FRAMING_LENGTH, FAULT_NONE, 10);
    request(1001, "Content-Length:9223372036854775807", FRAMING_LENGTH, FAULT_NONE, INT64_MAX);
    request(1001, "Transfer-Encoding:chunked", FRAMING_CHUNKED, FAULT_NONE, -1);
    request(1001, "Transfer-Encoding:CHUNKED", FRAMING_CHUNKED, FAULT_NONE, -1);

    request(1001, "Content-Length:9223372036854775808", FRAMING_BAD, FAULT_LENGTH_LARGE, -1);
    request(1001, "Content-Length:99999999999999999999999", FRAMING_BAD, FAULT_LENGTH_LARGE, -1);
    request(1001, "Content-Length:", FRAMING_BAD, FAULT_LENGTH, -1);
    request(1001, "Content-Length:+5", FRAMING_BAD, FAULT_LENGTH, -1);
    request(1001, "Content-Length:-5", FRAMING_BAD, FAULT_LENGTH, -1);
    request(1001, "Content-Length:0x5", FRAMING_BAD, FAULT_LENGTH, -1);
    request(1001, "Content-Length:5 5", FRAMING_BAD, FAULT_LENGTH, -1);
    request(1001, "Content-Length:5, 5", FRAMING_BAD, FAULT_LENGTH, -1);
    request(1001, "Content-Length:5.0", FRAMING_BAD, FAULT_LENGTH, -1);
    request(1001, "Content-Length:5|Content-Length:6", FRAMING_BAD, FAULT_LENGTH_TWICE, -1);
    request(1001, "Content-Length:5|Content-Length:5", FRAMING_BAD, FAULT_LENGTH_TWICE, -1);
    request(1001, "Content-Length:5|Transfer-Encoding:chunked", FRAMING_BAD, FAULT_LENGTH_AND_CODING, -1);
    request(1001, "Transfer-Encoding:chunked|Content-Length:0", FRAMING_BAD, FAULT_LENGTH_AND_CODING, -1);
    request(1001, "Transfer-Encoding:chunked|Transfer-Encoding:chunked", FRAMING_BAD, FAULT_CODING_TWICE, -1);
    request(1001, "Transfer-Encoding:identity|Transfer-Encoding:chunked", FRAMING_BAD, FAULT_CODING_TWICE, -1);
    request(1001, "Transfer-Encoding:gzip, chunked", FRAMING_BAD, FAULT_CODING, -1);
    request(1001, "Transfer-Encoding:chunked, chunked", FRAMING_BAD, FAULT_CODING, -1);
    request(1001, "Transfer-Encoding:xchunked", FRAMING_BAD, FAULT_CODING, -1);
    request(1001, "Transfer-Encoding:\x0b" "chunked", FRAMING_BAD, FAULT_CODING, -1);
    request(1001, "Transfer-Encoding:identity", FRAMING_BAD, FAULT_CODING, -1);
    request(1001, "Transfer-Encoding:", FRAMING_BAD, FAULT_CODING, -1);
    request(1000, "Transfer-Encoding:chunked", FRAMING_BAD, FAULT_CODING_10, -1);
    is_int(fault_row(FAULT_CODING)->status, 501, "unknown codings are a 501");
}

static void test_responses(void)
{
    response(1001, METHOD_GET, 200, "Content-Length:5", FRAMING_LENGTH, FAULT_NONE, 5, false);
    response(1001, METHOD_GET, 200, "Content-Length:0", FRAMING_NONE, FAULT_NONE, 0, false);
    response(1001, METHOD_GET, 200, "Transfer-Encoding:chunked", FRAMING_CHUNKED, FAULT_NONE, -1, false);
    response(1000, METHOD_GET, 200, "Transfer-Encoding:chunked", FRAMING_CHUNKED, FAULT_NONE, -1, true);
    response(1001, METHOD_GET, 200, "", FRAMING_CLOSE, FAULT_NONE, -1, true);
    response(1001, METHOD_HEAD, 200, "Content-Length:5", FRAMING_NONE, FAULT_NONE, 5, false);
    response(1001, METHOD_HEAD, 200, "Transfer-Encoding:chunked", FRAMING_NONE, FAULT_NONE, -1, false);
    response(1001, METHOD_GET, 304, "Content-Length:5", FRAMING_NONE, FAULT_NONE, 5, false);
    response(1001, METHOD_GET, 204, "", FRAMING_NONE, FAULT_NONE, -1, false);
    response(1001, METHOD_GET, 204, "Content-Length:0", FRAMING_NONE, FAULT_NONE, 0, false);
    response(1001, METHOD_GET, 204, "Content-Length:3", FRAMING_NONE, FAULT_NONE, 3, true);
    response(1001, METHOD_GET, 204, "Transfer-Encoding:chunked", FRAMING_NONE, FAULT_NONE, -1, true);
    response(1001, METHOD_GET, 103, "", FRAMING_NONE, FAULT_NONE, -1, false);
    response(1001, METHOD_GET, 101, "", FRAMING_TUNNEL, FAULT_NONE, -1, true);
    response(1001, METHOD_CONNECT, 200, "Content-Length:5", FRAMING_TUNNEL, FAULT_NONE, -1, true);
    response(1001, METHOD_CONNECT, 403, "Content-Length:5", FRAMING_LENGTH, FAULT_NONE, 5, false);
    response(1001, METHOD_GET, 200, "Content-Length:5|Content-Length:6", FRAMING_BAD, FAULT_LENGTH_TWICE, -1, true);
    response(1001, METHOD_GET, 200, "Content-Length:5|Transfer-Encoding:chunked", FRAMING_BAD, FAULT_LENGTH_AND_CODING, -1, true);
    response(1001, METHOD_HEAD, 200, "Content-Length:5|Transfer-Encoding:chunked", FRAMING_BAD, FAULT_LENGTH_AND_CODING, -1, true);
    response(1001, METHOD_GET, 200, "Transfer-Encoding:gzip", FRAMING_BAD, FAULT_CODING, -1, true);
    response(1001, METHOD_GET, 200, "Content-Length:x", FRAMING_BAD, FAULT_LENGTH, -1, true);
}

int main(void)
{
    test_requests();
    test_responses();
    return done();
}
