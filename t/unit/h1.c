/* h1: heads of requests and responses, every smuggling vector with its reason */
#include "wire/h1.h"
#include "t/unit/tap.h"

static struct h1_request_line line;
static struct h1_status_line status;

/* One request line, first at once, then byte by byte: same result, same fault. */
static enum h1_result ask(struct text t, enum fault *fault_out)
{
    struct h1_parse whole, slow;
    struct h1_request_line again;
    h1_begin(&whole, H1_REQUEST);
    h1_begin(&slow, H1_REQUEST);
    enum h1_result got = h1_request_line(&whole, t.p, t.n, &line), later = H1_MORE;
    for (size_t n = 0; n <= t.n && later == H1_MORE; n++) {
        char *room = malloc(n + 1);                 /* so that ASan sees a step too far */
        if (n) memcpy(room, t.p, n);
        char *exact = n ? realloc(room, n) : room;
        later = h1_request_line(&slow, exact, n, &again);
        if (later == H1_DONE && got == H1_DONE) {
            if (!text_eq(again.target, line.target) || again.version != line.version) later = H1_BAD;
        }
        free(exact);
    }
    if (later != got || slow.fault != whole.fault) diag("byte by byte: %d %s", later, fault_row(slow.fault)->name);
    *fault_out = later == got && slow.fault == whole.fault ? whole.fault : FAULT_COUNT;
    return got;
}

static void refuse(struct text t, enum fault want)
{
    enum fault f;
    enum h1_result got = ask(t, &f);
    ok(got == H1_BAD, "refused: \"%.40s\"", t.p);
    is_str(f < FAULT_COUNT ? fault_row(f)->name : "?", fault_row(want)->name, "  for its reason");
}

static bool accept(struct text t)
{
    enum fault f;
    enum h1_result got = ask(t, &f);
    return ok(got == H1_DONE && f == FAULT_NONE, "taken: \"%.40s\"", t.p);
}

#define BAD(lit, why) refuse(T(lit), FAULT_##why)

static void test_request_lines(void)
{
    accept(T("GET /index.html?a=b HTTP/1.1\r\n"));
    is_text(line.line, "GET /index.html?a=b HTTP/1.1", "line");
    is_text(line.method_name, "GET", "method name");
    is_int(line.method, METHOD_GET, "method");
    is_text(line.target, "/index.html?a=b", "target");
    is_text(line.path, "/index.html?a=b", "path");
    is_int(line.version, 1001, "1.1");
    is_int(line.form, H1_ORIGIN, "origin form");

    accept(T("GET / HTTP/1.0\n"));
    is_int(line.version, 1000, "1.0, lone LF");
    is_text(line.line, "GET / HTTP/1.0", "line without its end");
    accept(T("\r\n\n\r\nM-SEARCH /x HTTP/1.7\r\n"));
    is_int(line.version, 1001, "1.7 is treated as 1.1");
    is_int(line.method, METHOD_OTHER, "unknown method");
    accept(T("GET / HTTP/1.10\r\n"));
    is_int(line.version, 1001, "1.10");
    accept(T("GET / HTTP/1.00\r\n"));
    is_int(line.version, 1000, "1.00");
    accept(T("GET /old\r\n"));
    is_int(line.version, 9, "0.9");
    is_text(line.line, "GET /old", "line of 0.9");
    accept(T("GET /\n"));
    accept(T("GET /\xc3\xa9 HTTP/1.1\r\n"));

    accept(T("GET http://Example.com:8080/p?q HTTP/1.1\r\n"));
    is_int(line.form, H1_ABSOLUTE, "absolute form");
    is_text(line.scheme, "http", "scheme");
    is_text(line.authority, "Example.com:8080", "authority");
    is_text(line.path, "/p?q", "path of absolute form");
    accept(T("GET http://h?q HTTP/1.1\r\n"));
    is_text(line.authority, "h", "authority before a query");
    is_text(line.path, "?q", "query only");
    accept(T("GET https://[::1]:1 HTTP/1.1\r\n"));
    is_text(line.authority, "[::1]:1", "IPv6 authority");
    is_text(line.path, "", "no path");
    accept(T("CONNECT host:443 HTTP/1.1\r\n"));
    is_int(line.form, H1_AUTHORITY, "authority form");
    is_text(line.authority, "host:443", "authority of CONNECT");
    accept(T("OPTIONS * HTTP/1.1\r\n"));
    is_int(line.form, H1_ASTERISK, "asterisk form");
}

