#include "wire/h1.h"
#include "wire/scan.h"

void h1_begin(struct h1_parse *p, enum h1_kind kind) { *p = (struct h1_parse) { .kind = kind }; }

void h1_rebase(struct h1_parse *p, size_t n)
{
    ASSERT(n <= p->line);
    p->line -= n;
    p->at -= n;
    if (p->mark) p->mark -= n;
}

static enum h1_result bad(struct h1_parse *p, enum fault f)
{
    p->fault = f;
    return H1_BAD;
}

/* The line in hand ended; the next one begins at at. */
static void next_line(struct h1_parse *p, size_t at)
{
    p->line = p->at = at;
    p->mark = 0;
    p->bad_name = p->has_underscore = false;
}

/* At the end of a line: *after is set to where the next begins. RFC 9112 2.2: a lone LF may end a line. */
static enum h1_result end_line(struct h1_parse *p, const char *buf, size_t len, size_t at, size_t *after)
{
    if (buf[at] == '\n') {
        if (p->kind == H1_TRAILERS) return bad(p, FAULT_BARE_LF);
        *after = at + 1;
        return H1_DONE;
    }
    ASSERT(buf[at] == '\r');
    if (at + 1 == len) return H1_MORE;
    if (buf[at + 1] != '\n') return bad(p, FAULT_BARE_CR);
    *after = at + 2;
    return H1_DONE;
}

static inline bool is_end(char c) { return c == '\r' || c == '\n'; }
static inline bool is_digit(char c) { return (unsigned char) (c - '0') < 10; }
static inline bool is_letter(char c) { return (unsigned char) ((c | 0x20) - 'a') < 26; }

static enum h1_result skip_empty_lines(struct h1_parse *p, const char *buf, size_t len)
{
    while (p->line < len && is_end(buf[p->line])) {
        size_t after;
        enum h1_result got = end_line(p, buf, len, p->line, &after);
        if (got != H1_DONE) return got;
        next_line(p, after);
    }
    return p->line < len ? H1_DONE : H1_MORE;
}

/* Up to the space after the method. Capitals, "_" and "-" are what nginx takes as a method. */
static enum h1_result scan_method(struct h1_parse *p, const char *buf, size_t len)
{
    size_t at = p->at;
    while (at < len && ((unsigned char) (buf[at] - 'A') < 26 || buf[at] == '_' || buf[at] == '-')) at++;
    p->at = at;
    if (at == len) return H1_MORE;
    if (buf[at] != ' ') return bad(p, FAULT_METHOD);
    if (at == p->line) return bad(p, FAULT_SPACE);
    p->mark = p->at = at + 1;
    return H1_DONE;
}

/* " HTTP/1.1" and the end of the line, from the space on. So short that it is read anew when more comes. */
static enum h1_result read_version(struct h1_parse *p, const char *buf, size_t len, unsigned *version_out, size_t *after)
{
    static const char name[] = " HTTP/";
    size_t at = p->at, i;
    if (likely(len - at >= 11 && memcmp(buf + at, " HTTP/1.1\r\n", 11) == 0)) {
        *version_out = 1001;
        *after = at + 11;
        return H1_DONE;
    }
    for (i = 0; i < sizeof name - 1; i++, at++) {
        if (at == len) return H1_MORE;
        if (buf[at] == name[i]) continue;
        return bad(p, i == 1 && (is_end(buf[at]) || buf[at] == ' ' || buf[at] == '\t') ? FAULT_SPACE : FAULT_VERSION);
    }
    if (at == len) return H1_MORE;
    if (buf[at] != '1') return bad(p, buf[at] >= '2' && buf[at] <= '9' ? FAULT_VERSION_MAJOR : FAULT_VERSION);
    if (++at == len) return H1_MORE;
    if (buf[at] != '.') return bad(p, is_digit(buf[at]) ? FAULT_VERSION_MAJOR : FAULT_VERSION);
    bool above = false;
    for (at++, i = 0; at < len && i < 2 && is_digit(buf[at]); at++, i++) above |= buf[at] != '0';
    if (at == len) return H1_MORE;
    if (i == 0 || !is_end(buf[at])) return bad(p, i && (buf[at] == ' ' || buf[at] == '\t') ? FAULT_SPACE : FAULT_VERSION);
    *version_out = above ? 1001 : 1000;
    return end_line(p, buf, len, at, after);
}

