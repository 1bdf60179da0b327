#include "wire/value.h"
#include "wire/scan.h"

enum { RANGE_BAD = -1 };

bool value_is_token(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        if (!scan_is_token((unsigned char) t.p[i])) return false;
    }
    return t.n > 0;
}

/* Index of the first separator outside quotes, or t.n. RFC 9110 5.6.4 */
static size_t find_outside_quotes(struct text t, char separator)
{
    bool quoted = false;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (quoted && c == '\\') i++;
        else if (c == '"') quoted = !quoted;
        else if (c == separator && !quoted) return i;
    }
    return t.n;
}

static struct text take(struct text *rest, char separator)
{
    size_t n = find_outside_quotes(*rest, separator);
    struct text part = text_trim(text_upto(*rest, n));
    *rest = text_from(*rest, min_of(n + 1, rest->n));
    return part;
}

bool value_next(struct text *rest, struct text *item_out)
{
    while (rest->n) {
        *item_out = take(rest, ',');
        if (item_out->n) return true;
    }
    return false;
}

bool value_has(struct text list, struct text token)
{
    struct text item;
    while (value_next(&list, &item)) {
        if (text_eq_nocase(item, token)) return true;
    }
    return false;
}

bool value_names(struct text list, struct text token)
{
    struct text part;
    while (text_split(&list, ',', &part))
        if (text_eq_nocase(text_trim(part), token)) return true;
    return false;
}

bool value_nominates(const struct field *v, size_t n, struct text name)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].id == FIELD_CONNECTION && value_names(v[i].value, name)) return true;
    return false;
}

bool value_nominates_any(const struct field *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].id == FIELD_CONNECTION && v[i].value.n && !text_eq_nocase(v[i].value, T("keep-alive")) && !text_eq_nocase(v[i].value, T("close"))) return true;
    return false;
}

static struct text unquoted(struct text t)
{
    bool quotes = t.n >= 2 && t.p[0] == '"' && t.p[t.n - 1] == '"';
    return quotes ? text_of(t.p + 1, t.n - 2) : t;
}

static void split_pair(struct text pair, struct text *name_out, struct text *value_out)
{
    ssize_t at = text_find_char(pair, '=');
    *name_out = at < 0 ? pair : text_trim(text_upto(pair, (size_t) at));
    *value_out = at < 0 ? text_of(NULL, 0) : unquoted(text_trim(text_from(pair, (size_t) at + 1)));
}

bool value_parameter_next(struct text *rest, struct text *name_out, struct text *value_out)
{
    while (rest->n) {
        struct text pair = take(rest, ';');
        if (pair.n == 0) continue;
        split_pair(pair, name_out, value_out);
        return true;
    }
    return false;
}

struct text value_head(struct text item, struct text *rest_out)
{
    struct text head = take(&item, ';');
    *rest_out = item;
    return head;
}

bool value_parameter(struct text item, struct text name, struct text *value_out)
{
    struct text rest, found;
    value_head(item, &rest);
    while (value_parameter_next(&rest, &found, value_out)) {
        if (text_eq_nocase(found, name)) return true;
    }
    return false;
}

int value_weight(struct text t)
{
    static const int places[] = { 100, 10, 1 };
    if (t.n == 0 || t.n > 5 || (t.p[0] != '0' && t.p[0] != '1') || (t.n > 1 && t.p[1] != '.')) return -1;
    int weight = (t.p[0] - '0') * 1000;
    for (size_t i = 2; i < t.n; i++) {
        if ((unsigned char) (t.p[i] - '0') > 9) return -1;
        weight += (t.p[i] - '0') * places[i - 2];
    }
    return weight <= 1000 ? weight : -1;
}

int value_accepts(struct text list, struct text coding)
{
    struct text item, rest, q;
    int any = -1;
    while (value_next(&list, &item)) {
        struct text name = value_head(item, &rest);
        bool star = text_eq(name, T("*"));
        if (!star && !text_eq_nocase(name, coding)) continue;
        int weight = value_parameter(item, T("q"), &q) ? max_of(value_weight(q), 0) : 1000;
        if (!star) return weight;
        any = weight;
    }
    return any;
}

enum { SECONDS_MOST = 31 };     /* RFC 9111 1.2.2: what does not fit is 2^31 */

static int64_t seconds(struct text t)
{
    uint64_t v;
    for (size_t i = 0; i < t.n; i++) {
        if ((unsigned char) (t.p[i] - '0') > 9) return 0;
    }
    if (t.n == 0) return 0;
    if (!text_u64(t, &v) || v > 1ull << SECONDS_MOST) return 1ll << SECONDS_MOST;
    return (int64_t) v;
}

void value_cache_control(struct text line, struct value_cache *c)
{
    const struct { struct text name; bool *flag; int64_t *number; } known[] = {
        { T("no-store"), &c->no_store, NULL }, { T("no-cache"), &c->no_cache, NULL }, { T("private"), &c->is_private, NULL },
        { T("public"), &c->is_public, NULL }, { T("must-revalidate"), &c->must_revalidate, NULL },
        { T("proxy-revalidate"), &c->proxy_revalidate, NULL }, { T("no-transform"), &c->no_transform, NULL },
        { T("only-if-cached"), &c->only_if_cached, NULL }, { T("immutable"), &c->immutable, NULL },
        { T("must-understand"), &c->must_understand, NULL },
        { T("max-age"), NULL, &c->max_age }, { T("s-maxage"), NULL, &c->s_maxage },
        { T("stale-while-revalidate"), NULL, &c->stale_while_revalidate }, { T("stale-if-error"), NULL, &c->stale_if_error },
        { T("max-stale"), NULL, &c->max_stale }, { T("min-fresh"), NULL, &c->min_fresh },
    };
    struct text item, name, value;
    while (value_next(&line, &item)) {
        split_pair(item, &name, &value);
        for (size_t i = 0; i < countof(known); i++) {
            if (!text_eq_nocase(known[i].name, name)) continue;
            if (known[i].flag) *known[i].flag = true;
            /* RFC 9111 5.2.1.2: max-stale alone takes any age */
            else if (*known[i].number < 0) *known[i].number = value.p || known[i].number != &c->max_stale ? seconds(value) : 1ll << SECONDS_MOST;
            break;
        }
    }
}

