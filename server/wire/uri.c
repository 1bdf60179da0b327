#include "wire/uri.h"
#include "wire/scan.h"

enum { NO_PLACE = -1 };

static inline int hex_digit(char c)
{
    unsigned char low = text_lower((unsigned char) c);
    if ((unsigned char) (low - '0') < 10) return low - '0';
    return (unsigned char) (low - 'a') < 6 ? low - 'a' + 10 : NO_PLACE;
}

static void set_args(struct uri *out, struct text after)
{
    ssize_t hash = text_find_char(after, '#');
    out->has_args = true;
    out->args = hash < 0 ? after : text_upto(after, (size_t) hash);
}

/* ---- decoding and normalising: nginx's rules, segment by segment ---- */

struct path {
    char  *p;
    size_t n, segment;      /* where the last segment begins, behind its slash */
    size_t dot;             /* behind the last dot that begins an extension; 0: none */
    bool   merge;
};

/* The segment so far is one of "", "." and "..": a dot after it begins no extension. */
static bool only_dots(const struct path *o)
{
    size_t n = o->n - o->segment;
    return n <= 2 && memcmp(o->p + o->segment, "..", n) == 0;
}

/* RFC 3986 5.2.4: at the end of a segment, "." goes, and ".." goes with the one before. */
static enum fault end_segment(struct path *o)
{
    size_t n = o->n - o->segment;
    if (n == 0 || n > 2 || !only_dots(o)) return FAULT_NONE;
    o->n = o->segment;
    if (n == 1) return FAULT_NONE;
    if (o->n == 1) return FAULT_ABOVE_ROOT;
    for (o->n--; o->p[o->n - 1] != '/'; o->n--) { }
    o->segment = o->n;
    return FAULT_NONE;
}

static enum fault add_slash(struct path *o)
{
    if (o->n == 0) {
        o->p[o->n++] = '/';
    } else {
        bool dots = o->n > o->segment;
        enum fault f = end_segment(o);
        if (f) return f;
        dots = dots && o->n == o->segment;            /* the slash before the dots is there still */
        if (!dots && !(o->merge && o->n == o->segment)) o->p[o->n++] = '/';
    }
    o->segment = o->n;
    o->dot = 0;
    return FAULT_NONE;
}

static enum fault add(struct path *o, char c)
{
    if (c == '/') return add_slash(o);
    bool dot = c == '.' && !only_dots(o);
    o->p[o->n++] = c;
    if (dot) o->dot = o->n;
    return FAULT_NONE;
}

/* At "%": the byte it stands for; t->p moves on behind it. */
static enum fault decode(struct text t, char *c_out)
{
    int high = t.n > 2 ? hex_digit(t.p[1]) : NO_PLACE, low = t.n > 2 ? hex_digit(t.p[2]) : NO_PLACE;
    if (high < 0 || low < 0) return FAULT_ESCAPE;
    *c_out = (char) (high << 4 | low);
    return *c_out ? FAULT_NONE : FAULT_ESCAPE_NUL;
}

static enum fault normalise(struct text target, bool merge_slashes, struct pool *pool, struct uri *out)
{
    struct path o = { .p = pool_bytes(pool, target.n), .merge = merge_slashes };
    enum fault f = FAULT_NONE;
    size_t i = 0;
    out->complex = true;
    for (; i < target.n && target.p[i] != '?' && target.p[i] != '#'; i++) {
        char c = target.p[i];
        if (c == '%') {
            if ((f = decode(text_from(target, i), &c))) return f;
            out->quoted = true;
            i += 2;
        } else if (c == '\0') {
            return FAULT_TARGET_CHAR;
        }
        out->plus |= c == '+';
        if ((f = add(&o, c))) return f;
    }
    if (i < target.n && target.p[i] == '?') set_args(out, text_from(target, i + 1));
    if ((f = end_segment(&o))) return f;
    out->path = text_of(o.p, o.n);
    if (o.dot) out->exten = text_from(out->path, o.dot);
    return FAULT_NONE;
}

/* Up to "?" or the end, when there is nothing to be done on the way; else NO_PLACE. */
static ssize_t plain_length(struct text t, bool merge_slashes, struct uri *out)
{
    static const bool of_interest[256] = { ['\0'] = true, ['%'] = true, ['#'] = true, ['?'] = true, ['+'] = true, ['.'] = true, ['/'] = true };
    size_t dot = 0, i = 0;
    for (; i < t.n; i++) {
        if (likely(!of_interest[(unsigned char) t.p[i]])) continue;
        switch (t.p[i]) {
        case '\0': case '%': case '#': return NO_PLACE;
        case '+': out->plus = true; break;
        case '.': dot = i + 1; break;
        case '/':
            if (i + 1 < t.n && (t.p[i + 1] == '.' || (t.p[i + 1] == '/' && merge_slashes))) return NO_PLACE;
            dot = 0;
            break;
        default: goto end;
        }
    }
end:
    out->path = text_upto(t, i);
    if (dot) out->exten = text_from(out->path, dot);
    return (ssize_t) i;
}

enum fault uri_parse(struct text target, bool merge_slashes, struct pool *pool, struct uri *out)
{
    *out = (struct uri) { 0 };
    if (target.n == 0 || target.p[0] != '/') {
        if (target.n && target.p[0] != '?' && target.p[0] != '#') return FAULT_TARGET;
        out->path = T("/");
        if (target.n && target.p[0] == '?') set_args(out, text_from(target, 1));
        return FAULT_NONE;
    }
    ssize_t n = plain_length(target, merge_slashes, out);
    if (unlikely(n < 0)) return normalise(target, merge_slashes, pool, out);
    if ((size_t) n < target.n) set_args(out, text_from(target, (size_t) n + 1));
    return FAULT_NONE;
}