static void test_bad_request_lines(void)
{
    BAD("get / HTTP/1.1\r\n", METHOD);
    BAD("GE:T / HTTP/1.1\r\n", METHOD);
    BAD("GET\t/ HTTP/1.1\r\n", METHOD);
    BAD("GET\r\n", METHOD);
    BAD("\x16\x03\x01\x02", METHOD);
    BAD(" GET / HTTP/1.1\r\n", SPACE);
    BAD("GET  / HTTP/1.1\r\n", SPACE);
    BAD("GET \t/ HTTP/1.1\r\n", SPACE);
    BAD("GET /  HTTP/1.1\r\n", SPACE);
    BAD("GET /\tHTTP/1.1\r\n", SPACE);
    BAD("GET / HTTP/1.1 \r\n", SPACE);
    BAD("GET / \r\n", SPACE);
    BAD("GET \r\n", SPACE);
    BAD("GET / x HTTP/1.1\r\n", VERSION);
    BAD("GET / http/1.1\r\n", VERSION);
    BAD("GET / HTTP/0.9\r\n", VERSION);
    BAD("GET / HTTP/1.\r\n", VERSION);
    BAD("GET / HTTP/1.x\r\n", VERSION);
    BAD("GET / HTTP/1.111\r\n", VERSION);
    BAD("GET / HTTP/1\r\n", VERSION);
    BAD("GET / HTTP/2.0\r\n", VERSION_MAJOR);
    BAD("GET / HTTP/11.1\r\n", VERSION_MAJOR);
    BAD("GET /\x01 HTTP/1.1\r\n", TARGET_CHAR);
    BAD("GET /\x7f HTTP/1.1\r\n", TARGET_CHAR);
    BAD("GET /\0 HTTP/1.1\r\n", TARGET_CHAR);
    BAD("GET \0/ HTTP/1.1\r\n", TARGET_CHAR);
    BAD("GET /\rX HTTP/1.1\r\n", BARE_CR);
    BAD("GET / HTTP/1.1\rX", BARE_CR);
    BAD("GET / HTTP/1.1\r\r\n", BARE_CR);
    BAD("\rGET / HTTP/1.1\r\n", BARE_CR);
    BAD("GET index.html HTTP/1.1\r\n", TARGET);
    BAD("GET * HTTP/1.1\r\n", TARGET);
    BAD("OPTIONS ** HTTP/1.1\r\n", TARGET);
    BAD("GET http:/x HTTP/1.1\r\n", TARGET);
    BAD("GET http:///x HTTP/1.1\r\n", TARGET);
    BAD("GET ://x/ HTTP/1.1\r\n", TARGET);
    BAD("GET 1http://x/ HTTP/1.1\r\n", TARGET);
    BAD("CONNECT /x HTTP/1.1\r\n", TARGET);
    BAD("CONNECT http://x/ HTTP/1.1\r\n", TARGET);
    BAD("POST /\r\n", METHOD_09);
    is_int(fault_row(FAULT_VERSION_MAJOR)->status, 505, "505");
    is_int(fault_row(FAULT_METHOD)->status, 400, "400");
}

/* All fields of a head as "name=value;" */
static struct text fields_of(struct h1_parse *p, struct text t, enum h1_result *result_out)
{
    static char room[4096];
    size_t n = 0;
    struct field f;
    while ((*result_out = h1_field(p, t.p, t.n, &f)) == H1_FIELD) {
        n += (size_t) snprintf(room + n, sizeof room - n, "%.*s=%.*s;", TEXT_ARG(f.name), TEXT_ARG(f.value));
    }
    return text_of(room, n);
}

static enum fault field_fault(struct text t, enum h1_kind kind)
{
    struct h1_parse whole, slow;
    enum h1_result got, later = H1_MORE;
    struct field f;
    h1_begin(&whole, kind);
    h1_begin(&slow, kind);
    fields_of(&whole, t, &got);
    for (size_t n = 0; n <= t.n && later != H1_BAD && later != H1_END; n++) {
        char *exact = malloc(n ? n : 1);
        if (n) memcpy(exact, t.p, n);
        do later = h1_field(&slow, exact, n, &f); while (later == H1_FIELD);
        free(exact);
    }
    if (got != later || whole.fault != slow.fault || whole.at != slow.at) return FAULT_COUNT;
    return got == H1_BAD ? whole.fault : got == H1_END ? FAULT_NONE : FAULT_COUNT;
}