bool value_cookie(struct text line, struct text name, struct text *value_out)
{
    const char *p = line.p, *end = line.p + line.n;
    while (p < end) {
        if ((size_t) (end - p) >= name.n && text_eq_nocase(text_of(p, name.n), name)) {
            p += name.n;
            while (p < end && *p == ' ') p++;
            if (p < end && *p++ == '=') {
                while (p < end && *p == ' ') p++;
                const char *stop = memchr(p, ';', (size_t) (end - p));
                *value_out = text_of(p, (size_t) ((stop ? stop : end) - p));
                return true;
            }
        }
        while (p < end && *p != ';' && *p != ',') p++;
        if (p < end) p++;
        while (p < end && *p == ' ') p++;
    }
    return false;
}

/* ---- ranges ---- */

static void skip_spaces(struct text *t)
{
    while (t->n && t->p[0] == ' ') *t = text_from(*t, 1);
}

/* A number off the front of *t, or RANGE_BAD. */
static int64_t take_number(struct text *t)
{
    size_t n = 0;
    uint64_t v;
    while (n < t->n && (unsigned char) (t->p[n] - '0') < 10) n++;
    if (!text_u64(text_upto(*t, n), &v) || v > INT64_MAX) return RANGE_BAD;
    *t = text_from(*t, n);
    skip_spaces(t);
    return (int64_t) v;
}

/* One range-spec. False: it is none. An empty or reversed one has end at most from. */
static bool take_range(struct text *t, int64_t size, struct value_range *out)
{
    int64_t from = RANGE_BAD, last;
    skip_spaces(t);
    if (t->n && t->p[0] != '-' && (from = take_number(t)) < 0) return false;
    if (t->n == 0 || t->p[0] != '-') return false;
    *t = text_from(*t, 1);
    if (from >= 0) skip_spaces(t);
    if (from >= 0 && (t->n == 0 || t->p[0] == ',')) {
        *out = (struct value_range) { from, size };
        return true;
    }
    if ((last = take_number(t)) < 0 || (t->n && t->p[0] != ',')) return false;
    if (from < 0) *out = (struct value_range) { last < size ? size - last : 0, size };
    else *out = (struct value_range) { from, last >= size ? size : last + 1 };
    return true;
}

enum value_ranges value_ranges(struct text t, int64_t size, struct value_range *ranges, size_t most, size_t *count_out)
{
    int64_t total = 0;
    *count_out = 0;
    if (!text_starts_nocase(t, T("bytes="))) return VALUE_RANGES_IGNORED;
    for (t = text_from(t, 6);; t = text_from(t, 1)) {
        struct value_range r;
        if (!take_range(&t, size, &r)) return VALUE_RANGES_UNSATISFIABLE;
        if (r.from < r.end) {
            if (*count_out == most) return VALUE_RANGES_IGNORED;
            ranges[(*count_out)++] = r;
            if (__builtin_add_overflow(total, r.end - r.from, &total)) return VALUE_RANGES_UNSATISFIABLE;
        } else if (r.from == 0) {
            return VALUE_RANGES_IGNORED;         /* nothing of an empty body */
        }
        if (t.n == 0) break;
    }
    if (*count_out == 0) return VALUE_RANGES_UNSATISFIABLE;
    return total > size ? VALUE_RANGES_IGNORED : VALUE_RANGES_FINE;
}

/* ---- etags ---- */

/* An etag off the front of *t. A backslash in it is a character like others. */
static bool take_etag(struct text *t, struct text *tag_out, bool *weak_out)
{
    struct text rest = *t;
    *weak_out = text_starts(rest, T("W/"));
    if (*weak_out) rest = text_from(rest, 2);
    if (rest.n == 0 || rest.p[0] != '"') return false;
    ssize_t end = text_find_char(text_from(rest, 1), '"');
    if (end < 0) return false;
    *tag_out = text_upto(rest, (size_t) end + 2);
    *t = text_from(rest, (size_t) end + 2);
    return true;
}

bool value_is_etag(struct text t)
{
    struct text tag;
    bool weak;
    return take_etag(&t, &tag, &weak) && t.n == 0;
}

bool value_etag_eq(struct text a, struct text b, bool strong)
{
    struct text tag_a, tag_b;
    bool weak_a, weak_b;
    if (!take_etag(&a, &tag_a, &weak_a) || !take_etag(&b, &tag_b, &weak_b) || a.n || b.n) return false;
    return text_eq(tag_a, tag_b) && !(strong && (weak_a || weak_b));
}

bool value_etag_in(struct text list, struct text etag, bool strong)
{
    if (text_eq(text_trim(list), T("*"))) return true;
    for (;;) {
        while (list.n && memchr(" \t,", list.p[0], 3)) list = text_from(list, 1);
        struct text from = list, tag;
        bool weak;
        if (!take_etag(&list, &tag, &weak)) return false;
        if (value_etag_eq(text_upto(from, from.n - list.n), etag, strong)) return true;
    }
}