/* RFC 9112 3.2.2: scheme "://" authority, then path and query as they are. */
static bool split_absolute(struct text target, struct h1_request_line *out)
{
    size_t i = 0;
    while (i < target.n && (is_letter(target.p[i]) || (i && (is_digit(target.p[i]) || memchr("+-.", target.p[i], 3))))) i++;
    if (i == 0 || !text_starts(text_from(target, i), T("://"))) return false;
    out->form = H1_ABSOLUTE;
    out->scheme = text_upto(target, i);
    struct text rest = text_from(target, i + 3);
    for (i = 0; i < rest.n && rest.p[i] != '/' && rest.p[i] != '?' && rest.p[i] != '#'; i++) { }
    out->authority = text_upto(rest, i);
    out->path = text_from(rest, i);
    return i > 0;
}

/* RFC 9112 3.2: which of the four forms, and is it one for this method? */
static bool read_target(struct h1_request_line *out)
{
    struct text t = out->target;
    if (out->method == METHOD_CONNECT) {
        out->form = H1_AUTHORITY;
        out->authority = t;
        return text_find_char(t, '/') < 0;
    }
    if (likely(t.p[0] == '/')) {
        out->form = H1_ORIGIN;
        out->path = t;
        return true;
    }
    if (t.n == 1 && t.p[0] == '*') {
        out->form = H1_ASTERISK;
        return out->method == METHOD_OPTIONS;
    }
    return split_absolute(t, out);
}

enum h1_result h1_request_line(struct h1_parse *p, const char *buf, size_t len, struct h1_request_line *out)
{
    enum h1_result got;
    size_t after = 0;
    if (p->mark == 0) {
        if (p->at == p->line && (got = skip_empty_lines(p, buf, len)) != H1_DONE) return got;
        if ((got = scan_method(p, buf, len)) != H1_DONE) return got;
    }
    p->at = (size_t) (scan_target(buf + p->at, buf + len) - buf);
    if (p->at == len) return H1_MORE;
    char stop = buf[p->at];
    if (p->at == p->mark) return bad(p, stop == '\0' ? FAULT_TARGET_CHAR : FAULT_SPACE);
    if (stop != ' ' && !is_end(stop)) return bad(p, stop == '\t' ? FAULT_SPACE : FAULT_TARGET_CHAR);

    *out = (struct h1_request_line) { .version = 9 };
    got = stop == ' ' ? read_version(p, buf, len, &out->version, &after) : end_line(p, buf, len, p->at, &after);
    if (got != H1_DONE) return got;
    size_t end = after - (buf[after - 2] == '\r' ? 2 : 1);
    out->line = text_of(buf + p->line, end - p->line);
    out->method_name = text_of(buf + p->line, p->mark - 1 - p->line);
    out->method = method_lookup(out->method_name);
    out->target = text_of(buf + p->mark, p->at - p->mark);
    if (out->version == 9 && out->method != METHOD_GET) return bad(p, FAULT_METHOD_09);
    if (!read_target(out)) return bad(p, FAULT_TARGET);
    next_line(p, after);
    return H1_DONE;
}

/* "HTTP/1.1 200" up to the status: short, so read anew when more comes. *at_out: what comes after. */
static enum h1_result read_status(struct h1_parse *p, const char *buf, size_t len, struct h1_status_line *out, size_t *at_out)
{
    static const char shape[] = "HTTP/d.d ddd";      /* d: a digit */
    const char *line = buf + p->line;
    size_t n = len - p->line;
    bool usual = n > sizeof shape && !memcmp(line, "HTTP/1.1 ", 9);      /* 9 bytes that need no second look */
    for (size_t i = usual ? 9 : 0; i < sizeof shape - 1; i++) {
        if (i == n) return H1_MORE;
        if (shape[i] == 'd' ? !is_digit(line[i]) : line[i] != shape[i]) return bad(p, FAULT_STATUS_LINE);
    }
    if (line[5] == '0' || line[9] == '0') return bad(p, FAULT_STATUS_LINE);
    out->version = line[5] == '1' && line[7] == '0' ? 1000 : 1001;
    out->status = (unsigned) (line[9] - '0') * 100 + (unsigned) (line[10] - '0') * 10 + (unsigned) (line[11] - '0');
    if (n == sizeof shape - 1) return H1_MORE;
    *at_out = p->line + sizeof shape - 1;
    return H1_DONE;
}

/* To the end of a value or a reason. Upstreams' control characters pass, as in nginx; NUL, CR and LF never do. */
static enum h1_result scan_text(struct h1_parse *p, const char *buf, size_t len)
{
    for (;; p->at++) {
        p->at = (size_t) (scan_value(buf + p->at, buf + len) - buf);
        if (p->at == len) return H1_MORE;
        char c = buf[p->at];
        if (is_end(c)) return H1_DONE;
        if (c == '\0') return bad(p, FAULT_FIELD_NUL);
        if (p->kind != H1_RESPONSE) return bad(p, FAULT_FIELD_CONTROL);
    }
}