static void test_fields(void)
{
    struct h1_parse p;
    enum h1_result got;
    struct field f;
    h1_begin(&p, H1_REQUEST);
    struct text head = T("Host: a\r\nX:\r\nY: \t b c \t\r\nLong-Name-Of-A-Field: 0123456789012345678901234567890123456789\nE:\n\r\nbody");
    is_text(fields_of(&p, head, &got), "Host=a;X=;Y=b c;Long-Name-Of-A-Field=0123456789012345678901234567890123456789;E=;", "fields");
    is_int(got, H1_END, "end");
    is_text(text_from(head, p.at), "body", "where the body begins");

    h1_begin(&p, H1_REQUEST);
    is_int(h1_field(&p, "hOST: x\r\n", 9, &f), H1_FIELD, "known");
    is_int(f.id, FIELD_HOST, "by number");
    h1_begin(&p, H1_REQUEST);
    h1_field(&p, "X_y: x\r\n", 8, &f);
    ok(f.has_underscore && !f.bad_name, "underscore");
    h1_begin(&p, H1_REQUEST);
    h1_field(&p, "X.y: x\r\nA: b\r\n", 14, &f);
    ok(!f.has_underscore && f.bad_name, "odd name");
    h1_field(&p, "X.y: x\r\nA: b\r\n", 14, &f);
    ok(!f.bad_name, "and the next is not");

    h1_begin(&p, H1_REQUEST);
    h1_field(&p, "A: b\r\nCc: d", 11, &f);
    is_int(h1_field(&p, "A: b\r\nCc: d", 11, &f), H1_MORE, "more");
    h1_rebase(&p, 6);
    is_int(h1_field(&p, "Cc: de\r\n", 8, &f), H1_FIELD, "rebased");
    is_text(f.value, "de", "whole value");
}

static const char *name_of(enum fault f) { return f < FAULT_COUNT ? fault_row(f)->name : "differs byte by byte"; }

#define BAD_FIELD(lit, why) is_str(name_of(field_fault(T(lit), H1_REQUEST)), #why, "field: \"%.30s\"", lit)

static void test_bad_fields(void)
{
    BAD_FIELD("A: b\r\n\r\n", NONE);
    BAD_FIELD("A: b\xff\xc3\xa9\t\r\n\r\n", NONE);
    BAD_FIELD(" A: b\r\n\r\n", FIELD_FOLD);
    BAD_FIELD("A: b\r\n\tc\r\n\r\n", FIELD_FOLD);
    BAD_FIELD("A: b\r\n c\r\n\r\n", FIELD_FOLD);
    BAD_FIELD("A : b\r\n\r\n", FIELD_SPACE);
    BAD_FIELD("Transfer-Encoding\t: chunked\r\n\r\n", FIELD_SPACE);
    BAD_FIELD("A B: b\r\n\r\n", FIELD_SPACE);
    BAD_FIELD(": b\r\n\r\n", FIELD_NAME_EMPTY);
    BAD_FIELD("A\r\n\r\n", FIELD_NO_COLON);
    BAD_FIELD("A\n\r\n", FIELD_NO_COLON);
    BAD_FIELD("A\x01: b\r\n\r\n", FIELD_NAME_CHAR);
    BAD_FIELD("A\x7f: b\r\n\r\n", FIELD_NAME_CHAR);
    BAD_FIELD("A\0: b\r\n\r\n", FIELD_NUL);
    BAD_FIELD("A: b\0c\r\n\r\n", FIELD_NUL);
    BAD_FIELD("A: b\x01\r\n\r\n", FIELD_CONTROL);
    BAD_FIELD("A: b\x0b\r\n\r\n", FIELD_CONTROL);
    BAD_FIELD("A: b\x7f\r\n\r\n", FIELD_CONTROL);
    BAD_FIELD("A: 0123456789abcdef0123456789\x1f\r\n\r\n", FIELD_CONTROL);
    BAD_FIELD("A: b\rC: d\r\n\r\n", BARE_CR);
    BAD_FIELD("A: b\r\r\n\r\n", BARE_CR);
    BAD_FIELD("A: b\r\n\rX", BARE_CR);
    is_int(field_fault(T("A: b\r\n\r\n"), H1_TRAILERS), FAULT_NONE, "trailers");
    is_int(field_fault(T("A: b\n\r\n"), H1_TRAILERS), FAULT_BARE_LF, "trailers: lone LF");
    is_int(field_fault(T("A: b\r\n\n"), H1_TRAILERS), FAULT_BARE_LF, "trailers: lone LF at the end");
    is_int(field_fault(T("A: b\x01\r\n\r\n"), H1_RESPONSE), FAULT_NONE, "upstream: control character passes");
    is_int(field_fault(T("A: b\0\r\n\r\n"), H1_RESPONSE), FAULT_FIELD_NUL, "upstream: NUL does not");
    is_int(field_fault(T("A : b\r\n\r\n"), H1_RESPONSE), FAULT_FIELD_SPACE, "upstream: space before colon");
    is_int(field_fault(T("A: b\r\n c\r\n\r\n"), H1_RESPONSE), FAULT_FIELD_FOLD, "upstream: fold");
}