/* ---- escaping ---- */

/* Control characters are escaped in all kinds; DEL and bytes above it in all but memcached keys. RFC 3986 2. */
static const struct { const char *also; bool high; } kinds[] = {
    [URI_ESCAPE_URI]       = { " \"#%<>?\\^`{|}", true },
    [URI_ESCAPE_ARGS]      = { " \"#%&+;<>?\\^`{|}", true },
    [URI_ESCAPE_COMPONENT] = { " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}", true },
    [URI_ESCAPE_HTML]      = { " \"#%'<>\\^`{|}", true },
    [URI_ESCAPE_REFRESH]   = { " \"'<>\\^`{|}", true },
    [URI_ESCAPE_MEMCACHED] = { " %", false },
};
static uint8_t escaped_in[256];     /* a bit for each kind */

__attribute__((constructor)) static void fill_escaped(void)
{
    for (unsigned k = 0; k < countof(kinds); k++) {
        uint8_t bit = (uint8_t) (1u << k);
        for (unsigned c = 0; c < 0x20; c++) escaped_in[c] |= bit;
        for (unsigned c = 0x7f; c < 0x100 && kinds[k].high; c++) escaped_in[c] |= bit;
        for (const char *c = kinds[k].also; *c; c++) escaped_in[(unsigned char) *c] |= bit;
    }
}

bool uri_needs_escape(struct text t, enum uri_escape_kind kind)
{
    for (size_t i = 0; i < t.n; i++) {
        if (escaped_in[(unsigned char) t.p[i]] >> kind & 1) return true;
    }
    return false;
}

void uri_escape(struct build *b, struct text t, enum uri_escape_kind kind)
{
    size_t from = 0;
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (likely(!(escaped_in[c] >> kind & 1))) continue;
        char hex[3] = { '%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15] };
        build_text(b, text_of(t.p + from, i - from));
        build_text(b, text_of(hex, sizeof hex));
        from = i + 1;
    }
    build_text(b, text_from(t, from));
}

void uri_unescape(struct build *b, struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (c == '%') {
            if (++i == t.n) return;
            int high = hex_digit(t.p[i]);
            if (high < 0) {
                build_char(b, t.p[i]);
                continue;
            }
            if (++i == t.n) return;
            int low = hex_digit(t.p[i]);
            if (low < 0) continue;
            c = (char) (high << 4 | low);
        }
        build_char(b, c);
    }
}

/* ---- hosts ---- */

enum { HOST_BAD = 1, HOST_CAPITAL = 2, HOST_DOT = 4 };
static uint8_t host_class[256];

/* RFC 3986 3.2.2 reg-name, and bytes above 127, which nginx lets through. */
__attribute__((constructor)) static void fill_host_class(void)
{
    for (unsigned c = 0; c <= ' '; c++) host_class[c] = HOST_BAD;
    for (const char *c = "\"#/<>?@[\\]^`{|}\x7f"; *c; c++) host_class[(unsigned char) *c] = HOST_BAD;
    for (unsigned c = 'A'; c <= 'Z'; c++) host_class[c] = HOST_CAPITAL;
    host_class['.'] = HOST_DOT;
}

/* Length of the name part, brackets included; 0: none there or not valid. */
static size_t host_length(struct text t, bool *is_ipv6_out, bool *capitals_out)
{
    size_t i = 0;
    *capitals_out = false;
    *is_ipv6_out = t.n && t.p[0] == '[';
    if (*is_ipv6_out) {
        bool colon = false;
        for (i = 1; i < t.n && t.p[i] != ']'; i++) {
            if (hex_digit(t.p[i]) < 0 && t.p[i] != ':' && (t.p[i] != '.' || t.p[i - 1] == '.')) return 0;
            *capitals_out |= (unsigned char) (t.p[i] - 'A') < 26;
            colon |= t.p[i] == ':';
        }
        return colon && i < t.n ? i + 1 : 0;
    }
    for (; i < t.n && t.p[i] != ':'; i++) {
        unsigned class = host_class[(unsigned char) t.p[i]];
        if (likely(class == 0)) continue;
        if (class == HOST_BAD || (class == HOST_DOT && i && t.p[i - 1] == '.')) return 0;
        *capitals_out |= class == HOST_CAPITAL;
    }
    return i;
}

static enum fault read_port(struct text t, struct uri_host *out)
{
    uint64_t port;
    if (t.n == 0) return FAULT_NONE;
    if (t.p[0] != ':') return FAULT_HOST;
    if (t.n == 1) return FAULT_NONE;
    if (!text_u64(text_from(t, 1), &port) || port > UINT16_MAX) return FAULT_HOST_PORT;
    out->port = (uint16_t) port;
    out->has_port = true;
    return FAULT_NONE;
}

static struct text lowered(struct text t, struct pool *pool)
{
    char *p = pool_bytes(pool, t.n);
    for (size_t i = 0; i < t.n; i++) p[i] = (char) text_lower((unsigned char) t.p[i]);
    return text_of(p, t.n);
}

enum fault uri_host(struct text t, struct pool *pool, struct uri_host *out)
{
    bool capitals;
    *out = (struct uri_host) { 0 };
    size_t n = host_length(t, &out->is_ipv6, &capitals);
    if (n == 0) return FAULT_HOST;
    enum fault f = read_port(text_from(t, n), out);
    if (f) return f;
    if (t.p[n - 1] == '.' && --n == 0) return FAULT_HOST;
    out->name = text_upto(t, n);
    if (capitals) out->name = lowered(out->name, pool);
    return FAULT_NONE;
}