enum h1_result h1_status_line(struct h1_parse *p, const char *buf, size_t len, struct h1_status_line *out)
{
    size_t after, start;
    *out = (struct h1_status_line) { 0 };
    enum h1_result got = read_status(p, buf, len, out, &start);
    if (got != H1_DONE) return got;
    char c = buf[start];
    if (c != ' ' && c != '.' && !is_end(c)) return bad(p, FAULT_STATUS_LINE);    /* "403.6" was seen in the wild */
    p->at = max_of(p->at, start);
    if ((got = scan_text(p, buf, len)) != H1_DONE) return got;
    size_t end = p->at;
    if ((got = end_line(p, buf, len, end, &after)) != H1_DONE) return got;
    out->line = text_of(buf + p->line, end - p->line);
    out->reason = text_trim(text_of(buf + start, end - start));
    next_line(p, after);
    return H1_DONE;
}

/* What may stand in a name though it should not; anything else is a fault. */
static enum fault odd_in_name(struct h1_parse *p, char c)
{
    switch (c) {
    case ' ': case '\t':  return FAULT_FIELD_SPACE;
    case '\r': case '\n': return FAULT_FIELD_NO_COLON;
    case '\0':            return FAULT_FIELD_NUL;
    case '_':
        p->has_underscore = true;
        return FAULT_NONE;
    default:
        if ((unsigned char) c < 0x20 || c == 0x7f) return FAULT_FIELD_NAME_CHAR;
        p->bad_name = true;
        return FAULT_NONE;
    }
}

/* Up to the colon, p->mark is then behind it; or H1_END at the empty line. */
static enum h1_result scan_field_name(struct h1_parse *p, const char *buf, size_t len)
{
    if (p->at == len) return H1_MORE;
    if (p->at == p->line) {
        char c = buf[p->at];
        if (c == ' ' || c == '\t') return bad(p, FAULT_FIELD_FOLD);
        if (c == ':') return bad(p, FAULT_FIELD_NAME_EMPTY);
        if (is_end(c)) {
            size_t after;
            enum h1_result got = end_line(p, buf, len, p->at, &after);
            if (got != H1_DONE) return got;
            next_line(p, after);
            return H1_END;
        }
    }
    for (;; p->at++) {
        p->at = (size_t) (scan_name(buf + p->at, buf + len) - buf);
        if (p->at == len) return H1_MORE;
        if (likely(buf[p->at] == ':')) break;
        enum fault f = odd_in_name(p, buf[p->at]);
        if (f) return bad(p, f);
    }
    p->mark = ++p->at;
    return H1_DONE;
}

/* The usual line, all of it there, nothing odd about it. False: not so, and nothing is changed. */
static bool take_plain_field(struct h1_parse *p, const char *buf, size_t len, struct field *out)
{
    const char *line = buf + p->line, *end = buf + len, *colon = scan_name(line, end);
    if (end - colon < 2 || *colon != ':' || colon == line) return false;
    const char *from = colon + 1 + (colon[1] == ' '), *stop = scan_value(from, end);
    if (end - stop < 2 || memcmp(stop, "\r\n", 2) != 0) return false;
    out->name = text_of(line, (size_t) (colon - line));
    out->value = text_of(from, (size_t) (stop - from));
    if (unlikely((unsigned char) from[0] <= ' ' || (unsigned char) stop[-1] <= ' ')) out->value = text_trim(out->value);
    out->id = field_lookup(out->name);
    out->bad_name = out->has_underscore = false;
    p->line = p->at = (size_t) (stop + 2 - buf);
    return true;
}

enum h1_result h1_field(struct h1_parse *p, const char *buf, size_t len, struct field *out)
{
    enum h1_result got;
    size_t after;
    if (p->at == p->line && take_plain_field(p, buf, len, out)) return H1_FIELD;
    if (p->mark == 0 && (got = scan_field_name(p, buf, len)) != H1_DONE) return got;
    if ((got = scan_text(p, buf, len)) != H1_DONE) return got;
    if ((got = end_line(p, buf, len, p->at, &after)) != H1_DONE) return got;
    out->name = text_of(buf + p->line, p->mark - 1 - p->line);
    out->value = text_trim(text_of(buf + p->mark, p->at - p->mark));
    out->id = field_lookup(out->name);
    out->bad_name = p->bad_name;
    out->has_underscore = p->has_underscore;
    next_line(p, after);
    return H1_FIELD;
}