/* The whole, then byte by byte. */
static enum fault answer(struct text t)
{
    struct h1_parse whole, slow;
    enum h1_result got, later = H1_MORE;
    h1_begin(&whole, H1_RESPONSE);
    h1_begin(&slow, H1_RESPONSE);
    for (size_t n = 0; n <= t.n && later == H1_MORE; n++) later = h1_status_line(&slow, t.p, n, &status);
    got = h1_status_line(&whole, t.p, t.n, &status);
    if (got != later || whole.fault != slow.fault) return FAULT_COUNT;
    return got == H1_DONE ? FAULT_NONE : got == H1_BAD ? whole.fault : FAULT_COUNT;
}

static void test_status_lines(void)
{
    is_int(answer(T("HTTP/1.1 200 OK\r\n")), FAULT_NONE, "status line");
    is_int(status.status, 200, "status");
    is_int(status.version, 1001, "version");
    is_text(status.reason, "OK", "reason");
    is_text(status.line, "HTTP/1.1 200 OK", "line");
    is_int(answer(T("HTTP/1.0 404\n")), FAULT_NONE, "no reason, lone LF");
    is_int(status.version, 1000, "1.0");
    is_text(status.reason, "", "empty reason");
    is_int(answer(T("HTTP/1.1 404 \r\n")), FAULT_NONE, "empty reason");
    is_int(answer(T("HTTP/2.0 299 \xc3\xa4 b\r\n")), FAULT_NONE, "higher version");
    is_int(status.version, 1001, "is 1.1");
    is_int(answer(T("HTTP/1.1 403.6 No\r\n")), FAULT_NONE, "dotted status");
    is_int(status.status, 403, "is its first part");
    is_int(answer(T("HTTP/1.1 99 x\r\n")), FAULT_STATUS_LINE, "two digits");
    is_int(answer(T("HTTP/1.1 099 x\r\n")), FAULT_STATUS_LINE, "below 100");
    is_int(answer(T("HTTP/1.1 2000 x\r\n")), FAULT_STATUS_LINE, "four digits");
    is_int(answer(T("HTTP/1.1  200 x\r\n")), FAULT_STATUS_LINE, "two spaces");
    is_int(answer(T("HTTP/1.1 20x\r\n")), FAULT_STATUS_LINE, "not digits");
    is_int(answer(T("HTTP/0.9 200 OK\r\n")), FAULT_STATUS_LINE, "HTTP/0.9");
    is_int(answer(T("<html>")), FAULT_STATUS_LINE, "no status line");
    is_int(answer(T("\r\nHTTP/1.1 200 OK\r\n")), FAULT_STATUS_LINE, "empty line before");
    is_int(answer(T("HTTP/1.1 200 a\rb\r\n")), FAULT_BARE_CR, "bare CR");
    is_int(answer(T("HTTP/1.1 200 a\0b\r\n")), FAULT_FIELD_NUL, "NUL");
}

static void test_lookup(void)
{
    unsigned wrong = 0;
    char lower[64], upper[64];
    for (size_t id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct text name = field_row((enum field_id) id)->name;
        for (size_t i = 0; i < name.n; i++) {
            char c = name.p[i];
            lower[i] = (char) text_lower((unsigned char) c);
            upper[i] = c >= 'a' && c <= 'z' ? (char) (c - 32) : c;
        }
        wrong += field_lookup(name) != id || field_lookup(text_of(lower, name.n)) != id || field_lookup(text_of(upper, name.n)) != id;
        wrong += field_lookup(text_of(lower, name.n - 1)) == id;
    }
    is_int(wrong, 0, "every name is found in any case");
    ok(!field_lookup(T("Content_Length")) && !field_lookup(T("")) && !field_lookup(T("Content-Lengthx")), "others are not");
    ok(!field_lookup(T("Content\rLength")), "CR is no hyphen");
    ok(field_is(FIELD_CONNECTION, F_HOP) && !field_is(FIELD_COOKIE, F_HOP) && field_is(FIELD_HOST, F_NO_TRAILER), "facts");
    for (size_t m = METHOD_GET; m < METHOD_COUNT; m++) wrong += method_lookup(method_row((enum method) m)->name) != m;
    is_int(wrong, 0, "every method is found");
    ok(method_lookup(T("get")) == METHOD_OTHER && method_lookup(T("GETX")) == METHOD_OTHER, "others are not");
}

int main(void)
{
    test_request_lines();
    test_bad_request_lines();
    test_fields();
    test_bad_fields();
    test_status_lines();
    test_lookup();
    return done();
}
